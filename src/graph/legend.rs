//! The legend below a graph: a row for each series, with its numbers in columns.

use super::{
    canvas::Canvas,
    envelope::{Curve, Facts},
    layout::{Align, Pen},
    settings::Settings,
    words::LegendPart,
};

/// The largest part of the picture that the legend takes.
const MOST: f32 = 0.4;

/// A legend that is laid out.
pub(super) struct Legend {
    rows: usize,
    left_out: usize,
    row_height: f32,
}

impl Legend {
    /// As many rows as there is room for.
    pub(super) fn new(settings: &Settings, curves: &[Curve], pen: &Pen<'_>, height: f32) -> Self {
        let row_height = pen.size * 1.3;
        let room = (height * MOST / row_height) as usize;
        let wanted = if settings.legend.is_empty() { 0 } else { curves.len() };
        // The head of the columns and the row for those that are left out.
        let head = usize::from(has_numbers(settings));
        let rows = if wanted + head <= room { wanted } else { room.saturating_sub(head + 1).min(wanted) };
        Legend { rows, left_out: wanted - rows, row_height }
    }

    pub(super) fn height(&self, settings: &Settings) -> f32 {
        if self.rows == 0 {
            return 0.0;
        }
        let rows = self.rows + usize::from(self.left_out > 0) + usize::from(has_numbers(settings));
        (rows as f32 + 0.3) * self.row_height
    }

    pub(super) fn draw(
        &self,
        canvas: &mut Canvas,
        settings: &Settings,
        curves: &[Curve],
        pen: &Pen<'_>,
        (left, top, right): (f32, f32, f32),
    ) {
        if self.rows == 0 {
            return;
        }
        let (ink, dim) = (settings.theme.ink(), settings.theme.dim());
        let parts: Vec<_> = settings.legend.iter().filter(|part| **part != LegendPart::Name).collect();
        let texts: Vec<Vec<String>> = curves
            .iter()
            .take(self.rows)
            .map(|curve| parts.iter().map(|part| number(curve, **part)).collect())
            .collect();
        // Each column is as wide as its widest number, and all together leave room for the names.
        let mut widths: Vec<f32> = (0..parts.len())
            .map(|i| {
                let head = pen.width(title(*parts[i]));
                texts.iter().map(|row| pen.width(&row[i])).fold(head, f32::max) + pen.size * 0.9
            })
            .collect();
        while !widths.is_empty() && widths.iter().sum::<f32>() > (right - left) * 0.75 {
            widths.pop();
        }
        let names_end = right - widths.iter().sum::<f32>();
        let mut y = top;
        let columns = |canvas: &mut Canvas, y: f32, texts: &dyn Fn(usize) -> String, colour| {
            let mut x = names_end;
            for (i, width) in widths.iter().enumerate() {
                x += width;
                pen.write(canvas, &texts(i), (x, y), Align::Right, *width, colour);
            }
        };
        if has_numbers(settings) {
            columns(canvas, y, &|i| title(*parts[i]).to_owned(), dim);
            y += self.row_height;
        }
        for (curve, texts) in curves.iter().zip(&texts) {
            let swatch = pen.size * 0.6;
            let middle = y + pen.size * 0.6;
            canvas.fill(left..left + swatch, middle - swatch / 2.0..middle + swatch / 2.0, curve.colour, 1.0);
            let name_left = left + swatch * 1.6;
            pen.write(canvas, &curve.label, (name_left, y), Align::Left, names_end - name_left, ink);
            columns(canvas, y, &|i| texts[i].clone(), ink);
            y += self.row_height;
        }
        if self.left_out > 0 {
            let text = format!("+ {}", self.left_out);
            pen.write(canvas, &text, (left, y), Align::Left, right - left, dim);
        }
    }
}

fn has_numbers(settings: &Settings) -> bool {
    settings.legend.iter().any(|part| *part != LegendPart::Name)
}

fn title(part: LegendPart) -> &'static str {
    match part {
        LegendPart::Last => "last",
        LegendPart::Min => "min",
        LegendPart::Max => "max",
        LegendPart::Mean => "mean",
        LegendPart::Name => "",
    }
}

fn number(curve: &Curve, part: LegendPart) -> String {
    let Facts { last, min, max, mean } = curve.facts;
    let value = match part {
        LegendPart::Last => last,
        LegendPart::Min => min,
        LegendPart::Max => max,
        LegendPart::Mean => mean,
        LegendPart::Name => return String::new(),
    };
    curve.format.number(value.unwrap_or(f64::NAN))
}
