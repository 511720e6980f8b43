//! [`Posts`]: the events of all nodes in one stream of JetStream, from which one node posts them to each webhook.
//!
//! A lease for each webhook says which node that is. A durable consumer has what is not posted yet: events that a node has taken
//! and not posted come again for the next one. So an event is posted at least once; `uid` tells doubles.

use std::collections::{BTreeMap, HashMap};

use async_nats::{
    HeaderMap,
    jetstream::{
        self, Message,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        context::PublishErrorKind,
        stream::{Config, DiscardPolicy, StorageType},
    },
};
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use super::leases::Leases;
use crate::{
    cluster::{Cluster, Link, lease::Role, names::token},
    error::{Code, Error, Result},
    events::{Bus, EncodedEvent, Event, Feed},
    stream::StreamName,
};

/// The stream, without the prefix.
const STREAM: &str = "events";

/// The first words of leases of webhooks, which are no streams.
const LEASE: &str = "_webhooks/";

/// How long an event waits for a webhook that no node serves.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// Bytes of all events that wait: some hundred thousand.
const MAX_BYTES: i64 = 64 << 20;

/// How long the servers remember the names of events, so that one that is sent twice is stored once.
const DOUBLES: Duration = Duration::from_secs(120);

/// An event that a node has taken, and that is not done after so long, comes again, also to another node.
const ACK_WAIT: Duration = Duration::from_secs(5);

/// Most events that a node has taken and not posted: fewer than a webhook's queue holds.
const MAX_OPEN: i64 = 1000;

/// Events that are fetched at a time.
const BATCH: usize = 100;

/// A webhook that no node has in its settings is forgotten after this time.
const INACTIVE: Duration = Duration::from_secs(3 * 24 * 3600);

/// The pause before a node without webhooks stores an event again.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether the name of a lease is that of a webhook.
pub(super) fn is_lease(name: &str) -> bool {
    name.starts_with(LEASE)
}

/// The webhooks of this node, and its events.
pub(super) struct Posts {
    cluster: Cluster,
    leases: Leases,
    hooks: Vec<Hook>,
}

struct Hook {
    feed: Feed,
    /// The name of its consumer.
    name: String,
    open: Mutex<Open>,
}

/// What this node has taken and not posted.
#[derive(Default)]
struct Open {
    /// By the number in the stream.
    messages: HashMap<u64, Message>,
    /// When the consumer was made. Numbers of another one mean nothing.
    of: String,
}

impl Posts {
    pub(super) fn new(cluster: Cluster, leases: Leases, feeds: &[Feed]) -> Self {
        let key = cluster.settings().secret.expose().as_bytes();
        let hook = |feed: &Feed| Hook {
            feed: feed.clone(),
            name: format!("webhook_{}", feed.digest(key)),
            open: Mutex::default(),
        };
        let hooks = feeds.iter().map(hook).collect();
        Posts { cluster, leases, hooks }
    }

    pub(super) async fn run(&self, events: &Bus) {
        let serve = futures_util::future::join_all(self.hooks.iter().map(|hook| self.serve(hook)));
        tokio::join!(self.store(events), serve);
    }

    /// Stores the events of this node in the stream.
    async fn store(&self, events: &Bus) {
        let mut listening = events.listen();
        let mut link = self.cluster.connection().link();
        let mut last = events.latest();
        // The connection with which the consumers were there.
        let mut prepared = None;
        loop {
            for event in events.since(last).events {
                if event.is_foreign {
                    last = event.event.id;
                    continue;
                }
                let number = match *link.borrow() {
                    Link::Up { number, .. } => Some(number),
                    Link::Away { .. } => None,
                };
                if number.is_some() && prepared != number && self.prepare().await.is_ok() {
                    prepared = number;
                }
                match self.store_one(&event).await {
                    Ok(()) => {}
                    // No node has a webhook.
                    Err(Some(PublishErrorKind::StreamNotFound)) if self.hooks.is_empty() => {}
                    Err(_) if self.hooks.is_empty() => {
                        // Another node has, perhaps.
                        sleep(AGAIN).await;
                        break;
                    }
                    // This node posts it itself, and in time.
                    Err(kind) => {
                        if kind == Some(PublishErrorKind::StreamNotFound) {
                            prepared = None;
                        }
                        let hooks = self.hooks.iter().filter(|hook| hook.feed.takes(event.event.kind));
                        hooks.for_each(|hook| hook.feed.push(event.event.clone(), None));
                    }
                }
                last = event.event.id;
            }
            if events.latest() == last {
                if listening.changed().await.is_err() {
                    return;
                }
            } else if link.wait_for(Link::is_up).await.is_err() {
                return;
            }
        }
    }

