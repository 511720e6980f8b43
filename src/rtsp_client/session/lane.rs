//! [`Lane`]: a track that is set up, and how its packets come.

use bytes::Bytes;
use tokio::time::Instant;

use crate::rtsp_client::{receive::Receiver, udp::UdpPair};

/// A track of a session.
pub(super) struct Lane {
    /// The channels of its packets and of its reports in the RTSP connection.
    pub(super) channels: (u8, u8),
    /// Whether a packet has come on the agreed channel.
    is_channel_right: bool,
    pub(super) udp: Option<UdpPair>,
    pub(super) receiver: Receiver,
}

impl Lane {
    pub(super) fn new((channels, udp): ((u8, u8), Option<UdpPair>), receiver: Receiver) -> Self {
        Lane { channels, is_channel_right: false, udp, receiver }
    }

    /// Takes a packet on the agreed channel. Returns whether it belongs to the track.
    pub(super) fn take(&mut self, data: Bytes) -> bool {
        let is_ours = self.receiver.push(data, true, Instant::now());
        self.is_channel_right |= is_ours;
        is_ours
    }

    /// Takes a packet on another channel, before one has come on the agreed channel: the server sends on another one than it has said.
    pub(super) fn take_elsewhere(&mut self, channel: u8, data: Bytes) -> bool {
        let is_ours = !self.is_channel_right && self.receiver.push(data, false, Instant::now());
        if is_ours {
            self.channels = (channel, channel.saturating_add(1));
            self.is_channel_right = true;
        }
        is_ours
    }

    /// The next datagram, and whether it is a report. Waits for ever without UDP. Cancel-safe.
    pub(super) async fn datagram(lane: &mut Option<Lane>) -> (Bytes, bool) {
        match lane.as_mut().and_then(|lane| lane.udp.as_mut()) {
            Some(udp) => udp.receive().await,
            None => std::future::pending().await,
        }
    }
}
