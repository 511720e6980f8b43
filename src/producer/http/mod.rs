//! Cameras with HTTP: an endless MJPEG response, or one picture for each request.
//!
//! A camera has one connection, however many watchers there are, because many ESP32 cameras can serve only one (ESPHome's
//! `max_open_sockets` is 1).

mod preset;
mod read;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

pub use self::preset::Preset;
use super::ProducerContext;
use crate::{
    error::{Code, Error, Result},
    fetch::{Fetch, Target},
    picture::PictureLimits,
    secret::{self, Secret},
    stream::{Producer, ProducerFuture, Run, StreamName},
    units::HumanDuration,
};

/// Most pictures that can be discarded at the start.
const MAX_DISCARD: u32 = 100;

/// The address of the camera, and how to get its pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HttpDefinition)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Settings {
    /// The URL, `http://` or `https://`. With a preset the host is enough. A user and password in it are moved to
    /// `user` and `pass`. Parameters such as `pwd` are shown as `***`.
    #[schema(example = "http://192.168.1.30:81/stream")]
    #[serde(serialize_with = "secret::serialize_url")]
    pub url: String,
    /// The kind of the camera, from which its paths follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// How to get pictures.
    #[serde(default)]
    pub mode: Mode,
    /// The user, if the camera asks for one (Basic or Digest).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The password; shown as `***`.
    #[serde(default, skip_serializing_if = "Secret::is_empty")]
    #[schema(value_type = String)]
    pub pass: Secret,
    /// The SHA-256 of the camera's certificate, if it is self-signed; 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// Pause between requests to a camera that gives one picture for each request.
    #[serde(default = "default_interval", alias = "every")]
    #[schema(value_type = String, example = "1s")]
    pub interval: HumanDuration,
    /// Number of pictures to discard at the start, because many cameras first send an old picture. A preset has its
    /// own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discard_first: Option<u32>,
    /// Pictures are discarded for this time at the start, in which some cameras adjust their exposure.
    #[serde(default)]
    #[schema(value_type = String, example = "0s")]
    pub warmup: HumanDuration,
    /// If no picture arrives in this time, the camera counts as lost and is connected again.
    #[serde(default = "default_stale_after")]
    #[schema(value_type = String, example = "10s")]
    pub stale_after: HumanDuration,
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut settings = Settings::deserialize(from)?;
        if let Some((clean, user, pass)) = secret::split_login(&settings.url) {
            settings.url = clean;
            // `user` and `pass` have precedence over the URL, so that a changed password takes effect.
            if settings.user.is_empty() {
                settings.user = user;
            }
            if settings.pass.is_empty() {
                settings.pass = Secret::new(pass);
            }
        }
        Ok(settings)
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Settings::serialize(self, to)
    }
}

fn default_interval() -> HumanDuration {
    HumanDuration::secs(1)
}

fn default_stale_after() -> HumanDuration {
    HumanDuration::secs(10)
}

/// How to get pictures from a camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decided by the camera's answer.
    #[default]
    Auto,
    /// One endless response.
    Mjpeg,
    /// One picture for each request.
    Snapshot,
}

fn refuse(field: &'static str, rule: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field)
}

pub(super) fn producer(
    settings: &Settings,
    _name: &StreamName,
    context: &ProducerContext,
) -> Result<Arc<dyn Producer>> {
    let as_definition = |e: Error| match e.field() {
        Some(field) => Error::new(Code::InvalidDefinition, e.to_string()).in_field(field.to_owned()),
        None => e,
    };
    let mut target = Target::new(&settings.url, &settings.user, &settings.pass, &settings.fingerprint);
    if let (Ok(target), Some(preset)) = (&mut target, settings.preset) {
        preset.complete(&mut target.url, settings.mode);
    }
    let target = target.map_err(as_definition)?;
    if !(HumanDuration::millis(40)..=HumanDuration::secs(86_400)).contains(&settings.interval) {
        return Err(refuse("interval", format!("must be from 40ms to 1day, not {}", settings.interval)));
    }
    if !(HumanDuration::secs(1)..=HumanDuration::secs(3600)).contains(&settings.stale_after) {
        return Err(refuse("stale_after", format!("must be from 1s to 1h, not {}", settings.stale_after)));
    }
    if settings.warmup > HumanDuration::secs(60) {
        return Err(refuse("warmup", format!("must be at most 1m, not {}", settings.warmup)));
    }
    let discard_first = settings.discard_first.unwrap_or_else(|| settings.preset.map_or(0, Preset::discard_first));
    if discard_first > MAX_DISCARD {
        return Err(refuse("discard_first", format!("must be at most {MAX_DISCARD}, not {discard_first}")));
    }
    if target.is_plain() {
        tracing::debug!(
            "the password of a camera can go over the network unencrypted, because most cameras require that"
        );
    }
    Ok(Arc::new(Http(Camera {
        fetch: context.fetch.clone(),
        limits: context.limits,
        target,
        mode: settings.mode,
        interval: *settings.interval,
        discard_first,
        warmup: *settings.warmup,
        stale_after: *settings.stale_after,
    })))
}

/// The address and the settings of a camera.
#[derive(Clone)]
struct Camera {
    fetch: Fetch,
    limits: PictureLimits,
    target: Target,
    mode: Mode,
    interval: std::time::Duration,
    discard_first: u32,
    warmup: std::time::Duration,
    stale_after: std::time::Duration,
}

struct Http(Camera);

impl Producer for Http {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn is_steady(&self) -> bool {
        true
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let camera = self.0.clone();
        Box::pin(async move {
            tokio::select! {
                () = run.stop.cancelled() => Ok(()),
                end = read::pictures(&camera, &run.sink) => end,
            }
        })
    }
}
