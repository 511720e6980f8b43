//! Converts uploaded files to a [`Picture`].

mod header;

use std::{io::Cursor, time::SystemTime};

use bytes::Bytes;
use image::{DynamicImage, ImageDecoder, ImageReader, metadata::Orientation};
use turbojpeg::{Decompressor, Image, PixelFormat, Subsamp, Transform, TransformOp, Transformer};

use super::{
    Picture, PictureLimits,
    encode::compress,
    jpeg::{self, Coding, Fault, Header},
    memory, reduced,
};
use crate::error::{Code, Error, Result};

/// Quality of JPEGs made from other formats, 1 to 100. At 92, text in a graph has no visible ringing.
const QUALITY: i32 = 92;

/// Most progressive scans of a JPEG. Encoders write about 10; an attacker writes thousands ("Two Issues with the
/// JPEG Standard", libjpeg-turbo.org).
pub(super) const MAX_SCANS: u32 = 100;

/// Most bytes of metadata that a decoder may hold, such as a colour profile.
const METADATA: u64 = 4 << 20;

/// Most bytes before the start of a JPEG. Devices send a few.
const MAX_BEFORE: usize = 64 + 3;

/// The picture formats that can be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JPEG; keeps its bytes where possible.
    Jpeg,
    /// PNG; transparent areas become white.
    Png,
    /// WebP; the first frame of an animation.
    WebP,
    /// GIF; the first frame of an animation.
    Gif,
    /// Windows bitmap.
    Bmp,
}

impl Format {
    /// Detects the format from the first bytes. The error names other formats that users often send.
    pub fn sniff(data: &[u8]) -> Result<Self> {
        Self::recognise(data).map_err(|found| {
            let found = found.unwrap_or("an unknown format");
            Error::new(Code::NotAPicture, format!("a JPEG, PNG, WebP, GIF or BMP picture is needed; this is {found}"))
        })
    }

    /// The format; otherwise what the data is, if that is known.
    fn recognise(data: &[u8]) -> Result<Self, Option<&'static str>> {
        let at = |from: usize, magic: &[u8]| data.get(from..).is_some_and(|rest| rest.starts_with(magic));
        if at(0, b"\xFF\xD8") {
            return Ok(Format::Jpeg);
        }
        if at(0, b"\x89PNG\r\n\x1a\n") {
            return Ok(Format::Png);
        }
        if at(0, b"RIFF") && at(8, b"WEBP") {
            return Ok(Format::WebP);
        }
        if at(0, b"GIF87a") || at(0, b"GIF89a") {
            return Ok(Format::Gif);
        }
        if at(0, b"BM") && data.len() > 26 {
            return Ok(Format::Bmp);
        }
        let found = if at(4, b"ftypheic") || at(4, b"ftypheix") || at(4, b"ftypmif1") {
            "HEIC"
        } else if at(4, b"ftypavif") {
            "AVIF"
        } else if at(4, b"ftyp") {
            "an MP4 video"
        } else if at(0, b"II*\0") || at(0, b"MM\0*") {
            "TIFF"
        } else if at(0, b"%PDF") {
            "PDF"
        } else if data.trim_ascii_start().starts_with(b"<") {
            "markup (SVG or HTML)"
        } else if data.trim_ascii_start().starts_with(b"{") {
            "JSON"
        } else {
            return Err(None);
        };
        Err(Some(found))
    }

    fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Gif => "GIF",
            Format::Bmp => "BMP",
        }
    }
}

/// An upload after its markers were read.
pub(super) enum Sorted {
    /// The data needs no conversion.
    Ready(Picture),
    /// The data must be decoded or turned, which takes milliseconds.
    Work(Work),
}

/// A conversion that has not run yet.
pub(super) struct Work {
    data: Bytes,
    source: Source,
    memory: u64,
}

/// What is converted.
enum Source {
    /// A JPEG that must be turned or is of an unusual kind.
    Jpeg(Header),
    /// Another format, with the size that its header says.
    Other(Format, header::Size),
}

/// Without the bytes before a JPEG, such as fill bytes, a byte order mark or a device's own header. ffmpeg skips them as well.
fn from_start(data: Bytes) -> Bytes {
    if Format::recognise(&data) != Err(None) {
        return data;
    }
    let beginning = &data[..data.len().min(MAX_BEFORE)];
    match memchr::memmem::find(beginning, &[0xFF, 0xD8, 0xFF]) {
        Some(at) => data.slice(at..),
        None => data,
    }
}

