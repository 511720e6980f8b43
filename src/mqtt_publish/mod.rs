//! Pictures of streams as MQTT messages, their states, and Home Assistant's discovery.
//!
//! [`Publisher`] knows what is published, and has a task for each publication (`stream`). It asks the catalog for pictures as a
//! visitor does, so that a path of MediaMTX can be published, too, and a camera runs only while a picture is taken.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod commands;
mod home_assistant;
mod stream;
mod values;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use self::home_assistant::Common;
use crate::{
    catalog::{Catalog, Requester},
    error::{Code, Error, Result},
    events::Bus,
    mqtt::{Message, Mqtt, News, Publication, Received, Subscription},
    output::{snapshot, variants::Variants},
    store::Store,
    stream::StreamName,
    supervise::Supervisor,
};

/// The fact of the database with the publications of the API.
const FACT: &str = "mqtt.publish";

/// Publications that the API can add: those of a large installation; each has a task and messages that wait.
const MAX_PUBLICATIONS: usize = 500;

/// Messages of discovery that wait: the broker sends all that it has kept at once.
const DISCOVERY_ROOM: usize = 2048;

/// Pictures that are transformed for publications at a time.
const TURNS: usize = 2;

/// What a publisher is built from.
pub struct Parts {
    /// The connection to the broker.
    pub mqtt: Mqtt,
    /// The streams.
    pub catalog: Catalog,
    /// Transforms pictures.
    pub variants: Variants,
    /// Keeps the publications of the API.
    pub store: Store,
    /// Starts tasks again that panic.
    pub supervisor: Supervisor,
    /// Events.
    pub events: Bus,
    /// How pictures are taken.
    pub snapshot: snapshot::Options,
    /// The address of the pages; empty if it is unknown.
    pub url: String,
}

/// Publishes pictures. Cheap to clone.
#[derive(Clone)]
pub struct Publisher(Arc<Inner>);

struct Inner {
    mqtt: Mqtt,
    catalog: Catalog,
    variants: Variants,
    store: Store,
    supervisor: Supervisor,
    events: Bus,
    snapshot: snapshot::Options,
    home_assistant: Option<Common>,
    common: Common,
    entries: Mutex<BTreeMap<StreamName, Arc<Entry>>>,
    changed: Notify,
    /// Held while the publications of the API are changed.
    changing: tokio::sync::Mutex<()>,
    turns: Semaphore,
}

/// One publication.
struct Entry {
    publication: Publication,
    is_from_file: bool,
    /// Asks for a picture now.
    request: Notify,
    /// Whether the stream exists, once that is known.
    is_present: Mutex<Option<bool>>,
    figures: Figures,
    ended: CancellationToken,
}

#[derive(Default)]
struct Figures {
    published: AtomicU64,
    bytes: AtomicU64,
    oversize: AtomicU64,
    last: Mutex<Option<SystemTime>>,
    problem: Mutex<Option<String>>,
}

impl Entry {
    fn new(publication: Publication, is_from_file: bool) -> Arc<Self> {
        Arc::new(Entry {
            publication,
            is_from_file,
            request: Notify::new(),
            is_present: Mutex::default(),
            figures: Figures::default(),
            ended: CancellationToken::new(),
        })
    }

    /// Notes whether the stream exists; returns whether that is news.
    fn set_present(&self, is_present: bool) -> bool {
        self.is_present.lock().replace(is_present) != Some(is_present)
    }

    /// After a new connection, the broker may have forgotten what it was told.
    fn forget_presence(&self) {
        *self.is_present.lock() = None;
    }
}

/// A publication with its figures.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = MqttPublication)]
pub struct PublicationState {
    /// The stream, or the path of MediaMTX.
    pub name: String,
    /// How it is published.
    pub publication: Publication,
    /// Whether sidecar.yml has it, so that the API cannot change it.
    pub is_from_file: bool,
    /// The topic of its pictures.
    pub topic: String,
    /// Pictures that were published.
    pub published: u64,
    /// Bytes of those pictures.
    pub bytes: u64,
    /// Pictures that were left out because the broker takes no message of their size.
    pub oversize: u64,
    /// When the last picture was published (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// Why the last picture was not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Inner {
    fn topic(&self, name: &str, below: &str) -> String {
        self.mqtt.topic(&format!("{name}/{below}"))
    }

    fn requester(&self) -> Requester {
        Requester { share: "mqtt".into(), may_make: true }
    }

    /// Fails if there is no stream and no path of MediaMTX of this name.
    async fn find(&self, name: &StreamName) -> Result<()> {
        self.catalog.find_or_relay(name, &self.requester()).await.map(drop)
    }

