//! Spares a server that is away, and those who wait for it.

use tokio::time::{Duration, Instant};

/// After so many failures in a row MediaMTX counts as away, for longer each time.
const FAILURES: u32 = 4;
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A circuit breaker: open means that nothing is asked.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some_and(|until| Instant::now() < until)
    }

    /// How an attempt ended.
    pub(super) fn note(&mut self, reached: bool) {
        if reached {
            *self = Breaker::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            let pause = SHORTEST_PAUSE * 2_u32.saturating_pow((self.failures - FAILURES).min(8));
            self.open_until = Some(Instant::now() + pause.min(LONGEST_PAUSE));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_for_a_minute_is_asked_now_and_then_and_is_back_at_once() {
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
            assert!(!breaker.is_open(), "one failure of a server that is there is not an absence");
        }
    }
}
