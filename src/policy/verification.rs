//! Passwords that take their time: argon2 away from the async threads, once for all who show the same.

use std::sync::{Arc, OnceLock, mpsc};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::sync::watch;

use super::{
    Caller, Credential, Credentials, Decision, Policy, Principal, Rule, Verdict,
    decide::{MAX_VERIFYING, Slow, VERIFIED_TTL},
};

/// Threads of their own for argon2, which takes 19 MiB and 20 ms each time. Each keeps its memory, so they are few;
/// of tokio's blocking threads there may be hundreds.
#[derive(Default)]
pub(super) struct Verifiers(OnceLock<mpsc::Sender<Job>>);

type Job = Box<dyn FnOnce() + Send>;

/// Behind whatever answers those who are known already (nice(2) is a thread's own on Linux).
const NICENESS: i32 = 10;

impl Verifiers {
    /// Runs it when it is its turn. The threads are started by the first.
    fn run(&self, job: impl FnOnce() + Send + 'static) {
        let jobs = self.0.get_or_init(|| {
            let (jobs, todo) = mpsc::channel::<Job>();
            let todo = Arc::new(Mutex::new(todo));
            // At most half of the cores.
            for _ in 0..std::thread::available_parallelism().map_or(2, usize::from).div_ceil(2) {
                let todo = todo.clone();
                std::thread::spawn(move || {
                    let _ = rustix::process::nice(NICENESS);
                    loop {
                        let job = todo.lock().recv();
                        // The policy is gone, and with it whoever might ask.
                        let Ok(job) = job else { return };
                        job();
                    }
                });
            }
            jobs
        });
        // Fails if no thread could be started; the password then counts as wrong.
        let _ = jobs.send(Box::new(job));
    }
}

impl Policy {
    /// Verifies argon2 passwords away from the async threads.
    pub(super) async fn decide_slowly(&self, caller: &Caller, slow: Slow) -> (Verdict, Option<Arc<Rule>>) {
        let shown = &caller.credentials;
        let mut decision = if slow.recognised { Decision::NotPermitted } else { Decision::WrongCredentials };
        for (rule, permits) in slow.candidates {
            match self.verify_password(caller, &rule.pass).await {
                None => return (Decision::TooManyFailures.of(Principal::Anonymous), None),
                Some(false) => {}
                Some(true) if permits => {
                    return (Decision::Allowed.of(Principal::User(self.name_of(&rule, shown))), Some(rule));
                }
                Some(true) => decision = Decision::NotPermitted,
            }
        }
        let who = if decision == Decision::NotPermitted {
            Principal::User(shown.user.as_str().into())
        } else {
            Principal::Anonymous
        };
        (decision.of(who), None)
    }

    /// Whether the password is right; none if it was not looked at, because too many were wrong or wait.
    async fn verify_password(&self, caller: &Caller, pass: &Credential) -> Option<bool> {
        let shown = &caller.credentials;
        let digest = self.digest(pass, shown);
        if self.0.throttle.known_wrong(&digest) {
            return Some(false);
        }
        let mut result = {
            let mut verifying = self.0.verifying.lock();
            match verifying.get(&digest) {
                Some(result) => result.clone(),
                None => {
                    let recently_verified = self.0.verified.get(&digest, VERIFIED_TTL).is_some();
                    if !recently_verified && !self.0.throttle.may_guess(caller.ip, &shown.user) {
                        return None;
                    }
                    if verifying.len() >= MAX_VERIFYING {
                        return None;
                    }
                    let (tell, result) = watch::channel(None);
                    verifying.insert(digest, result.clone());
                    // Not a part of this request: whoever asked first may go away, and others wait for it.
                    self.verify_later(digest, pass.clone(), shown.clone(), tell);
                    result
                }
            }
        };
        let verified = result.wait_for(Option::is_some).await.ok().and_then(|verified| *verified);
        Some(verified.unwrap_or(false))
    }

    fn verify_later(&self, digest: [u8; 32], pass: Credential, shown: Credentials, tell: watch::Sender<Option<bool>>) {
        let policy = self.clone();
        self.0.verifiers.run(move || {
            let verified = pass.matches(shown.password.expose());
            // Noted before it is told: whoever asks in between must not begin anew.
            match verified {
                true => policy.0.verified.put(digest, ()),
                false => policy.0.throttle.was_wrong(digest),
            }
            policy.0.verifying.lock().remove(&digest);
            tell.send_replace(Some(verified));
        });
    }

    /// A wrong password that cost nothing to check still counts against guessing.
    pub(super) fn count_failure(&self, caller: &Caller) -> Verdict {
        let guess = self.digest(&Credential::default(), &caller.credentials);
        if !self.0.throttle.known_wrong(&guess) {
            if !self.0.throttle.may_guess(caller.ip, &caller.credentials.user) {
                return Decision::TooManyFailures.of(Principal::Anonymous);
            }
            self.0.throttle.was_wrong(guess);
        }
        Decision::WrongCredentials.of(Principal::Anonymous)
    }

    /// A digest of what was shown, bound to the stored hash it was compared with.
    pub(super) fn digest(&self, pass: &Credential, shown: &Credentials) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0.key).expect("HMAC takes keys of any length");
        for part in [pass.identity(), shown.user.as_bytes(), shown.password.expose().as_bytes()] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}