    /// The error is none if the servers are away.
    async fn store_one(&self, event: &EncodedEvent) -> Result<(), Option<PublishErrorKind>> {
        let connection = self.cluster.connection();
        if !connection.is_up() {
            return Err(None);
        }
        let subject = connection.names.subject(&["log", &token(&self.cluster.node())]);
        let unwritten = |e: Error| {
            tracing::error!("an event cannot be given to the webhooks of the cluster: {}", e.chain());
            None
        };
        let sealed = self.cluster.seal(&subject, &event.event).map_err(unwritten)?;
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, event.event.uid.as_deref().unwrap_or_default());
        let stored = match connection.jetstream.publish_with_headers(subject, headers, sealed).await {
            Ok(answer) => answer.await.map(drop),
            Err(e) => Err(e),
        };
        stored.map_err(|e| {
            tracing::debug!("an event is not stored for the webhooks of the cluster: {e}");
            Some(e.kind())
        })
    }

    /// Makes the consumers of this node's webhooks, so that they have its events.
    async fn prepare(&self) -> Result<()> {
        for hook in &self.hooks {
            if let Err(e) = self.consumer(hook).await {
                tracing::debug!("the events of other nodes are not posted now: {}", e.chain());
                return Err(e);
            }
        }
        Ok(())
    }

    async fn consumer(&self, hook: &Hook) -> Result<PullConsumer> {
        let connection = self.cluster.connection();
        let name = connection.names.bucket(STREAM);
        let failed = |e: Box<dyn std::error::Error + Send + Sync>| {
            let message = "the stream of events for webhooks cannot be used at NATS";
            Error::new(Code::ClusterUnavailable, message).caused_by(e)
        };
        let make = |num_replicas| {
            let config = Config {
                name: name.clone(),
                description: Some("events of all nodes, for webhooks".into()),
                subjects: vec![connection.names.subject(&["log", "*"])],
                storage: StorageType::File,
                discard: DiscardPolicy::Old,
                max_age: MAX_AGE,
                max_bytes: MAX_BYTES,
                duplicate_window: DOUBLES,
                num_replicas,
                ..Config::default()
            };
            connection.jetstream.get_or_create_stream(config)
        };
        let replicas = connection.replicas();
        let stream: jetstream::stream::Stream = match make(replicas).await {
            Err(_) if replicas > 1 => make(1).await,
            made => made,
        }
        .map_err(|e| failed(e.into()))?;
        let config = pull::Config {
            durable_name: Some(hook.name.clone()),
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: MAX_OPEN,
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        };
        stream.get_or_create_consumer(&hook.name, config).await.map_err(|e| failed(e.into()))
    }

    /// Posts to one webhook while this node has its lease.
    async fn serve(&self, hook: &Hook) {
        let Ok(name) = StreamName::parse(&format!("{LEASE}{}", hook.name)) else { return };
        let wanted = self.leases.want(&name, true);
        let mut role = wanted.role();
        let is_holder = |role: &Role| matches!(role, Role::Holder { .. });
        loop {
            if role.wait_for(is_holder).await.is_err() {
                return;
            }
            tokio::select! {
                () = self.cluster.connection().follow("the events for a webhook", || self.post(hook)) => return,
                _ = role.wait_for(|role| !is_holder(role)) => {}
            }
            hook.feed.clear();
            hook.open.lock().messages.clear();
        }
    }

    async fn post(&self, hook: &Hook) -> Result<()> {
        let failed = |what: &'static str| {
            move |e: Box<dyn std::error::Error + Send + Sync>| Error::new(Code::ClusterUnavailable, what).caused_by(e)
        };
        let consumer = self.consumer(hook).await?;
        let info = consumer.get_info().await.map_err(|e| failed("the consumer has no state")(e.into()))?;
        hook.is_of(&info.created.to_string());
        let fetched = consumer.stream().max_messages_per_batch(BATCH).messages().await;
        let mut messages = fetched.map_err(|e| failed("events cannot be fetched")(e.into()))?;
        // Events that another node has taken come again after ACK_WAIT, and before those that came after them.
        let mut again = Again {
            missing: info.num_ack_pending.saturating_sub(hook.open.lock().messages.len()),
            newest: info.delivered.stream_sequence,
            early: BTreeMap::new(),
        };
        let patience = Instant::now() + ACK_WAIT * 2;
        loop {
            tokio::select! {
                // What is posted already is not taken again.
                biased;
                number = hook.feed.done() => {
                    let message = hook.open.lock().messages.remove(&number);
                    if let Some(message) = message {
                        acknowledge(&message).await;
                    }
                }
                message = messages.next() => {
                    let ended = "the events for a webhook have ended";
                    let message = message.ok_or_else(|| Error::new(Code::ClusterUnavailable, ended))?;
                    let message = message.map_err(|e| failed(ended)(e.into()))?;
                    let number = message.info().map_err(failed(ended))?.stream_sequence;
                    for (number, message) in again.next(number, message) {
                        self.take(hook, number, message).await;
                    }
                }
                () = sleep_until(patience), if again.missing > 0 => {
                    for (number, message) in again.give_up() {
                        self.take(hook, number, message).await;
                    }
                }
            }
        }
    }

    /// Gives an event to the webhook, unless it has it already.
    async fn take(&self, hook: &Hook, number: u64, message: Message) {
        let event: Option<Event> = self.cluster.unseal(&message.subject, &message.payload);
        match event.filter(|event| hook.feed.takes(event.kind)) {
            None => acknowledge(&message).await,
            Some(event) => {
                let is_new = hook.open.lock().messages.insert(number, message).is_none();
                if is_new && !hook.feed.has(number) {
                    hook.feed.push(event, Some(number));
                }
            }
        }
    }
}

