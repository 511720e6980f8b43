//! How pictures are sent: one file for each wire format.
//!
//! What every output owes its stream: it holds a [`Watch`](crate::stream::Watch) no longer than its
//! peer listens, never goes silent for long (a peer that vanished without a word is only found by
//! writing), gives up a peer that takes nothing for [`OutputSettings::stall_timeout`], and skips frames
//! rather than queue them.

pub mod h264;
pub mod mjpeg;
pub mod snapshot;
pub mod variants;
pub mod websocket;

use serde::{Deserialize, Serialize};

use crate::units::HumanDuration;

/// How pictures are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputSettings {
    /// How often MJPEG repeats a picture that does not change, unless the request says otherwise.
    pub interval: HumanDuration,
    /// How long a watcher may take nothing before it is disconnected.
    pub stall_timeout: HumanDuration,
    /// How long a snapshot waits for a picture.
    pub snapshot_timeout: HumanDuration,
    /// How old a snapshot of a camera may be, unless the request says otherwise; uploads have no age.
    pub snapshot_max_age: HumanDuration,
}

impl Default for OutputSettings {
    fn default() -> Self {
        OutputSettings {
            interval: HumanDuration::secs(5),
            stall_timeout: HumanDuration::secs(30),
            snapshot_timeout: HumanDuration::secs(10),
            snapshot_max_age: HumanDuration::secs(10),
        }
    }
}

impl OutputSettings {
    /// Says what is wrong with the settings, by key.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if mjpeg::check_interval(*self.interval).is_err() {
            found.push(("interval", format!("must be from 40ms to 1h, not {}", self.interval)));
        }
        if self.stall_timeout < HumanDuration::secs(1) {
            found.push(("stall_timeout", "must be at least 1s".into()));
        }
        found
    }
}

/// Why the connection of a watcher or publisher ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The peer closed the connection, or the network did.
    Closed,
    /// The peer took nothing for [`OutputSettings::stall_timeout`].
    Stalled,
    /// The stream was removed.
    StreamEnded,
    /// The server shuts down, or the peer has lost its permission.
    ToldToEnd,
}

impl DisconnectReason {
    /// The reason in words, which is also the label of the metric.
    pub fn reason(self) -> &'static str {
        match self {
            DisconnectReason::Closed => "connection closed",
            DisconnectReason::Stalled => "took nothing for too long",
            DisconnectReason::StreamEnded => "the stream ended",
            DisconnectReason::ToldToEnd => "told to end: shutdown, or permission lost",
        }
    }
}

/// What an output has sent to one watcher.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Parts sent, repeats included.
    pub parts: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Frames skipped because the watcher was slow.
    pub dropped: u64,
    /// Why the connection ended.
    pub left: DisconnectReason,
}
