//! Requests to the control API.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use actix_web::http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Duration, sleep},
};

use super::{MediaMtxSettings, SessionKind, breaker::Breaker};
use crate::error::{Code, Error, Result};

/// Requests that may wait for MediaMTX; more are refused.
const WAITING: usize = 256;

/// Requests at a time.
const AT_A_TIME: usize = 8;

/// How long one may take. MediaMTX's own timeouts are 10 s.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of an answer: a page of a thousand paths has some 700 KB.
const MAX_ANSWER: usize = 8 << 20;

/// Tries of a request that changes nothing.
const TRIES: u32 = 3;

/// What is encoded in the name of a path: slashes may stand as they are.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// Items of a page, and pages that are read at most.
const PAGE: usize = 1000;
const MAX_PAGES: usize = 100;

/// Gives the value of an `Authorization` header; asked anew for each request, because tokens end.
type Authorize = Box<dyn Fn() -> Option<String> + Send>;

/// A handle on the control API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(mpsc::Sender<Job>);

#[derive(Debug)]
struct Job {
    server: Server,
    method: Method,
    path: String,
    body: Option<String>,
    reply: oneshot::Sender<Result<(StatusCode, Vec<u8>)>>,
}

/// MediaMTX's HTTP servers that are asked.
#[derive(Clone, Copy, Debug)]
enum Server {
    Api,
    Playback,
}

/// Which MediaMTX it is, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Info {
    /// Such as `v1.20.1`.
    #[serde(default)]
    pub version: String,
    /// When it was started; another one after every restart.
    #[serde(default)]
    pub started: String,
}

/// The files of a path's recording.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// The path.
    pub name: String,
    /// The files.
    #[serde(default)]
    pub segments: Vec<Segment>,
}

/// A file of a recording.
#[derive(Clone, Debug, Deserialize)]
pub struct Segment {
    /// When it begins (RFC 3339, in MediaMTX's own offset).
    pub start: String,
}

/// Something that can be played in one piece.
#[derive(Clone, Debug, Deserialize)]
pub struct Playable {
    /// When it begins (RFC 3339).
    pub start: String,
    /// How long it is, in seconds.
    pub duration: f64,
}

/// The settings of a path, by MediaMTX's names.
pub type Fields = serde_json::Map<String, Value>;

/// A page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    page_count: usize,
    items: Vec<Value>,
}

impl Client {
    /// Starts the thread that makes requests; it ends with the last handle.
    pub fn start(settings: &MediaMtxSettings, authorize: impl Fn() -> Option<String> + Send + 'static) -> Self {
        let (jobs, todo) = mpsc::channel(WAITING);
        let bases = [&settings.api, &settings.playback].map(|base| base.trim_end_matches('/').to_owned());
        let basic = (!settings.user.is_empty()).then(|| {
            use base64::{Engine, engine::general_purpose::STANDARD};
            format!("Basic {}", STANDARD.encode(format!("{}:{}", settings.user, settings.pass.expose())))
        });
        let authorize: Authorize = match basic {
            Some(basic) => Box::new(move || Some(basic.clone())),
            None => Box::new(authorize),
        };
        let thread = std::thread::Builder::new().name("mediamtx".into());
        let started = thread.spawn(move || {
            actix_web::rt::System::new().block_on(serve(bases, authorize, todo));
        });
        if let Err(e) = started {
            tracing::error!("MediaMTX cannot be asked anything, the thread for it cannot be started: {e}");
        }
        Client(jobs)
    }

    async fn ask(&self, method: Method, path: String) -> Result<(StatusCode, Vec<u8>)> {
        self.ask_of(Server::Api, method, path, None).await
    }

    async fn ask_of(
        &self,
        server: Server,
        method: Method,
        path: String,
        body: Option<String>,
    ) -> Result<(StatusCode, Vec<u8>)> {
        let (reply, answer) = oneshot::channel();
        let job = Job { server, method, path, body, reply };
        let busy = || Error::new(Code::MediaMtxAway, "too many requests to MediaMTX wait already");
        self.0.try_send(job).map_err(|_| busy())?;
        answer.await.map_err(|_| Error::new(Code::MediaMtxAway, "the request to MediaMTX was cut off"))?
    }

