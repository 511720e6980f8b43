//! What happens: one kind of event, whoever noticed it, for pages (SSE), for webhooks, and for the log.
//!
//! MediaMTX tells nobody but commands, and its standard image has none; so its API is looked at, its questions are
//! listened to, and who does use hooks may post them.

mod changes;
mod observer;
mod rate_limiter;
pub mod webhooks;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use utoipa::ToSchema;

pub use self::observer::Observer;
pub use self::{
    rate_limiter::RateLimiter,
    webhooks::{DeadLetter, EventSettings, Webhook, Webhooks},
};

/// Events that are kept for whoever comes back.
const KEPT: usize = 2000;

/// What kind of thing has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Kind {
    /// Somebody publishes to a path, or its source is there.
    #[serde(rename = "path.available")]
    PathAvailable,
    /// Nobody does any more.
    #[serde(rename = "path.unavailable")]
    PathUnavailable,
    /// A reader has begun.
    #[serde(rename = "reader.joined")]
    ReaderJoined,
    /// A reader has gone.
    #[serde(rename = "reader.left")]
    ReaderLeft,
    /// A segment of a recording is complete: by hook with its file, by looking with its start.
    #[serde(rename = "recording.segment")]
    RecordingSegment,
    /// A stream of ours is in another state.
    #[serde(rename = "stream.state")]
    StreamState,
    /// A path that is kept here is not as it is wanted, or is again.
    #[serde(rename = "path.drift")]
    PathDrift,
    /// Somebody showed a wrong password or token.
    #[serde(rename = "login.failed")]
    LoginFailed,
    /// Something that a hook of MediaMTX has posted.
    #[serde(rename = "hook")]
    Hook,
}

impl Kind {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::PathAvailable => "path.available",
            Kind::PathUnavailable => "path.unavailable",
            Kind::ReaderJoined => "reader.joined",
            Kind::ReaderLeft => "reader.left",
            Kind::RecordingSegment => "recording.segment",
            Kind::StreamState => "stream.state",
            Kind::PathDrift => "path.drift",
            Kind::LoginFailed => "login.failed",
            Kind::Hook => "hook",
        }
    }

    /// Whether whoever may read the path may know. The others are for administrators.
    pub fn is_for_readers(self) -> bool {
        matches!(self, Kind::PathAvailable | Kind::PathUnavailable | Kind::RecordingSegment | Kind::StreamState)
    }
}

/// Something that has happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Event {
    /// Greater than that of every event before, over restarts too.
    pub id: u64,
    /// When, as RFC 3339 has it.
    pub at: String,
    /// What.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// To which path, or stream of ours.
    pub path: String,
    /// More about it.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// An event, laid out once for all who listen.
#[derive(Debug)]
pub struct EncodedEvent {
    /// The event.
    pub event: Event,
    /// As JSON.
    pub json: Bytes,
    /// As an event of a stream (HTML, section 9.2.6).
    pub sse: Bytes,
}

/// What is said to a listener who missed events.
#[derive(Debug)]
pub struct Replay {
    /// The events, oldest first.
    pub events: Vec<Arc<EncodedEvent>>,
    /// Whether there were more that are not kept any more.
    pub has_gap: bool,
}

/// Where events come together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kept: Mutex<VecDeque<Arc<EncodedEvent>>>,
    latest: watch::Sender<u64>,
}

impl Default for Bus {
    fn default() -> Self {
        // Microseconds: no program tells so many events that a later start could begin below.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let first = u64::try_from(now.as_micros()).unwrap_or_default();
        Bus(Arc::new(Inner { kept: Mutex::default(), latest: watch::Sender::new(first) }))
    }
}

impl Bus {
    /// Tells everybody.
    pub fn tell(&self, kind: Kind, path: &str, data: Value) {
        let mut kept = self.0.kept.lock();
        let id = *self.0.latest.borrow() + 1;
        let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let event = Event { id, at, kind, path: path.to_owned(), data };
        let json = serde_json::to_string(&event).unwrap_or_default();
        let sse = format!("id: {id}\nevent: {}\ndata: {json}\n\n", kind.as_str());
        tracing::debug!(target: "mtx_sidecar::events", path, "{}", kind.as_str());
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::new(EncodedEvent { event, json: json.into(), sse: sse.into() }));
        // With the lock held, so that whoever is woken finds it.
        self.0.latest.send_replace(id);
    }

    /// The id of the latest event.
    pub fn latest(&self) -> u64 {
        *self.0.latest.borrow()
    }

    /// Hears of every event from now on, one notice for however many.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.latest.subscribe()
    }

    /// The events after that one. An id that was never given, as of a database that is gone, counts as the oldest.
    pub fn since(&self, id: u64) -> Replay {
        let kept = self.0.kept.lock();
        let begins = kept.partition_point(|told| told.event.id <= id);
        let has_gap = match kept.front() {
            Some(oldest) => oldest.event.id > id.saturating_add(1),
            None => id < self.latest(),
        };
        Replay { events: kept.range(begins..).cloned().collect(), has_gap }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn events_are_heard_once_and_those_missed_are_told_of() {
        let bus = Bus::default();
        let mut listening = bus.listen();
        let mut last = bus.latest();
        for n in 0..10 {
            bus.tell(Kind::PathAvailable, "cam", json!({ "n": n }));
        }
        listening.changed().await.expect("somebody tells");
        let heard = bus.since(last);
        assert!(!heard.has_gap && heard.events.len() == 10);
        assert!(heard.events.windows(2).all(|pair| pair[1].event.id == pair[0].event.id + 1));
        last = heard.events[9].event.id;
        assert!(bus.since(last).events.is_empty());
        for _ in 0..KEPT + 5 {
            bus.tell(Kind::PathAvailable, "cam", json!({}));
        }
        let heard = bus.since(last);
        assert!(heard.has_gap && heard.events.len() == KEPT);
        let text = String::from_utf8_lossy(&heard.events[0].sse).into_owned();
        assert!(text.contains("\nevent: path.available\ndata: {") && text.ends_with("}\n\n"), "{text}");
        assert!(bus.since(0).has_gap, "of another life");
    }
}
