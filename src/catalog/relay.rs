//! Paths of MediaMTX as streams: each is looked up by name, and read while it is watched.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use regex::Regex;
use serde_json::Value;
use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant},
};
use url::Url;

use super::{Catalog, Requester};
use crate::{
    error::{Code, Error, Result},
    identity::Identity,
    mediamtx::{Client, Fields, MediaMtxSettings, PathCache, Readable, readable},
    policy::ISSUER,
    producer::{
        Definition,
        rtsp::{self, Common},
    },
    secret::Secret,
    settings::Settings,
    stream::{Mode, Origin, Producer, ProducerFuture, Run, Stream, StreamName},
};

/// How long an answer of MediaMTX is reused, so that a page that asks in a loop costs MediaMTX one request a second.
const ANSWER_TTL: Duration = Duration::from_secs(1);

/// Most names whose answers are stored.
const MAX_ANSWERS: usize = 1000;

/// How RTSP producers read MediaMTX: as the user of `mediamtx.user`, or with a token of ours that is good for one path.
pub fn mediamtx_reader(settings: &Settings, identity: &Identity) -> Common {
    let MediaMtxSettings { rtsp, user, pass, .. } = settings.mediamtx.clone();
    let identity = identity.clone();
    Common::new(settings.rtsp_cameras.clone(), settings.fetch.clone(), &rtsp, move |path| match user.as_str() {
        "" => Some((ISSUER.to_owned(), Secret::new(identity.reading_token(path).ok()?))),
        user => Some((user.to_owned(), pass.clone())),
    })
}

/// MediaMTX's latest answers, and the permits for reading its paths.
pub(super) struct Relay {
    mediamtx: Client,
    max: usize,
    permits: Arc<Semaphore>,
    answers: Mutex<HashMap<StreamName, Cached<Option<Readable>>>>,
    /// All configured paths: the same answer for every name.
    configured: Mutex<Cached<Vec<Fields>>>,
    /// The live paths, and what was known last, for the time in which MediaMTX does not answer.
    live: PathCache,
    last: Mutex<Known>,
    /// The base URLs at which MediaMTX reaches us by RTSP and by HTTP.
    advertised: [String; 2],
}

/// MediaMTX's paths: live ones and configured ones.
#[derive(Clone, Default)]
struct Known {
    live: Arc<Vec<Value>>,
    configured: Arc<Vec<Fields>>,
}

/// An answer, or the request for it: callers that ask the same share one request.
struct Cached<T> {
    since: Instant,
    answer: Answer<T>,
}

type Answer<T> = Arc<OnceCell<Result<T, String>>>;

impl<T> Cached<T> {
    fn new() -> Self {
        Cached { since: Instant::now(), answer: Arc::default() }
    }

    fn is_old(&self) -> bool {
        self.since.elapsed() >= ANSWER_TTL
    }

    /// The answer; an empty cell if the stored one is old.
    fn answer(&mut self) -> Answer<T> {
        if self.is_old() {
            *self = Cached::new();
        }
        self.answer.clone()
    }
}

