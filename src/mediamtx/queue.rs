//! The requests that wait for MediaMTX: equal questions are asked once, the number of waiting ones is bounded, and those of
//! the program and its administrators do not wait behind those of other callers.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use actix_web::http::{Method, StatusCode};
use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::Mutex;
use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Duration, sleep},
};

use super::breaker::Breaker;
use crate::{
    backoff::Backoff,
    error::{Code, Error, Result},
    hosts,
};

/// Requests of one lane that can wait for MediaMTX; further ones are refused.
const QUEUE: usize = 256;

/// Requests at a time, by lane.
const OURS_AT_ONCE: usize = 8;
const CALLERS_AT_ONCE: usize = 4;

/// Most bytes of an answer: a page of a thousand paths has about 700 KB.
const MAX_ANSWER: usize = 8 << 20;

/// Questions that are remembered because they may be in flight: both queues, and those that were sent.
const MAX_FLIGHTS: usize = 2 * QUEUE + OURS_AT_ONCE + CALLERS_AT_ONCE;

/// Attempts for a request that changes nothing, and the pauses between them: 100 to 300 ms, so that requests that failed together
/// are not repeated together.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);
const RETRY: Backoff = Backoff::new(PAUSE, PAUSE).with_spread(2.0);

/// Gives the value of the `Authorization` header for each request, because tokens expire.
pub(super) type Authorize = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// Status and body.
pub(super) type Answer = (StatusCode, Bytes);

/// The HTTP servers of MediaMTX that the sidecar uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Server {
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

/// The requests that wait together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    /// Those of the program itself and of administrators.
    Ours,
    /// Those that other callers cause.
    Callers,
}

/// Why there is no answer. The callers of one question share it.
#[derive(Clone, Debug)]
struct Failure {
    code: Code,
    message: String,
    cause: Option<String>,
}

impl Failure {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Failure { code, message: message.into(), cause: None }
    }

    fn into_error(self) -> Error {
        let error = Error::new(self.code, self.message);
        match self.cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }
}

#[derive(Debug)]
struct Job {
    server: Server,
    method: Method,
    path: String,
    body: Option<String>,
    reply: oneshot::Sender<Result<Answer, Failure>>,
}

type Question = (Lane, Server, String);
type Asked = BoxFuture<'static, Result<Answer, Failure>>;

/// The questions in flight. Weak: a question that no caller waits for any longer is given up.
type Flights = Arc<Mutex<HashMap<Question, WeakShared<Asked>>>>;

/// A handle for requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Queue {
    lane: Lane,
    ours: mpsc::Sender<Job>,
    callers: mpsc::Sender<Job>,
    flights: Flights,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue({:?})", self.lane)
    }
}

/// The other end of a [`Queue`].
pub(super) struct Waiting {
    ours: tokio::sync::Mutex<mpsc::Receiver<Job>>,
    callers: tokio::sync::Mutex<mpsc::Receiver<Job>>,
}

impl Queue {
    pub(super) fn new() -> (Self, Waiting) {
        let ((ours, of_ours), (callers, of_callers)) = (mpsc::channel(QUEUE), mpsc::channel(QUEUE));
        let waiting = Waiting { ours: tokio::sync::Mutex::new(of_ours), callers: tokio::sync::Mutex::new(of_callers) };
        (Queue { lane: Lane::Ours, ours, callers, flights: Flights::default() }, waiting)
    }

    /// The handle for requests that callers without administrative permission cause.
    pub(super) fn for_callers(&self) -> Self {
        Queue { lane: Lane::Callers, ..self.clone() }
    }

    /// Asks a question. Callers that ask the same while it is in flight share one request and its answer.
    pub(super) async fn get(&self, server: Server, path: String) -> Result<Answer> {
        let question = (self.lane, server, path);
        let asked = self.question(question).map_err(Failure::into_error)?;
        asked.await.map_err(Failure::into_error)
    }

    fn question(&self, question: Question) -> Result<Shared<Asked>, Failure> {
        let mut flights = self.flights.lock();
        let present = flights.get(&question).and_then(WeakShared::upgrade);
        // One that is answered already could be older than the caller's request.
        if let Some(present) = present.filter(|asked| asked.peek().is_none()) {
            return Ok(present);
        }
        let (_, server, path) = &question;
        let answer = self.send(*server, Method::GET, path.clone(), None)?;
        let asked = answer.boxed().shared();
        if flights.len() >= MAX_FLIGHTS {
            flights.retain(|_, asked| asked.upgrade().is_some_and(|asked| asked.peek().is_none()));
        }
        if let Some(weak) = asked.downgrade() {
            flights.insert(question, weak);
        }
        Ok(asked)
    }

