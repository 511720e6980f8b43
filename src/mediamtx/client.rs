//! Requests to the control API.

use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{MediaMtxSettings, SessionKind};
use crate::error::{Code, Error, Result};

/// Requests that may wait for MediaMTX; more are refused.
const WAITING: usize = 256;

/// Requests at a time.
const AT_A_TIME: usize = 8;

/// How long one may take. MediaMTX's own timeouts are 10 s.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of an answer: a page of a thousand paths has some 700 KB.
const MAX_ANSWER: usize = 8 << 20;

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
    method: Method,
    path: String,
    reply: oneshot::Sender<Result<(StatusCode, Vec<u8>)>>,
}

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
        let base = settings.api.trim_end_matches('/').to_owned();
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
            actix_web::rt::System::new().block_on(serve(base, authorize, todo));
        });
        if let Err(e) = started {
            tracing::error!("MediaMTX cannot be asked anything, the thread for it cannot be started: {e}");
        }
        Client(jobs)
    }

    async fn ask(&self, method: Method, path: String) -> Result<(StatusCode, Vec<u8>)> {
        let (reply, answer) = oneshot::channel();
        let job = Job { method, path, reply };
        let busy = || Error::new(Code::MediaMtxAway, "too many requests to MediaMTX wait already");
        self.0.try_send(job).map_err(|_| busy())?;
        answer.await.map_err(|_| Error::new(Code::MediaMtxAway, "the request to MediaMTX was cut off"))?
    }

    /// A whole list; an empty one if MediaMTX has no such list, as for a server that is switched off.
    async fn list(&self, what: &str) -> Result<Vec<Value>> {
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
            let read: Page = serde_json::from_slice(&body)
                .map_err(|e| Error::new(Code::MediaMtxAway, "MediaMTX's answer is not understood").caused_by(e))?;
            items.extend(read.items);
            if page + 1 >= read.page_count {
                break;
            }
        }
        Ok(items)
    }

    /// The paths there are, as MediaMTX describes them.
    pub async fn paths(&self) -> Result<Vec<Value>> {
        self.list("paths").await
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

fn refused(status: StatusCode, body: &[u8]) -> Error {
    let words = serde_json::from_slice::<Value>(body).ok();
    let words = words.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default();
    Error::new(Code::MediaMtxAway, format!("MediaMTX refuses: {status} {words}"))
}

async fn serve(base: String, authorize: Authorize, mut todo: mpsc::Receiver<Job>) {
    let client = awc::Client::builder().timeout(TIMEOUT).disable_redirects().finish();
    let turns = std::sync::Arc::new(tokio::sync::Semaphore::new(AT_A_TIME));
    while let Some(job) = todo.recv().await {
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        let mut request = client.request(job.method, format!("{base}{}", job.path));
        if let Some(value) = authorize() {
            request = request.insert_header(("Authorization", value));
        }
        actix_web::rt::spawn(async move {
            let _turn = turn;
            // Whoever asked may be gone; then nobody needs the answer.
            let _ = job.reply.send(answer(request).await);
        });
    }
}

async fn answer(request: awc::ClientRequest) -> Result<(StatusCode, Vec<u8>)> {
    let away = |e: String| {
        Error::new(Code::MediaMtxAway, "MediaMTX's control API does not answer (mediamtx.api)").caused_by(e)
    };
    let mut response = request.send().await.map_err(|e| away(e.to_string()))?;
    let body = response.body().limit(MAX_ANSWER).await.map_err(|e| away(e.to_string()))?;
    Ok((response.status(), body.to_vec()))
}
