//! [`Block`]: the lines of a text on pictures of one size, ready to be blended.

use super::{
    blend::{Stamp, fill},
    overlay::Text,
    settings::Place,
};
use crate::picture::{
    raster::Raster,
    text::{Fonts, Mask},
};

/// Most lines of a text.
const MAX_LINES: usize = 20;

/// Free space between a text or an image at an edge and the edge, as a part of the picture's height.
pub(super) const MARGIN: f64 = 0.02;

/// Largest part of the width that a text takes; a longer one is drawn smaller.
const MAX_WIDTH: f32 = 0.96;

/// A text for pictures of one size.
#[derive(Debug, Default)]
pub(super) struct Block {
    letters: Stamp,
    outline: Option<Stamp>,
    /// Left upper corner and size of the background.
    ground: ((i32, i32), (u32, u32)),
}

impl Block {
    pub(super) fn new(text: &Text, words: &str, fonts: &Fonts, (width, height): (u32, u32)) -> Self {
        let lines: Vec<&str> = words.lines().take(MAX_LINES).collect();
        let mut size = (text.size / 100.0 * f64::from(height)) as f32;
        let widest = |size| lines.iter().map(|line| fonts.width(text.face, size, line)).fold(0.0, f32::max);
        let room = width as f32 * MAX_WIDTH - size * if text.background.is_some() { 0.6 } else { 0.0 };
        let natural = widest(size);
        if natural > room {
            size *= (room / natural).max(0.0);
        }
        let size = size.max(4.0);
        let padding = if text.background.is_some() { (size * 0.3).round() as i32 } else { 0 };
        let inner = (widest(size).ceil() as i32, (size * lines.len() as f32).ceil() as i32);
        if words.trim().is_empty() {
            return Block::default();
        }
        let outer = (inner.0 + 2 * padding, inner.1 + padding);
        let (left, top) = place(text.place, outer, (width, height));
        let aligned = match text.place {
            Place::Word(word) => word.parts().0,
            Place::Point(_) => 0.0,
        };
        let letters = letters(text, &lines, fonts, size, inner, aligned);
        let (x, y) = (left + padding, top + padding / 2);
        let around = (size / 14.0).round().max(1.0) as usize;
        let outline = text.outline.map(|_| {
            let wide = widened(&letters, around);
            Stamp::new(&wide, x + letters.left - around as i32, y + letters.top - around as i32)
        });
        let ground = ((left, top), (outer.0.max(0) as u32, outer.1.max(0) as u32));
        Block { letters: Stamp::new(&letters, x + letters.left, y + letters.top), outline, ground }
    }

    pub(super) fn draw(&self, on: &mut Raster, text: &Text) {
        if let Some(ink) = text.background {
            fill(on, self.ground.0, self.ground.1, ink);
        }
        if let (Some(ink), Some(outline)) = (text.outline, &self.outline) {
            outline.draw(on, ink);
        }
        self.letters.draw(on, text.ink);
    }
}

/// One mask of all lines, whose position is relative to the left upper corner of the text. `aligned` is 0 for lines that begin at the left, 1
/// for lines that end at the right.
fn letters(text: &Text, lines: &[&str], fonts: &Fonts, size: f32, (width, height): (i32, i32), aligned: f64) -> Mask {
    // Glyphs can be a little wider than their advance, and accents higher than a line.
    let beside = (size / 2.0).ceil() as i32;
    let (columns, rows) = ((width + 2 * beside).max(0) as usize, (height + 2 * beside).max(0) as usize);
    let mut alpha = vec![0_u8; columns * rows];
    for (i, line) in lines.iter().enumerate() {
        let line = fonts.line(text.face, size, line);
        let free = f64::from(width) - f64::from(line.width);
        let x = beside + (free * aligned).round() as i32;
        let baseline = beside as f32 + size * i as f32 + line.ascent;
        line.draw(x, baseline.round() as i32, |x, y, cover| {
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
            if x < columns
                && let Some(pixel) = alpha.get_mut(y * columns + x)
            {
                *pixel = (*pixel).max(cover);
            }
        });
    }
    Mask { left: -beside, top: -beside, width: columns, height: rows, alpha }
}

/// The mask with everything within `by` pixels of it, and as much more room on each side.
fn widened(mask: &Mask, by: usize) -> Mask {
    let (width, height) = (mask.width + 2 * by, mask.height + 2 * by);
    let mut rows = vec![0_u8; width * mask.height];
    for (to, from) in rows.chunks_mut(width.max(1)).zip(mask.alpha.chunks(mask.width.max(1))) {
        for (x, cover) in from.iter().enumerate().filter(|(_, cover)| **cover > 0) {
            to[x..=x + 2 * by].iter_mut().for_each(|pixel| *pixel = (*pixel).max(*cover));
        }
    }
    let mut alpha = vec![0_u8; width * height];
    for (y, from) in rows.chunks(width.max(1)).enumerate() {
        for to in alpha.chunks_mut(width.max(1)).skip(y).take(2 * by + 1) {
            to.iter_mut().zip(from).for_each(|(pixel, cover)| *pixel = (*pixel).max(*cover));
        }
    }
    Mask { width, height, alpha, ..Mask::default() }
}

/// The left upper corner of something of this size on a picture.
pub(super) fn place(at: Place, (width, height): (i32, i32), picture: (u32, u32)) -> (i32, i32) {
    let (picture_width, picture_height) = (f64::from(picture.0), f64::from(picture.1));
    match at {
        Place::Point([x, y]) => {
            ((x / 100.0 * picture_width).round() as i32, (y / 100.0 * picture_height).round() as i32)
        }
        Place::Word(word) => {
            let margin = picture_height * MARGIN;
            let (x, y) = word.parts();
            let free = |picture: f64, side: i32| picture - f64::from(side) - 2.0 * margin;
            let at = |part: f64, free: f64| (margin + part * free).round() as i32;
            (at(x, free(picture_width, width)), at(y, free(picture_height, height)))
        }
    }
}
