//! [`EncodeTask`]: the task that encodes one stream for all of its readers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::time::{Duration, Instant, sleep, sleep_until};

use super::{
    group::{CodedPicture, Shared},
    motion::Motion,
    settings::H264Settings,
    want::Want,
};
use crate::{
    error::Result,
    h264::{Effort, Encoder, Repetitions},
    picture::{PictureLimits, SharedFrame, Yuv420, in_pool_with, memory_to_transform},
    stream::{Ended, Form, Mode, Watch},
};

/// The canvas of a stream that has no picture yet.
const UNKNOWN: (u32, u32) = (1280, 720);

/// Pictures of at most so many pixels are decoded at once: the number of threads bounds their memory well enough.
const SMALL: u64 = 4_000_000;

/// Pause between keyframes of a moving stream. A new reader gets everything since the last one.
const KEYFRAME_INTERVAL: Duration = Duration::from_secs(1);

/// Bounds of the group that a new reader gets at once.
const MAX_GROUP_PICTURES: usize = 60;
const MAX_GROUP_BYTES: usize = 8 << 20;

/// A moving stream without a new picture for this long becomes a still.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Pause between looks at whether the reason in a "waiting" picture has changed.
const PLACEHOLDER_REFRESH: Duration = Duration::from_secs(1);

/// Counters of all encodings together since the program started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Pictures encoded as stills.
    pub stills: AtomicU64,
    /// Pictures encoded as keyframes of moving streams.
    pub keys: AtomicU64,
    /// Pictures encoded as differences to the one before.
    pub deltas: AtomicU64,
    /// Pictures that were the same as the one before.
    pub identical: AtomicU64,
    /// Pictures that could not be decoded or encoded.
    pub failed: AtomicU64,
    /// Time spent on decoding and encoding, in microseconds.
    pub micros: AtomicU64,
}

/// What all encodings share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) settings: H264Settings,
    /// How long a stream with a pushed producer waits for its first picture before it shows "waiting".
    pub(super) placeholder_after: Duration,
    /// Limits on the memory of decoding.
    pub(super) limits: PictureLimits,
    pub(super) counters: Counters,
}

/// Encodes the pictures of one stream.
pub(super) struct EncodeTask {
    context: Arc<Context>,
    shared: Arc<Shared>,
    watch: Watch,
    want: Want,
    /// The picture that readers see.
    current: Option<SharedFrame>,
    /// Exists while the stream moves.
    encoder: Option<Encoder>,
    motion: Motion,
    keyframe_at: Option<Instant>,
    group_bytes: usize,
    seq: u64,
    /// The next picture is encoded at this time or later.
    rest_until: Instant,
    /// When a picture was published last.
    shown_at: Instant,
    failing: bool,
}

impl EncodeTask {
    pub(super) fn new(context: Arc<Context>, shared: Arc<Shared>, watch: Watch, want: Want) -> Self {
        EncodeTask {
            context,
            shared,
            watch,
            want,
            current: None,
            encoder: None,
            motion: Motion::default(),
            keyframe_at: None,
            group_bytes: 0,
            seq: 0,
            rest_until: Instant::now(),
            shown_at: Instant::now(),
            failing: false,
        }
    }

    pub(super) async fn run(mut self) -> Ended {
        self.watch.set_form(Form::Raster);
        match self.work().await {
            Err(ended) => ended,
            Ok(never) => match never {},
        }
    }

    async fn work(&mut self) -> Result<std::convert::Infallible, Ended> {
        let first = self.first().await?;
        if !first.placeholder {
            self.motion.note(first.received_at);
        }
        self.show(first, false).await;
        loop {
            let waiting = self.current.as_ref().is_none_or(|frame| frame.placeholder);
            let moving = self.encoder.is_some();
            tokio::select! {
                biased;
                frame = self.watch.next() => {
                    let frame = frame?;
                    sleep_until(self.rest_until).await;
                    // A newer picture can have arrived meanwhile. Skipping the older ones costs nothing.
                    let frame = self.watch.latest().unwrap_or(frame);
                    self.arrived(frame).await;
                }
                // Measured from the last published picture, because identical pictures can keep arriving.
                () = sleep_until(self.shown_at + SETTLED_AFTER), if moving => self.settle().await,
                () = sleep(PLACEHOLDER_REFRESH), if waiting => {
                    let drawn = self.watch.placeholder();
                    if self.current.as_ref().is_none_or(|frame| !Arc::ptr_eq(frame, &drawn)) {
                        self.show(drawn, false).await;
                    }
                }
            }
        }
    }

