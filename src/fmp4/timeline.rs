//! [`Timeline`]: the times of frames in fragments that are sent before the next frame is known.

/// How long a frame is shown if the time since the one before it is unknown or useless, in milliseconds.
const SHORTEST_MS: u64 = 1;

/// The longest time that a frame is shown, in milliseconds.
const LONGEST_MS: u64 = 1000;

/// Gives the frames of one track their times, so that each begins where the one before it ends.
///
/// The duration of a frame must be sent along with it, and is known only when the next frame arrives. So a frame is shown as long as
/// the *last* one was: for the time since then. That has two properties, and a browser that plays a `MediaSource` needs both:
///
/// - **There is no gap.** Behind a gap of more than twice the last duration, a browser drops all frames up to the next keyframe
///   (Media Source Extensions, "coded frame processing").
/// - **The timeline never runs ahead of the clock.** A browser that plays what it has would be past the time of a frame that
///   arrives, and never show it.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Ticks a second.
    clock: u64,
    /// The time at which the next frame begins, in ticks.
    next: u64,
    /// The time of the last frame at its source, in ticks.
    last: Option<u64>,
}

impl Timeline {
    /// A timeline in ticks of which `clock` make a second. It begins at 0.
    pub fn new(clock: u32) -> Self {
        Timeline { clock: u64::from(clock), next: 0, last: None }
    }

    /// The time of a frame, and its duration. `at` is its time at the source, in ticks.
    pub fn place(&mut self, at: u64) -> (u64, u32) {
        let shortest = (self.clock * SHORTEST_MS / 1000).max(1);
        let since = self.last.replace(at).and_then(|last| at.checked_sub(last)).unwrap_or(0);
        // After a pause the frame is shown for a moment only: it would otherwise be late by as long as the pause was.
        let duration = if since == 0 || since > self.clock * LONGEST_MS / 1000 { shortest } else { since };
        let begin = self.next;
        self.next += duration;
        (begin, u32::try_from(duration).unwrap_or(u32::MAX))
    }

    /// How much later than on this timeline the last frame ended at its source, in ticks. It stays the same but for pauses.
    pub fn shift(&self) -> i64 {
        self.last.unwrap_or_default().cast_signed() - self.next.cast_signed()
    }

    /// The time at which the last frame ends, in ticks.
    pub fn end(&self) -> u64 {
        self.next
    }

    /// The time at which the last frame ends, in milliseconds.
    pub fn end_ms(&self) -> u64 {
        self.next * 1000 / self.clock.max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The two traps of a `MediaSource`, with frames at any times.
        #[test]
        fn there_is_no_gap_and_the_timeline_is_never_ahead_of_the_clock(pauses in prop::collection::vec(0u64..400_000, 1..200)) {
            let mut timeline = Timeline::new(90_000);
            let (mut now, mut end, mut repeats) = (7_000_000, 0, 0);
            for pause in pauses {
                now += pause;
                repeats += u64::from(pause == 0);
                let (begin, duration) = timeline.place(now);
                prop_assert_eq!(begin, end, "each frame begins where the last one ends");
                prop_assert!(duration > 0);
                end = begin + u64::from(duration);
                // The first frame, and frames of the same time, are shown for a millisecond.
                prop_assert!(end <= now - 7_000_000 + 90 * (1 + repeats), "{} is later than {}", end, now - 7_000_000);
            }
        }
    }

    #[test]
    fn frames_are_shown_as_long_as_the_one_before_and_a_pause_is_not_repeated() {
        let mut timeline = Timeline::new(90_000);
        let placed: Vec<_> =
            [0, 3000, 6000, 15_000, 15_000, 200_000, 100].map(|at| timeline.place(at)).into_iter().collect();
        let expected = [(0, 90), (90, 3000), (3090, 3000), (6090, 9000), (15_090, 90), (15_180, 90), (15_270, 90)];
        assert_eq!(placed, expected);
        assert_eq!(timeline.end_ms(), 170);
    }
}
