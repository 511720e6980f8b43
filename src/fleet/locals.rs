//! [`Locals`]: the streams whose pictures this node makes now.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::stream::StreamName;

/// Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Locals(Arc<Mutex<HashMap<StreamName, Local>>>);

struct Local {
    epoch: u64,
    /// The number of the first picture that was made here. Those before it are of another node, and are not sent again.
    from_seq: u64,
    /// The nodes that can make them; empty: each.
    nodes: Vec<String>,
}

impl Locals {
    /// This node makes the pictures of the stream from this number on.
    pub(super) fn set(&self, stream: &StreamName, nodes: &[String], epoch: u64, from_seq: u64) {
        self.0.lock().insert(stream.clone(), Local { epoch, from_seq, nodes: nodes.to_vec() });
    }

    /// It is a holder of another epoch now.
    pub(super) fn renew(&self, stream: &StreamName, epoch: u64) {
        if let Some(local) = self.0.lock().get_mut(stream) {
            local.epoch = epoch;
        }
    }

    /// It makes none from now on.
    pub(super) fn clear(&self, stream: &StreamName) {
        self.0.lock().remove(stream);
    }

    /// The epoch, if this node makes the pictures.
    pub(super) fn epoch(&self, stream: &StreamName) -> Option<u64> {
        self.0.lock().get(stream).map(|local| local.epoch)
    }

    /// The epoch, if this node made the picture of this number.
    pub(super) fn epoch_of(&self, stream: &StreamName, seq: u64) -> Option<u64> {
        self.0.lock().get(stream).filter(|local| seq >= local.from_seq).map(|local| local.epoch)
    }

    /// The streams that another node could run.
    pub(super) fn movable(&self, can_run: impl Fn(&[String]) -> bool) -> Vec<StreamName> {
        let locals = self.0.lock();
        locals.iter().filter(|(_, local)| can_run(&local.nodes)).map(|(stream, _)| stream.clone()).collect()
    }
}
