//! [`Raster`]: a decoded picture as planes, to be scaled, turned, drawn on and encoded without a detour through RGB or a
//! second JPEG.

use bytes::Bytes;
use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{CroppedImage, Image as Plane, ImageRef},
};
use turbojpeg::{Compressor, DecompressHeader, Image, PixelFormat, ScalingFactor, Subsamp};

use super::{
    planes::{Colour, JpegWriter, Planes, convert},
    yuv::{Source, SourcePlane},
};
use crate::error::{Error, Result};

/// A decoded picture: planes Y, U and V, with chroma of half the width and height.
///
/// Each chroma sample has its four pixels, also at an odd right or lower edge: rows and columns of luma are padded to even
/// numbers, as libjpeg-turbo requires. The padding repeats the edge.
#[derive(Clone, PartialEq, Eq)]
pub struct Raster {
    width: u32,
    height: u32,
    planes: [Vec<u8>; 3],
    colour: Colour,
}

/// A cut of a picture: the shown part of its width and height, from its middle, from 0 to 1.
pub(super) type Shown = (f64, f64);

impl Raster {
    /// A picture of one colour (Y, U, V in the range and matrix of JPEG).
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let chroma = width.div_ceil(2) as usize * height.div_ceil(2) as usize;
        let [y, u, v] = colour;
        Raster { width, height, planes: [vec![y; 4 * chroma], vec![u; chroma], vec![v; chroma]], colour: Colour::JPEG }
    }

    /// A copy of decoded video, in the colour encoding of the video. Takes some 0.3 ms for 1920 × 1080.
    pub fn copy_of(picture: &Planes<'_>) -> Self {
        let mut made = Raster {
            width: picture.width as u32,
            height: picture.height as u32,
            planes: Default::default(),
            colour: picture.colour,
        };
        for i in 0..3 {
            let (columns, rows) = made.shown_size(i);
            let from = picture.samples[i].chunks(picture.strides[i].max(1)).take(rows);
            made.planes[i] = padded(from.map(|row| &row[..columns.min(row.len())]), made.stride(i), made.rows(i));
        }
        made
    }

    /// Decodes a JPEG to planes in the colour encoding of JPEG. Takes some 5 ms for 1920 × 1080: call it on a blocking thread.
    pub fn from_jpeg(jpeg: &[u8]) -> Result<Self> {
        Raster::from_jpeg_at(jpeg, |_| ScalingFactor::ONE)
    }

    /// As [`Raster::from_jpeg`], at a scale that depends on the header: scaling in the decoder is nearly free.
    pub(super) fn from_jpeg_at(jpeg: &[u8], scaling: impl FnOnce(&DecompressHeader) -> ScalingFactor) -> Result<Self> {
        let mut source = Source::decode(jpeg, scaling)?;
        let mut made =
            Raster { width: source.width, height: source.height, planes: Default::default(), colour: Colour::JPEG };
        for i in 0..3 {
            let (columns, rows) = made.shown_size(i);
            let size = (made.stride(i), made.rows(i));
            made.planes[i] = match source.planes.get_mut(i) {
                None => vec![128; size.0 * size.1],
                Some(plane) if (columns, rows) == size && (plane.stride, plane.rows) == size => {
                    std::mem::take(&mut plane.samples)
                }
                Some(plane) if i == 0 || plane.per_sample == (2, 2) => {
                    let from = plane.samples.chunks(plane.stride).take(rows);
                    padded(from.map(|row| &row[..columns.min(row.len())]), made.stride(i), made.rows(i))
                }
                Some(plane) => subsampled(plane, columns, rows),
            };
        }
        Ok(made)
    }

    /// Packed RGB pixels as a picture.
    pub fn from_rgb(rgb: &[u8], width: u32, height: u32) -> Self {
        let source = Source::from_rgb(rgb, width as usize, height as usize);
        let mut made = Raster { width, height, planes: Default::default(), colour: Colour::JPEG };
        for i in 0..3 {
            let (columns, rows) = made.shown_size(i);
            made.planes[i] = match i {
                0 => padded(source.planes[0].samples.chunks(columns.max(1)), made.stride(0), made.rows(0)),
                _ => subsampled(&source.planes[i], columns, rows),
            };
        }
        made
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes of its planes.
    pub fn bytes(&self) -> usize {
        self.planes.iter().map(Vec::len).sum()
    }

    /// Y, U or V (0, 1, 2), with its padding.
    pub fn plane(&self, i: usize) -> &[u8] {
        &self.planes[i]
    }

    /// As [`Raster::plane`], to draw on it.
    pub(super) fn plane_mut(&mut self, i: usize) -> &mut [u8] {
        &mut self.planes[i]
    }

    /// Bytes from one row of a plane to the next.
    pub fn stride(&self, i: usize) -> usize {
        self.width.div_ceil(2) as usize * if i == 0 { 2 } else { 1 }
    }

    /// Rows of a plane, with its padding.
    pub fn rows(&self, i: usize) -> usize {
        self.height.div_ceil(2) as usize * if i == 0 { 2 } else { 1 }
    }

    /// Y, U and V of a pixel, as they are coded. For tests and for reading marks.
    pub fn at(&self, x: u32, y: u32) -> [u8; 3] {
        let sample = |i: usize| {
            let shift = u32::from(i > 0);
            self.planes[i].get((y >> shift) as usize * self.stride(i) + (x >> shift) as usize).copied().unwrap_or(0)
        };
        [sample(0), sample(1), sample(2)]
    }

    /// A hash of the picture (XXH3, 64 bits). Takes some 0.2 ms for 1920 × 1080.
    pub fn digest(&self) -> u64 {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        hash.update(&self.width.to_le_bytes());
        hash.update(&self.height.to_le_bytes());
        self.planes.iter().for_each(|plane| hash.update(plane));
        hash.digest()
    }

    /// Columns and rows of a plane without its padding.
    fn shown_size(&self, i: usize) -> (usize, usize) {
        match i {
            0 => (self.width as usize, self.height as usize),
            _ => (self.stride(i), self.rows(i)),
        }
    }

    /// Its planes.
    pub fn planes(&self) -> Planes<'_> {
        Planes {
            width: self.stride(0),
            height: self.rows(0),
            samples: self.planes.each_ref().map(Vec::as_slice),
            strides: [0, 1, 2].map(|i| self.stride(i)),
            colour: self.colour,
        }
    }

    /// The same picture in the colour encoding of JPEG.
    pub fn into_jpeg_colour(mut self) -> Self {
        if self.colour != Colour::JPEG {
            let mut planes = Default::default();
            convert(&self.planes(), &mut planes);
            self.planes = planes;
            self.colour = Colour::JPEG;
        }
        self
    }

    /// Removes the colours.
    pub(super) fn make_gray(&mut self) {
        self.planes[1].fill(128);
        self.planes[2].fill(128);
    }

    /// Encodes the picture as JPEG with 4:2:0 chroma. Takes some 5 ms for 1920 × 1080: call it on a blocking thread.
    pub fn to_jpeg(&self, quality: u8) -> Result<Bytes> {
        let mut writer = JpegWriter::new(i32::from(quality))?;
        writer.write_sized(&self.planes(), (self.width as usize, self.height as usize)).map(Bytes::from)
    }

    /// Encodes the luma alone.
    pub(super) fn to_gray_jpeg(&self, quality: u8) -> Result<Bytes> {
        let encode = || {
            let mut encoder = Compressor::new()?;
            encoder.set_quality(i32::from(quality))?;
            encoder.set_subsamp(Subsamp::Gray)?;
            encoder.compress_to_vec(Image {
                pixels: &self.planes[0][..],
                width: self.width as usize,
                pitch: self.stride(0),
                height: self.height as usize,
                format: PixelFormat::GRAY,
            })
        };
        encode().map(Bytes::from).map_err(|e| Error::internal("the picture cannot be encoded as JPEG", e))
    }

    /// The picture, or its middle, in another size. Takes some 1.5 ms from 1920 × 1080 to 640 × 360.
    pub(super) fn scaled(&self, shown: Shown, (width, height): (u32, u32)) -> Result<Self> {
        let mut made = Raster { width, height, planes: Default::default(), colour: self.colour };
        let mut resizer = Resizer::new();
        for i in 0..3 {
            let wrong = |e: &dyn std::fmt::Display| Error::internal("the picture cannot be scaled", e.to_string());
            let (columns, rows) = made.shown_size(i);
            let shift = u32::from(i > 0);
            let half = |(begin, length): (u32, u32)| (begin >> shift, length.div_ceil(1 << shift));
            let ((left, width), (top, height)) = (half(cut(self.width, shown.0)), half(cut(self.height, shown.1)));
            let from = ImageRef::new(self.stride(i) as u32, self.rows(i) as u32, &self.planes[i], PixelType::U8);
            let from = from.map_err(|e| wrong(&e))?;
            let from = CroppedImage::new(&from, left, top, width, height).map_err(|e| wrong(&e))?;
            let mut to = Plane::new(columns as u32, rows as u32, PixelType::U8);
            resizer.resize(&from, &mut to, &smooth()).map_err(|e| wrong(&e))?;
            made.planes[i] = match (made.stride(i), made.rows(i)) == (columns, rows) {
                true => to.into_vec(),
                false => padded(to.buffer().chunks(columns), made.stride(i), made.rows(i)),
            };
        }
        Ok(made)
    }

    /// A cut at a position in pixels. Position and size are moved to even numbers, and into the picture.
    pub fn cut(&self, left: u32, top: u32, width: u32, height: u32) -> Self {
        let (left, top) = ((left & !1).min((self.width - 1) & !1), (top & !1).min((self.height - 1) & !1));
        let (width, height) = (width.clamp(1, self.width - left), height.clamp(1, self.height - top));
        let mut made = Raster { width, height, planes: Default::default(), colour: self.colour };
        for i in 0..3 {
            let shift = u32::from(i > 0);
            let (x, y) = ((left >> shift) as usize, (top >> shift) as usize);
            let (columns, rows) = made.shown_size(i);
            let from = self.planes[i].chunks(self.stride(i)).skip(y).take(rows);
            made.planes[i] = padded(from.map(|row| &row[x..x + columns]), made.stride(i), made.rows(i));
        }
        made
    }

    /// Turned clockwise by quarter turns, and then mirrored left to right.
    pub(super) fn turned(&self, quarters: u8, mirrored: bool) -> Self {
        let (width, height) = if quarters % 2 == 1 { (self.height, self.width) } else { (self.width, self.height) };
        let mut made = Raster { width, height, planes: Default::default(), colour: self.colour };
        for i in 0..3 {
            let (columns, rows) = made.shown_size(i);
            let (from_columns, from_rows) = self.shown_size(i);
            let (from, stride) = (&self.planes[i], self.stride(i));
            let turned = (0..rows).flat_map(|y| {
                (0..columns).map(move |x| {
                    let x = if mirrored { columns - 1 - x } else { x };
                    let (from_x, from_y) = match quarters % 4 {
                        0 => (x, y),
                        1 => (y, from_rows - 1 - x),
                        2 => (from_columns - 1 - x, from_rows - 1 - y),
                        _ => (from_columns - 1 - y, x),
                    };
                    from[from_y * stride + from_x]
                })
            });
            let turned: Vec<_> = turned.collect();
            made.planes[i] = padded(turned.chunks(columns), made.stride(i), made.rows(i));
        }
        made
    }

    /// Copies another picture onto this one; its left upper corner is moved to even numbers. What lies outside is left out.
    /// Both have the colour encoding of JPEG.
    pub fn put(&mut self, other: &Raster, left: u32, top: u32) {
        for i in 0..3 {
            let shift = u32::from(i > 0);
            let (x, y) = (((left & !1) >> shift) as usize, ((top & !1) >> shift) as usize);
            let (stride, rows) = (self.stride(i), self.rows(i));
            if x >= stride || y >= rows {
                continue;
            }
            let (columns, other_rows) = other.shown_size(i);
            let columns = columns.min(stride - x);
            let from = other.planes[i].chunks(other.stride(i)).take(other_rows);
            for (to, from) in self.planes[i].chunks_mut(stride).skip(y).zip(from) {
                to[x..x + columns].copy_from_slice(&from[..columns]);
            }
        }
    }
}

