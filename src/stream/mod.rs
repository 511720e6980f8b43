//! Who holds the pictures: named streams, their life, and those who watch them.
//!
//! A stream's producer starts with the first [`Watch`] and stops a moment after the last one is
//! dropped. [`lifecycle`] decides (pure), the supervisor acts (one task for each stream that does
//! anything), [`Registry`] finds streams by name. The latest frame wins: a slow watcher skips
//! frames and is told how many; it never slows a producer or another watcher.
//!
//! Knows no protocol, no kind of producer and no HTTP.

mod context;
mod demand;
pub mod lifecycle;
mod name;
mod producer;
mod registry;
mod stats;
#[expect(clippy::module_inception, reason = "the file holds the type Stream")]
mod stream;
mod supervisor;
mod watch;

use serde::{Deserialize, Serialize};

pub use self::{
    demand::Demand,
    name::{MAX_NAME_BYTES, StreamName},
    producer::{FrameSink, Producer, ProducerFuture, Run},
    registry::Registry,
    stats::Stats,
    stream::{Origin, Stream},
    watch::{Ended, States, Watch},
};
pub use lifecycle::{Mode, State};

use crate::units::{HumanDuration, Size};

/// How streams live, unless something else is said for one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSettings {
    /// How long a started producer may take to give its first picture.
    pub start_timeout: HumanDuration,
    /// How long a producer runs on after its last watcher left.
    pub linger: HumanDuration,
    /// Longest pause between attempts of a producer that fails; the first pause is one second.
    pub retry_max: HumanDuration,
    /// How long a watcher of a starting stream is shown nothing before it is shown a "waiting" picture.
    pub placeholder_after: HumanDuration,
    /// A stream that an upload made is forgotten, with its stored picture, when it was not used for so long.
    pub expire: HumanDuration,
    /// A stream that was made by asking for it and never had a picture is forgotten after so long.
    pub expire_empty: HumanDuration,
}

/// How much there may be of everything.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamLimits {
    /// Most streams, defined and made in passing together.
    pub streams: usize,
    /// Longest stream name, in characters; at most [`MAX_NAME_BYTES`].
    pub name_length: usize,
    /// Most memory for all held pictures together.
    pub frame_memory: Size,
}

impl Default for StreamLimits {
    fn default() -> Self {
        StreamLimits { streams: 10_000, name_length: 200, frame_memory: Size::mib(1024) }
    }
}

impl Default for StreamSettings {
    fn default() -> Self {
        StreamSettings {
            start_timeout: HumanDuration::secs(10),
            linger: HumanDuration::secs(10),
            retry_max: HumanDuration::secs(30),
            placeholder_after: HumanDuration::millis(700),
            expire: HumanDuration::secs(30 * 86_400),
            expire_empty: HumanDuration::secs(600),
        }
    }
}

#[cfg(test)]
mod tests;
