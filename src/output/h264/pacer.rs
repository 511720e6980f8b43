//! [`Pacer`]: decides which coded picture one reader gets, and when.
//!
//! Players need a steady stream: Chromium shows a frame for as long as the last ones lasted, VLC drops pictures that come
//! after a pause, and libavformat reads some 20 pictures before it gives the first. So an unchanged picture is repeated
//! `h264.repeat` times a second, by P pictures in which every macroblock is skipped, and a keyframe comes every
//! `h264.keyframe`, because MediaMTX keeps none for readers that join later.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Duration, Instant, sleep_until};

use super::{
    group::{CodedPicture, Reader},
    settings::H264Settings,
    want::Want,
};
use crate::{error::Result, stream::Ended};

/// A new reader gets pictures more often for this long: a client that probes its input has enough of them at once, and
/// WebRTC takes a moment to connect and shows nothing before its first keyframe.
const WARM_UP: Duration = Duration::from_secs(2);

/// Pause between repetitions during the warm-up.
const WARM_UP_REPEAT: Duration = Duration::from_millis(40);

/// The first part of the warm-up, in which MediaMTX makes the path ready and a waiting reader joins.
const START: Duration = Duration::from_millis(600);

/// Pause between keyframes during the start, and during the rest of the warm-up. At 1080p the latter makes about 6 Mbit/s,
/// which MediaMTX passes on to viewers on Wi-Fi.
const START_KEYFRAME: Duration = Duration::from_millis(80);
const WARM_UP_KEYFRAME: Duration = Duration::from_millis(200);

/// Most bytes a second of the keyframes in the warm-up, so that a large picture has fewer.
const WARM_UP_BYTES: u32 = 5 << 20;

/// One picture for one reader, with its time.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The coded picture.
    pub picture: Arc<CodedPicture>,
    /// What to send of it.
    pub form: Form,
    /// Presentation time; later than that of every earlier sample.
    pub at: Instant,
    /// Whether the reader got this picture before.
    pub repeated: bool,
}

/// What to send of a coded picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The picture.
    Coded {
        /// Selects the second of the two forms of an IDR picture.
        alternate: bool,
    },
    /// The repetition of this number since the picture.
    Skip(u32),
}

impl Sample {
    /// Whether decoding can begin here.
    pub fn is_keyframe(&self) -> bool {
        matches!(self.form, Form::Coded { .. }) && self.picture.access_unit.is_idr()
    }

    /// The NALs in the order of sending.
    pub fn nals(&self) -> Vec<Bytes> {
        match (self.form, &self.picture.repetitions) {
            (Form::Skip(number), Some(repetitions)) => vec![repetitions.slice(number)],
            (Form::Coded { alternate }, _) => self.picture.access_unit.nals(alternate).cloned().collect(),
            // Only a picture with repetitions is given in this form.
            (Form::Skip(_), None) => vec![],
        }
    }
}

/// Decides which picture one reader gets, and when.
pub struct Pacer {
    reader: Reader,
    repeat: Duration,
    keyframe: Duration,
    began: Instant,
    last: Option<Sample>,
    /// When the last keyframe was given, and in which form.
    keyframe_at: Instant,
    alternate: bool,
}

impl Pacer {
    /// Begins now. `want` are the parameters that the reader was joined with.
    pub fn new(reader: Reader, settings: &H264Settings, want: Want) -> Self {
        let repeat = want.interval.unwrap_or(Duration::from_secs(1) / settings.repeat.max(1));
        let (keyframe, now) = (*settings.keyframe, Instant::now());
        Pacer { reader, repeat, keyframe, began: now, last: None, keyframe_at: now, alternate: true }
    }

    /// Waits until the next sample is due. Cancel-safe.
    pub async fn next(&mut self) -> Result<Sample, Ended> {
        let picture = match &self.last {
            Some(last) => {
                let due = self.repetition_due(last.at);
                tokio::select! {
                    biased;
                    picture = self.reader.next() => picture?,
                    () = sleep_until(due), if self.reader.is_at_rest() => {
                        // The time of a repetition is even, unless the reader took no bytes until now.
                        let late = Instant::now().saturating_duration_since(due) > self.repeat;
                        let (picture, at) = (last.picture.clone(), if late { Instant::now() } else { due });
                        return Ok(self.repeat(picture, at));
                    }
                }
            }
            None => self.reader.next().await?,
        };
        // A sample carries the time of its picture, so that movement stays even. But time never runs backwards, and the
        // video of a still that was uploaded last year begins now.
        let earliest = match &self.last {
            Some(last) => last.at + Duration::from_millis(1),
            None if self.reader.is_at_rest() => Instant::now(),
            None => picture.at,
        };
        let at = picture.at.max(earliest);
        Ok(self.give(picture, at, false))
    }

    /// The picture as a skip, or as a keyframe when one is due before the next repetition but one.
    fn repeat(&mut self, picture: Arc<CodedPicture>, at: Instant) -> Sample {
        let (repeat, keyframe) = self.pauses(&picture);
        let number = match self.last.as_ref().map(|last| last.form) {
            Some(Form::Skip(number)) => number + 1,
            _ => 1,
        };
        let is_due = at.saturating_duration_since(self.keyframe_at) + repeat / 2 >= keyframe;
        if is_due || picture.repetitions.is_none() {
            return self.give(picture, at, true);
        }
        let sample = Sample { picture, form: Form::Skip(number), at, repeated: true };
        self.last = Some(sample.clone());
        sample
    }

    fn give(&mut self, picture: Arc<CodedPicture>, at: Instant, repeated: bool) -> Sample {
        if picture.access_unit.is_idr() {
            // The form that the last IDR picture did not have.
            self.alternate = !self.alternate;
            self.keyframe_at = at;
        }
        let form = Form::Coded { alternate: self.alternate };
        let sample = Sample { picture, form, at, repeated };
        self.last = Some(sample.clone());
        sample
    }

    /// Pictures that this reader missed because it was slow.
    pub fn dropped(&self) -> u64 {
        self.reader.dropped()
    }

    /// When the picture that was given at `last` is repeated: on the common grid of all readers, and no sooner than half a
    /// pause later.
    fn repetition_due(&self, last: Instant) -> Instant {
        let pause = if self.is_warming_up() { self.repeat.min(WARM_UP_REPEAT) } else { self.repeat };
        let from = last + pause / 2;
        let nanos = u64::try_from(from.saturating_duration_since(self.reader.epoch()).as_nanos()).unwrap_or(u64::MAX);
        let pause_nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX).max(1);
        from + Duration::from_nanos(nanos.next_multiple_of(pause_nanos) - nanos)
    }

    fn is_warming_up(&self) -> bool {
        self.began.elapsed() < WARM_UP
    }

    /// The pauses between repetitions and between keyframes at the moment.
    fn pauses(&self, picture: &CodedPicture) -> (Duration, Duration) {
        if !self.is_warming_up() {
            return (self.repeat, self.keyframe);
        }
        let wished = if self.began.elapsed() < START { START_KEYFRAME } else { WARM_UP_KEYFRAME };
        let affordable = Duration::from_secs(1) * picture.access_unit.size() as u32 / WARM_UP_BYTES;
        (self.repeat.min(WARM_UP_REPEAT), self.keyframe.min(wished.max(affordable)))
    }
}
