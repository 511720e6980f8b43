//! Applies a [`Transform`] to a picture: without loss if coded blocks only have to be moved, otherwise through
//! pixels.

use bytes::Bytes;
use fast_image_resize::{
    PixelType, Resizer,
    images::{CroppedImage, Image as Pixels, ImageRef},
};
use image::{DynamicImage, GrayImage, RgbImage, metadata::Orientation};
use turbojpeg::{
    Colorspace, Compressor, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp,
    Transform as Lossless, TransformOp, Transformer,
};

use super::{Geometry, Transform, Turn};
use crate::{
    error::{Error, Result},
    picture::{
        PictureLimits,
        convert::{MAX_SCANS, undecodable},
        jpeg::{self, Coding},
        raster::{Raster, cut, smooth},
        yuv::{cmyk_to_rgb, pixels},
    },
};

/// A picture after its transform.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The encoded picture.
    pub jpeg: Bytes,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How the result was made.
    pub how: How,
}

/// How a result was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// The original bytes: the transform does not change the picture.
    Unchanged,
    /// By moving coded blocks, without loss.
    Lossless,
    /// By decoding and encoding.
    Encoded,
}

/// The bars beside a picture.
const BLACK: [u8; 3] = [0, 128, 128];

/// Applies a transform. `quality` (1 to 100) is for pictures that must be encoded when the request sets no quality.
/// The frame rate has no effect here. Takes milliseconds: call it on a blocking thread.
pub fn apply(
    jpeg: &Bytes,
    (width, height): (u32, u32),
    transform: &Transform,
    quality: u8,
    limits: &PictureLimits,
) -> Result<Applied> {
    let geometry = transform.geometry(width, height, limits)?;
    let turned = if transform.turn.swaps_sides() { (height, width) } else { (width, height) };
    if geometry == Geometry::whole(turned.0, turned.1) && transform.quality.is_none() {
        if transform.turn == Turn::NONE && !transform.gray {
            return Ok(Applied { jpeg: jpeg.clone(), width, height, how: How::Unchanged });
        }
        if let Some(jpeg) = move_blocks(jpeg, transform) {
            return Ok(Applied { jpeg, width: turned.0, height: turned.1, how: How::Lossless });
        }
    }
    let unturned = geometry.unturned(transform.turn);
    // Scaling planes takes less time than scaling pixels. A chroma sample at an odd edge would move a little.
    let by = reduction((width as usize, height as usize), &unturned) as u32;
    if by > 1 && [width, height].iter().all(|side| side.div_ceil(by).is_multiple_of(2)) {
        let raster = reshape_jpeg(jpeg, (width, height), transform, limits)?;
        let is_gray = transform.gray || jpeg::inspect(jpeg).is_ok_and(|header| header.components == 1);
        return encode_planes(&raster, is_gray, transform.quality.unwrap_or(quality), limits);
    }
    let decoded = Decoded::decode(jpeg, &unturned, transform.gray)?;
    let scaled = decoded.fit(&unturned)?;
    let image = scaled.turn(transform.turn);
    let jpeg = encode(&image, transform.quality.unwrap_or(quality))
        .map_err(|e| Error::internal("the picture could not be encoded", e))?;
    limits.check_size(jpeg.len())?;
    Ok(Applied { jpeg, width: geometry.outer.0, height: geometry.outer.1, how: How::Encoded })
}

/// As [`apply`], for a decoded picture. None if the transform does not change it. Takes milliseconds: call it on a blocking
/// thread.
pub fn apply_to_planes(
    raster: &Raster,
    transform: &Transform,
    quality: u8,
    limits: &PictureLimits,
) -> Result<Option<Applied>> {
    let Some(changed) = reshape(raster, transform, limits)? else { return Ok(None) };
    encode_planes(&changed, transform.gray, transform.quality.unwrap_or(quality), limits).map(Some)
}

fn encode_planes(raster: &Raster, is_gray: bool, quality: u8, limits: &PictureLimits) -> Result<Applied> {
    let jpeg = if is_gray { raster.to_gray_jpeg(quality)? } else { raster.to_jpeg(quality)? };
    limits.check_size(jpeg.len())?;
    Ok(Applied { jpeg, width: raster.width(), height: raster.height(), how: How::Encoded })
}

/// Decodes a JPEG and applies size, orientation and colour, for a picture that is drawn on before it is encoded. Decodes at the
/// smallest sufficient size.
pub fn reshape_jpeg(
    jpeg: &[u8],
    (width, height): (u32, u32),
    transform: &Transform,
    limits: &PictureLimits,
) -> Result<Raster> {
    let unturned = transform.geometry(width, height, limits)?.unturned(transform.turn);
    let raster = Raster::from_jpeg_at(jpeg, |header| scaling(header, &unturned))?;
    shape(&raster, transform, &unturned).map(|shaped| shaped.unwrap_or(raster))
}

