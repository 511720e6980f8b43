//! Pictures that come into a [`Stream`], from its producer, from a peer that pushes, or from another node.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use tokio::time::{Duration, Instant};

use super::{Producer, State, Stream, fetch::Flight, lifecycle::Event, stream::Core};
use crate::{
    error::Result,
    picture::{Frame, Picture, RasterPicture, SharedFrame},
};

impl Stream {
    /// Takes a picture from a peer that pushes. If the stream has an overlay, the returned frame is that of the picture without
    /// it, which no output shows.
    pub fn push(self: &Arc<Self>, picture: &Picture) -> Result<Option<SharedFrame>> {
        let producer = self.producer();
        let Some(hidden) = producer.hidden() else { return self.publish(picture, None, Instant::now()) };
        let pushed = hidden.push(picture)?;
        let core = self.lock();
        if !core.delivering {
            // Without a watcher the overlay is not drawn: the next watcher must not see the picture before.
            self.slot.send_modify(|slot| slot.frame = None);
        }
        Ok(pushed)
    }

    /// Puts a picture into the slot. `run` is the number of the producer's run, or none for a peer that pushes.
    /// Returns none when the run has ended or the stream is closed.
    pub(super) fn publish(
        self: &Arc<Self>,
        picture: &Picture,
        run: Option<u64>,
        received_at: Instant,
    ) -> Result<Option<SharedFrame>> {
        // Before the lock is taken, because copying a large picture takes longer than all the rest.
        let reserved = self.context.reserve(picture.jpeg.len())?;
        self.put(Frame::new(picture, 0, false, reserved), run, received_at)
    }

    /// As [`Stream::publish`], for a decoded picture.
    pub(super) fn publish_raster(
        self: &Arc<Self>,
        picture: &RasterPicture,
        run: u64,
        received_at: Instant,
    ) -> Result<Option<SharedFrame>> {
        let bytes = picture.raster.bytes() + picture.jpeg.as_ref().map_or(0, Bytes::len);
        let reserved = self.context.reserve(bytes)?;
        self.put(Frame::of_raster(picture, 0, reserved), Some(run), received_at)
    }

    /// Whether [`Stream::fetch`] would ask another node: the producer runs there, and not here.
    pub fn is_fetched(&self) -> bool {
        self.state().0 == State::Idle && self.producer().fetch(None).is_some()
    }

    /// A picture from the node that runs the producer, without a run here. `max_age` is the greatest age of the picture since its arrival
    /// there; none: as that node does it for a snapshot. Snapshots at the same time share one request. None if the picture must be watched
    /// for.
    pub async fn fetch(self: &Arc<Self>, max_age: Option<Duration>) -> Option<Result<SharedFrame>> {
        let asked_at = Instant::now();
        loop {
            if self.state().0 != State::Idle {
                return None;
            }
            let (flight, is_shared) = self.fetching.join(max_age, || self.flight(max_age))?;
            let outcome = flight.await?;
            if let Ok(frame) = &outcome
                && is_shared
                && max_age.is_some_and(|max_age| asked_at.saturating_duration_since(frame.received_at) > max_age)
            {
                // It was given to an earlier snapshot, and was too old when this one came.
                continue;
            }
            return Some(outcome.map_err(|error| error.again()));
        }
    }

    fn flight(self: &Arc<Self>, max_age: Option<Duration>) -> Option<Flight> {
        let (producer, stream) = (self.producer(), self.clone());
        let fetch = producer.fetch(max_age)?;
        Some(Box::pin(async move {
            let fetched = fetch.await?;
            Some(fetched.and_then(|(picture, at)| stream.keep(&picture, at, &producer)).map_err(Arc::new))
        }))
    }

    /// Holds a picture that another node gave for a snapshot, unless the stream has newer ones or another definition by now.
    fn keep(self: &Arc<Self>, picture: &Picture, received_at: Instant, of: &Arc<dyn Producer>) -> Result<SharedFrame> {
        let mut frame = Frame::new(picture, 0, false, self.context.reserve(picture.jpeg.len())?);
        frame.received_at = received_at;
        let mut core = self.lock();
        let is_newest = self.latest().is_none_or(|held| held.received_at <= received_at);
        let is_its_own = !core.closed && Arc::ptr_eq(&core.producer, of);
        if core.life.state() != State::Idle || !is_newest || !is_its_own {
            return Ok(Arc::new(frame));
        }
        Ok(self.show(&mut core, frame))
    }

    fn put(self: &Arc<Self>, mut frame: Frame, run: Option<u64>, received_at: Instant) -> Result<Option<SharedFrame>> {
        frame.received_at = received_at;
        let mut core = self.lock();
        if core.closed || run.is_some_and(|run| run != core.run || !core.delivering) {
            return Ok(None);
        }
        Ok(Some(self.show(&mut core, frame)))
    }

    fn show(self: &Arc<Self>, core: &mut Core, mut frame: Frame) -> SharedFrame {
        core.last_seq += 1;
        frame.seq = core.last_seq;
        let now = Instant::now();
        core.arrivals.note(now);
        core.last_sign = Some(now);
        core.last_used = now;
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(frame.encoded_size() as u64, Ordering::Relaxed);
        let frame = Arc::new(frame);
        self.slot.send_modify(|slot| slot.frame = Some(frame.clone()));
        self.step(core, Event::Picture, None);
        frame
    }
}