/// Decides from the markers whether the data needs conversion.
pub(super) fn sort(data: Bytes, limits: &PictureLimits) -> Result<Sorted> {
    if data.is_empty() {
        return Err(Error::new(Code::EmptyBody, "the body is empty; a picture is needed"));
    }
    limits.check_size(data.len())?;
    let data = from_start(data);
    let format = Format::sniff(&data)?;
    if format != Format::Jpeg {
        let size = header::Size::read(&data, format)?;
        limits.check_pixels(size.width, size.height)?;
        return Ok(Sorted::Work(Work { data, source: Source::Other(format, size), memory: size.memory() }));
    }
    let header = jpeg::inspect(&data).map_err(broken)?;
    limits.check_pixels(header.width, header.height)?;
    if header.precision != 8 {
        return Err(Error::new(
            Code::NotAPicture,
            format!("browsers cannot show a JPEG with {} bits a sample; send one with 8 bits", header.precision),
        ));
    }
    if header.coding == Coding::Exotic || header.orientation != 1 {
        let memory = memory::of_jpeg(&data, &header);
        return Ok(Sorted::Work(Work { data, source: Source::Jpeg(header), memory }));
    }
    let data = if header.has_huffman_tables { data } else { jpeg::with_huffman_tables(&data, &header).into() };
    // The inserted tables count, too: the same picture must be accepted when it is read from the disk after a restart.
    limits.check_size(data.len())?;
    Ok(Sorted::Ready(picture(data, header.width, header.height)))
}

impl Work {
    /// The memory that the conversion needs, in bytes, at most.
    pub(super) fn memory(&self) -> u64 {
        self.memory
    }

    /// Runs the conversion on the present thread.
    pub(super) fn run(self, limits: &PictureLimits) -> Result<Picture> {
        match self.source {
            Source::Jpeg(header) => turn_jpeg(&self.data, &header, limits),
            Source::Other(format, size) => convert_other(&self.data, format, size, limits),
        }
    }
}

/// Turns a JPEG upright: without loss if its sides are multiples of the coding block, otherwise by decoding.
fn turn_jpeg(data: &[u8], header: &Header, limits: &PictureLimits) -> Result<Picture> {
    let orientation = Orientation::from_exif(header.orientation).unwrap_or(Orientation::NoTransforms);
    if header.coding != Coding::Exotic {
        let mut transform = Transform::op(match orientation {
            Orientation::NoTransforms => TransformOp::None,
            Orientation::FlipHorizontal => TransformOp::Hflip,
            Orientation::Rotate180 => TransformOp::Rot180,
            Orientation::FlipVertical => TransformOp::Vflip,
            Orientation::Rotate90FlipH => TransformOp::Transpose,
            Orientation::Rotate90 => TransformOp::Rot90,
            Orientation::Rotate270FlipH => TransformOp::Transverse,
            Orientation::Rotate270 => TransformOp::Rot270,
        });
        transform.perfect = true;
        transform.progressive = header.coding == Coding::Progressive;
        let upright = jpeg::with_upright_exif(data, header);
        if let Ok(turned) = Transformer::new().and_then(|mut t| t.transform_to_vec(&transform, &upright)) {
            let turned = Bytes::from(turned);
            limits.check_size(turned.len())?;
            let header = jpeg::inspect(&turned).map_err(broken)?;
            return Ok(picture(turned, header.width, header.height));
        }
    }
    let rgb = decode_rgb(data)?;
    let mut image = DynamicImage::ImageRgb8(rgb);
    image.apply_orientation(orientation);
    encode(image.into_rgb8(), Subsamp::Sub2x2, limits)
}

