//! Limits password guesses for each pair of address and user name, and for no other caller.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use governor::{Quota, RateLimiter, clock::DefaultClock, state::keyed::HashMapStateStore};
use parking_lot::Mutex;

/// Most pairs of address and user name that are remembered. Beyond it, pairs whose allowance is full again are
/// forgotten; if that does not help, new pairs share 16 allowances.
const MAX_PAIRS: usize = 10_000;

/// How long a wrong password is remembered: a camera that sends an old password every second costs one verification
/// per minute, and leaves the allowance of its neighbours behind the same address.
const WRONG_TTL: Duration = Duration::from_secs(60);

/// Most wrong passwords that are remembered.
const MAX_WRONG: usize = 4096;

/// Counts wrong passwords for each pair of address and user name.
pub(super) struct Throttle {
    limiter: RateLimiter<u64, HashMapStateStore<u64>, DefaultClock>,
    hasher: RandomState,
    wrong: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Throttle {
    pub(super) fn new(failures_per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(failures_per_minute).unwrap_or(NonZeroU32::MIN));
        Throttle { limiter: RateLimiter::hashmap(quota), hasher: RandomState::new(), wrong: Mutex::default() }
    }

    /// Whether exactly this guess was wrong within the last minute.
    pub(super) fn is_known_wrong(&self, guess: &[u8; 32]) -> bool {
        let wrong = self.wrong.lock();
        wrong.get(guess).is_some_and(|at| at.elapsed() < WRONG_TTL)
    }

    /// Takes one guess from the allowance of the pair; false if it is used up.
    pub(super) fn take_guess(&self, ip: Option<IpAddr>, user: &str) -> bool {
        let mut pair = self.hasher.hash_one((ip, user));
        if self.limiter.len() > MAX_PAIRS {
            self.limiter.retain_recent();
            if self.limiter.len() > MAX_PAIRS {
                pair %= 16;
            }
        }
        self.limiter.check_key(&pair).is_ok()
    }

    /// Remembers a wrong guess.
    pub(super) fn record_wrong(&self, guess: [u8; 32]) {
        let mut wrong = self.wrong.lock();
        if wrong.len() >= MAX_WRONG {
            wrong.retain(|_, at| at.elapsed() < WRONG_TTL);
            if wrong.len() >= MAX_WRONG {
                wrong.clear();
            }
        }
        wrong.insert(guess, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_of_address_and_user_has_its_own_allowance() {
        let throttle = Throttle::new(3);
        let ip = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let taken = (0..10).filter(|_| throttle.take_guess(ip(1), "alice")).count();
        assert_eq!(taken, 3);
        assert!(throttle.take_guess(ip(1), "bob"), "another user behind the same address");
        assert!(throttle.take_guess(ip(2), "alice"), "the same user elsewhere");
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_names() {
        let throttle = Throttle::new(1);
        for n in 0..3 * MAX_PAIRS {
            throttle.take_guess(None, &n.to_string());
            let mut guess = [0; 32];
            guess[..8].copy_from_slice(&n.to_le_bytes());
            throttle.record_wrong(guess);
        }
        assert!(throttle.limiter.len() <= MAX_PAIRS + 17);
        assert!(throttle.wrong.lock().len() <= MAX_WRONG);
    }
}
