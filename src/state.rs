//! [`State`]: the parts that request handlers use. It holds them and has no rules of its own.

use std::time::SystemTime;

use crate::{
    access::Access,
    catalog::Catalog,
    cluster::Cluster,
    discovery::Discovery,
    events::{Bus, Webhooks},
    fleet::Fleet,
    identity::Identity,
    library::Library,
    mediamtx::{Client, Downloads, PathCache},
    metrics::Metrics,
    mqtt::Mqtt,
    mqtt_publish::Publisher,
    mqtt_video::MqttVideo,
    output::{h264::Encodings, variants::Variants},
    paths::Paths,
    settings::{Settings, Sources},
    shutdown::Shutdown,
    signal::Rooms,
    store::Store,
    throughput::Throughput,
    traces::Traces,
    uptime::Uptime,
    uv4l::Cameras,
};

/// One for the whole program; HTTP and RTSP share it.
pub struct State {
    /// The settings.
    pub settings: Settings,
    /// The file and the environment variables that the settings come from.
    pub sources: Sources,
    /// When the program was started.
    pub started: SystemTime,
    /// Admission: decisions, audit, sessions, permits.
    pub access: Access,
    /// Streams by name.
    pub catalog: Catalog,
    /// The cluster, if this program is a node of one.
    pub cluster: Option<Cluster>,
    /// The streams of the cluster.
    pub fleet: Option<Fleet>,
    /// Users, sign-ins, tokens, shares and signing keys.
    pub identity: Identity,
    /// MediaMTX's control API.
    pub mediamtx: Client,
    /// Files of MediaMTX's recordings.
    pub downloads: Downloads,
    /// The connection to the MQTT broker.
    pub mqtt: Mqtt,
    /// What is published to it.
    pub publisher: Publisher,
    /// Video over MQTT.
    pub mqtt_video: MqttVideo,
    /// MediaMTX's paths as they were seen last.
    pub path_cache: PathCache,
    /// The paths that MediaMTX must have.
    pub paths: Paths,
    /// How streams were in the last day.
    pub uptime: Uptime,
    /// UV4L cameras.
    pub uv4l: Cameras,
    /// Rooms for the signalling of WebRTC.
    pub rooms: Rooms,
    /// Search for cameras.
    pub discovery: Discovery,
    /// Files of the media folders.
    pub library: Library,
    /// The base URL at which MediaMTX's host fetches files from us.
    pub advertise_http: String,
    /// The base URL at which MediaMTX pulls our streams.
    pub advertise_rtsp: String,
    /// Events.
    pub events: Bus,
    /// Receivers of events.
    pub webhooks: Webhooks,
    /// The database.
    pub store: Store,
    /// The end of the program.
    pub shutdown: Shutdown,
    /// Shared H.264 encodings.
    pub encodings: Encodings,
    /// Shared variants of streams.
    pub variants: Variants,
    /// Counters.
    pub metrics: Metrics,
    /// Bytes per second in the last minutes.
    pub throughput: Throughput,
    /// Spans for a collector.
    pub traces: Traces,
}