impl Hook {
    /// Forgets what was taken from another consumer.
    fn is_of(&self, consumer: &str) {
        let mut open = self.open.lock();
        if open.of != consumer {
            self.feed.clear();
            *open = Open { messages: HashMap::new(), of: consumer.to_owned() };
        }
    }
}

/// Puts the events that another node has taken, and not posted, before those that came after them.
struct Again<T = Message> {
    /// How many are missing.
    missing: usize,
    /// The newest that was taken by then.
    newest: u64,
    /// What has come since.
    early: BTreeMap<u64, T>,
}

impl<T> Again<T> {
    /// Takes a message, and gives those that are next.
    fn next(&mut self, number: u64, message: T) -> BTreeMap<u64, T> {
        let is_known = self.early.insert(number, message).is_some();
        if number <= self.newest && !is_known {
            self.missing = self.missing.saturating_sub(1);
        }
        if self.missing == 0 { std::mem::take(&mut self.early) } else { BTreeMap::new() }
    }

    /// Gives what has come, because the others do not come.
    fn give_up(&mut self) -> BTreeMap<u64, T> {
        self.missing = 0;
        std::mem::take(&mut self.early)
    }
}

async fn acknowledge(message: &Message) {
    if let Err(e) = message.ack().await {
        tracing::debug!("a posted event is not acknowledged, and is posted again: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_another_node_did_not_post_come_before_later_ones() {
        let mut again = Again { missing: 2, newest: 4, early: BTreeMap::new() };
        let mut given = vec![];
        for number in [5, 3, 3, 6, 4, 7] {
            given.extend(again.next(number, ()).into_keys());
        }
        assert_eq!(given, [3, 4, 5, 6, 7]);
        let mut again = Again { missing: 1, newest: 4, early: BTreeMap::new() };
        assert!(again.next(5, ()).is_empty());
        assert_eq!(again.give_up().into_keys().collect::<Vec<_>>(), [5]);
        assert_eq!(again.next(6, ()).into_keys().collect::<Vec<_>>(), [6]);
    }
}