    /// The first picture, or a "waiting" picture if none arrives in time.
    async fn first(&mut self) -> Result<SharedFrame, Ended> {
        let patience = match self.watch.stream().producer().mode() {
            Mode::Pushed => self.context.placeholder_after,
            _ => *self.context.settings.first_frame_timeout,
        };
        let mut failures = self.watch.failures();
        tokio::select! {
            biased;
            frame = self.watch.next() => frame,
            _ = failures.next() => Ok(self.watch.placeholder()),
            () = sleep(patience) => Ok(self.watch.placeholder()),
        }
    }

    async fn arrived(&mut self, frame: SharedFrame) {
        if self.current.as_ref().is_some_and(|shown| shown.seq == frame.seq && !shown.placeholder) {
            return;
        }
        if self.current.as_ref().is_some_and(|shown| shown.digest() == frame.digest()) {
            self.context.counters.identical.fetch_add(1, Ordering::Relaxed);
            self.current = Some(frame);
            return;
        }
        self.motion.note(frame.received_at);
        let moving = self.motion.is_moving(Instant::now());
        if !moving {
            self.encoder = None;
        }
        self.show(frame, moving).await;
    }

    /// The stream has stopped moving: encodes its last picture once more, at the quality of a still.
    async fn settle(&mut self) {
        self.encoder = None;
        if let Some(frame) = self.current.clone() {
            self.show(frame, false).await;
        }
    }

    async fn show(&mut self, frame: SharedFrame, moving: bool) {
        let canvas = *self.shared.canvas.get_or_init(|| {
            let (width, height) = if frame.placeholder { UNKNOWN } else { (frame.width, frame.height) };
            self.want.canvas(&self.context.settings, width, height)
        });
        let now = Instant::now();
        let full = self.shared.gop.borrow().pictures.len() >= MAX_GROUP_PICTURES || self.group_bytes >= MAX_GROUP_BYTES;
        let due = self.keyframe_at.is_none_or(|at| now.duration_since(at) >= KEYFRAME_INTERVAL);
        let idr = !moving || full || due || self.encoder.is_none();
        let (encoder, source) = (self.encoder.take(), frame.clone());
        let is_small = u64::from(frame.width) * u64::from(frame.height) <= SMALL;
        let memory = match frame.raster() {
            _ if is_small => 0,
            Some(raster) => 2 * raster.bytes() as u64,
            None => memory_to_transform(&frame.jpeg()),
        };
        let encoded = in_pool_with(memory, &self.context.limits, move || {
            let began = Instant::now();
            let mut encoder = match encoder {
                Some(encoder) => encoder,
                None => Encoder::new(canvas, if moving { Effort::Video } else { Effort::Still })?,
            };
            let picture = match source.raster() {
                Some(raster) => Yuv420::from_raster(raster, canvas)?,
                None => Yuv420::from_jpeg(&source.jpeg(), canvas)?,
            };
            let access_unit = encoder.encode(&picture, idr)?;
            Ok((access_unit, moving.then_some(encoder), began.elapsed()))
        })
        .await;
        let settings = &self.context.settings;
        let counters = &self.context.counters;
        let at = if frame.placeholder || self.current.as_ref().is_some_and(|c| c.seq == frame.seq) {
            now
        } else {
            frame.received_at
        };
        let placeholder = frame.placeholder;
        self.current = Some(frame);
        let (access_unit, encoder, spent) = match encoded {
            Ok(done) => done,
            Err(e) => {
                counters.failed.fetch_add(1, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(stream = %self.watch.stream().name(), "a picture cannot be shown as video: {}", e.chain());
                }
                return;
            }
        };
        self.failing = false;
        let kind = match (moving, access_unit.is_idr()) {
            (false, _) => &counters.stills,
            (true, true) => &counters.keys,
            (true, false) => &counters.deltas,
        };
        kind.fetch_add(1, Ordering::Relaxed);
        counters.micros.fetch_add(spent.as_micros() as u64, Ordering::Relaxed);
        self.encoder = encoder;
        // Keeps encoding within `cpu_percent` of a core, and within the rate that the request asked for.
        let share = spent * 100 / settings.cpu_percent.max(1);
        self.rest_until = now + share.max(self.want.interval.unwrap_or_default());
        if access_unit.is_idr() {
            self.keyframe_at = Some(now);
            self.group_bytes = 0;
        }
        self.group_bytes += access_unit.size();
        self.seq += 1;
        self.shown_at = now;
        let is_still = !moving && access_unit.is_idr();
        let repetitions = is_still.then(|| Repetitions::of(&access_unit.sps, &access_unit.pps)).flatten();
        let picture = Arc::new(CodedPicture { access_unit, repetitions, at, placeholder, seq: self.seq });
        self.shared.gop.send_modify(|gop| {
            if picture.access_unit.is_idr() {
                gop.number += 1;
                gop.pictures.clear();
            }
            gop.pictures.push(picture);
            gop.encoded += 1;
        });
    }
}
