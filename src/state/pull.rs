//! Paths of MediaMTX as streams: looked up, and read while somebody watches them.

use std::{collections::HashMap, sync::Arc};

use percent_encoding::percent_decode_str;
use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use url::Url;

use super::State;
use crate::{
    error::{Code, Error, Result},
    identity::Identity,
    mediamtx::{Fields, MediaMtxSettings, Readable, readable},
    policy::ISSUER,
    producer::{
        Definition,
        rtsp::{self, Common},
    },
    secret::Secret,
    settings::Settings,
    stream::{Demand, Mode, Origin, Producer, ProducerFuture, Run, Stream, StreamName, Watch},
};

/// How long an answer of MediaMTX counts: a page that asks in a loop costs it a request a second.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// Answers remembered.
const MOST_KNOWN: usize = 1000;

/// What RTSP cameras share; MediaMTX is shown the user that it is configured with, or a token of ours.
pub fn reader_of_mediamtx(settings: &Settings, identity: &Identity) -> Common {
    let MediaMtxSettings { rtsp, user, pass, .. } = settings.mediamtx.clone();
    let identity = identity.clone();
    Common::new(settings.rtsp_cameras.clone(), settings.fetch.networks.clone(), &rtsp, move |path| {
        match user.as_str() {
            "" => Some((ISSUER.to_owned(), Secret::new(identity.reading_token(path).ok()?))),
            user => Some((user.to_owned(), pass.clone())),
        }
    })
}

/// What is known of MediaMTX's paths, and how many of them may be watched yet.
pub struct RelayedPaths {
    most: usize,
    permits: Arc<Semaphore>,
    known: Mutex<HashMap<StreamName, Known<Option<Readable>>>>,
    /// All that is configured: the same for each name that is asked for.
    configured: Mutex<Known<Vec<Fields>>>,
}

/// An answer, or the question that is under way: whoever asks the same waits for the same.
struct Known<T> {
    since: Instant,
    answer: Answer<T>,
}

type Answer<T> = Arc<OnceCell<Result<T, String>>>;

impl<T> Known<T> {
    fn new() -> Self {
        Known { since: Instant::now(), answer: Arc::default() }
    }

    fn is_old(&self) -> bool {
        self.since.elapsed() >= KNOWN_FOR
    }

    /// The answer, to be asked for anew if it is old.
    fn answer(&mut self) -> Answer<T> {
        if self.is_old() {
            *self = Known::new();
        }
        self.answer.clone()
    }
}

impl RelayedPaths {
    /// For at most so many paths at a time.
    pub fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(most));
        RelayedPaths { most, permits, known: Mutex::default(), configured: Mutex::new(Known::new()) }
    }

    fn known(&self, name: &StreamName) -> Answer<Option<Readable>> {
        let mut all = self.known.lock();
        if all.len() >= MOST_KNOWN {
            all.retain(|_, known| !known.is_old());
            if all.len() >= MOST_KNOWN {
                all.clear();
            }
        }
        all.entry(name.clone()).or_insert_with(Known::new).answer()
    }

    fn configured(&self) -> Answer<Vec<Fields>> {
        self.configured.lock().answer()
    }
}

/// What a name means.
enum Resolution {
    /// A stream that is there.
    Stream(Arc<Stream>),
    /// One of ours, that MediaMTX would pull; made of the definition if there is none.
    Ours(StreamName, Option<Definition>),
    /// A path of MediaMTX.
    Path,
}

impl State {
    /// Takes a watch of a stream, or of MediaMTX's path of that name. Whether the caller may read it has been asked
    /// before: our policy's answer for the name is what MediaMTX would be told.
    pub async fn watch(&self, name: &StreamName, demand: Demand) -> Result<Watch> {
        for _ in 0..3 {
            let stream = self.find_or_pull(name).await?;
            if let Ok(watch) = stream.watch_for(demand) {
                return Ok(watch);
            }
        }
        Err(Error::new(Code::Unavailable, "the stream is being removed; try again"))
    }

    /// Whether there is such a stream or path; makes and starts nothing.
    pub async fn is_there(&self, name: &StreamName) -> Result<()> {
        match self.meaning(name).await? {
            Resolution::Ours(name, None) => self.registry.find(&name).map(drop),
            _ => Ok(()),
        }
    }

    /// The stream of that name, or one that reads MediaMTX's path of that name and is gone when nobody watches it.
    pub async fn find_or_pull(&self, name: &StreamName) -> Result<Arc<Stream>> {
        match self.meaning(name).await? {
            Resolution::Stream(stream) => Ok(stream),
            Resolution::Ours(name, Some(wanted)) => self.stream_of_kind(&name, &wanted, Origin::Pull),
            Resolution::Ours(name, None) => self.registry.find(&name),
            Resolution::Path => self.pull(name),
        }
    }