impl Relay {
    pub(super) fn new(mediamtx: Client, live: PathCache, max: usize, advertised: [String; 2]) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        // Watchers ask about any name: the program's own requests do not wait behind theirs.
        let mediamtx = mediamtx.for_callers();
        Relay {
            mediamtx,
            max,
            permits: Arc::new(Semaphore::new(max)),
            answers: Mutex::default(),
            configured: Mutex::new(Cached::new()),
            live,
            last: Mutex::default(),
            advertised,
        }
    }

    fn answer(&self, name: &StreamName) -> Answer<Option<Readable>> {
        let mut all = self.answers.lock();
        if all.len() >= MAX_ANSWERS {
            all.retain(|_, answer| !answer.is_old());
            if all.len() >= MAX_ANSWERS {
                all.clear();
            }
        }
        all.entry(name.clone()).or_insert_with(Cached::new).answer()
    }

    /// MediaMTX's path of that name, if it can be read; the error is why MediaMTX did not answer.
    async fn readable(&self, name: &StreamName) -> Result<Option<Readable>, String> {
        let ask = async || {
            let live = self.mediamtx.path(name).await.map_err(|e| e.chain())?;
            let configured = self.configured.lock().answer();
            let all = async || self.mediamtx.configured_paths().await.map_err(|e| e.chain());
            let configured = configured.get_or_init(all).await.as_ref().map_err(Clone::clone)?;
            Ok(readable(name, live.as_ref(), configured))
        };
        self.answer(name).get_or_init(ask).await.clone()
    }

    /// The paths with the pattern that a client can read, without those that are made of streams of ours. While MediaMTX does not answer,
    /// those of its last answer.
    pub(super) async fn matching(&self, pattern: &Regex) -> Vec<StreamName> {
        if let Some(live) = self.live.paths() {
            self.last.lock().live = live;
        }
        let is_meant = |path: &Value| path["name"].as_str().is_some_and(|name| pattern.is_match(name));
        // A path on demand can be read although it is not live: its configuration tells.
        if self.last.lock().live.iter().any(is_meant) {
            let answer = self.configured.lock().answer();
            let ask = async || self.mediamtx.configured_paths().await.map_err(|e| e.chain());
            if let Ok(configured) = answer.get_or_init(ask).await {
                self.last.lock().configured = Arc::new(configured.clone());
            }
        }
        let Known { live, configured } = self.last.lock().clone();
        let meant = live.iter().filter(|path| is_meant(path)).filter_map(|path| {
            let name = path["name"].as_str()?;
            let readable = readable(name, Some(path), &configured)?;
            let is_foreign = self.own_source(&readable).is_none();
            is_foreign.then(|| StreamName::parse(name).ok()).flatten()
        });
        meant.collect()
    }

    /// The stream of ours that a path is made of, with the definition of a recipe that makes it. Its pictures are here
    /// already: decoding our own encoding of them would be a detour, or a circle.
    fn own_source(&self, readable: &Readable) -> Option<(String, Result<Option<Definition>>)> {
        let words = [readable.source.as_str()].into_iter().chain(readable.command.split([' ', '\'', '"']));
        words.filter_map(|word| self.own_stream(word)).next()
    }

    /// The name, and the recipe, of the stream that a URL asks us for; none if the URL leads elsewhere.
    fn own_stream(&self, url: &str) -> Option<(String, Result<Option<Definition>>)> {
        let url = Url::parse(url).ok()?;
        if !self.advertised.iter().any(|base| leads_to(&url, base)) {
            return None;
        }
        let query =
            |wanted: &str| url.query_pairs().find(|(key, _)| key == wanted).map(|(_, value)| value.into_owned());
        let path = percent_decode_str(url.path()).decode_utf8().ok()?;
        let recipe = |default: Option<&str>| {
            let word = query("type").or(default.map(str::to_owned));
            word.map(|word| Definition::of_recipe(&word, query("interval").as_deref())).transpose()
        };
        if url.scheme() == "rtsp" {
            return Some((path.trim_matches('/').to_owned(), recipe(None)));
        }
        if path == "/mjpeg-get" {
            return Some((query("name")?, recipe(Some("file"))));
        }
        let file = path.strip_prefix("/stream/")?;
        let name = [".mjpeg", ".mp4"].into_iter().find_map(|suffix| file.strip_suffix(suffix))?;
        Some((name.to_owned(), Ok(None)))
    }
}

/// What a name resolves to.
enum Resolution {
    /// A stream that exists.
    Stream(Arc<Stream>),
    /// A stream of ours that MediaMTX would pull. The definition makes it if it does not exist.
    Own(StreamName, Option<Definition>),
    /// A path of MediaMTX.
    Path,
}

impl Catalog {
    /// Checks that there is such a stream or path, without making or starting anything.
    pub async fn exists(&self, name: &StreamName) -> Result<()> {
        match self.resolve(name).await? {
            Resolution::Own(name, None) => self.0.registry.find(&name).map(drop),
            _ => Ok(()),
        }
    }

    /// The stream of that name, or one that reads MediaMTX's path of that name and is removed after its last watcher.
    pub async fn find_or_relay(&self, name: &StreamName, by: &Requester) -> Result<Arc<Stream>> {
        match self.resolve(name).await? {
            Resolution::Stream(stream) => Ok(stream),
            Resolution::Own(name, Some(definition)) => self.requested(&name, &definition, by),
            Resolution::Own(name, None) => self.0.registry.find(&name),
            Resolution::Path => self.relay(name),
        }
    }

    /// The stream of ours that a path of MediaMTX is made of. A stream that read such a path to make its own pictures
    /// would read itself without end.
    pub async fn own_stream_at(&self, path: &StreamName) -> Option<StreamName> {
        let readable = self.0.relay.readable(path).await.ok()??;
        let (name, _) = self.0.relay.own_source(&readable)?;
        self.name(&name).ok()
    }

