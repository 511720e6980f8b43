//! [`Pace`]: decides which pictures are due.

use tokio::time::{Duration, Instant};

/// Shortest time between two pictures if watchers need only single pictures.
pub(super) const SINGLE_INTERVAL: Duration = Duration::from_millis(250);

/// The same if watchers read the coded video, and need no pictures.
pub(super) const RARE_INTERVAL: Duration = Duration::from_secs(10);

/// Decides which pictures are due.
pub(super) struct Pace {
    every: Duration,
    next: Instant,
}

impl Pace {
    /// At most one picture in this time.
    pub(super) fn new(every: Duration) -> Self {
        Pace { every, next: Instant::now() }
    }

    pub(super) fn is_due(&mut self) -> bool {
        self.is_due_at_least(Duration::ZERO)
    }

    /// Whether a picture is due while this many units wait. While decoding catches up, only some pictures are
    /// published.
    pub(super) fn is_due_behind(&mut self, waiting: usize) -> bool {
        /// Number of waiting units that is normal.
        const A_FEW: usize = 5;
        self.is_due_at_least(if waiting > A_FEW { SINGLE_INTERVAL } else { Duration::ZERO })
    }

    /// Whether a picture is due, with at least this time between pictures. A picture can be a little early, because
    /// pictures do not arrive at even intervals.
    pub(super) fn is_due_at_least(&mut self, every: Duration) -> bool {
        let every = self.every.max(every);
        let now = Instant::now();
        if now + every / 4 < self.next {
            return false;
        }
        // Keeps the rhythm, unless there was a pause.
        self.next = if now > self.next + every { now + every } else { self.next + every };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pictures_are_due_at_the_requested_rate() {
        for (camera_ms, every_ms, waiting, expected) in [
            (33, 100, 0, 100),
            (100, 100, 0, 100),
            (97, 100, 0, 100),
            (200, 100, 0, 50),
            (33, 33, 0, 300),
            (33, 33, 9, 40),
        ] {
            let mut pace = Pace { every: Duration::from_millis(every_ms), next: Instant::now() };
            let (mut due, began) = (0, Instant::now());
            let mut jitter = 0;
            while began.elapsed() < Duration::from_secs(10) {
                due += u32::from(pace.is_due_behind(waiting));
                jitter = (jitter + 7) % 11;
                tokio::time::advance(Duration::from_millis(camera_ms) + Duration::from_micros(jitter * 100)).await;
            }
            let near = (f64::from(due) / f64::from(expected) - 1.0).abs() < 0.12;
            assert!(near, "{due} for {expected} of a camera with {camera_ms} ms");
        }
    }
}
