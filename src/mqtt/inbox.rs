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

#[derive(Debug)]
struct Mailbox {
    capacity: usize,
    news: Mutex<VecDeque<News>>,
    wake: Notify,
}

impl Mailbox {
    fn put(&self, news: News) {
        let mut waiting = self.news.lock();
        let is_old = matches!(&news, News::Message(message) if message.is_retained);
        let has_live = |news: &News| matches!(news, News::Message(message) if !message.is_retained);
        if is_old && waiting.iter().any(has_live) {
            // The broker sends kept messages again to each new subscription; a live one is newer.
            return;
        }
        while waiting.len() >= self.capacity {
            waiting.pop_front();
        }
        waiting.push_back(news);
        self.wake.notify_one();
    }
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    filters: Mutex<Filters>,
    /// Messages that arrived.
    pub(super) messages: AtomicU64,
    /// Messages that were left out because of their size.
    pub(super) oversize: AtomicU64,
}

#[derive(Debug, Default)]
struct Filters {
    wanted: BTreeMap<String, Wanted>,
    /// Filters that the broker does not know yet, or still knows.
    changed: BTreeSet<String>,
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
        let mut filters = self.filters.lock();
        for (_, wanted) in filters.wanted.iter_mut().filter(|(filter, _)| topic::matches(filter, &message.topic)) {
            wanted.messages += 1;
            wanted.last = Some(message.time);
            wanted.problem = None;
            for mailbox in &wanted.mailboxes {
                mailbox.put(News::Message(message.clone()));
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
    pub(super) fn new(filters: Vec<String>, capacity: usize, inbox: &Arc<Inbox>, outbox: &Arc<Outbox>) -> Self {
        let mailbox = Arc::new(Mailbox { capacity: capacity.max(1), news: Mutex::default(), wake: Notify::new() });
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
        let one = Subscription::new(vec!["a/+".into()], 1, &inbox, &outbox);
        for (payload, is_retained) in [("old", true), ("1", false), ("2", false), ("old", true)] {
            inbox.deliver(&message("a/b", payload, is_retained));
        }
        inbox.deliver(&message("c", "other", false));
        assert_eq!(text(&one).await, "2");
        inbox.left_out("a/b", "too large");
        assert_eq!(text(&one).await, "too large");
    }

    #[tokio::test]
    async fn messages_of_several_filters_wait_in_the_order_in_which_they_arrived() {
        let (inbox, outbox) = (Arc::<Inbox>::default(), Arc::<Outbox>::default());
        let all = Subscription::new(vec!["b".into(), "a".into()], 9, &inbox, &outbox);
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
        let subscribe = || Subscription::new(vec!["a".into()], 1, &inbox, &outbox);
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
