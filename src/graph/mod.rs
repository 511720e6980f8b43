//! Draws numbers over time: [`draw`] makes a picture of the points of a stream, its settings and the time.
//!
//! A series becomes one interval of each quarter of a pixel column (`envelope`), from the smallest to the largest number in it, so that no
//! spike is lost however many points a column has. The intervals are drawn anti-aliased into the planes of a JPEG (`canvas`), without
//! a detour by RGB. This module knows no stream and no network.

mod canvas;
mod clock;
mod colour;
mod envelope;
mod layout;
mod legend;
mod plot;
mod sample;
mod scale;
mod settings;
mod stat;
#[cfg(test)]
mod tests;
mod value;
mod words;

use std::time::{Duration, UNIX_EPOCH};

pub use self::{
    canvas::Canvas,
    clock::Zone,
    colour::Colour,
    sample::sample,
    settings::{Axis, Entry, Settings, Threshold},
    value::Prefix,
    words::{LegendPart, Side, Spread, Style, Theme, View, Window},
};
use crate::{
    error::Result,
    numbers::Latest,
    picture::{Picture, text::Fonts},
};

/// JPEG quality. Thin coloured lines need more than photographs.
const QUALITY: i32 = 90;

/// Draws a picture of the series. `now` is the right edge, in microseconds since 1970. Takes some milliseconds: call it on a blocking
/// thread.
pub fn draw(settings: &Settings, series: &[Latest], fonts: &Fonts, now: i64) -> Result<Picture> {
    let canvas = render(settings, series, fonts, now, settings.theme.ground());
    let at = UNIX_EPOCH + Duration::from_micros(u64::try_from(now).unwrap_or_default());
    canvas.encode(QUALITY, at)
}

/// The planes of the picture, on a ground of this colour.
pub fn render(settings: &Settings, series: &[Latest], fonts: &Fonts, now: i64, ground: Colour) -> Canvas {
    let mut canvas = Canvas::new(settings.width as usize, settings.height as usize, ground);
    let span = settings.span(now);
    let curves = envelope::curves(settings, series, span.clone());
    match settings.view {
        View::Graph => plot::draw(&mut canvas, settings, &curves, fonts, span),
        View::Stat => stat::draw(&mut canvas, settings, &curves, fonts, &span),
    }
    canvas
}

/// As [`draw`], as a PNG without a ground: what the graph does not cover is transparent. Takes some 30 ms.
pub fn draw_transparent(settings: &Settings, series: &[Latest], fonts: &Fonts, now: i64) -> Result<Vec<u8>> {
    let settings = Settings { theme: Theme::Transparent, ..settings.clone() };
    // What is white on white and black on black is not covered.
    let [black, white] = [Colour([0; 3]), Colour([255; 3])].map(|ground| render(&settings, series, fonts, now, ground));
    canvas::transparent(&black, &white)
}
