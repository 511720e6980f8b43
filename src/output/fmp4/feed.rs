//! [`Feed`]: what one client gets of a [`Coded`] source.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Accepts, Coded, Frame};
use crate::{
    error::Result,
    fmp4::{SoundLine, Timeline, Timing, Track, Tracks, VIDEO_CLOCK, fragment_head},
    stream::Ended,
};

/// How far sound can be ahead of the video, in ticks. A video that pauses is shortened by its pause, and the sound of it is left out.
const MOST_AHEAD: i64 = 2 * VIDEO_CLOCK as i64;

/// Intervals between frames of which the shortest is the usual one, and the part of it that sound does not follow, in ticks: sound that is
/// 125 ms late is not noticed (ITU-R BT.1359).
const INTERVALS: usize = 16;
const UNNOTICED: i64 = VIDEO_CLOCK as i64 / 8;

/// The init segment of a source, and then a fragment for each frame, on a timeline that begins at 0.
pub struct Feed {
    coded: Box<dyn Coded>,
    video: Timeline,
    sound: Option<SoundLine>,
    /// The last intervals between frames of video, in ticks.
    intervals: VecDeque<u32>,
    sequence: u32,
}

/// Begins a feed, for a client that asks for video after it has connected, and says what it plays. A call watches the stream at once.
pub type OpenFeed = Box<dyn Fn(Accepts) -> BoxFuture<'static, Result<Feed>> + Send>;

/// A fragment of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes of this client alone: the fragment up to its frame.
    pub head: Bytes,
    /// The frame, in one buffer for all clients.
    pub data: Bytes,
    /// Whether it is one of video at which decoding can begin.
    pub is_keyframe: bool,
    /// Whether it shows what the piece before it shows.
    pub is_repeated: bool,
}

impl Piece {
    /// The length in bytes.
    pub fn size(&self) -> usize {
        self.head.len() + self.data.len()
    }
}

impl Feed {
    /// A feed of a source that nothing was read of.
    pub fn new(coded: Box<dyn Coded>) -> Self {
        let sound = coded.tracks().audio.as_ref().map(|audio| SoundLine::new(audio.clock));
        Feed { coded, video: Timeline::new(VIDEO_CLOCK), sound, intervals: VecDeque::new(), sequence: 0 }
    }

    /// The tracks.
    pub fn tracks(&self) -> &Tracks {
        self.coded.tracks()
    }

    /// The init segment, which comes before the first fragment.
    pub fn init(&self) -> Bytes {
        self.coded.tracks().init()
    }

    /// The next fragment; or why there is none any longer. Cancel-safe.
    pub async fn next(&mut self) -> Result<Piece, Ended> {
        loop {
            let frame = self.coded.next().await?;
            let timing = match frame.track {
                Track::Video => self.video(&frame),
                Track::Audio => match self.sound(&frame) {
                    Some(timing) => timing,
                    None => continue,
                },
            };
            self.sequence = self.sequence.wrapping_add(1);
            return Ok(Piece {
                head: fragment_head(self.sequence, frame.track, timing, frame.data.len()),
                is_keyframe: frame.track == Track::Video && frame.is_sync,
                is_repeated: frame.is_repeated,
                data: frame.data,
            });
        }
    }

    fn video(&mut self, frame: &Frame) -> Timing {
        let (decode_time, duration) = self.video.place(frame.at);
        if self.intervals.len() == INTERVALS {
            self.intervals.pop_front();
        }
        self.intervals.push_back(duration);
        // A frame in its order is shown from the end of the one before on, one between others at its time. That is one interval later.
        let later = frame.offset.map_or(0, |offset| offset.saturating_add(duration.into()));
        let offset = i32::try_from(later).unwrap_or(0);
        Timing { decode_time, offset, duration, is_sync: frame.is_sync }
    }

    /// The timing of a frame of sound; none if it is left out.
    fn sound(&mut self, frame: &Frame) -> Option<Timing> {
        // A browser begins with both tracks, and finds the beginning at the first keyframe.
        let usual = i64::from(*self.intervals.iter().min()?);
        let (audio, line) = (self.coded.tracks().audio.as_ref()?, self.sound.as_mut()?);
        let wanted = frame.at.cast_signed() - self.video.shift() - (usual - UNNOTICED).max(0);
        if wanted > self.video.end().cast_signed() + MOST_AHEAD {
            return None;
        }
        let length = audio.length(&frame.data);
        let ticks = i128::from(wanted) * i128::from(audio.clock) / i128::from(VIDEO_CLOCK);
        let (decode_time, duration) = line.place(i64::try_from(ticks).ok()?, length)?;
        Some(Timing { decode_time, offset: 0, duration, is_sync: true })
    }

    /// Why there is no sound, if the source has some.
    pub fn note(&self) -> Option<String> {
        self.coded.note()
    }

    /// The length of the video so far, in milliseconds.
    pub fn length_ms(&self) -> u64 {
        self.video.end_ms()
    }

    /// Frames that this client missed because it was slow.
    pub fn dropped(&self) -> u64 {
        self.coded.dropped()
    }
}
