//! Posts events to other programs: signed, repeated until they are accepted, in order for each path.

mod queues;

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use futures_util::FutureExt;
use hmac::Mac;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::{Duration, sleep},
};
use utoipa::ToSchema;

use self::queues::Queues;
use super::{Bus, EncodedEvent, Event, Kind};
use crate::{
    backoff::Backoff,
    error::Result,
    hosts::{self, Hosts},
    secret::{self, Secret, hmac_sha256, shown_endpoint},
    units::HumanDuration,
};

/// Most paths whose events are posted to one webhook at the same time.
const MAX_CONCURRENT: usize = 8;

/// Most dead letters that are kept; beyond it the oldest are dropped.
const MAX_DEAD_LETTERS: usize = 200;

/// The pauses between attempts to post an event.
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));

/// Settings of events (`events` in sidecar.yml).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// The programs that events are posted to.
    pub webhooks: Vec<Webhook>,
}

/// A program that events are posted to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The URL to which events are posted, `http://` or `https://`. It can contain a token.
    #[serde(serialize_with = "secret::serialize_endpoint")]
    pub url: String,
    /// The key of the signature in `X-Mtx-Signature`; empty: no signature.
    #[serde(default)]
    pub pass: Secret,
    /// The kinds of events to post; empty: all.
    #[serde(default)]
    pub events: Vec<Kind>,
    /// The longest time for an answer.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
    /// Attempts to post an event before it becomes a dead letter.
    #[serde(default = "tries")]
    pub tries: u32,
}

fn timeout() -> HumanDuration {
    HumanDuration::secs(5)
}

fn tries() -> u32 {
    8
}

impl Webhook {
    fn takes(&self, kind: Kind) -> bool {
        self.events.is_empty() || self.events.contains(&kind)
    }
}

impl EventSettings {
    /// Settings that are not valid: the key, and the rule that it breaks.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = vec![];
        for (i, hook) in self.webhooks.iter().enumerate() {
            let uri = hook.url.parse::<actix_web::http::Uri>().ok();
            let fits =
                uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
            if !fits || hook.url.contains('@') {
                found.push((
                    format!("webhooks[{i}].url"),
                    format!(
                        "must be an http or https URL without user and password, not {:?}",
                        shown_endpoint(&hook.url)
                    ),
                ));
            }
            if !(1..=20).contains(&hook.tries) {
                found.push((format!("webhooks[{i}].tries"), format!("must be from 1 to 20, not {}", hook.tries)));
            }
            if *hook.timeout < Duration::from_millis(100) || hook.timeout > HumanDuration::secs(60) {
                found.push((
                    format!("webhooks[{i}].timeout"),
                    format!("must be from 100ms to 1m, not {}", hook.timeout),
                ));
            }
        }
        found
    }
}

/// An event that could not be delivered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// The URL of the webhook, without what can be a secret: values of parameters, and long segments of the path.
    pub url: String,
    /// Why the last attempt failed.
    pub error: String,
    /// The number of attempts.
    pub tries: u32,
    /// The event.
    pub event: Event,
    /// In a cluster, for an event that another node has tried to deliver: the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// Posts events, and keeps the latest dead letters. Cheap to clone.
#[derive(Clone, Default)]
pub struct Webhooks(Arc<Kept>);

#[derive(Default)]
struct Kept {
    dead: Mutex<VecDeque<DeadLetter>>,
    feeds: Mutex<Vec<Feed>>,
}

impl Webhooks {
    /// Starts a thread for each webhook; it ends with the program. With `is_fed` a webhook posts what its [`Feed`] is given,
    /// and otherwise all events of the bus.
    pub fn start(&self, settings: &EventSettings, bus: &Bus, hosts: &Hosts, is_fed: bool) -> Result<()> {
        for hook in settings.webhooks.clone() {
            let (bus, dead) = (bus.clone(), self.clone());
            let timeout = *hook.timeout;
            let delivery = Arc::new(Delivery::new(hook, bus, dead, is_fed));
            if is_fed {
                self.0.feeds.lock().push(Feed(delivery.clone()));
            }
            hosts.spawn("webhook", timeout, move |client| post_forever(client, delivery.clone()))?;
        }
        Ok(())
    }

