//! [`SharedContext`]: what all streams of a registry have in common.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::{StreamLimits, StreamSettings};
use crate::{
    error::Result,
    picture::{FrameMemory, Reserved},
};

/// What all streams share.
pub(super) struct SharedContext {
    pub(super) settings: StreamSettings,
    pub(super) limits: StreamLimits,
    pub(super) memory: Arc<FrameMemory>,
    pub(super) runtime: Handle,
    /// The supervisors, so that shutdown can wait for them.
    pub(super) tasks: TaskTracker,
    /// Tries to free so much memory by dropping pictures nobody watches. Set by the registry, which
    /// alone knows all streams.
    pub(super) make_room: OnceLock<Box<dyn Fn(usize) -> bool + Send + Sync>>,
}

impl SharedContext {
    /// Takes memory for a picture, from pictures that nobody watches if need be.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reserved> {
        self.memory.reserve(bytes).or_else(|full| match self.make_room.get() {
            Some(make_room) if make_room(bytes) => self.memory.reserve(bytes),
            _ => Err(full),
        })
    }
}
