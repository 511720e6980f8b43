//! Draws the test card and the "waiting" picture.

use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};

use super::{Picture, encode::encode_rgb};
use crate::error::Result;

type Rgb = [u8; 3];

const INK: Rgb = [236, 239, 244];
const DIM: Rgb = [143, 153, 168];
const GROUND: Rgb = [24, 28, 36];

/// Bars like those of SMPTE at 75 %, as users know them from test cards. Their order shows whether U and V are
/// swapped.
const BARS: [Rgb; 7] =
    [[191, 191, 191], [191, 191, 0], [0, 191, 191], [0, 191, 0], [191, 0, 191], [191, 0, 0], [0, 0, 191]];

#[expect(clippy::expect_used, reason = "the bundled fonts parse, as every drawn picture of the tests shows")]
static SANS: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(include_bytes!("font/DejaVuSans.ttf")).expect("the bundled font parses"));
#[expect(clippy::expect_used, reason = "the bundled fonts parse, as every drawn picture of the tests shows")]
static MONO: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("font/DejaVuSansMono-Bold.ttf")).expect("the bundled font parses")
});

/// Quality of drawn pictures; flat areas and text need no more.
const QUALITY: i32 = 85;

/// A test card: bars, the stream's name, the time of day (UTC) in hundredths, a counter, and a line that sweeps
/// once a second, so that a stall is easy to see.
pub fn test_card(name: &str, width: u32, height: u32, counter: u64, now: SystemTime) -> Result<Picture> {
    let mut canvas = Canvas::new(width, height, GROUND);
    let bars_end = height * 55 / 100;
    for (i, colour) in BARS.iter().enumerate() {
        let (from, to) = (width * i as u32 / 7, width * (i as u32 + 1) / 7);
        canvas.fill(from, 0, to, bars_end, *colour);
    }
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let swept = (u64::from(width) * u64::from(since.subsec_millis()) / 1000) as u32;
    canvas.fill(0, bars_end, swept, bars_end + (height / 60).max(1), INK);

    let seconds = since.as_secs() % 86_400;
    let clock = format!(
        "{:02}:{:02}:{:02}.{:02} UTC",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_millis() / 10
    );
    let unit = height as f32 / 20.0;
    let middle = width as f32 / 2.0;
    let below = bars_end as f32;
    canvas.text(&MONO, unit * 2.8, middle, below + unit * 2.9, &clock, INK);
    canvas.text(&SANS, unit * 1.5, middle, below + unit * 5.4, name, INK);
    canvas.text(&SANS, unit * 1.1, middle, below + unit * 7.4, &format!("frame {counter}   {width} × {height}"), DIM);
    canvas.encode(now)
}

/// A picture for a stream that has none yet: "waiting for NAME" and, below, the reason.
pub fn waiting(name: &str, reason: &str, width: u32, height: u32) -> Result<Picture> {
    let mut canvas = Canvas::new(width, height, GROUND);
    let unit = height as f32 / 20.0;
    let middle = width as f32 / 2.0;
    canvas.fill(0, 0, width, (height / 90).max(1), DIM);
    canvas.text(&SANS, unit * 1.3, middle, unit * 8.0, "waiting for", DIM);
    canvas.text(&MONO, unit * 2.2, middle, unit * 10.6, name, INK);
    canvas.text(&SANS, unit * 1.0, middle, unit * 13.4, reason, DIM);
    canvas.encode(SystemTime::now())
}

struct Canvas {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Canvas {
    fn new(width: u32, height: u32, ground: Rgb) -> Self {
        Canvas { width, height, rgb: ground.repeat((width * height) as usize) }
    }

    fn fill(&mut self, left: u32, top: u32, right: u32, bottom: u32, colour: Rgb) {
        let (right, bottom) = (right.min(self.width), bottom.min(self.height));
        for y in top..bottom {
            for x in left..right {
                let at = 3 * (y * self.width + x) as usize;
                self.rgb[at..at + 3].copy_from_slice(&colour);
            }
        }
    }

    /// Draws a line of text, centred on `middle`, with its baseline at `baseline`, shrunk to fit the width.
    fn text(&mut self, font: &FontRef<'_>, size: f32, middle: f32, baseline: f32, text: &str, colour: Rgb) {
        let natural = text_width(font, size, text);
        let room = self.width as f32 * 0.94;
        let size = if natural > room { size * room / natural } else { size };
        let scaled = font.as_scaled(PxScale::from(size));
        let mut x = middle - text_width(font, size, text) / 2.0;
        for c in text.chars() {
            let glyph = scaled.scaled_glyph(c);
            let advance = scaled.h_advance(glyph.id);
            let mut placed = glyph;
            placed.position = ab_glyph::point(x, baseline);
            x += advance;
            let Some(outline) = font.outline_glyph(placed) else { continue };
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, cover| {
                let (px, py) = (bounds.min.x as i64 + i64::from(dx), bounds.min.y as i64 + i64::from(dy));
                if px >= 0 && py >= 0 && px < i64::from(self.width) && py < i64::from(self.height) {
                    let at = 3 * (py as usize * self.width as usize + px as usize);
                    for (pixel, ink) in self.rgb[at..at + 3].iter_mut().zip(colour) {
                        *pixel = (f32::from(*pixel) * (1.0 - cover) + f32::from(ink) * cover) as u8;
                    }
                }
            });
        }
    }

    fn encode(self, now: SystemTime) -> Result<Picture> {
        let jpeg = encode_rgb(&self.rgb, self.width, self.height, QUALITY)?;
        Ok(Picture { jpeg, width: self.width, height: self.height, captured_at: now })
    }
}

fn text_width(font: &FontRef<'_>, size: f32, text: &str) -> f32 {
    let scaled = font.as_scaled(PxScale::from(size));
    text.chars().map(|c| scaled.h_advance(scaled.glyph_id(c))).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::picture::testing;

    #[test]
    fn the_test_card_has_its_colours_and_changes_with_time_and_counter() {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        let card = test_card("front/door", 700, 400, 1, at).expect("draws");
        let (width, height, rgb) = testing::pixels(&card.jpeg);
        assert_eq!((width, height), (700, 400));
        for (i, colour) in BARS.iter().enumerate() {
            let at = 3 * (50 * 700 + 100 * i + 50);
            for (seen, meant) in rgb[at..at + 3].iter().zip(colour) {
                assert!(seen.abs_diff(*meant) < 8, "bar {i}: {:?} should be {colour:?}", &rgb[at..at + 3]);
            }
        }
        assert_ne!(card.jpeg, test_card("front/door", 700, 400, 2, at).expect("draws").jpeg);
        assert_ne!(card.jpeg, test_card("front/door", 700, 400, 1, at + Duration::from_secs(1)).expect("draws").jpeg);
        assert_ne!(card.jpeg, test_card("back/door", 700, 400, 1, at).expect("draws").jpeg);
    }

    #[test]
    fn long_names_and_small_canvases_stay_inside() {
        let name = "n".repeat(240);
        for (width, height) in [(16, 16), (33, 1), (640, 360)] {
            waiting(&name, "no answer from the camera at 192.168.1.20", width, height).expect("draws");
            test_card(&name, width, height, u64::MAX, SystemTime::now()).expect("draws");
        }
    }
}
