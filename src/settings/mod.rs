//! Everything that can be set, with its defaults in one visible place.
//!
//! `sidecar.yml` in the repository lists every key with its default and one comment; a test holds it
//! equal to [`Settings::default`]. How files and environment are read is in [`load`].

mod aliases;
mod describe;
mod http;
mod load;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use self::aliases::AliasSettings;
pub use self::describe::{Described, Sources, describe};
pub use self::http::{HttpSettings, TlsSettings};
pub use self::load::{Loaded, Origin, Problem, Problems, load, parse_yaml};
use crate::{
    discovery::DiscoverySettings,
    events::EventSettings,
    fetch::FetchSettings,
    mediamtx::MediaMtxSettings,
    output::{OutputSettings, h264::H264Settings, variants::VariantSettings},
    picture::PictureLimits,
    policy::{AuthSettings, Policy},
    producer::{Definition, file::MediaSettings, rtsp::RtspCameraSettings, udp_camera::UdpSettings},
    rtsp::RtspSettings,
    stream::{MAX_NAME_BYTES, StreamLimits, StreamName, StreamSettings},
    units::Size,
};

/// The shipped `sidecar.yml`: every key, its default, one comment.
pub const SIDECAR_YML: &str = include_str!("../../sidecar.yml");

/// The shipped `mediamtx.yml`.
pub const MEDIAMTX_YML: &str = include_str!("../../mediamtx.yml");

/// All settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where state is kept: the database and the last uploaded pictures.
    pub data_dir: PathBuf,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Our HTTP server.
    pub http: HttpSettings,
    /// Our RTSP server.
    pub rtsp: RtspSettings,
    /// The MediaMTX beside us.
    pub mediamtx: MediaMtxSettings,
    /// Bounds.
    pub limits: Limits,
    /// Who may do what.
    pub auth: AuthSettings,
    /// Whom events are told to.
    pub events: EventSettings,
    /// How streams live.
    pub stream_defaults: StreamSettings,
    /// How pictures are sent.
    pub output: OutputSettings,
    /// How much may be transformed.
    pub variants: VariantSettings,
    /// What is meant by addresses without a stream's name.
    pub aliases: AliasSettings,
    /// How pictures become video.
    pub h264: H264Settings,
    /// UDP cameras.
    pub udp: UdpSettings,
    /// Finding cameras.
    pub discovery: DiscoverySettings,
    /// How cameras, NAS and devices are reached.
    pub fetch: FetchSettings,
    /// RTSP cameras.
    pub rtsp_cameras: RtspCameraSettings,
    /// Folders with pictures.
    pub media: MediaSettings,
    /// The streams, by name.
    pub streams: BTreeMap<StreamName, Definition>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data_dir: "data".into(),
            log: LogSettings::default(),
            http: HttpSettings::default(),
            rtsp: RtspSettings::default(),
            mediamtx: MediaMtxSettings::default(),
            limits: Limits::default(),
            auth: AuthSettings::default(),
            events: EventSettings::default(),
            stream_defaults: StreamSettings::default(),
            output: OutputSettings::default(),
            variants: VariantSettings::default(),
            aliases: AliasSettings::default(),
            h264: H264Settings::default(),
            udp: UdpSettings::default(),
            discovery: DiscoverySettings::default(),
            fetch: FetchSettings::default(),
            rtsp_cameras: RtspCameraSettings::default(),
            media: MediaSettings::default(),
            streams: BTreeMap::new(),
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives of tracing-subscriber's `EnvFilter`.
    pub level: String,
    /// For people or for machines.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings { level: "info".into(), format: LogFormat::Text }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of one encoded picture.
    pub frame_size: Size,
    /// Most pixels (width × height) of one picture.
    pub frame_pixels: u64,
    /// Most memory for all held pictures together.
    pub frame_memory: Size,
    /// Most streams.
    pub streams: usize,
    /// Longest stream name, in characters.
    pub name_length: usize,
    /// Most watchers of all streams together.
    pub watchers: usize,
    /// Most endless uploads and WebSocket publishers together.
    pub publishers: usize,
    /// Most bytes of a file that is put into a media folder.
    pub media_size: Size,
    /// Most paths of MediaMTX that are watched here without being defined here.
    pub pulled_paths: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let (pictures, streams) = (PictureLimits::default(), StreamLimits::default());
        Limits {
            frame_size: pictures.frame_size,
            frame_pixels: pictures.frame_pixels,
            frame_memory: streams.frame_memory,
            streams: streams.streams,
            name_length: streams.name_length,
            watchers: 10_000,
            publishers: 1_000,
            media_size: Size(4 << 30),
            pulled_paths: 50,
        }
    }
}

