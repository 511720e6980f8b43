//! Events, for pages (SSE), for webhooks, and for the log.
//!
//! MediaMTX reports events to commands only, and its standard image has no commands. So the sidecar polls MediaMTX's API, sees
//! its questions, and takes what its hooks post.

mod changes;
mod kinds;
mod observer;
mod rate_limiter;
pub mod webhooks;

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::stream::lifecycle::is_for_everyone;

pub use self::{
    kinds::{Audience, Kind},
    observer::Observer,
    rate_limiter::RateLimiter,
    webhooks::{DeadLetter, EventSettings, Feed, Webhook, Webhooks},
};

/// The events that are kept for listeners that reconnect.
const KEPT: usize = 2000;

/// An event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Greater than the id of each earlier event, also after a restart.
    pub id: u64,
    /// The time (RFC 3339).
    pub at: String,
    /// The kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The path of MediaMTX, or the stream.
    pub path: String,
    /// The data of the kind (`x-enum-data` of `EventKind`).
    #[schema(value_type = Object)]
    pub data: Value,
    /// In a cluster: the node at which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// In a cluster: the name of the event, which is the same at all nodes. `id` is of one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// An event as nodes of a cluster tell it to each other. Ids are of one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// The time (RFC 3339).
    pub at: String,
    /// The kind.
    pub kind: Kind,
    /// The path of MediaMTX, or the stream.
    pub path: String,
    /// The data of the kind.
    pub data: Value,
    /// The node at which it happened.
    pub node: String,
    /// Its name at all nodes. Earlier versions have none.
    #[serde(default)]
    pub uid: Option<String>,
}

/// An event, encoded once for all listeners.
#[derive(Debug)]
pub struct EncodedEvent {
    /// The event.
    pub event: Event,
    /// As JSON.
    pub json: Bytes,
    /// As a server-sent event (HTML, section 9.2.6).
    pub sse: Bytes,
    /// The same for listeners that are no administrators: the words of a failure can name addresses of the network.
    pub sse_for_readers: Bytes,
    /// Whether it happened at another node of the cluster. That node publishes it by MQTT, and gives it to webhooks.
    pub is_foreign: bool,
    /// Its number for a webhook of a cluster.
    pub ticket: Option<u64>,
}

impl EncodedEvent {
    fn new(event: Event, is_foreign: bool) -> serde_json::Result<Self> {
        let json = serde_json::to_string(&event)?;
        let (id, kind) = (event.id, event.kind.as_str());
        let encoded = |json: &str| Bytes::from(format!("id: {id}\nevent: {kind}\ndata: {json}\n\n"));
        let sse = encoded(&json);
        let sse_for_readers = match for_readers(&event) {
            Some(event) => encoded(&serde_json::to_string(&event)?),
            None => sse.clone(),
        };
        Ok(EncodedEvent { event, json: json.into(), sse, sse_for_readers, is_foreign, ticket: None })
    }
}

/// The events that a listener has missed.
#[derive(Debug)]
pub struct Replay {
    /// The events, oldest first.
    pub events: Vec<Arc<EncodedEvent>>,
    /// Whether there were more, which are not kept, or can have been.
    pub has_gap: bool,
    /// The id of the latest event: what follows comes after it.
    pub latest: u64,
}

/// Distributes events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kept: Mutex<VecDeque<Arc<EncodedEvent>>>,
    latest: watch::Sender<u64>,
    /// In a cluster: the name of this node.
    node: OnceLock<String>,
}

impl Default for Bus {
    fn default() -> Self {
        // Microseconds: no program publishes events so fast that a later start could begin below.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let first = u64::try_from(now.as_micros()).unwrap_or_default();
        Bus(Arc::new(Inner { kept: Mutex::default(), latest: watch::Sender::new(first), node: OnceLock::new() }))
    }
}

/// The event without the words of a failure and of a source; none if it has no such words.
fn for_readers(event: &Event) -> Option<Event> {
    let mut event = event.clone();
    let failure = event.data.get_mut("failure")?.as_object_mut();
    let has_failed = failure.map(|failure| failure.insert("reason".to_owned(), "".into())).is_some();
    let reason = event.data.get_mut("reason")?;
    if !has_failed && reason.as_str().is_some_and(is_for_everyone) {
        return None;
    }
    *reason = "".into();
    Some(event)
}

impl Bus {
    /// Publishes an event.
    pub fn tell(&self, kind: Kind, path: &str, data: Value) {
        debug_assert!(is_documented(kind, &data), "{} has undocumented members (events::kinds): {data}", kind.as_str());
        let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let node = self.0.node.get().cloned().unwrap_or_default();
        let told = Told { at, kind, path: path.to_owned(), data, node, uid: None };
        self.publish(told, false);
    }

    /// Names this node of a cluster in the events from now on. Only the first call counts.
    pub fn is_of(&self, node: String) {
        let _ = self.0.node.set(node);
    }

    /// Publishes an event of another node to the listeners of this one.
    pub fn pass_on(&self, told: Told) {
        self.publish(told, true);
    }

    fn publish(&self, told: Told, is_foreign: bool) {
        let Told { at, kind, path, data, node, uid } = told;
        let mut kept = self.0.kept.lock();
        let id = *self.0.latest.borrow() + 1;
        let node = Some(node).filter(|node| !node.is_empty());
        let uid = uid.or_else(|| node.as_ref().map(|node| format!("{node}-{id}")).filter(|_| !is_foreign));
        let event = Event { id, at, kind, path, data, node, uid };
        let event = match EncodedEvent::new(event, is_foreign) {
            Ok(event) => event,
            Err(e) => return tracing::error!("the event {} cannot be encoded: {e}", kind.as_str()),
        };
        tracing::debug!(target: "mtx_sidecar::events", path = event.event.path, "{}", kind.as_str());
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::new(event));
        // With the lock held, so that a listener that is woken finds the event.
        self.0.latest.send_replace(id);
    }

    /// The id of the latest event.
    pub fn latest(&self) -> u64 {
        *self.0.latest.borrow()
    }

    /// Wakes up for events from now on; once for several.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.latest.subscribe()
    }

    /// The events after that one. An id that this program has not given yet is of another node, or from before the clock was
    /// set back: there are no events after it, and a gap.
    pub fn since(&self, id: u64) -> Replay {
        let kept = self.0.kept.lock();
        let latest = self.latest();
        let begins = kept.partition_point(|told| told.event.id <= id);
        let has_gap = match kept.front() {
            _ if id > latest => true,
            Some(oldest) => oldest.event.id > id.saturating_add(1),
            None => id < latest,
        };
        Replay { events: kept.range(begins..).cloned().collect(), has_gap, latest }
    }
}

/// Whether the description of the kind has all members of the data.
fn is_documented(kind: Kind, data: &Value) -> bool {
    let known = |member: &String| kind.members().iter().any(|(name, _)| name == member);
    data.as_object().is_some_and(|data| data.keys().all(known))
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
            bus.tell(Kind::PathAvailable, "cam", json!({ "source": n }));
        }
        listening.changed().await.expect("the bus lives");
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
        let ahead = bus.since(u64::MAX);
        assert!(ahead.has_gap && ahead.events.is_empty() && ahead.latest == bus.latest(), "of another node");
    }
}
