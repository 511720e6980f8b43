//! Pictures of streams as MQTT messages, their states, and Home Assistant's discovery.
//!
//! [`Publisher`] knows what is published, and has a task for each publication (`stream`). It asks the catalog for pictures as a
//! visitor does, so that a path of MediaMTX can be published, too, and a camera runs only while a picture is taken.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod candidates;
mod commands;
mod entry;
mod home_assistant;
mod selection;
mod stream;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use regex::Regex;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};

pub use self::entry::{PatternState, PublicationState, Totals};
use self::{
    entry::{Entry, Figures},
    home_assistant::Common,
};
use crate::{
    catalog::{Catalog, Requester},
    error::{Code, Error, Result},
    events::Bus,
    mediamtx::{self, PathCache},
    mqtt::{Message, Mqtt, News, Publication, Room, Subject},
    output::{snapshot, variants::Variants},
    store::Store,
    stream::StreamName,
    supervise::Supervisor,
};

/// The fact of the database with the publications of the API.
const FACT: &str = "mqtt.publish";

/// Most publications: those of a large installation; each has a task and messages that wait.
const MAX_PUBLICATIONS: usize = 500;

/// Messages of discovery that wait: the broker sends all that it has kept at once.
const DISCOVERY_ROOM: usize = 2048;

/// A device of before a restart that belongs to no publication is removed after this time if there are regular expressions:
/// until then MediaMTX and topics may not have told their names.
const STALE: Duration = Duration::from_secs(60);

/// Pictures that are transformed for publications at a time.
const TURNS: usize = 2;

/// Pictures that are taken at a time: a regular expression can select hundreds of cameras, which would all start together.
/// One that does not answer holds its place for `output.snapshot_timeout`.
const TAKEN: usize = 32;

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
    /// MediaMTX's control API.
    pub mediamtx: mediamtx::Client,
    /// MediaMTX's paths as they were seen last.
    pub paths: PathCache,
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
    wanted: Mutex<BTreeMap<Subject, Wanted>>,
    /// What is published at the moment.
    entries: Mutex<BTreeMap<StreamName, Arc<Entry>>>,
    /// The names that regular expressions can select.
    names: Mutex<BTreeSet<StreamName>>,
    mediamtx: mediamtx::Client,
    paths: PathCache,
    /// Of all publications since the start, also of those that have ended.
    totals: Figures,
    changed: Notify,
    /// Held while the publications of the API are changed.
    changing: tokio::sync::Mutex<()>,
    turns: Semaphore,
    taking: Semaphore,
}

/// What is wanted of a name, or of all names that a regular expression selects.
#[derive(Clone)]
struct Wanted {
    publication: Publication,
    is_from_file: bool,
    regex: Option<Regex>,
}

impl Wanted {
    fn new(subject: Subject, publication: Publication, is_from_file: bool) -> (Subject, Self) {
        let regex = subject.regex();
        (subject, Wanted { publication, is_from_file, regex })
    }
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
        self.catalog.exists(name).await
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
        for (name, _) in entries.iter().filter(|(_, entry)| entry.is_present()) {
            self.announce(name, true);
        }
    }
}

impl Publisher {
    /// Reads the publications of the settings and of the database.
    pub fn new(parts: Parts) -> Result<Self> {
        let Parts { mqtt, catalog, variants, store, supervisor, events, snapshot, url, mediamtx, paths } = parts;
        let settings = mqtt.settings().clone();
        let stored = store.fact(FACT)?.unwrap_or_else(|| "{}".into());
        let stored: BTreeMap<Subject, Publication> = serde_json::from_str(&stored).unwrap_or_else(|e| {
            tracing::error!("the stored MQTT publications are damaged, and are left out: {e}");
            BTreeMap::new()
        });
        let mut wanted: BTreeMap<_, _> =
            stored.into_iter().map(|(subject, publication)| Wanted::new(subject, publication, false)).collect();
        // sidecar.yml has precedence.
        wanted
            .extend(settings.publish.into_iter().map(|(subject, publication)| Wanted::new(subject, publication, true)));
        let common = Common { discovery: settings.homeassistant.prefix, prefix: settings.prefix, url };
        let publisher = Publisher(Arc::new(Inner {
            mqtt,
            catalog,
            variants,
            store,
            supervisor,
            events,
            snapshot,
            home_assistant: settings.homeassistant.enabled.then(|| common.clone()),
            common,
            wanted: Mutex::new(wanted),
            entries: Mutex::default(),
            names: Mutex::default(),
            mediamtx,
            paths,
            totals: Figures::default(),
            changed: Notify::new(),
            changing: tokio::sync::Mutex::default(),
            turns: Semaphore::new(TURNS),
            taking: Semaphore::new(TAKEN),
        }));
        publisher.0.apply();
        Ok(publisher)
    }

    /// All publications, by name.
    pub fn list(&self) -> Vec<PublicationState> {
        let entries = self.0.entries.lock();
        entries.iter().map(|(name, entry)| entry.state(name, self.0.topic(name, "image"))).collect()
    }

    /// The number of publications.
    pub fn len(&self) -> usize {
        self.0.entries.lock().len()
    }

