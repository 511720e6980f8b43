use super::*;

/// A font with Japanese, Chinese and Korean, of Debian's package fonts-wqy-microhei.
const MICROHEI: &str = "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc";

fn with(fonts: &[&str]) -> Fonts {
    Fonts::new(&TextSettings { fonts: fonts.iter().map(|&font| font.to_owned()).collect() })
}

fn mask(fonts: &Fonts, text: &str) -> Mask {
    fonts.line(Face::Sans, 32.0, text).mask()
}

#[test]
fn a_line_has_the_width_of_its_characters_and_a_mask_where_they_are() {
    let fonts = Fonts::bundled();
    let line = fonts.line(Face::Sans, 32.0, "Hi");
    assert!((line.ascent + line.descent - 32.0).abs() < 0.01);
    assert!((line.width - fonts.width(Face::Sans, 32.0, "Hi")).abs() < 0.01);
    let mask = line.mask();
    assert!(mask.top < 0 && mask.top + mask.height as i32 <= 1, "the letters stand on the baseline");
    assert!(mask.width as f32 <= line.width + 1.0 && mask.alpha.len() == mask.width * mask.height);
    // The middle of the left stem of the H.
    let middle = mask.height / 2 * mask.width + 2;
    assert!(mask.alpha[middle] > 200, "{}", mask.alpha[middle]);
    assert_eq!(fonts.line(Face::Mono, 20.0, "11:11").width, fonts.line(Face::Mono, 20.0, "00:00").width);
    assert!(fonts.missing_in("Tür – Дверь Θύρα 21 °C → ■ Łódź").is_empty());
    for empty in ["", " ", "\n\u{200B}"] {
        assert_eq!(self::mask(&fonts, empty), Mask::default(), "{empty:?}");
    }
}

#[test]
fn sizes_and_texts_of_strangers_are_bounded() {
    let fonts = Fonts::bundled();
    for size in [-5.0, 0.0, f32::NAN, f32::INFINITY] {
        fonts.line(Face::Sans, size, "x").mask();
    }
    let long = fonts.line(Face::Sans, 16.0, &"W".repeat(100_000));
    assert!(long.width < 16.0 * 2.0 * MAX_CHARS as f32);
    for size in 20..400 {
        fonts.line(Face::Sans, size as f32, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    }
    assert!(fonts.0.cache.lock().bytes() <= 8 << 20);
}

#[test]
fn a_character_without_a_glyph_is_a_box_and_is_told_once() {
    let fonts = with(&["/nonexistent/font.ttf"]);
    let boxed = mask(&fonts, "門");
    let other = mask(&fonts, "玄");
    assert!(boxed.width > 5, "{boxed:?}");
    assert_eq!(other, boxed, "both are the same box");
    assert_eq!(fonts.missing(), BTreeSet::from(['門', '玄']));
    assert_eq!(fonts.missing_in("a門ü"), BTreeSet::from(['門']));
    let told = explain_missing(&fonts.missing());
    assert!(told.contains("玄 (U+7384), 門 (U+9580)") && told.contains("text.fonts"), "{told}");
    for c in '\u{4E00}'..'\u{5000}' {
        fonts.line(Face::Sans, 8.0, &c.to_string());
    }
    assert_eq!(fonts.missing().len(), MAX_MISSING);
}

#[test]
fn settings_name_fonts_that_are_invalid_or_cannot_be_read() {
    let settings = |fonts: &[&str]| TextSettings { fonts: fonts.iter().map(|&font| font.to_owned()).collect() };
    assert!(settings(&["/a.ttc#1", "/b.ttf"]).problems().is_empty());
    for invalid in ["", "#1", "/a.ttc#x"] {
        assert_eq!(settings(&[invalid]).problems().len(), 1, "{invalid:?}");
    }
    let warnings = settings(&["/nonexistent/font.ttf"]).warnings(["front/door", "玄関"].into_iter());
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("text.fonts: /nonexistent/font.ttf cannot be read"), "{warnings:?}");
    assert!(warnings[1].contains('玄'), "{warnings:?}");
    let no_font = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert!(settings(&[no_font]).warnings([].into_iter())[0].contains("has no TrueType or OpenType font"));
}

#[test]
fn characters_that_the_bundled_font_lacks_come_from_the_next_font_that_has_them() {
    if !std::path::Path::new(MICROHEI).is_file() {
        return;
    }
    for font in [MICROHEI.to_owned(), format!("{MICROHEI}#1")] {
        let fonts = with(&["/nonexistent/font.ttf", &font]);
        let masks: Vec<_> = ["玄", "関", "这", "문", "カ"].iter().map(|text| mask(&fonts, text)).collect();
        assert!(fonts.missing().is_empty());
        for (i, one) in masks.iter().enumerate() {
            assert!(one.width > 16 && one.height > 16, "{font}: {i}");
            assert!(masks.iter().skip(i + 1).all(|other| other.alpha != one.alpha), "{font}: {i} is no box");
        }
        let (latin, mixed) = (fonts.line(Face::Sans, 32.0, "A"), fonts.line(Face::Sans, 32.0, "A玄"));
        assert_eq!((latin.ascent, latin.mask().height > 15), (mixed.ascent, true));
        assert!(mixed.width > latin.width + 20.0);
    }
}
