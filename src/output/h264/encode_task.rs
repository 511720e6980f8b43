//! [`EncodeTask`]: the task that encodes one stream for all who read the same of it.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::{Duration, Instant, sleep, sleep_until};

use super::{
    Want,
    motion::Motion,
    shared::{Encodings, Shared, Unit},
};
use crate::{
    error::Result,
    h264::{Effort, Encoder},
    picture::{SharedFrame, Yuv420, in_pool},
    stream::{Ended, Mode, Watch},
};

/// The canvas of a stream that has no picture yet.
const UNKNOWN: (u32, u32) = (1280, 720);

/// A moving stream has a keyframe so often; whoever joins is given everything since the last one.
const KEYFRAME_EVERY: Duration = Duration::from_secs(1);

/// Bounds of what whoever joins is given at once.
const MAX_GROUP_UNITS: usize = 60;
const MAX_GROUP_BYTES: usize = 8 << 20;

/// A moving stream without a new picture for so long is a still.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// How often a "waiting" picture is drawn anew if its reason has changed.
const PLACEHOLDER_REFRESH: Duration = Duration::from_secs(1);

/// Encodes while somebody reads.
pub(super) struct EncodeTask {
    all: Encodings,
    shared: Arc<Shared>,
    watch: Watch,
    want: Want,
    /// The picture shown.
    current: Option<SharedFrame>,
    /// There while the stream moves.
    encoder: Option<Encoder>,
    motion: Motion,
    keyframe_at: Option<Instant>,
    group_bytes: usize,
    seq: u64,
    /// Not before this may the next picture be encoded.
    rest_until: Instant,
    /// When something was shown last.
    shown_at: Instant,
    failing: bool,
}

impl EncodeTask {
    pub(super) fn new(all: Encodings, shared: Arc<Shared>, watch: Watch, want: Want) -> Self {
        EncodeTask {
            all,
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
                    // Whatever came in the meantime is newer, and what was left out costs nothing.
                    let frame = self.watch.latest().unwrap_or(frame);
                    self.arrived(frame).await;
                }
                // Counted from what was shown: pictures that are all the same may keep coming.
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

    /// The first picture, or a "waiting" one if there is none in time.
    async fn first(&mut self) -> Result<SharedFrame, Ended> {
        let patience = match self.watch.stream().producer().mode() {
            Mode::Pushed => self.all.0.placeholder_after,
            _ => *self.all.0.settings.first_frame_timeout,
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
            self.all.0.counters.identical.fetch_add(1, Ordering::Relaxed);
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

    /// A stream that moved and stands: its last picture once more, as well as it can be shown.
    async fn settle(&mut self) {
        self.encoder = None;
        if let Some(frame) = self.current.clone() {
            self.show(frame, false).await;
        }
    }

    async fn show(&mut self, frame: SharedFrame, moving: bool) {
        let canvas = *self.shared.canvas.get_or_init(|| {
            let (width, height) = if frame.placeholder { UNKNOWN } else { (frame.width, frame.height) };
            self.want.canvas(&self.all.0.settings, width, height)
        });
        let now = Instant::now();
        let full = self.shared.shown.borrow().units.len() >= MAX_GROUP_UNITS || self.group_bytes >= MAX_GROUP_BYTES;
        let due = self.keyframe_at.is_none_or(|at| now.duration_since(at) >= KEYFRAME_EVERY);
        let idr = !moving || full || due || self.encoder.is_none();
        let (encoder, jpeg) = (self.encoder.take(), frame.jpeg());
        let encoded = in_pool(move || {
            let began = Instant::now();
            let mut encoder = match encoder {
                Some(encoder) => encoder,
                None => Encoder::new(canvas, if moving { Effort::Video } else { Effort::Still })?,
            };
            let access = encoder.encode(&Yuv420::from_jpeg(&jpeg, canvas)?, idr)?;
            Ok((access, moving.then_some(encoder), began.elapsed()))
        })
        .await;
        let settings = &self.all.0.settings;
        let counters = &self.all.0.counters;
        let at = if frame.placeholder || self.current.as_ref().is_some_and(|c| c.seq == frame.seq) {
            now
        } else {
            frame.received_at
        };
        let placeholder = frame.placeholder;
        self.current = Some(frame);
        let (access, encoder, spent) = match encoded {
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
        let kind = match (moving, access.is_idr()) {
            (false, _) => &counters.stills,
            (true, true) => &counters.keys,
            (true, false) => &counters.deltas,
        };
        kind.fetch_add(1, Ordering::Relaxed);
        counters.micros.fetch_add(spent.as_micros() as u64, Ordering::Relaxed);
        self.encoder = encoder;
        // Encoding takes its share of a core and no more; and no more pictures than were asked for.
        let share = spent * 100 / settings.cpu_percent.max(1);
        self.rest_until = now + share.max(self.want.every.unwrap_or_default());
        if access.is_idr() {
            self.keyframe_at = Some(now);
            self.group_bytes = 0;
        }
        self.group_bytes += access.size();
        self.seq += 1;
        self.shown_at = now;
        let unit = Arc::new(Unit { access, at, placeholder, seq: self.seq });
        self.shared.shown.send_modify(|shown| {
            if unit.access.is_idr() {
                shown.group += 1;
                shown.units.clear();
            }
            shown.units.push(unit);
            shown.encoded += 1;
        });
    }
}
