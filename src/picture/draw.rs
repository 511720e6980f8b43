//! Draws the test card and the "waiting" picture.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{
    Picture, Raster,
    encode::encode_rgb,
    text::{Face, Fonts},
};
use crate::error::Result;

type Rgb = [u8; 3];

const INK: Rgb = [236, 239, 244];
const DIM: Rgb = [143, 153, 168];
const GROUND: Rgb = [24, 28, 36];

/// Bars like those of SMPTE at 75 %, as users know them from test cards. Their order shows whether U and V are
/// swapped.
const BARS: [Rgb; 7] =
    [[191, 191, 191], [191, 191, 0], [0, 191, 191], [0, 191, 0], [191, 0, 191], [191, 0, 0], [0, 0, 191]];

/// Quality of drawn pictures; flat areas and text need no more.
const QUALITY: i32 = 85;

/// A test card: bars, the stream's name, the time of day (UTC) in hundredths, a counter, and a line that sweeps
/// once a second, so that a stall is easy to see.
pub fn test_card(
    fonts: &Fonts,
    name: &str,
    (width, height): (u32, u32),
    counter: u64,
    now: SystemTime,
) -> Result<Picture> {
    let mut canvas = Canvas::new(fonts, width, height, GROUND);
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
    canvas.text(Face::Mono, unit * 2.8, middle, below + unit * 2.9, &clock, INK);
    canvas.text(Face::Sans, unit * 1.5, middle, below + unit * 5.4, name, INK);
    canvas.text(
        Face::Sans,
        unit * 1.1,
        middle,
        below + unit * 7.1,
        &format!("frame {counter}   {width} × {height}"),
        DIM,
    );
    marks(&mut canvas, counter);
    canvas.encode(now)
}

/// Number of marks on a test card: bits of its counter.
pub const MARKS: u32 = 10;

/// Height of the marks, as a part of the card's height.
const MARKS_PART: u32 = 14;

/// The low ten bits of the counter as a row of squares at the lower edge, the highest bit on the left: white is 1, black is 0. They
/// survive scaling and lossy coding, so that a program sees which picture of the card it looks at, and how late.
fn marks(canvas: &mut Canvas<'_>, counter: u64) {
    let (width, height) = (canvas.width, canvas.height);
    let top = height - (height / MARKS_PART).clamp(1, height);
    for i in 0..MARKS {
        let is_set = counter >> (MARKS - 1 - i) & 1 == 1;
        let colour = if is_set { [255; 3] } else { [0; 3] };
        canvas.fill(width * i / MARKS, top, width * (i + 1) / MARKS, height, colour);
    }
}

/// Reads the marks of a test card in any size: the counter modulo 1024. None if a mark is neither white nor black.
pub fn read_marks(card: &Raster) -> Option<u16> {
    let (width, height) = (card.width(), card.height());
    let middle = height - 1 - (height / MARKS_PART / 2).min(height - 1);
    (0..MARKS).try_fold(0, |counter, i| {
        let x = (width * (2 * i + 1) / (2 * MARKS)).min(width - 1);
        match card.at(x, middle)[0] {
            0..=79 => Some(counter << 1),
            176..=255 => Some(counter << 1 | 1),
            _ => None,
        }
    })
}

/// A picture for a stream that has none yet: "waiting for NAME" and, below, the reason.
pub fn waiting(fonts: &Fonts, name: &str, reason: &str, (width, height): (u32, u32)) -> Result<Picture> {
    let mut canvas = Canvas::new(fonts, width, height, GROUND);
    let unit = height as f32 / 20.0;
    let middle = width as f32 / 2.0;
    canvas.fill(0, 0, width, (height / 90).max(1), DIM);
    canvas.text(Face::Sans, unit * 1.3, middle, unit * 8.0, "waiting for", DIM);
    canvas.text(Face::Mono, unit * 2.2, middle, unit * 10.6, name, INK);
    canvas.text(Face::Sans, unit * 1.0, middle, unit * 13.4, reason, DIM);
    canvas.encode(SystemTime::now())
}

