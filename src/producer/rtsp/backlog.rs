//! [`Backlog`]: access units that wait for the decoder, or for a watcher that needs them.

use std::{collections::VecDeque, time::SystemTime};

use bytes::Bytes;

use crate::stream::Demand;

/// Most units kept: half a minute at 30 a second. Groups of pictures are 1 to 10 s long. The decoder cannot catch
/// up with the end of a longer group and waits for the next keyframe.
const MAX_UNITS: usize = 900;

/// Most bytes kept: ten seconds at 13 Mbit/s.
const MAX_BYTES: usize = 16 << 20;

/// Most units that can wait when a keyframe arrives without being skipped: one second.
const LATE: usize = 30;

/// A coded picture as a camera sent it: an access unit, or a JPEG.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReceivedUnit {
    /// The bytes, in the form that the engine accepts.
    pub(super) data: Bytes,
    /// Whether it is a keyframe, which refers to no other unit.
    pub(super) is_key: bool,
    /// When it arrived.
    pub(super) received: SystemTime,
}

/// Units in the order of arrival. A unit that refers to others is returned only if all of those were returned.
#[derive(Debug)]
pub(super) struct Backlog {
    units: VecDeque<ReceivedUnit>,
    bytes: usize,
    /// Whether a unit is missing, so that no unit before the next keyframe can be decoded.
    is_broken: bool,
    skipped: usize,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Backlog { units: VecDeque::new(), bytes: 0, is_broken: true, skipped: 0 }
    }

    /// Adds a unit.
    pub(super) fn push(&mut self, unit: ReceivedUnit, demand: Demand) {
        if unit.is_key {
            if demand != Demand::Continuous || self.units.len() > LATE {
                self.clear();
            }
            self.is_broken = false;
        } else if self.is_broken {
            self.skipped += 1;
            return;
        }
        self.bytes += unit.data.len();
        self.units.push_back(unit);
        if self.units.len() > MAX_UNITS || self.bytes > MAX_BYTES {
            // A keyframe alone can exceed the bounds and is useful nevertheless.
            let last = self.units.pop_back().filter(|last| last.is_key);
            self.break_off();
            if let Some(key) = last {
                self.bytes = key.data.len();
                self.units.push_back(key);
            }
        }
    }

    /// The next unit to decode. Without a demand for every picture only keyframes; the units after them are kept, so
    /// that a continuous watcher can catch up with the rest of the group.
    pub(super) fn take(&mut self, demand: Demand) -> Option<ReceivedUnit> {
        let is_next = self.units.front().is_some_and(|unit| unit.is_key || demand == Demand::Continuous);
        let unit = if is_next { self.units.pop_front() } else { None }?;
        self.bytes -= unit.data.len();
        Some(unit)
    }

    /// A unit could not be decoded, or data was lost: skips the rest of the group.
    pub(super) fn break_off(&mut self) {
        self.clear();
        self.is_broken = true;
    }

    /// The same, but continues at a keyframe that waits already.
    pub(super) fn break_off_group(&mut self) {
        match self.units.iter().position(|unit| unit.is_key) {
            Some(key) => {
                self.bytes -= self.units.drain(..key).map(|unit| unit.data.len()).sum::<usize>();
                self.skipped += key;
            }
            None => self.break_off(),
        }
    }

    /// Whether decoding waits for a keyframe.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_broken
    }

    /// Number of waiting units.
    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    /// Number of units skipped since the last call.
    pub(super) fn take_skipped(&mut self) -> usize {
        std::mem::take(&mut self.skipped)
    }

    fn clear(&mut self) {
        self.skipped += self.units.len();
        self.units.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Demand::{Continuous, Single};

    /// Pushes units: `K` is a keyframe, `d` another unit.
    fn push(backlog: &mut Backlog, units: &str, demand: Demand) {
        for (i, c) in units.chars().enumerate() {
            let data = Bytes::from(vec![i as u8; 10]);
            backlog.push(ReceivedUnit { data, is_key: c == 'K', received: SystemTime::UNIX_EPOCH }, demand);
        }
    }

    fn taken(backlog: &mut Backlog, demand: Demand) -> String {
        std::iter::from_fn(|| backlog.take(demand)).map(|unit| if unit.is_key { 'K' } else { 'd' }).collect()
    }

    #[test]
    fn no_unit_is_returned_before_the_first_keyframe() {
        let mut backlog = Backlog::new();
        push(&mut backlog, "ddd", Continuous);
        assert_eq!(taken(&mut backlog, Continuous), "");
        push(&mut backlog, "Kdd", Continuous);
        assert_eq!((taken(&mut backlog, Continuous).as_str(), backlog.take_skipped()), ("Kdd", 3));
    }

    #[test]
    fn single_demand_gets_keyframes_and_a_later_continuous_demand_catches_up() {
        let mut backlog = Backlog::new();
        push(&mut backlog, "Kdd", Single);
        assert_eq!(taken(&mut backlog, Single), "K");
        push(&mut backlog, "d", Single);
        assert_eq!(taken(&mut backlog, Single), "");
        assert_eq!(taken(&mut backlog, Continuous), "ddd", "the decoder continues where it was");
        push(&mut backlog, "ddK", Single);
        assert_eq!((taken(&mut backlog, Single).as_str(), backlog.take_skipped()), ("K", 2));
    }

    #[test]
    fn a_backlog_that_is_behind_continues_at_the_next_keyframe() {
        let mut backlog = Backlog::new();
        push(&mut backlog, &format!("K{}", "d".repeat(LATE - 1)), Continuous);
        push(&mut backlog, "Kd", Continuous);
        assert_eq!(backlog.len(), LATE + 2, "not behind yet");
        push(&mut backlog, "Kd", Continuous);
        assert_eq!((taken(&mut backlog, Continuous).as_str(), backlog.take_skipped()), ("Kd", LATE + 2));
    }

    #[test]
    fn a_loss_ends_the_group() {
        let mut backlog = Backlog::new();
        push(&mut backlog, "Kd", Continuous);
        backlog.break_off();
        push(&mut backlog, "ddK", Continuous);
        assert_eq!(taken(&mut backlog, Continuous), "K");
        push(&mut backlog, "ddKd", Continuous);
        backlog.break_off_group();
        assert_eq!(taken(&mut backlog, Continuous), "Kd");
        push(&mut backlog, "dd", Continuous);
        backlog.break_off_group();
        push(&mut backlog, "dK", Continuous);
        assert_eq!(taken(&mut backlog, Continuous), "K");
    }

    #[test]
    fn an_endless_group_is_not_kept() {
        let mut backlog = Backlog::new();
        push(&mut backlog, &format!("K{}", "d".repeat(2 * MAX_UNITS)), Single);
        assert!(backlog.len() <= MAX_UNITS && backlog.bytes <= MAX_BYTES);
        assert_eq!(taken(&mut backlog, Continuous), "", "the keyframe was skipped with the rest");
        let large = |is_key| ReceivedUnit {
            data: Bytes::from(vec![0; MAX_BYTES + 1]),
            is_key,
            received: SystemTime::UNIX_EPOCH,
        };
        backlog.push(large(true), Continuous);
        assert_eq!(taken(&mut backlog, Continuous), "K");
        push(&mut backlog, "K", Continuous);
        backlog.push(large(false), Continuous);
        assert_eq!((taken(&mut backlog, Continuous).as_str(), backlog.bytes), ("", 0));
    }
}
