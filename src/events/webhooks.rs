//! Events posted to other programs: signed, repeated until they are taken, in order for each path.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep},
};
use utoipa::ToSchema;

use super::{Bus, EncodedEvent, Event, Kind};
use crate::{
    backoff::Backoff,
    error::Result,
    hosts::{self, Hosts},
    secret::Secret,
    units::HumanDuration,
};

/// Events that wait for one webhook; beyond it the oldest are given up.
const WAITING: usize = 5000;

/// Paths whose events are posted to one webhook at a time.
const AT_A_TIME: usize = 8;

/// Events that were given up and are remembered.
const DEAD: usize = 200;

/// The pause before an event is posted again, doubled each time.
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));

/// Whom events are told to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// Programs that events are posted to.
    pub webhooks: Vec<Webhook>,
}

/// One program that events are posted to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The URL to which events are posted, `http://` or `https://`.
    pub url: String,
    /// Signs what is posted; empty for no signature.
    #[serde(default)]
    pub pass: Secret,
    /// Kinds of events; all if it is empty.
    #[serde(default)]
    pub events: Vec<Kind>,
    /// How long an answer may take.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
    /// How often an event is tried before it is given up.
    #[serde(default = "tries")]
    pub tries: u32,
}

fn timeout() -> HumanDuration {
    HumanDuration::secs(5)
}

fn tries() -> u32 {
    8
}

