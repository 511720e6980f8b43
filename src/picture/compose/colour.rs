//! Colours as users write them.

use super::blend::Ink;

const NAMES: [(&str, [u8; 3]); 8] = [
    ("white", [255, 255, 255]),
    ("black", [0, 0, 0]),
    ("red", [220, 30, 30]),
    ("green", [40, 170, 60]),
    ("blue", [40, 90, 220]),
    ("yellow", [250, 210, 40]),
    ("orange", [240, 140, 30]),
    ("gray", [128, 128, 128]),
];

/// Reads `#RGB`, `#RGBA`, `#RRGGBB`, `#RRGGBBAA` or a name. The error is the rule.
pub(super) fn parse(text: &str) -> Result<Ink, String> {
    let rule = || {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        format!("must be #RGB, #RGBA, #RRGGBB, #RRGGBBAA or one of {}, not {text:?}", names.join(", "))
    };
    if let Some((_, rgb)) = NAMES.iter().find(|(name, _)| *name == text) {
        return Ok(ink(*rgb, 255));
    }
    let digits = text.strip_prefix('#').ok_or_else(rule)?;
    let digits: Vec<u8> =
        digits.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>().ok_or_else(rule)?;
    match *digits.as_slice() {
        [r, g, b] => Ok(ink([17 * r, 17 * g, 17 * b], 255)),
        [r, g, b, a] => Ok(ink([17 * r, 17 * g, 17 * b], 17 * a)),
        [r, r0, g, g0, b, b0] => Ok(ink([16 * r + r0, 16 * g + g0, 16 * b + b0], 255)),
        [r, r0, g, g0, b, b0, a, a0] => Ok(ink([16 * r + r0, 16 * g + g0, 16 * b + b0], 16 * a + a0)),
        _ => Err(rule()),
    }
}

/// The colour in the matrix and range of JPEG (JFIF 1.02).
pub(super) fn ink([r, g, b]: [u8; 3], opacity: u8) -> Ink {
    let [r, g, b] = [r, g, b].map(f32::from);
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    let yuv = [y, 128.0 + (b - y) / 1.772, 128.0 + (r - y) / 1.402];
    Ink { yuv: yuv.map(|sample| sample.round().clamp(0.0, 255.0) as u8), opacity }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_errors_name_the_forms() {
        let yuv = |text: &str| parse(text).map(|ink| (ink.yuv, ink.opacity));
        assert_eq!(yuv("white"), Ok(([255, 128, 128], 255)));
        assert_eq!(yuv("#000"), Ok(([0, 128, 128], 255)));
        assert_eq!(yuv("#f00"), yuv("#ff0000"));
        assert_eq!(yuv("#f008"), yuv("#FF000088"));
        assert_eq!(yuv("#ff0000").map(|(yuv, _)| yuv), Ok([76, 85, 255]));
        for wrong in ["", "#", "#12", "#12345", "#ggg", "mauve", "#ff00é0"] {
            assert!(parse(wrong).expect_err(wrong).contains("#RRGGBB"), "{wrong}");
        }
    }
}
