//! Limits password guesses by the address that a caller claims, by the peer that sent the request, and by user.
//!
//! An address that has used up its allowance is refused. The allowances of a user and of a sender belong to many callers
//! together, so they are never refused: while one of them is used up, a guess of an address without failures waits for
//! its turn, one after the other. Invented addresses thus give no further guesses, and wrong ones of others do not lock
//! a user out.

mod allowances;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use self::allowances::{Allowances, Quota};
use super::{Caller, Sender};
use crate::units::host_network;

/// How long a wrong password is remembered: a camera that sends an old password every second costs one verification
/// per minute, and leaves the allowance of its neighbours behind the same address.
const WRONG_TTL: Duration = Duration::from_secs(60);

/// Most wrong passwords that are remembered.
const MAX_WRONG: usize = 4096;

/// How long an address counts as one with failures.
const FAILED_TTL: Duration = Duration::from_secs(600);

/// How long an address is remembered from which a user has shown the right password.
const KNOWN_TTL: Duration = Duration::from_secs(30 * 86_400);

/// Most addresses with failures, and most pairs of user and address, that are remembered.
const MAX_ADDRESSES: usize = 10_000;

/// The longest time for which a guess waits for its turn; clients give up not much later. MediaMTX asks from the one loop
/// that owns all of its paths, so its questions never wait: the client can ask again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The allowances; multiples of `auth.failures_per_minute`.
struct Quotas {
    /// One user at one claimed address.
    pair: Quota,
    /// All users at one claimed address.
    address: Quota,
    /// One user by one sender.
    sender_user: Quota,
    /// One user by all senders.
    user: Quota,
    /// All users by one sender, which is normally MediaMTX with the guesses of all of its clients.
    sender: Quota,
    /// What remains while one of the last three is used up.
    slow: Quota,
}

/// A guess that was admitted.
#[derive(Debug)]
pub(super) struct Guess {
    /// When it may be verified.
    pub(super) at: Instant,
    /// What it has taken, to give it back if it was right.
    taken: Vec<(u64, Duration)>,
}

/// The caller of a guess, as allowances count it.
#[derive(Clone, Copy, Debug, Hash)]
struct Source {
    sender: Sender,
    claimed: Option<IpAddr>,
}

impl Source {
    fn of(caller: &Caller) -> Self {
        let claimed = caller.ip.map(host_network);
        let sender = match caller.sender {
            Sender::Client => Sender::Client,
            Sender::Proxy(peer) => Sender::Proxy(host_network(peer)),
            Sender::MediaMtx(peer) => Sender::MediaMtx(peer.map(host_network)),
        };
        Source { sender, claimed }
    }
}

/// Counts wrong passwords.
pub(super) struct Throttle {
    quotas: Quotas,
    hasher: RandomState,
    state: Mutex<State>,
}

struct State {
    allowances: Allowances,
    wrong: Recent<[u8; 32]>,
    /// Addresses with failures.
    failed: Recent<u64>,
    /// Pairs of user and address from which the right password came.
    known: Recent<u64>,
}

/// What happened within a time, bounded.
struct Recent<K>(HashMap<K, Instant>);

impl<K: std::hash::Hash + Eq> Recent<K> {
    fn has(&self, key: &K, ttl: Duration) -> bool {
        self.0.get(key).is_some_and(|at| at.elapsed() < ttl)
    }

    /// Adds one. All are forgotten if there are too many within the time.
    fn add(&mut self, key: K, most: usize, ttl: Duration) {
        if self.0.len() >= most {
            self.0.retain(|_, at| at.elapsed() < ttl);
            if self.0.len() >= most {
                self.0.clear();
            }
        }
        self.0.insert(key, Instant::now());
    }
}

impl Throttle {
    pub(super) fn new(failures_per_minute: u32) -> Self {
        let n = failures_per_minute.max(1);
        let quota = |rate: u32, burst: u32| Quota::per_minute(n.saturating_mul(rate), n.saturating_mul(burst));
        let quotas = Quotas {
            pair: quota(1, 1),
            address: quota(6, 3),
            sender_user: quota(2, 3),
            user: quota(10, 6),
            sender: quota(30, 6),
            slow: Quota::per_minute(n, 1),
        };
        let state = State {
            allowances: Allowances::default(),
            wrong: Recent(HashMap::new()),
            failed: Recent(HashMap::new()),
            known: Recent(HashMap::new()),
        };
        Throttle { quotas, hasher: RandomState::new(), state: Mutex::new(state) }
    }

