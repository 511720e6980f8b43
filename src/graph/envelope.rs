//! A series as intervals: the smallest and the largest number in each quarter of a pixel column.

use std::ops::Range;

use super::{
    canvas::{SUB, Spans},
    colour::Colour,
    scale::{Scale, logarithm},
    settings::{Entry, Settings},
    value::Format,
    words::{Side, Style},
};
use crate::numbers::{Latest, Point, Selector, SeriesName};

/// A series that is drawn: its points in the window with `rate` and `factor` applied, as places on its axis, and how it looks.
pub(super) struct Curve {
    pub(super) label: String,
    pub(super) colour: Colour,
    pub(super) format: Format,
    pub(super) side: Side,
    pub(super) style: Style,
    pub(super) line_width: f32,
    pub(super) is_stacked: bool,
    /// Whether the axis is logarithmic: the points are logarithms then.
    pub(super) is_log: bool,
    /// In order of time, with the last one before the window.
    pub(super) points: Vec<Point>,
    pub(super) facts: Facts,
}

/// Of the numbers in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) last: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) mean: Option<f64>,
}

/// The series that the settings show, in their order.
pub(super) fn curves(settings: &Settings, series: &[Latest], span: Range<i64>) -> Vec<Curve> {
    let mut curves = vec![];
    let plain = |name: &SeriesName| Entry::plain(name.clone());
    if settings.series.is_empty() {
        for series in series {
            curves.push(curve(settings, &plain(&series.name), series, true, curves.len(), &span));
        }
        return curves;
    }
    for entry in &settings.series {
        let found: Vec<_> = series.iter().filter(|series| entry.name.selects(&series.name)).collect();
        for series in &found {
            curves.push(curve(settings, entry, series, found.len() == 1, curves.len(), &span));
        }
        if found.is_empty() {
            // Its place in the legend, and its colour, are there before its first number.
            let empty = Latest { name: entry.name.clone(), points: vec![] };
            curves.push(curve(settings, entry, &empty, true, curves.len(), &span));
        }
    }
    curves
}

impl Entry {
    /// An entry with the defaults.
    pub fn plain(name: Selector) -> Self {
        Entry {
            name,
            label: String::new(),
            colour: None,
            unit: None,
            axis: Side::Left,
            style: Style::Line,
            line_width: None,
            stack: false,
            rate: false,
            factor: None,
            topic: String::new(),
            pointer: None,
        }
    }

    fn label_of(&self, name: &SeriesName, is_only: bool) -> String {
        if self.label.is_empty() {
            return if is_only { self.name.to_string() } else { name.to_string() };
        }
        let mut label = self.label.clone();
        for (key, value) in &name.tags {
            label = label.replace(&format!("{{{key}}}"), value);
        }
        label
    }
}

fn curve(settings: &Settings, entry: &Entry, series: &Latest, is_only: bool, index: usize, span: &Range<i64>) -> Curve {
    let axis = settings.axis(entry.axis);
    let mut points = if entry.rate { rates(&series.points) } else { series.points.clone() };
    if let Some(factor) = entry.factor {
        points.iter_mut().for_each(|point| point.value *= factor);
    }
    // Points of a clock that is ahead are within the next minute: they are shown when their time has come.
    points.truncate(points.partition_point(|point| point.at <= span.end));
    let facts = facts(&points, span);
    if axis.is_log() {
        points.iter_mut().for_each(|point| point.value = logarithm(point.value).unwrap_or(f64::NAN));
    }
    Curve {
        label: entry.label_of(&series.name, is_only),
        colour: entry.colour.filter(|_| is_only).unwrap_or_else(|| Colour::of_series(index)),
        format: Format::new(entry.unit.as_ref().unwrap_or(&axis.unit), axis.prefix),
        side: entry.axis,
        style: entry.style,
        line_width: entry.line_width.unwrap_or_else(|| (f64::from(settings.height) / 360.0).max(1.5)) as f32,
        is_stacked: entry.stack,
        is_log: axis.is_log(),
        facts,
        points,
    }
}

