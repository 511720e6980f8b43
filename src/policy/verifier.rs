//! [`Verifier`]: argon2 passwords, verified away from the async threads, once for all callers who send the same one.
//!
//! A verification that cannot be done (no thread can be started, too many wait, the code panics) is answered with
//! [`Verification::NotNow`]; nothing of it remains, so that the next one starts anew.

mod pool;

use std::{collections::HashMap, sync::Arc, time::Duration};

use hmac::Mac;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use self::pool::{Pool, StartThread, start_thread};
use super::{
    Caller, Credential, Credentials,
    throttle::{Guess, Throttle},
    verified_cache::VerifiedCache,
};
use crate::secret::hmac_sha256;

/// Passwords that wait for verification or are being verified; further ones are answered with
/// [`Verification::NotNow`]. At 25 ms each the last one waits for a few seconds, which is as long as clients wait.
const MAX_VERIFYING: usize = 128;

/// Places among them for passwords that were right before, and for users at an address from which the right password
/// came before. A flood of guesses leaves these places free, and they are verified first.
const RESERVED: usize = 32;

/// For how long a password that was right is verified again without an allowance: guesses of others do not lock its
/// user out.
pub(super) const VERIFIED_TTL: Duration = Duration::from_secs(30 * 86_400);

/// What was found out about a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verification {
    Right,
    Wrong,
    /// Too many wrong passwords; this one was not looked at.
    Throttled,
    /// It could not be verified; the password may be right or wrong.
    NotNow,
}

/// Compares a stored hash with a password. A parameter so that a test can pass one that panics.
type Matches = fn(&Credential, &str) -> bool;

/// Verifies argon2 passwords, and remembers which were right or wrong. Cheap to clone.
#[derive(Clone)]
pub(super) struct Verifier(Arc<Inner>);

struct Inner {
    /// Keys the digests of credentials: they are worthless without it, and it is gone with the process.
    key: [u8; 32],
    /// Digests of passwords that were right.
    verified: VerifiedCache<()>,
    throttle: Throttle,
    pool: Pool,
    matches: Matches,
    /// Passwords that wait or are being verified, by digest: a caller who sends the same one waits for the same result.
    in_flight: Mutex<HashMap<[u8; 32], watch::Receiver<Option<Verification>>>>,
}

impl Verifier {
    pub(super) fn new(key: [u8; 32], failures_per_minute: u32) -> Self {
        Verifier::with(key, failures_per_minute, start_thread, Credential::matches)
    }

    pub(super) fn with(key: [u8; 32], failures_per_minute: u32, start_thread: StartThread, matches: Matches) -> Self {
        Verifier(Arc::new(Inner {
            key,
            verified: VerifiedCache::new(),
            throttle: Throttle::new(failures_per_minute),
            pool: Pool::new(start_thread),
            matches,
            in_flight: Mutex::default(),
        }))
    }

    /// Whether this password was verified no longer ago than `max_age`. Takes no lock.
    pub(super) fn is_verified(&self, hash: &Credential, sent: &Credentials, max_age: Duration) -> bool {
        self.0.verified.get(&self.digest(hash, sent), max_age).is_some()
    }

    /// Verifies the caller's password against a stored hash. The first verification of a request takes a guess from the
    /// allowances, and sets `has_guess` for the others of the request.
    pub(super) async fn verify(&self, caller: &Caller, hash: &Credential, has_guess: &mut bool) -> Verification {
        let Inner { throttle, pool, verified, in_flight, .. } = &*self.0;
        let sent = &caller.credentials;
        let digest = self.digest(hash, sent);
        if throttle.is_known_wrong(&digest) {
            return Verification::Wrong;
        }
        // Before a guess is taken from the allowance: this is not the client's failure.
        if hash.is_slow()
            && let Err(e) = pool.start_missing()
        {
            tracing::error!("passwords cannot be verified, no thread can be started: {e}");
            return Verification::NotNow;
        }
        let was_verified = verified.get(&digest, VERIFIED_TTL).is_some();
        let has_priority = was_verified || throttle.is_known(caller);
        let (mut result, begun) = {
            let mut in_flight = in_flight.lock();
            match in_flight.get(&digest) {
                Some(result) => (result.clone(), None),
                None => {
                    if in_flight.len() >= MAX_VERIFYING - if has_priority { 0 } else { RESERVED } {
                        return Verification::NotNow;
                    }
                    let mut guess = None;
                    if !*has_guess && !was_verified {
                        guess = throttle.take(caller);
                        if guess.is_none() {
                            return Verification::Throttled;
                        }
                        *has_guess = true;
                    }
                    let (tell, result) = watch::channel(None);
                    in_flight.insert(digest, result.clone());
                    let (verifier, caller) = (self.clone(), caller.clone());
                    let outcome = Verification::NotNow;
                    (result, Some(InFlight { verifier, caller, guess, digest, outcome, tell }))
                }
            }
        };
        if let Some(begun) = begun {
            // Not a part of this request: the client that sent it first may disconnect while others wait for it.
            let (pool, hash) = (pool.clone(), hash.clone());
            let turn = begun.guess.as_ref().map(|guess| guess.at).filter(|at| *at > Instant::now());
            let start = move || begun.start(&pool, hash, has_priority);
            match turn {
                None => start(),
                Some(at) => drop(tokio::spawn(async move {
                    sleep_until(at).await;
                    start();
                })),
            }
        }
        match result.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.unwrap_or(Verification::NotNow),
            Err(_) => Verification::NotNow,
        }
    }

    /// A keyed digest of credentials, bound to the stored hash that they are compared with.
    pub(super) fn digest(&self, hash: &Credential, sent: &Credentials) -> [u8; 32] {
        let mut mac = hmac_sha256(&self.0.key);
        for part in [hash.identity(), sent.user.as_bytes(), sent.password.expose().as_bytes()] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// A verification that waits or runs. Dropping it answers those who wait, whether it ran, panicked, or never started.
struct InFlight {
    verifier: Verifier,
    caller: Caller,
    /// Given back unless it was wrong.
    guess: Option<Guess>,
    digest: [u8; 32],
    outcome: Verification,
    tell: watch::Sender<Option<Verification>>,
}

impl InFlight {
    fn start(mut self, pool: &Pool, hash: Credential, first: bool) {
        match hash.is_slow() {
            true => pool.run(Box::new(move || self.run(&hash)), first),
            false => self.run(&hash),
        }
    }

    fn run(&mut self, hash: &Credential) {
        let Inner { verified, throttle, matches, .. } = &*self.verifier.0;
        // Recorded before the entry is removed: a caller in between must not begin anew.
        self.outcome = if matches(hash, self.caller.credentials.password.expose()) {
            verified.put(self.digest, ());
            throttle.record_right(&self.caller);
            Verification::Right
        } else {
            throttle.record_wrong(&self.caller, self.digest);
            Verification::Wrong
        };
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(guess) = self.guess.as_ref().filter(|_| self.outcome != Verification::Wrong) {
            self.verifier.0.throttle.give_back(guess);
        }
        self.verifier.0.in_flight.lock().remove(&self.digest);
        self.tell.send_replace(Some(self.outcome));
    }
}

#[cfg(test)]
mod tests;
