//! All settings, with their defaults.
//!
//! `sidecar.yml` in the repository lists every key with its default and a comment; a test compares it with [`Settings::default`]. [`load`]
//! reads file and environment. Most sections are defined by the module that uses them.

mod aliases;
mod describe;
mod file;
mod http;
mod ingress;
mod load;
mod mqtt_video;
mod rtsp;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use self::aliases::AliasSettings;
pub use self::describe::{Described, Sources, describe};
pub use self::http::{HttpSettings, TlsSettings};
pub use self::ingress::IngressSettings;
pub use self::load::{Loaded, Origin, SettingError, SettingErrors, load};
pub use self::mqtt_video::{Alias, MqttVideoSettings};
pub use self::rtsp::RtspSettings;
use crate::{
    cluster::ClusterSettings,
    discovery::DiscoverySettings,
    events::{EventSettings, Kind},
    fetch::FetchSettings,
    mediamtx::{MediaMtxSettings, config_check::Sidecar},
    mqtt::MqttSettings,
    numbers::GraphSettings,
    output::{OutputSettings, h264::H264Settings, variants::VariantSettings},
    picture::{
        PictureLimits,
        compose::{Layer, Overlay},
        text::TextSettings,
        transform::PresetName,
    },
    policy::{AuthSettings, Policy},
    producer::{
        StreamDefinition,
        file::MediaSettings,
        rtsp::RtspCameraSettings,
        udp_camera::UdpSettings,
        upload::{Durability, UploadSettings},
    },
    stream::{MAX_NAME_BYTES, StreamLimits, StreamName, StreamSettings},
    traces::TraceSettings,
    units::Size,
    uv4l::Uv4lSettings,
};

/// The shipped `sidecar.yml`: every key with its default and a comment.
pub const SIDECAR_YML: &str = include_str!("../../sidecar.yml");

/// The shipped `mediamtx.yml`.
pub const MEDIAMTX_YML: &str = include_str!("../../mediamtx.yml");

/// All settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Folder for the database and the last uploaded pictures.
    pub data_dir: PathBuf,
    /// Logging.
    pub log: LogSettings,
    /// The HTTP server.
    pub http: HttpSettings,
    /// The RTSP server.
    pub rtsp: RtspSettings,
    /// The MediaMTX beside the sidecar.
    pub mediamtx: MediaMtxSettings,
    /// Limits.
    pub limits: Limits,
    /// Authentication and permissions.
    pub auth: AuthSettings,
    /// Receivers of events.
    pub events: EventSettings,
    /// The life of a stream.
    pub stream_defaults: StreamSettings,
    /// Sending pictures.
    pub output: OutputSettings,
    /// Converted streams and pictures.
    pub variants: VariantSettings,
    /// Addresses that other programs expect.
    pub aliases: AliasSettings,
    /// H.264 made of pictures.
    pub h264: H264Settings,
    /// UDP cameras.
    pub udp: UdpSettings,
    /// Search for cameras on the network.
    pub discovery: DiscoverySettings,
    /// Connections to cameras, NAS and other devices.
    pub fetch: FetchSettings,
    /// RTSP cameras.
    pub rtsp_cameras: RtspCameraSettings,
    /// The connection to an MQTT broker.
    pub mqtt: MqttSettings,
    /// Video over MQTT.
    pub mqtt_video: MqttVideoSettings,
    /// UV4L cameras.
    pub uv4l: Uv4lSettings,
    /// Text on pictures.
    pub text: TextSettings,
    /// Media folders.
    pub media: MediaSettings,
    /// Uploads.
    pub uploads: UploadSettings,
    /// Graphs.
    pub graphs: GraphSettings,
    /// Traces, sent to a collector.
    pub traces: TraceSettings,
    /// Many sidecars as one.
    pub cluster: ClusterSettings,
    /// Overlays that requests can ask for, by name.
    pub overlays: BTreeMap<String, Vec<Layer>>,
    /// The streams, by name.
    pub streams: BTreeMap<StreamName, StreamDefinition>,
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
            mqtt: MqttSettings::default(),
            mqtt_video: MqttVideoSettings::default(),
            uv4l: Uv4lSettings::default(),
            text: TextSettings::default(),
            media: MediaSettings::default(),
            uploads: UploadSettings::default(),
            graphs: GraphSettings::default(),
            traces: TraceSettings::default(),
            cluster: ClusterSettings::default(),
            overlays: BTreeMap::new(),
            streams: BTreeMap::new(),
        }
    }
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives of tracing-subscriber's `EnvFilter`.
    pub level: String,
    /// Format of the lines.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings { level: "info".into(), format: LogFormat::Text }
    }
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object a line.
    Json,
}

/// Limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of one encoded picture.
    pub frame_size: Size,
    /// Most pixels (width × height) of one picture.
    pub frame_pixels: u64,
    /// Most memory for converting, turning and scaling pictures, for all of them together.
    pub conversion_memory: Size,
    /// Most memory for the pictures of all streams together.
    pub frame_memory: Size,
    /// Most streams.
    pub streams: usize,
    /// Longest stream name, in characters.
    pub name_length: usize,
    /// Most watchers of all streams together.
    pub watchers: usize,
    /// Most endless uploads and WebSocket publishers together.
    pub publishers: usize,
    /// The share of the watchers, publishers and connections, in percent, that one caller or one address can have.
    pub caller_share: u8,
    /// Most open connections of HTTP and HTTPS together.
    pub connections: usize,
    /// Most bytes of a file that is uploaded into a media folder.
    pub media_size: Size,
    /// Most paths of MediaMTX that are watched here as pictures at a time, without a definition under `streams`.
    pub pulled_paths: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let (pictures, streams) = (PictureLimits::default(), StreamLimits::default());
        Limits {
            frame_size: pictures.frame_size,
            frame_pixels: pictures.frame_pixels,
            conversion_memory: pictures.conversion_memory,
            frame_memory: streams.frame_memory,
            streams: streams.streams,
            name_length: streams.name_length,
            watchers: 10_000,
            publishers: 1_000,
            caller_share: 25,
            connections: 12_000,
            media_size: Size(4 << 30),
            pulled_paths: 50,
        }
    }
}

impl Limits {
    /// The limits of one picture.
    pub fn pictures(&self) -> PictureLimits {
        PictureLimits {
            frame_size: self.frame_size,
            frame_pixels: self.frame_pixels,
            conversion_memory: self.conversion_memory,
        }
    }

    /// The limits of all streams.
    pub fn streams(&self) -> StreamLimits {
        StreamLimits { streams: self.streams, name_length: self.name_length, frame_memory: self.frame_memory }
    }
}