/// The increase of a counter in a second, at each point but the first. A smaller number is a counter that began at 0 again.
fn rates(points: &[Point]) -> Vec<Point> {
    let mut rates = Vec::with_capacity(points.len());
    for pair in points.windows(2) {
        let [before, point] = pair else { continue };
        let seconds = point.at.saturating_sub(before.at) as f64 / 1e6;
        let increase = if point.value < before.value { point.value } else { point.value - before.value };
        rates.push(Point { at: point.at, value: increase / seconds });
    }
    rates
}

fn facts(points: &[Point], span: &Range<i64>) -> Facts {
    let within = points.iter().filter(|point| point.at >= span.start && point.value.is_finite());
    let (mut facts, mut sum, mut count) = (Facts::default(), 0.0, 0_u32);
    for point in within {
        facts.last = Some(point.value);
        facts.min = Some(facts.min.map_or(point.value, |min| min.min(point.value)));
        facts.max = Some(facts.max.map_or(point.value, |max| max.max(point.value)));
        sum += point.value;
        count += 1;
    }
    facts.mean = (count > 0).then(|| sum / f64::from(count));
    facts
}

/// The smallest and the largest number in each part of a pixel column; the smallest is larger where there is none.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    low: Vec<f64>,
    high: Vec<f64>,
    /// What the series stands on.
    base: Vec<f64>,
}

impl Envelope {
    /// The intervals of a curve over so many pixel columns.
    pub(super) fn new(curve: &Curve, span: &Range<i64>, columns: usize, gap: Option<i64>) -> Self {
        let parts = columns * SUB;
        // The logarithm of 0 is below every axis.
        let base = if curve.is_log { f64::MIN } else { 0.0 };
        let mut envelope =
            Envelope { low: vec![f64::INFINITY; parts], high: vec![f64::NEG_INFINITY; parts], base: vec![base; parts] };
        let length = (span.end - span.start).max(1) as f64;
        let x = |at: i64| at.saturating_sub(span.start) as f64 / length * parts as f64;
        let bar = match curve.points.as_slice() {
            [first, .., last] => (x(last.at) - x(first.at)) / (curve.points.len() - 1) as f64 * 0.4,
            _ => 0.0,
        };
        let bar = bar.clamp(SUB as f64 * 0.5, parts as f64);
        let mut before: Option<Point> = None;
        for point in &curve.points {
            if !point.value.is_finite() {
                before = None;
                continue;
            }
            let at = x(point.at);
            match curve.style {
                Style::Bars => envelope.line((at - bar, point.value), (at + bar, point.value)),
                _ => envelope.line((at, point.value), (at, point.value)),
            }
            let is_near = |before: &Point| gap.is_none_or(|gap| point.at.saturating_sub(before.at) <= gap);
            if let Some(from) = before.filter(is_near) {
                let start = (x(from.at), from.value);
                match curve.style {
                    Style::Line | Style::Area => envelope.line(start, (at, point.value)),
                    Style::Step => {
                        envelope.line(start, (at, from.value));
                        envelope.line((at, from.value), (at, point.value));
                    }
                    Style::Bars | Style::Points => {}
                }
            }
            before = Some(*point);
        }
        // The last number holds until now.
        if let (Style::Step, Some(last)) = (curve.style, before)
            && gap.is_none_or(|gap| span.end.saturating_sub(last.at) <= gap)
        {
            envelope.line((x(last.at), last.value), (parts as f64, last.value));
        }
        envelope
    }

