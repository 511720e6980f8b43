//! The task and the result of decoding one access unit, for all engines.

use crate::picture::{Picture, RasterPicture};

/// What an engine does with an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Decode it, because later units depend on it.
    Decode,
    /// Decode it and make a picture of it.
    Show,
    /// Make a picture of this keyframe alone. It is not known whether a unit that depends on it follows.
    ShowSingle,
}

/// A picture in the form that the decoder and the watchers have.
#[derive(Debug)]
pub(super) enum Shown {
    /// JPEG alone.
    Jpeg(Picture),
    /// Planes, with or without a JPEG.
    Raster(RasterPicture),
}

/// The result of decoding one access unit.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A picture.
    Picture(Shown),
    /// No picture: the task did not ask for one, or the decoder reorders pictures.
    Nothing,
    /// No picture: the unit, or a unit that it depends on, is damaged.
    Damaged,
    /// This engine cannot decode such a stream; the text says what the stream is.
    Unsupported(&'static str),
    /// The engine has failed, and the log says why. Another one can go on.
    Broken,
}
