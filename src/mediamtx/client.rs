//! Requests to the control API and the playback server.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use actix_web::http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Duration, sleep},
};

use super::{MediaMtxSettings, SessionKind, breaker::Breaker};
use crate::{
    backoff::Backoff,
    error::{Code, Error, Result},
    hosts::{self, Hosts},
};

/// Requests that can wait for MediaMTX; further ones are refused.
const QUEUE: usize = 256;

/// Requests at a time.
const CONCURRENT: usize = 8;

/// Timeout of a request. MediaMTX's own timeouts are 10 s.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of an answer: a page of a thousand paths has about 700 KB.
const MAX_ANSWER: usize = 8 << 20;

/// Attempts for a request that changes nothing, and the pauses between them: 100 to 300 ms, so that requests that failed together
/// are not repeated together.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);
const RETRY: Backoff = Backoff::new(PAUSE, PAUSE).with_spread(2.0);

/// Characters that are encoded in a path name within a URL. MediaMTX takes slashes as they are.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// Items of a page, and most pages that are read.
const PAGE: usize = 1000;
const MAX_PAGES: usize = 100;

/// Gives the value of the `Authorization` header for each request, because tokens expire.
type Authorize = Box<dyn Fn() -> Option<String> + Send>;

/// A handle for requests to MediaMTX. Cheap to clone.
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

/// The HTTP servers of MediaMTX that the sidecar uses.
#[derive(Clone, Copy, Debug)]
enum Server {
    Api,
    Playback,
}

impl Server {
    fn setting(self) -> &'static str {
        match self {
            Server::Api => "mediamtx.api",
            Server::Playback => "mediamtx.playback",
        }
    }
}

/// The MediaMTX that answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Info {
    /// Such as `v1.20.1`.
    #[serde(default)]
    pub version: String,
    /// Time of its start; a new one after each restart.
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
    /// Its start (RFC 3339, with MediaMTX's offset from UTC).
    pub start: String,
}

/// A part of a recording without gaps.
#[derive(Clone, Debug, Deserialize)]
pub struct Playable {
    /// Its start (RFC 3339).
    pub start: String,
    /// Its length, in seconds.
    pub duration: f64,
}

/// The settings of a path, by MediaMTX's names.
pub type Fields = serde_json::Map<String, Value>;

/// A page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: DeserializeOwned")]
struct Page<T> {
    #[serde(default)]
    page_count: usize,
    items: Vec<T>,
}

