//! The view with the last number of each series in large digits, and a small graph below it.

use std::ops::Range;

use super::{
    canvas::Canvas,
    colour::Colour,
    envelope::{Curve, Envelope},
    layout::{Align, Pen},
    settings::Settings,
};
use crate::picture::text::Fonts;

/// Most series that have a number: more are unreadable.
const MOST: usize = 16;

/// Draws everything. `span` is the time of the small graphs.
pub(super) fn draw(canvas: &mut Canvas, settings: &Settings, curves: &[Curve], fonts: &Fonts, span: &Range<i64>) {
    let (width, height) = (canvas.width() as f32, canvas.height() as f32);
    let pen = Pen::new(fonts, (height * settings.text_size as f32 / 100.0).max(9.0));
    let margin = pen.size * 0.5;
    let mut top = margin;
    if !settings.title.is_empty() {
        let title = Pen::new(fonts, pen.size * 1.3);
        title.write(
            canvas,
            &settings.title,
            (width / 2.0, top),
            Align::Middle,
            width - 2.0 * margin,
            settings.theme.ink(),
        );
        top += title.size * 1.25;
    }
    let shown = curves.get(..MOST.min(curves.len())).unwrap_or_default();
    if shown.is_empty() {
        let middle = (height - pen.size) / 2.0;
        pen.write(canvas, "no data", (width / 2.0, middle), Align::Middle, width, settings.theme.dim());
        return;
    }
    // As square as the numbers allow: they are about three times as wide as high.
    let shape = f64::from(width) / f64::from((height - top).max(1.0)) / 2.0;
    let columns = ((shown.len() as f64 * shape).sqrt().round() as usize).clamp(1, shown.len());
    let rows = shown.len().div_ceil(columns);
    let (tile_width, tile_height) = (width / columns as f32, (height - top) / rows as f32);
    for (i, curve) in shown.iter().enumerate() {
        let (column, row) = (i % columns, i / columns);
        let x = column as f32 * tile_width..(column + 1) as f32 * tile_width;
        let y = top + row as f32 * tile_height..top + (row + 1) as f32 * tile_height;
        tile(canvas, settings, curve, fonts, span, (x, y));
    }
}

fn tile(
    canvas: &mut Canvas,
    settings: &Settings,
    curve: &Curve,
    fonts: &Fonts,
    span: &Range<i64>,
    (x, y): (Range<f32>, Range<f32>),
) {
    let (width, height) = (x.end - x.start, y.end - y.start);
    let middle = (x.start + x.end) / 2.0;
    let colour = colour_of(settings, curve);

    let rows = (y.end - height * 0.35).floor()..(y.end - height * 0.04).floor();
    let columns = x.start as usize..x.end as usize;
    let gap = settings.gap.map(|gap| i64::try_from(gap.as_micros()).unwrap_or(i64::MAX));
    let envelope = Envelope::new(curve, span, columns.len(), gap);
    let axis = settings.axis(curve.side);
    let scale = axis.scale_for(envelope.range(false), 4);
    let mut floor = envelope.clone();
    floor.stand_on(scale.low);
    canvas.spans(columns.start, &floor.area(&scale, &rows), rows.clone(), colour, 0.25);
    let wider = rows.start - 3.0..rows.end + 3.0;
    canvas.spans(columns.start, &envelope.stroke(&scale, &rows, curve.line_width), wider, colour, 1.0);

    let text = curve.format.number(curve.facts.last.unwrap_or(f64::NAN));
    let label = Pen::new(fonts, height * 0.11);
    label.write(
        canvas,
        &curve.label,
        (middle, y.start + height * 0.03),
        Align::Middle,
        width * 0.92,
        settings.theme.dim(),
    );
    let mut digits = Pen::new(fonts, height * 0.44);
    let natural = digits.width(&text);
    if natural > width * 0.92 {
        digits.size *= width * 0.92 / natural;
    }
    let top = y.start + height * 0.4 - digits.size / 2.0;
    digits.write(canvas, &text, (middle, top), Align::Middle, width, colour);
}

/// The colour of the highest threshold that the number has reached, or that of the series.
fn colour_of(settings: &Settings, curve: &Curve) -> Colour {
    let Some(last) = curve.facts.last else { return settings.theme.dim() };
    let own = settings.thresholds.iter().filter(|threshold| threshold.axis == curve.side);
    let reached = own.filter_map(|threshold| {
        let from = threshold.value.or(threshold.from).unwrap_or(f64::NEG_INFINITY);
        let is_within = threshold.value.is_some() || threshold.to.is_none_or(|to| last < to);
        (last >= from && is_within).then_some((from, threshold.colour))
    });
    let highest = reached.max_by(|a, b| a.0.total_cmp(&b.0));
    highest.map_or(curve.colour, |(_, colour)| colour)
}
