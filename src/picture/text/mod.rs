//! Text on pictures: lines of glyph masks, from a chain of fonts that is tried for each character.
//!
//! The bundled fonts (DejaVu: Latin, Greek, Cyrillic and more) come first, then the fonts of `text.fonts`. A glyph is drawn once
//! for each size, and its mask is kept. There is no shaping: each character has one glyph, beside the one before it, which is
//! right for Latin, Greek, Cyrillic, Kana, Kanji, Hanzi and Hangul, and not for Arabic or Devanagari.

mod chain;
mod glyphs;
mod line;
mod settings;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, LazyLock},
};

use parking_lot::Mutex;

pub use self::{
    chain::Face,
    line::{Line, Mask},
    settings::TextSettings,
};
use self::{
    chain::{Chain, FontFile},
    glyphs::GlyphCache,
    line::Placed,
};

/// Most characters of one line that are drawn. A longer line is unreadable on any picture.
pub const MAX_CHARS: usize = 500;

/// Smallest and largest height of a line, in pixels.
const SIZES: std::ops::RangeInclusive<f32> = 1.0..=1000.0;

/// Most different characters without a glyph that are remembered. A text of random characters must not fill the memory.
const MAX_MISSING: usize = 256;

/// A chain of fonts with the masks of their glyphs. Cheap to clone.
#[derive(Clone)]
pub struct Fonts(Arc<Inner>);

struct Inner {
    chain: Chain,
    cache: Mutex<GlyphCache>,
    missing: Mutex<BTreeSet<char>>,
}

impl Fonts {
    /// The bundled fonts, and the fonts of the settings. A font file is read when a character needs it.
    pub fn new(settings: &TextSettings) -> Self {
        Fonts::with(settings.files())
    }

    /// The bundled fonts alone.
    pub fn bundled() -> Self {
        static BUNDLED: LazyLock<Fonts> = LazyLock::new(|| Fonts::with(vec![]));
        BUNDLED.clone()
    }

    fn with(files: Vec<FontFile>) -> Self {
        let (cache, missing) = (Mutex::new(GlyphCache::new()), Mutex::default());
        Fonts(Arc::new(Inner { chain: Chain::new(files), cache, missing }))
    }

    /// Lays out a line. `size` is the height of a line in pixels, from ascent to descent. Control characters are left out. Takes
    /// about a microsecond for each character whose mask is kept, and some 20 for others; the first character that needs a font file
    /// waits until the file is read.
    pub fn line(&self, face: Face, size: f32, text: &str) -> Line {
        let size = if size.is_finite() { size.clamp(*SIZES.start(), *SIZES.end()) } else { *SIZES.start() };
        let chain = &self.0.chain;
        let (ascent, descent) = chain.extent(face, size);
        let mut glyphs = vec![];
        let mut x = 0.0_f32;
        for c in text.chars().filter(|c| !is_invisible(*c)).take(MAX_CHARS) {
            let found = chain.find(face, c);
            if found.is_none() {
                self.note_missing(c);
            }
            let id = found.unwrap_or_else(|| chain.substitute(face));
            let advance = chain.advance(id, size);
            if !c.is_whitespace() {
                let whole = x.floor();
                let glyph = self.0.cache.lock().get(chain, id, size, x - whole);
                if glyph.width > 0 {
                    glyphs.push(Placed { x: whole as i32 + glyph.left, y: glyph.top, glyph });
                }
            }
            x += advance;
        }
        Line { width: x, ascent, descent, glyphs }
    }

    /// The width of a line in pixels, without drawing it.
    pub fn width(&self, face: Face, size: f32, text: &str) -> f32 {
        let chain = &self.0.chain;
        let visible = text.chars().filter(|c| !is_invisible(*c)).take(MAX_CHARS);
        let ids = visible.map(|c| chain.find(face, c).unwrap_or_else(|| chain.substitute(face)));
        ids.map(|id| chain.advance(id, size)).sum()
    }

    /// The characters of a text for which no font has a glyph. They are drawn as boxes.
    pub fn missing_in(&self, text: &str) -> BTreeSet<char> {
        let is_missing = |c: &char| !is_invisible(*c) && self.0.chain.find(Face::Sans, *c).is_none();
        text.chars().filter(is_missing).collect()
    }

    /// The characters that were drawn as boxes since the start, at most 256.
    pub fn missing(&self) -> BTreeSet<char> {
        self.0.missing.lock().clone()
    }

    fn note_missing(&self, c: char) {
        let mut missing = self.0.missing.lock();
        if missing.len() < MAX_MISSING && missing.insert(c) {
            tracing::warn!("{}", explain_missing(&BTreeSet::from([c])));
        }
    }
}

impl fmt::Debug for Fonts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fonts ({} in the chain)", self.0.chain.len())
    }
}

/// The sentence that tells an administrator about characters without a glyph.
pub fn explain_missing(characters: &BTreeSet<char>) -> String {
    /// A sentence does not grow with the number of characters.
    const SHOWN: usize = 12;
    let shown: Vec<_> = characters.iter().take(SHOWN).map(|c| format!("{c} (U+{:04X})", u32::from(*c))).collect();
    let more = if characters.len() > SHOWN { ", …" } else { "" };
    format!(
        "no font has a glyph for {}{more}; install one that has (Debian: fonts-noto-cjk), or set text.fonts",
        shown.join(", ")
    )
}

/// Whether a character is neither drawn nor takes room: controls, zero-width and direction marks, variation selectors.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests;
