//! [`Fetching`]: the request of a stream to another node of a cluster, which snapshots at the same time share.

use std::sync::Arc;

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::Mutex;
use tokio::time::Duration;

use crate::{
    error::{Error, Result},
    picture::SharedFrame,
};

/// None if the node does not answer in time, or does not run the producer.
pub(super) type Outcome = Option<Result<SharedFrame, Arc<Error>>>;
pub(super) type Flight = BoxFuture<'static, Outcome>;

/// The request that is under way, with the age that it asks for. It is dropped with the last snapshot that waits for it.
#[derive(Default)]
pub(super) struct Fetching(Mutex<Option<(Option<Duration>, WeakShared<Flight>)>>);

impl Fetching {
    /// The request that is under way for a picture of this age, or a new one; whether it is an earlier one. `begin` can lock the stream, so
    /// this must not be called while the stream is locked.
    pub(super) fn join(
        &self,
        max_age: Option<Duration>,
        begin: impl FnOnce() -> Option<Flight>,
    ) -> Option<(Shared<Flight>, bool)> {
        let mut held = self.0.lock();
        let present = held.as_ref().filter(|(of, _)| *of == max_age).and_then(|(_, flight)| flight.upgrade());
        if let Some(flight) = present.filter(|flight| flight.peek().is_none()) {
            return Some((flight, true));
        }
        let flight = begin()?.shared();
        *held = flight.downgrade().map(|flight| (max_age, flight));
        Some((flight, false))
    }

    /// The stream has another definition: snapshots from now on do not share the request. Not while the stream is locked.
    pub(super) fn forget(&self) {
        *self.0.lock() = None;
    }
}
