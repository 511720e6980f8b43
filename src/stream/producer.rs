//! [`Producer`], and what a stream gives to it: [`Run`] and [`FrameSink`].

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::{
    sync::watch,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{Demand, Ended, Forms, Mode, Sound, SoundUnit, Stream, StreamName, VideoUnit, Watch};
use crate::{
    error::{Error, Result},
    picture::{Picture, RasterPicture, SharedFrame},
};

/// The future that [`Producer::run`] returns.
pub type ProducerFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The future that [`Producer::fetch`] returns: a picture, and when it arrived by the clock of this machine. None if the pictures must be
/// watched for after all.
pub type FetchFuture = Pin<Box<dyn Future<Output = Option<Result<(Picture, Instant)>>> + Send>>;

/// Brings pictures into a stream.
///
/// An implementer runs until it is cancelled or fails. The supervisor starts and stops it, retries it with a backoff, and
/// keeps it running during the linger.
pub trait Producer: Send + Sync + 'static {
    /// The word for this kind in configuration, API and error texts.
    fn kind(&self) -> &'static str;

    /// Whether the producer fetches pictures or a peer sends them.
    fn mode(&self) -> Mode {
        Mode::Pulled
    }

    /// Whether running the producer brings the present picture back, so that its memory can be freed while the
    /// stream has no watcher.
    fn reloads(&self) -> bool {
        true
    }

    /// Whether a picture becomes outdated. A camera's does; a file's stays valid until the file changes.
    fn ages(&self) -> bool {
        true
    }

    /// Whether the source is video that [`FrameSink::pass`] can hand over as it is.
    fn passes_video(&self) -> bool {
        false
    }

    /// Whether the source brings pictures without a pause while it is connected, as cameras do. None for some seconds is then a fault.
    fn is_steady(&self) -> bool {
        false
    }

    /// Whether the picture changes with the clock, so that one of an earlier run is outdated.
    fn moves(&self) -> bool {
        false
    }

    /// The streams and paths of MediaMTX that the pictures are made of.
    fn parents(&self) -> Vec<StreamName> {
        vec![]
    }

    /// The stream, in no list, with the pictures before they are drawn on. It takes the pictures of peers that push.
    fn hidden(&self) -> Option<Arc<Stream>> {
        None
    }

    /// One picture of another node that runs the producer, without a run here. `max_age` is its greatest age since it arrived there. None
    /// if no other node runs it.
    fn fetch(&self, _max_age: Option<Duration>) -> Option<FetchFuture> {
        None
    }

    /// Brings pictures until `run.stop` is cancelled, which is no error, or until it fails. Users see the error's text as the
    /// reason. An early return without an error is a failure too, because watchers are waiting.
    fn run(&self, run: Run) -> ProducerFuture;
}

/// One run of a producer.
pub struct Run {
    /// The stream that gets the pictures.
    pub name: StreamName,
    /// Takes the pictures.
    pub sink: FrameSink,
    /// Cancelled when the producer must end.
    pub stop: CancellationToken,
    /// What the watchers need at the moment.
    pub demand: watch::Receiver<Demand>,
}

/// Takes the pictures of one run of a producer. Pictures that arrive after the run was stopped are dropped.
#[derive(Clone)]
pub struct FrameSink {
    stream: Arc<Stream>,
    run: u64,
}

impl FrameSink {
    pub(super) fn new(stream: Arc<Stream>, run: u64) -> Self {
        FrameSink { stream, run }
    }

    /// Hands a picture to all watchers. Fails when there is no memory for it; the producer can continue.
    pub fn publish(&self, picture: &Picture) -> Result<Option<SharedFrame>> {
        self.stream.publish(picture, Some(self.run), Instant::now())
    }

    /// As [`FrameSink::publish`], for a picture made from another one that arrived at `received_at`.
    pub fn publish_derived(&self, picture: &Picture, received_at: Instant) -> Result<Option<SharedFrame>> {
        self.stream.publish(picture, Some(self.run), received_at)
    }

    /// As [`FrameSink::publish_derived`], for a decoded picture. It becomes a JPEG when a watcher needs one.
    pub fn publish_raster(&self, picture: &RasterPicture, received_at: Instant) -> Result<Option<SharedFrame>> {
        self.stream.publish_raster(picture, self.run, received_at)
    }

    /// The forms in which the watchers need pictures at the moment.
    pub fn forms(&self) -> Forms {
        self.stream.forms()
    }

    /// Ends the stream for its watchers, because its parent has ended.
    pub fn end(&self, ended: Ended) {
        self.stream.close(ended.0);
    }

    /// Reports that the held picture is still the present one.
    pub fn still_current(&self) {
        self.stream.confirm(self.run);
    }

    /// The picture that the stream holds at the moment.
    pub fn latest(&self) -> Option<SharedFrame> {
        self.stream.latest()
    }

    /// Follows the pictures of the stream, also those of other sinks.
    pub fn follow(&self) -> Watch {
        self.stream.follow()
    }

    /// A drawn picture with the name of the stream and this reason.
    pub fn waiting(&self, reason: &str) -> Result<Picture> {
        self.stream.drawn(reason)
    }

    /// Hands over an access unit of the source, before it is decoded.
    pub fn pass(&self, unit: VideoUnit) {
        let mut core = self.stream.lock();
        if core.run == self.run && core.delivering {
            // While no watcher needs pictures, none is decoded.
            core.last_sign = Some(Instant::now());
            self.stream.video.push(unit);
        }
    }

    /// Hands over a frame of the source's sound.
    pub fn pass_sound(&self, unit: SoundUnit) {
        let core = self.stream.lock();
        if core.run == self.run && core.delivering {
            self.stream.video.push_sound(unit);
        }
    }

    /// The source is connected, and has this sound: access units of an earlier connection are no longer the present.
    pub fn pass_anew(&self, sound: Sound) {
        let core = self.stream.lock();
        if core.run == self.run && core.delivering {
            self.stream.video.clear(sound);
        }
    }

    /// The sound of the connected source is known, or is another one now.
    pub fn set_sound(&self, sound: Sound) {
        let core = self.stream.lock();
        if core.run == self.run && core.delivering {
            self.stream.video.set_sound(sound);
        }
    }

    /// The number of readers that want sound.
    pub fn listeners(&self) -> watch::Receiver<usize> {
        self.stream.video.listeners()
    }

    /// Shows users why there is no new picture. The producer keeps running, and the next picture clears the reason.
    pub fn report_problem(&self, reason: impl Into<String>) {
        self.stream.report_problem(self.run, reason.into());
    }

    /// Notes a failure that the run goes on after, in another way: it is the stream's failure until a picture arrives, also if the run
    /// gives none within the start timeout.
    pub fn note_failure(&self, error: &Error) {
        let mut core = self.stream.lock();
        if core.run == self.run && core.delivering {
            core.failures.note(self.run, error);
        }
    }

    /// Counts a picture that arrived damaged or incomplete, by reason.
    pub fn damaged(&self, reason: &'static str) {
        self.stream.count_damaged(reason);
    }
}