    /// Tells Home Assistant of a device, or that it is gone. A stream that is gone has no kept messages.
    fn announce(&self, name: &StreamName, is_present: bool) {
        if let Some(common) = &self.home_assistant {
            if is_present {
                self.mqtt.publish(Message::state(common.topic(name), common.stream(name).to_string()));
            } else {
                self.mqtt.publish(Message::state(common.topic(name), ""));
            }
        }
        if !is_present {
            for below in ["image", "state"] {
                self.mqtt.publish(Message::state(self.topic(name, below), ""));
            }
        }
    }

    /// Tells Home Assistant of all devices.
    fn announce_all(&self) {
        let Some(common) = &self.home_assistant else { return };
        let (topic, message) = common.own();
        self.mqtt.publish(Message::state(topic, message.to_string()));
        let entries = self.entries.lock().clone();
        for (name, _) in entries.iter().filter(|(_, entry)| *entry.is_present.lock() == Some(true)) {
            self.announce(name, true);
        }
    }

    /// Removes a device that is announced and no longer published: of before a restart.
    fn remove_stale(&self, message: &Received) {
        if message.payload.is_empty() {
            return;
        }
        let Ok(announced) = serde_json::from_slice::<Value>(&message.payload) else { return };
        if !self.common.is_own(&message.topic, &announced) {
            return;
        }
        let entries = self.entries.lock();
        let is_wanted = |(name, entry): (&StreamName, &Arc<Entry>)| {
            self.common.topic(name) == message.topic && *entry.is_present.lock() != Some(false)
        };
        if self.home_assistant.is_none() || !entries.iter().any(is_wanted) {
            self.mqtt.publish(Message::state(message.topic.clone(), ""));
        }
    }
}

impl Publisher {
    /// Reads the publications of the settings and of the database.
    pub fn new(parts: Parts) -> Result<Self> {
        let Parts { mqtt, catalog, variants, store, supervisor, events, snapshot, url } = parts;
        let settings = mqtt.settings().clone();
        let stored = store.fact(FACT)?.unwrap_or_else(|| "{}".into());
        let stored: BTreeMap<StreamName, Publication> = serde_json::from_str(&stored).unwrap_or_else(|e| {
            tracing::error!("the stored MQTT publications are damaged, and are left out: {e}");
            BTreeMap::new()
        });
        let mut entries: BTreeMap<_, _> =
            stored.into_iter().map(|(name, publication)| (name, Entry::new(publication, false))).collect();
        // sidecar.yml has precedence.
        entries.extend(settings.publish.into_iter().map(|(name, publication)| (name, Entry::new(publication, true))));
        let common = Common { discovery: settings.homeassistant.prefix, prefix: settings.prefix, url };
        Ok(Publisher(Arc::new(Inner {
            mqtt,
            catalog,
            variants,
            store,
            supervisor,
            events,
            snapshot,
            home_assistant: settings.homeassistant.enabled.then(|| common.clone()),
            common,
            entries: Mutex::new(entries),
            changed: Notify::new(),
            changing: tokio::sync::Mutex::default(),
            turns: Semaphore::new(TURNS),
        })))
    }

    /// All publications, by name.
    pub fn list(&self) -> Vec<PublicationState> {
        let entries = self.0.entries.lock();
        let each = entries.iter().map(|(name, entry)| PublicationState {
            name: name.to_string(),
            publication: entry.publication.clone(),
            is_from_file: entry.is_from_file,
            topic: self.0.topic(name, "image"),
            published: entry.figures.published.load(Ordering::Relaxed),
            bytes: entry.figures.bytes.load(Ordering::Relaxed),
            oversize: entry.figures.oversize.load(Ordering::Relaxed),
            last_at: entry.figures.last.lock().map(|at| humantime::format_rfc3339_millis(at).to_string()),
            problem: entry.figures.problem.lock().clone(),
        });
        each.collect()
    }

    /// Whether Home Assistant is told of devices.
    pub fn announces(&self) -> bool {
        self.0.home_assistant.is_some()
    }

