//! The view with axes.

use std::ops::Range;

use super::{
    canvas::Canvas,
    clock::{self, Tick},
    envelope::{Curve, Envelope, row},
    layout::{Align, Pen},
    legend::Legend,
    scale::Scale,
    settings::{Settings, Threshold},
    words::{Side, Style},
};
use crate::picture::text::Fonts;

/// How much of the colour an area has.
const AREA: f32 = 0.25;
const BARS: f32 = 0.85;
const BAND: f32 = 0.16;
const GRID: f32 = 0.14;

/// The room of the curves, in pixels.
struct Plot {
    columns: Range<usize>,
    rows: Range<f32>,
}

/// An axis of values with its labels.
struct Values {
    scale: Scale,
    /// Value and label.
    ticks: Vec<(f64, String)>,
    /// Width of the widest label.
    width: f32,
}

/// Draws everything.
pub(super) fn draw(canvas: &mut Canvas, settings: &Settings, curves: &[Curve], fonts: &Fonts, span: Range<i64>) {
    let (width, height) = (canvas.width() as f32, canvas.height() as f32);
    let pen = Pen::new(fonts, (height * settings.text_size as f32 / 100.0).max(9.0));
    let (ink, dim) = (settings.theme.ink(), settings.theme.dim());
    let margin = pen.size * 0.5;

    let mut top = margin;
    if !settings.title.is_empty() {
        let title = Pen::new(fonts, pen.size * 1.3);
        title.write(canvas, &settings.title, (width / 2.0, top), Align::Middle, width - 2.0 * margin, ink);
        top += title.size * 1.25;
    }
    // On a picture of a few lines, the curve itself has precedence.
    let is_small = height < pen.size * 9.0;
    let legend = Legend::new(settings, if is_small { &[] } else { curves }, &pen, height);
    let legend_top = height - margin * 0.5 - legend.height(settings);
    let bottom = if is_small { height - margin } else { legend_top - pen.size * 1.7 };
    let rows = (top + pen.size * 0.5).floor()..bottom.max(top + pen.size).floor();

    // The widths of the labels depend on the numbers, whose parts of columns depend on the widths. The numbers of slightly wider
    // columns are those of the columns.
    let guess = (width as usize).saturating_sub((pen.size * 4.0) as usize).max(1);
    let envelopes = envelopes(settings, curves, &span, guess);
    let steps = (((rows.end - rows.start) / (pen.size * 2.6)) as usize).clamp(1, 12);
    let values = |side: Side| {
        let is_used = side == Side::Left || curves.iter().any(|curve| curve.side == side);
        is_used.then(|| Values::new(settings, side, curves, &envelopes, steps, &pen))
    };
    let (left_axis, right_axis) = (values(Side::Left), values(Side::Right));
    let room = |axis: &Option<Values>| axis.as_ref().map_or(0.0, |axis| axis.width + pen.size * 0.5);
    let (left, right) = match is_small {
        true => (margin, width - margin),
        false => (margin + room(&left_axis), width - margin.max(pen.size) - room(&right_axis)),
    };
    // As wide as the smallest picture at least a little.
    let left = left.min(width * 0.4);
    let right = right.max(left + width * 0.2).min(width);
    let plot = Plot { columns: left as usize..right as usize, rows };

    let x = |at: i64| {
        let share = (at - span.start) as f64 / (span.end - span.start) as f64;
        plot.columns.start as f32 + (share * plot.columns.len() as f64) as f32
    };
    let [left_scale, right_scale] = [&left_axis, &right_axis].map(|axis| axis.as_ref().map(|axis| axis.scale));
    let scale_of = |side: Side| if side == Side::Left { left_scale } else { right_scale.or(left_scale) };

    for band in settings.thresholds.iter().filter(|threshold| threshold.value.is_none()) {
        plot.band(canvas, band, scale_of(band.axis));
    }
    let all_columns = plot.columns.start as f32..plot.columns.end as f32;
    if let Some(axis) = &left_axis {
        for (value, _) in &axis.ticks {
            let y = row(&axis.scale, &plot.rows, axis.scale.place(*value)).round();
            canvas.fill(all_columns.clone(), y..y + 1.0, ink, GRID);
        }
    }
    let label_width = pen.width("00:00:00") + pen.size;
    let least = ((span.end - span.start) as f64 * f64::from(label_width) / plot.columns.len().max(1) as f64) as i64;
    let times = clock::ticks(&settings.zone, &span, least);
    for tick in &times {
        let x = x(tick.at).round();
        canvas.fill(x..x + 1.0, plot.rows.clone(), ink, GRID);
    }

    plot.curves(canvas, settings, curves, &span, &scale_of);

    for line in &settings.thresholds {
        if let (Some(value), Some(scale)) = (line.value, scale_of(line.axis)) {
            plot.line(canvas, line, row(&scale, &plot.rows, scale.place(value)), &pen);
        }
    }
    if !is_small {
        let half = pen.size / 2.0;
        for (axis, x, align) in [
            (&left_axis, plot.columns.start as f32 - half, Align::Right),
            (&right_axis, plot.columns.end as f32 + half, Align::Left),
        ] {
            for (value, label) in axis.iter().flat_map(|axis| &axis.ticks) {
                let Some(axis) = axis else { continue };
                let y = row(&axis.scale, &plot.rows, axis.scale.place(*value)) - pen.size * 0.6;
                pen.write(canvas, label, (x, y), align, width * 0.4, dim);
            }
        }
        for Tick { at, label } in &times {
            let half = pen.width(label) / 2.0;
            let x = x(*at).clamp(half, (width - half).max(half));
            pen.write(canvas, label, (x, plot.rows.end + pen.size * 0.3), Align::Middle, width, dim);
        }
        legend.draw(canvas, settings, curves, &pen, (margin.max(left), legend_top, right));
    }
    if curves.iter().all(|curve| curve.facts.last.is_none()) {
        let large = Pen::new(fonts, pen.size * 1.5);
        let middle = (plot.rows.start + plot.rows.end - large.size) / 2.0;
        large.write(canvas, "no data", ((left + right) / 2.0, middle), Align::Middle, right - left, dim);
    }
}

