//! Stops requests to a server that does not answer, so that callers get their error at once.

use tokio::time::{Duration, Instant};

use crate::backoff::Backoff;

/// Failures in a row before the first pause. Each further failure doubles the pause.
const FAILURES: u32 = 4;
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const PAUSES: Backoff = Backoff::new(Duration::from_millis(250), LONGEST_PAUSE).with_spread(0.0);

/// A circuit breaker: while it is open, no request is made.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some_and(|until| Instant::now() < until)
    }

    /// Counts an attempt: whether the server answered.
    pub(super) fn note(&mut self, reached: bool) {
        if reached {
            *self = Breaker::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.open_until = Some(Instant::now() + PAUSES.pause_after(self.failures - FAILURES + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_tried_at_least_every_two_seconds() {
        let mut breaker = Breaker::default();
        let (mut asked, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
        for _ in 0..600 {
            if !breaker.is_open() {
                asked += 1;
                longest = longest.max(last.elapsed());
                last = Instant::now();
                breaker.note(false);
            }
            advance(Duration::from_millis(100)).await;
        }
        assert!((10..60).contains(&asked), "asked {asked} times in a minute");
        assert!(longest <= LONGEST_PAUSE + Duration::from_millis(100), "{longest:?}");
        advance(LONGEST_PAUSE).await;
        assert!(!breaker.is_open());
        breaker.note(true);
        for _ in 1..FAILURES {
            breaker.note(false);
            assert!(!breaker.is_open(), "fewer failures do not open the breaker");
        }
    }
}