    /// A whole list; an empty one if MediaMTX has no such list, as for a server that is switched off.
    pub(super) async fn list(&self, what: &str) -> Result<Vec<Value>> {
        let mut items = vec![];
        for page in 0..MAX_PAGES {
            let path = format!("/v3/{what}/list?itemsPerPage={PAGE}&page={page}");
            let (status, body) = self.ask(Method::GET, path).await?;
            if status == StatusCode::NOT_FOUND {
                break;
            }
            if !status.is_success() {
                return Err(refused(status, &body));
            }
            let read: Page = serde_json::from_slice(&body).map_err(not_understood)?;
            items.extend(read.items);
            if page + 1 >= read.page_count {
                break;
            }
        }
        Ok(items)
    }

    /// Which MediaMTX answers.
    pub async fn info(&self) -> Result<Info> {
        let (status, body) = self.ask(Method::GET, "/v3/info".into()).await?;
        if !status.is_success() {
            return Err(refused(status, &body));
        }
        serde_json::from_slice(&body).map_err(not_understood)
    }

    /// The configured paths with all of their settings, defaults merged in.
    pub async fn configured_paths(&self) -> Result<Vec<Fields>> {
        let all = self.list("config/paths").await?.into_iter();
        Ok(all
            .filter_map(|path| match path {
                Value::Object(fields) => Some(fields),
                _ => None,
            })
            .collect())
    }

    /// Adds a path; one that is there already is a refusal. **Answered before it is in effect** (internal/core/core.go).
    pub async fn add_path(&self, name: &str, fields: &Fields) -> Result<()> {
        self.write(Method::POST, "add", name, Some(fields)).await.map(drop)
    }

    /// Changes some settings of a path; says whether there is one.
    pub async fn patch_path(&self, name: &str, fields: &Fields) -> Result<bool> {
        self.write(Method::PATCH, "patch", name, Some(fields)).await
    }

    /// Puts a path in place of the one there is; whatever is not said is at its default.
    pub async fn replace_path(&self, name: &str, fields: &Fields) -> Result<()> {
        self.write(Method::POST, "replace", name, Some(fields)).await.map(drop)
    }

    /// Removes a path; says whether there was one.
    pub async fn delete_path(&self, name: &str) -> Result<bool> {
        self.write(Method::DELETE, "delete", name, None).await
    }

    async fn write(&self, method: Method, verb: &str, name: &str, fields: Option<&Fields>) -> Result<bool> {
        let path = format!("/v3/config/paths/{verb}/{}", utf8_percent_encode(name, IN_PATH));
        let body = fields
            .map(serde_json::to_string)
            .transpose()
            .map_err(|e| Error::internal("settings cannot be written", e))?;
        let (status, body) = self.ask_of(Server::Api, method, path, body).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(refused(status, &body)),
        }
    }

    /// The defaults of paths.
    pub async fn path_defaults(&self) -> Result<Fields> {
        self.object("/v3/config/pathdefaults/get").await
    }

    pub(super) async fn object(&self, path: &str) -> Result<Fields> {
        let (status, body) = self.ask(Method::GET, path.into()).await?;
        if !status.is_success() {
            return Err(refused(status, &body));
        }
        serde_json::from_slice(&body).map_err(not_understood)
    }

    /// A path that is there, as MediaMTX describes it.
    pub async fn path(&self, name: &str) -> Result<Option<Value>> {
        let path = format!("/v3/paths/get/{}", utf8_percent_encode(name, IN_PATH));
        let (status, body) = self.ask(Method::GET, path).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => serde_json::from_slice(&body).map(Some).map_err(not_understood),
            status => Err(refused(status, &body)),
        }
    }

    /// The paths there are, as MediaMTX describes them.
    pub async fn paths(&self) -> Result<Vec<Value>> {
        self.list("paths").await
    }

    /// Recordings: paths with the starts of their files, as MediaMTX writes them. It walks the disk for each question.
    pub async fn recordings(&self) -> Result<Vec<Recorded>> {
        let all = self.list("recordings").await?.into_iter();
        Ok(all.filter_map(|path| serde_json::from_value(path).ok()).collect())
    }

    /// Recordings of a path.
    pub async fn recordings_of(&self, path: &str) -> Result<Recorded> {
        let target = format!("/v3/recordings/get/{}", utf8_percent_encode(path, IN_PATH));
        let (status, body) = self.ask(Method::GET, target).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(Recorded { name: path.to_owned(), segments: vec![] }),
            status if status.is_success() => serde_json::from_slice(&body).map_err(not_understood),
            status => Err(refused(status, &body)),
        }
    }

    /// Deletes one file of a recording. `start` exactly as it was listed: MediaMTX makes the file's name of its digits, and
    /// the same moment written in another offset is another name (internal/api/api_recordings.go).
    pub async fn delete_segment(&self, path: &str, start: &str) -> Result<()> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let target = format!("/v3/recordings/deletesegment?path={}&start={}", encode(path), encode(start));
        let (status, body) = self.ask(Method::DELETE, target).await?;
        if status.is_success() { Ok(()) } else { Err(refused(status, &body)) }
    }

    /// What can be played of a path, between two times (RFC 3339); empty if nothing was recorded.
    pub async fn playable(&self, path: &str, from: Option<&str>, to: Option<&str>) -> Result<Vec<Playable>> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut target = format!("/list?path={}", encode(path));
        for (key, value) in [("start", from), ("end", to)] {
            if let Some(value) = value {
                target.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        let (status, body) = self.ask_of(Server::Playback, Method::GET, target, None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(vec![]),
            status if status.is_success() => serde_json::from_slice(&body).map_err(not_understood),
            // The folder is missing as long as nothing was recorded.
            StatusCode::BAD_REQUEST => Ok(vec![]),
            status => Err(refused(status, &body)),
        }
    }

    /// The ids of a user's sessions of that kind.
    pub async fn sessions_of(&self, kind: SessionKind, user: &str) -> Result<Vec<String>> {
        let all = self.list(kind.0).await?;
        let theirs = all.iter().filter(|session| session["user"].as_str() == Some(user));
        Ok(theirs.filter_map(|session| session["id"].as_str()).map(Into::into).collect())
    }

    /// Ends a session; says whether there was one.
    pub async fn kick(&self, kind: SessionKind, id: &str) -> Result<bool> {
        // Ids are UUIDs of MediaMTX's own; anything else would be a path of somebody's choice.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return Ok(false);
        }
        let (status, body) = self.ask(Method::POST, format!("/v3/{}/kick/{id}", kind.0)).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(refused(status, &body)),
        }
    }
}

