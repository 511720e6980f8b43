//! Outputs send the pictures of a stream to clients: one file for each wire format.
//!
//! Every output follows four rules. It holds a [`Watch`](crate::stream::Watch) only while its client is connected. It
//! never stays silent for long, because only a write detects a client that vanished. It disconnects a client that takes
//! no bytes for [`OutputSettings::stall_timeout`]. It skips frames instead of queueing them.

mod connection;
pub mod fmp4;
pub mod h264;
pub mod http;
pub mod mjpeg;
pub mod readers;
pub mod snapshot;
pub mod variants;
pub mod websocket;

use serde::{Deserialize, Serialize};

use self::http::Output;
pub use crate::disconnect::DisconnectReason;
use crate::units::HumanDuration;

/// All outputs with an address of HTTP. A new output is a file in this folder and an entry here: its route, its part of the
/// OpenAPI document, the metrics' label and the protocol in the list of sessions follow from the entry.
pub const OUTPUTS: &[Output] = &[
    Output::Endless(&mjpeg::OUTPUT),
    Output::Other(&fmp4::KIND),
    Output::Other(&snapshot::KIND),
    Output::Other(&fmp4::SNAPSHOT),
    Output::Other(&websocket::KIND),
];

/// Settings for all outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputSettings {
    /// Pause between repeats of an unchanged picture in MJPEG, unless the request sets one.
    pub interval: HumanDuration,
    /// How long a client can take no bytes before it is disconnected.
    pub stall_timeout: HumanDuration,
    /// How long a snapshot waits for a picture.
    pub snapshot_timeout: HumanDuration,
    /// Greatest age of a camera's snapshot, unless the request sets one. Uploads do not become outdated.
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
    /// Invalid settings: the key and the rule that it breaks.
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_and_addresses_of_outputs_are_distinct_and_name_a_stream() {
        let words: HashSet<_> = OUTPUTS.iter().map(|output| output.kind().word).collect();
        let paths: HashSet<_> = OUTPUTS.iter().map(|output| output.kind().path).collect();
        assert_eq!((words.len(), paths.len()), (OUTPUTS.len(), OUTPUTS.len()));
        assert!(paths.iter().all(|path| path.matches("{name}").count() == 1), "{paths:?}");
        assert!(OUTPUTS.iter().all(|output| output.kind().about.ends_with('.')));
    }
}
