//! Traces (OpenTelemetry): spans from MediaMTX's question to the first picture of a producer, and of HTTP requests, sent to a
//! collector by OTLP over HTTP, as JSON (opentelemetry.io/docs/specs/otlp).
//!
//! MediaMTX carries no context from its question to its RTSP request. So a question or a request leaves its context under the
//! stream's name for some seconds, and what follows for that stream takes it as its parent.
//!
//! Without `traces.endpoint` nothing is recorded. Spans wait in a bounded queue, and are dropped when the collector is slower.

mod context;
mod export;
mod settings;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use lru::LruCache;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};

pub use self::{context::Context, settings::TraceSettings};
use crate::{error::Result, hosts::Hosts};

/// Spans that wait for the collector.
const MAX_WAITING: usize = 4096;

/// Streams whose cause is remembered.
const MAX_CAUSES: usize = 1000;

/// How long a question or a request counts as the cause of what happens to its stream: MediaMTX connects within a second of
/// its question.
const CAUSE_LIFETIME: Duration = Duration::from_secs(15);

/// Most attributes of a span, and most characters of a value.
const MAX_ATTRIBUTES: usize = 16;
const MAX_VALUE: usize = 200;

/// Makes spans. Cheap to clone; without a collector it does nothing.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Inner>>);

struct Inner {
    ratio: f64,
    queue: mpsc::Sender<Value>,
    dropped: AtomicU64,
    causes: Mutex<LruCache<Arc<str>, (Context, Instant)>>,
}

tokio::task_local! {
    /// The span in which a request is answered.
    static CURRENT: Context;
}

/// What a span is of, in OpenTelemetry's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work of this program.
    Internal = 1,
    /// A request that is answered here.
    Server = 2,
}

impl Traces {
    /// Starts the exporter, if there is a collector.
    pub fn start(settings: &TraceSettings, hosts: &Hosts) -> Result<Self> {
        if settings.endpoint.is_empty() {
            return Ok(Traces::default());
        }
        let (queue, receiver) = mpsc::channel(MAX_WAITING);
        export::start(settings, hosts, receiver)?;
        Ok(Traces::with(settings.ratio, queue))
    }

    fn with(ratio: f64, queue: mpsc::Sender<Value>) -> Self {
        let room = NonZeroUsize::new(MAX_CAUSES).unwrap_or(NonZeroUsize::MIN);
        let causes = Mutex::new(LruCache::new(room));
        Traces(Some(Arc::new(Inner { ratio, queue, dropped: AtomicU64::new(0), causes })))
    }

    /// Spans that were dropped, because the collector is slower than they arise.
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.dropped.load(Ordering::Relaxed))
    }

    /// Whether there is a collector.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span. Without a parent it begins a trace, which is recorded by chance (`traces.ratio`).
    pub fn begin(&self, name: &str, kind: Kind, parent: Option<Context>) -> Span {
        let Some(inner) = &self.0 else { return Span(None) };
        let context = match parent {
            Some(parent) => parent.child(),
            None => Context::root(inner.ratio),
        };
        let Some(context) = context else { return Span(None) };
        Span(Some(Box::new(Open {
            inner: inner.clone(),
            context,
            parent: parent.map(|parent| parent.span),
            name: name.to_owned(),
            kind,
            began: SystemTime::now(),
            attributes: vec![],
            failure: None,
        })))
    }

    /// Notes the span as the cause of what happens to this stream next.
    pub fn cause(&self, stream: &str, span: &Span) {
        if let (Some(inner), Some(context)) = (&self.0, span.context()) {
            inner.causes.lock().put(stream.into(), (context, Instant::now()));
        }
    }

    /// Notes the request that is being answered as the cause.
    pub fn cause_by_request(&self, stream: &str) {
        if let (Some(inner), Some(context)) = (&self.0, current()) {
            inner.causes.lock().put(stream.into(), (context, Instant::now()));
        }
    }

    /// The cause of what happens to this stream now, if one was noted lately.
    pub fn cause_of(&self, stream: &str) -> Option<Context> {
        let (context, at) = *self.0.as_ref()?.causes.lock().peek(stream)?;
        (at.elapsed() < CAUSE_LIFETIME).then_some(context)
    }
}

/// The span in which a request is being answered.
pub fn current() -> Option<Context> {
    CURRENT.try_with(|context| *context).ok()
}

/// Runs the answer to a request in its span.
pub async fn within<F: Future>(span: &Span, answer: F) -> F::Output {
    match span.context() {
        Some(context) => CURRENT.scope(context, answer).await,
        None => answer.await,
    }
}

/// A span; it ends when it is dropped. Empty without a collector.
pub struct Span(Option<Box<Open>>);

