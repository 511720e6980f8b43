//! Encodes packed RGB pixels as JPEG.

use bytes::Bytes;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use crate::error::{Error, Result};

/// Encodes packed RGB pixels as a baseline JPEG with 4:2:0 chroma.
pub fn encode_rgb(rgb: &[u8], width: u32, height: u32, quality: i32) -> Result<Bytes> {
    compress(rgb, width, height, quality, Subsamp::Sub2x2)
        .map_err(|e| Error::internal("the picture could not be encoded", e))
}

/// Encodes packed RGB pixels as a baseline JPEG with this chroma subsampling.
pub(super) fn compress(
    rgb: &[u8],
    width: u32,
    height: u32,
    quality: i32,
    subsampling: Subsamp,
) -> turbojpeg::Result<Bytes> {
    let (width, height) = (width as usize, height as usize);
    let mut encoder = Compressor::new()?;
    encoder.set_quality(quality)?;
    encoder.set_subsamp(subsampling)?;
    let image = Image { pixels: rgb, width, pitch: 3 * width, height, format: PixelFormat::RGB };
    encoder.compress_to_vec(image).map(Bytes::from)
}