impl std::fmt::Debug for Raster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raster {}×{}, {:?}", self.width, self.height, self.colour)
    }
}

/// Rows, each continued with its last sample, and the last row repeated.
fn padded<'a>(from: impl Iterator<Item = &'a [u8]>, stride: usize, rows: usize) -> Vec<u8> {
    let mut samples = Vec::with_capacity(stride * rows);
    for row in from.take(rows) {
        let row = &row[..row.len().min(stride)];
        samples.extend_from_slice(row);
        let last = row.last().copied().unwrap_or(128);
        samples.resize(samples.len() + stride - row.len(), last);
    }
    if samples.is_empty() {
        samples.resize(stride, 128);
    }
    while samples.len() < stride * rows {
        samples.extend_from_within(samples.len() - stride..);
    }
    samples
}

/// Chroma of another resolution, reduced or repeated to half the width and height.
fn subsampled(plane: &SourcePlane, columns: usize, rows: usize) -> Vec<u8> {
    let (across, down) = plane.per_sample;
    // The samples of two pixels: one, or two where each pixel has its own.
    let pair = |at: usize, per_sample: usize, last: usize| {
        let first = (2 * at / per_sample).min(last - 1);
        [first, ((2 * at + 1) / per_sample).min(last - 1)]
    };
    let mut made = Vec::with_capacity(columns * rows);
    for y in 0..rows {
        let [upper, lower] = pair(y, down, plane.rows).map(|row| &plane.samples[row * plane.stride..][..plane.stride]);
        if across == 2 {
            let both = upper.iter().zip(lower).take(columns);
            made.extend(both.map(|(a, b)| (u16::from(*a) + u16::from(*b)).div_ceil(2) as u8));
            continue;
        }
        made.extend((0..columns).map(|x| {
            let [left, right] = pair(x, across, plane.stride);
            let sum = [upper[left], upper[right], lower[left], lower[right]].map(u16::from).iter().sum::<u16>();
            ((sum + 2) / 4) as u8
        }));
    }
    made
}

/// The middle of a side of `size` pixels: where it begins, and its length, both in even pixels so that chroma is cut at the same place.
///
/// It is cut out before it is scaled. With a cut in fractions of a pixel, or one that fast_image_resize makes itself, fast_image_resize 6.1
/// can read outside of its buffers: it leaves coefficients that are zero out of the range of the first and of the last output pixel,
/// and takes these two for the limits of all (resizer.rs, `x_first` and `x_last`). Without a cut the first range begins at pixel 0 and
/// the last one ends behind the last pixel, because the filter is not zero within half a pixel.
pub(super) fn cut(size: u32, shown: f64) -> (u32, u32) {
    if shown >= 1.0 {
        return (0, size);
    }
    let length = 2 * (f64::from(size) * shown / 2.0).round().max(1.0) as u32;
    let length = length.min(size);
    (((size - length) / 2) & !1, length)
}

/// Catmull-Rom is sharp without halos, for reduction and enlargement.
pub(super) fn smooth() -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
}

#[cfg(test)]
mod tests;