/// Applies size, orientation and colour to a decoded picture. None if nothing changes, not even the quality.
pub fn reshape(raster: &Raster, transform: &Transform, limits: &PictureLimits) -> Result<Option<Raster>> {
    let geometry = transform.geometry(raster.width(), raster.height(), limits)?;
    let shaped = shape(raster, transform, &geometry.unturned(transform.turn))?;
    let is_changed = shaped.is_some() || transform.quality.is_some();
    Ok(is_changed.then(|| shaped.unwrap_or_else(|| raster.clone()).into_jpeg_colour()))
}

/// None if nothing changes.
fn shape(raster: &Raster, transform: &Transform, unturned: &Geometry) -> Result<Option<Raster>> {
    let mut made = None;
    if unturned.shown != (1.0, 1.0) || unturned.inner != (raster.width(), raster.height()) {
        made = Some(raster.scaled(unturned.shown, unturned.inner)?);
    }
    if unturned.inner != unturned.outer {
        let inner = made.take().unwrap_or_else(|| raster.clone()).into_jpeg_colour();
        let (width, height) = unturned.outer;
        let mut with_bars = Raster::filled(width, height, BLACK);
        with_bars.put(&inner, (width - inner.width()) / 2, (height - inner.height()) / 2);
        made = Some(with_bars);
    }
    if transform.turn != Turn::NONE {
        let upright = made.as_ref().unwrap_or(raster);
        made = Some(upright.turned(transform.turn.quarters, transform.turn.mirrored));
    }
    if transform.gray {
        made = Some(made.unwrap_or_else(|| raster.clone()).into_jpeg_colour());
        made.iter_mut().for_each(Raster::make_gray);
    }
    Ok(made)
}

/// Turns and mirrors by moving coded blocks. None if the blocks at an edge are incomplete, because moving is not
/// exact then.
fn move_blocks(data: &Bytes, transform: &Transform) -> Option<Bytes> {
    let header = jpeg::inspect(data).ok()?;
    let mut lossless = Lossless::op(operation(transform.turn));
    lossless.perfect = true;
    lossless.gray = transform.gray;
    lossless.progressive = header.coding == Coding::Progressive;
    Transformer::new().ok()?.transform_to_vec(&lossless, data).ok().map(Bytes::from)
}

/// The operation that turns clockwise and then mirrors left to right.
fn operation(turn: Turn) -> TransformOp {
    match (turn.quarters, turn.mirrored) {
        (0, false) => TransformOp::None,
        (1, false) => TransformOp::Rot90,
        (2, false) => TransformOp::Rot180,
        (_, false) => TransformOp::Rot270,
        (0, true) => TransformOp::Hflip,
        (1, true) => TransformOp::Transpose,
        (2, true) => TransformOp::Vflip,
        (_, true) => TransformOp::Transverse,
    }
}

/// The same operation as an `Orientation` of the `image` crate.
fn orientation(turn: Turn) -> Orientation {
    match operation(turn) {
        TransformOp::Rot90 => Orientation::Rotate90,
        TransformOp::Rot180 => Orientation::Rotate180,
        TransformOp::Rot270 => Orientation::Rotate270,
        TransformOp::Hflip => Orientation::FlipHorizontal,
        TransformOp::Vflip => Orientation::FlipVertical,
        TransformOp::Transpose => Orientation::Rotate90FlipH,
        TransformOp::Transverse => Orientation::Rotate270FlipH,
        _ => Orientation::NoTransforms,
    }
}

/// Packed pixels, gray or RGB.
struct Decoded {
    width: u32,
    height: u32,
    gray: bool,
    samples: Vec<u8>,
}

impl Decoded {
    /// Decodes at the smallest sufficient size: at a half, a quarter or an eighth of it libjpeg-turbo skips three
    /// quarters of the work or more.
    fn decode(jpeg: &[u8], geometry: &Geometry, gray: bool) -> Result<Self> {
        let decode = || {
            let mut decoder = Decompressor::new()?;
            decoder.set_scan_limit(MAX_SCANS)?;
            let header = decoder.read_header(jpeg)?;
            let scaling = scaling(&header, geometry);
            decoder.set_scaling_factor(scaling)?;
            let header = header.scaled(scaling);
            let is_print = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
            let gray = !is_print && (gray || header.colorspace == Colorspace::Gray);
            let samples = match (is_print, gray) {
                (true, _) => cmyk_to_rgb(&pixels(&mut decoder, jpeg, &header, PixelFormat::CMYK)?),
                (_, true) => pixels(&mut decoder, jpeg, &header, PixelFormat::GRAY)?,
                _ => pixels(&mut decoder, jpeg, &header, PixelFormat::RGB)?,
            };
            Ok(Decoded { width: header.width as u32, height: header.height as u32, gray, samples })
        };
        let decoded: Decoded = decode().map_err(undecodable)?;
        if gray && !decoded.gray {
            let rgb = decoded.into_image();
            let (width, height) = (rgb.width(), rgb.height());
            return Ok(Decoded { width, height, gray: true, samples: rgb.into_luma8().into_raw() });
        }
        Ok(decoded)
    }

