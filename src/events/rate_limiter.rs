//! [`RateLimiter`]: at most one event about the same subject per interval.

use std::collections::HashMap;

use tokio::time::{Duration, Instant};

/// Most subjects that are remembered. If that many were reported within one interval, further ones are not reported.
const MAX_SUBJECTS: usize = 1000;

/// Remembers when each subject was last reported.
#[derive(Debug, Default)]
pub struct RateLimiter(HashMap<String, Instant>);

impl RateLimiter {
    /// Whether an event about the subject is due: none was allowed within the interval. Counts it if so.
    pub fn allow(&mut self, subject: &str, interval: Duration) -> bool {
        let now = Instant::now();
        if self.0.get(subject).is_some_and(|at| now.duration_since(*at) < interval) {
            return false;
        }
        if self.0.len() >= MAX_SUBJECTS {
            self.0.retain(|_, at| now.duration_since(*at) < interval);
            if self.0.len() >= MAX_SUBJECTS {
                return false;
            }
        }
        self.0.insert(subject.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_subject_is_allowed_once_per_interval() {
        let mut limiter = RateLimiter::default();
        assert!(limiter.allow("eve", MINUTE) && limiter.allow("mallory", MINUTE));
        assert!(!limiter.allow("eve", MINUTE));
        tokio::time::advance(MINUTE).await;
        assert!(limiter.allow("eve", MINUTE) && !limiter.allow("eve", MINUTE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_subjects_is_bounded_and_ends_with_its_interval() {
        let mut limiter = RateLimiter::default();
        let allowed = (0..3 * MAX_SUBJECTS).filter(|n| limiter.allow(&n.to_string(), MINUTE)).count();
        assert_eq!((allowed, limiter.0.len()), (MAX_SUBJECTS, MAX_SUBJECTS));
        tokio::time::advance(MINUTE).await;
        assert!(limiter.allow("another", MINUTE));
        assert_eq!(limiter.0.len(), 1);
    }
}
