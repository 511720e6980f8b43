//! [`DecodeTimes`]: when frames are decoded of which only is known when they are shown.
//!
//! RTP has the time at which a frame is shown, and the frames come in the order in which they are decoded. MP4 needs both times. With
//! B-frames the orders differ: a frame waits for the frames before it in the order of showing. At most `delay` frames can come before
//! one that is shown earlier, which the parameter sets say (`max_num_reorder_frames`). So the times of decoding are the times of
//! showing, sorted, and later by `delay` frames: libavformat computes them in the same way (`compute_pkt_fields`).

/// Most frames that can come before one that is shown earlier (H.264 A.3.1, H.265 A.4.2).
const MOST: usize = 16;

/// A frame is later or earlier than the one before by more than this, in ticks: the times begin anew.
const JUMP: i64 = 90_000;

/// How long frames are shown if nothing else is known, and the bounds of what is believed, in ticks.
const USUAL: i64 = 3600;
const INTERVALS: std::ops::RangeInclusive<i64> = 90..=18_000;

/// The times of decoding of one track, in ticks of 1/90000 s.
#[derive(Clone, Debug)]
pub struct DecodeTimes {
    /// Frames that can come before one that is shown earlier.
    delay: usize,
    /// The latest times of showing, sorted: one more than `delay`. The first one is the last time of decoding.
    latest: Vec<i64>,
    last: i64,
    /// The time between two frames, for the first ones.
    interval: i64,
}

impl DecodeTimes {
    /// For frames of which at most `delay` come before one that is shown earlier. More are taken into account as soon as there are
    /// any: some encoders do not say it.
    pub fn new(delay: u8) -> Self {
        DecodeTimes { delay: usize::from(delay).min(MOST), latest: vec![], last: 0, interval: USUAL }
    }

    /// Learns the time between two frames from frames that come soon.
    pub fn expect(&mut self, shown: &[i64]) {
        let mut shown = shown.to_vec();
        shown.sort_unstable();
        let steps = shown.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| INTERVALS.contains(step));
        self.interval = steps.min().unwrap_or(self.interval);
    }

    /// Whether the order of decoding can differ from the order of showing.
    pub fn reorders(&self) -> bool {
        self.delay > 0
    }

    /// The time of decoding of the next frame, which is shown at `shown`. It is never later than that, unless the frame is the first
    /// sign that more frames are reordered than was said.
    pub fn place(&mut self, shown: i64) -> i64 {
        let is_jump = self.latest.last().is_none_or(|latest| shown > latest + JUMP || shown < self.last - JUMP);
        if is_jump {
            let before = (0..=self.delay as i64).rev().map(|frames| shown - frames * self.interval);
            self.latest = before.collect();
            self.last = self.latest[0];
            return self.last;
        }
        let earliest = self.latest.first().copied().unwrap_or(shown);
        if shown <= earliest && self.delay < MOST {
            self.delay += 1;
        } else {
            self.latest.remove(0);
        }
        let at = self.latest.partition_point(|latest| *latest <= shown);
        self.latest.insert(at, shown);
        let step = self.latest[0] - earliest;
        if INTERVALS.contains(&step) {
            self.interval = step;
        }
        self.last = self.latest[0].max(self.last + 1);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placed(delay: u8, shown: &[i64]) -> Vec<i64> {
        let mut times = DecodeTimes::new(delay);
        times.expect(shown);
        shown.iter().map(|shown| times.place(*shown)).collect()
    }

    #[test]
    fn frames_in_their_order_are_decoded_when_they_are_shown() {
        let shown: Vec<_> = (0..9).map(|n| 1000 + 3000 * n).collect();
        assert_eq!(placed(0, &shown), shown);
    }

    /// The times that ffmpeg 7 gives the packets of its encoders, in frames: what is shown, and what is decoded.
    #[test]
    fn the_times_are_those_of_ffmpeg() {
        for (name, delay, shown, decoded) in [
            ("x264, two B-frames", 1, &[0, 3, 1, 2, 6, 4, 5, 9, 7, 8][..], &[-1, 0, 1, 2, 3, 4, 5, 6, 7, 8][..]),
            (
                "x264, three B-frames in a pyramid, two groups",
                2,
                &[0, 4, 2, 1, 3, 8, 6, 5, 7, 9, 10, 14, 12, 11, 13, 18, 16, 15, 17],
                &[-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
            ),
            (
                "x265, four B-frames in a pyramid",
                2,
                &[0, 5, 3, 1, 2, 4, 10, 8, 6, 7, 9],
                &[-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8],
            ),
        ] {
            let ticks = |frames: &[i64]| frames.iter().map(|n| n * 3600).collect::<Vec<_>>();
            assert_eq!(placed(delay, &ticks(shown)), ticks(decoded), "{name}");
        }
    }

    #[test]
    fn reordering_that_was_not_announced_is_learned_at_its_first_frame() {
        let shown: Vec<_> = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8].iter().map(|n| n * 3600).collect();
        let mut times = DecodeTimes::new(0);
        let decoded: Vec<_> = shown.iter().map(|shown| times.place(*shown)).collect();
        assert!(decoded.is_sorted_by(|a, b| a < b), "{decoded:?}");
        assert!(times.reorders());
        assert_eq!(decoded[5..], [4, 5, 6, 7, 8].map(|n| n * 3600), "as if it had been announced");
    }

    #[test]
    fn another_beginning_of_the_times_is_one_of_the_decoding_too() {
        let mut times = DecodeTimes::new(1);
        for shown in [0, 3, 1, 2] {
            times.place(shown * 3600);
        }
        assert_eq!(times.place(1_000_000), 1_000_000 - 3600);
        assert_eq!(times.place(1_010_800), 1_000_000);
        assert_eq!(times.place(0), -3600, "and backwards");
    }

    proptest! {
        /// Groups of any structure that keeps the promise of `delay`: the times of decoding grow, and are never later than those of showing.
        #[test]
        fn times_of_decoding_grow_and_are_not_later_than_those_of_showing(
            delay in 0_u8..5,
            choices in prop::collection::vec((0_usize..6, 90_i64..9000), 1..200),
        ) {
            // A coder that holds six frames, and gives one out before others unless too many have gone before one of those.
            // The first frame is a keyframe, which is shown before the others.
            let (mut next, mut held, mut shown) = (0, vec![], vec![0]);
            for (choice, step) in choices {
                next += step;
                held.push((next, 0));
                if held.len() > 6 {
                    let may = held[..choice].iter().all(|(_, before)| *before < delay);
                    let at = if may { choice } else { 0 };
                    held[..at].iter_mut().for_each(|(_, before)| *before += 1);
                    shown.push(held.remove(at).0);
                }
            }
            let decoded = placed(delay, &shown);
            prop_assert!(decoded.is_sorted_by(|a, b| a < b), "{shown:?} {decoded:?}");
            prop_assert!(decoded.iter().zip(&shown).all(|(decoded, shown)| decoded <= shown), "{shown:?} {decoded:?}");
        }

        /// Any times at all.
        #[test]
        fn a_time_of_decoding_is_never_far_behind_that_of_showing(delay in 0_u8..20, shown in prop::collection::vec(-400_000_i64..400_000, 1..200)) {
            for (decoded, shown) in placed(delay, &shown).iter().zip(&shown) {
                prop_assert!(decoded - shown <= JUMP + 200, "{} {}", decoded, shown);
            }
        }
    }
}
