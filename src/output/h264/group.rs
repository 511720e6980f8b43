//! The pictures of one encoding since its last keyframe, and the readers that follow them.

use std::sync::{Arc, OnceLock, Weak};

use tokio::time::{Duration, Instant, timeout};
use tokio_util::sync::DropGuard;

use crate::{
    error::Result,
    fanout,
    h264::{AccessUnit, Repetitions},
    picture::Canvas,
    stream::{Ended, Stream, StreamName},
};

/// One picture of an encoding.
#[derive(Debug)]
pub struct CodedPicture {
    /// The bytes: parameter sets and slice.
    pub access_unit: AccessUnit,
    /// The repetitions of the picture; none if it is no still. A picture that refers to an IDR picture cannot follow its repetitions,
    /// because `frame_num` counts them.
    pub repetitions: Option<Repetitions>,
    /// When the picture arrived here.
    pub at: Instant,
    /// Whether it is a "waiting" picture.
    pub placeholder: bool,
    /// Position in the encoding, from 1.
    pub(super) seq: u64,
}

/// What the encoding task writes and its readers read.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) gop: fanout::Sender<Gop>,
    pub(super) canvas: OnceLock<Canvas>,
}

/// A group of pictures: a keyframe and the pictures that depend on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Gop {
    /// Number of the group, from 1.
    pub(super) number: u64,
    pub(super) pictures: Vec<Arc<CodedPicture>>,
    /// Pictures encoded in all groups.
    pub(super) encoded: u64,
    /// Why the encoding has ended.
    pub(super) ended: Option<&'static str>,
}

/// Held by every reader. The encoding ends when the last reader drops it.
#[derive(Debug)]
pub(super) struct Encoding {
    pub(super) name: StreamName,
    pub(super) stream: Weak<Stream>,
    pub(super) shared: Arc<Shared>,
    /// See [`Reader::epoch`].
    pub(super) epoch: Instant,
    pub(super) _stop: DropGuard,
}

impl Shared {
    pub(super) fn new() -> Self {
        Shared { gop: fanout::Sender::default(), canvas: OnceLock::new() }
    }
}

/// A reader of one encoding.
#[derive(Debug)]
pub struct Reader {
    encoding: Arc<Encoding>,
    gop: fanout::Receiver<Gop>,
    /// Number of the group that is being read.
    group: u64,
    /// How many pictures of the group were returned.
    next: usize,
    seen: u64,
    dropped: u64,
}

impl Reader {
    pub(super) fn new(encoding: Arc<Encoding>) -> Self {
        let gop = encoding.shared.gop.subscribe();
        Reader { encoding, gop, group: 0, next: 0, seen: 0, dropped: 0 }
    }

    /// Waits for the next coded picture. A new reader begins with the last keyframe; a reader that is too slow continues
    /// with the latest keyframe. Cancel-safe.
    pub async fn next(&mut self) -> Result<Arc<CodedPicture>, Ended> {
        loop {
            {
                let gop = self.gop.borrow_and_update();
                if let Some(why) = gop.ended {
                    return Err(Ended(why));
                }
                if gop.number != self.group {
                    self.group = gop.number;
                    self.next = 0;
                }
                if let Some(picture) = gop.pictures.get(self.next) {
                    self.next += 1;
                    if self.seen > 0 {
                        self.dropped += picture.seq - self.seen - 1;
                    }
                    self.seen = picture.seq;
                    return Ok(picture.clone());
                }
            }
            self.gop.changed().await.map_err(|_| Ended("the encoding ended"))?;
        }
    }

    /// Whether the picture returned last is a still and the only one of its group, so that it can be repeated.
    pub fn is_at_rest(&self) -> bool {
        let gop = self.gop.borrow();
        let is_still = gop.pictures.first().is_some_and(|picture| picture.repetitions.is_some());
        gop.number == self.group && gop.pictures.len() == 1 && self.next == 1 && is_still
    }

    /// The first coded picture of the present group. Waits for one for at most `longest`. The picture does not count as
    /// read.
    pub async fn first(&self, longest: Duration) -> Option<Arc<CodedPicture>> {
        let first = self.gop.wait_for(|gop| !gop.pictures.is_empty() || gop.ended.is_some());
        timeout(longest, first).await.ok()?.ok()?;
        self.gop.borrow().pictures.first().cloned()
    }

    /// Pictures that this reader missed because it was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The time from which repetitions of all streams are counted, so that those of a thousand streams are due together and
    /// cost the wake-ups of one.
    pub fn epoch(&self) -> Instant {
        self.encoding.epoch
    }

    /// The stream's name.
    pub fn stream(&self) -> &StreamName {
        &self.encoding.name
    }
}
