//! [`Chain`]: which font has the glyph of a character.

use std::{path::PathBuf, sync::OnceLock};

use ab_glyph::{Font, FontArc, FontRef, FontVec, GlyphId, OutlinedGlyph, PxScale, point};

/// Largest font file that is read. Noto Sans CJK has 19 MB for each weight.
const MAX_FILE: u64 = 64 << 20;

/// A family of the bundled fonts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Face {
    /// DejaVu Sans.
    #[default]
    Sans,
    /// DejaVu Sans Mono Bold: digits of equal width, for clocks.
    Mono,
}

/// A font in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FontFile {
    pub(super) path: PathBuf,
    /// Number of the font in a collection (.ttc), from 0.
    pub(super) index: u32,
}

impl FontFile {
    /// Reads the font. The error says what is wrong with the file.
    pub(super) fn load(&self) -> Result<FontArc, String> {
        let wrong = |why: String| format!("{} {why}", self.path.display());
        let size = std::fs::metadata(&self.path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        if !size.is_file() || size.len() > MAX_FILE {
            return Err(wrong(format!("is no file of at most {} MiB", MAX_FILE >> 20)));
        }
        let data = std::fs::read(&self.path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        let font = FontVec::try_from_vec_and_index(data, self.index);
        font.map(FontArc::new).map_err(|_| wrong(format!("has no TrueType or OpenType font {}", self.index)))
    }
}

/// A glyph: the number of the font in the chain, and the glyph in the font.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id {
    font: usize,
    glyph: u16,
}

impl Id {
    /// Whether it is the box for characters that no font has. Our own, because glyph 0 of the bundled fonts is empty.
    pub(super) fn is_box(self) -> bool {
        self.glyph == 0
    }
}

/// Width and height of the box for characters without a glyph, and the gap beside it, in em.
const BOX: (f32, f32) = (0.5, 0.7);
const BOX_GAP: f32 = 0.06;

/// The bundled fonts and the files behind them.
pub(super) struct Chain {
    /// By the number of [`Face`].
    bundled: [FontArc; 2],
    /// Each with its font, once it was needed; none if it cannot be read.
    files: Vec<(FontFile, OnceLock<Option<FontArc>>)>,
}

impl Chain {
    #[expect(clippy::expect_used, reason = "the bundled fonts parse, as every drawn picture of the tests shows")]
    pub(super) fn new(files: Vec<FontFile>) -> Self {
        let bundled =
            |data: &'static [u8]| FontArc::new(FontRef::try_from_slice(data).expect("the bundled font parses"));
        Chain {
            bundled: [
                bundled(include_bytes!("../font/DejaVuSans.ttf")),
                bundled(include_bytes!("../font/DejaVuSansMono-Bold.ttf")),
            ],
            files: files.into_iter().map(|file| (file, OnceLock::new())).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bundled.len() + self.files.len()
    }

    fn font(&self, number: usize) -> Option<&FontArc> {
        if let Some(font) = self.bundled.get(number) {
            return Some(font);
        }
        let (file, font) = self.files.get(number - self.bundled.len())?;
        let load = || file.load().inspect_err(|why| tracing::warn!("text.fonts: {why}")).ok();
        font.get_or_init(load).as_ref()
    }

    /// The first font that has the character, and its glyph.
    pub(super) fn find(&self, face: Face, c: char) -> Option<Id> {
        let first = face as usize;
        let order = [first, 1 - first].into_iter().chain(self.bundled.len()..self.len());
        order.into_iter().find_map(|number| {
            let GlyphId(glyph) = self.font(number)?.glyph_id(c);
            // Glyph 0 is the box for missing characters (OpenType, "Recommendations for OpenType fonts").
            (glyph != 0).then_some(Id { font: number, glyph })
        })
    }

    /// The box for a character that no font has.
    pub(super) fn substitute(&self, face: Face) -> Id {
        Id { font: face as usize, glyph: 0 }
    }

    /// Ascent and descent of a line of this height, in pixels. The descent is positive.
    pub(super) fn extent(&self, face: Face, size: f32) -> (f32, f32) {
        let font = &self.bundled[face as usize];
        let ratio = font.ascent_unscaled() / font.height_unscaled();
        (size * ratio, size * (1.0 - ratio))
    }

    /// Pixels to the next character.
    pub(super) fn advance(&self, id: Id, size: f32) -> f32 {
        if id.is_box() {
            return (BOX.0 + 2.0 * BOX_GAP) * self.em(size);
        }
        let Some(font) = self.font(id.font) else { return 0.0 };
        let advance = font.h_advance_unscaled(GlyphId(id.glyph));
        advance * self.em(size) / font.units_per_em().unwrap_or(1000.0)
    }

    /// The outline of a glyph that begins `x` pixels behind a pixel's left edge.
    pub(super) fn outline(&self, id: Id, size: f32, x: f32) -> Option<OutlinedGlyph> {
        let font = self.font(id.font)?;
        let em = font.units_per_em()?;
        let scale = PxScale::from(self.em(size) * font.height_unscaled() / em);
        font.outline_glyph(GlyphId(id.glyph).with_scale_and_position(scale, point(x, 0.0)))
    }

    /// Left edge, width and height in pixels of the box for characters without a glyph.
    pub(super) fn box_at(&self, size: f32) -> (f32, f32, f32) {
        let em = self.em(size);
        (BOX_GAP * em, BOX.0 * em, BOX.1 * em)
    }

    /// The em of a line of this height, in pixels. All fonts of a line have the same em, and not the same height, so that
    /// their letters have about the same size.
    fn em(&self, size: f32) -> f32 {
        let font = &self.bundled[0];
        size * font.units_per_em().unwrap_or(2048.0) / font.height_unscaled()
    }
}
