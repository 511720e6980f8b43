//! The connection to an MQTT broker, which all streams and outputs share.
//!
//! A supervised task ([`Mqtt::run`]) holds the connection: it hands messages on, and neither decodes nor waits for those who
//! get them. This module knows topics and bytes, and no streams and no pictures. Messages are sent and received while there is
//! a connection; what was published before a disconnection is not sent again.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod connection;
mod inbox;
mod limit;
mod outbox;
mod settings;
mod sieve;
mod subject;
pub mod topic;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep, timeout},
};
use utoipa::ToSchema;

#[cfg(any(test, fuzzing))]
pub(crate) use self::sieve::properties;
use self::{connection::End, inbox::Inbox, limit::PacketLimit, outbox::Outbox, settings::Broker};
pub use self::{
    inbox::{FilterStats, News, Received, Room, Subscription},
    outbox::Message,
    settings::{HomeAssistantSettings, MqttSettings, Pace, Publication},
    subject::Subject,
};
use crate::{
    backoff::Backoff,
    error::{Code, Error, Result},
    fetch::Fetch,
    units::Size,
};

/// Pauses before the next attempt. A connection that lasted for the longest pause begins with the shortest again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const RECONNECT: Backoff = Backoff::new(Duration::from_secs(1), LONGEST_PAUSE);

/// Pauses after a refusal: a wrong password is not tried often, because brokers count that.
const REFUSED: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_secs(600));

/// Bytes of a message besides a picture in it: JSON around a picture, or a topic.
const MESSAGE_EXTRA: usize = 64 << 10;

/// Bytes of a packet besides its payload, at most: the header, and a topic of our own.
const TOPIC_ROOM: usize = 512;

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = MqttState)]
pub enum State {
    /// No broker is set.
    Off,
    /// A connection is being opened.
    Connecting,
    /// There is a connection.
    Connected,
    /// The broker does not admit this client.
    Refused,
    /// There is no connection; the next attempt follows.
    Waiting,
}

/// The state of the connection, and the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// The reason in words, without secrets.
    pub reason: String,
    /// The number of connections so far.
    pub connections: u64,
}

impl Status {
    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }
}

/// The figures of the connection since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = MqttCounters)]
pub struct Counters {
    /// Messages that arrived.
    pub received: u64,
    /// Bytes of their payloads.
    pub received_bytes: u64,
    /// Messages that arrived and were left out because of their size.
    pub oversize: u64,
    /// Messages that arrived faster than they were read, of topics with wildcards.
    pub unread: u64,
    /// Messages that were sent.
    pub sent: u64,
    /// Bytes of their payloads.
    pub sent_bytes: u64,
    /// Pictures and states that a newer one of their topic replaced before they were sent.
    pub replaced: u64,
    /// Messages that found no room to wait in, because the broker takes them more slowly than they come.
    pub dropped: u64,
    /// Messages that were to be sent while there was no connection.
    pub unsent: u64,
    /// Attempts to connect that failed, and connections that ended.
    pub failures: u64,
}

/// The connection to the broker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mqtt(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: MqttSettings,
    broker: Option<Broker>,
    client_id: String,
    fetch: Fetch,
    /// Most bytes of a message that arrives.
    max_incoming: usize,
    status: watch::Sender<Status>,
    closing: watch::Sender<bool>,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    limit: Mutex<PacketLimit>,
    /// Messages without a connection.
    unsent: AtomicU64,
    failures: AtomicU64,
}

impl Inner {
    fn available_topic(&self) -> String {
        format!("{}/available", self.settings.prefix)
    }

    fn tell(&self, state: State, reason: String) {
        match state {
            State::Refused | State::Waiting => tracing::warn!("MQTT: {reason}"),
            _ => tracing::info!("MQTT: {reason}"),
        }
        self.status.send_modify(|status| {
            let connections = status.connections + u64::from(state == State::Connected);
            *status = Status { state, reason, connections };
        });
    }

    fn largest_payload(&self) -> usize {
        self.limit.lock().most(self.settings.max_packet.bytes()).saturating_sub(TOPIC_ROOM)
    }
}

/// A client identifier that is the same after a restart, so that the broker replaces the earlier connection, and another one
/// on each host and for each data folder, so that two programs do not end each other's connections.
fn client_id(data_dir: &Path) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let folder = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let digest = Sha256::digest(format!("{} {}", host.trim(), folder.display()));
    let hex: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    // 20 characters: brokers must accept 23 (MQTT 3.1.1, section 3.1.3.1).
    format!("mtx-sidecar-{hex}")
}

