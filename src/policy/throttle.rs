//! Slowing down those who guess passwords, and nobody else.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use governor::{Quota, RateLimiter, clock::DefaultClock, state::keyed::HashMapStateStore};
use parking_lot::Mutex;

/// Most pairs of address and user remembered; beyond it those are forgotten first whose allowance is
/// full again, and then new pairs share one allowance.
const MAX_PAIRS: usize = 10_000;

/// How long a wrong password is known to be wrong: a camera with an old password that tries
/// every second costs one check a minute, and none of its neighbours' allowance.
const REMEMBER_WRONG: Duration = Duration::from_secs(60);

/// Most wrong passwords remembered.
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

    /// Whether this exact guess was wrong a moment ago.
    pub(super) fn known_wrong(&self, guess: &[u8; 32]) -> bool {
        let wrong = self.wrong.lock();
        wrong.get(guess).is_some_and(|at| at.elapsed() < REMEMBER_WRONG)
    }

    /// Takes one guess from the allowance of the pair; false when it is used up.
    pub(super) fn may_guess(&self, ip: Option<IpAddr>, user: &str) -> bool {
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
    pub(super) fn was_wrong(&self, guess: [u8; 32]) {
        let mut wrong = self.wrong.lock();
        if wrong.len() >= MAX_WRONG {
            wrong.retain(|_, at| at.elapsed() < REMEMBER_WRONG);
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
    fn the_allowance_is_for_each_address_and_user() {
        let throttle = Throttle::new(3);
        let ip = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let taken = (0..10).filter(|_| throttle.may_guess(ip(1), "alice")).count();
        assert_eq!(taken, 3);
        assert!(throttle.may_guess(ip(1), "bob"), "another user behind the same address");
        assert!(throttle.may_guess(ip(2), "alice"), "the same user elsewhere");
    }

    #[test]
    fn memory_is_bounded_whatever_names_are_tried() {
        let throttle = Throttle::new(1);
        for n in 0..3 * MAX_PAIRS {
            throttle.may_guess(None, &n.to_string());
            let mut guess = [0; 32];
            guess[..8].copy_from_slice(&n.to_le_bytes());
            throttle.was_wrong(guess);
        }
        assert!(throttle.limiter.len() <= MAX_PAIRS + 17);
        assert!(throttle.wrong.lock().len() <= MAX_WRONG);
    }
}
