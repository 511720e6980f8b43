//! Settings of the RTSP server.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The RTSP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RtspSettings {
    /// Whether the server runs.
    pub enabled: bool,
    /// Address and port.
    pub listen: SocketAddr,
    /// Most connections at a time.
    pub max_connections: usize,
}

impl Default for RtspSettings {
    fn default() -> Self {
        RtspSettings { enabled: true, listen: ([127, 0, 0, 1], 9554).into(), max_connections: 4096 }
    }
}
