//! [`Watch`]: the guard somebody holds while they want frames.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    Demand, State, Stream,
    stream::{Slot, Status},
};
use crate::picture::SharedFrame;

/// The stream was removed, or the program ends; the text says which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended(pub &'static str);

/// Keeps a stream's producer running. The first watch starts it; when the last one is dropped it
/// stops after the linger. Dropping does nothing but count.
pub struct Watch {
    stream: Arc<Stream>,
    slot: watch::Receiver<Slot>,
    status: watch::Receiver<Status>,
    /// Sequence number of the frame last returned; 0 before the first.
    seen: u64,
    dropped: u64,
    /// What it keeps the producer running for; none if it does not.
    demand: Option<Demand>,
}

impl Watch {
    pub(super) fn new(stream: Arc<Stream>, demand: Option<Demand>) -> Self {
        let (slot, status) = (stream.slot.subscribe(), stream.status.subscribe());
        Watch { stream, slot, status, seen: 0, dropped: 0, demand }
    }

    /// The stream that is watched.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Changes what is needed: for those who watch on behalf of others, who come and go.
    pub fn set_demand(&mut self, demand: Demand) {
        if let Some(before) = self.demand.filter(|before| *before != demand) {
            self.stream.change_demand(before, demand);
            self.demand = Some(demand);
        }
    }

    /// The frame held at the moment, whether or not it was returned before; does not count as seen.
    pub fn latest(&self) -> Option<SharedFrame> {
        self.slot.borrow().frame.clone()
    }

    /// Waits for a frame newer than the last one returned. Frames in between are lost and counted.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Result<SharedFrame, Ended> {
        loop {
            {
                let slot = self.slot.borrow_and_update();
                if let Some(why) = slot.ended {
                    return Err(Ended(why));
                }
                if let Some(frame) = slot.frame.as_ref().filter(|f| f.seq > self.seen) {
                    if self.seen > 0 {
                        let lost = frame.seq - self.seen - 1;
                        self.dropped += lost;
                        self.stream.count_dropped(lost);
                    }
                    self.seen = frame.seq;
                    return Ok(frame.clone());
                }
            }
            self.slot.changed().await.map_err(|_| Ended("the stream is gone"))?;
        }
    }

    /// Counts the present frame as seen, so that [`Watch::next`] waits for one that arrives from now on.
    pub fn skip_held(&mut self) {
        if let Some(frame) = self.latest() {
            self.seen = self.seen.max(frame.seq);
        }
    }

    /// Passes over the frames that came since the last one returned, except for the newest, without counting them as
    /// lost: for those who want fewer.
    pub fn pass_over(&mut self) {
        if let Some(frame) = self.latest() {
            self.seen = self.seen.max(frame.seq.saturating_sub(1));
        }
    }

    /// Returns when the stream has ended, which [`Watch::next`] then tells. Cancel-safe.
    pub async fn ended(&self) {
        let mut slot = self.slot.clone();
        let _ = slot.wait_for(|slot| slot.ended.is_some()).await;
    }

    /// Frames that this watcher has lost by being slow.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Tells when the producer fails, beside a wait for a frame.
    pub fn failures(&self) -> Failures {
        Failures(self.status.clone())
    }

    /// Tells how the stream is, beside a wait for a frame.
    pub fn states(&self) -> States {
        let mut status = self.status.clone();
        status.mark_changed();
        States(status)
    }

    /// The picture to show while there is none; drawn anew when the reason changes.
    pub fn placeholder(&self) -> SharedFrame {
        self.stream.placeholder()
    }
}

/// Hears of a producer's failures without counting as a watcher.
pub struct Failures(watch::Receiver<Status>);

impl Failures {
    /// Waits until the producer has failed and returns the reason; at once when it is failing now.
    /// Cancel-safe.
    pub async fn next(&mut self) -> String {
        match self.0.wait_for(|s| matches!(s.state, State::Failing { .. })).await {
            Ok(status) => status.reason.to_string(),
            Err(_) => "the stream is gone".into(),
        }
    }
}

/// Hears how a stream is without counting as a watcher.
pub struct States(watch::Receiver<Status>);

impl States {
    /// The state and its reason: at once the first time, then whenever they have changed. Waits for ever when the stream is
    /// gone, which [`Watch::next`] tells. Cancel-safe.
    pub async fn next(&mut self) -> (State, String) {
        if self.0.changed().await.is_err() {
            return std::future::pending().await;
        }
        let status = self.0.borrow_and_update();
        (status.state, status.reason.to_string())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(demand) = self.demand {
            self.stream.leave(demand);
        }
    }
}
