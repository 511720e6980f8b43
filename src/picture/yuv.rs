//! Converts pictures to the input of video encoders: planar YUV with 4:2:0 chroma, in the range that players expect.
//!
//! A JPEG is already YCbCr (JFIF: the BT.601 matrix, full range), so its planes are used as they are coded, without a
//! conversion to RGB. The remaining work is subsampling if the JPEG has more chroma than 4:2:0, scaling if the canvas has
//! another size, and the range: 0 to 255 becomes 16 to 235 (chroma 16 to 240, BT.601 section 2.5.3), because that is the
//! range that players assume when they ignore the range flag.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image as Plane, ImageRef},
};
use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp, YuvImage};

use super::{
    convert::{MAX_SCANS, undecodable},
    reduced::{self, Reduced},
};
use crate::error::{Error, Result};

/// The largest sides that openh264 encodes (see its README; level 5.2).
const LONGEST: u32 = 3840;
const SHORTEST_MAX: u32 = 2160;

/// Hardware decoders refuse smaller sides.
const SMALLEST: u32 = 32;

/// The size of a video: even, and within the limits of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Canvas {
    width: u32,
    height: u32,
}

impl Canvas {
    /// Checks a size. The error is the rule that the size breaks.
    pub fn new(width: u32, height: u32) -> Result<Self, String> {
        let (long, short) = (width.max(height), width.min(height));
        if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
            return Err(format!("{width}x{height} must have even sides"));
        }
        if short < SMALLEST || long > LONGEST || short > SHORTEST_MAX {
            return Err(format!(
                "{width}x{height} must be from {SMALLEST}x{SMALLEST} to {LONGEST}x{SHORTEST_MAX} (or upright)"
            ));
        }
        Ok(Canvas { width, height })
    }

    /// The best canvas for a picture of this size: the same size without an odd row or column, or the same
    /// proportions within the limits of the encoder.
    pub fn for_picture(width: u32, height: u32) -> Self {
        let (w, h) = (f64::from(width.max(1)), f64::from(height.max(1)));
        let shrink = f64::min(f64::from(LONGEST) / w.max(h), f64::from(SHORTEST_MAX) / w.min(h)).min(1.0);
        let side = |of: f64| ((of * shrink) as u32 & !1).max(SMALLEST);
        Canvas { width: side(w), height: side(h) }
    }

    /// Width in pixels.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(self) -> u32 {
        self.height
    }
}

impl std::fmt::Display for Canvas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A picture on its canvas. The planes have no padding; chroma has half the width and height.
#[derive(Clone, Debug)]
pub struct Yuv420 {
    canvas: Canvas,
    /// Y, U, V.
    planes: [Vec<u8>; 3],
}

impl Yuv420 {
    /// Decodes a JPEG and fits it into the canvas: as large as possible, not distorted, with black bars. Takes
    /// about 5 ms for 1920 × 1080: call it on a blocking thread.
    pub fn from_jpeg(jpeg: &[u8], canvas: Canvas) -> Result<Self> {
        Yuv420::of_source(&Source::decode(jpeg, |header| scaling(header, canvas))?, canvas)
    }

    /// Fits decoded planes into the canvas.
    pub(super) fn of_source(source: &Source, canvas: Canvas) -> Result<Self> {
        let placement = Placement::of(source, canvas);
        let mut picture = Yuv420::black(canvas);
        let mut resizer = Resizer::new();
        for (i, plane) in source.planes.iter().enumerate() {
            picture.put(i, plane, &placement, &mut resizer)?;
        }
        Ok(picture)
    }

    fn black(canvas: Canvas) -> Self {
        let pixels = canvas.width as usize * canvas.height as usize;
        Yuv420 { canvas, planes: [vec![16; pixels], vec![128; pixels / 4], vec![128; pixels / 4]] }
    }

    /// Its size.
    pub fn canvas(&self) -> Canvas {
        self.canvas
    }

    /// Y, U or V (0, 1, 2).
    pub fn plane(&self, i: usize) -> &[u8] {
        &self.planes[i]
    }