    async fn meaning(&self, name: &StreamName) -> Result<Resolution> {
        if let Some(stream) = self.registry.get(name) {
            return Ok(Resolution::Stream(stream));
        }
        match self.readable(name).await {
            Ok(Some(readable)) => match self.own_source(&readable)? {
                Some((name, definition)) => Ok(Resolution::Ours(name, definition)),
                None => Ok(Resolution::Path),
            },
            Ok(None) => Err(Error::new(
                Code::UnknownStream,
                format!("there is no stream {name}, and no path of MediaMTX that can be read"),
            )),
            // Not an error of its own: there need not be a MediaMTX.
            Err(why) => Err(Error::new(Code::UnknownStream, format!("there is no stream {name}")).caused_by(why)),
        }
    }

    /// The stream of ours that MediaMTX's path is made of, if it is: who reads the path to make that very stream would
    /// read itself for ever.
    pub async fn own_stream_at(&self, path: &StreamName) -> Option<StreamName> {
        let readable = self.readable(path).await.ok()??;
        self.own_source(&readable).ok()?.map(|(name, _)| name)
    }

    async fn readable(&self, name: &StreamName) -> Result<Option<Readable>, String> {
        let ask = async || {
            let live = self.mediamtx.path(name).await.map_err(|e| e.chain())?;
            let configured = self.pulls.configured();
            let all = async || self.mediamtx.configured_paths().await.map_err(|e| e.chain());
            let configured = configured.get_or_init(all).await.as_ref().map_err(Clone::clone)?;
            Ok(readable(name, live.as_ref(), configured))
        };
        self.pulls.known(name).get_or_init(ask).await.clone()
    }

    /// The stream of ours that a path leads back to, and what it is made of if there is none: its pictures are here
    /// already, and decoding our own encoding of them would be a detour, or a circle.
    fn own_source(&self, readable: &Readable) -> Result<Option<(StreamName, Option<Definition>)>> {
        let words = [readable.source.as_str()].into_iter().chain(readable.command.split([' ', '\'', '"']));
        match words.filter_map(|word| self.stream_at(word)).next() {
            Some((name, definition)) => Ok(Some((self.registry.name(&name)?, definition?))),
            None => Ok(None),
        }
    }

    fn pull(&self, name: &StreamName) -> Result<Arc<Stream>> {
        let Ok(permit) = self.pulls.permits.clone().try_acquire_owned() else {
            // Somebody else may have taken the last one for this very path.
            return self.registry.get(name).ok_or_else(|| {
                let words = format!("{} paths of MediaMTX are watched already (limits.pulled_paths)", self.pulls.most);
                Error::new(Code::TooManyPulledPaths, words)
            });
        };
        self.registry.get_or_create(name, Origin::MediaMtx, || {
            let definition = Definition::Rtsp(rtsp::Settings::of_path(name));
            Ok(Arc::new(Pulled { inner: definition.producer(name, &self.kit)?, _seat: permit }))
        })
    }

    /// What a URL asks us for, if it leads to us.
    fn stream_at(&self, url: &str) -> Option<(String, Result<Option<Definition>>)> {
        let url = Url::parse(url).ok()?;
        if ![&self.advertise_rtsp, &self.advertise_http].iter().any(|base| leads_to(&url, base)) {
            return None;
        }
        let query =
            |wanted: &str| url.query_pairs().find(|(key, _)| key == wanted).map(|(_, value)| value.into_owned());
        let path = percent_decode_str(url.path()).decode_utf8().ok()?;
        let recipe = |default: Option<&str>| {
            let word = query("type").or(default.map(str::to_owned));
            word.map(|word| Definition::of_recipe(&word)).transpose()
        };
        if url.scheme() == "rtsp" {
            return Some((path.trim_matches('/').to_owned(), recipe(None)));
        }
        if path == "/mjpeg-get" {
            return Some((query("name")?, recipe(Some("file"))));
        }
        let name = path.strip_prefix("/stream/")?.strip_suffix(".mjpeg")?;
        Some((name.to_owned(), Ok(None)))
    }
}

/// Whether a URL leads to the server whose addresses begin with `base`.
fn leads_to(url: &Url, base: &str) -> bool {
    let Ok(base) = Url::parse(base) else { return false };
    let is_local = |host: &str| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| {
                // An address that can be bound is one of this machine.
                ip.is_loopback() || std::net::UdpSocket::bind((ip, 0)).is_ok()
            })
    };
    let port = |url: &Url| url.port_or_known_default().or((url.scheme() == "rtsp").then_some(554));
    let (Some(host), Some(of_base)) = (url.host_str(), base.host_str()) else { return false };
    url.scheme() == base.scheme()
        && port(url) == port(&base)
        && (host == of_base || (is_local(host) && is_local(of_base)))
}

/// The producer of a path that nobody has defined, with its share of `limits.pulled_paths`.
struct Pulled {
    inner: Arc<dyn Producer>,
    _seat: OwnedSemaphorePermit,
}

impl Producer for Pulled {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn mode(&self) -> Mode {
        self.inner.mode()
    }

    fn run(&self, run: Run) -> ProducerFuture {
        self.inner.run(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_addresses_are_recognised() {
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

    #[test]
    fn what_is_known_is_bounded() {
        let pulls = RelayedPaths::new(3);
        for n in 0..3 * MOST_KNOWN {
            pulls.known(&StreamName::parse(&format!("n{n}")).expect("a name"));
        }
        assert!(pulls.known.lock().len() <= MOST_KNOWN);
    }
}
