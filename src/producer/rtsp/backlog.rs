//! [`Backlog`]: coded pictures that wait for the decoder, or for somebody to want them.

use std::{collections::VecDeque, time::SystemTime};

use bytes::Bytes;

use crate::stream::Demand;

/// Most units kept: half a minute at 30 a second. Groups are 1 to 10 s long; of a longer one the end cannot be
/// caught up with, and the next keyframe is waited for.
const MOST_UNITS: usize = 900;

/// Most bytes kept: ten seconds at 13 Mbit/s.
const MOST_BYTES: usize = 16 << 20;

/// Units that may wait when a keyframe comes, without being left out: a second.
const LATE: usize = 30;

/// A coded picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AccessUnit {
    /// In the form that the engine takes.
    pub(super) data: Bytes,
    /// Whether it needs no other.
    pub(super) is_key: bool,
    /// When it came.
    pub(super) received: SystemTime,
}

/// Units in the order in which they came. Those that build on others are given only if all that they build on
/// were given.
#[derive(Debug)]
pub(super) struct Backlog {
    units: VecDeque<AccessUnit>,
    bytes: usize,
    /// Something is missing: nothing is of use before the next keyframe.
    is_broken: bool,
    skipped: usize,
}

impl Backlog {
    pub(super) fn new() -> Self {
        Backlog { units: VecDeque::new(), bytes: 0, is_broken: true, skipped: 0 }
    }

    /// Adds what came.
    pub(super) fn push(&mut self, unit: AccessUnit, demand: Demand) {
        if unit.is_key {
            if demand == Demand::Single || self.units.len() > LATE {
                self.clear();
            }
            self.is_broken = false;
        } else if self.is_broken {
            self.skipped += 1;
            return;
        }
        self.bytes += unit.data.len();
        self.units.push_back(unit);
        if self.units.len() > MOST_UNITS || self.bytes > MOST_BYTES {
            // A keyframe that is larger than all that may wait is of use nevertheless.
            let last = self.units.pop_back().filter(|last| last.is_key);
            self.break_off();
            if let Some(key) = last {
                self.bytes = key.data.len();
                self.units.push_back(key);
            }
        }
    }

    /// What is to be decoded next. Whoever wants single pictures is given keyframes only; what follows them is kept,
    /// so that the rest of the group can be caught up with.
    pub(super) fn take(&mut self, demand: Demand) -> Option<AccessUnit> {
        let is_next = self.units.front().is_some_and(|unit| unit.is_key || demand == Demand::Continuous);
        let unit = if is_next { self.units.pop_front() } else { None }?;
        self.bytes -= unit.data.len();
        Some(unit)
    }

    /// What was taken could not be decoded, or something was lost on the way: the rest of the group is useless.
    pub(super) fn break_off(&mut self) {
        self.clear();
        self.is_broken = true;
    }

    /// The same, but a keyframe that waits already is a new beginning.
    pub(super) fn break_off_group(&mut self) {
        match self.units.iter().position(|unit| unit.is_key) {
            Some(key) => {
                self.bytes -= self.units.drain(..key).map(|unit| unit.data.len()).sum::<usize>();
                self.skipped += key;
            }
            None => self.break_off(),
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    /// How many were left out since this was asked last.
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

    /// A group per string: `K` and `d`s.
    fn push(backlog: &mut Backlog, units: &str, demand: Demand) {
        for (i, c) in units.chars().enumerate() {
            let data = Bytes::from(vec![i as u8; 10]);
            backlog.push(AccessUnit { data, is_key: c == 'K', received: SystemTime::UNIX_EPOCH }, demand);
        }
    }

    fn taken(backlog: &mut Backlog, demand: Demand) -> String {
        std::iter::from_fn(|| backlog.take(demand)).map(|unit| if unit.is_key { 'K' } else { 'd' }).collect()
    }

    #[test]
    fn nothing_is_given_before_the_first_keyframe() {
        let mut backlog = Backlog::new();
        push(&mut backlog, "ddd", Continuous);
        assert_eq!(taken(&mut backlog, Continuous), "");
        push(&mut backlog, "Kdd", Continuous);
        assert_eq!((taken(&mut backlog, Continuous).as_str(), backlog.take_skipped()), ("Kdd", 3));
    }

    #[test]
    fn whoever_wants_single_pictures_gets_keyframes_and_whoever_comes_then_catches_up() {
        let mut backlog = Backlog::new();
        push(&mut backlog, "Kdd", Single);
        assert_eq!(taken(&mut backlog, Single), "K");
        push(&mut backlog, "d", Single);
        assert_eq!(taken(&mut backlog, Single), "");
        assert_eq!(taken(&mut backlog, Continuous), "ddd", "the decoder goes on where it was");
        push(&mut backlog, "ddK", Single);
        assert_eq!((taken(&mut backlog, Single).as_str(), backlog.take_skipped()), ("K", 2));
    }

    #[test]
    fn who_is_behind_goes_on_at_the_next_keyframe() {
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
        push(&mut backlog, &format!("K{}", "d".repeat(2 * MOST_UNITS)), Single);
        assert!(backlog.len() <= MOST_UNITS && backlog.bytes <= MOST_BYTES);
        assert_eq!(taken(&mut backlog, Continuous), "", "the keyframe was left out with the rest");
        let large = |is_key| AccessUnit {
            data: Bytes::from(vec![0; MOST_BYTES + 1]),
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