    /// Whether exactly this guess was wrong within the last minute.
    pub(super) fn is_known_wrong(&self, guess: &[u8; 32]) -> bool {
        self.state.lock().wrong.has(guess, WRONG_TTL)
    }

    /// Whether the user has shown the right password from this address before.
    pub(super) fn is_known(&self, caller: &Caller) -> bool {
        self.known_key(caller).is_some_and(|key| self.state.lock().known.has(&key, KNOWN_TTL))
    }

    /// Takes one guess from the allowances of its caller; none if it is refused.
    pub(super) fn take(&self, caller: &Caller) -> Option<Guess> {
        let (source, user) = (Source::of(caller), caller.credentials.user.as_str());
        let key = |of: u8, source: Option<Source>, user: &str| self.hasher.hash_one((of, source, user));
        let by_sender = Some(Source { claimed: None, ..source });
        let Quotas { pair, address, sender_user, user: by_user, sender, slow } = &self.quotas;
        let known = self.known_key(caller);
        let failed = self.failed_key(caller);
        let state = &mut *self.state.lock();
        let now = Instant::now();
        let is_known = known.is_some_and(|key| state.known.has(&key, KNOWN_TTL));
        let mut guess = Guess { at: now, taken: vec![] };
        if source.claimed.is_some() {
            let own = [(key(0, Some(source), user), pair), (key(1, Some(source), ""), address)];
            for (key, quota) in &own[..if is_known { 1 } else { 2 }] {
                if state.allowances.due(*key, quota, now) > now {
                    return None;
                }
                guess.taken.push((*key, quota.interval));
            }
        }
        if !is_known {
            let has_failed = failed.is_some_and(|key| state.failed.has(&key, FAILED_TTL));
            // A client without MediaMTX or a proxy between is its own sender, and was counted above. Its address cannot be
            // invented, so a flood of invented ones elsewhere does not use its allowance up.
            let is_own = source.sender == Sender::Client && source.claimed.is_some();
            let shared = [
                (key(if is_own { 2 } else { 8 }, None, user), by_user),
                (key(3, by_sender, user), sender_user),
                (key(4, by_sender, ""), sender),
            ];
            for (key, quota) in shared.into_iter().take(if is_own { 1 } else { 3 }) {
                if state.allowances.due(key, quota, now) <= now {
                    guess.taken.push((key, quota.interval));
                    continue;
                }
                if has_failed {
                    return None;
                }
                let turn = self.hasher.hash_one((5u8, key));
                guess.at = guess.at.max(state.allowances.due(turn, slow, now));
                guess.taken.push((turn, slow.interval));
            }
        }
        let patience = if matches!(source.sender, Sender::MediaMtx(_)) { Duration::ZERO } else { PATIENCE };
        if guess.at > now + patience {
            return None;
        }
        for (key, interval) in &guess.taken {
            state.allowances.take(*key, *interval, now);
        }
        Some(guess)
    }

    /// Gives a guess back: it was right, or it could not be verified.
    pub(super) fn give_back(&self, guess: &Guess) {
        let mut state = self.state.lock();
        for (key, interval) in &guess.taken {
            state.allowances.give_back(*key, *interval);
        }
    }

    /// Remembers a wrong guess, and that it came from this address.
    pub(super) fn record_wrong(&self, caller: &Caller, guess: [u8; 32]) {
        let failed = self.failed_key(caller);
        let mut state = self.state.lock();
        state.wrong.add(guess, MAX_WRONG, WRONG_TTL);
        if let Some(key) = failed {
            state.failed.add(key, MAX_ADDRESSES, FAILED_TTL);
        }
    }

    /// Remembers that the user has shown the right password from this address.
    pub(super) fn record_right(&self, caller: &Caller) {
        let (failed, known) = (self.failed_key(caller), self.known_key(caller));
        let mut state = self.state.lock();
        if let Some(key) = failed {
            state.failed.0.remove(&key);
        }
        if let Some(key) = known {
            state.known.add(key, MAX_ADDRESSES, KNOWN_TTL);
        }
    }

    fn failed_key(&self, caller: &Caller) -> Option<u64> {
        let source = Source::of(caller);
        source.claimed.map(|_| self.hasher.hash_one((6u8, source)))
    }

    fn known_key(&self, caller: &Caller) -> Option<u64> {
        caller.ip.map(|ip| self.hasher.hash_one((7u8, host_network(ip), &caller.credentials.user)))
    }
}

#[cfg(test)]
mod tests;
