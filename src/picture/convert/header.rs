//! Reads the size of a PNG, WebP, GIF or BMP from its first bytes, and estimates the memory that its conversion needs, so
//! that a picture is refused before anything is decoded.

use super::Format;
use crate::error::{Code, Error, Result};

/// Most pixels of a side of a JPEG that libjpeg-turbo writes (JPEG_MAX_DIMENSION); T.81 allows 65 535.
const LONGEST_SIDE: u32 = 65_500;

/// What the header of a picture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes for each pixel in a conversion to JPEG, at most: the decoded samples, and the copies that exist at the same time.
    bytes_per_pixel: u64,
}

impl Size {
    /// Reads the header. A header that ends early, or has a side of zero, is an error of code `broken_picture`.
    pub(super) fn read(data: &[u8], format: Format) -> Result<Self> {
        let name = format.name();
        let size = size(data, format).ok_or_else(|| {
            Error::new(Code::BrokenPicture, format!("the {name} cannot be decoded: it ends within its header"))
        })?;
        if size.width == 0 || size.height == 0 {
            let (width, height) = (size.width, size.height);
            let message = format!("the {name} has {width} × {height} pixels; both sides must be at least 1");
            return Err(Error::new(Code::BrokenPicture, message));
        }
        if size.width.max(size.height) > LONGEST_SIDE {
            let (width, height) = (size.width, size.height);
            let message =
                format!("the {name} has {width} × {height} pixels; a JPEG has at most {LONGEST_SIDE} on a side");
            return Err(Error::new(Code::FrameTooLarge, message));
        }
        Ok(size)
    }

    /// The memory for the conversion, in bytes.
    pub(super) fn memory(self) -> u64 {
        self.pixels() * self.bytes_per_pixel
    }

    /// The part of it that the decoder allocates beside its result.
    pub(super) fn decoder_memory(self, format: Format) -> u64 {
        match format {
            // The first frame, as RGBA, which can be larger than the screen.
            Format::Gif => 4 * self.pixels(),
            _ => self.memory(),
        }
    }

    fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

fn size(data: &[u8], format: Format) -> Option<Size> {
    let bytes = |at: usize, count: usize| data.get(at..at + count);
    let big = |at: usize| Some(u32::from_be_bytes(bytes(at, 4)?.try_into().ok()?));
    let little = |at: usize, count: usize| {
        Some(bytes(at, count)?.iter().rev().fold(0, |value, byte| (value << 8) | u32::from(*byte)))
    };
    let (width, height, bytes_per_pixel) = match format {
        // IHDR is the first chunk (PNG, section 5.6). The decoder expands palettes and tRNS, so 8 bits become up to RGBA and
        // then RGB: 7 bytes. 16 bits become 8 bytes, then RGBA of 4, then RGB of 3.
        Format::Png => {
            let (depth, colour) = (*data.get(24)?, *data.get(25)?);
            let bytes = match (depth, colour) {
                (16, 0 | 4) => 8,
                (16, _) => 12,
                _ => 8,
            };
            (big(16)?, big(20)?, bytes)
        }
        // RGBA for the screen, for the frame, and then RGB.
        Format::Gif => (little(6, 2)?, little(8, 2)?, 11),
        Format::WebP => webp(data, little)?,
        // BITMAPCOREHEADER has 12 bytes and sides of 16 bits. A negative height means that the first row is the top one.
        Format::Bmp if little(14, 4)? == 12 => (little(18, 2)?, little(20, 2)?, 7),
        Format::Bmp => (little(18, 4)?, little(22, 4)?.cast_signed().unsigned_abs(), 7),
        Format::Jpeg => return None,
    };
    Some(Size { width, height, bytes_per_pixel })
}

/// RFC 9649, sections 2.5 to 2.7. An animation has a canvas, a frame and the result, RGBA each, and then RGB.
fn webp(data: &[u8], little: impl Fn(usize, usize) -> Option<u32>) -> Option<(u32, u32, u64)> {
    match data.get(12..16)? {
        b"VP8X" => {
            let is_animated = data.get(20)? & 2 != 0;
            Some((little(24, 3)? + 1, little(27, 3)? + 1, if is_animated { 12 } else { 8 }))
        }
        b"VP8L" => {
            let bits = little(21, 4)?;
            Some(((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1, 8))
        }
        b"VP8 " => Some((little(26, 2)? & 0x3FFF, little(28, 2)? & 0x3FFF, 8)),
        _ => None,
    }
}