impl EventSettings {
    /// Says what is wrong with the settings, by key.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = vec![];
        for (i, hook) in self.webhooks.iter().enumerate() {
            let uri = hook.url.parse::<actix_web::http::Uri>().ok();
            let fits =
                uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
            if !fits || hook.url.contains('@') {
                found.push((
                    format!("webhooks[{i}].url"),
                    format!("must be an http or https URL without user and password, not {:?}", hook.url),
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

/// An event that was given up.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeadLetter {
    /// Where it should have gone.
    pub url: String,
    /// Why it did not.
    pub error: String,
    /// How often it was tried.
    pub tries: u32,
    /// The event.
    pub event: Event,
}

/// Posts events. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Webhooks(Arc<Mutex<VecDeque<DeadLetter>>>);

impl Webhooks {
    /// Starts a thread for each webhook; it ends with the program.
    pub fn start(&self, settings: &EventSettings, bus: &Bus, hosts: &Hosts) -> Result<()> {
        for hook in settings.webhooks.clone() {
            let (bus, dead) = (bus.clone(), self.clone());
            hosts.spawn("webhook", *hook.timeout, move |client| post_forever(client, hook, bus, dead))?;
        }
        Ok(())
    }

    /// Events that were given up, newest first.
    pub fn dead(&self) -> Vec<DeadLetter> {
        self.0.lock().iter().rev().cloned().collect()
    }

    fn dead_letter(&self, hook: &Webhook, told: &EncodedEvent, error: String, tries: u32) {
        tracing::warn!(url = hook.url, id = told.event.id, tries, "an event was given up: {error}");
        let mut dead = self.0.lock();
        if dead.len() == DEAD {
            dead.pop_front();
        }
        dead.push_back(DeadLetter { url: hook.url.clone(), error, tries, event: told.event.clone() });
    }
}

/// The value of `X-Mtx-Signature`: the time stands in front, so that what was posted cannot be posted again later by
/// somebody else.
pub fn signature(secret: &str, timestamp: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={timestamp},sha256={digest}")
}

/// What waits, by path: the first of each may be on its way, and the others wait for it.
#[derive(Default)]
struct Queues {
    waiting: HashMap<String, VecDeque<Arc<EncodedEvent>>>,
    busy: HashSet<String>,
    count: usize,
}

impl Queues {
    /// Takes an event; returns one that has to be given up for it.
    fn push(&mut self, told: Arc<EncodedEvent>) -> Option<Arc<EncodedEvent>> {
        let mut given_up = None;
        if self.count >= WAITING {
            // The longest queue is the one whose events are the least worth.
            let longest = self.waiting.values_mut().max_by_key(|queue| queue.len());
            given_up = longest.and_then(VecDeque::pop_front);
            self.count -= usize::from(given_up.is_some());
        }
        self.count += 1;
        self.waiting.entry(told.event.path.clone()).or_default().push_back(told);
        given_up
    }

    /// The next event whose path has none on its way.
    fn pop(&mut self) -> Option<Arc<EncodedEvent>> {
        let path = self.waiting.keys().find(|path| !self.busy.contains(*path))?.clone();
        let queue = self.waiting.get_mut(&path)?;
        let told = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&path);
        }
        self.count -= usize::from(told.is_some());
        self.busy.insert(path);
        told
    }
}

async fn post_forever(client: awc::Client, hook: Webhook, bus: Bus, dead: Webhooks) {
    let (hook, mut listening, mut last) = (Arc::new(hook), bus.listen(), bus.latest());
    let mut queues = Queues::default();
    let local = tokio::task::LocalSet::new();
    let mut posting = JoinSet::new();
    local
        .run_until(async {
            loop {
                let heard = bus.since(last);
                for told in heard.events {
                    last = told.event.id;
                    if (hook.events.is_empty() || hook.events.contains(&told.event.kind))
                        && let Some(given_up) = queues.push(told)
                    {
                        dead.dead_letter(&hook, &given_up, "too many events waited".into(), 0);
                    }
                }
                while posting.len() < AT_A_TIME
                    && let Some(told) = queues.pop()
                {
                    let (client, hook, dead) = (client.clone(), hook.clone(), dead.clone());
                    posting.spawn_local(async move {
                        post(&client, &hook, &told, &dead).await;
                        told.event.path.clone()
                    });
                }
                tokio::select! {
                    changed = listening.changed() => if changed.is_err() { return },
                    Some(Ok(path)) = posting.join_next() => drop(queues.busy.remove(&path)),
                }
            }
        })
        .await;
}

async fn post(client: &awc::Client, hook: &Webhook, told: &EncodedEvent, dead: &Webhooks) {
    let mut backoff = RETRY;
    for tries in 1.. {
        let mut request = client.post(&hook.url).content_type("application/json");
        request = request.insert_header(("X-Mtx-Event", told.event.kind.as_str()));
        if !hook.pass.is_empty() {
            let value = signature(hook.pass.expose(), crate::policy::now(), &told.json);
            request = request.insert_header(("X-Mtx-Signature", value));
        }
        let error = match request.send_body(told.json.clone()).await {
            Ok(response) if response.status().is_success() => return,
            // What it does not understand it will not understand later.
            Ok(response) if response.status().is_client_error() && !matches!(response.status().as_u16(), 408 | 429) => {
                return dead.dead_letter(hook, told, format!("answered {}", response.status()), tries);
            }
            Ok(response) => format!("answered {}", response.status()),
            Err(e) => hosts::explain(&e),
        };
        if tries >= hook.tries {
            return dead.dead_letter(hook, told, error, tries);
        }
        tracing::debug!(url = hook.url, id = told.event.id, tries, "an event was not taken: {error}");
        sleep(backoff.next_pause()).await;
    }
}

/// When something was told last about whom: a flood is one event in so long.
#[derive(Debug, Default)]
pub struct RateLimiter(HashMap<String, Instant>);

impl RateLimiter {
    /// Whether it may be told again.
    pub fn may_tell(&mut self, about: &str, pause: Duration) -> bool {
        let now = Instant::now();
        if self.0.len() > 1000 {
            self.0.retain(|_, at| now.duration_since(*at) < pause);
            if self.0.len() > 1000 {
                return false;
            }
        }
        let last = self.0.get(about);
        let may = last.is_none_or(|at| now.duration_since(*at) >= pause);
        if may {
            self.0.insert(about.to_owned(), now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn signatures_are_as_documented() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let expected = "t=1700000000,sha256=";
        let found = signature("key", 1_700_000_000, br#"{"a":1}"#);
        assert!(found.starts_with(expected) && found.len() == expected.len() + 64);
        assert_ne!(found, signature("key", 1_700_000_001, br#"{"a":1}"#));
        assert_ne!(found, signature("other", 1_700_000_000, br#"{"a":1}"#));
    }

    #[test]
    fn queues_keep_the_order_of_a_path_and_are_bounded() {
        let bus = Bus::default();
        let begin = bus.latest();
        for n in 0..WAITING as u32 + 10 {
            bus.tell(Kind::PathAvailable, if n % 10 == 0 { "rare" } else { "often" }, json!({ "source": n }));
        }
        let mut queues = Queues::default();
        let mut given_up = 0;
        // More than the bus keeps, so each is pushed three times.
        for _ in 0..3 {
            for told in bus.since(begin).events {
                given_up += usize::from(queues.push(told).is_some());
            }
        }
        assert_eq!((queues.count, given_up), (WAITING, 1000));
        let (a, b) = (queues.pop().expect("one"), queues.pop().expect("another"));
        assert_ne!(a.event.path, b.event.path);
        assert!(queues.pop().is_none(), "both paths have one on its way");
        queues.busy.remove(&a.event.path);
        assert_eq!(queues.pop().expect("the next").event.path, a.event.path);
    }
}
