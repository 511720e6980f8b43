//! [`Placement`]: on which node of a cluster a producer runs.

use std::sync::{Arc, OnceLock};

use crate::stream::{Producer, StreamName};

/// Makes a producer run on one node at a time, of these if there are any.
pub type Place = dyn Fn(&StreamName, Arc<dyn Producer>, &[String]) -> Arc<dyn Producer> + Send + Sync;

/// Makes a producer of uploads show the uploads of all nodes.
pub type Share = dyn Fn(Arc<dyn Producer>) -> Arc<dyn Producer> + Send + Sync;

/// Places producers. Without a cluster each one runs here. Cheap to clone.
#[derive(Clone, Default)]
pub struct Placement(Arc<OnceLock<(Box<Place>, Box<Share>)>>);

impl Placement {
    /// Sets how producers are placed. Only the first call has an effect.
    pub fn set(&self, place: Box<Place>, share: Box<Share>) {
        let _ = self.0.set((place, share));
    }

    /// The producer for this node.
    pub(super) fn place(&self, name: &StreamName, inner: Arc<dyn Producer>, nodes: &[String]) -> Arc<dyn Producer> {
        match self.0.get() {
            Some((place, _)) => place(name, inner, nodes),
            None => inner,
        }
    }

    /// The producer of uploads for this node.
    pub(super) fn share(&self, inner: Arc<dyn Producer>) -> Arc<dyn Producer> {
        match self.0.get() {
            Some((_, share)) => share(inner),
            None => inner,
        }
    }
}