struct Canvas<'a> {
    fonts: &'a Fonts,
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl<'a> Canvas<'a> {
    fn new(fonts: &'a Fonts, width: u32, height: u32, ground: Rgb) -> Self {
        Canvas { fonts, width, height, rgb: ground.repeat((width * height) as usize) }
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
    fn text(&mut self, face: Face, size: f32, middle: f32, baseline: f32, text: &str, colour: Rgb) {
        let natural = self.fonts.width(face, size, text);
        let room = self.width as f32 * 0.94;
        let size = if natural > room { size * room / natural } else { size };
        let line = self.fonts.line(face, size, text);
        let left = (middle - line.width / 2.0).round() as i32;
        line.draw(left, baseline.round() as i32, |x, y, cover| {
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
            if x < self.width && y < self.height {
                let at = 3 * (y as usize * self.width as usize + x as usize);
                let cover = u32::from(cover);
                for (pixel, ink) in self.rgb[at..at + 3].iter_mut().zip(colour) {
                    *pixel = ((u32::from(*pixel) * (255 - cover) + u32::from(ink) * cover + 127) / 255) as u8;
                }
            }
        });
    }

    fn encode(self, now: SystemTime) -> Result<Picture> {
        let jpeg = encode_rgb(&self.rgb, self.width, self.height, QUALITY)?;
        Ok(Picture { jpeg, width: self.width, height: self.height, captured_at: now })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::picture::testing;

    #[test]
    fn the_test_card_has_its_colours_and_changes_with_time_and_counter() {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
        let card = |name: &str, counter, at| test_card(&Fonts::bundled(), name, (700, 400), counter, at);
        let first = card("front/door", 1, at).expect("draws");
        let (width, height, rgb) = testing::pixels(&first.jpeg);
        assert_eq!((width, height), (700, 400));
        for (i, colour) in BARS.iter().enumerate() {
            let at = 3 * (50 * 700 + 100 * i + 50);
            for (seen, meant) in rgb[at..at + 3].iter().zip(colour) {
                assert!(seen.abs_diff(*meant) < 8, "bar {i}: {:?} should be {colour:?}", &rgb[at..at + 3]);
            }
        }
        assert_ne!(first.jpeg, card("front/door", 2, at).expect("draws").jpeg);
        assert_ne!(first.jpeg, card("front/door", 1, at + Duration::from_secs(1)).expect("draws").jpeg);
        assert_ne!(first.jpeg, card("back/door", 1, at).expect("draws").jpeg);
    }

    #[test]
    fn the_marks_of_a_test_card_give_its_counter_in_every_size() {
        use crate::picture::{PictureLimits, transform};

        for counter in [0, 1, 2, 511, 512, 682, 1023, 1024, 5_000_000_001] {
            let card = test_card(&Fonts::bundled(), "card", (800, 450), counter, UNIX_EPOCH).expect("draws");
            let expected = Some((counter % 1024) as u16);
            assert_eq!(read_marks(&Raster::from_jpeg(&card.jpeg).expect("decodes")), expected, "{counter}");
            for query in ["w=160&quality=40", "w=1600&h=300&fit=fill", "gray=1"] {
                let transform = transform::Transform::from_query(query).expect("valid");
                let small = transform::apply(&card.jpeg, (800, 450), &transform, 80, &PictureLimits::default());
                let raster = Raster::from_jpeg(&small.expect("made").jpeg).expect("decodes");
                assert_eq!(read_marks(&raster), expected, "{counter} {query}");
            }
        }
        assert_eq!(read_marks(&Raster::filled(64, 48, [128, 128, 128])), None, "no card");
    }

    #[test]
    fn long_names_and_small_canvases_stay_inside() {
        let name = "n".repeat(240);
        let fonts = Fonts::bundled();
        for size in [(16, 16), (33, 1), (640, 360)] {
            waiting(&fonts, &name, "no answer from the camera at 192.168.1.20", size).expect("draws");
            test_card(&fonts, &name, size, u64::MAX, SystemTime::now()).expect("draws");
        }
    }
}