    fn put(&mut self, i: usize, from: &SourcePlane, placement: &Placement, resizer: &mut Resizer) -> Result<()> {
        let shift = usize::from(i > 0);
        let stride = self.canvas.width as usize >> shift;
        let (width, height) = (placement.width as usize >> shift, placement.height as usize >> shift);
        let at = (placement.y as usize >> shift) * stride + (placement.x as usize >> shift);
        let to = &mut self.planes[i][at..];
        let limit = if i == 0 { limited_luma } else { limited_chroma };
        // Without an odd last row or column, a plane of the right size has exactly the samples needed.
        let (shown_width, shown_height) = if placement.is_cropped_only {
            (from.width_of(placement.width), from.height_of(placement.height))
        } else {
            (from.shown_width, from.shown_height)
        };
        if shown_width == width as f64 && shown_height == height as f64 {
            for (to, from) in to.chunks_mut(stride).zip(from.samples.chunks(from.stride)).take(height) {
                convert(&from[..width], &mut to[..width], limit);
            }
            return Ok(());
        }
        let view = ImageRef::new(from.stride as u32, from.rows as u32, &from.samples, PixelType::U8);
        let view = view.map_err(|e| Error::internal("a plane has an unexpected size", e))?;
        let mut scaled = Plane::new(width as u32, height as u32, PixelType::U8);
        // Subsampling takes the average. For scaling, Catmull-Rom is sharp without halos.
        let halves = |a: f64, b: usize| a == b as f64 || a == 2.0 * b as f64;
        let filter = if halves(shown_width, width) && halves(shown_height, height) {
            FilterType::Box
        } else {
            FilterType::CatmullRom
        };
        let options =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(0.0, 0.0, shown_width, shown_height);
        resizer.resize(&view, &mut scaled, &options).map_err(|e| Error::internal("the picture cannot be scaled", e))?;
        for (to, from) in to.chunks_mut(stride).zip(scaled.buffer().chunks(width)) {
            convert(from, &mut to[..width], limit);
        }
        Ok(())
    }
}

/// Position and size of the picture on its canvas; all values are even.
struct Placement {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    /// Nothing is scaled: at most an odd last row or column is left out.
    is_cropped_only: bool,
}

impl Placement {
    fn of(source: &Source, canvas: Canvas) -> Self {
        if (source.width & !1, source.height & !1) == (canvas.width, canvas.height) {
            return Placement { x: 0, y: 0, width: canvas.width, height: canvas.height, is_cropped_only: true };
        }
        let (w, h) = (f64::from(source.width), f64::from(source.height));
        let scale = f64::min(f64::from(canvas.width) / w, f64::from(canvas.height) / h);
        let side = |of: f64, most: u32| (((of * scale / 2.0).round() * 2.0) as u32).clamp(2, most);
        let (width, height) = (side(w, canvas.width), side(h, canvas.height));
        let middle = |side: u32, within: u32| ((within - side) / 2) & !1;
        let (x, y) = (middle(width, canvas.width), middle(height, canvas.height));
        Placement { x, y, width, height, is_cropped_only: false }
    }
}

/// A decoded picture of full range, with the chroma subsampling of its JPEG.
pub(super) struct Source {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Y, U, V; only Y for a gray picture.
    pub(super) planes: Vec<SourcePlane>,
}

pub(super) struct SourcePlane {
    pub(super) samples: Vec<u8>,
    pub(super) stride: usize,
    pub(super) rows: usize,
    /// Pixels per sample, horizontally and vertically.
    pub(super) per_sample: (usize, usize),
    /// Samples of the picture; the rest of a row is padding.
    pub(super) shown_width: f64,
    pub(super) shown_height: f64,
}

impl SourcePlane {
    fn width_of(&self, pixels: u32) -> f64 {
        f64::from(pixels) / self.per_sample.0 as f64
    }

    fn height_of(&self, pixels: u32) -> f64 {
        f64::from(pixels) / self.per_sample.1 as f64
    }
}

