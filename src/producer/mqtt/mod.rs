//! Pictures that arrive as MQTT messages of one topic, or of all topics that a filter with wildcards selects (`group.rs`).
//!
//! A topic is subscribed while the stream runs, or all the time with `keep`. All streams share the connection to the broker
//! ([`crate::mqtt`]). A message is decoded here and not in the task of the connection; while one is decoded, the newest of
//! those that arrive waits.

mod group;
mod payload;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};
use utoipa::ToSchema;

#[cfg(any(test, fuzzing))]
pub(crate) use self::payload::properties;
pub use self::{
    group::{Group, GroupFigures, Groups},
    payload::Encoding,
};
use super::ProducerContext;
use crate::{
    error::{Code, Error, Result},
    foreign,
    mqtt::{Mqtt, News, Received, Room, Subscription, topic},
    picture::{Picture, PictureLimits},
    stream::{Mode, Producer, ProducerFuture, Run, StreamName},
    units::HumanDuration,
};

/// The age that a kept picture has at least, so that no request takes it for a fresh one. The broker does not tell its age.
const UNKNOWN_AGE: Duration = Duration::from_secs(366 * 86_400);

/// The topic, and how the pictures are in its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MqttDefinition)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The topic. With the wildcards `+` and `#`, each topic that sends pictures becomes a stream below this one's name; this
    /// one shows the newest picture of them all.
    #[schema(example = "frigate/door/person/snapshot")]
    pub topic: String,
    /// How the picture is in a message.
    #[serde(default)]
    pub encoding: Encoding,
    /// The place of the picture in JSON messages, as a JSON pointer (RFC 6901). Without it, `/image`, `/imagebase64`, `/data` and
    /// `/snapshot` are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/image")]
    pub pointer: Option<String>,
    /// Whether the topic is subscribed without a watcher, too: the last picture is there at once, also from a device that
    /// sends one an hour. A topic with wildcards always is.
    #[serde(default)]
    pub keep: bool,
    /// Most streams of a topic with wildcards; 100 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub max_streams: Option<usize>,
    /// With wildcards: a stream whose topic sends nothing for this long, and that is not watched, is removed; `1day` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1day")]
    pub expire: Option<HumanDuration>,
}

/// The bounds of `max_streams`, and the default.
const MAX_STREAMS: (usize, usize, usize) = (1, 1000, 100);

/// The bounds of `expire`, and the default.
const EXPIRE: (HumanDuration, HumanDuration, HumanDuration) =
    (HumanDuration::secs(1), HumanDuration::secs(365 * 86_400), HumanDuration::secs(86_400));

impl Settings {
    fn max_streams(&self) -> usize {
        self.max_streams.unwrap_or(MAX_STREAMS.2)
    }

    fn expire(&self) -> Duration {
        *self.expire.unwrap_or(EXPIRE.2)
    }

    /// An invalid member, and the rule that it breaks.
    fn problem(&self, mqtt: &Mqtt) -> Option<(&'static str, String)> {
        let wanted = &self.topic;
        if let Err(rule) = topic::check_filter(wanted) {
            return Some(("topic", rule));
        }
        if mqtt.broker().is_none() {
            return Some(("topic", "no broker is set (mqtt.url)".into()));
        }
        if wanted.starts_with("$share/") {
            return Some(("topic", "must not be a shared subscription, which gets only a part of the messages".into()));
        }
        let topics = &mqtt.settings().topics;
        if !topics.is_empty() && !topics.iter().any(|filter| topic::covers(filter, wanted)) {
            let what = if topic::has_wildcard(wanted) { "selects more than" } else { "is in none of" };
            return Some(("topic", format!("{wanted} {what} the topics of mqtt.topics")));
        }
        if topic::covers(&mqtt.topic("#"), wanted) {
            return Some(("topic", format!("{wanted} is below mqtt.prefix, where the sidecar itself publishes")));
        }
        match &self.pointer {
            Some(_) if !matches!(self.encoding, Encoding::Auto | Encoding::Json) => {
                return Some(("pointer", "needs the encoding json or auto".into()));
            }
            Some(pointer) => {
                if let Err(rule) = payload::check_pointer(pointer) {
                    return Some(("pointer", rule));
                }
            }
            None => {}
        }
        let only = |is_set: bool| is_set && !topic::has_wildcard(wanted);
        for (member, is_set) in [("max_streams", self.max_streams.is_some()), ("expire", self.expire.is_some())] {
            if only(is_set) {
                return Some((member, "needs a topic with wildcards (+ or #)".into()));
            }
        }
        let (least, most, _) = MAX_STREAMS;
        if !(least..=most).contains(&self.max_streams()) {
            return Some(("max_streams", format!("must be from {least} to {most}, not {}", self.max_streams())));
        }
        let (shortest, longest, usual) = EXPIRE;
        let expire = self.expire.unwrap_or(usual);
        (!(shortest..=longest).contains(&expire))
            .then(|| ("expire", format!("must be from {shortest} to {longest}, not {expire}")))
    }
}