impl Mqtt {
    /// Without a broker in the settings, [`Mqtt::run`] has nothing to do. `max_picture` bounds the pictures that arrive.
    pub fn new(settings: &MqttSettings, fetch: &Fetch, data_dir: &Path, max_picture: Size) -> Result<Self> {
        let wrong = |(key, rule)| Error::new(Code::Internal, format!("mqtt.{key}: {rule}"));
        let broker = settings.broker().map_err(wrong)?;
        let status = match &broker {
            Some(broker) => {
                Status { state: State::Connecting, reason: format!("connecting to {broker}"), connections: 0 }
            }
            None => Status { state: State::Off, reason: "no broker is set (mqtt.url)".into(), connections: 0 },
        };
        Ok(Mqtt(Arc::new(Inner {
            client_id: match settings.client_id.as_str() {
                "" => client_id(data_dir),
                id => id.to_owned(),
            },
            settings: settings.clone(),
            broker,
            fetch: fetch.clone(),
            // Base64 has four bytes for three.
            max_incoming: (max_picture.bytes() / 3).saturating_mul(4).saturating_add(MESSAGE_EXTRA).min(256 << 20),
            status: watch::Sender::new(status),
            closing: watch::Sender::new(false),
            inbox: Arc::default(),
            outbox: Arc::default(),
            limit: Mutex::default(),
            unsent: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })))
    }

    /// The settings.
    pub fn settings(&self) -> &MqttSettings {
        &self.0.settings
    }

    /// The broker without user and password; none if none is set.
    pub fn broker(&self) -> Option<String> {
        self.0.broker.as_ref().map(ToString::to_string)
    }

    /// The identifier that this client shows to the broker.
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// The state of the connection, with changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.0.status.subscribe()
    }

    /// The subscribed filters.
    pub fn filters(&self) -> Vec<FilterStats> {
        self.0.inbox.stats()
    }

    /// The figures since the start.
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Inner { inbox, outbox, unsent, failures, .. } = &*self.0;
        Counters {
            received: read(&inbox.messages),
            received_bytes: read(&inbox.bytes),
            oversize: read(&inbox.oversize),
            unread: read(&inbox.unread),
            sent: read(&outbox.sent),
            sent_bytes: read(&outbox.sent_bytes),
            replaced: read(&outbox.replaced),
            dropped: read(&outbox.dropped),
            unsent: read(unsent),
            failures: read(failures),
        }
    }

    /// Most bytes of a payload that the broker takes: `mqtt.max_packet`, or less if it has ended connections at less.
    pub fn largest_payload(&self) -> usize {
        self.0.largest_payload()
    }

    /// A topic below `mqtt.prefix`.
    pub fn topic(&self, below: &str) -> String {
        format!("{}/{below}", self.0.settings.prefix)
    }

    /// Subscribes to a filter until the subscription is dropped.
    pub fn subscribe(&self, filter: &str, room: Room) -> Subscription {
        Subscription::new(filter, room, &self.0.inbox, &self.0.outbox)
    }

    /// Publishes a message, if there is a connection. Does not wait.
    pub fn publish(&self, message: Message) {
        if self.0.status.borrow().is_connected() {
            self.0.outbox.put(message);
        } else if self.0.broker.is_some() {
            self.0.unsent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Holds the connection until [`Mqtt::close`].
    pub async fn run(&self) {
        let inner = &self.0;
        let Some(broker) = &inner.broker else { return };
        let mut closing = inner.closing.subscribe();
        let (mut lost, mut refused) = (RECONNECT, REFUSED);
        while !*closing.borrow() {
            let began = Instant::now();
            let end = tokio::select! {
                end = connection::serve(inner, broker) => end,
                () = not_connected_at_the_end(inner) => End::Closed,
            };
            if began.elapsed() >= LONGEST_PAUSE {
                (lost, refused) = (RECONNECT, REFUSED);
            }
            let (state, reason, pause) = match end {
                End::Closed => break,
                End::Lost(reason) => (State::Waiting, reason, lost.next_pause()),
                End::TooLarge(reason) => {
                    // The number of such ends is small, because each makes the limit smaller.
                    lost = RECONNECT;
                    (State::Waiting, reason, lost.next_pause())
                }
                End::Refused(reason) => (State::Refused, reason, refused.next_pause()),
            };
            inner.failures.fetch_add(1, Ordering::Relaxed);
            inner.tell(state, format!("{reason}; the next attempt follows in {} s", pause.as_secs()));
            tokio::select! {
                () = sleep(pause) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        }
        inner.tell(State::Off, "the program ends".into());
    }

    /// Ends the connection, with a last message that says so. Takes two seconds at most.
    pub async fn close(&self) {
        self.0.closing.send_replace(true);
        let mut status = self.status();
        let ended = status.wait_for(|status| status.state == State::Off);
        if self.0.broker.is_some() && timeout(Duration::from_secs(2), ended).await.is_err() {
            tracing::debug!("the MQTT connection did not end in time");
        }
    }
}

/// Returns when the program ends while no connection is open, which would say farewell.
async fn not_connected_at_the_end(inner: &Inner) {
    let mut closing = inner.closing.subscribe();
    // The sender is not dropped while `inner` lives.
    let _ = closing.wait_for(|closing| *closing).await;
    if inner.status.borrow().is_connected() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_identifier_is_stable_and_each_folder_has_its_own() {
        let id = client_id(Path::new("/a"));
        assert!(id.len() <= 23 && id.starts_with("mtx-sidecar-"), "{id}");
        assert_eq!(id, client_id(Path::new("/a")));
        assert_ne!(id, client_id(Path::new("/b")));
    }
}
