//! A topic with wildcards: the group of streams that its topics make, one for each topic that sends pictures.
//!
//! A [`Group`] knows which stream a topic is, and what was left out. The catalog makes the streams
//! (`src/catalog/topics.rs`), because only it knows which names are taken.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{OfTopic, Settings, Source, payload};
use crate::{
    error::Result,
    foreign,
    mqtt::{Mqtt, Received, Room, Subscription, topic},
    picture::PictureLimits,
    stream::{Producer, StreamName},
};

/// Messages of a group that wait, each of another topic: the broker sends all messages that it has kept at once.
const WAITING: usize = 1000;

/// Most characters of the levels in a name that is not the levels themselves.
const MAX_SLUG: usize = 48;

/// The groups of all definitions whose topic has wildcards. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Groups(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    all: Mutex<Vec<Weak<Group>>>,
    changed: Notify,
    /// Messages that were left out since the start.
    left_out: AtomicU64,
}

impl Groups {
    fn add(&self, group: &Arc<Group>) {
        let mut all = self.0.all.lock();
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(group));
        self.0.changed.notify_one();
    }

    /// The groups of the present definitions, in the order in which these were made.
    pub fn list(&self) -> Vec<Arc<Group>> {
        self.0.all.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Messages of all groups that were left out since the start.
    pub fn left_out(&self) -> u64 {
        self.0.left_out.load(Ordering::Relaxed)
    }

    /// Waits for a new group since the last call. Cancel-safe.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

/// The figures of a group.
#[derive(Clone, Debug, Default)]
pub struct GroupFigures {
    /// The streams that there are at the moment.
    pub streams: usize,
    /// Messages that were left out, because their topic is no stream.
    pub left_out: u64,
    /// Why the last one was left out.
    pub problem: Option<String>,
}

/// The streams of one definition whose topic has wildcards.
#[derive(Debug)]
pub struct Group {
    name: StreamName,
    settings: Settings,
    mqtt: Mqtt,
    limits: PictureLimits,
    subscription: Arc<Subscription>,
    /// The newest message of all topics, for the group's own stream.
    newest: watch::Sender<Option<Received>>,
    figures: Mutex<GroupFigures>,
    groups: Groups,
    ended: CancellationToken,
    _ends: DropGuard,
}

impl Group {
    pub(super) fn new(
        settings: &Settings,
        name: &StreamName,
        mqtt: &Mqtt,
        limits: PictureLimits,
        groups: &Groups,
    ) -> Self {
        let ended = CancellationToken::new();
        Group {
            name: name.clone(),
            settings: settings.clone(),
            mqtt: mqtt.clone(),
            limits,
            subscription: Arc::new(mqtt.subscribe(&settings.topic, Room::EachTopic(WAITING))),
            newest: watch::Sender::new(None),
            figures: Mutex::default(),
            groups: groups.clone(),
            ended: ended.clone(),
            _ends: ended.drop_guard(),
        }
    }

    /// The producer of the group's own stream, which shows the newest picture of all topics. It holds the group.
    pub(super) fn producer(self: Arc<Self>) -> OfTopic {
        self.groups.add(&self);
        let source = Source::Handed { messages: self.newest.subscribe(), _group: Some(self.clone()) };
        OfTopic::new(&self.settings, &self.mqtt, self.limits, source)
    }

    /// The name of the definition, with which the names of the streams begin.
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// The topic with wildcards.
    pub fn topic(&self) -> &str {
        &self.settings.topic
    }

    /// The subscription, and the end of the group. A holder of these does not hold the group.
    pub fn messages(&self) -> (Arc<Subscription>, CancellationToken) {
        (self.subscription.clone(), self.ended.clone())
    }

    /// Most streams.
    pub fn max_streams(&self) -> usize {
        self.settings.max_streams()
    }

    /// A stream whose topic is silent for this long is removed.
    pub fn expire(&self) -> Duration {
        self.settings.expire()
    }

    /// The name of a topic's stream; none if the topic is one of the sidecar's own. The same topic always has the same name.
    /// The error is why there can be no such name.
    pub fn stream_name(&self, topic: &str) -> Option<Result<StreamName>> {
        if topic.starts_with(&self.mqtt.topic("")) || !topic::matches(&self.settings.topic, topic) {
            return None;
        }
        Some(StreamName::parse(&named(&self.name, &self.settings.topic, topic)))
    }

    /// Whether a message holds a picture, as far as the beginning of the picture shows.
    pub async fn has_picture(&self, message: &Received) -> bool {
        let Settings { encoding, pointer, .. } = self.settings.clone();
        let found = payload::find(&message.payload, encoding, pointer).await;
        found.is_ok_and(|data| payload::is_picture(&data))
    }

    /// The producer of a topic's stream, which shows the messages that it is handed.
    pub fn of_topic(&self, topic: &str, messages: watch::Receiver<Option<Received>>) -> Arc<dyn Producer> {
        let settings = Settings { topic: topic.to_owned(), ..self.settings.clone() };
        let source = Source::Handed { messages, _group: None };
        Arc::new(OfTopic::new(&settings, &self.mqtt, self.limits, source))
    }

    /// Shows a message in the group's own stream.
    pub fn show(&self, message: &Received) {
        self.newest.send_replace(Some(message.clone()));
    }

    /// Counts a message that is left out.
    pub fn leave_out(&self, why: &str) {
        self.groups.0.left_out.fetch_add(1, Ordering::Relaxed);
        let why = foreign::shown(why).into_owned();
        let mut figures = self.figures.lock();
        if figures.left_out == 0 {
            tracing::warn!(stream = %self.name, "an MQTT message is left out: {why}");
        }
        figures.left_out += 1;
        figures.problem = Some(why);
    }

    /// Notes how many streams there are.
    pub fn note_streams(&self, streams: usize) {
        self.figures.lock().streams = streams;
    }

    /// The figures.
    pub fn figures(&self) -> GroupFigures {
        self.figures.lock().clone()
    }
}

/// The name of a topic's stream: that of the group, and the levels at the wildcards. Levels that are no name, or one at whose
/// address uploads are sent, get a digest, so that `a b` and `a_b` stay apart.
fn named(group: &str, filter: &str, topic: &str) -> String {
    let levels = topic::wild_levels(filter, topic).join("/");
    let name = format!("{group}/{levels}");
    let is_address = matches!(levels.rsplit('/').next(), Some("frame" | "frames"));
    if !is_address && !levels.is_empty() && !levels.starts_with('/') && StreamName::parse(&name).is_ok() {
        return name;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain: String = levels.chars().take(MAX_SLUG).map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{group}/{plain}_{:08x}", xxhash_rust::xxh3::xxh3_64(topic.as_bytes()) >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn levels_are_the_name_where_they_can_be() {
        for (filter, topic, name) in [
            ("cam/+/image", "cam/Yard-1/image", "g/Yard-1"),
            ("cam/#", "cam/a/b.c", "g/a/b.c"),
            ("+/+", "a/b", "g/a/b"),
            ("cam/+", "cam/Front door", "g/Front_door_e7cdca6d"),
        ] {
            assert_eq!(named("g", filter, topic), name, "an identifier of an installed version");
        }
        let odd = [
            "cam",
            "cam/",
            "cam/..",
            "cam/.",
            "cam/a b",
            "cam/a_b",
            "cam/ü",
            "cam/ö",
            "cam//a",
            "cam/a",
            "cam/x/frame",
        ];
        let names: BTreeSet<_> = odd.iter().map(|topic| named("g", "cam/#", topic)).collect();
        assert_eq!(names.len(), odd.len(), "{names:?}");
        for name in &names {
            StreamName::parse(name).expect("a name");
            assert!(name.starts_with("g/") && !name.ends_with("/frame"), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_topic_has_a_name(topic in "\\PC{0,200}", other in "\\PC{0,3}") {
            let name = |topic: &str| named("group", "a/#", &format!("a/{topic}"));
            prop_assert!(StreamName::parse(&name(&topic)).is_ok(), "{}", name(&topic));
            prop_assert!(topic == other || name(&topic) != name(&other));
        }
    }
}