struct Open {
    inner: Arc<Inner>,
    context: Context,
    parent: Option<u64>,
    name: String,
    kind: Kind,
    began: SystemTime,
    attributes: Vec<Value>,
    failure: Option<String>,
}

impl Span {
    /// Its context, for spans below it.
    pub fn context(&self) -> Option<Context> {
        self.0.as_ref().map(|open| open.context)
    }

    /// Whether it will be sent. Spans below one that is not sent are not sent either.
    pub fn is_recorded(&self) -> bool {
        self.context().is_some_and(|context| context.is_recorded())
    }

    /// Adds an attribute.
    pub fn set(&mut self, key: &str, value: impl std::fmt::Display) {
        let has_room = |open: &&mut Box<Open>| open.context.is_recorded() && open.attributes.len() < MAX_ATTRIBUTES;
        if let Some(open) = self.0.as_mut().filter(has_room) {
            let text = crate::foreign::limited(&value.to_string(), MAX_VALUE).into_owned();
            open.attributes.push(json!({"key": key, "value": {"stringValue": text}}));
        }
    }

    /// Gives it another name, which is known later.
    pub fn rename(&mut self, name: &str) {
        if let Some(open) = &mut self.0 {
            name.clone_into(&mut open.name);
        }
    }

    /// Marks it as failed.
    pub fn fail(&mut self, reason: &str) {
        if let Some(open) = &mut self.0 {
            open.failure = Some(crate::foreign::limited(reason, MAX_VALUE).into_owned());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(open) = self.0.take().filter(|open| open.context.is_recorded()) else { return };
        let nanos =
            |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
        let mut span = json!({
            "traceId": format!("{:032x}", open.context.trace),
            "spanId": format!("{:016x}", open.context.span),
            "name": open.name,
            "kind": open.kind as u8,
            "startTimeUnixNano": nanos(open.began),
            "endTimeUnixNano": nanos(SystemTime::now().max(open.began)),
            "attributes": open.attributes,
        });
        if let Some(parent) = open.parent {
            span["parentSpanId"] = format!("{parent:016x}").into();
        }
        if let Some(reason) = open.failure {
            span["status"] = json!({"code": 2, "message": reason});
        }
        if open.inner.queue.try_send(span).is_err() {
            open.inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(ratio: f64) -> (Traces, mpsc::Receiver<Value>) {
        let (sender, receiver) = mpsc::channel(4);
        (Traces::with(ratio, sender), receiver)
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_for_a_stream_is_below_its_cause_for_a_while() {
        let (traces, mut spans) = recorded(1.0);
        let question = traces.begin("question", Kind::Server, None);
        traces.cause("door", &question);
        assert_eq!(traces.cause_of("gate"), None);
        let mut below = traces.begin("start", Kind::Internal, traces.cause_of("door"));
        below.set("kind", "rtsp\nx");
        below.fail("refused");
        drop((below, question));
        let (start, question) = (spans.try_recv().expect("ended"), spans.try_recv().expect("ended"));
        assert_eq!((&start["traceId"], &start["parentSpanId"]), (&question["traceId"], &question["spanId"]));
        assert_eq!(start["attributes"][0]["value"]["stringValue"], "rtsp\\nx");
        assert_eq!(start["status"], json!({"code": 2, "message": "refused"}));
        assert_eq!(question.get("parentSpanId"), None);
        tokio::time::advance(CAUSE_LIFETIME).await;
        assert_eq!(traces.cause_of("door"), None);
    }

    #[tokio::test]
    async fn a_request_is_the_cause_within_its_answer() {
        let (traces, _spans) = recorded(1.0);
        let request = traces.begin("GET", Kind::Server, None);
        traces.cause_by_request("door");
        assert_eq!(traces.cause_of("door"), None, "outside");
        within(&request, async { traces.cause_by_request("door") }).await;
        assert_eq!(traces.cause_of("door"), request.context());
    }

    #[test]
    fn nothing_is_recorded_without_a_collector_or_by_chance_and_a_full_queue_drops() {
        let off = Traces::default();
        assert!(!off.is_on() && off.begin("x", Kind::Internal, None).context().is_none());
        let (traces, mut spans) = recorded(0.0);
        drop(traces.begin("x", Kind::Internal, None));
        assert!(spans.try_recv().is_err());
        // A caller that records its trace decides.
        let caller = Context::parse("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01").expect("a context");
        for _ in 0..6 {
            drop(traces.begin("x", Kind::Server, Some(caller)));
        }
        assert_eq!(spans.try_recv().expect("recorded")["traceId"], "0123456789abcdef0123456789abcdef");
        assert_eq!(traces.dropped(), 2);
        let silent = Context::parse("00-0123456789abcdef0123456789abcdef-0123456789abcdef-00").expect("a context");
        assert!(!traces.begin("x", Kind::Server, Some(silent)).is_recorded());
    }
}
