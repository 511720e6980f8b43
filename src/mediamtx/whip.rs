//! Publishing to MediaMTX by WHIP (RFC 9725): requests only, no media. MediaMTX's side is in its internal/servers/webrtc.

use std::sync::Arc;

use actix_web::http::{Method, StatusCode, header};
use percent_encoding::utf8_percent_encode;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::Duration,
};

use super::{MediaMtxSettings, client::IN_PATH};
use crate::{
    error::{Code, Error, Result},
    hosts::{self, Hosts},
};

/// Timeout of a request. With STUN servers, MediaMTX gathers candidates for up to five seconds (`webrtcSTUNGatherTimeout`) before
/// it answers.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests that wait.
const QUEUE: usize = 64;

/// Most bytes of an answer.
const MAX_ANSWER: usize = 128 << 10;

/// Gives the value of the `Authorization` header for publishing to a path.
type Authorize = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A handle for publishing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Whip {
    base: String,
    jobs: mpsc::Sender<Job>,
}

/// A session at MediaMTX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhipSession {
    /// Its id in MediaMTX's lists; empty before MediaMTX 1.9.
    pub id: String,
    /// The answer.
    pub sdp: String,
    /// The URL of the session, which is a secret.
    url: String,
}

#[derive(Debug)]
struct Job {
    method: Method,
    url: String,
    /// The path whose token is shown; none for the URL of a session, which is a secret by itself.
    path: Option<String>,
    content_type: &'static str,
    body: String,
    reply: oneshot::Sender<Result<Answer, String>>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    location: String,
    id: String,
    body: String,
}

impl Whip {
    /// Starts the thread that makes the requests; it ends with the last handle. `authorize` gives the `Authorization` header for a
    /// path if the settings have no user.
    pub fn start(
        settings: &MediaMtxSettings,
        hosts: &Hosts,
        authorize: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self> {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let basic = settings.basic();
        let authorize: Authorize = match basic {
            Some(basic) => Box::new(move |_| Some(basic.clone())),
            None => Box::new(authorize),
        };
        let work = Arc::new((Mutex::new(waiting), authorize));
        hosts.spawn("whip", TIMEOUT, move |client| {
            let work = work.clone();
            async move {
                let (waiting, authorize) = &*work;
                let mut waiting: tokio::sync::MutexGuard<'_, mpsc::Receiver<Job>> = waiting.lock().await;
                while let Some(job) = waiting.recv().await {
                    let authorization = job.path.as_deref().and_then(authorize);
                    actix_web::rt::spawn(send(client.clone(), job, authorization));
                }
            }
        })?;
        Ok(Whip { base: settings.webrtc.trim_end_matches('/').to_owned(), jobs })
    }

    async fn ask(
        &self,
        method: Method,
        url: String,
        path: Option<&str>,
        content_type: &'static str,
        body: String,
    ) -> Result<Answer> {
        let (reply, answer) = oneshot::channel();
        let job = Job { method, url, path: path.map(str::to_owned), content_type, body, reply };
        let busy = || Error::new(Code::MediaMtxAway, "too many requests to MediaMTX are waiting");
        self.jobs.try_send(job).map_err(|_| busy())?;
        let answer =
            answer.await.map_err(|_| Error::new(Code::MediaMtxAway, "the request to MediaMTX was cancelled"))?;
        answer.map_err(|e| Error::new(Code::MediaMtxAway, "MediaMTX does not answer (mediamtx.webrtc)").caused_by(e))
    }

    /// Publishes an offer to a path. The session begins when both sides have connected.
    pub async fn publish(&self, path: &str, offer: &str) -> Result<WhipSession> {
        let url = format!("{}/{}/whip", self.base, utf8_percent_encode(path, IN_PATH));
        let answer = self.ask(Method::POST, url.clone(), Some(path), "application/sdp", offer.to_owned()).await?;
        if answer.status != StatusCode::CREATED {
            return Err(refused(&answer));
        }
        let base = url::Url::parse(&url).map_err(|e| Error::internal("mediamtx.webrtc is no URL", e))?;
        let at = base.join(&answer.location).map_err(|_| {
            Error::new(Code::MediaMtxAway, "MediaMTX's answer is not understood: it has no Location header")
        })?;
        // The offer and the end of the session go to MediaMTX, and nowhere else.
        if at.origin() != base.origin() {
            return Err(Error::new(Code::MediaMtxAway, "MediaMTX's answer has a Location at another host"));
        }
        Ok(WhipSession { id: answer.id, sdp: answer.body, url: at.into() })
    }

    /// Adds candidates to a session, as a fragment of SDP (RFC 8840) in which each mid is a number.
    pub async fn trickle(&self, session: &WhipSession, fragment: String) -> Result<()> {
        let kind = "application/trickle-ice-sdpfrag";
        let answer = self.ask(Method::PATCH, session.url.clone(), None, kind, fragment).await?;
        if answer.status.is_success() { Ok(()) } else { Err(refused(&answer)) }
    }

    /// Ends a session. One that MediaMTX has ended itself is no error.
    pub async fn end(&self, session: &WhipSession) -> Result<()> {
        let answer = self.ask(Method::DELETE, session.url.clone(), None, "application/sdp", String::new()).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            status if status.is_success() => Ok(()),
            _ => Err(refused(&answer)),
        }
    }
}

fn refused(answer: &Answer) -> Error {
    let body = serde_json::from_str::<serde_json::Value>(&answer.body).ok();
    let reason = body.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default();
    Error::new(Code::MediaMtxRefuses, format!("MediaMTX refuses: {} {reason}", answer.status))
}

async fn send(client: awc::Client, job: Job, authorization: Option<String>) {
    let Job { method, url, content_type, body, reply, .. } = job;
    let mut request = client.request(method.clone(), &url).content_type(content_type);
    if let Some(value) = authorization {
        request = request.insert_header((header::AUTHORIZATION, value));
    }
    let answering = async {
        let mut response = request.send_body(body).await.map_err(|e| hosts::explain(&e))?;
        let text = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (location, id) = (text("location"), text("id"));
        let data = response.body().limit(MAX_ANSWER).await.map_err(|e| e.to_string())?;
        let body = String::from_utf8_lossy(&data).into_owned();
        Ok(Answer { status: response.status(), location, id, body })
    };
    let Err(Ok(unclaimed)) = reply.send(answering.await) else { return };
    // The caller is gone, and nothing else would end the session that was begun for it.
    let session = url::Url::parse(&url).and_then(|base| base.join(&unclaimed.location));
    if let (StatusCode::CREATED, Ok(session)) = (unclaimed.status, session)
        && let Err(e) = client.delete(session.as_str()).send().await
    {
        tracing::debug!("a session at MediaMTX was not ended: {}", hosts::explain(&e));
    }
}