    /// Widens the intervals by a part of a line.
    fn line(&mut self, (x0, y0): (f64, f64), (x1, y1): (f64, f64)) {
        let most = self.low.len() as f64;
        if x1 < 0.0 || x0 >= most {
            return;
        }
        let (first, last) = (x0.max(0.0) as usize, (x1.min(most - 1.0)) as usize);
        let slope = if x1 > x0 { (y1 - y0) / (x1 - x0) } else { 0.0 };
        for part in first..=last {
            let at = |x: f64| y0 + (x - x0) * slope;
            let (from, to) = if first == last && x0 >= 0.0 && x1 < most {
                (y0, y1)
            } else {
                (at(x0.max(part as f64)), at(x1.min(part as f64 + 1.0)))
            };
            self.low[part] = self.low[part].min(from).min(to);
            self.high[part] = self.high[part].max(from).max(to);
        }
    }

    /// Puts the series on top of what is stacked already, and adds it to that.
    pub(super) fn stack(&mut self, on: &mut Vec<f64>) {
        on.resize(self.low.len(), 0.0);
        self.base.clone_from(on);
        for ((low, high), on) in self.low.iter_mut().zip(&mut self.high).zip(on) {
            if low <= high {
                let middle = (*low + *high) / 2.0;
                *low += *on;
                *high += *on;
                *on += middle;
            }
        }
    }

    /// Puts the series on one number.
    pub(super) fn stand_on(&mut self, base: f64) {
        self.base.fill(base);
    }

    /// The smallest and the largest number; none without numbers.
    pub(super) fn range(&self, with_base: bool) -> Option<Range<f64>> {
        let (mut least, mut largest) = (f64::INFINITY, f64::NEG_INFINITY);
        for ((low, high), base) in self.low.iter().zip(&self.high).zip(&self.base) {
            if low <= high {
                least = if with_base { least.min(*low).min(*base) } else { least.min(*low) };
                largest = if with_base { largest.max(*high).max(*base) } else { largest.max(*high) };
            }
        }
        (least <= largest).then_some(least..largest)
    }

    /// The shape of a line of this width, in a plot of these rows. A line is widened in all directions, so that its peaks are round and as
    /// high as the numbers.
    pub(super) fn stroke(&self, scale: &Scale, rows: &Range<f32>, width: f32) -> Spans {
        let Spans { top, bottom } = self.rows(scale, rows);
        let radius = width / 2.0;
        let reach = (radius * SUB as f32).ceil() as usize;
        let disc: Vec<f32> = (0..=reach)
            .map(|i| {
                let x = (i as f32 / SUB as f32).min(radius);
                (radius * radius - x * x).sqrt()
            })
            .collect();
        let mut spans = Spans { top: vec![f32::MAX; top.len()], bottom: vec![f32::MIN; top.len()] };
        for i in (0..top.len()).filter(|i| top[*i] <= bottom[*i]) {
            let from = i.saturating_sub(reach);
            let to = (i + reach).min(top.len() - 1);
            for part in from..=to {
                let half = disc[part.abs_diff(i)];
                spans.top[part] = spans.top[part].min(top[i] - half);
                spans.bottom[part] = spans.bottom[part].max(bottom[i] + half);
            }
        }
        spans
    }

    /// The area between the numbers and what they stand on.
    pub(super) fn area(&self, scale: &Scale, rows: &Range<f32>) -> Spans {
        let mut spans = self.rows(scale, rows);
        let base = self.base.iter().map(|base| row(scale, rows, *base));
        for ((top, bottom), base) in spans.top.iter_mut().zip(&mut spans.bottom).zip(base) {
            if top <= bottom {
                // From the middle of a steep part, so that neighbours meet.
                let middle = (*top + *bottom) / 2.0;
                (*top, *bottom) = if middle < base { (*top, base) } else { (base, *bottom) };
            }
        }
        spans
    }

    fn rows(&self, scale: &Scale, rows: &Range<f32>) -> Spans {
        let mut spans = Spans { top: Vec::with_capacity(self.low.len()), bottom: Vec::with_capacity(self.low.len()) };
        for (low, high) in self.low.iter().zip(&self.high) {
            let is_there = low <= high;
            spans.top.push(if is_there { row(scale, rows, *high) } else { f32::MAX });
            spans.bottom.push(if is_there { row(scale, rows, *low) } else { f32::MIN });
        }
        spans
    }
}