    fn pixel_type(&self) -> PixelType {
        if self.gray { PixelType::U8 } else { PixelType::U8x3 }
    }

    /// Crops, scales, and adds bars.
    fn fit(self, geometry: &Geometry) -> Result<Self> {
        let (width, height) = geometry.inner;
        let whole = geometry.shown == (1.0, 1.0);
        if whole && (self.width, self.height) == (width, height) {
            return Ok(self.with_bars(geometry));
        }
        let wrong = |e: &dyn std::fmt::Display| Error::internal("the picture cannot be scaled", e.to_string());
        let kind = self.pixel_type();
        let from = ImageRef::new(self.width, self.height, &self.samples, kind).map_err(|e| wrong(&e))?;
        let ((left, cut_w), (top, cut_h)) = (cut(self.width, geometry.shown.0), cut(self.height, geometry.shown.1));
        let from = CroppedImage::new(&from, left, top, cut_w, cut_h).map_err(|e| wrong(&e))?;
        let mut to = Pixels::new(width, height, kind);
        Resizer::new().resize(&from, &mut to, &smooth()).map_err(|e| wrong(&e))?;
        let scaled = Decoded { width, height, gray: self.gray, samples: to.into_vec() };
        Ok(scaled.with_bars(geometry))
    }

    fn with_bars(self, geometry: &Geometry) -> Self {
        let (width, height) = geometry.outer;
        if (self.width, self.height) == (width, height) {
            return self;
        }
        let bytes = self.pixel_type().size();
        let (row, stride) = (self.width as usize * bytes, width as usize * bytes);
        let left = (width - self.width) as usize / 2 * bytes;
        let top = (height - self.height) as usize / 2;
        let mut samples = vec![0; stride * height as usize];
        for (to, from) in samples.chunks_mut(stride).skip(top).zip(self.samples.chunks(row)) {
            to[left..left + row].copy_from_slice(from);
        }
        Decoded { width, height, gray: self.gray, samples }
    }

    fn turn(self, turn: Turn) -> DynamicImage {
        let mut image = self.into_image();
        image.apply_orientation(orientation(turn));
        image
    }

    #[expect(clippy::expect_used, reason = "the type keeps a buffer of its width and height")]
    fn into_image(self) -> DynamicImage {
        const WHY: &str = "the buffer has that size";
        match self.gray {
            true => GrayImage::from_raw(self.width, self.height, self.samples).expect(WHY).into(),
            false => RgbImage::from_raw(self.width, self.height, self.samples).expect(WHY).into(),
        }
    }
}

/// The smallest scale that gives all shown pixels, for a picture of this size: 1, or a half, a quarter or an eighth (2, 4 or 8). Only scales
/// for which libjpeg-turbo has vector code: thirds and sixths cost more than the full size.
fn reduction((width, height): (usize, usize), geometry: &Geometry) -> usize {
    let enough = |by: &usize| {
        let (width, height) = (width.div_ceil(*by) as f64, height.div_ceil(*by) as f64);
        width * geometry.shown.0 >= f64::from(geometry.inner.0)
            && height * geometry.shown.1 >= f64::from(geometry.inner.1)
    };
    [8, 4, 2].into_iter().find(enough).unwrap_or(1)
}

fn scaling(header: &DecompressHeader, geometry: &Geometry) -> ScalingFactor {
    let by = if header.is_lossless { 1 } else { reduction((header.width, header.height), geometry) };
    ScalingFactor::new(1, by)
}

fn encode(image: &DynamicImage, quality: u8) -> turbojpeg::Result<Bytes> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (format, subsampling) = match image {
        DynamicImage::ImageLuma8(_) => (PixelFormat::GRAY, Subsamp::Gray),
        _ => (PixelFormat::RGB, Subsamp::Sub2x2),
    };
    let mut encoder = Compressor::new()?;
    encoder.set_quality(i32::from(quality))?;
    encoder.set_subsamp(subsampling)?;
    encoder
        .compress_to_vec(Image { pixels: image.as_bytes(), width, pitch: width * format.size(), height, format })
        .map(Bytes::from)
}