    /// Whether nothing is published.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The figures of all publications since the start.
    pub fn totals(&self) -> Totals {
        self.0.totals.read()
    }

    /// The regular expressions.
    pub fn patterns(&self) -> Vec<PatternState> {
        let wanted = self.0.wanted.lock().clone();
        let names = self.0.names.lock().clone();
        let entries = self.0.entries.lock();
        let states = wanted.into_iter().filter_map(|(subject, Wanted { publication, is_from_file, regex })| {
            let regex = regex?;
            let is_left_out = |name: &&StreamName| regex.is_match(name) && !entries.contains_key(*name);
            Some(PatternState {
                selected: entries.values().filter(|entry| entry.subject == subject).count(),
                left_out: names.iter().filter(is_left_out).count(),
                pattern: subject.to_string(),
                publication,
                is_from_file,
            })
        });
        states.collect()
    }

    /// Whether Home Assistant is told of devices.
    pub fn announces(&self) -> bool {
        self.0.home_assistant.is_some()
    }

    /// Publishes a stream, or all that a regular expression selects, or changes how, and stores that. Returns whether it is new.
    pub async fn put(&self, subject: &Subject, publication: Publication) -> Result<bool> {
        if let Some((field, rule)) = publication.problem() {
            return Err(Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field));
        }
        if self.0.mqtt.broker().is_none() {
            return Err(Error::new(Code::InvalidDefinition, "no broker is set (mqtt.url)"));
        }
        self.change(subject, Some(publication)).await
    }

    /// Ends a publication. The broker and Home Assistant forget it.
    pub async fn remove(&self, subject: &Subject) -> Result<()> {
        self.change(subject, None).await.map(drop)
    }

    async fn change(&self, subject: &Subject, publication: Option<Publication>) -> Result<bool> {
        let inner = &self.0;
        let _turn = inner.changing.lock().await;
        let mut wanted = inner.wanted.lock().clone();
        let before = wanted.get(subject).cloned();
        if before.as_ref().is_some_and(|before| before.is_from_file) {
            let message = format!("the publication of {subject} is in sidecar.yml (mqtt.publish); change it there");
            return Err(Error::new(Code::FixedByFile, message));
        }
        match publication {
            Some(publication) => wanted.extend([Wanted::new(subject.clone(), publication, false)]),
            None if before.is_some() => drop(wanted.remove(subject)),
            None => {
                let by =
                    subject.name().and_then(|name| inner.entries.lock().get(name).map(|entry| entry.subject.clone()));
                let message = match by {
                    Some(by) => format!("{subject} is published by the regular expression {by}; change or remove that"),
                    None => format!("{subject} is not published by MQTT"),
                };
                return Err(Error::new(Code::UnknownStream, message));
            }
        }
        if before.is_none() && wanted.len() > MAX_PUBLICATIONS {
            let message = format!("{MAX_PUBLICATIONS} streams are published already, and more are not possible");
            return Err(Error::new(Code::TooManyStreams, message));
        }
        let stored: BTreeMap<_, _> = wanted
            .iter()
            .filter(|(_, wanted)| !wanted.is_from_file)
            .map(|(subject, wanted)| (subject.clone(), wanted.publication.clone()))
            .collect();
        let text = serde_json::to_string(&stored).map_err(|e| Error::internal("publications cannot be written", e))?;
        inner.store.run(move |store| store.put_fact(FACT, &text)).await?;
        *inner.wanted.lock() = wanted;
        inner.apply();
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
            () = inner.look_for_names() => {}
        }
    }

    /// Holds the tasks of the publications, and tells Home Assistant of devices.
    async fn hold(&self) {
        let inner = &self.0;
        let announced = inner.mqtt.subscribe(&inner.common.all(), Room::Newest(DISCOVERY_ROOM));
        let restarts = inner.mqtt.subscribe(&format!("{}/status", inner.common.discovery), Room::Newest(1));
        let mut status = inner.mqtt.status();
        status.mark_changed();
        let mut tasks = JoinSet::new();
        let mut running = BTreeMap::new();
        let (mut unclaimed, removing) = (BTreeSet::new(), Instant::now() + STALE);
        loop {
            self.start_tasks(&mut tasks, &mut running);
            tokio::select! {
                () = inner.changed.notified() => {}
                news = announced.next() => if let News::Message(message) = news
                    && let Some(topic) = inner.stale(&message)
                {
                    if inner.has_patterns() && Instant::now() < removing {
                        unclaimed.insert(topic);
                    } else {
                        inner.mqtt.publish(Message::state(topic, ""));
                    }
                },
                () = sleep_until(removing), if !unclaimed.is_empty() => {
                    for topic in std::mem::take(&mut unclaimed).into_iter().filter(|topic| !inner.is_wanted(topic)) {
                        inner.mqtt.publish(Message::state(topic, ""));
                    }
                }
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
                let ask = inner.mqtt.subscribe(&inner.topic(&name, "snapshot/set"), Room::Newest(1));
                let publishing = inner.supervisor.run("mqtt publication", || async {
                    tokio::select! {
                        () = stream::publish_forever(&inner, &name, &entry) => {}
                        () = commands::listen(&ask, &name, &entry) => {}
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
