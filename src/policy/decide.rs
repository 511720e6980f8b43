//! [`Policy`]: the answer.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::{Action, AuthSettings, Caller, Credential, Credentials, User, rules::Rule, throttle::Throttle};

/// Most right passwords remembered; each takes some 60 bytes.
const MAX_REMEMBERED: usize = 20_000;

/// The answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed.
    Allowed,
    /// Not without credentials; ask for some.
    AskCredentials,
    /// The name or the password is wrong.
    WrongCredentials,
    /// Too many wrong passwords from there for that name; the password was not even looked at.
    TooManyFailures,
    /// The name and password are right, but this is not permitted.
    NotPermitted,
}

impl Decision {
    /// Whether it is a yes.
    pub fn is_allowed(self) -> bool {
        self == Decision::Allowed
    }

    /// The reason in words, for log and audit.
    pub fn reason(self) -> &'static str {
        match self {
            Decision::Allowed => "allowed",
            Decision::AskCredentials => "credentials are needed",
            Decision::WrongCredentials => "wrong user name or password",
            Decision::TooManyFailures => "too many wrong passwords",
            Decision::NotPermitted => "not permitted",
        }
    }
}

/// What only an argon2 verification can tell.
#[derive(Debug, PartialEq)]
struct Slow {
    /// Whether a rule took the password already, which then did not permit the action.
    recognised: bool,
    /// Rules whose password has to be verified, and whether they would permit the action.
    candidates: Vec<(usize, bool)>,
}

/// The rules, compiled, and what is remembered of passwords. Cheap to clone.
#[derive(Clone)]
pub struct Policy(Arc<Inner>);

struct Inner {
    rules: Vec<Rule>,
    remember: Duration,
    /// Keys the digests of passwords in memory: worthless without it, and gone with the process.
    key: [u8; 32],
    /// Digests of right argon2 passwords, and when each was verified.
    right: RwLock<HashMap<[u8; 32], Instant>>,
    throttle: Throttle,
    /// At most half of the cores verify argon2 at a time: 19 MiB and 20 ms each.
    verifiers: Semaphore,
}

impl Policy {
    /// Compiles the rules; the error names the entry and what is wrong in it.
    pub fn new(settings: &AuthSettings) -> Result<Self, String> {
        let compile = |(i, user): (usize, &User)| Rule::compile(user).map_err(|e| format!("auth.users[{i}]: {e}"));
        let rules = settings.users.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|e| format!("the system gives no random numbers: {e}"))?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Policy(Arc::new(Inner {
            rules,
            remember: *settings.remember,
            key,
            right: RwLock::default(),
            throttle: Throttle::new(settings.failures_per_minute),
            verifiers: Semaphore::new(cores.div_ceil(2)),
        })))
    }

    /// Whether some rule grants the action to anybody at all.
    pub fn grants(users: &[User], action: Action) -> bool {
        users.iter().any(|user| user.permissions.iter().any(|p| p.action == action))
    }

    /// Answers. `path` is a path or stream name; it does not matter for actions that have none.
    pub async fn decide(&self, caller: &Caller, action: Action, path: &str) -> Decision {
        match self.decide_now(caller, action, path) {
            Ok(decision) => decision,
            Err(slow) => self.decide_slowly(caller, slow).await,
        }
    }

    /// Answers from memory if that can be done.
    fn decide_now(&self, caller: &Caller, action: Action, path: &str) -> Result<Decision, Slow> {
        let inner = &*self.0;
        let shown = &caller.credentials;
        let mut slow = Slow { recognised: false, candidates: vec![] };
        for (i, rule) in inner.rules.iter().enumerate() {
            if !rule.counts_for(caller.ip) {
                continue;
            }
            if rule.is_for_anybody() {
                if rule.permits(action, path) {
                    return Ok(Decision::Allowed);
                }
                continue;
            }
            if shown.user.is_empty() || !rule.user.matches(&shown.user) {
                continue;
            }
            let right = if rule.pass.is_slow() {
                self.is_remembered(&rule.pass, shown)
            } else {
                rule.pass.matches(shown.password.expose())
            };
            if right {
                slow.recognised = true;
                if rule.permits(action, path) {
                    return Ok(Decision::Allowed);
                }
            } else if rule.pass.is_slow() {
                slow.candidates.push((i, rule.permits(action, path)));
            }
        }
        if shown.is_empty() {
            return Ok(Decision::AskCredentials);
        }
        if slow.recognised {
            // Who they are is known; only what would allow it is still worth a verification.
            slow.candidates.retain(|(_, permits)| *permits);
        }
        // Those that permit it first: one verification is enough then.
        slow.candidates.sort_by_key(|(_, permits)| !permits);
        match (slow.candidates.is_empty(), slow.recognised) {
            (true, true) => Ok(Decision::NotPermitted),
            (true, false) => Ok(self.count_failure(caller)),
            (false, _) => Err(slow),
        }
    }

    /// Verifies argon2 passwords away from the async threads.
    async fn decide_slowly(&self, caller: &Caller, slow: Slow) -> Decision {
        let inner = &*self.0;
        let shown = &caller.credentials;
        let mut decision = if slow.recognised { Decision::NotPermitted } else { Decision::WrongCredentials };
        for (candidate, permits) in slow.candidates {
            let pass = inner.rules[candidate].pass.clone();
            let digest = self.digest(&pass, shown);
            if inner.throttle.known_wrong(&digest) {
                continue;
            }
            if !inner.throttle.may_guess(caller.ip, &shown.user) {
                return Decision::TooManyFailures;
            }
            let turn = inner.verifiers.acquire().await.expect("never closed");
            // Somebody else may have verified the same while we waited.
            let right = self.is_remembered(&pass, shown) || {
                let password = shown.password.clone();
                let verify = tokio::task::spawn_blocking(move || pass.matches(password.expose()));
                verify.await.unwrap_or(false)
            };
            drop(turn);
            if !right {
                inner.throttle.was_wrong(digest);
                continue;
            }
            self.remember(digest);
            if permits {
                return Decision::Allowed;
            }
            decision = Decision::NotPermitted;
        }
        decision
    }

    /// A wrong password that cost nothing to check still counts against guessing.
    fn count_failure(&self, caller: &Caller) -> Decision {
        let guess = self.digest(&Credential::default(), &caller.credentials);
        if !self.0.throttle.known_wrong(&guess) {
            if !self.0.throttle.may_guess(caller.ip, &caller.credentials.user) {
                return Decision::TooManyFailures;
            }
            self.0.throttle.was_wrong(guess);
        }
        Decision::WrongCredentials
    }

    fn is_remembered(&self, pass: &Credential, shown: &Credentials) -> bool {
        let right = self.0.right.read().expect("nothing panics while it is held");
        !right.is_empty() && right.get(&self.digest(pass, shown)).is_some_and(|at| at.elapsed() < self.0.remember)
    }

    fn remember(&self, digest: [u8; 32]) {
        let mut right = self.0.right.write().expect("nothing panics while it is held");
        if right.len() >= MAX_REMEMBERED {
            let remember = self.0.remember;
            right.retain(|_, at| at.elapsed() < remember);
            if right.len() >= MAX_REMEMBERED {
                right.clear();
            }
        }
        right.insert(digest, Instant::now());
    }

    /// A digest of what was shown, bound to the stored hash it was compared with.
    fn digest(&self, pass: &Credential, shown: &Credentials) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0.key).expect("HMAC takes keys of any length");
        for part in [pass.identity(), shown.user.as_bytes(), shown.password.expose().as_bytes()] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests;