impl Client {
    /// Starts the thread that makes the requests; it ends with the last handle. `authorize` gives the `Authorization` header if the
    /// settings have no user.
    pub fn start(
        settings: &MediaMtxSettings,
        hosts: &Hosts,
        authorize: impl Fn() -> Option<String> + Send + 'static,
    ) -> Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let bases = [&settings.api, &settings.playback].map(|base| base.trim_end_matches('/').to_owned());
        let basic = (!settings.user.is_empty()).then(|| {
            use base64::{Engine, engine::general_purpose::STANDARD};
            format!("Basic {}", STANDARD.encode(format!("{}:{}", settings.user, settings.pass.expose())))
        });
        let authorize: Authorize = match basic {
            Some(basic) => Box::new(move || Some(basic.clone())),
            None => Box::new(authorize),
        };
        hosts.spawn("mediamtx", TIMEOUT, move |client| serve(client, bases, authorize, queue))?;
        Ok(Client(jobs))
    }

    async fn get(&self, path: String) -> Result<(StatusCode, Vec<u8>)> {
        self.ask(Server::Api, Method::GET, path, None).await
    }

    async fn ask(
        &self,
        server: Server,
        method: Method,
        path: String,
        body: Option<String>,
    ) -> Result<(StatusCode, Vec<u8>)> {
        let (reply, answer) = oneshot::channel();
        let job = Job { server, method, path, body, reply };
        self.0.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => Error::new(Code::MediaMtxAway, "too many requests to MediaMTX are waiting"),
            TrySendError::Closed(_) => Error::new(Code::Internal, "the thread for requests to MediaMTX has ended"),
        })?;
        answer.await.map_err(|_| Error::new(Code::MediaMtxAway, "the request to MediaMTX was cancelled"))?
    }

    /// All items of a list. The list of a server that is switched off does not exist, and is empty here.
    pub(super) async fn list<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>> {
        let mut items = vec![];
        for page in 0..MAX_PAGES {
            let path = format!("/v3/{name}/list?itemsPerPage={PAGE}&page={page}");
            let (status, body) = self.get(path).await?;
            if status == StatusCode::NOT_FOUND {
                break;
            }
            if !status.is_success() {
                return Err(refused(status, &body));
            }
            let read: Page<T> = serde_json::from_slice(&body).map_err(not_understood)?;
            items.extend(read.items);
            if page + 1 >= read.page_count {
                break;
            }
        }
        Ok(items)
    }

    /// Version and start time.
    pub async fn info(&self) -> Result<Info> {
        self.object("/v3/info").await
    }

    /// The configured paths with all of their settings, defaults included.
    pub async fn configured_paths(&self) -> Result<Vec<Fields>> {
        self.list("config/paths").await
    }

    /// Adds a path; MediaMTX refuses a name that exists. **MediaMTX answers before the path is in effect** (internal/core/core.go).
    pub async fn add_path(&self, name: &str, fields: &Fields) -> Result<()> {
        self.write(Method::POST, "add", name, Some(fields)).await.map(drop)
    }

    /// Changes some settings of a path; false if the path does not exist.
    pub async fn patch_path(&self, name: &str, fields: &Fields) -> Result<bool> {
        self.write(Method::PATCH, "patch", name, Some(fields)).await
    }

    /// Replaces a path; settings that are not in `fields` get their default.
    pub async fn replace_path(&self, name: &str, fields: &Fields) -> Result<()> {
        self.write(Method::POST, "replace", name, Some(fields)).await.map(drop)
    }

    /// Removes a path; false if the path does not exist.
    pub async fn delete_path(&self, name: &str) -> Result<bool> {
        self.write(Method::DELETE, "delete", name, None).await
    }

    async fn write(&self, method: Method, verb: &str, name: &str, fields: Option<&Fields>) -> Result<bool> {
        let path = format!("/v3/config/paths/{verb}/{}", utf8_percent_encode(name, IN_PATH));
        let body = fields
            .map(serde_json::to_string)
            .transpose()
            .map_err(|e| Error::internal("settings cannot be written", e))?;
        let (status, body) = self.ask(Server::Api, method, path, body).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(refused(status, &body)),
        }
    }

    /// The defaults of all paths.
    pub async fn path_defaults(&self) -> Result<Fields> {
        self.object("/v3/config/pathdefaults/get").await
    }

    pub(super) async fn object<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let (status, body) = self.get(path.into()).await?;
        if !status.is_success() {
            return Err(refused(status, &body));
        }
        serde_json::from_slice(&body).map_err(not_understood)
    }

    /// The state of a path; none if the path does not exist.
    pub async fn path(&self, name: &str) -> Result<Option<Value>> {
        let path = format!("/v3/paths/get/{}", utf8_percent_encode(name, IN_PATH));
        let (status, body) = self.get(path).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => serde_json::from_slice(&body).map(Some).map_err(not_understood),
            status => Err(refused(status, &body)),
        }
    }

    /// The states of all paths.
    pub async fn paths(&self) -> Result<Vec<Value>> {
        self.list("paths").await
    }

    /// The recordings of all paths. MediaMTX reads its recording folders for each request.
    pub async fn recordings(&self) -> Result<Vec<Recorded>> {
        self.list("recordings").await
    }

    /// The recording of a path.
    pub async fn recordings_of(&self, path: &str) -> Result<Recorded> {
        let target = format!("/v3/recordings/get/{}", utf8_percent_encode(path, IN_PATH));
        let (status, body) = self.get(target).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(Recorded { name: path.to_owned(), segments: vec![] }),
            status if status.is_success() => serde_json::from_slice(&body).map_err(not_understood),
            status => Err(refused(status, &body)),
        }
    }

    /// Deletes one file of a recording. `start` must be the text of the list: MediaMTX makes the file name of its digits, so that the same
    /// time with another offset from UTC gives another name (internal/api/api_recordings.go).
    pub async fn delete_segment(&self, path: &str, start: &str) -> Result<()> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let target = format!("/v3/recordings/deletesegment?path={}&start={}", encode(path), encode(start));
        let (status, body) = self.ask(Server::Api, Method::DELETE, target, None).await?;
        if status.is_success() { Ok(()) } else { Err(refused(status, &body)) }
    }

    /// The playable parts of a path's recording between two times (RFC 3339); empty without a recording.
    pub async fn playable(&self, path: &str, from: Option<&str>, to: Option<&str>) -> Result<Vec<Playable>> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut target = format!("/list?path={}", encode(path));
        for (key, value) in [("start", from), ("end", to)] {
            if let Some(value) = value {
                target.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        let (status, body) = self.ask(Server::Playback, Method::GET, target, None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(vec![]),
            status if status.is_success() => serde_json::from_slice(&body).map_err(not_understood),
            // The recording folder does not exist before the first recording.
            StatusCode::BAD_REQUEST => Ok(vec![]),
            status => Err(refused(status, &body)),
        }
    }

    /// The ids of a user's sessions of one kind.
    pub async fn sessions_of(&self, kind: SessionKind, user: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Session {
            id: String,
            #[serde(default)]
            user: Option<String>,
        }
        let all: Vec<Session> = self.list(kind.word()).await?;
        Ok(all.into_iter().filter(|session| session.user.as_deref() == Some(user)).map(|session| session.id).collect())
    }

    /// Ends a session; false if the session does not exist.
    pub async fn kick(&self, kind: SessionKind, id: &str) -> Result<bool> {
        // MediaMTX's ids are UUIDs. Other text, with a slash for example, could lead to another URL of the API.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return Ok(false);
        }
        let path = format!("/v3/{}/kick/{id}", kind.word());
        let (status, body) = self.ask(Server::Api, Method::POST, path, None).await?;
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
    let answer = serde_json::from_slice::<Value>(body).ok();
    let reason = answer.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default();
    // 400 is about the content of the request. All other codes are about the connection: permissions, a wrong URL, a failure.
    let code = if status == StatusCode::BAD_REQUEST { Code::MediaMtxRefuses } else { Code::MediaMtxAway };
    Error::new(code, format!("MediaMTX refuses: {status} {reason}"))
}

