//! What the stream asks of a producer, and what it gives it.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Demand, Ended, Mode, Stream, StreamName};
use crate::{
    error::Result,
    picture::{Picture, SharedFrame},
};

/// What [`Producer::run`] returns.
pub type ProducerFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Brings pictures into a stream.
///
/// An implementer only runs until it is cancelled or fails. Starting, stopping, retrying with
/// backoff, lingering and telling people about it are the supervisor's business.
pub trait Producer: Send + Sync + 'static {
    /// The word for this kind in configuration, API and error texts.
    fn kind(&self) -> &'static str;

    /// Whether we fetch the pictures or a peer sends them.
    fn mode(&self) -> Mode {
        Mode::Pulled
    }

    /// Whether the present picture can be had again by running the producer, so that its memory may
    /// be taken while nobody watches.
    fn reloads(&self) -> bool {
        true
    }

    /// Whether a picture grows old. A camera's does; a file's is the present one until the file changes.
    fn ages(&self) -> bool {
        true
    }

    /// Brings pictures until `run.stop` is cancelled, which is no error, or until it fails; the
    /// error's text is shown to people as the reason. Returning early without an error counts as a
    /// failure, too: somebody is waiting.
    fn run(&self, run: Run) -> ProducerFuture;
}

/// One run of a producer.
pub struct Run {
    /// The stream that is to be filled.
    pub name: StreamName,
    /// Where the pictures go.
    pub sink: FrameSink,
    /// Cancelled when the producer has to end.
    pub stop: CancellationToken,
    /// What those who watch need at the moment.
    pub demand: watch::Receiver<Demand>,
}

/// Takes the pictures of one run of a producer. What a run delivers after it was stopped is dropped.
#[derive(Clone)]
pub struct FrameSink {
    stream: Arc<Stream>,
    run: u64,
}

impl FrameSink {
    pub(super) fn new(stream: Arc<Stream>, run: u64) -> Self {
        FrameSink { stream, run }
    }

    /// Hands a picture to everybody who watches. Fails when there is no memory for it; the producer
    /// may go on.
    pub fn publish(&self, picture: &Picture) -> Result<Option<SharedFrame>> {
        self.stream.publish(picture, Some(self.run), Instant::now())
    }

    /// The same for a picture that was made of another one, which came to us then.
    pub fn publish_derived(&self, picture: &Picture, received_at: Instant) -> Result<Option<SharedFrame>> {
        self.stream.publish(picture, Some(self.run), received_at)
    }

    /// Ends the stream for those who watch it: what it is made of has ended.
    pub fn end(&self, ended: Ended) {
        self.stream.close(ended.0);
    }

    /// Says that the picture already held is the present one.
    pub fn still_current(&self) {
        self.stream.confirm(self.run);
    }

    /// The picture held at the moment.
    pub fn latest(&self) -> Option<SharedFrame> {
        self.stream.latest()
    }

    /// Tells people why there is no new picture, without giving up. Cleared by the next picture.
    pub fn report_problem(&self, reason: impl Into<String>) {
        self.stream.report_problem(self.run, reason.into());
    }

    /// Counts a picture that came damaged or incomplete, with the reason.
    pub fn damaged(&self, reason: &'static str) {
        self.stream.count_damaged(reason);
    }
}
