//! Pauses between attempts: exponential, bounded, and spread by chance.
//!
//! Pure: it computes durations and does not sleep, so a retry loop, a state machine and a test use the same rule.
//! The crate backon retries a whole future instead; a stream's retries are transitions of its state machine, and
//! backon's jitter (up to the whole pause) cannot be set to the small spread that is used here.

use std::time::Duration;

/// The default spread, as a share of the pause: twenty cameras behind one switch that rebooted are not all asked in
/// the same instant.
const SPREAD: f64 = 0.2;

/// Doublings after which the pause stays as it is: 2^31 times the first pause is above every maximum.
const MAX_DOUBLINGS: u32 = 31;

/// An exponential backoff: `first`, twice that, four times that … up to `max`, each lengthened by up to a fifth.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    spread: f64,
    failures: u32,
}

impl Backoff {
    /// A backoff before its first failure. `max` bounds the pause without its spread.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Backoff { first, max, spread: SPREAD, failures: 0 }
    }

    /// Sets the largest random addition, as a share of the pause; 0 for none.
    pub const fn with_spread(self, share: f64) -> Self {
        Backoff { spread: share, ..self }
    }

    /// Counts a failure and returns the pause before the next attempt.
    pub fn next_pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.pause_after(self.failures)
    }

    /// The pause after this many failures in a row, for callers that count failures themselves.
    pub fn pause_after(&self, failures: u32) -> Duration {
        // Without random numbers the pauses are right, only not spread.
        let random = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
        let pause = self.exact_pause_after(failures);
        let spread = Duration::try_from_secs_f64(pause.as_secs_f64() * self.spread * random);
        pause.saturating_add(spread.unwrap_or_default())
    }

    /// Counts failures from zero again, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    fn exact_pause_after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
        self.first.saturating_mul(1 << doublings).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_the_first_to_the_maximum_and_begin_anew_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10)).with_spread(0.0);
        let pauses = |backoff: &mut Backoff, n| (0..n).map(|_| backoff.next_pause().as_secs()).collect::<Vec<_>>();
        assert_eq!(pauses(&mut backoff, 6), [1, 2, 4, 8, 10, 10]);
        backoff.reset();
        assert_eq!(pauses(&mut backoff, 2), [1, 2]);
    }

    #[test]
    fn a_pause_is_spread_by_its_share_and_not_all_pauses_are_equal() {
        for (share, longest) in [(0.2, 1200), (2.0, 3000)] {
            let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).with_spread(share);
            let pauses: Vec<_> = (0..200).map(|_| backoff.pause_after(1)).collect();
            for pause in &pauses {
                assert!((1000..=longest).contains(&pause.as_millis()), "{pause:?} with a spread of {share}");
            }
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "200 equal pauses");
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let forever = Backoff::new(Duration::from_secs(u64::MAX / 2), Duration::from_secs(1 << 40)).with_spread(1.0);
        for failures in [0, 1, 2, 31, 32, 33, u32::MAX] {
            assert!(forever.pause_after(failures) <= Duration::from_secs(1 << 41), "{failures}");
        }
        let endless = Backoff::new(Duration::MAX, Duration::MAX).with_spread(2.0);
        assert_eq!(endless.pause_after(1), Duration::MAX);
        let short = Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).with_spread(0.0);
        assert_eq!((short.pause_after(0), short.pause_after(u32::MAX)), (Duration::from_secs(1), short.max));
    }
}