    /// The webhooks that were started with `is_fed`.
    pub fn feeds(&self) -> Vec<Feed> {
        self.0.feeds.lock().clone()
    }

    /// Events that could not be delivered, newest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.dead.lock().iter().rev().cloned().collect()
    }

    fn dead_letter(&self, hook: &Webhook, event: &EncodedEvent, error: String, tries: u32) {
        tracing::warn!(
            url = shown_endpoint(&hook.url),
            id = event.event.id,
            tries,
            "an event could not be delivered: {error}"
        );
        let mut dead_letters = self.0.dead.lock();
        if dead_letters.len() == MAX_DEAD_LETTERS {
            dead_letters.pop_front();
        }
        let url = shown_endpoint(&hook.url);
        dead_letters.push_back(DeadLetter { url, error, tries, event: event.event.clone(), node: None });
    }
}

/// The value of `X-Mtx-Signature`: `t=SECONDS,sha256=HEX`, where HEX is the HMAC-SHA256 of `SECONDS.BODY`. The time is
/// signed too, so that a receiver can refuse a request that a third party recorded and posts again later.
fn signature(secret: &str, timestamp: u64, body: &[u8]) -> String {
    let mut mac = hmac_sha256(secret.as_bytes());
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={timestamp},sha256={digest}")
}

fn seconds_since_epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What a webhook keeps when its task is started again after a panic.
struct Delivery {
    hook: Webhook,
    bus: Bus,
    dead: Webhooks,
    /// The id of the last event that was queued.
    last: AtomicU64,
    queues: Mutex<Queues>,
    /// Whether events come by a [`Feed`], and not from the bus.
    is_fed: bool,
    wake: Notify,
    /// Tickets of events that are done. At most so many are on their way as the feed has given.
    done: mpsc::UnboundedSender<u64>,
    taken: tokio::sync::Mutex<mpsc::UnboundedReceiver<u64>>,
}

impl Delivery {
    fn new(hook: Webhook, bus: Bus, dead: Webhooks, is_fed: bool) -> Self {
        let last = AtomicU64::new(bus.latest());
        let (done, taken) = mpsc::unbounded_channel();
        let (queues, wake) = (Mutex::default(), Notify::new());
        Delivery { hook, bus, dead, last, queues, is_fed, wake, done, taken: taken.into() }
    }

    /// Notes that the event is posted, or is a dead letter.
    fn finish(&self, event: &EncodedEvent) {
        if let Some(ticket) = event.ticket {
            // The receiver lives as long as this.
            let _ = self.done.send(ticket);
        }
    }

    fn queue(&self, event: Arc<EncodedEvent>) {
        let dropped = self.queues.lock().push(event);
        if let Some(dropped) = dropped {
            self.dead.dead_letter(&self.hook, &dropped, "too many events were waiting".into(), 0);
            self.finish(&dropped);
        }
    }

    /// Queues the events that were published since the last call.
    fn collect(&self) {
        if self.is_fed {
            return;
        }
        let Delivery { hook, bus, last, .. } = self;
        let replay = bus.since(last.load(Ordering::Relaxed));
        if replay.has_gap {
            tracing::warn!(
                url = shown_endpoint(&hook.url),
                "events came faster than they could be queued; some were not posted"
            );
        }
        for event in replay.events {
            last.store(event.event.id, Ordering::Relaxed);
            if hook.takes(event.event.kind) {
                self.queue(event);
            }
        }
    }
}

/// Gives events to one webhook. Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Delivery>);

