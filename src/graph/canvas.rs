//! [`Canvas`]: the planes of a JPEG with 4:2:0 chroma, and drawing into them.

use std::{ops::Range, time::SystemTime};

use super::colour::Colour;
use crate::{
    error::{Error, Result},
    picture::{Colour as Coding, JpegWriter, Matrix, Picture, Planes, text::Mask},
};

/// Parts of a pixel column for which a shape has an interval of its own.
pub(super) const SUB: usize = 4;

/// Pixel columns that are drawn at a time. The compiler makes vector instructions of loops of this length.
const BLOCK: usize = 32;

/// Y, Cb and Cr with their sizes.
pub struct Canvas {
    width: usize,
    height: usize,
    planes: [Vec<u8>; 3],
    /// The covers of the pixels of a block, row by row; zero between two calls.
    covers: Vec<[f32; BLOCK]>,
}

/// An interval of rows for each part of a pixel column, from top to bottom. Empty where the top is not above the bottom.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans {
    pub(super) top: Vec<f32>,
    pub(super) bottom: Vec<f32>,
}

impl Canvas {
    /// A canvas of one colour. Both sides are even.
    pub(super) fn new(width: usize, height: usize, ground: Colour) -> Self {
        let [y, u, v] = ground.ycbcr();
        let (all, half) = (width * height, (width / 2) * (height / 2));
        let planes = [vec![y; all], vec![u; half], vec![v; half]];
        Canvas { width, height, planes, covers: vec![[0.0; BLOCK]; height + 2] }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Luma of a pixel.
    pub fn luma(&self, x: usize, y: usize) -> u8 {
        self.planes[0].get(y * self.width + x).copied().unwrap_or_default()
    }

    /// Fills a rectangle whose edges can be between two pixels. `opacity` is from 0 to 1.
    pub(super) fn fill(&mut self, x: Range<f32>, y: Range<f32>, colour: Colour, opacity: f32) {
        let left = x.start.max(0.0).floor() as usize;
        let right = (x.end.min(self.width as f32).ceil().max(0.0)) as usize;
        if left >= right || x.start >= x.end {
            return;
        }
        let count = (right - left) * SUB;
        let part = 1.0 / SUB as f32;
        let covered = |i: usize| {
            let at = left as f32 + (i as f32 + 0.5) * part;
            x.start <= at && at < x.end
        };
        let top: Vec<f32> = (0..count).map(|i| if covered(i) { y.start } else { f32::MAX }).collect();
        let all = 0.0..self.height as f32;
        self.spans(left, &Spans { bottom: vec![y.end; top.len()], top }, all, colour, opacity);
    }

    /// Draws a shape whose first part belongs to the pixel column `left`, within these rows.
    pub(super) fn spans(&mut self, left: usize, spans: &Spans, rows: Range<f32>, colour: Colour, opacity: f32) {
        let columns = (spans.top.len() / SUB).min(self.width.saturating_sub(left));
        let rows = rows.start.max(0.0)..rows.end.min(self.height as f32);
        let ink = colour.ycbcr();
        let mut begin = left / BLOCK * BLOCK;
        while begin < left + columns {
            let mut used = self.height..0;
            for x in begin.max(left)..(begin + BLOCK).min(left + columns) {
                for i in (x - left) * SUB..(x - left + 1) * SUB {
                    let (top, bottom) = (spans.top[i].max(rows.start), spans.bottom[i].min(rows.end));
                    if top < bottom {
                        self.cover(x - begin, top, bottom);
                        used = used.start.min(top as usize)..used.end.max(bottom as usize + 1);
                    }
                }
            }
            if !used.is_empty() {
                self.blend(begin, used, ink, opacity / SUB as f32);
            }
            begin += BLOCK;
        }
    }

    /// Notes an interval by the changes at its ends, so that its length costs nothing here.
    fn cover(&mut self, column: usize, top: f32, bottom: f32) {
        for (edge, sign) in [(top, 1.0), (bottom, -1.0)] {
            let (row, part) = (edge as usize, edge.fract());
            self.covers[row][column] += sign * (1.0 - part);
            self.covers[row + 1][column] += sign * part;
        }
    }

    /// Sums the changes up to covers, and draws with them. Clears them.
    fn blend(&mut self, begin: usize, rows: Range<usize>, [y, u, v]: [u8; 3], opacity: f32) {
        let columns = BLOCK.min(self.width - begin);
        // Chroma has half of the rows.
        let rows = (rows.start & !1)..((rows.end + 1) & !1).min(self.height);
        let mut sum = [0.0_f32; BLOCK];
        let mut pair = [0.0_f32; BLOCK];
        for row in rows.clone() {
            let changes = &mut self.covers[row];
            for (sum, change) in sum.iter_mut().zip(changes.iter()) {
                *sum += change;
            }
            *changes = [0.0; BLOCK];
            let luma = &mut self.planes[0][row * self.width + begin..][..columns];
            for (pixel, sum) in luma.iter_mut().zip(&sum) {
                *pixel = mixed(*pixel, y, sum * opacity);
            }
            for (pair, sum) in pair.iter_mut().zip(&sum) {
                *pair += sum;
            }
            if row % 2 == 1 {
                let at = row / 2 * (self.width / 2) + begin / 2;
                let halves = pair.chunks_exact(2).map(|two| (two[0] + two[1]) * opacity / 4.0);
                let [_, cb, cr] = &mut self.planes;
                let chroma = cb[at..].iter_mut().zip(&mut cr[at..]).take(columns / 2);
                for ((cb, cr), cover) in chroma.zip(halves) {
                    *cb = mixed(*cb, u, cover);
                    *cr = mixed(*cr, v, cover);
                }
                pair = [0.0; BLOCK];
            }
        }
        // The end of an interval on the last row is noted behind it.
        for row in rows.end..(rows.end + 2).min(self.covers.len()) {
            self.covers[row] = [0.0; BLOCK];
        }
    }

    /// Draws a mask whose origin is at this pixel.
    pub(super) fn mask(&mut self, mask: &Mask, x: i32, y: i32, colour: Colour) {
        let (left, top) = (x + mask.left, y + mask.top);
        let [luma, u, v] = colour.ycbcr();
        let cover = |x: i32, y: i32| {
            let (Ok(column), Ok(row)) = (usize::try_from(x - left), usize::try_from(y - top)) else { return 0.0 };
            match column < mask.width && row < mask.height {
                true => f32::from(mask.alpha[row * mask.width + column]) / 255.0,
                false => 0.0,
            }
        };
        let clip = |from: i32, length: usize, most: usize| {
            let end = from.saturating_add(i32::try_from(length).unwrap_or(i32::MAX));
            from.max(0)..end.min(i32::try_from(most).unwrap_or(i32::MAX))
        };
        let (columns, rows) = (clip(left, mask.width, self.width), clip(top, mask.height, self.height));
        for y in rows.clone() {
            for x in columns.clone() {
                let pixel = &mut self.planes[0][y as usize * self.width + x as usize];
                *pixel = mixed(*pixel, luma, cover(x, y));
            }
        }
        for y in (rows.start & !1..rows.end).step_by(2) {
            for x in (columns.start & !1..columns.end).step_by(2) {
                let four = cover(x, y) + cover(x + 1, y) + cover(x, y + 1) + cover(x + 1, y + 1);
                let at = y as usize / 2 * (self.width / 2) + x as usize / 2;
                for (plane, ink) in [(1, u), (2, v)] {
                    let sample = &mut self.planes[plane][at];
                    *sample = mixed(*sample, ink, four / 4.0);
                }
            }
        }
    }

    /// The picture as JPEG.
    pub(super) fn encode(&self, quality: i32, at: SystemTime) -> Result<Picture> {
        let planes = Planes {
            width: self.width,
            height: self.height,
            samples: self.planes.each_ref().map(Vec::as_slice),
            strides: [self.width, self.width / 2, self.width / 2],
            colour: Coding { matrix: Matrix::Bt601, full_range: true },
        };
        let jpeg = JpegWriter::new(quality)?.write(&planes)?.into();
        Ok(Picture { jpeg, width: self.width as u32, height: self.height as u32, captured_at: at })
    }
}

/// The picture of two drawings of the same things on black and on white, as a PNG with transparency.
pub(super) fn transparent(black: &Canvas, white: &Canvas) -> Result<Vec<u8>> {
    let mut rgba = Vec::with_capacity(4 * black.planes[0].len());
    for (i, (on_black, on_white)) in black.planes[0].iter().zip(&white.planes[0]).enumerate() {
        let cover = 255 - on_white.saturating_sub(*on_black);
        let at = i / black.width / 2 * (black.width / 2) + i % black.width / 2;
        let sample = |plane: usize| f32::from(black.planes[plane].get(at).copied().unwrap_or(128)) - 128.0;
        let (y, u, v) = (f32::from(*on_black), sample(1), sample(2));
        // On black, a colour is as strong as it covers.
        let factor = 255.0 / f32::from(cover.max(1));
        let rgb = [y + 1.402 * v, y - 0.344 * u - 0.714 * v, y + 1.772 * u];
        rgba.extend(rgb.map(|value| (value * factor).round().clamp(0.0, 255.0) as u8));
        rgba.push(cover);
    }
    let mut png = vec![];
    let encoder = image::codecs::png::PngEncoder::new_with_quality(
        &mut png,
        image::codecs::png::CompressionType::Fast,
        image::codecs::png::FilterType::Up,
    );
    let (width, height) = (black.width as u32, black.height as u32);
    image::ImageEncoder::write_image(encoder, &rgba, width, height, image::ExtendedColorType::Rgba8)
        .map_err(|e| Error::internal("the picture cannot be encoded as PNG", e))?;
    Ok(png)
}

fn mixed(under: u8, ink: u8, cover: f32) -> u8 {
    let under = f32::from(under);
    (under + (f32::from(ink) - under) * cover.clamp(0.0, 1.0) + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: Colour = Colour([0; 3]);
    const WHITE: Colour = Colour([255; 3]);

    fn rectangle(x: Range<f32>, y: Range<f32>) -> Canvas {
        let mut canvas = Canvas::new(100, 60, BLACK);
        canvas.fill(x, y, WHITE, 1.0);
        canvas
    }

    #[test]
    fn a_pixel_is_as_bright_as_it_is_covered() {
        let canvas = rectangle(10.5..70.0, 20.25..22.5);
        for (x, y, expected) in [
            (9, 21, 0),
            (10, 21, 128),
            (11, 21, 255),
            (69, 21, 255),
            (70, 21, 0),
            (40, 19, 0),
            (40, 20, 191),
            (40, 22, 128),
            (40, 23, 0),
        ] {
            assert_eq!(canvas.luma(x, y), expected, "{x} {y}");
        }
        assert!(canvas.covers.iter().flatten().all(|cover| *cover == 0.0), "nothing is left for the next shape");
    }

    #[test]
    fn a_shape_ends_at_the_edges() {
        for (x, y) in [
            (-50.0..200.0, -10.0..100.0),
            (90.0..110.0, 50.0..60.0),
            (f32::MIN..f32::MAX, 59.5..f32::MAX),
            (5.0..5.0, 1.0..2.0),
            (7.0..3.0, 1.0..2.0),
        ] {
            let canvas = rectangle(x.clone(), y.clone());
            assert!(canvas.covers.iter().flatten().all(|cover| *cover == 0.0), "{x:?} {y:?}");
        }
        assert_eq!(rectangle(-50.0..200.0, -10.0..100.0).luma(99, 59), 255);
    }

    #[test]
    fn chroma_has_the_mean_of_four_pixels() {
        let mut canvas = Canvas::new(8, 8, BLACK);
        canvas.fill(2.0..3.0, 2.0..4.0, Colour([255, 0, 0]), 1.0);
        let red = Colour([255, 0, 0]).ycbcr();
        let half = |ink: u8| (128 + i32::from(ink)) / 2;
        assert!(i32::from(canvas.planes[2][5]).abs_diff(half(red[2])) <= 1, "{}", canvas.planes[2][5]);
        assert_eq!(canvas.planes[2][4], 128);
    }
}