    async fn resolve(&self, name: &StreamName) -> Result<Resolution> {
        if let Some(stream) = self.0.registry.get(name) {
            return Ok(Resolution::Stream(stream));
        }
        match self.0.relay.readable(name).await {
            Ok(Some(readable)) => match self.0.relay.own_source(&readable) {
                Some((name, definition)) => Ok(Resolution::Own(self.name(&name)?, definition?)),
                None => Ok(Resolution::Path),
            },
            Ok(None) => Err(Error::new(
                Code::UnknownStream,
                format!("there is no stream {name}, and no path of MediaMTX that can be read"),
            )),
            // The same code as without a MediaMTX: many installations have none.
            Err(why) => Err(Error::new(Code::UnknownStream, format!("there is no stream {name}")).caused_by(why)),
        }
    }

    fn relay(&self, name: &StreamName) -> Result<Arc<Stream>> {
        let super::Inner { registry, context, relay, .. } = &*self.0;
        let Ok(permit) = relay.permits.clone().try_acquire_owned() else {
            // The last permit may have been taken for this very path.
            return registry.get(name).ok_or_else(|| {
                let message = format!("{} paths of MediaMTX are watched already (limits.pulled_paths)", relay.max);
                Error::new(Code::TooManyPulledPaths, message)
            });
        };
        registry.get_or_create(name, Origin::MediaMtx, || {
            let definition = Definition::Rtsp(rtsp::Settings::of_path(name));
            Ok(Arc::new(RelayProducer { inner: definition.producer(name, context)?, _permit: permit }))
        })
    }
}

/// Whether a URL leads to the server at the base URL.
fn leads_to(url: &Url, base: &str) -> bool {
    let Ok(base) = Url::parse(base) else { return false };
    let is_local = |host: &str| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| {
                // An address that can be bound belongs to this machine.
                ip.is_loopback() || std::net::UdpSocket::bind((ip, 0)).is_ok()
            })
    };
    let port = |url: &Url| url.port_or_known_default().or((url.scheme() == "rtsp").then_some(554));
    let (Some(host), Some(of_base)) = (url.host_str(), base.host_str()) else { return false };
    url.scheme() == base.scheme()
        && port(url) == port(&base)
        && (host == of_base || (is_local(host) && is_local(of_base)))
}

/// The producer of a relayed path, with its permit of `limits.pulled_paths`.
struct RelayProducer {
    inner: Arc<dyn Producer>,
    _permit: OwnedSemaphorePermit,
}

impl Producer for RelayProducer {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn mode(&self) -> Mode {
        self.inner.mode()
    }

    fn passes_video(&self) -> bool {
        self.inner.passes_video()
    }

    fn is_steady(&self) -> bool {
        self.inner.is_steady()
    }

    fn run(&self, run: Run) -> ProducerFuture {
        self.inner.run(run)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::hosts::Hosts;

    #[test]
    fn our_own_addresses_are_recognized() {
        for (url, base, expected) in [
            ("rtsp://127.0.0.1:9554/a", "rtsp://127.0.0.1:9554", true),
            ("rtsp://localhost:9554/a", "rtsp://127.0.0.1:9554", true),
            ("rtsp://[::1]:9554/a", "rtsp://127.0.0.1:9554", true),
            ("rtsp://127.0.0.1:8554/a", "rtsp://127.0.0.1:9554", false),
            ("http://127.0.0.1:9554/a", "rtsp://127.0.0.1:9554", false),
            ("rtsp://192.0.2.7:9554/a", "rtsp://127.0.0.1:9554", false),
            ("rtsp://sidecar:9554/a", "rtsp://sidecar:9554", true),
            ("rtsp://camera/a", "rtsp://camera:554", true),
            ("http://h/a", "http://h:80", true),
        ] {
            assert_eq!(leads_to(&Url::parse(url).expect("a URL"), base), expected, "{url} {base}");
        }
    }

    #[tokio::test]
    async fn the_number_of_stored_answers_is_bounded() {
        let hosts = Hosts::new(Path::new("")).expect("TLS");
        let client = Client::start(&MediaMtxSettings::default(), &hosts, || None).expect("starts");
        let relay = Relay::new(client, PathCache::default(), 3, [String::new(), String::new()]);
        for n in 0..3 * MAX_ANSWERS {
            relay.answer(&StreamName::parse(&format!("n{n}")).expect("a name"));
        }
        assert!(relay.answers.lock().len() <= MAX_ANSWERS);
    }
}
