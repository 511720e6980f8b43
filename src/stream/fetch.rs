//! Pictures for snapshots from the node of a cluster that runs the producer, without a run on this node.

use std::sync::Arc;

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use super::{State, Stream};
use crate::{
    error::{Error, Result},
    picture::SharedFrame,
};

/// None if the node does not answer in time, or not for itself.
type Outcome = Option<Result<SharedFrame, Arc<Error>>>;
type Flight = BoxFuture<'static, Outcome>;

/// The request of a stream that is under way, with the age that it asks for. Dropped with the last snapshot that waits for it.
#[derive(Default)]
pub(super) struct Fetching(Mutex<Option<(Option<Duration>, WeakShared<Flight>)>>);

impl Stream {
    /// Whether [`Stream::fetch`] would ask another node: the producer runs there, and not here.
    pub fn is_fetched(&self) -> bool {
        self.state().0 == State::Idle && self.producer().fetch(None).is_some()
    }

    /// A picture from the node that runs the producer. `max_age` is the greatest age of the picture since its arrival there; none: as
    /// that node does it for a snapshot. Snapshots at the same time share one request. None if the picture must be watched for.
    pub async fn fetch(self: &Arc<Self>, max_age: Option<Duration>) -> Option<Result<SharedFrame>> {
        let asked_at = Instant::now();
        loop {
            let (flight, is_shared) = self.flight(max_age)?;
            let outcome = flight.await?;
            if let Ok(frame) = &outcome
                && is_shared
                && max_age.is_some_and(|max_age| asked_at.saturating_duration_since(frame.received_at) > max_age)
            {
                // It was given to a request of before this one, and was too old when this one came.
                continue;
            }
            return Some(outcome.map_err(|error| error.again()));
        }
    }

    /// The request that is under way, or a new one. Whether it is an earlier one.
    fn flight(self: &Arc<Self>, max_age: Option<Duration>) -> Option<(Shared<Flight>, bool)> {
        if self.state().0 != State::Idle {
            return None;
        }
        let mut held = self.fetching.0.lock();
        let present = held.as_ref().filter(|(of, _)| *of == max_age).and_then(|(_, flight)| flight.upgrade());
        if let Some(flight) = present.filter(|flight| flight.peek().is_none()) {
            return Some((flight, true));
        }
        let (fetch, stream) = (self.producer().fetch(max_age)?, self.clone());
        let flight = async move {
            let fetched = fetch.await?;
            Some(fetched.and_then(|(picture, at)| stream.keep(&picture, at)).map_err(Arc::new))
        };
        let flight = flight.boxed().shared();
        *held = flight.downgrade().map(|flight| (max_age, flight));
        Some((flight, false))
    }
}