async fn serve(client: awc::Client, bases: [String; 2], authorize: Authorize, mut queue: mpsc::Receiver<Job>) {
    let permits = Arc::new(Semaphore::new(CONCURRENT));
    // One for each server.
    let breakers: [Rc<RefCell<Breaker>>; 2] = Default::default();
    while let Some(job) = queue.recv().await {
        let (base, breaker) = (&bases[job.server as usize], breakers[job.server as usize].clone());
        if breaker.borrow().is_open() {
            // The receiver can be gone; so everywhere below.
            let _ = job
                .reply
                .send(Err(away(job.server, format!("the last attempts failed: {}", breaker.borrow().reason()))));
            continue;
        }
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let (client, url) = (client.clone(), format!("{base}{}", job.path));
        let authorization = authorize();
        actix_web::rt::spawn(async move {
            let _permit = permit;
            let mut attempts = if job.method == Method::GET { ATTEMPTS } else { 1 };
            let answer = loop {
                attempts -= 1;
                let mut request = client.request(job.method.clone(), &url);
                if let Some(value) = &authorization {
                    request = request.insert_header(("Authorization", value.as_str()));
                }
                let answer = send(request, job.body.clone()).await;
                breaker.borrow_mut().note(answer.as_ref().err().map(String::as_str));
                match answer {
                    Ok(answer) => break Ok(answer),
                    Err(reason) if attempts == 0 || breaker.borrow().is_open() => break Err(away(job.server, reason)),
                    Err(_) => {}
                }
                sleep(RETRY.pause_after(1)).await;
            };
            let _ = job.reply.send(answer);
        });
    }
}

fn away(server: Server, reason: String) -> Error {
    Error::new(Code::MediaMtxAway, format!("MediaMTX does not answer ({})", server.setting())).caused_by(reason)
}

async fn send(request: awc::ClientRequest, body: Option<String>) -> Result<(StatusCode, Vec<u8>), String> {
    let sent = match body {
        Some(body) => request.content_type("application/json").send_body(body),
        None => request.send(),
    };
    let mut response = sent.await.map_err(|e| hosts::explain(&e))?;
    let body = response.body().limit(MAX_ANSWER).await.map_err(|e| e.to_string())?;
    Ok((response.status(), body.to_vec()))
}
