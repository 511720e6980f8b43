//! [`GlyphCache`]: the masks of glyphs, so that each is drawn once for each size.

use std::sync::Arc;

use lru::LruCache;

use super::chain::{Chain, Id};

/// Most bytes of all kept masks: some 8000 characters at 32 pixels.
const MAX_BYTES: usize = 8 << 20;

/// Bytes of an entry beside its mask, roughly.
const OVERHEAD: usize = 96;

/// Positions between two pixels for which a mask is drawn.
const FRACTIONS: f32 = 4.0;

/// The mask of a glyph.
#[derive(Debug)]
pub(super) struct Glyph {
    /// From the pixel in which the glyph begins to the left column of the mask.
    pub(super) left: i32,
    /// From the baseline to the top row of the mask; usually negative.
    pub(super) top: i32,
    pub(super) width: usize,
    /// How much of each pixel the glyph covers, row by row.
    pub(super) alpha: Vec<u8>,
}

/// Glyph, size in 1/16 pixel, and the position between two pixels.
type Key = (Id, u32, u8);

pub(super) struct GlyphCache {
    masks: LruCache<Key, Arc<Glyph>>,
    bytes: usize,
}

impl GlyphCache {
    pub(super) fn new() -> Self {
        GlyphCache { masks: LruCache::unbounded(), bytes: 0 }
    }

    /// The mask of a glyph that begins `fraction` (0 to 1) behind a pixel's left edge.
    pub(super) fn get(&mut self, chain: &Chain, id: Id, size: f32, fraction: f32) -> Arc<Glyph> {
        let sixteenths = (size * 16.0).round();
        let step = (fraction * FRACTIONS).floor().clamp(0.0, FRACTIONS - 1.0);
        let key = (id, sixteenths as u32, step as u8);
        if let Some(present) = self.masks.get(&key) {
            return present.clone();
        }
        let glyph = Arc::new(draw(chain, id, sixteenths / 16.0, step / FRACTIONS));
        self.bytes += glyph.alpha.len() + OVERHEAD;
        self.masks.put(key, glyph.clone());
        while self.bytes > MAX_BYTES
            && let Some((_, gone)) = self.masks.pop_lru()
        {
            self.bytes -= gone.alpha.len() + OVERHEAD;
        }
        glyph
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn draw(chain: &Chain, id: Id, size: f32, x: f32) -> Glyph {
    if id.is_box() {
        return draw_box(chain.box_at(size));
    }
    let Some(outline) = chain.outline(id, size, x) else {
        return Glyph { left: 0, top: 0, width: 0, alpha: vec![] };
    };
    let bounds = outline.px_bounds();
    let (width, height) = (bounds.width().ceil() as usize, bounds.height().ceil() as usize);
    let mut alpha = vec![0; width * height];
    outline.draw(|x, y, cover| {
        if let Some(pixel) = alpha.get_mut(y as usize * width + x as usize) {
            *pixel = (cover * 255.0).round() as u8;
        }
    });
    Glyph { left: bounds.min.x as i32, top: bounds.min.y as i32, width, alpha }
}

/// A box that stands on the baseline, with a line of a twelfth of its width.
fn draw_box((left, width, height): (f32, f32, f32)) -> Glyph {
    let whole = |side: f32| (side.round() as usize).max(3);
    let (width, height) = (whole(width), whole(height));
    let line = (width / 12).max(1);
    let is_line = |at: usize, side: usize| at < line || at + line >= side;
    let pixels = (0..width * height).map(|at| (at % width, at / width));
    let alpha = pixels.map(|(x, y)| if is_line(x, width) || is_line(y, height) { 255 } else { 0 }).collect();
    Glyph { left: left.round() as i32, top: -(height as i32), width, alpha }
}
