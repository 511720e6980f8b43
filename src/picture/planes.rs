//! Encodes decoded video as JPEG, from planes to planes, without a conversion to RGB.
//!
//! A JPEG is YCbCr of full range with the matrix of BT.601 (JFIF 1.02). Video usually has the limited range and, from 720
//! lines on, the matrix of BT.709. The conversion is linear in the three samples of a pixel, so it works on the planes as
//! they are coded.

use std::sync::LazyLock;

use turbojpeg::{Compressor, Subsamp, YuvPlanesImage};

use crate::error::{Error, Result};

/// The weights of red, green and blue in luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// BT.601, BT.470, SMPTE 170M: standard definition, and JPEG.
    Bt601,
    /// BT.709: high definition.
    Bt709,
    /// BT.2020.
    Bt2020,
}

/// How the samples of a video encode colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// The weights of luma.
    pub matrix: Matrix,
    /// Whether black is 0 and white 255, instead of 16 and 235.
    pub full_range: bool,
}

impl Colour {
    /// That of JPEG (JFIF 1.02).
    pub const JPEG: Colour = Colour { matrix: Matrix::Bt601, full_range: true };

    /// The colour encoding that players assume when a stream does not declare one: limited range, and BT.709 from
    /// 720 lines on.
    pub fn usual(height: usize) -> Self {
        Colour { matrix: if height >= 720 { Matrix::Bt709 } else { Matrix::Bt601 }, full_range: false }
    }
}

/// A decoded picture with 4:2:0 chroma: planes Y, U and V, with rows `strides` bytes apart.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    /// Width in pixels, even.
    pub width: usize,
    /// Height in pixels, even.
    pub height: usize,
    /// Y, U, V.
    pub samples: [&'a [u8]; 3],
    /// Bytes from one row to the next.
    pub strides: [usize; 3],
    /// How the samples encode colour.
    pub colour: Colour,
}

/// Encodes decoded pictures as JPEG. Reuses its memory from one picture to the next.
pub struct JpegWriter {
    compressor: Compressor,
    /// Planes after conversion, without padding.
    converted: [Vec<u8>; 3],
}

impl JpegWriter {
    /// A writer for JPEGs of this quality, 1 to 100.
    pub fn new(quality: i32) -> Result<Self> {
        let make = || {
            let mut compressor = Compressor::new()?;
            compressor.set_quality(quality)?;
            Ok(compressor)
        };
        Ok(JpegWriter { compressor: make().map_err(failed)?, converted: Default::default() })
    }

    /// Encodes a picture. Takes some 8 ms for 1920 × 1080: call it on a blocking thread.
    pub fn write(&mut self, picture: &Planes<'_>) -> Result<Vec<u8>> {
        self.write_sized(picture, (picture.width, picture.height))
    }

    /// As [`JpegWriter::write`], for planes with a padding: the picture has this width and height.
    pub fn write_sized(&mut self, picture: &Planes<'_>, (width, height): (usize, usize)) -> Result<Vec<u8>> {
        let as_is = picture.colour == Colour::JPEG;
        let (samples, strides) = if as_is {
            (picture.samples, picture.strides)
        } else {
            convert(picture, &mut self.converted);
            let half = picture.width / 2;
            (self.converted.each_ref().map(Vec::as_slice), [picture.width, half, half])
        };
        let image = YuvPlanesImage {
            y_plane: samples[0],
            u_plane: samples[1],
            v_plane: samples[2],
            width,
            height,
            y_stride: strides[0],
            u_stride: strides[1],
            v_stride: strides[2],
            subsamp: Subsamp::Sub2x2,
        };
        self.compressor.compress_yuv_planes_to_vec(&image).map_err(failed)
    }
}

fn failed(e: turbojpeg::Error) -> Error {
    Error::internal("the picture cannot be encoded as JPEG", e)
}

/// The parts of the chroma samples of a pixel (minus 128) in luma, Cb and Cr, in 1/65536.
#[derive(Clone, Copy)]
struct Weights {
    luma: [i32; 2],
    cb: [i32; 2],
    cr: [i32; 2],
}

impl Weights {
    /// Converts from the matrix with these weights of red and blue to the matrix of JPEG (BT.601), through the
    /// colour differences R - Y = 2 (1 - Kr) Pr and B - Y = 2 (1 - Kb) Pb; G follows from Y.
    fn new(kr: f64, kb: f64, full_range: bool) -> Self {
        const JPEG: (f64, f64) = (0.299, 0.114);
        let kg = 1.0 - kr - kb;
        let (blue, red) = (2.0 * (1.0 - kb), 2.0 * (1.0 - kr));
        let (jpeg_kr, jpeg_kb) = JPEG;
        let jpeg_kg = 1.0 - jpeg_kr - jpeg_kb;
        let from_pb = blue * (jpeg_kb - jpeg_kg * kb / kg);
        let from_pr = red * (jpeg_kr - jpeg_kg * kr / kg);
        let (to_cb, to_cr) = (2.0 * (1.0 - jpeg_kb), 2.0 * (1.0 - jpeg_kr));
        let scale = 65536.0 * if full_range { 1.0 } else { 255.0 / 224.0 };
        let fixed = |value: f64| (value * scale).round() as i32;
        Weights {
            luma: [fixed(from_pb), fixed(from_pr)],
            cb: [fixed((blue - from_pb) / to_cb), fixed(-from_pr / to_cb)],
            cr: [fixed(-from_pb / to_cr), fixed((red - from_pr) / to_cr)],
        }
    }