pub(super) fn producer(settings: &Settings, name: &StreamName, context: &ProducerContext) -> Result<Arc<dyn Producer>> {
    let (mqtt, limits) = (&context.mqtt, context.limits);
    if let Some((field, rule)) = settings.problem(mqtt) {
        return Err(Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field));
    }
    if topic::has_wildcard(&settings.topic) {
        let group = Arc::new(Group::new(settings, name, mqtt, limits, &context.topics));
        return Ok(Arc::new(group.producer()));
    }
    let kept = settings.keep.then(|| mqtt.subscribe(&settings.topic, Room::Newest(1)));
    let source = match kept {
        Some(subscription) => Source::Kept(Arc::new(Mutex::new(subscription))),
        None => Source::Subscribed,
    };
    Ok(Arc::new(OfTopic::new(settings, mqtt, limits, source)))
}

/// Where the messages come from.
#[derive(Clone)]
enum Source {
    /// A subscription of the run.
    Subscribed,
    /// The subscription that lasts as long as the definition. Locked by the run that reads it.
    Kept(Arc<Mutex<Subscription>>),
    /// The subscription of a group. The last message stays there for the next run.
    Handed { messages: watch::Receiver<Option<Received>>, _group: Option<Arc<Group>> },
}

#[derive(Clone)]
struct OfTopic {
    settings: Settings,
    mqtt: Mqtt,
    limits: PictureLimits,
    source: Source,
    /// When the last message arrived that was shown.
    shown: Arc<parking_lot::Mutex<Option<Instant>>>,
}

/// Messages of one run.
enum Incoming<'a> {
    Subscription(&'a Subscription),
    Handed(watch::Receiver<Option<Received>>),
}

impl Incoming<'_> {
    /// The next news. Cancel-safe.
    async fn next(&mut self) -> News {
        match self {
            Incoming::Subscription(subscription) => subscription.next().await,
            Incoming::Handed(messages) => loop {
                if messages.changed().await.is_err() {
                    // The definition has another topic, or is gone: the stream ends soon.
                    std::future::pending::<()>().await;
                }
                if let Some(message) = messages.borrow_and_update().clone() {
                    return News::Message(message);
                }
            },
        }
    }
}

impl Producer for OfTopic {
    fn kind(&self) -> &'static str {
        "mqtt"
    }

    fn mode(&self) -> Mode {
        Mode::Pushed
    }

    /// Only a kept picture comes back, and a device decides whether its pictures are kept.
    fn reloads(&self) -> bool {
        false
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let this = self.clone();
        Box::pin(async move {
            tokio::select! {
                () = run.stop.cancelled() => Ok(()),
                end = this.receive(&run) => end,
            }
        })
    }
}

impl OfTopic {
    fn new(settings: &Settings, mqtt: &Mqtt, limits: PictureLimits, source: Source) -> Self {
        OfTopic { settings: settings.clone(), mqtt: mqtt.clone(), limits, source, shown: Arc::default() }
    }

    async fn receive(&self, run: &Run) -> Result<()> {
        let own;
        let locked;
        let mut incoming = match &self.source {
            Source::Kept(kept) => {
                locked = kept.lock().await;
                Incoming::Subscription(&locked)
            }
            Source::Subscribed => {
                own = self.mqtt.subscribe(&self.settings.topic, Room::Newest(1));
                Incoming::Subscription(&own)
            }
            Source::Handed { messages, .. } => {
                let mut messages = messages.clone();
                messages.mark_changed();
                Incoming::Handed(messages)
            }
        };
        if run.sink.latest().is_some() {
            // From an earlier run: shown with its own age until the next message.
            run.sink.still_current();
        }
        let mut status = self.mqtt.status();
        status.mark_changed();
        let mut has_message = false;
        loop {
            tokio::select! {
                news = incoming.next() => match news {
                    News::Message(message) => {
                        has_message |= !message.is_retained;
                        if self.shown.lock().replace(message.at) == Some(message.at) && run.sink.latest().is_some() {
                            // Of an earlier run.
                            continue;
                        }
                        if let Err(e) = self.show(run, message).await {
                            run.sink.damaged("mqtt");
                            run.sink.report_problem(foreign::shown(&e.to_string()));
                        }
                    }
                    News::Problem(why) => run.sink.report_problem(foreign::shown(&why)),
                },
                changed = status.changed() => {
                    if changed.is_err() {
                        return Err(Error::new(Code::Unavailable, "the connection to the broker has ended"));
                    }
                    let now = status.borrow_and_update().clone();
                    if !now.is_connected() {
                        run.sink.report_problem(now.reason);
                    } else if !has_message {
                        run.sink.report_problem(format!("waiting for a message of the topic {}", self.settings.topic));
                    }
                }
            }
        }
    }

    async fn show(&self, run: &Run, message: Received) -> Result<()> {
        let Settings { encoding, pointer, .. } = self.settings.clone();
        let data = payload::find(&message.payload, encoding, pointer).await?;
        self.limits.check_size(data.len())?;
        let picture = Picture::from_whole(data, &self.limits).await?;
        if !message.is_retained {
            run.sink.publish_derived(&picture.captured_at(message.time), message.at)?;
            return Ok(());
        }
        // A kept picture is sent once for each subscription, and can be the one that is shown already.
        if run.sink.latest().is_none_or(|latest| latest.jpeg() != picture.jpeg) {
            let long_ago = message.at.checked_sub(UNKNOWN_AGE).unwrap_or(message.at);
            run.sink.publish_derived(&picture.captured_at(SystemTime::UNIX_EPOCH), long_ago)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_time_long_ago_exists_also_just_after_the_machine_was_started() {
        assert!(Instant::now().checked_sub(UNKNOWN_AGE).is_some());
    }
}
