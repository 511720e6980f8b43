//! [`Line`]: a line of text, laid out; and [`Mask`], how much of each pixel it covers.

use std::sync::Arc;

use super::glyphs::Glyph;

/// A line of text, laid out. Positions are relative to the beginning of its baseline.
#[derive(Clone, Debug)]
pub struct Line {
    /// Width in pixels: the sum of the advances.
    pub width: f32,
    /// From the top of the line to the baseline, in pixels.
    pub ascent: f32,
    /// From the baseline to the bottom of the line, in pixels.
    pub descent: f32,
    pub(super) glyphs: Vec<Placed>,
}

#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) glyph: Arc<Glyph>,
}

/// How much of each pixel is covered, from 0 to 255, row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// From the beginning of the baseline to the left column.
    pub left: i32,
    /// From the baseline to the top row; usually negative.
    pub top: i32,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The covers.
    pub alpha: Vec<u8>,
}

impl Line {
    /// Calls `put` with column, row and cover (1 to 255) of each pixel of a line whose baseline begins at this pixel. Pixels that
    /// two glyphs cover are given twice.
    pub fn draw(&self, x: i32, baseline: i32, mut put: impl FnMut(i32, i32, u8)) {
        for placed in &self.glyphs {
            let glyph = &placed.glyph;
            for (row, covers) in glyph.alpha.chunks_exact(glyph.width).enumerate() {
                for (column, cover) in covers.iter().enumerate().filter(|(_, cover)| **cover > 0) {
                    put(x + placed.x + column as i32, baseline + placed.y + row as i32, *cover);
                }
            }
        }
    }

    /// One mask of all glyphs; empty for a line without visible characters.
    pub fn mask(&self) -> Mask {
        let height = |placed: &Placed| (placed.glyph.alpha.len() / placed.glyph.width.max(1)) as i32;
        let of = |side: fn(&Placed) -> i32| self.glyphs.iter().map(side);
        let (Some(left), Some(top)) = (of(|p| p.x).min(), of(|p| p.y).min()) else { return Mask::default() };
        let right = of(|p| p.x + p.glyph.width as i32).max().unwrap_or(left);
        let bottom = self.glyphs.iter().map(|placed| placed.y + height(placed)).max().unwrap_or(top);
        let (width, height) = ((right - left) as usize, (bottom - top) as usize);
        let mut alpha = vec![0_u8; width * height];
        self.draw(-left, -top, |x, y, cover| {
            if let Some(pixel) = alpha.get_mut(y as usize * width + x as usize) {
                *pixel = (*pixel).max(cover);
            }
        });
        Mask { left, top, width, height, alpha }
    }
}