    /// Publishes a stream, or changes how it is published, and stores that. Returns whether it is new.
    pub async fn put(&self, name: &StreamName, publication: Publication) -> Result<bool> {
        if let Some((field, rule)) = publication.problem() {
            return Err(Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field));
        }
        if self.0.mqtt.broker().is_none() {
            return Err(Error::new(Code::InvalidDefinition, "no broker is set (mqtt.url)"));
        }
        self.change(name, Some(publication)).await
    }

    /// Ends a publication. The broker and Home Assistant forget it.
    pub async fn remove(&self, name: &StreamName) -> Result<()> {
        self.change(name, None).await.map(drop)
    }

    async fn change(&self, name: &StreamName, publication: Option<Publication>) -> Result<bool> {
        let inner = &self.0;
        let _turn = inner.changing.lock().await;
        let before = inner.entries.lock().get(name).cloned();
        if before.as_ref().is_some_and(|entry| entry.is_from_file) {
            let message = format!("the publication of {name} is in sidecar.yml (mqtt.publish); change it there");
            return Err(Error::new(Code::FixedByFile, message));
        }
        if before.is_none() && publication.is_none() {
            return Err(Error::new(Code::UnknownStream, format!("{name} is not published by MQTT")));
        }
        let mut wanted = inner.entries.lock().clone();
        match publication {
            Some(publication) => drop(wanted.insert(name.clone(), Entry::new(publication, false))),
            None => drop(wanted.remove(name)),
        }
        if before.is_none() && wanted.len() > MAX_PUBLICATIONS {
            let message = format!("{MAX_PUBLICATIONS} streams are published already, and more are not possible");
            return Err(Error::new(Code::TooManyStreams, message));
        }
        let stored: BTreeMap<_, _> = wanted
            .iter()
            .filter(|(_, entry)| !entry.is_from_file)
            .map(|(name, entry)| (name.to_string(), entry.publication.clone()))
            .collect();
        let text = serde_json::to_string(&stored).map_err(|e| Error::internal("publications cannot be written", e))?;
        inner.store.run(move |store| store.put_fact(FACT, &text)).await?;
        let is_removed = !wanted.contains_key(name);
        *inner.entries.lock() = wanted;
        if let Some(before) = &before {
            before.ended.cancel();
        }
        if is_removed {
            inner.announce(name, false);
        }
        inner.changed.notify_one();
        Ok(before.is_none())
    }

    /// Publishes until the program ends.
    pub async fn run(&self) {
        let inner = &self.0;
        if inner.mqtt.broker().is_none() {
            return;
        }
        tokio::select! {
            () = self.hold() => {}
            () = commands::publish_events(inner, &inner.events) => {}
            () = commands::take_requests(inner) => {}
            () = values::take_values(inner) => {}
        }
    }

    /// Holds the tasks of the publications, and tells Home Assistant of devices.
    async fn hold(&self) {
        let inner = &self.0;
        let announced = inner.mqtt.subscribe(&inner.common.all(), DISCOVERY_ROOM);
        let restarts = inner.mqtt.subscribe(&format!("{}/status", inner.common.discovery), 1);
        let mut status = inner.mqtt.status();
        status.mark_changed();
        let mut tasks = JoinSet::new();
        let mut running = BTreeMap::new();
        loop {
            self.start_tasks(&mut tasks, &mut running);
            tokio::select! {
                () = inner.changed.notified() => {}
                news = announced.next() => if let News::Message(message) = news {
                    inner.remove_stale(&message);
                },
                news = restarts.next() => if matches!(&news, News::Message(message) if message.payload == "online") {
                    // Home Assistant was started: it may have lost what the broker kept, and its entities are unknown.
                    inner.announce_all();
                    inner.entries.lock().values().for_each(|entry| entry.request.notify_one());
                },
                changed = status.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if status.borrow_and_update().is_connected() {
                        inner.announce_all();
                    }
                }
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            }
        }
    }

    /// Starts a task for each publication that has none.
    fn start_tasks(&self, tasks: &mut JoinSet<()>, running: &mut BTreeMap<StreamName, Arc<Entry>>) {
        let entries = self.0.entries.lock().clone();
        running.retain(|name, entry| entries.get(name).is_some_and(|wanted| Arc::ptr_eq(wanted, entry)));
        for (name, entry) in entries {
            if running.contains_key(&name) {
                continue;
            }
            running.insert(name.clone(), entry.clone());
            let inner = self.0.clone();
            tasks.spawn(async move {
                let ask = inner.mqtt.subscribe(&inner.topic(&name, "snapshot/set"), 1);
                let publishing = inner.supervisor.run("mqtt publication", || async {
                    tokio::select! {
                        () = stream::publish_forever(&inner, &name, &entry) => {}
                        () = listen(&ask, &entry) => {}
                    }
                });
                tokio::select! {
                    () = publishing => {}
                    () = entry.ended.cancelled() => {}
                }
            });
        }
    }
}

/// Takes requests for a picture. A kept one is of an earlier time, and is left out.
async fn listen(ask: &Subscription, entry: &Entry) {
    loop {
        if matches!(ask.next().await, News::Message(message) if !message.is_retained) {
            entry.request.notify_one();
        }
    }
}
