//! Made-up numbers, to show how a graph looks before there are any.

use std::f64::consts::TAU;

use super::settings::Settings;
use crate::numbers::{Latest, Point, Selector};

/// Points of each curve.
const POINTS: i64 = 240;

/// A curve for each series of the settings, within the axis; two for settings without series.
pub fn sample(settings: &Settings, now: i64) -> Vec<Latest> {
    let span = settings.span(now);
    let names: Vec<Selector> = match settings.series.as_slice() {
        [] => ["one", "two"].map(|name| Selector::new(name, [])).into(),
        series => series.iter().map(|entry| entry.name.clone()).collect(),
    };
    let curve = |index: usize, name: Selector| {
        let entry = settings.series.get(index);
        let axis = settings.axis(entry.map(|entry| entry.axis).unwrap_or_default());
        let is_log = axis.is_log();
        let low = axis.min.or(axis.soft_min).unwrap_or(if is_log { 1.0 } else { 0.0 });
        let usual = if is_log { low * 1000.0 } else { low + 100.0 };
        let high = axis.max.or(axis.soft_max).filter(|high| *high > low).unwrap_or(usual);
        let step = ((span.end - span.start) / POINTS).max(1);
        let mut sum = 0.0;
        let points = (0..=POINTS).map(|i| {
            let x = i as f64 / POINTS as f64 + 0.37 * index as f64;
            let wave = 0.5 + 0.22 * (TAU * 1.7 * x).sin() + 0.1 * (TAU * 7.3 * x).sin() + 0.04 * (TAU * 31.0 * x).cos();
            let value = if is_log { low * (high / low).powf(wave) } else { low + (high - low) * wave };
            // A counter grows.
            sum += value * step as f64 / 1e6;
            let is_counter = entry.is_some_and(|entry| entry.rate);
            Point { at: span.start + i * step, value: if is_counter { sum } else { value } }
        });
        Latest { points: points.collect(), name }
    };
    names.into_iter().enumerate().map(|(index, name)| curve(index, name)).collect()
}
