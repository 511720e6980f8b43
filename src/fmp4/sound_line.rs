//! [`SoundLine`]: the times of frames of sound beside those of video.

/// How far a frame can be from the time at which it should be heard, in milliseconds. Lips and voice that are apart by less seem to be
/// together (ITU-R BT.1359: 45 to 125 ms).
const TOLERATED_MS: i64 = 40;

/// The longest pause that is filled, in milliseconds.
const LONGEST_MS: i64 = 2000;

/// Gives the frames of sound their times, so that each begins where the one before it ends: a browser that finds a gap in the sound
/// drops the video up to the next keyframe, too (Media Source Extensions, "coded frame processing", for all tracks together).
///
/// The clocks of sound and video of one source differ, and packets are lost. So a frame that would be heard too late is left out, and one
/// before a pause is as long as the pause.
#[derive(Clone, Debug)]
pub struct SoundLine {
    /// Ticks a second.
    clock: i64,
    /// The time at which the next frame begins, in ticks.
    next: u64,
}

impl SoundLine {
    /// Times in ticks of which `clock` make a second, from 0 on.
    pub fn new(clock: u32) -> Self {
        SoundLine { clock: i64::from(clock.max(1)), next: 0 }
    }

    /// The time of a frame that should be heard at `wanted` and has `length` ticks, and its duration; none if it is left out.
    pub fn place(&mut self, wanted: i64, length: u32) -> Option<(u64, u32)> {
        let off = wanted - i64::try_from(self.next).unwrap_or(i64::MAX);
        let tolerated = self.clock * TOLERATED_MS / 1000;
        if off < -tolerated {
            return None;
        }
        let filled = if off > tolerated { off.min(self.clock * LONGEST_MS / 1000) } else { 0 };
        let duration = i64::from(length.max(1)) + filled;
        let begin = self.next;
        self.next += duration.unsigned_abs();
        Some((begin, u32::try_from(duration).unwrap_or(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_follow_each_other_and_stay_near_their_times() {
        let mut line = SoundLine::new(48_000);
        // The first one is at the beginning, also if it should come somewhat later.
        assert_eq!(line.place(900, 960), Some((0, 960)));
        assert_eq!(line.place(1860, 960), Some((960, 960)));
        // Five frames were lost.
        assert_eq!(line.place(1920 + 4800, 960), Some((1920, 5760)));
        // Too late: the clock of the sound is slow.
        assert_eq!(line.place(7680 - 2000, 960), None);
        assert_eq!(line.place(7680 - 1040, 960), Some((7680, 960)));
        let mut line = SoundLine::new(44_100);
        assert_eq!(line.place(4410, 1024), Some((0, 5434)), "no gap at the beginning");
        assert_eq!(line.place(44_100 * 60, 1024).map(|(_, duration)| duration), Some(88_200 + 1024));
    }

    proptest! {
        #[test]
        fn there_is_no_gap_and_no_drift(
            clock in prop::sample::select(vec![8000_u32, 16_000, 44_100, 48_000]),
            length in 120_u32..2048,
            drift in -2000_i64..2000,
            losses in prop::collection::vec(any::<bool>(), 400),
        ) {
            let (mut line, mut end) = (SoundLine::new(clock), 0);
            for (n, is_lost) in losses.iter().enumerate() {
                if *is_lost && n % 3 == 0 {
                    continue;
                }
                let wanted = n as i64 * i64::from(length);
                let wanted = wanted + wanted * drift / 100_000;
                if let Some((begin, duration)) = line.place(wanted, length) {
                    prop_assert_eq!(begin, end);
                    end = begin + u64::from(duration);
                    let off = (begin as i64 - wanted).abs();
                    // A frame, which cannot be heard in parts, and the lost one before it.
                    prop_assert!(off <= i64::from(clock) * TOLERATED_MS / 1000 + 3 * i64::from(length), "{} off", off);
                }
            }
            prop_assert!(end > 0);
        }
    }
}
