//! [`Watch`]: the guard that a watcher holds while it needs frames.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    Demand, Ended, Form, State, Stream, VideoReader,
    stream::{Slot, Status},
};
use crate::{fanout, picture::SharedFrame};

/// Keeps a stream's producer running. The first watch starts the producer, and after the last one is dropped it
/// stops at the end of the linger.
pub struct Watch {
    stream: Arc<Stream>,
    slot: fanout::Receiver<Slot>,
    status: watch::Receiver<Status>,
    /// Sequence number of the frame last returned; 0 before the first.
    seen: u64,
    dropped: u64,
    /// The demand that this watch counts for; none if it only follows the stream.
    demand: Option<Demand>,
    form: Form,
}

impl Watch {
    pub(super) fn new(stream: Arc<Stream>, demand: Option<Demand>) -> Self {
        let (slot, status) = (stream.slot.subscribe(), stream.status.subscribe());
        Watch { stream, slot, status, seen: 0, dropped: 0, demand, form: Form::Jpeg }
    }

    /// The watched stream.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Changes the demand. For a watcher that serves several clients, which come and go.
    pub fn set_demand(&mut self, demand: Demand) {
        if let Some(before) = self.demand.filter(|before| *before != demand) {
            self.stream.change_demand(before, demand);
            self.demand = Some(demand);
        }
    }

    /// Changes the form in which the watcher needs pictures; JPEG at first. A watcher that needs planes can get frames
    /// that are not encoded.
    pub fn set_form(&mut self, form: Form) {
        if self.form != form {
            if self.demand.is_some() {
                self.stream.change_form(self.form, form);
            }
            self.form = form;
        }
    }

    /// The latest frame, also if it was returned before. Does not count as returned.
    pub fn latest(&self) -> Option<SharedFrame> {
        self.slot.borrow().frame.clone()
    }

    /// Waits for a frame newer than the last one returned. Frames in between are skipped and counted. Cancel-safe.
    pub async fn next(&mut self) -> Result<SharedFrame, Ended> {
        loop {
            let frame = {
                let slot = self.slot.borrow_and_update();
                if let Some(why) = slot.ended {
                    return Err(Ended(why));
                }
                slot.frame.clone().filter(|f| f.seq > self.seen)
            };
            if let Some(frame) = frame {
                if self.form == Form::Jpeg {
                    frame.encode().await;
                }
                if self.seen > 0 {
                    let lost = frame.seq - self.seen - 1;
                    self.dropped += lost;
                    self.stream.count_dropped(lost);
                }
                self.seen = frame.seq;
                return Ok(frame);
            }
            self.slot.changed().await.map_err(|_| Ended("the stream is gone"))?;
        }
    }

    /// Counts the latest frame as returned, so that [`Watch::next`] waits for a frame that arrives from now on.
    pub fn skip_held(&mut self) {
        if let Some(frame) = self.latest() {
            self.seen = self.seen.max(frame.seq);
        }
    }

    /// Skips all frames since the last one returned, except for the newest, without counting them as dropped. For a
    /// watcher that needs fewer frames.
    pub fn pass_over(&mut self) {
        if let Some(frame) = self.latest() {
            self.seen = self.seen.max(frame.seq.saturating_sub(1));
        }
    }

    /// Returns when the stream has ended. [`Watch::next`] then returns the reason. Cancel-safe.
    pub async fn ended(&self) {
        let _ = self.slot.wait_for(|slot| slot.ended.is_some()).await;
    }

    /// Frames that this watcher skipped because it was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Reads the coded video of the source, and its sound if `listens`; see [`Producer::passes_video`](super::Producer::passes_video).
    pub fn video(&self, listens: bool) -> VideoReader {
        self.stream.video.reader(listens)
    }

    /// Reports failures of the producer, beside a wait for a frame.
    pub fn failures(&self) -> Failures {
        Failures(self.status.clone())
    }

    /// Reports the state of the stream, beside a wait for a frame.
    pub fn states(&self) -> States {
        let mut status = self.status.clone();
        status.mark_changed();
        States(status)
    }

    /// The "waiting" picture, with the present reason.
    pub fn placeholder(&self) -> SharedFrame {
        self.stream.placeholder()
    }
}

/// Reports failures of a producer. Does not count as a watcher.
pub struct Failures(watch::Receiver<Status>);

impl Failures {
    /// Waits until the producer has failed and returns the reason; returns at once if the stream is failing now.
    /// Cancel-safe.
    pub async fn next(&mut self) -> String {
        match self.0.wait_for(|s| matches!(s.state, State::Failing { .. })).await {
            Ok(status) => status.reason.to_string(),
            Err(_) => "the stream is gone".into(),
        }
    }
}

/// Reports the state of a stream. Does not count as a watcher.
pub struct States(watch::Receiver<Status>);

impl States {
    /// The state and its reason: at once the first time, then after each change. Never returns after the stream has
    /// ended, which [`Watch::next`] reports. Cancel-safe.
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
            self.stream.leave(demand, self.form);
        }
    }
}