/// The row of a place on the axis. Far outside of the plot all are at one row, within what calculations with 32 bits hold.
pub(super) fn row(scale: &Scale, rows: &Range<f32>, place: f64) -> f32 {
    let height = rows.end - rows.start;
    rows.end - scale.at(place).clamp(-100.0, 100.0) as f32 * height
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(pairs: &[(i64, f64)]) -> Vec<Point> {
        pairs.iter().map(|(at, value)| Point { at: *at, value: *value }).collect()
    }

    #[test]
    fn a_counter_that_restarts_has_no_negative_rate() {
        let counter =
            points(&[(0, 100.0), (1_000_000, 150.0), (3_000_000, 50.0), (4_000_000, f64::NAN), (5_000_000, 70.0)]);
        let rates: Vec<_> = rates(&counter).into_iter().map(|point| point.value).collect();
        assert_eq!(rates[..2], [50.0, 25.0]);
        assert!(rates[2].is_nan() && rates[3].is_nan());
    }

    #[test]
    fn labels_have_the_values_of_tags() {
        let series = |name: &str| Latest { name: name.parse().expect("a name"), points: vec![] };
        let all = [series("cpu{cpu=0,host=pi}"), series("cpu{cpu=1,host=pi}"), series("mem")];
        let settings = serde_json::json!({"series": [{"name": "cpu{host=pi}", "label": "CPU {cpu} {none}"}, {"name": "mem"}, {"name": "disk"}]});
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let labels: Vec<_> = curves(&settings, &all, 0..1).into_iter().map(|curve| curve.label).collect();
        assert_eq!(labels, ["CPU 0 {none}", "CPU 1 {none}", "mem", "disk"]);
        let labels: Vec<_> = curves(&Settings::default(), &all, 0..1).into_iter().map(|curve| curve.label).collect();
        assert_eq!(labels[0], "cpu{cpu=0,host=pi}");
    }

    #[test]
    fn an_envelope_has_every_number_and_stops_at_gaps() {
        let entry = Entry::plain("a".parse().expect("a name"));
        let series = Latest {
            name: entry.name.clone(),
            points: points(&[
                (-10, 0.0),
                (10, 2.0),
                (11, 90.0),
                (12, 2.0),
                (50, 2.0),
                (60, f64::NAN),
                (70, 4.0),
                (90, 4.0),
            ]),
        };
        let curve = curve(&Settings::default(), &entry, &series, true, 0, &(0..100));
        let envelope = Envelope::new(&curve, &(0..100), 25, Some(30));
        let has = |x: usize| envelope.low[x] <= envelope.high[x];
        // 100 parts for 100 microseconds; the pauses from 12 to 50 and around the number that is none are gaps.
        assert_eq!((envelope.low[0], envelope.high[9]), (1.0, 2.0), "the line comes in from before the window");
        assert_eq!((envelope.high[11], envelope.range(false)), (90.0, Some(1.0..90.0)));
        assert!(has(12) && !has(30) && has(50) && !has(60) && has(70) && has(80) && has(90) && !has(95));
        assert_eq!(curve.facts, Facts { last: Some(4.0), min: Some(2.0), max: Some(90.0), mean: Some(104.0 / 6.0) });
    }

    #[test]
    fn stacked_series_stand_on_each_other() {
        let entry = Entry { stack: true, ..Entry::plain("a".parse().expect("a name")) };
        let series = Latest { name: entry.name.clone(), points: points(&[(0, 2.0), (100, 2.0)]) };
        let curve = curve(&Settings::default(), &entry, &series, true, 0, &(0..100));
        let mut on = vec![];
        let [mut first, mut second] = [0, 1].map(|_| Envelope::new(&curve, &(0..100), 10, None));
        first.stack(&mut on);
        second.stack(&mut on);
        assert_eq!((first.range(true), second.range(true)), (Some(0.0..2.0), Some(2.0..4.0)));
    }
}