fn convert_other(data: &[u8], format: Format, size: header::Size, limits: &PictureLimits) -> Result<Picture> {
    let broken = |e: image::ImageError| match e {
        // The estimate holds for each picture that is what its header says.
        image::ImageError::Limits(_) => Error::new(
            Code::BrokenPicture,
            format!("the {} needs more memory than a picture of its size", format.name()),
        ),
        other => Error::new(Code::BrokenPicture, format!("the {} cannot be decoded: {other}", format.name())),
    };
    let mut reader = ImageReader::new(Cursor::new(data));
    reader.set_format(match format {
        Format::Png => image::ImageFormat::Png,
        Format::WebP => image::ImageFormat::WebP,
        Format::Gif => image::ImageFormat::Gif,
        Format::Bmp => image::ImageFormat::Bmp,
        Format::Jpeg => return Err(Error::internal("a JPEG is not converted here", "wrong branch")),
    });
    // Besides the pixels, a decoder holds metadata such as a colour profile.
    let mut bounds = image::Limits::default();
    bounds.max_alloc = Some(size.decoder_memory(format) + METADATA);
    reader.limits(bounds.clone());
    let mut decoder = reader.into_decoder().map_err(broken)?;
    // For PNG the line above has set them already; for the others only this does.
    decoder.set_limits(bounds).map_err(broken)?;
    if decoder.dimensions() != (size.width, size.height) {
        return Err(Error::new(Code::BrokenPicture, format!("the {} has two different sizes", format.name())));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    // Graphs and screenshots have coloured text, which subsampled chroma blurs.
    let subsampling = if format == Format::WebP { Subsamp::Sub2x2 } else { Subsamp::None };
    encode(on_white(image), subsampling, limits)
}

/// Blends transparent pixels with white, as a browser shows them on an empty page.
#[expect(clippy::expect_used, reason = "three bytes are pushed for each pixel")]
fn on_white(image: DynamicImage) -> image::RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    let (width, height) = image.dimensions();
    let mut rgb = Vec::with_capacity(image.len() / 4 * 3);
    for pixel in image.pixels() {
        let [r, g, b, a] = pixel.0.map(u32::from);
        rgb.extend([r, g, b].map(|c| ((c * a + 255 * (255 - a) + 127) / 255) as u8));
    }
    image::RgbImage::from_raw(width, height, rgb).expect("three bytes were pushed for each pixel")
}

#[expect(clippy::expect_used, reason = "the buffer is made with three bytes for each pixel")]
fn decode_rgb(data: &[u8]) -> Result<image::RgbImage> {
    let decode = || -> turbojpeg::Result<(usize, usize, Vec<u8>)> {
        let mut decoder = Decompressor::new()?;
        decoder.set_scan_limit(MAX_SCANS)?;
        let header = decoder.read_header(data)?;
        let mut pixels = vec![0; 3 * header.width * header.height];
        let image = Image {
            pixels: &mut pixels[..],
            width: header.width,
            pitch: 3 * header.width,
            height: header.height,
            format: PixelFormat::RGB,
        };
        decoder.decompress(data, image)?;
        Ok((header.width, header.height, pixels))
    };
    let (width, height, pixels) = decode().map_err(undecodable)?;
    Ok(image::RgbImage::from_raw(width as u32, height as u32, pixels).expect("the buffer has that size"))
}

/// Decodes all scan data, in gray and at an eighth of the size, which costs little more than the Huffman decoding.
/// Lost, duplicated or reordered data makes a scan end too early or too late; libjpeg-turbo then warns, and a
/// warning counts as damage here.
pub(super) fn verify(data: &[u8]) -> Result<()> {
    // Our own decoder gives no result for which libjpeg-turbo would warn.
    if reduced::decode(data, 8).is_some() {
        return Ok(());
    }
    let check = || -> turbojpeg::Result<()> {
        let mut decoder = Decompressor::new()?;
        decoder.set_scan_limit(MAX_SCANS)?;
        let header = decoder.read_header(data)?;
        let scaling = turbojpeg::ScalingFactor::new(1, 8);
        decoder.set_scaling_factor(scaling)?;
        let small = header.scaled(scaling);
        let mut pixels = vec![0; small.width * small.height];
        let image = Image {
            pixels: &mut pixels[..],
            width: small.width,
            pitch: small.width,
            height: small.height,
            format: PixelFormat::GRAY,
        };
        decoder.decompress(data, image)
    };
    check().map_err(undecodable)
}

pub(super) fn undecodable(e: turbojpeg::Error) -> Error {
    Error::new(Code::BrokenPicture, format!("the JPEG cannot be decoded: {e}"))
}

fn broken(fault: Fault) -> Error {
    let code = if fault == Fault::NotJpeg { Code::NotAPicture } else { Code::BrokenPicture };
    Error::new(code, fault.to_string())
}

fn picture(jpeg: Bytes, width: u32, height: u32) -> Picture {
    Picture { jpeg, width, height, captured_at: SystemTime::now() }
}

fn encode(image: image::RgbImage, subsampling: Subsamp, limits: &PictureLimits) -> Result<Picture> {
    let (width, height) = image.dimensions();
    let jpeg = compress(image.as_raw(), width, height, QUALITY, subsampling)
        .map_err(|e| Error::internal("the picture could not be encoded", e))?;
    limits.check_size(jpeg.len())?;
    Ok(picture(jpeg, width, height))
}

#[cfg(test)]
mod tests;
