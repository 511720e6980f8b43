//! Subscriptions: who gets which messages, and which filters the broker must know.
//!
//! A message waits in the mailbox of each subscription that selects it. The task of the connection only puts it there.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{outbox::Outbox, topic};

/// A message from the broker.
#[derive(Clone, Debug)]
pub struct Received {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// Whether the broker had kept it: its age is unknown.
    pub is_retained: bool,
    /// When it arrived.
    pub at: Instant,
    /// The same by the clock.
    pub time: SystemTime,
}

/// What a subscription can wait for.
#[derive(Clone, Debug)]
pub enum News {
    /// A message.
    Message(Received),
    /// Why a message did not arrive.
    Problem(String),
}

/// Most bytes of messages of several topics that wait for one subscription.
const MAX_BYTES: usize = 64 << 20;

/// Which messages wait for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// This many; the newest stay.
    Newest(usize),
    /// The newest of each topic, of this many topics and of 64 MB; messages of further topics are left out meanwhile.
    EachTopic(usize),
}

impl News {
    /// The topic of a message; all problems are of one kind.
    fn topic(&self) -> Option<&str> {
        match self {
            News::Message(message) => Some(&message.topic),
            News::Problem(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            News::Message(message) => message.payload.len(),
            News::Problem(_) => 0,
        }
    }
}

#[derive(Debug)]
struct Mailbox {
    room: Room,
    news: Mutex<VecDeque<News>>,
    wake: Notify,
}

impl Mailbox {
    /// Returns false if there was no room.
    fn put(&self, news: News) -> bool {
        let mut waiting = self.news.lock();
        let is_old = matches!(&news, News::Message(message) if message.is_retained);
        // The broker sends kept messages again to each new subscription; a live one is newer.
        let is_live = |other: &News| matches!(other, News::Message(message) if !message.is_retained);
        match self.room {
            Room::Newest(_) if is_old && waiting.iter().any(is_live) => return true,
            Room::Newest(most) => {
                while waiting.len() >= most.max(1) {
                    waiting.pop_front();
                }
                waiting.push_back(news);
            }
            Room::EachTopic(most) => {
                let bytes = waiting.iter().map(News::bytes).sum::<usize>().saturating_add(news.bytes());
                let has_room = waiting.is_empty() || (waiting.len() < most && bytes <= MAX_BYTES);
                match waiting.iter_mut().find(|other| other.topic() == news.topic()) {
                    Some(other) if is_old && is_live(other) => return true,
                    Some(other) => *other = news,
                    None if has_room => waiting.push_back(news),
                    None => return false,
                }
            }
        }
        self.wake.notify_one();
        true
    }
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    filters: Mutex<Filters>,
    /// Messages that arrived.
    pub(super) messages: AtomicU64,
    /// Bytes of their payloads.
    pub(super) bytes: AtomicU64,
    /// Messages that were left out because of their size.
    pub(super) oversize: AtomicU64,
    /// Messages that found no room to wait in.
    pub(super) unread: AtomicU64,
}

#[derive(Debug, Default)]
struct Filters {
    wanted: BTreeMap<String, Wanted>,
    /// Filters that the broker does not know yet, or still knows.
    changed: BTreeSet<String>,
    /// The last message, if several filters select it, and how often it has come.
    last: Option<(Received, usize)>,
}

impl Filters {
    /// Whether a message is a copy of the one before: a broker can send one for each filter that selects it (MQTT 3.1.1,
    /// section 3.3.5; Mosquitto does), one directly behind the other.
    fn is_copy(&mut self, message: &Received) -> bool {
        let selected = self.wanted.keys().filter(|filter| topic::matches(filter, &message.topic)).count();
        let same = |last: &Received| {
            last.topic == message.topic && last.is_retained == message.is_retained && last.payload == message.payload
        };
        match &mut self.last {
            Some((last, copies)) if *copies < selected && same(last) => {
                *copies += 1;
                true
            }
            last => {
                *last = (selected > 1).then(|| (message.clone(), 1));
                false
            }
        }
    }
}

#[derive(Debug, Default)]
struct Wanted {
    mailboxes: Vec<Arc<Mailbox>>,
    messages: u64,
    last: Option<SystemTime>,
    problem: Option<String>,
}

/// A filter with its figures.
#[derive(Clone, Debug)]
pub struct FilterStats {
    /// The filter.
    pub filter: String,
    /// Messages that it selected since it was subscribed.
    pub messages: u64,
    /// When the last of them arrived.
    pub last: Option<SystemTime>,
    /// Why there are none.
    pub problem: Option<String>,
}

impl Inbox {
    /// Puts a message into the mailboxes that select it.
    pub(super) fn deliver(&self, message: &Received) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(message.payload.len() as u64, Ordering::Relaxed);
        let mut filters = self.filters.lock();
        if filters.is_copy(message) {
            return;
        }
        for (_, wanted) in filters.wanted.iter_mut().filter(|(filter, _)| topic::matches(filter, &message.topic)) {
            wanted.messages += 1;
            wanted.last = Some(message.time);
            wanted.problem = None;
            for mailbox in &wanted.mailboxes {
                if !mailbox.put(News::Message(message.clone())) {
                    self.unread.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Tells those who wait for this topic why its message was left out.
    pub(super) fn left_out(&self, topic: &str, why: &str) {
        self.oversize.fetch_add(1, Ordering::Relaxed);
        self.explain(|filter| topic::matches(filter, topic), why);
    }

    /// Tells the subscriptions of this filter that the broker refuses it.
    pub(super) fn refused(&self, filter: &str) {
        let why = format!("the broker does not permit the topic {filter} (mqtt.user)");
        self.explain(|other| other == filter, &why);
    }

    fn explain(&self, is_meant: impl Fn(&str) -> bool, why: &str) {
        let mut filters = self.filters.lock();
        for (_, wanted) in filters.wanted.iter_mut().filter(|(filter, _)| is_meant(filter)) {
            wanted.problem = Some(why.to_owned());
            for mailbox in &wanted.mailboxes {
                mailbox.put(News::Problem(why.to_owned()));
            }
        }
    }

    /// Has all filters sent to a broker that knows none.
    pub(super) fn begin(&self) {
        let mut filters = self.filters.lock();
        filters.changed = filters.wanted.keys().cloned().collect();
    }

    /// A filter that changed, and whether it is wanted.
    pub(super) fn next_change(&self) -> Option<(String, bool)> {
        let mut filters = self.filters.lock();
        let filter = filters.changed.pop_first()?;
        let is_wanted = filters.wanted.contains_key(&filter);
        Some((filter, is_wanted))
    }

    /// The filters, with their figures.
    pub(super) fn stats(&self) -> Vec<FilterStats> {
        let filters = self.filters.lock();
        let each = filters.wanted.iter().map(|(filter, wanted)| FilterStats {
            filter: filter.clone(),
            messages: wanted.messages,
            last: wanted.last,
            problem: wanted.problem.clone(),
        });
        each.collect()
    }
}

/// A subscription; it ends when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    filters: Vec<String>,
    mailbox: Arc<Mailbox>,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
}

impl Subscription {
    /// Messages that any of the filters selects wait together, in the order in which they arrived.
    pub(super) fn new(filters: Vec<String>, room: Room, inbox: &Arc<Inbox>, outbox: &Arc<Outbox>) -> Self {
        let mailbox = Arc::new(Mailbox { room, news: Mutex::default(), wake: Notify::new() });
        {
            let mut known = inbox.filters.lock();
            for filter in &filters {
                known.wanted.entry(filter.clone()).or_default().mailboxes.push(mailbox.clone());
                // Also for a filter that the broker knows: it sends its kept messages again (MQTT 3.1.1, section 3.8.4).
                known.changed.insert(filter.clone());
            }
        }
        outbox.wake();
        Subscription { filters, mailbox, inbox: inbox.clone(), outbox: outbox.clone() }
    }

    /// The oldest news that waits. When more arrive than there is room for, the newest stay. Cancel-safe.
    pub async fn next(&self) -> News {
        loop {
            let woken = self.mailbox.wake.notified();
            if let Some(news) = self.mailbox.news.lock().pop_front() {
                return news;
            }
            woken.await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut known = self.inbox.filters.lock();
        for filter in &self.filters {
            let Some(wanted) = known.wanted.get_mut(filter) else { continue };
            wanted.mailboxes.retain(|other| !Arc::ptr_eq(other, &self.mailbox));
            if wanted.mailboxes.is_empty() {
                known.wanted.remove(filter);
                known.changed.insert(filter.clone());
            }
        }
        drop(known);
        self.outbox.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &'static str, is_retained: bool) -> Received {
        let (at, time) = (Instant::now(), SystemTime::now());
        Received { topic: topic.into(), payload: payload.into(), is_retained, at, time }
    }

    async fn text(subscription: &Subscription) -> String {
        match subscription.next().await {
            News::Message(message) => String::from_utf8_lossy(&message.payload).into_owned(),
            News::Problem(why) => why,
        }
    }

    #[tokio::test]
    async fn the_newest_picture_waits_and_a_kept_one_never_replaces_a_live_one() {
        let (inbox, outbox) = (Arc::<Inbox>::default(), Arc::<Outbox>::default());
        let one = Subscription::new(vec!["a/+".into()], Room::Newest(1), &inbox, &outbox);
        for (payload, is_retained) in [("old", true), ("1", false), ("2", false), ("old", true)] {
            inbox.deliver(&message("a/b", payload, is_retained));
        }
        inbox.deliver(&message("c", "other", false));
        assert_eq!(text(&one).await, "2");
        inbox.left_out("a/b", "too large");
        assert_eq!(text(&one).await, "too large");
    }

    #[tokio::test]
    async fn the_newest_of_each_topic_waits_for_a_subscription_to_many() {
        let (inbox, outbox) = (Arc::<Inbox>::default(), Arc::<Outbox>::default());
        let all = Subscription::new(vec!["a/+".into()], Room::EachTopic(2), &inbox, &outbox);
        for (topic, payload, is_retained) in [
            ("a/1", "1", false),
            ("a/2", "2", false),
            ("a/3", "none", false),
            ("a/1", "3", false),
            ("a/1", "old", true),
        ] {
            inbox.deliver(&message(topic, payload, is_retained));
        }
        assert_eq!((text(&all).await, text(&all).await), ("3".into(), "2".into()));
        assert_eq!(inbox.unread.load(Ordering::Relaxed), 1);
        inbox.deliver(&message("a/3", "4", false));
        assert_eq!(text(&all).await, "4");
    }

    #[tokio::test]
    async fn a_copy_that_the_broker_sends_for_a_second_filter_is_left_out() {
        let (inbox, outbox) = (Arc::<Inbox>::default(), Arc::<Outbox>::default());
        let subscribe = |filter: &str| Subscription::new(vec![filter.to_owned()], Room::Newest(10), &inbox, &outbox);
        let (all, one) = (subscribe("a/+"), subscribe("a/b"));
        for payload in ["1", "1", "1", "2", "2", "3"] {
            inbox.deliver(&message("a/b", payload, false));
        }
        for got in ["1", "1", "2", "3"] {
            assert_eq!((text(&all).await, text(&one).await), (got.to_owned(), got.to_owned()));
        }
        for payload in ["4", "4"] {
            inbox.deliver(&message("a/c", payload, false));
        }
        assert_eq!((text(&all).await, text(&all).await), ("4".into(), "4".into()), "one filter: no copies");
    }

    #[tokio::test]
    async fn messages_of_several_filters_wait_in_the_order_in_which_they_arrived() {
        let (inbox, outbox) = (Arc::<Inbox>::default(), Arc::<Outbox>::default());
        let all = Subscription::new(vec!["b".into(), "a".into()], Room::Newest(9), &inbox, &outbox);
        for topic in ["a", "b", "c", "a"] {
            inbox.deliver(&message(topic, topic, false));
        }
        assert_eq!([text(&all).await, text(&all).await, text(&all).await], ["a", "b", "a"]);
        drop(all);
        assert!(inbox.stats().is_empty());
    }

    #[test]
    fn the_broker_learns_of_the_first_and_of_the_last_subscription_of_a_filter() {
        let (inbox, outbox) = (Arc::<Inbox>::default(), Arc::<Outbox>::default());
        let change = || inbox.next_change();
        let subscribe = || Subscription::new(vec!["a".into()], Room::Newest(1), &inbox, &outbox);
        let (one, two) = (subscribe(), subscribe());
        assert_eq!((change(), change()), (Some(("a".into(), true)), None));
        drop(one);
        assert_eq!(change(), None);
        inbox.begin();
        assert_eq!((change(), change()), (Some(("a".into(), true)), None), "a new connection");
        drop(two);
        assert_eq!((change(), change()), (Some(("a".into(), false)), None));
        assert!(inbox.stats().is_empty());
    }
}
