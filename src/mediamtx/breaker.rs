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
    /// Why the last attempt failed.
    reason: String,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some_and(|until| Instant::now() < until)
    }

    /// Why the last attempt failed, for callers while the breaker is open.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// Counts an attempt: none if the server answered, or else the reason.
    pub(super) fn note(&mut self, failure: Option<&str>) {
        let Some(reason) = failure else {
            *self = Breaker::default();
            return;
        };
        reason.clone_into(&mut self.reason);
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
                breaker.note(Some("refused"));
            }
            advance(Duration::from_millis(100)).await;
        }
        assert!((10..60).contains(&asked), "asked {asked} times in a minute");
        assert!(longest <= LONGEST_PAUSE + Duration::from_millis(100), "{longest:?}");
        advance(LONGEST_PAUSE).await;
        assert!(!breaker.is_open());
        breaker.note(None);
        for _ in 1..FAILURES {
            breaker.note(Some("refused"));
            assert!(!breaker.is_open(), "fewer failures do not open the breaker");
        }
    }
}