/// The envelopes of all curves, with stacks added up on each axis.
fn envelopes(settings: &Settings, curves: &[Curve], span: &Range<i64>, columns: usize) -> Vec<Envelope> {
    let gap = settings.gap.map(|gap| i64::try_from(gap.as_micros()).unwrap_or(i64::MAX));
    let (mut left, mut right) = (vec![], vec![]);
    let each = curves.iter().map(|curve| {
        let mut envelope = Envelope::new(curve, span, columns, gap);
        if curve.is_stacked {
            envelope.stack(if curve.side == Side::Left { &mut left } else { &mut right });
        }
        envelope
    });
    each.collect()
}

impl Values {
    fn new(
        settings: &Settings,
        side: Side,
        curves: &[Curve],
        envelopes: &[Envelope],
        steps: usize,
        pen: &Pen<'_>,
    ) -> Self {
        let axis = settings.axis(side);
        let format = axis.format();
        let own = curves.iter().zip(envelopes).filter(|(curve, _)| curve.side == side);
        let ranges = own.filter_map(|(curve, envelope)| {
            let has_base = matches!(curve.style, Style::Area | Style::Bars) || curve.is_stacked;
            envelope.range(has_base && !curve.is_log)
        });
        let range = ranges.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
        let scale = axis.scale_for(range, steps);
        let ticks = scale.ticks();
        let labels = match axis.is_log() {
            true => ticks.iter().map(|tick| format.number(*tick)).collect(),
            false => format.ticks(&ticks, scale.step),
        };
        let width = labels.iter().map(|label| pen.width(label)).fold(0.0, f32::max);
        Values { scale, ticks: ticks.into_iter().zip(labels).collect(), width }
    }
}

impl Plot {
    fn columns(&self) -> Range<f32> {
        self.columns.start as f32..self.columns.end as f32
    }

    fn band(&self, canvas: &mut Canvas, band: &Threshold, scale: Option<Scale>) {
        let Some(scale) = scale else { return };
        let at = |value: Option<f64>, end: f32| value.map_or(end, |value| row(&scale, &self.rows, scale.place(value)));
        let (top, bottom) = (at(band.to, self.rows.start), at(band.from, self.rows.end));
        let rows = top.max(self.rows.start)..bottom.min(self.rows.end);
        canvas.fill(self.columns(), rows, band.colour, BAND);
    }

    /// A dashed line.
    fn line(&self, canvas: &mut Canvas, line: &Threshold, y: f32, pen: &Pen<'_>) {
        if !(self.rows.start..=self.rows.end).contains(&y) {
            return;
        }
        let dash = pen.size * 0.5;
        // On whole rows: a thin line between two of them would be pale.
        let thickness = (pen.size / 14.0).round().max(1.0);
        let top = (y - thickness / 2.0).round();
        let mut x = self.columns.start as f32;
        while x < self.columns.end as f32 {
            let end = (x + dash).min(self.columns.end as f32);
            canvas.fill(x..end, top..top + thickness, line.colour, 1.0);
            x += dash * 1.7;
        }
        if !line.label.is_empty() {
            let right = self.columns.end as f32 - pen.size * 0.3;
            let room = self.columns.len() as f32 * 0.6;
            pen.write(canvas, &line.label, (right, y - pen.size * 1.15), Align::Right, room, line.colour);
        }
    }

    /// The curves: first all areas, then all lines, so that no area covers a line.
    fn curves(
        &self,
        canvas: &mut Canvas,
        settings: &Settings,
        curves: &[Curve],
        span: &Range<i64>,
        scale_of: &dyn Fn(Side) -> Option<Scale>,
    ) {
        let envelopes = envelopes(settings, curves, span, self.columns.len());
        let (left, rows) = (self.columns.start, &self.rows);
        for (curve, envelope) in curves.iter().zip(&envelopes) {
            let opacity = match curve.style {
                Style::Bars => BARS,
                Style::Area => AREA,
                _ if curve.is_stacked => AREA,
                _ => continue,
            };
            if let Some(scale) = scale_of(curve.side) {
                canvas.spans(left, &envelope.area(&scale, rows), rows.clone(), curve.colour, opacity);
            }
        }
        // A line at the end of the axis is not cut in half.
        let wider = rows.start - 3.0..rows.end + 3.0;
        for (curve, envelope) in curves.iter().zip(&envelopes) {
            let width = match curve.style {
                Style::Bars => continue,
                Style::Points => curve.line_width * 2.5,
                _ => curve.line_width,
            };
            if let Some(scale) = scale_of(curve.side) {
                canvas.spans(left, &envelope.stroke(&scale, rows, width), wider.clone(), curve.colour, 1.0);
            }
        }
    }
}
