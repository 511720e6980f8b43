//! Named streams: each holds its latest picture, runs a producer while it has watchers, and serves any number of them.
//!
//! A stream's producer starts with the first [`Watch`] and stops a moment after the last one is dropped. [`lifecycle`]
//! decides (a pure state machine), the supervisor acts (one task for each stream that is not at rest), and [`Registry`]
//! finds streams by name. The latest frame wins: a slow watcher skips frames and counts them; it never slows a producer
//! or another watcher.
//!
//! This module knows no protocol, no kind of producer and no HTTP.

mod context;
mod demand;
mod ended;
mod failure;
mod fetch;
pub mod lifecycle;
mod name;
mod producer;
mod publish;
mod registry;
mod requested;
mod stats;
#[expect(clippy::module_inception, reason = "the file holds the type Stream")]
mod stream;
mod supervisor;
#[cfg(test)]
pub(crate) mod testing;
mod video;
mod watch;

use serde::{Deserialize, Serialize};

pub use self::{
    demand::{Demand, Form, Forms},
    ended::Ended,
    failure::LastFailure,
    name::{MAX_NAME_BYTES, StreamName},
    producer::{FetchFuture, FrameSink, Producer, ProducerFuture, Run},
    registry::{Deriver, Registry},
    stats::Stats,
    stream::{Origin, Stream},
    video::{CodedUnit, SharedFraming, Sound, SoundCodec, SoundUnit, VideoCodec, VideoReader, VideoUnit, framed},
    watch::{States, Watch},
};
pub use lifecycle::{Mode, State};

use crate::units::{HumanDuration, Size};

/// Times in the life of streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSettings {
    /// How long a started producer can take to its first picture.
    pub start_timeout: HumanDuration,
    /// How long a producer keeps running after its last watcher has left.
    pub linger: HumanDuration,
    /// Longest pause before a failed producer starts again; the first pause is one second.
    pub retry_max: HumanDuration,
    /// How long a watcher of a starting stream gets nothing before it gets a "waiting" picture.
    pub placeholder_after: HumanDuration,
    /// A stream that an upload made is removed, with its stored picture, when it was unused for this long.
    pub expire: HumanDuration,
    /// A stream that a recipe made and that never had a picture is removed when it was unused for this long.
    pub expire_empty: HumanDuration,
}

/// Limits on streams and their memory.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamLimits {
    /// Most streams, however they were made.
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
