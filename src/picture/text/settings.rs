//! `text` in the settings.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Fonts, chain::FontFile, explain_missing};

/// Fonts of Debian's packages with Japanese, Chinese and Korean: fonts-noto-cjk, fonts-ipafont-gothic, fonts-vlgothic,
/// fonts-wqy-microhei, fonts-nanum. Those that exist are used when `text.fonts` is empty.
const WELL_KNOWN: [&str; 5] = [
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf",
    "/usr/share/fonts/truetype/vlgothic/VL-Gothic-Regular.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/nanum/NanumGothic.ttf",
];

/// Fonts for text on pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextSettings {
    /// Font files for characters that the bundled font lacks, in the order in which they are tried; `FILE#1` is the second
    /// font of a collection (.ttc). Empty: those of Debian's packages that are installed.
    pub fonts: Vec<String>,
}

impl TextSettings {
    /// Invalid settings: the key and the rule that it breaks.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let invalid = self.fonts.iter().filter(|text| read(text).is_none());
        invalid.map(|text| ("fonts", format!("{text:?} must be the path of a font file, or FILE#NUMBER"))).collect()
    }

    /// Fonts that cannot be read, and characters of these texts without a glyph. Reads the fonts.
    pub fn warnings<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Vec<String> {
        let unreadable = self.fonts.iter().filter_map(|text| read(text)?.load().err());
        let mut found: Vec<_> = unreadable.map(|why| format!("text.fonts: {why}")).collect();
        let fonts = Fonts::new(self);
        let missing = texts.flat_map(|text| fonts.missing_in(text)).collect();
        if !std::collections::BTreeSet::is_empty(&missing) {
            found.push(explain_missing(&missing));
        }
        found
    }

    /// The font files, in the order in which they are tried.
    pub(super) fn files(&self) -> Vec<FontFile> {
        if !self.fonts.is_empty() {
            return self.fonts.iter().filter_map(|text| read(text)).collect();
        }
        let installed = WELL_KNOWN.iter().filter(|path| Path::new(path).is_file());
        installed.map(|path| FontFile { path: path.into(), index: 0 }).collect()
    }
}

fn read(text: &str) -> Option<FontFile> {
    let (path, index) = match text.rsplit_once('#') {
        Some((path, index)) => (path, index.parse().ok()?),
        None => (text, 0),
    };
    (!path.is_empty()).then(|| FontFile { path: PathBuf::from(path), index })
}