fn not_understood(e: serde_json::Error) -> Error {
    Error::new(Code::MediaMtxAway, "MediaMTX's answer is not understood").caused_by(e)
}

fn refused(status: StatusCode, body: &[u8]) -> Error {
    let words = serde_json::from_slice::<Value>(body).ok();
    let words = words.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default();
    // 400 is about what was asked; everything else is about the two of us.
    let code = if status == StatusCode::BAD_REQUEST { Code::MediaMtxRefuses } else { Code::MediaMtxAway };
    Error::new(code, format!("MediaMTX refuses: {status} {words}"))
}

async fn serve(bases: [String; 2], authorize: Authorize, mut todo: mpsc::Receiver<Job>) {
    let client = awc::Client::builder().timeout(TIMEOUT).disable_redirects().finish();
    let turns = Arc::new(Semaphore::new(AT_A_TIME));
    // One for each server.
    let breakers: [Rc<RefCell<Breaker>>; 2] = Default::default();
    while let Some(job) = todo.recv().await {
        let (base, breaker) = (&bases[job.server as usize], breakers[job.server as usize].clone());
        if breaker.borrow().is_open() {
            let _ = job.reply.send(Err(away("it did not a moment ago".into())));
            continue;
        }
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        let (client, url) = (client.clone(), format!("{base}{}", job.path));
        let authorization = authorize();
        actix_web::rt::spawn(async move {
            let _turn = turn;
            let mut tries = if job.method == Method::GET { TRIES } else { 1 };
            let answer = loop {
                tries -= 1;
                let mut request = client.request(job.method.clone(), &url);
                if let Some(value) = &authorization {
                    request = request.insert_header(("Authorization", value.as_str()));
                }
                let answer = answer(request, job.body.clone()).await;
                breaker.borrow_mut().note(answer.is_ok());
                if answer.is_ok() || tries == 0 || breaker.borrow().is_open() {
                    break answer;
                }
                // Not all at the same moment again.
                let jitter = getrandom::u32().unwrap_or_default() % 200;
                sleep(Duration::from_millis(u64::from(100 + jitter))).await;
            };
            // Whoever asked may be gone; then nobody needs the answer.
            let _ = job.reply.send(answer);
        });
    }
}

fn away(why: String) -> Error {
    Error::new(Code::MediaMtxAway, "MediaMTX's control API does not answer (mediamtx.api)").caused_by(why)
}

async fn answer(request: awc::ClientRequest, body: Option<String>) -> Result<(StatusCode, Vec<u8>)> {
    let sent = match body {
        Some(body) => request.content_type("application/json").send_body(body),
        None => request.send(),
    };
    let mut response = sent.await.map_err(|e| away(e.to_string()))?;
    let body = response.body().limit(MAX_ANSWER).await.map_err(|e| away(e.to_string()))?;
    Ok((response.status(), body.to_vec()))
}
