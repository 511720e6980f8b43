//! Colours: `#e55`, `#ee5555`, or a word.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

const WORDS: [(&str, Colour); 12] = [
    ("black", Colour([0, 0, 0])),
    ("white", Colour([255, 255, 255])),
    ("grey", Colour([140, 148, 160])),
    ("red", Colour([235, 87, 87])),
    ("orange", Colour([242, 153, 74])),
    ("yellow", Colour([242, 201, 76])),
    ("green", Colour([80, 190, 110])),
    ("cyan", Colour([70, 190, 220])),
    ("blue", Colour([78, 140, 241])),
    ("purple", Colour([180, 110, 220])),
    ("magenta", Colour([220, 80, 180])),
    ("pink", Colour([250, 140, 170])),
];

/// The colours of series without one, in their order. Neighbours differ in brightness, too.
const PALETTE: [&str; 8] = ["blue", "orange", "green", "red", "purple", "cyan", "yellow", "pink"];

impl Colour {
    /// The colour of the series with this number.
    pub fn of_series(index: usize) -> Self {
        let word = PALETTE.get(index % PALETTE.len()).copied().unwrap_or_default();
        WORDS.iter().find(|(known, _)| *known == word).map_or(Colour([255; 3]), |(_, colour)| *colour)
    }

    /// Y, Cb and Cr, as a JPEG has them (JFIF 1.02: BT.601, full range).
    pub fn ycbcr(self) -> [u8; 3] {
        let [r, g, b] = self.0.map(f32::from);
        let y = 0.299 * r + 0.587 * g + 0.114 * b;
        [y, 128.0 + (b - y) * 0.564, 128.0 + (r - y) * 0.713].map(|sample| sample.round().clamp(0.0, 255.0) as u8)
    }
}

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        if let Some((_, colour)) = WORDS.iter().find(|(word, _)| *word == lower) {
            return Ok(*colour);
        }
        let words = || WORDS.map(|(word, _)| word).join(", ");
        let wrong = || format!("{text:?} is not a colour; write #rrggbb, #rgb or one of {}", words());
        let digits = lower.strip_prefix('#').filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = |digits: &str| u32::from_str_radix(digits, 16).map_err(|_| wrong());
        match digits {
            Some(digits) if digits.len() == 6 => {
                let [_, r, g, b] = number(digits)?.to_be_bytes();
                Ok(Colour([r, g, b]))
            }
            Some(digits) if digits.len() == 3 => {
                let n = number(digits)?;
                Ok(Colour([n >> 8, n >> 4 & 15, n & 15].map(|digit| digit as u8 * 17)))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Colour([r, g, b]) = self;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

impl Serialize for Colour {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Colour {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_numbers_or_words() {
        for (text, expected) in [("#e55", [238, 85, 85]), ("#0A0b0C", [10, 11, 12]), (" White ", [255, 255, 255])] {
            assert_eq!(text.parse(), Ok(Colour(expected)), "{text}");
        }
        for wrong in ["", "#", "#12345", "#ggg", "e55", "mauve", "#ééé"] {
            assert!(wrong.parse::<Colour>().expect_err(wrong).contains("#rrggbb"), "{wrong}");
        }
        assert_eq!(Colour([255, 255, 255]).ycbcr(), [255, 128, 128]);
        assert!((0..20).all(|i| Colour::of_series(i) != Colour::of_series(i + 1)));
    }
}