impl Feed {
    /// A name of the webhook that does not tell its URL: the same with the same key, URL and kinds of events.
    pub fn digest(&self, key: &[u8]) -> String {
        let mut mac = hmac_sha256(key);
        mac.update(self.0.hook.url.as_bytes());
        for kind in &self.0.hook.events {
            mac.update(b"\n");
            mac.update(kind.as_str().as_bytes());
        }
        mac.finalize().into_bytes().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether the webhook wants events of this kind.
    pub fn takes(&self, kind: Kind) -> bool {
        self.0.hook.takes(kind)
    }

    /// Queues an event. [`Feed::done`] gives the ticket back when the event is posted, or is a dead letter.
    pub fn push(&self, event: Event, ticket: Option<u64>) {
        match EncodedEvent::new(event, true) {
            Ok(event) => self.0.queue(Arc::new(EncodedEvent { ticket, ..event })),
            Err(e) => {
                tracing::error!("an event cannot be encoded: {e}");
                if let Some(ticket) = ticket {
                    let _ = self.0.done.send(ticket);
                }
            }
        }
        self.0.wake.notify_one();
    }

    /// Whether the event of a ticket is not done yet.
    pub fn has(&self, ticket: u64) -> bool {
        self.0.queues.lock().has(ticket)
    }

    /// Forgets events with a ticket that wait: another node posts them. One that is being posted is finished.
    pub fn clear(&self) {
        self.0.queues.lock().retain(|event| event.ticket.is_none());
    }

    /// The next ticket whose event is done. Cancel-safe.
    pub async fn done(&self) -> u64 {
        match self.0.taken.lock().await.recv().await {
            Some(ticket) => ticket,
            // The sender lives as long as this.
            None => std::future::pending().await,
        }
    }
}

async fn post_forever(client: awc::Client, delivery: Arc<Delivery>) {
    let mut listening = delivery.bus.listen();
    delivery.queues.lock().restart();
    let local = tokio::task::LocalSet::new();
    let mut posting = JoinSet::new();
    local
        .run_until(async {
            loop {
                delivery.collect();
                while posting.len() < MAX_CONCURRENT
                    && let Some(event) = next(&delivery)
                {
                    let (client, delivery) = (client.clone(), delivery.clone());
                    posting.spawn_local(async move {
                        let Delivery { hook, dead, .. } = &*delivery;
                        let posted = AssertUnwindSafe(post(&client, hook, &event, dead)).catch_unwind().await;
                        if posted.is_err() {
                            // The path must not stay busy, or its later events would wait for ever.
                            dead.dead_letter(hook, &event, "posting it panicked (see the log)".into(), 1);
                        }
                        delivery.queues.lock().busy.remove(&event.event.path);
                        delivery.finish(&event);
                    });
                }
                tokio::select! {
                    changed = listening.changed() => if changed.is_err() { return },
                    () = delivery.wake.notified() => {}
                    Some(_) = posting.join_next() => {}
                }
            }
        })
        .await;
}

fn next(delivery: &Delivery) -> Option<Arc<EncodedEvent>> {
    delivery.queues.lock().pop()
}

async fn post(client: &awc::Client, hook: &Webhook, event: &EncodedEvent, dead: &Webhooks) {
    let mut backoff = RETRY;
    for tries in 1.. {
        let mut request = client.post(&hook.url).content_type("application/json");
        request = request.insert_header(("X-Mtx-Event", event.event.kind.as_str()));
        if let Some(uid) = &event.event.uid {
            request = request.insert_header(("X-Mtx-Event-Id", uid.as_str()));
        }
        if !hook.pass.is_empty() {
            let value = signature(hook.pass.expose(), seconds_since_epoch(), &event.json);
            request = request.insert_header(("X-Mtx-Signature", value));
        }
        let error = match request.send_body(event.json.clone()).await {
            Ok(response) if response.status().is_success() => return,
            // Another attempt would be refused too, except after a timeout or a rate limit.
            Ok(response) if response.status().is_client_error() && !matches!(response.status().as_u16(), 408 | 429) => {
                return dead.dead_letter(hook, event, format!("answered {}", response.status()), tries);
            }
            Ok(response) => format!("answered {}", response.status()),
            Err(e) => hosts::explain(&e),
        };
        if tries >= hook.tries {
            return dead.dead_letter(hook, event, error, tries);
        }
        tracing::debug!(
            url = shown_endpoint(&hook.url),
            id = event.event.id,
            tries,
            "an event was not accepted: {error}"
        );
        sleep(backoff.next_pause()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_as_documented() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            signature("key", 1_700_000_000, br#"{"a":1}"#),
            "t=1700000000,sha256=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
        );
    }
}
