//! The range of an axis, and its steps.

use std::ops::Range;

/// Numbers beyond this are drawn at it: the difference of two of them is still a number.
const LARGEST: f64 = 1e300;

/// What an axis must show.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) soft_min: Option<f64>,
    pub(super) soft_max: Option<f64>,
}

/// The range of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) step: f64,
}

impl Scale {
    /// The range of these numbers (none: 0 to 1), with about `count` steps.
    pub(super) fn new(numbers: Option<Range<f64>>, limits: Limits, count: usize, is_binary: bool) -> Self {
        let bounded = |value: f64| value.clamp(-LARGEST, LARGEST);
        let numbers = numbers.filter(|range| range.start <= range.end).unwrap_or(match limits {
            Limits { soft_min: None, soft_max: None, .. } => 0.0..1.0,
            Limits { soft_min, soft_max, .. } => {
                let low = soft_min.or(soft_max).unwrap_or_default();
                low..soft_max.unwrap_or(low)
            }
        });
        let mut low = bounded(limits.soft_min.map_or(numbers.start, |soft| soft.min(numbers.start)));
        let mut high = bounded(limits.soft_max.map_or(numbers.end, |soft| soft.max(numbers.end)));
        low = limits.min.map_or(low, bounded);
        high = limits.max.map_or(high, bounded);
        // A constant is in the middle. Below the precision of a number there are no steps.
        let least = (low.abs().max(high.abs()) * 1e-9).max(1e-12);
        if high - low < least {
            let half = if low == 0.0 && high == 0.0 { 1.0 } else { (low.abs().max(high.abs()) * 0.1).max(least) };
            match (limits.min, limits.max) {
                (Some(_), _) => high = low + 2.0 * half,
                (_, Some(_)) => low = high - 2.0 * half,
                _ => (low, high) = (low - half, high + half),
            }
        }
        let step = nice((high - low) / count.max(1) as f64, is_binary);
        if limits.min.is_none() {
            low = (low / step + 1e-9).floor() * step;
        }
        if limits.max.is_none() {
            high = (high / step - 1e-9).ceil() * step;
        }
        Scale { low, high, step }
    }

    /// The steps within the range.
    pub(super) fn ticks(&self) -> Vec<f64> {
        // No range has as many; a wrong one must not fill the memory.
        const MOST: i32 = 200;
        let first = (self.low / self.step - 1e-9).ceil();
        let all = (0..MOST).map(|i| (first + f64::from(i)) * self.step);
        all.take_while(|tick| *tick <= self.high + self.step * 1e-6).collect()
    }

    /// Where a number is: 0 at the low end, 1 at the high one.
    pub(super) fn at(&self, value: f64) -> f64 {
        (value.clamp(-LARGEST, LARGEST) - self.low) / (self.high - self.low)
    }
}

/// The next larger step that people count in: 1, 2 or 5 and zeros; or a power of two.
fn nice(step: f64, is_binary: bool) -> f64 {
    if is_binary && step >= 1.0 {
        return 2_f64.powi(step.log2().ceil() as i32);
    }
    let power = 10_f64.powi(step.log10().floor() as i32);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * 0.9999).unwrap_or(10.0);
    factor * power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scale(numbers: Option<Range<f64>>, limits: Limits) -> (f64, f64, f64) {
        let scale = Scale::new(numbers, limits, 5, false);
        (scale.low, scale.high, scale.step)
    }

    #[test]
    fn an_axis_ends_at_steps_except_at_its_hard_limits() {
        let none = Limits::default();
        for (numbers, limits, expected) in [
            (Some(3.0..97.0), none, (0.0, 100.0, 20.0)),
            (Some(0.0..0.7), none, (0.0, 0.8, 0.2)),
            (Some(3.0..97.0), Limits { min: Some(7.0), max: Some(93.0), ..none }, (7.0, 93.0, 20.0)),
            (Some(40.0..60.0), Limits { soft_min: Some(0.0), soft_max: Some(100.0), ..none }, (0.0, 100.0, 20.0)),
            (Some(-5.0..160.0), Limits { soft_min: Some(0.0), soft_max: Some(100.0), ..none }, (-50.0, 200.0, 50.0)),
            (None, none, (0.0, 1.0, 0.2)),
            (Some(0.0..0.0), none, (-1.0, 1.0, 0.5)),
            (Some(5.0..5.0), Limits { min: Some(0.0), max: Some(0.0), ..none }, (0.0, 2.0, 0.5)),
        ] {
            let (low, high, step) = scale(numbers.clone(), limits);
            let is_near = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(
                is_near(low, expected.0) && is_near(high, expected.1) && is_near(step, expected.2),
                "{numbers:?} {limits:?}: {low} {high} {step}"
            );
        }
        let binary = Scale::new(Some(0.0..5000.0), none, 5, true);
        assert_eq!((binary.high, binary.step), (5120.0, 1024.0));
    }

    proptest! {
        #[test]
        fn every_range_has_a_bounded_number_of_steps(a in proptest::num::f64::ANY, b in proptest::num::f64::ANY, min in proptest::option::of(proptest::num::f64::NORMAL), soft in proptest::option::of(proptest::num::f64::NORMAL), count in 1_usize..20, is_binary: bool) {
            let limits = Limits { min, max: None, soft_min: soft, soft_max: soft };
            let scale = Scale::new(Some(a.min(b)..a.max(b)), limits, count, is_binary);
            prop_assert!(scale.low < scale.high && scale.step > 0.0 && (scale.high - scale.low).is_finite(), "{scale:?}");
            prop_assert!(scale.ticks().len() <= 200);
            prop_assert!(scale.ticks().iter().all(|tick| (-0.01..=1.01).contains(&scale.at(*tick))), "{scale:?}");
        }
    }
}
