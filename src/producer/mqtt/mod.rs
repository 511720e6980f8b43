//! Pictures that arrive as MQTT messages of one topic.
//!
//! The topic is subscribed while the stream runs, or all the time with `keep`. All streams share the connection to the broker
//! ([`crate::mqtt`]). A message is decoded here and not in the task of the connection; while one is decoded, the newest of
//! those that arrive waits.

mod payload;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use utoipa::ToSchema;

pub use self::payload::Encoding;
use super::ProducerContext;
use crate::{
    error::{Code, Error, Result},
    foreign,
    mqtt::{Mqtt, News, Received, Subscription, topic},
    picture::{Picture, PictureLimits, in_pool},
    stream::{Mode, Producer, ProducerFuture, Run, StreamName},
};

/// The age that a kept picture has at least, so that no request takes it for a fresh one. The broker does not tell its age.
const UNKNOWN_AGE: Duration = Duration::from_secs(366 * 86_400);

/// The topic, and how the pictures are in its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MqttDefinition)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The topic, without wildcards.
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
    /// sends one an hour.
    #[serde(default)]
    pub keep: bool,
}

pub(super) fn producer(
    settings: &Settings,
    _name: &StreamName,
    context: &ProducerContext,
) -> Result<Arc<dyn Producer>> {
    let refuse = |field: &'static str, rule: String| {
        Err(Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field))
    };
    let mqtt = &context.mqtt;
    if let Err(rule) = topic::check_name(&settings.topic) {
        return refuse("topic", rule);
    }
    if mqtt.broker().is_none() {
        return refuse("topic", "no broker is set (mqtt.url)".into());
    }
    let (topics, wanted) = (&mqtt.settings().topics, &settings.topic);
    if !topics.is_empty() && !topics.iter().any(|filter| topic::matches(filter, wanted)) {
        return refuse("topic", format!("{wanted} is in none of the topics of mqtt.topics"));
    }
    if wanted.starts_with(&mqtt.topic("")) {
        return refuse("topic", format!("{wanted} is below mqtt.prefix, where the sidecar itself publishes"));
    }
    match &settings.pointer {
        Some(_) if !matches!(settings.encoding, Encoding::Auto | Encoding::Json) => {
            return refuse("pointer", "needs the encoding json or auto".into());
        }
        Some(pointer) => {
            if let Err(rule) = payload::check_pointer(pointer) {
                return refuse("pointer", rule);
            }
        }
        None => {}
    }
    let kept = settings.keep.then(|| mqtt.subscribe(wanted, 1));
    Ok(Arc::new(OfTopic {
        settings: settings.clone(),
        mqtt: mqtt.clone(),
        limits: context.limits,
        kept: kept.map(|subscription| Arc::new(Mutex::new(subscription))),
    }))
}

#[derive(Clone)]
struct OfTopic {
    settings: Settings,
    mqtt: Mqtt,
    limits: PictureLimits,
    /// The subscription that lasts as long as the definition. Locked by the run that reads it.
    kept: Option<Arc<Mutex<Subscription>>>,
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
    async fn receive(&self, run: &Run) -> Result<()> {
        let own;
        let locked;
        let subscription: &Subscription = match &self.kept {
            Some(kept) => {
                locked = kept.lock().await;
                &locked
            }
            None => {
                own = self.mqtt.subscribe(&self.settings.topic, 1);
                &own
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
                news = subscription.next() => match news {
                    News::Message(message) => {
                        has_message |= !message.is_retained;
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
        let payload = message.payload.clone();
        let data = in_pool(move || payload::picture(&payload, encoding, pointer.as_deref())).await?;
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
