//! An RTSP client (RFC 2326) that reads one video track of a camera or of MediaMTX, and is as lenient as ffmpeg: it uses what an
//! answer says, and ignores the parts that it does not need. docs/decisions/0011-own-rtsp-client.md has the reasons, docs/devices.md
//! the devices.
//!
//! ```text
//! socket ──▶ message (answers, packets) ──▶ session (requests, passwords, keep-alive)
//!                                              └─▶ receive (order, loss) ──▶ assemble | jpeg ──▶ Unit
//! ```
//!
//! This module knows bytes, addresses and access units, but no streams, no decoders and no rules about networks.

mod assemble;
mod connection;
mod depacketize;
mod failure;
mod headers;
mod jpeg;
mod message;
mod parameter_sets;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod receive;
mod rtp;
mod sdp;
mod session;
mod udp;
mod uri;

use bytes::Bytes;

pub use self::{
    connection::Tls,
    failure::Failure,
    sdp::{Codec, Track},
    session::{Session, Target},
};

/// How the packets are transported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP; UDP if the camera refuses TCP.
    Auto,
    /// In the RTSP connection.
    Tcp,
    /// In UDP datagrams.
    Udp,
}

/// Whether decoding can begin at an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It refers to earlier units.
    No,
    /// Pictures are correct after this number of further units: a recovery point (H.264 D.2.8), or an intra picture that is no
    /// IDR picture (0 units).
    Recovery(u32),
    /// A picture that refers to no other: IDR of H.264; IDR, BLA and CRA of H.265; each JPEG.
    Key,
}

/// A coded picture as a camera sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// A byte stream (annex B) that includes the parameter sets if decoding can begin here; or a JPEG.
    pub data: Bytes,
    /// Whether decoding can begin here.
    pub start: Start,
    /// Whether data before it was lost.
    pub has_loss: bool,
    /// RTP time, in ticks of the track's clock rate; wraps.
    pub timestamp: u32,
}
