//! [`Denials`]: which denied decisions get a log line, so that a flood of guesses does not fill the disk.

use std::collections::HashMap;

use tokio::time::{Duration, Instant};

/// A cause has one line of its own in this time, and one with the number of those that were left out.
const INTERVAL: Duration = Duration::from_secs(60);

/// Most causes with lines of their own at a time; further ones share the last line.
const MAX_CAUSES: usize = 100;

/// Counts denied decisions by user name, address and reason.
#[derive(Debug, Default)]
pub(super) struct Denials {
    causes: HashMap<String, Count>,
    others: Option<Count>,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    left_out: u64,
}

impl Denials {
    /// Whether this one gets a line. It is counted otherwise.
    pub(super) fn is_due(&mut self, user: &str, ip: &str, reason: &str) -> bool {
        let cause = format!("{reason}, user {user:?}, address {ip:?}");
        let (now, room) = (Instant::now(), self.causes.len() < MAX_CAUSES);
        match self.causes.get_mut(&cause) {
            Some(count) => {
                count.left_out += 1;
                false
            }
            None if room => {
                self.causes.insert(cause, Count { since: now, left_out: 0 });
                true
            }
            None => {
                self.others.get_or_insert(Count { since: now, left_out: 0 }).left_out += 1;
                false
            }
        }
    }

    /// When the next summary is due; a long time ahead if none waits.
    pub(super) fn due(&self) -> Instant {
        let all = self.causes.values().chain(&self.others).map(|count| count.since);
        all.min().unwrap_or_else(Instant::now) + INTERVAL
    }

    /// The lines about what was left out in intervals that have passed.
    pub(super) fn summaries(&mut self) -> Vec<String> {
        let is_over = |count: &Count| count.since.elapsed() >= INTERVAL;
        let mut lines = vec![];
        self.causes.retain(|cause, count| {
            if is_over(count) && count.left_out > 0 {
                lines.push(format!("denied: {cause}: {} more within a minute", count.left_out));
            }
            !is_over(count)
        });
        if let Some(count) = self.others.take_if(|count| is_over(count)) {
            lines.push(format!("denied: {} more within a minute, of other users and addresses", count.left_out));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cause_has_one_line_a_minute_and_one_with_the_number_of_the_others() {
        let mut denials = Denials::default();
        assert!(denials.is_due("alice", "192.0.2.1", "wrong") && denials.is_due("bob", "192.0.2.1", "wrong"));
        for _ in 0..7 {
            assert!(!denials.is_due("alice", "192.0.2.1", "wrong"));
        }
        assert!(denials.summaries().is_empty() && denials.due() == Instant::now() + INTERVAL);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(
            denials.summaries(),
            ["denied: wrong, user \"alice\", address \"192.0.2.1\": 7 more within a minute"]
        );
        assert!(denials.is_due("alice", "192.0.2.1", "wrong"), "a new minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_names_has_a_limit_of_lines() {
        let mut denials = Denials::default();
        let lines = (0..50_000).filter(|n| denials.is_due(&n.to_string(), "192.0.2.1", "wrong")).count();
        assert_eq!((lines, denials.causes.len()), (MAX_CAUSES, MAX_CAUSES));
        tokio::time::advance(INTERVAL).await;
        assert_eq!(denials.summaries(), ["denied: 49900 more within a minute, of other users and addresses"]);
        assert!(denials.causes.is_empty());
    }
}
