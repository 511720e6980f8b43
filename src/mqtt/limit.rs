//! [`PacketLimit`]: the size of messages that a broker takes, as far as it shows.
//!
//! In MQTT 3.1.1 a broker does not tell its limit, and ends the connection of a client that exceeds it.

use std::collections::VecDeque;

/// Connections in a row that must end at a message of a size that was never accepted before it counts as too large: one
/// such end can be a fault of the network.
const STRIKES: u32 = 2;

/// Smaller messages are never taken for the cause: brokers accept them.
const ALWAYS_ACCEPTED: usize = 4 << 10;

/// What the ends of connections say about the broker's limit.
#[derive(Debug, Default)]
pub(super) struct PacketLimit {
    /// The largest message that the broker is known to accept: it acknowledged one that was sent after it.
    proven: usize,
    /// The largest message since the last one with an acknowledgement.
    unmarked: usize,
    /// For each acknowledgement that is due, the largest message that it proves.
    marks: VecDeque<usize>,
    strikes: u32,
    /// Larger messages are not sent.
    most: Option<usize>,
}

impl PacketLimit {
    /// A message of this size is on its way; the broker acknowledges it or not.
    pub(super) fn sent(&mut self, bytes: usize, is_acknowledged: bool) {
        self.unmarked = self.unmarked.max(bytes);
        if is_acknowledged {
            self.marks.push_back(std::mem::take(&mut self.unmarked));
        }
    }

    /// The broker acknowledged a message. It does so in the order of the messages (MQTT 3.1.1, section 4.6).
    pub(super) fn acknowledged(&mut self) {
        if let Some(mark) = self.marks.pop_front().filter(|mark| *mark > self.proven) {
            self.proven = mark;
            self.strikes = 0;
        }
    }

    /// The connection ended. Returns whether the limit is smaller now.
    pub(super) fn ended(&mut self) -> bool {
        let suspect = self.marks.drain(..).fold(std::mem::take(&mut self.unmarked), usize::max);
        if suspect <= self.proven.max(ALWAYS_ACCEPTED) {
            return false;
        }
        self.strikes += 1;
        // A broker that has a limit needs no second sign.
        if self.strikes < STRIKES && self.most.is_none() {
            return false;
        }
        self.strikes = 0;
        // Half of it, so that a limit far below is found with few connections; a size that was accepted stays.
        let most = (suspect / 2).max(self.proven).max(ALWAYS_ACCEPTED);
        self.most = Some(self.most.map_or(most, |before| before.min(most)));
        true
    }

    /// The most bytes of a message, below `max`.
    pub(super) fn most(&self, max: usize) -> usize {
        self.most.map_or(max, |most| max.min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_at_which_two_connections_end_is_not_sent_again() {
        let mut limit = PacketLimit::default();
        limit.sent(20_000, false);
        limit.sent(100, true);
        limit.acknowledged();
        limit.sent(30_000, false);
        assert!(!limit.ended(), "perhaps the network");
        limit.sent(50, true);
        limit.sent(31_000, false);
        limit.acknowledged();
        assert!(limit.ended(), "the acknowledgement was for an earlier message");
        assert_eq!(limit.most(1_000_000), 20_000, "half would be less than what was accepted");
        for _ in 0..3 {
            limit.sent(20_000, false);
            assert!(!limit.ended(), "a proven size is not the cause");
            limit.sent(100, true);
            assert!(!limit.ended(), "nor is a small one");
        }
    }

    #[test]
    fn a_limit_far_below_is_found_with_few_connections() {
        let mut limit = PacketLimit::default();
        let mut ends = 0;
        while limit.most(1_000_000) > 10_000 {
            limit.sent(limit.most(1_000_000), false);
            limit.ended();
            ends += 1;
        }
        assert_eq!(ends, 8, "twice at first, and then 500 000, 250 000 … 15 625");
    }

    #[test]
    fn an_acknowledgement_of_a_later_message_shows_that_the_size_is_accepted() {
        let mut limit = PacketLimit::default();
        for _ in 0..5 {
            limit.sent(50_000, false);
            assert!(!limit.ended());
            limit.sent(50_000, false);
            limit.sent(100, true);
            limit.acknowledged();
        }
        assert_eq!(limit.most(60_000), 60_000);
    }
}
