//! [`Coded`]: a source of coded frames, whatever makes them.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{
    fmp4::{Track, Tracks},
    stream::Ended,
};

/// Why a source ends when another size or codec follows. Players connect again.
pub(super) const CHANGED: Ended = Ended("the size or the codec of the video has changed");

/// Why a source ends when its sound is another one, or none any longer.
pub(super) const SOUND_CHANGED: Ended = Ended("the sound of the video has changed");

/// A source of coded frames. It begins with a keyframe, and its tracks never change: a source whose size or codec changes ends.
pub trait Coded: Send {
    /// The tracks.
    fn tracks(&self) -> &Tracks;

    /// The next frame; or why there is none any longer. Cancel-safe.
    fn next(&mut self) -> BoxFuture<'_, Result<Frame, Ended>>;

    /// Frames that this reader missed because it was slow.
    fn dropped(&self) -> u64;

    /// Why there is no sound, if the source has some.
    fn note(&self) -> Option<String> {
        None
    }
}

/// A coded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its track.
    pub track: Track,
    /// Whether it refers to no other frame.
    pub is_sync: bool,
    /// Whether it shows what the frame before it shows.
    pub is_repeated: bool,
    /// Its time at the source, in ticks of 1/90000 s since any moment, which is the same for both tracks. For video: when it is decoded.
    pub at: u64,
    /// For video whose frames are not in the order in which they are shown: how much later it is shown, in the same ticks.
    pub offset: Option<i64>,
    /// The [`framed`](crate::stream::framed) NALs without parameter sets; or a frame of audio.
    pub data: Bytes,
}
