//! [`Verifier`]: argon2 passwords, verified away from the async threads, once for all callers who send the same one.
//!
//! A verification that cannot be done (no thread can be started, too many wait, the code panics) is answered with
//! [`Verification::NotNow`]; nothing of it remains, so that the next one starts anew.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use hmac::Mac;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Credential, Credentials, throttle::Throttle, verified_cache::VerifiedCache};
use crate::secret::hmac_sha256;

/// Passwords that wait for verification or are being verified; further ones are answered with
/// [`Verification::NotNow`]. At 25 ms each the last one waits for a few seconds, which is as long as clients wait.
const MAX_VERIFYING: usize = 128;

/// For how long a verified password is verified again even when the allowance of wrong ones is used up: guesses from
/// the same address do not lock its user out.
const VERIFIED_TTL: Duration = Duration::from_secs(24 * 3600);

/// Verifications run after the threads that answer requests (nice(2) applies to a single thread on Linux).
const NICENESS: i32 = 10;

/// What was found out about a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verification {
    Right,
    Wrong,
    /// Too many wrong passwords for this address and user name; this one was not looked at.
    Throttled,
    /// It could not be verified; the password may be right or wrong.
    NotNow,
}

/// Compares a stored hash with a password. A parameter so that a test can pass one that panics.
type Matches = fn(&Credential, &str) -> bool;

/// Starts a thread. A parameter so that a test can pass one that fails.
type StartThread = fn(Box<dyn FnOnce() + Send>) -> io::Result<()>;

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

    /// Verifies the password that was sent from that address against a stored hash.
    pub(super) async fn verify(&self, ip: Option<IpAddr>, sent: &Credentials, hash: &Credential) -> Verification {
        let digest = self.digest(hash, sent);
        if self.0.throttle.is_known_wrong(&digest) {
            return Verification::Wrong;
        }
        // Before a guess is taken from the allowance: this is not the client's failure.
        if let Err(e) = self.0.pool.start_missing() {
            tracing::error!("passwords cannot be verified, no thread can be started: {e}");
            return Verification::NotNow;
        }
        let (mut result, begun) = {
            let mut in_flight = self.0.in_flight.lock();
            match in_flight.get(&digest) {
                Some(result) => (result.clone(), None),
                None => {
                    if in_flight.len() >= MAX_VERIFYING {
                        return Verification::NotNow;
                    }
                    let was_verified = self.0.verified.get(&digest, VERIFIED_TTL).is_some();
                    if !was_verified && !self.0.throttle.take_guess(ip, &sent.user) {
                        return Verification::Throttled;
                    }
                    let (tell, result) = watch::channel(None);
                    in_flight.insert(digest, result.clone());
                    let begun = InFlight { verifier: self.clone(), digest, outcome: Verification::NotNow, tell };
                    (result, Some(begun))
                }
            }
        };
        if let Some(mut begun) = begun {
            // Not a part of this request: the client that sent it first may disconnect while others wait for it.
            let (hash, sent) = (hash.clone(), sent.clone());
            self.0.pool.run(Box::new(move || begun.run(&hash, sent.password.expose())));
        }
        match result.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.unwrap_or(Verification::NotNow),
            Err(_) => Verification::NotNow,
        }
    }

    /// Counts a wrong password that was cheap to check against the allowance of its address and user name.
    pub(super) fn count_wrong(&self, ip: Option<IpAddr>, sent: &Credentials) -> Verification {
        let guess = self.digest(&Credential::default(), sent);
        if !self.0.throttle.is_known_wrong(&guess) {
            if !self.0.throttle.take_guess(ip, &sent.user) {
                return Verification::Throttled;
            }
            self.0.throttle.record_wrong(guess);
        }
        Verification::Wrong
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
    digest: [u8; 32],
    outcome: Verification,
    tell: watch::Sender<Option<Verification>>,
}

impl InFlight {
    fn run(&mut self, hash: &Credential, password: &str) {
        let Inner { verified, throttle, matches, .. } = &*self.verifier.0;
        // Recorded before the entry is removed: a caller in between must not begin anew.
        self.outcome = if matches(hash, password) {
            verified.put(self.digest, ());
            Verification::Right
        } else {
            throttle.record_wrong(self.digest);
            Verification::Wrong
        };
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.verifier.0.in_flight.lock().remove(&self.digest);
        self.tell.send_replace(Some(self.outcome));
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads for argon2, which takes 19 MiB and 20 ms each time. Each keeps its memory, so there are few: at most half
/// as many as cores. (tokio's blocking pool can have hundreds.) They are started when they are first needed, and end
/// when the pool is dropped.
struct Pool {
    jobs: SyncSender<Job>,
    queue: Arc<Mutex<Receiver<Job>>>,
    start_thread: StartThread,
    /// Threads that are still to be started.
    missing: Mutex<usize>,
    size: usize,
}

impl Pool {
    fn new(start_thread: StartThread) -> Self {
        let (jobs, queue) = sync_channel(MAX_VERIFYING);
        let size = thread::available_parallelism().map_or(2, usize::from).div_ceil(2);
        Pool { jobs, queue: Arc::new(Mutex::new(queue)), start_thread, missing: Mutex::new(size), size }
    }

    /// Queues a job; drops it if the queue is full, which `MAX_VERIFYING` prevents.
    fn run(&self, job: Job) {
        if let Err(e) = self.jobs.try_send(job) {
            tracing::error!("a password cannot be verified: {e}");
        }
    }

    /// Starts the threads that do not run yet; fails if none runs then.
    fn start_missing(&self) -> io::Result<()> {
        let mut missing = self.missing.lock();
        while *missing > 0 {
            let queue = self.queue.clone();
            match (self.start_thread)(Box::new(move || work(&queue))) {
                Ok(()) => *missing -= 1,
                Err(e) if *missing == self.size => return Err(e),
                // Those that run do the work; the rest are started with a later job.
                Err(e) => {
                    tracing::warn!("another thread for passwords cannot be started: {e}");
                    break;
                }
            }
        }
        Ok(())
    }
}

fn start_thread(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    thread::Builder::new().name("passwords".into()).spawn(work).map(drop)
}

/// Runs jobs until the pool is dropped.
fn work(queue: &Mutex<Receiver<Job>>) {
    if let Err(e) = rustix::process::nice(NICENESS) {
        tracing::debug!("the priority of password verification cannot be lowered: {e}");
    }
    loop {
        let job = queue.lock().recv();
        let Ok(job) = job else { return };
        // The job is consumed: it leaves nothing half done that could be seen afterwards.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a password verification panicked");
        }
    }
}

#[cfg(test)]
mod tests;
