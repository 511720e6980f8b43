//! [`Motion`]: whether a stream moves, or shows a new picture only now and then.

use std::collections::VecDeque;

use tokio::time::{Duration, Instant};

/// A stream moves when this many different pictures arrive within [`WITHIN`]: more than two a second.
const PICTURES: usize = 4;

/// See [`PICTURES`].
const WITHIN: Duration = Duration::from_millis(1500);

/// Arrival times of the latest pictures that differ from their predecessor.
#[derive(Debug, Default)]
pub(super) struct Motion(VecDeque<Instant>);

impl Motion {
    pub(super) fn note(&mut self, at: Instant) {
        if self.0.len() == PICTURES {
            self.0.pop_front();
        }
        self.0.push_back(at);
    }

    pub(super) fn is_moving(&self, now: Instant) -> bool {
        self.0.len() == PICTURES && self.0.front().is_some_and(|first| now.duration_since(*first) <= WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_two_pictures_a_second_are_movement() {
        for (every, moves) in [(1000, false), (510, false), (490, true), (66, true)] {
            let (start, mut motion) = (Instant::now(), Motion::default());
            for i in 0..10 {
                let at = start + Duration::from_millis(every * i);
                motion.note(at);
                assert_eq!(motion.is_moving(at), moves && i >= 3, "{every} ms, picture {i}");
            }
        }
    }

    #[test]
    fn movement_ends() {
        let (start, mut motion) = (Instant::now(), Motion::default());
        (0..4).for_each(|i| motion.note(start + Duration::from_millis(100 * i)));
        assert!(motion.is_moving(start + Duration::from_millis(300)));
        assert!(!motion.is_moving(start + Duration::from_millis(1600)));
    }
}