    /// Makes a change. A question that is asked after it does not get an answer from before it.
    pub(super) async fn change(
        &self,
        server: Server,
        method: Method,
        path: String,
        body: Option<String>,
    ) -> Result<Answer> {
        let sent = self.send(server, method, path, body).map_err(Failure::into_error)?;
        let answer = sent.await;
        self.flights.lock().clear();
        answer.map_err(Failure::into_error)
    }

    fn send(
        &self,
        server: Server,
        method: Method,
        path: String,
        body: Option<String>,
    ) -> Result<impl Future<Output = Result<Answer, Failure>> + Send + use<>, Failure> {
        let (reply, answer) = oneshot::channel();
        let job = Job { server, method, path, body, reply };
        let queue = if self.lane == Lane::Ours { &self.ours } else { &self.callers };
        queue.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => Failure::new(Code::MediaMtxAway, "too many requests to MediaMTX are waiting"),
            TrySendError::Closed(_) => Failure::new(Code::Internal, "the thread for requests to MediaMTX has ended"),
        })?;
        let cancelled = |_| Failure::new(Code::MediaMtxAway, "the request to MediaMTX was cancelled");
        Ok(async move { answer.await.map_err(cancelled).flatten() })
    }
}

impl Waiting {
    /// Sends the waiting requests until the last handle is gone. Can be called again after a panic: the requests still wait.
    pub(super) async fn serve(&self, client: &awc::Client, bases: &[String; 2], authorize: &Authorize) {
        // One for each server and lane: slow answers to callers stop no request of ours.
        let [breakers, of_callers]: [[Rc<RefCell<Breaker>>; 2]; 2] = Default::default();
        tokio::join!(
            serve(&self.ours, OURS_AT_ONCE, client, bases, &breakers, authorize),
            serve(&self.callers, CALLERS_AT_ONCE, client, bases, &of_callers, authorize),
        );
    }
}

async fn serve(
    queue: &tokio::sync::Mutex<mpsc::Receiver<Job>>,
    at_once: usize,
    client: &awc::Client,
    bases: &[String; 2],
    breakers: &[Rc<RefCell<Breaker>>; 2],
    authorize: &Authorize,
) {
    let mut queue = queue.lock().await;
    let permits = Arc::new(Semaphore::new(at_once));
    while let Some(job) = queue.recv().await {
        // No caller waits for it any longer. A change is made all the same.
        if job.reply.is_closed() && job.method == Method::GET {
            continue;
        }
        let [of_api, of_playback] = [0, 1].map(|i| (&bases[i], &breakers[i]));
        let (base, breaker) = if job.server == Server::Api { of_api } else { of_playback };
        let breaker = breaker.clone();
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
            let Job { server, method, body, mut reply, .. } = job;
            let is_question = method == Method::GET;
            let mut attempts = if is_question { ATTEMPTS } else { 1 };
            let answering = async {
                loop {
                    attempts -= 1;
                    let mut request = client.request(method.clone(), &url);
                    if let Some(value) = &authorization {
                        request = request.insert_header(("Authorization", value.as_str()));
                    }
                    let answer = send(request, body.clone()).await;
                    breaker.borrow_mut().note(answer.as_ref().err().map(String::as_str));
                    match answer {
                        Ok(answer) => break Ok(answer),
                        Err(reason) if attempts == 0 || breaker.borrow().is_open() => break Err(away(server, reason)),
                        Err(_) => {}
                    }
                    sleep(RETRY.pause_after(1)).await;
                }
            };
            let answer = tokio::select! {
                answer = answering => answer,
                // No caller waits for it any longer.
                () = reply.closed(), if is_question => return,
            };
            let _ = reply.send(answer);
        });
    }
}

fn away(server: Server, reason: String) -> Failure {
    let message = format!("MediaMTX does not answer ({})", server.setting());
    Failure { cause: Some(reason), ..Failure::new(Code::MediaMtxAway, message) }
}

async fn send(request: awc::ClientRequest, body: Option<String>) -> Result<Answer, String> {
    let sent = match body {
        Some(body) => request.content_type("application/json").send_body(body),
        None => request.send(),
    };
    let mut response = sent.await.map_err(|e| hosts::explain(&e))?;
    let body = response.body().limit(MAX_ANSWER).await.map_err(|e| e.to_string())?;
    Ok((response.status(), body))
}
