//! Video over MQTT: the protocol of the program `mqtt-video`, whose page asks for a video by messages, and gets it in messages
//! that it appends to a `MediaSource`.
//!
//! ```text
//! WebSocket ──▶ connection ──▶ session (MQTT) ─┐
//!                                              ├▶ desk (requests, videos) ──▶ source (admission, streams) ──▶ output::fmp4
//! broker ─────▶ broker (mqtt::Mqtt) ───────────┘
//! ```
//!
//! There are two ways to a client. Our own endpoint speaks MQTT over WebSocket ([`MqttVideo::serve`]). It is no broker: it has the
//! topics of this protocol only, and a client is its connection, so that two clients with the same identifier do not disturb each
//! other. And with `mqtt_video.broker`, requests are answered at a real broker ([`MqttVideo::run`]).

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod broker;
mod connection;
mod desk;
mod groups;
mod packet;
mod request;
mod session;
mod source;

use std::sync::Arc;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    time::Duration,
};

#[cfg(any(test, fuzzing))]
pub(crate) use self::packet::properties;
use crate::{
    access::Access,
    catalog::Catalog,
    metrics::Metrics,
    mqtt::Mqtt,
    output::{h264::Encodings, http::OutputKind},
    policy::Caller,
    server::Place,
    settings::MqttVideoSettings,
    shutdown::Shutdown,
};

/// `/mqtt`.
pub const KIND: OutputKind = OutputKind {
    word: "mqtt-video",
    path: "/mqtt",
    content_type: "video/mp4",
    about: "MQTT by WebSocket, for the video protocol of mqtt-video.",
};

/// What video over MQTT is built from.
pub struct Parts {
    /// The settings.
    pub settings: MqttVideoSettings,
    /// Admission.
    pub access: Access,
    /// The streams.
    pub catalog: Catalog,
    /// Shared encodings.
    pub encodings: Encodings,
    /// Counters.
    pub metrics: Metrics,
    /// The connection to the broker.
    pub mqtt: Mqtt,
    /// The end of the program.
    pub shutdown: Shutdown,
    /// How long a client can take to send CONNECT.
    pub connect_timeout: Duration,
    /// How long a client can take no bytes, or acknowledge nothing.
    pub stall_timeout: Duration,
}

/// Video over MQTT. Cheap to clone.
#[derive(Clone)]
pub struct MqttVideo(Arc<Shared>);

struct Shared {
    settings: MqttVideoSettings,
    access: Access,
    catalog: Catalog,
    encodings: Encodings,
    metrics: Metrics,
    mqtt: Mqtt,
    shutdown: Shutdown,
    connect_timeout: Duration,
    stall_timeout: Duration,
    /// `mqtt_video.max_viewers`.
    places: Arc<Semaphore>,
}

/// The client of a WebSocket.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Its address, and the credentials of its handshake, which count if CONNECT has none. Without those that a browser adds to the
    /// requests of another site's page.
    pub caller: Caller,
    /// Its address and port, for the list of sessions.
    pub remote: String,
    /// Whether its requests can make a stream.
    pub may_make: bool,
}

impl MqttVideo {
    /// Video over MQTT with these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { settings, access, catalog, encodings, metrics, mqtt, shutdown, connect_timeout, stall_timeout } =
            parts;
        let places = Arc::new(Semaphore::new(settings.max_viewers.min(Semaphore::MAX_PERMITS)));
        MqttVideo(Arc::new(Shared {
            settings,
            access,
            catalog,
            encodings,
            metrics,
            mqtt,
            shutdown,
            connect_timeout,
            stall_timeout,
            places,
        }))
    }

    /// The settings.
    pub fn settings(&self) -> &MqttVideoSettings {
        &self.0.settings
    }

    /// Serves a client after the handshake of its WebSocket, until it leaves. It holds its place among the open connections as long;
    /// while it has no video, it makes room for others.
    pub async fn serve<T: AsyncRead + AsyncWrite + Unpin>(&self, io: T, client: Client, place: Option<Place>) {
        connection::serve(&self.0, io, client, place).await;
    }

    /// Answers requests at the broker until the program ends, if `mqtt_video.broker` is on.
    pub async fn run(&self) {
        if self.0.settings.broker {
            broker::run(&self.0).await;
        }
    }
}
