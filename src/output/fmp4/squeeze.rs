//! [`Squeeze`]: the times of units of the past, which are shown fast.
//!
//! A new client gets all units since the last keyframe at once, and one that was slow all that it has missed. With their own times the
//! video would be late by all that from then on. So units of the past are shown for a moment each, and the next one is of the present.
//!
//! The times of showing and of decoding are squeezed in the same way, so that frames keep their order. Sound cannot be squeezed: of the
//! past there is as much as fits before the present.

/// A time that changes by a rule: one piece of it is shorter than it was.
#[derive(Clone, Debug, Default)]
pub(super) struct Squeeze {
    /// What was taken away before, in ticks.
    taken: i64,
    piece: Option<Piece>,
    /// The latest time that was asked for.
    latest: Option<i64>,
}

/// The piece from one time to another, which becomes `length` long.
#[derive(Clone, Copy, Debug)]
struct Piece {
    from: i64,
    to: i64,
    length: i64,
}

impl Squeeze {
    /// Whether a piece is being squeezed.
    pub(super) fn is_busy(&self) -> bool {
        self.piece.is_some()
    }

    /// Squeezes the time up to `to` into `length`, from the latest time that was given out on, or from `begin`.
    pub(super) fn begin(&mut self, begin: i64, to: i64, length: i64) {
        let from = self.latest.unwrap_or(begin);
        if to - from > length && length > 0 {
            self.piece = Some(Piece { from, to, length });
        }
    }

    /// The time of video that has this time at its source.
    pub(super) fn video(&mut self, at: i64) -> i64 {
        self.latest = Some(self.latest.map_or(at, |latest| latest.max(at)));
        let squeezed = match self.piece {
            Some(Piece { from, to, length }) if at > from && at < to => {
                from + ((i128::from(at - from) * i128::from(length)) / i128::from(to - from)) as i64
            }
            Some(Piece { from, to, length }) if at >= to => at - (to - from - length),
            _ => at,
        };
        squeezed - self.taken
    }

    /// The time of sound that has this time at its source. It is anchored at the end of the piece.
    pub(super) fn sound(&self, at: i64) -> i64 {
        let more = self.piece.filter(|piece| at > piece.from).map_or(0, |piece| piece.to - piece.from - piece.length);
        at - self.taken - more
    }

    /// Video is decoded up to this time: a piece before it is done.
    pub(super) fn pass(&mut self, at: i64) {
        if let Some(piece) = self.piece.filter(|piece| at >= piece.to) {
            self.taken += piece.to - piece.from - piece.length;
            // The next piece begins behind this one.
            self.latest = Some(self.latest.map_or(piece.to, |latest| latest.max(piece.to)));
            self.piece = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_past_is_short_and_the_present_follows_it() {
        let mut squeeze = Squeeze::default();
        // Thirty frames of 3000 ticks, in 90 ticks each.
        squeeze.begin(1000, 91_000, 2700);
        assert_eq!([1000, 4000, 88_000].map(|at| squeeze.video(at)), [1000, 1090, 3610]);
        assert_eq!(
            (squeeze.sound(91_000), squeeze.sound(88_000)),
            (3700, 700),
            "the sound of the past is before the beginning"
        );
        assert_eq!([91_000, 94_000].map(|at| squeeze.video(at)), [3700, 6700]);
        squeeze.pass(91_000);
        assert!(!squeeze.is_busy());
        assert_eq!((squeeze.video(97_000), squeeze.sound(97_000)), (9700, 9700));
        // Late again, from the latest frame on.
        squeeze.begin(0, 297_000, 9000);
        assert_eq!((squeeze.video(197_000), squeeze.video(297_000)), (14_200, 18_700));
        // Nothing to gain.
        squeeze.pass(297_000);
        squeeze.begin(0, 297_100, 9000);
        assert!(!squeeze.is_busy());
    }

    proptest! {
        #[test]
        fn times_keep_their_order(steps in prop::collection::vec((1_i64..9000, 0_i64..400_000, 1_i64..2000), 1..100)) {
            let (mut squeeze, mut at, mut last) = (Squeeze::default(), 0, -1);
            for (step, late, length) in steps {
                at += step;
                squeeze.pass(at);
                if !squeeze.is_busy() {
                    squeeze.begin(at, at + late, length);
                }
                let now = squeeze.video(at);
                prop_assert!(now >= last, "{} {}", now, last);
                prop_assert!(squeeze.sound(at) <= now);
                last = now;
            }
        }
    }
}
