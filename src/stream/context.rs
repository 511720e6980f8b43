//! [`SharedContext`]: settings, limits and memory that the streams of a registry share.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::{StreamLimits, StreamSettings};
use crate::{
    error::Result,
    picture::{FrameMemory, Reserved, text::Fonts},
    supervise::Supervisor,
    traces::Traces,
};

/// Shared by all streams of a registry.
pub(super) struct SharedContext {
    /// The fonts of "waiting" pictures; the bundled ones unless set.
    pub(super) fonts: OnceLock<Fonts>,
    /// Spans of starts; none unless set.
    pub(super) traces: OnceLock<Traces>,
    pub(super) settings: StreamSettings,
    pub(super) limits: StreamLimits,
    pub(super) memory: Arc<FrameMemory>,
    pub(super) runtime: Handle,
    /// Starts the supervisor task of a stream again if it panics.
    pub(super) supervisor: Supervisor,
    /// The supervisor tasks, so that shutdown can wait for them.
    pub(super) tasks: TaskTracker,
    /// Tries to free this many bytes by dropping pictures of streams without a watcher. Set by the registry, which
    /// knows all streams.
    pub(super) make_room: OnceLock<Box<dyn Fn(usize) -> bool + Send + Sync>>,
}

impl SharedContext {
    /// Reserves memory for a picture. If it is full, drops pictures of streams without a watcher.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reserved> {
        self.memory.reserve(bytes).or_else(|full| match self.make_room.get() {
            Some(make_room) if make_room(bytes) => self.memory.reserve(bytes),
            _ => Err(full),
        })
    }
}
