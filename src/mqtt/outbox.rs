//! [`Outbox`]: messages that wait to be sent, within a bound.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Most messages that wait: a picture and a state of 500 streams.
const MAX_MESSAGES: usize = 1024;

/// Most bytes of all messages that wait: two thousand pictures of 30 KB.
const MAX_BYTES: usize = 64 << 20;

/// A message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// Whether the broker keeps it for clients that subscribe later.
    pub retain: bool,
    /// Whether the broker acknowledges it (QoS 1).
    pub acknowledged: bool,
    /// Whether it replaces a message of the same topic that waits.
    pub is_latest: bool,
}

impl Message {
    /// A picture: sent once; the newest of a topic wins.
    pub fn picture(topic: String, payload: Bytes, retain: bool) -> Self {
        Message { topic, payload, retain, acknowledged: false, is_latest: true }
    }

    /// A state or a configuration, which the broker keeps and acknowledges.
    pub fn state(topic: String, payload: impl Into<Bytes>) -> Self {
        Message { topic, payload: payload.into(), retain: true, acknowledged: true, is_latest: true }
    }

    /// Something that happened: each is sent, in order, and not kept.
    pub fn event(topic: String, payload: impl Into<Bytes>) -> Self {
        Message { topic, payload: payload.into(), retain: false, acknowledged: false, is_latest: false }
    }
}

/// Messages that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
    /// Messages that found no room.
    pub(super) dropped: AtomicU64,
    /// Messages that a newer one replaced.
    pub(super) replaced: AtomicU64,
    /// Messages that were taken to be sent, and the bytes of their payloads.
    pub(super) sent: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Outbox {
    /// Adds a message, or replaces one of its topic. Counts it as dropped if there is no room.
    pub(super) fn put(&self, message: Message) {
        let mut waiting = self.waiting.lock();
        let Waiting { messages, bytes } = &mut *waiting;
        let same = |other: &&mut Message| message.is_latest && other.is_latest && other.topic == message.topic;
        if let Some(other) = messages.iter_mut().find(same) {
            *bytes = *bytes - other.payload.len() + message.payload.len();
            *other = message;
            self.replaced.fetch_add(1, Ordering::Relaxed);
        } else if messages.len() >= MAX_MESSAGES || *bytes + message.payload.len() > MAX_BYTES {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        } else {
            *bytes += message.payload.len();
            messages.push_back(message);
        }
        self.wake.notify_one();
    }

    /// The message that waits for the longest time.
    pub(super) fn take(&self) -> Option<Message> {
        let mut waiting = self.waiting.lock();
        let message = waiting.messages.pop_front()?;
        waiting.bytes -= message.payload.len();
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(message.payload.len() as u64, Ordering::Relaxed);
        Some(message)
    }

    /// Forgets all messages.
    pub(super) fn clear(&self) {
        *self.waiting.lock() = Waiting::default();
    }

    /// Wakes the one who waits with [`Outbox::changed`].
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits for a message since the last call. Cancel-safe.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(topic: &str, payload: &'static str) -> Message {
        Message::picture(topic.into(), payload.into(), false)
    }

    #[test]
    fn the_newest_picture_of_a_topic_wins_and_events_are_all_kept() {
        let outbox = Outbox::default();
        for message in [picture("a", "1"), picture("b", "1"), picture("a", "2")] {
            outbox.put(message);
        }
        outbox.put(Message::event("e".into(), "1"));
        outbox.put(Message::event("e".into(), "2"));
        let taken: Vec<_> = std::iter::from_fn(|| outbox.take()).map(|m| (m.topic, m.payload)).collect();
        let expected = [("a", "2"), ("b", "1"), ("e", "1"), ("e", "2")];
        assert_eq!(outbox.replaced.load(Ordering::Relaxed), 1);
        assert_eq!((outbox.sent.load(Ordering::Relaxed), outbox.sent_bytes.load(Ordering::Relaxed)), (4, 4));
        assert_eq!(taken, expected.map(|(topic, payload)| (topic.to_owned(), Bytes::from(payload))));
    }

    #[test]
    fn messages_without_room_are_dropped_and_counted() {
        let outbox = Outbox::default();
        for n in 0..MAX_MESSAGES + 3 {
            outbox.put(picture(&n.to_string(), "x"));
        }
        outbox.put(picture("0", "y"));
        assert_eq!(outbox.dropped.load(Ordering::Relaxed), 3, "a replacement needs no room");
        assert_eq!(outbox.take().expect("the first").payload, "y");
        outbox.clear();
        let large = Bytes::from(vec![0; MAX_BYTES]);
        outbox.put(Message::picture("a".into(), large.clone(), false));
        outbox.put(picture("b", "x"));
        assert_eq!(outbox.dropped.load(Ordering::Relaxed), 4);
        outbox.put(picture("a", "small"));
        outbox.put(picture("b", "x"));
        assert_eq!(std::iter::from_fn(|| outbox.take()).count(), 2, "the bytes were given back");
    }
}