    fn of(colour: Colour) -> Self {
        static ALL: LazyLock<[Weights; 6]> = LazyLock::new(|| {
            let of =
                |full| [(0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)].map(|(kr, kb)| Weights::new(kr, kb, full));
            let ([a, b, c], [d, e, f]) = (of(false), of(true));
            [a, b, c, d, e, f]
        });
        ALL[colour.matrix as usize + 3 * usize::from(colour.full_range)]
    }
}

/// Converts the planes to the range and matrix of JPEG.
pub(super) fn convert(picture: &Planes<'_>, to: &mut [Vec<u8>; 3]) {
    let (width, height) = (picture.width & !1, picture.height & !1);
    let weights = Weights::of(picture.colour);
    let [to_y, to_cb, to_cr] = to;
    to_y.resize(width * height, 0);
    to_cb.resize(width * height / 4, 0);
    to_cr.resize(width * height / 4, 0);
    let half = width / 2;
    // The part of chroma in each pixel of two rows of luma.
    let mut added = vec![0_i16; width];
    for row in 0..height / 2 {
        let line = |plane: usize| &picture.samples[plane][row * picture.strides[plane]..][..half];
        let (u, v) = (line(1), line(2));
        let (cb, cr) = (&mut to_cb[row * half..][..half], &mut to_cr[row * half..][..half]);
        for ((u, v), (cb, cr)) in u.iter().zip(v).zip(cb.iter_mut().zip(cr)) {
            let (u, v) = (i32::from(*u) - 128, i32::from(*v) - 128);
            let sum = |[of_u, of_v]: [i32; 2]| (128 * 65536 + 32768 + of_u * u + of_v * v) >> 16;
            *cb = sum(weights.cb).clamp(0, 255) as u8;
            *cr = sum(weights.cr).clamp(0, 255) as u8;
        }
        let is_mixed = weights.luma != [0, 0];
        if is_mixed {
            for ((u, v), added) in u.iter().zip(v).zip(added.chunks_exact_mut(2)) {
                let (u, v) = (i32::from(*u) - 128, i32::from(*v) - 128);
                added.fill(((weights.luma[0] * u + weights.luma[1] * v + 32768) >> 16) as i16);
            }
        }
        for row in [2 * row, 2 * row + 1] {
            let from = &picture.samples[0][row * picture.strides[0]..][..width];
            let to = &mut to_y[row * width..][..width];
            match (picture.colour.full_range, is_mixed) {
                (true, false) => to.copy_from_slice(from),
                (false, false) => from.iter().zip(to).for_each(|(y, to)| *to = expand(*y).min(255) as u8),
                (true, true) => mix(from, &added, to, i16::from),
                (false, true) => mix(from, &added, to, |y| expand(y) as i16),
            }
        }
    }
}

/// From 16…235 to 0…255. Calculates in 1/128, so that values fit 16 bits and the code vectorises. At most 278.
fn expand(limited: u8) -> u16 {
    (u16::from(limited.saturating_sub(16)) * 149 + 64) >> 7
}

fn mix(from: &[u8], added: &[i16], to: &mut [u8], luma: impl Fn(u8) -> i16) {
    for ((y, added), to) in from.iter().zip(added).zip(to) {
        *to = (luma(*y) + added).clamp(0, 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use turbojpeg::PixelFormat;

    use super::*;

    /// The samples of a colour with a matrix, by definition.
    fn coded(rgb: [u8; 3], colour: Colour) -> [u8; 3] {
        let (kr, kb) = match colour.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
        };
        let [r, g, b] = rgb.map(|c| f64::from(c) / 255.0);
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let (pb, pr) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
        let [black, luma, chroma] = if colour.full_range { [0.0, 255.0, 255.0] } else { [16.0, 219.0, 224.0] };
        [black + luma * y, 128.0 + chroma * pb, 128.0 + chroma * pr].map(|s| s.round() as u8)
    }

    #[test]
    fn colours_are_preserved_for_every_matrix_and_range() {
        let colours = [
            [0, 0, 0],
            [255, 255, 255],
            [128, 128, 128],
            [255, 0, 0],
            [0, 255, 0],
            [0, 0, 255],
            [40, 90, 210],
            [230, 180, 20],
        ];
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            for full_range in [false, true] {
                for rgb in colours {
                    let colour = Colour { matrix, full_range };
                    let [y, u, v] = coded(rgb, colour);
                    // Rows are longer than the picture; the padding has other values.
                    let (y, u, v) =
                        ([[y; 34].as_slice(), &[255; 6]].concat().repeat(18), vec![u; 20 * 9], vec![v; 20 * 9]);
                    let planes = Planes { width: 34, height: 18, samples: [&y, &u, &v], strides: [40, 20, 20], colour };
                    let jpeg = JpegWriter::new(95).expect("made").write(&planes).expect("encoded");
                    let decoded = turbojpeg::decompress(&jpeg, PixelFormat::RGB).expect("decodes");
                    assert_eq!((decoded.width, decoded.height), (34, 18));
                    for pixel in decoded.pixels.chunks_exact(3) {
                        let error = (0..3).map(|i| pixel[i].abs_diff(rgb[i])).max().expect("three");
                        assert!(error <= 4, "{colour:?}: {pixel:?} for {rgb:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_usual_colour_encoding_depends_on_the_size() {
        assert_eq!(Colour::usual(576), Colour { matrix: Matrix::Bt601, full_range: false });
        assert_eq!(Colour::usual(1080), Colour { matrix: Matrix::Bt709, full_range: false });
    }
}
