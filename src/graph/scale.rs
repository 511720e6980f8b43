//! The range of an axis, and its steps. The place of a number on a linear axis is the number, and on a logarithmic one its logarithm to
//! base 10.

use std::ops::Range;

/// Numbers beyond this are drawn at it: the difference of two of them is still a number.
const LARGEST: f64 = 1e300;

/// Powers of ten beyond these are drawn at them.
const DECADES: Range<f64> = -300.0..300.0;

/// Least length of a logarithmic axis: from 1 to 1.26.
const SHORTEST: f64 = 0.1;

/// From this length in powers of ten on, a logarithmic axis ends at powers of ten.
const LONG: f64 = 3.0;

/// What an axis must show, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) soft_min: Option<f64>,
    pub(super) soft_max: Option<f64>,
}

/// The range of an axis, in places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    /// The difference of two steps of a linear axis.
    pub(super) step: f64,
    log: Option<Log>,
}

/// How a logarithmic axis is divided.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Log {
    /// Most steps.
    count: usize,
    is_binary: bool,
}

/// The place of a number on a logarithmic axis; none for a number that is not above 0.
pub(super) fn logarithm(number: f64) -> Option<f64> {
    (number > 0.0).then(|| number.log10().clamp(DECADES.start, DECADES.end))
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
        Scale { low, high, step, log: None }
    }

    /// The range of these logarithms (none: 1 to 10), with at most about `count` steps.
    pub(super) fn logarithmic(places: Option<Range<f64>>, limits: Limits, count: usize, is_binary: bool) -> Self {
        let place = |end: Option<f64>| end.and_then(logarithm);
        let (soft_min, soft_max) = (place(limits.soft_min), place(limits.soft_max));
        let places = places.filter(|range| range.start <= range.end).unwrap_or(match (soft_min, soft_max) {
            (None, None) => 0.0..1.0,
            (low, high) => {
                let low = low.or(high).unwrap_or_default();
                low..high.unwrap_or(low)
            }
        });
        let mut low = soft_min.map_or(places.start, |soft| soft.min(places.start));
        let mut high = soft_max.map_or(places.end, |soft| soft.max(places.end));
        let (min, max) = (place(limits.min), place(limits.max));
        (low, high) = (min.unwrap_or(low), max.unwrap_or(high));
        if high - low < SHORTEST {
            match (min, max) {
                (Some(_), _) => high = low + SHORTEST,
                (_, Some(_)) => low = high - SHORTEST,
                _ => (low, high) = (low - SHORTEST / 2.0, high + SHORTEST / 2.0),
            }
        }
        let is_long = high - low >= LONG;
        let within = |place: f64, factors: [f64; 4]| {
            let decade = place.floor();
            factors.map(|factor| decade + factor.log10()).into_iter().filter(move |_| !is_long)
        };
        if min.is_none() {
            let below = within(low, [1.0, 2.0, 5.0, 10.0]).filter(|end| *end <= low + 1e-9);
            low = below.fold(low.floor(), f64::max);
        }
        if max.is_none() {
            let above = within(high, [1.0, 2.0, 5.0, 10.0]).filter(|end| *end >= high - 1e-9);
            high = above.fold((high - 1e-9).ceil(), f64::min);
        }
        Scale { low, high: high.max(low + SHORTEST), step: 0.0, log: Some(Log { count: count.max(1), is_binary }) }
    }

    /// The place of a number.
    pub(super) fn place(&self, number: f64) -> f64 {
        if self.log.is_none() { number } else { logarithm(number).unwrap_or(f64::MIN) }
    }

    /// The steps of a logarithmic axis: at 1, 2 and 5 of each power of ten, at each power, or at each second, third … one, whatever
    /// there is room for. An axis that is too short for two of them has equal differences.
    fn powers(&self, log: Log) -> Vec<f64> {
        const DECIMAL: [&[f64]; 2] = [&[1.0, 2.0, 5.0], &[1.0]];
        let within = |number: &f64| (self.low - 1e-9..=self.high + 1e-9).contains(&number.log10());
        let steps = |base: f64, factors: &[f64]| -> Vec<f64> {
            let width = base.log10();
            let (first, last) = ((self.low / width).floor() as i32, (self.high / width).ceil() as i32);
            let all = (first..=last).flat_map(|n| factors.iter().map(move |factor| base.powi(n) * factor));
            all.filter(within).collect()
        };
        let bases: &[i32] =
            if log.is_binary { &[1, 2, 5, 10, 20, 50, 100, 200, 500] } else { &[1, 2, 3, 5, 10, 20, 50, 100, 200] };
        let unit: f64 = if log.is_binary { 2.0 } else { 10.0 };
        let finest = if log.is_binary { None } else { Some(steps(unit, DECIMAL[0])) };
        let others = bases.iter().map(|every| steps(unit.powi(*every), DECIMAL[1]));
        let found = finest.into_iter().chain(others).find(|steps| steps.len() <= log.count + 1).unwrap_or_default();
        if found.len() >= 2 {
            return found;
        }
        let ends = 10_f64.powf(self.low)..10_f64.powf(self.high);
        let even = Scale::new(Some(ends), Limits::default(), log.count, log.is_binary).ticks();
        even.into_iter().filter(within).collect()
    }

    /// The numbers of the steps within the range.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if let Some(log) = self.log {
            return self.powers(log);
        }
        // No range has as many; a wrong one must not fill the memory.
        const MOST: i32 = 200;
        let first = (self.low / self.step - 1e-9).ceil();
        let all = (0..MOST).map(|i| (first + f64::from(i)) * self.step);
        all.take_while(|tick| *tick <= self.high + self.step * 1e-6).collect()
    }

    /// Where a place is: 0 at the low end, 1 at the high one.
    pub(super) fn at(&self, place: f64) -> f64 {
        (place.clamp(-LARGEST, LARGEST) - self.low) / (self.high - self.low)
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

    #[test]
    fn a_logarithmic_axis_has_steps_of_equal_factors() {
        let none = Limits::default();
        let axis = |numbers: Option<Range<f64>>, limits, count, is_binary| {
            let places = numbers.map(|range| range.start.log10()..range.end.log10());
            let scale = Scale::logarithmic(places, limits, count, is_binary);
            let ends = [scale.low, scale.high].map(|place| format!("{:.4}", 10_f64.powf(place)));
            let ticks = scale.ticks().into_iter().map(|tick| format!("{tick:.4}")).collect::<Vec<_>>();
            (ends.join(" "), ticks.join(" ").replace(".0000", ""))
        };
        let is = |ends: &str, ticks: &str| (ends.to_owned(), ticks.to_owned());
        assert_eq!(axis(Some(3.0..70.0), none, 6, false), is("2.0000 100.0000", "2 5 10 20 50 100"));
        assert_eq!(axis(Some(3.0..70_000.0), none, 6, false), is("1.0000 100000.0000", "1 10 100 1000 10000 100000"));
        assert_eq!(axis(Some(3.0..70_000.0), none, 3, false), is("1.0000 100000.0000", "1 100 10000"));
        assert_eq!(axis(Some(0.02..0.5), none, 6, false), is("0.0200 0.5000", "0.0200 0.0500 0.1000 0.2000 0.5000"));
        let hard = Limits { min: Some(20.0), max: Some(44.0), ..none };
        assert_eq!(axis(Some(3.0..70.0), hard, 5, false), is("20.0000 44.0000", "20 25 30 35 40"));
        let soft = Limits { soft_min: Some(1.0), soft_max: Some(1000.0), ..none };
        assert_eq!(axis(Some(30.0..70.0), soft, 4, false), is("1.0000 1000.0000", "1 10 100 1000"));
        assert_eq!(axis(None, none, 4, false), is("1.0000 10.0000", "1 2 5 10"));
        assert_eq!(axis(None, soft, 4, false).0, "1.0000 1000.0000");
        assert_eq!(axis(Some(1.0..1024.0), none, 5, true), is("1.0000 10000.0000", "1 32 1024"));
        // A constant, and one at a step.
        for number in [7.0, 10.0] {
            let (ends, ticks) = axis(Some(number..number), none, 5, false);
            assert!(ticks.split(' ').count() >= 2, "{number}: {ends}: {ticks}");
        }
        assert_eq!(
            (logarithm(100.0), logarithm(0.0), logarithm(-1.0), logarithm(f64::NAN)),
            (Some(2.0), None, None, None)
        );
    }

    proptest! {
        #[test]
        fn every_logarithmic_range_has_a_bounded_number_of_steps(a in -300.0..300.0_f64, b in -300.0..300.0_f64, min in proptest::option::of(1e-300..1e300_f64), soft in proptest::option::of(1e-300..1e300_f64), count in 1_usize..20, is_binary: bool) {
            let limits = Limits { min, max: None, soft_min: soft, soft_max: soft };
            let scale = Scale::logarithmic(Some(a.min(b)..a.max(b)), limits, count, is_binary);
            prop_assert!(scale.low < scale.high && (scale.high - scale.low).is_finite(), "{scale:?}");
            let ticks = scale.ticks();
            prop_assert!(ticks.len() <= 200, "{scale:?}: {}", ticks.len());
            prop_assert!(ticks.iter().all(|tick| (-0.01..=1.01).contains(&scale.at(scale.place(*tick)))), "{scale:?}");
        }

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
