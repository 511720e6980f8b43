//! Requests to the control API and the playback server.

use std::sync::Arc;

use actix_web::http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::Duration;

use super::{
    MediaMtxSettings, Servers, SessionKind,
    queue::{Answer, Authorize, Queue, Server},
};
use crate::{
    error::{Code, Error, Result},
    hosts::Hosts,
};

/// Timeout of a request. MediaMTX's own timeouts are 10 s.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Characters that are encoded in a path name within a URL. MediaMTX takes slashes as they are.
pub(super) const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// Items of a page, and most pages that are read.
const PAGE: usize = 1000;
const MAX_PAGES: usize = 100;

/// A handle for requests to MediaMTX. Cheap to clone.
///
/// Equal questions at the same time are one request, whose answer their callers share.
#[derive(Clone, Debug)]
pub struct Client(Queue);

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
        authorize: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self> {
        let (queue, waiting) = Queue::new();
        let bases = [&settings.api, &settings.playback].map(|base| base.trim_end_matches('/').to_owned());
        let basic = settings.basic();
        let authorize: Authorize = match basic {
            Some(basic) => Box::new(move || Some(basic.clone())),
            None => Box::new(authorize),
        };
        let work = Arc::new((waiting, bases, authorize));
        hosts.spawn("mediamtx", TIMEOUT, move |client| {
            let work = work.clone();
            async move {
                let (waiting, bases, authorize) = &*work;
                waiting.serve(&client, bases, authorize).await;
            }
        })?;
        Ok(Client(queue))
    }

    /// The handle for requests that callers without administrative permission cause: the program's own requests and those
    /// of administrators do not wait behind them.
    pub fn for_callers(&self) -> Client {
        Client(self.0.for_callers())
    }

    async fn get(&self, path: String) -> Result<Answer> {
        self.0.get(Server::Api, path).await
    }

    async fn change(&self, method: Method, path: String, body: Option<String>) -> Result<Answer> {
        self.0.change(Server::Api, method, path, body).await
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
        let (status, body) = self.change(method, path, body).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(refused(status, &body)),
        }
    }

    /// The servers that clients use, as MediaMTX is configured.
    pub async fn servers(&self) -> Result<Servers> {
        Ok(Servers::of(&self.object("/v3/config/global/get").await?))
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

    /// Whether a path is available; none if it does not exist, or MediaMTX does not answer.
    pub async fn is_live(&self, name: &str) -> Option<bool> {
        let path = self.path(name).await.unwrap_or_else(|e| {
            tracing::debug!(path = name, "{}", e.chain());
            None
        })?;
        Some(path["available"] == true)
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
        let (status, body) = self.change(Method::DELETE, target, None).await?;
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
        let (status, body) = self.0.get(Server::Playback, target).await?;
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
        let (status, body) = self.change(Method::POST, path, None).await?;
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
