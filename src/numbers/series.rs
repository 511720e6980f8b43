//! One series: its points in order of time, within the window and a number of points.

use std::collections::VecDeque;

/// A number at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Microseconds since 1970.
    pub at: i64,
    /// The number. Not a number for a gap.
    pub value: f64,
}

/// The points of one series.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    points: VecDeque<Point>,
}

impl Series {
    pub(super) fn points(&self) -> &VecDeque<Point> {
        &self.points
    }

    /// Adds points in any order. Of two points of one time the later one stays.
    pub(super) fn add(&mut self, mut new: Vec<Point>) {
        let is_ordered = new.is_sorted_by(|a, b| a.at < b.at);
        let last = self.points.back().map_or(i64::MIN, |point| point.at);
        if is_ordered && new.first().is_none_or(|first| first.at > last) {
            self.points.extend(new);
            return;
        }
        // A batch is merged in one pass: points that arrive in reverse order would otherwise each move all others. The sort is
        // stable, so that the later one of two follows the earlier one.
        new.sort_by_key(|point| point.at);
        let from = new.first().map_or(last, |first| first.at);
        let tail = self.points.split_off(self.points.partition_point(|point| point.at < from));
        let mut old = tail.into_iter().peekable();
        for point in new {
            while let Some(before) = old.next_if(|before| before.at <= point.at) {
                self.put(before);
            }
            self.put(point);
        }
        for point in old {
            self.put(point);
        }
    }

    fn put(&mut self, point: Point) {
        match self.points.back_mut() {
            Some(last) if last.at == point.at => *last = point,
            _ => self.points.push_back(point),
        }
    }

    /// Drops points older than `oldest`, except the last one of them, from which a line leads into the window.
    pub(super) fn drop_before(&mut self, oldest: i64) {
        let old = self.points.partition_point(|point| point.at < oldest);
        if old > 1 {
            self.points.drain(..old - 1);
        }
    }

    /// Makes room when there are more than `most` points: of each part of the window, the smallest and the largest number stay,
    /// at their times, and a gap stays a gap. So a window of any length has all of its spikes in a bounded number of points.
    pub(super) fn thin(&mut self, window: i64, most: usize) {
        if self.points.len() <= most {
            return;
        }
        // At most three points for each part.
        let parts = i64::try_from(most / 6).unwrap_or(i64::MAX).max(1);
        let span = match (self.points.front(), self.points.back()) {
            (Some(first), Some(last)) => last.at.saturating_sub(first.at).min(window.saturating_mul(2)).max(1),
            _ => 1,
        };
        let width = (span / parts).max(1);
        let (mut kept, mut part) = (VecDeque::with_capacity(most / 2 + 8), Part::default());
        for point in &self.points {
            let index = point.at.div_euclid(width);
            if part.index != Some(index) {
                std::mem::take(&mut part).finish(&mut kept);
                part.index = Some(index);
            }
            part.take(*point);
        }
        part.finish(&mut kept);
        // More can stay only if the times span more than the window, as between the points of two clocks.
        let surplus = kept.len().saturating_sub(most);
        kept.drain(..surplus);
        self.points = kept;
    }

    /// Drops the oldest points until there are at most `most`. Returns how many went.
    pub(super) fn truncate(&mut self, most: usize) -> usize {
        let surplus = self.points.len().saturating_sub(most);
        self.points.drain(..surplus);
        surplus
    }
}

/// What stays of one part of the window.
#[derive(Default)]
struct Part {
    index: Option<i64>,
    least: Option<Point>,
    largest: Option<Point>,
    gap: Option<Point>,
}

impl Part {
    fn take(&mut self, point: Point) {
        if point.value.is_nan() {
            self.gap = Some(point);
            return;
        }
        if self.least.is_none_or(|least| point.value < least.value) {
            self.least = Some(point);
        }
        if self.largest.is_none_or(|largest| point.value > largest.value) {
            self.largest = Some(point);
        }
    }

    fn finish(self, to: &mut VecDeque<Point>) {
        let mut kept: Vec<Point> = [self.least, self.largest, self.gap].into_iter().flatten().collect();
        kept.sort_by_key(|point| point.at);
        kept.dedup_by_key(|point| point.at);
        to.extend(kept);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(pairs: &[(i64, f64)]) -> Vec<Point> {
        pairs.iter().map(|(at, value)| Point { at: *at, value: *value }).collect()
    }

    #[test]
    fn points_in_any_order_are_in_order_and_the_later_one_of_a_time_stays() {
        let mut series = Series::default();
        series.add(points(&[(10, 1.0), (30, 3.0)]));
        series.add(points(&[(40, 4.0), (20, 2.0), (30, 9.0), (20, 7.0)]));
        assert_eq!(series.points, points(&[(10, 1.0), (20, 7.0), (30, 9.0), (40, 4.0)]));
        series.drop_before(30);
        assert_eq!(series.points, points(&[(20, 7.0), (30, 9.0), (40, 4.0)]), "a line leads into the window");
    }

    #[test]
    fn a_window_that_gets_more_points_than_it_may_have_keeps_each_spike() {
        let (window, most) = (1_000_000, 600);
        let mut series = Series::default();
        for at in 0..window {
            let value = match at {
                123_456 => 1e6,
                654_321 => -1e6,
                _ => (at % 7) as f64,
            };
            series.add(points(&[(at, value)]));
            series.thin(window, most);
            assert!(series.points.len() <= most);
        }
        let has = |at, value| series.points.contains(&Point { at, value });
        assert!(has(123_456, 1e6) && has(654_321, -1e6));
        assert_eq!(
            series.points.front().map(|first| first.at < 20_000),
            Some(true),
            "the window begins where it began"
        );
        assert!(series.points.len() > most / 8, "{} points", series.points.len());
    }

    proptest! {
        #[test]
        fn the_order_holds_and_the_extremes_stay(batches in proptest::collection::vec(proptest::collection::vec((0_i64..500, -9_i32..9), 0..40), 0..12)) {
            let (mut series, mut model) = (Series::default(), std::collections::BTreeMap::new());
            for batch in &batches {
                let new: Vec<_> = batch.iter().map(|(at, value)| Point { at: *at, value: f64::from(*value) }).collect();
                model.extend(batch.iter().map(|(at, value)| (*at, f64::from(*value))));
                series.add(new);
                prop_assert!(series.points.iter().map(|point| (point.at, point.value)).eq(model.clone()));
            }
            let extremes = |points: &mut dyn Iterator<Item = f64>| points.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
            let before = extremes(&mut model.values().copied());
            series.thin(500, 12);
            prop_assert!(series.points.len() <= 12);
            prop_assert!(series.points.iter().is_sorted_by(|a, b| a.at < b.at));
            prop_assert_eq!(extremes(&mut series.points.iter().map(|point| point.value)), before);
        }
    }
}
