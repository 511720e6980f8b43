//! [`Coded`]: a source of coded frames, whatever makes them.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{
    fmp4::{Track, Tracks},
    stream::Ended,
};

/// Why a source ends when another size or codec follows. Players connect again.
pub(super) const CHANGED: Ended = Ended("the size or the codec of the video has changed");

/// A source of coded frames. It begins with a keyframe, and its tracks never change: a source whose size or codec changes ends.
pub trait Coded: Send {
    /// The tracks.
    fn tracks(&self) -> &Tracks;

    /// The next frame; or why there is none any longer. Cancel-safe.
    fn next(&mut self) -> BoxFuture<'_, Result<Frame, Ended>>;

    /// Frames that this reader missed because it was slow.
    fn dropped(&self) -> u64;
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
    /// Its time at the source, in ticks of the track's clock since any moment.
    pub at: u64,
    /// NALs without start codes and without parameter sets; or a frame of audio.
    pub parts: Vec<Bytes>,
}
