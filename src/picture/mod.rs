//! What a picture is: encoded bytes that were checked once, and the frame that carries them.
//!
//! [`Picture`] is a JPEG known to be whole and within limits; [`Frame`] is a picture with its place
//! in a stream. This module knows pictures only: no streams, no network, no files.

mod convert;
pub mod draw;
mod frame;
pub mod jpeg;
mod planes;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
#[cfg(test)]
pub(crate) mod testing;
mod thumbnail;
pub mod transform;
mod yuv;

use std::time::SystemTime;

use bytes::Bytes;

pub use self::{
    convert::{Format, encode_rgb},
    frame::{BOUNDARY, Frame, FrameMemory, PREAMBLE, PREAMBLE_WITH_HEAD, Reserved, SharedFrame},
    planes::{Colour, JpegWriter, Matrix, Planes},
    yuv::{Canvas, Yuv420},
};
use crate::{
    error::{Code, Error, Result},
    units::Size,
};

/// What a single picture may cost us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureLimits {
    /// Most bytes of one encoded picture.
    pub frame_size: Size,
    /// Most pixels (width × height) of one picture; a small file can unfold to gigabytes.
    pub frame_pixels: u64,
}

impl Default for PictureLimits {
    fn default() -> Self {
        PictureLimits { frame_size: Size::mib(16), frame_pixels: 64_000_000 }
    }
}

impl PictureLimits {
    /// Refuses a size in bytes beyond the limit.
    pub fn check_size(&self, bytes: usize) -> Result<()> {
        if bytes as u64 > self.frame_size.0 {
            return Err(Error::new(
                Code::FrameTooLarge,
                format!("the picture has more than {} bytes (limits.frame_size)", self.frame_size),
            ));
        }
        Ok(())
    }

    /// Refuses a size in pixels beyond the limit.
    pub fn check_pixels(&self, width: u32, height: u32) -> Result<()> {
        if u64::from(width) * u64::from(height) > self.frame_pixels {
            return Err(Error::new(
                Code::FrameTooLarge,
                format!(
                    "the picture has {width} × {height} pixels, more than {} (limits.frame_pixels)",
                    self.frame_pixels
                ),
            ));
        }
        Ok(())
    }
}

/// A whole JPEG within limits, upright, decodable by browsers and by ffmpeg's mpjpeg demuxer.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The encoded bytes, from SOI to the end of the data that came.
    pub jpeg: Bytes,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// When it was taken, or else received.
    pub captured_at: SystemTime,
}

impl Picture {
    /// Takes a JPEG that needs no decoding to be right: byte for byte, except that missing Huffman
    /// tables are put in. Refuses one that would have to be converted; cheap enough to be called
    /// on an async thread.
    pub fn from_plain_jpeg(data: Bytes, limits: &PictureLimits) -> Result<Self> {
        match convert::sort(data, limits)? {
            convert::Sorted::Ready(picture) => Ok(picture),
            convert::Sorted::Work(_) => Err(Error::new(
                Code::NotAPicture,
                "only an upright JPEG is taken here; upload other pictures one at a time",
            )),
        }
    }

    /// Takes any picture of a known [`Format`]. A JPEG passes byte for byte unless it lies on its
    /// side (EXIF orientation) or is of a kind that browsers cannot show; the rest is converted on
    /// a blocking thread.
    pub async fn from_upload(data: Bytes, limits: &PictureLimits) -> Result<Self> {
        match convert::sort(data, limits)? {
            convert::Sorted::Ready(picture) => Ok(picture),
            convert::Sorted::Work(work) => {
                let limits = *limits;
                convert::in_pool(move || work.run(&limits)).await
            }
        }
    }

    /// The same for callers on a blocking thread of their own.
    pub fn from_upload_blocking(data: Bytes, limits: &PictureLimits) -> Result<Self> {
        match convert::sort(data, limits)? {
            convert::Sorted::Ready(picture) => Ok(picture),
            convert::Sorted::Work(work) => work.run(limits),
        }
    }

    /// Replaces the time of capture.
    pub fn captured_at(mut self, at: SystemTime) -> Self {
        self.captured_at = at;
        self
    }
}

/// Decodes the whole picture roughly and takes any irregularity for damage; for transports that
/// lose, double or exchange data. Takes about a millisecond for VGA: call it on a blocking thread.
pub fn verify(picture: &Picture) -> Result<()> {
    convert::verify(&picture.jpeg)
}

/// Runs work on pictures on a blocking thread, at most one piece for each core at a time.
pub async fn in_pool<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    convert::in_pool(job).await
}
