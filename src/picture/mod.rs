//! Pictures: reading, checking, converting, transforming and drawing them.
//!
//! [`Picture`] is a JPEG that was checked to be complete and within limits. [`Frame`] is a picture with its position in a
//! stream. This module knows pictures only: no streams, no network, no files.

pub mod compose;
mod convert;
pub mod draw;
mod encode;
mod frame;
pub mod jpeg;
mod memory;
mod planes;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod raster;
pub(crate) mod reduced;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;
mod thumbnail;
mod to_video;
pub mod transform;
mod yuv;

use std::{sync::LazyLock, time::SystemTime};

use bytes::Bytes;

pub use self::{
    convert::Format,
    encode::encode_rgb,
    frame::{BOUNDARY, Frame, FrameMemory, PREAMBLE, PREAMBLE_WITH_HEAD, RasterPicture, Reserved, SharedFrame},
    memory::{Held, hold_memory, in_pool_with},
    planes::{Colour, JpegWriter, Matrix, Planes},
    raster::Raster,
    yuv::{Canvas, Yuv420},
};
use crate::{
    blocking::Pool,
    error::{Code, Error, Result},
    units::Size,
};

/// Limits on a single picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureLimits {
    /// Most bytes of one encoded picture.
    pub frame_size: Size,
    /// Most pixels (width × height) of one picture, because a small file can decode to gigabytes.
    pub frame_pixels: u64,
    /// Most memory of all conversions together.
    pub conversion_memory: Size,
}

impl Default for PictureLimits {
    fn default() -> Self {
        PictureLimits { frame_size: Size::mib(16), frame_pixels: 64_000_000, conversion_memory: Size::mib(512) }
    }
}

impl PictureLimits {
    /// Refuses more bytes than the limit.
    pub fn check_size(&self, bytes: usize) -> Result<()> {
        if bytes as u64 > self.frame_size.0 {
            return Err(Error::new(
                Code::FrameTooLarge,
                format!("the picture has more than {} bytes (limits.frame_size)", self.frame_size),
            ));
        }
        Ok(())
    }

    /// Refuses more pixels than the limit.
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

/// A complete, upright JPEG within limits that browsers and ffmpeg's mpjpeg demuxer can decode.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The encoded bytes, from SOI to the end of the received data.
    pub jpeg: Bytes,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// When the picture was taken or, if that is unknown, received.
    pub captured_at: SystemTime,
}

impl Picture {
    /// The picture of a frame. Shares its memory.
    pub fn of(frame: &Frame) -> Self {
        Picture { jpeg: frame.jpeg(), width: frame.width, height: frame.height, captured_at: frame.captured_at }
    }

    /// Accepts a JPEG that needs no conversion, and keeps its bytes, except that it inserts missing Huffman tables.
    /// Refuses a JPEG that needs conversion. Cheap enough for an async thread.
    pub fn from_plain_jpeg(data: Bytes, limits: &PictureLimits) -> Result<Self> {
        match convert::sort(data, limits)? {
            convert::Sorted::Ready(picture) => Ok(picture),
            convert::Sorted::Work(_) => Err(Error::new(
                Code::NotAPicture,
                "only an upright JPEG is accepted here; upload other pictures one at a time",
            )),
        }
    }

    /// Accepts a picture of any known [`Format`]. A JPEG keeps its bytes unless its EXIF orientation is not upright
    /// or browsers cannot show its kind. Every other picture is converted on a blocking thread.
    pub async fn from_upload(data: Bytes, limits: &PictureLimits) -> Result<Self> {
        match convert::sort(data, limits)? {
            convert::Sorted::Ready(picture) => Ok(picture),
            convert::Sorted::Work(work) => {
                let (memory, copied) = (work.memory(), *limits);
                in_pool_with(memory, limits, move || work.run(&copied)).await
            }
        }
    }

    /// As [`Picture::from_upload`], for data whose sender says that it is whole, by its length or by the end of a message. A
    /// JPEG without an end-of-image marker is accepted if nothing else is missing; the marker is added, as ffmpeg does.
    pub async fn from_whole(data: Bytes, limits: &PictureLimits) -> Result<Self> {
        match jpeg::with_end(&data) {
            None => Self::from_upload(data, limits).await,
            Some(ended) => match Self::from_repaired(ended, limits).await {
                Ok(picture) => Ok(picture),
                // Names what is wrong with the data as it was sent.
                Err(_) => Self::from_upload(data, limits).await,
            },
        }
    }

    /// As [`Picture::from_upload`], for a JPEG whose end-of-image marker was added. It is decoded, because only that tells a
    /// missing marker from a picture that was cut off.
    pub async fn from_repaired(data: Bytes, limits: &PictureLimits) -> Result<Self> {
        let picture = Self::from_upload(data, limits).await?;
        in_pool(move || verify(&picture).map(|()| picture)).await
    }

    /// As [`Picture::from_upload`], for a caller on a blocking thread that converts one picture at a time.
    pub fn from_upload_blocking(data: Bytes, limits: &PictureLimits) -> Result<Self> {
        match convert::sort(data, limits)? {
            convert::Sorted::Ready(picture) => Ok(picture),
            convert::Sorted::Work(work) => work.run(limits),
        }
    }

    /// Sets the time of capture.
    pub fn captured_at(mut self, at: SystemTime) -> Self {
        self.captured_at = at;
        self
    }
}

/// The memory, in bytes, that turning, scaling or decoding a picture needs, at most. A JPEG that cannot be read needs none.
pub fn memory_to_transform(jpeg: &[u8]) -> u64 {
    jpeg::inspect(jpeg).map_or(0, |header| memory::of_jpeg(jpeg, &header))
}

/// Decodes the whole picture roughly and treats every irregularity as damage; for transports that lose, duplicate
/// or reorder data. Takes about a millisecond for VGA: call it on a blocking thread.
pub fn verify(picture: &Picture) -> Result<()> {
    convert::verify(&picture.jpeg)
}

/// Runs work on pictures on a blocking thread. At most one piece for each core runs at a time, so that a burst of
/// pictures waits in turn instead of taking the memory of all of them at once. Cancel-safe.
pub async fn in_pool<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    static POOL: LazyLock<Pool> =
        LazyLock::new(|| Pool::new("work on a picture", std::thread::available_parallelism().map_or(2, usize::from)));
    POOL.run(work).await
}