impl Limits {
    /// The bounds of one picture.
    pub fn pictures(&self) -> PictureLimits {
        PictureLimits { frame_size: self.frame_size, frame_pixels: self.frame_pixels }
    }

    /// The bounds of all streams.
    pub fn streams(&self) -> StreamLimits {
        StreamLimits { streams: self.streams, name_length: self.name_length, frame_memory: self.frame_memory }
    }
}

impl Settings {
    /// What cannot work although each value is of the right type.
    fn validate(&self, problems: &mut Problems) {
        let mut refuse = |key: &str, rule: String| problems.add(key, rule);
        if tracing_subscriber::EnvFilter::try_new(&self.log.level).is_err() {
            refuse("log.level", format!("{:?} is none of error, warn, info, debug, trace", self.log.level));
        }
        if self.limits.frame_size.0 < 1024 {
            refuse("limits.frame_size", "must be at least 1K".into());
        }
        if self.limits.frame_memory < self.limits.frame_size {
            refuse("limits.frame_memory", "must not be less than limits.frame_size".into());
        }
        if !(1..=MAX_NAME_BYTES).contains(&self.limits.name_length) {
            refuse("limits.name_length", format!("must be from 1 to {MAX_NAME_BYTES}"));
        }
        if self.limits.streams == 0 {
            refuse("limits.streams", "must be at least 1".into());
        }
        for (key, rule) in self.udp.problems() {
            refuse(&format!("udp.{key}"), rule);
        }
        for (key, rule) in self.rtsp_cameras.problems() {
            refuse(&format!("rtsp_cameras.{key}"), rule);
        }
        for (key, rule) in self.discovery.problems() {
            refuse(&format!("discovery.{key}"), rule);
        }
        for (key, rule) in self.output.problems() {
            refuse(&format!("output.{key}"), rule);
        }
        for (key, rule) in self.variants.problems() {
            refuse(&format!("variants.{key}"), rule);
        }
        for (key, rule) in self.h264.problems() {
            refuse(&format!("h264.{key}"), rule);
        }
        if self.rtsp.enabled && self.rtsp.listen.port() != 0 && self.rtsp.listen.port() == self.http.listen.port() {
            refuse("rtsp.listen", format!("port {} is that of http.listen", self.rtsp.listen.port()));
        }
        if self.rtsp.max_connections == 0 {
            refuse("rtsp.max_connections", "must be at least 1; rtsp.enabled: no switches RTSP off".into());
        }
        for (key, rule) in self.auth.problems() {
            refuse(&format!("auth.{key}"), rule);
        }
        for (key, rule) in self.http.problems() {
            refuse(&format!("http.{key}"), rule);
        }
        for (key, rule) in self.events.problems() {
            refuse(&format!("events.{key}"), rule);
        }
        for (key, rule) in self.mediamtx.problems() {
            refuse(&format!("mediamtx.{key}"), rule);
        }
        if let Err(message) = Policy::new(&self.auth) {
            let (key, rule) = message.split_once(": ").unwrap_or(("auth.users", &message));
            refuse(key, rule.to_owned());
        }
        for name in self.streams.keys().filter(|name| name.len() > self.limits.name_length) {
            refuse(
                &format!("streams.{name}"),
                format!("the name is longer than {} characters", self.limits.name_length),
            );
        }
        if self.streams.len() > self.limits.streams {
            refuse("streams", format!("there are more than limits.streams ({})", self.limits.streams));
        }
    }
}
