//! [`GraphSettings`]: the section `graphs` of `sidecar.yml`.

use serde::{Deserialize, Serialize};

use crate::units::{HumanDuration, Size};

/// Graphs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphSettings {
    /// Most points of one series. Beyond it, the smallest and the largest of each part of the window stay.
    pub points: usize,
    /// Most series of one stream.
    pub series: usize,
    /// Memory for the points of all streams together.
    pub memory: Size,
    /// Pause between two writes of new points to the disk.
    pub write_interval: HumanDuration,
}

impl Default for GraphSettings {
    fn default() -> Self {
        GraphSettings { points: 10_000, series: 64, memory: Size::mib(256), write_interval: HumanDuration::secs(30) }
    }
}
