//! [`Feed`]: what one client gets of a [`Coded`] source.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::Coded;
use crate::{
    error::Result,
    fmp4::{Timeline, Timing, Track, Tracks, VIDEO_CLOCK, fragment},
    stream::Ended,
};

/// The init segment of a source, and then a fragment for each frame, on a timeline that begins at 0.
pub struct Feed {
    coded: Box<dyn Coded>,
    video: Timeline,
    audio: Option<Timeline>,
    sequence: u32,
}

/// Begins a feed, for a client that asks for video after it has connected. A call watches the stream at once.
pub type OpenFeed = Box<dyn Fn() -> BoxFuture<'static, Result<Feed>> + Send>;

/// A part of a feed, which is whole in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes: an init segment, or a fragment.
    pub data: Bytes,
    /// Whether it is a fragment of video at which decoding can begin.
    pub is_keyframe: bool,
    /// Whether it shows what the piece before it shows.
    pub is_repeated: bool,
}

impl Feed {
    /// A feed of a source that nothing was read of.
    pub fn new(coded: Box<dyn Coded>) -> Self {
        let audio = coded.tracks().audio.as_ref().map(|audio| Timeline::new(audio.clock));
        Feed { coded, video: Timeline::new(VIDEO_CLOCK), audio, sequence: 0 }
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
            let timeline = match frame.track {
                Track::Video => &mut self.video,
                Track::Audio => match &mut self.audio {
                    Some(audio) => audio,
                    None => continue,
                },
            };
            let (decode_time, duration) = timeline.place(frame.at);
            self.sequence = self.sequence.wrapping_add(1);
            let timing = Timing { decode_time, duration, is_sync: frame.is_sync };
            return Ok(Piece {
                data: fragment(self.sequence, frame.track, timing, &frame.parts),
                is_keyframe: frame.track == Track::Video && frame.is_sync,
                is_repeated: frame.is_repeated,
            });
        }
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