impl Settings {
    /// The settings that a mediamtx.yml must fit.
    pub fn for_config_check(&self) -> Sidecar<'_> {
        Sidecar {
            http_port: self.http.listen.port(),
            rtsp_enabled: self.rtsp.enabled,
            rtsp_port: self.rtsp.listen.port(),
            default_rtsp_port: RtspSettings::default().listen.port(),
            udp_port: self.udp.listen.port(),
            has_webhook_secret: !self.auth.webhook_secret.is_empty(),
            webhook_is_local: self.auth.webhook_networks.is_none() && self.auth.webhook_secret.is_empty(),
            lets_this_machine_read: self.auth.lets_this_machine_read(),
            streams: &self.streams,
        }
    }

    /// Settings that are valid, and probably not what is meant, for the start and for `check`.
    pub fn warnings(&self) -> Vec<String> {
        let layers = self.streams.values().flat_map(|stream| &stream.overlay).chain(self.overlays.values().flatten());
        let texts = layers.filter_map(|layer| layer.text.as_deref());
        let names = self.streams.keys().map(|name| &**name);
        [self.http.warnings(), self.auth.warnings(), self.mqtt_video.warnings(), self.text.warnings(names.chain(texts))]
            .concat()
    }

    /// Adds the errors of values that have the right type.
    fn validate(&self, errors: &mut SettingErrors) {
        let mut refuse = |key: &str, rule: String| errors.add(key, rule);
        if tracing_subscriber::EnvFilter::try_new(&self.log.level).is_err() {
            refuse("log.level", format!("{:?} is none of error, warn, info, debug, trace", self.log.level));
        }
        if self.limits.frame_size.0 < 1024 {
            refuse("limits.frame_size", "must be at least 1K".into());
        }
        if self.limits.conversion_memory < Size::mib(16) {
            refuse("limits.conversion_memory", "must be at least 16M".into());
        }
        if self.limits.frame_memory < self.limits.frame_size {
            refuse("limits.frame_memory", "must not be less than limits.frame_size".into());
        }
        if !(1..=MAX_NAME_BYTES).contains(&self.limits.name_length) {
            refuse("limits.name_length", format!("must be from 1 to {MAX_NAME_BYTES}"));
        }
        if !(1..=100).contains(&self.limits.caller_share) {
            refuse("limits.caller_share", "must be from 1 to 100 (percent)".into());
        }
        if self.limits.connections < 16 {
            refuse("limits.connections", "must be at least 16".into());
        }
        if self.limits.streams == 0 {
            refuse("limits.streams", "must be at least 1".into());
        }
        if self.uploads.durability == Durability::Cluster && !self.cluster.is_on() {
            refuse("uploads.durability", "cluster needs a cluster (cluster.nats)".into());
        }
        let sections = [
            ("udp", self.udp.problems()),
            ("rtsp_cameras", self.rtsp_cameras.problems()),
            ("discovery", self.discovery.problems()),
            ("output", self.output.problems()),
            ("variants", self.variants.problems()),
            ("h264", self.h264.problems()),
            ("auth", self.auth.problems()),
            ("http", self.http.problems()),
            ("mediamtx", self.mediamtx.problems()),
            ("mqtt", self.mqtt.problems()),
            ("mqtt_video", self.mqtt_video.problems(self.mqtt.is_on())),
            ("uv4l", self.uv4l.problems()),
            ("text", self.text.problems()),
            ("traces", self.traces.problems()),
            ("cluster", self.cluster.problems()),
        ];
        for (section, problems) in sections {
            for (key, rule) in problems {
                refuse(&format!("{section}.{key}"), rule);
            }
        }
        if self.rtsp.enabled && self.rtsp.listen.port() != 0 && self.rtsp.listen.port() == self.http.listen.port() {
            refuse("rtsp.listen", format!("must have another port than http.listen ({})", self.http.listen.port()));
        }
        let video = self.mqtt_video.listen.filter(|listen| listen.port() != 0);
        let taken = [("http.listen", Some(self.http.listen)), ("http.tls.listen", self.http.tls.listen)];
        if let Some((key, _)) =
            taken.iter().find(|(_, other)| video.is_some_and(|video| other.map(|o| o.port()) == Some(video.port())))
        {
            refuse("mqtt_video.listen", format!("must have another port than {key}, which has the endpoint at /mqtt"));
        }
        if self.rtsp.max_connections == 0 {
            refuse("rtsp.max_connections", "must be at least 1; to switch RTSP off, set rtsp.enabled: no".into());
        }
        for kind in &self.mqtt.events {
            if !Kind::ALL.iter().any(|known| known.as_str() == kind) {
                let known: Vec<_> = Kind::ALL.iter().map(|known| known.as_str()).collect();
                refuse("mqtt.events", format!("{kind:?} is none of {}", known.join(", ")));
            }
        }
        for (key, rule) in self.events.problems() {
            refuse(&format!("events.{key}"), rule);
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
        for (name, layers) in &self.overlays {
            let key = format!("overlays.{name}");
            if let Err(e) = name.parse::<PresetName>() {
                refuse(&key, e.to_string());
            }
            match Overlay::new(layers) {
                Err(e) => refuse(&key, e.to_string()),
                Ok(overlay) if overlay.images().next().is_some() => {
                    refuse(&key, "a preset cannot have an image; the overlay of a stream can".into())
                }
                Ok(_) => {}
            }
        }
        if self.streams.len() > self.limits.streams {
            refuse("streams", format!("there are more than limits.streams ({})", self.limits.streams));
        }
    }
}