impl Source {
    /// Decodes a JPEG, at a scale that depends on its header. Our own decoder is tried first at the scales that it has.
    pub(super) fn decode(jpeg: &[u8], scaling: impl FnOnce(&DecompressHeader) -> ScalingFactor) -> Result<Self> {
        let decode = || {
            let mut decoder = Decompressor::new()?;
            decoder.set_scan_limit(MAX_SCANS)?;
            let header = decoder.read_header(jpeg)?;
            let scaling = if header.is_lossless { ScalingFactor::ONE } else { scaling(&header) };
            let by = [2, 4, 8].into_iter().find(|by| ScalingFactor::new(1, *by) == scaling);
            if let Some(reduced) = by.and_then(|by| reduced::decode(jpeg, by)) {
                return Ok(Source::from(reduced));
            }
            decoder.set_scaling_factor(scaling)?;
            let header = header.scaled(scaling);
            let planar = matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray);
            match header.colorspace {
                _ if planar && header.subsamp != Subsamp::Unknown => Source::planes(&mut decoder, jpeg, &header),
                Colorspace::CMYK | Colorspace::YCCK => Source::from_cmyk(&mut decoder, jpeg, &header),
                _ => {
                    let rgb = pixels(&mut decoder, jpeg, &header, PixelFormat::RGB)?;
                    Ok(Source::from_rgb(&rgb, header.width, header.height))
                }
            }
        };
        decode().map_err(undecodable)
    }

    fn planes(decoder: &mut Decompressor, jpeg: &[u8], header: &DecompressHeader) -> turbojpeg::Result<Self> {
        let (across, down) = header.subsamp.size();
        let up = |side: usize, of: usize| side.div_ceil(of) * of;
        let (stride, rows) = (up(header.width, across), up(header.height, down));
        let gray = header.subsamp == Subsamp::Gray;
        let chroma = if gray { 0 } else { (stride / across) * (rows / down) };
        let mut samples = vec![0; stride * rows + 2 * chroma];
        let image = YuvImage {
            pixels: &mut samples[..],
            width: header.width,
            align: 1,
            height: header.height,
            subsamp: header.subsamp,
        };
        decoder.decompress_to_yuv(jpeg, image)?;
        let plane = |samples: Vec<u8>, across: usize, down: usize| SourcePlane {
            samples,
            stride: stride / across,
            rows: rows / down,
            per_sample: (across, down),
            shown_width: header.width as f64 / across as f64,
            shown_height: header.height as f64 / down as f64,
        };
        let mut planes = vec![];
        if !gray {
            let v = samples.split_off(stride * rows + chroma);
            let u = samples.split_off(stride * rows);
            planes = vec![plane(u, across, down), plane(v, across, down)];
        }
        planes.insert(0, plane(samples, 1, 1));
        Ok(Source { width: header.width as u32, height: header.height as u32, planes })
    }

    fn from_cmyk(decoder: &mut Decompressor, jpeg: &[u8], header: &DecompressHeader) -> turbojpeg::Result<Self> {
        let cmyk = pixels(decoder, jpeg, header, PixelFormat::CMYK)?;
        Ok(Source::from_rgb(&cmyk_to_rgb(&cmyk), header.width, header.height))
    }

    /// Uses the JFIF matrix, in 1/65536. Chroma keeps its full resolution and is subsampled later, as for a 4:4:4
    /// JPEG.
    pub(super) fn from_rgb(rgb: &[u8], width: usize, height: usize) -> Self {
        let weigh = |weights: [i32; 3], add: i32| -> Vec<u8> {
            let sum = |p: &[u8]| (0..3).map(|i| weights[i] * i32::from(p[i])).sum::<i32>();
            rgb.chunks_exact(3).map(|p| (((sum(p) + 32768) >> 16) + add).clamp(0, 255) as u8).collect()
        };
        let plane = |samples| SourcePlane {
            samples,
            stride: width,
            rows: height,
            per_sample: (1, 1),
            shown_width: width as f64,
            shown_height: height as f64,
        };
        let y = weigh([19595, 38470, 7471], 0);
        let u = weigh([-11059, -21709, 32768], 128);
        let v = weigh([32768, -27439, -5329], 128);
        Source { width: width as u32, height: height as u32, planes: vec![plane(y), plane(u), plane(v)] }
    }
}

impl From<Reduced> for Source {
    fn from(reduced: Reduced) -> Self {
        let Reduced { width, height, per_chroma, planes } = reduced;
        let planes = planes.into_iter().enumerate().map(|(i, plane)| {
            let per_sample = if i == 0 { (1, 1) } else { per_chroma };
            SourcePlane {
                samples: plane.samples,
                stride: plane.stride,
                rows: plane.rows,
                per_sample,
                shown_width: width as f64 / per_sample.0 as f64,
                shown_height: height as f64 / per_sample.1 as f64,
            }
        });
        Source { width: width as u32, height: height as u32, planes: planes.collect() }
    }
}

/// Converts print colours. They are inverted, as Adobe writes them; other programs do not write such JPEGs.
pub(super) fn cmyk_to_rgb(cmyk: &[u8]) -> Vec<u8> {
    let through_black = |c: u8, k: u8| ((u32::from(c) * u32::from(k) + 127) / 255) as u8;
    cmyk.chunks_exact(4).flat_map(|p| [0, 1, 2].map(|i| through_black(p[i], p[3]))).collect()
}

/// Decodes to packed pixels.
pub(super) fn pixels(
    decoder: &mut Decompressor,
    jpeg: &[u8],
    header: &DecompressHeader,
    format: PixelFormat,
) -> turbojpeg::Result<Vec<u8>> {
    let pitch = header.width * format.size();
    let mut pixels = vec![0; pitch * header.height];
    let image = Image { pixels: &mut pixels[..], width: header.width, pitch, height: header.height, format };
    decoder.decompress(jpeg, image)?;
    Ok(pixels)
}

/// The smallest scale at which the decoder still gives the pixels that the canvas needs. Scaling in the decoder
/// costs less than decoding the full size.
fn scaling(header: &DecompressHeader, canvas: Canvas) -> ScalingFactor {
    let (w, h) = (header.width as f64, header.height as f64);
    let scale = f64::min(f64::from(canvas.width) / w, f64::from(canvas.height) / h);
    let eighths = (1..8).find(|eighths| *eighths as f64 / 8.0 >= scale).unwrap_or(8);
    ScalingFactor::new(eighths, 8)
}

fn limited_luma(full: u8) -> u8 {
    ((u16::from(full) * 219 + 127) / 255 + 16) as u8
}

/// 128 + (full - 128) * 224 / 255, written without negative values so that it vectorises.
fn limited_chroma(full: u8) -> u8 {
    ((u16::from(full) * 224 + 128 * 31 + 127) / 255) as u8
}

fn convert(from: &[u8], to: &mut [u8], with: impl Fn(u8) -> u8) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = with(*from);
    }
}

#[cfg(test)]
mod tests;
