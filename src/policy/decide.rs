//! [`Policy`]: the answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{
    Action, AuthSettings, Caller, Credential, Credentials, Known, Permission, Principal, Snapshot, User,
    rules::Rule,
    throttle::Throttle,
    tokens::{NOT_OURS, SHARE_PREFIX, TokenKind, UNKNOWN_KEY, Verified, code_digest, looks_like_jwt, now, verify},
    verification::Verifiers,
    verified_cache::VerifiedCache,
};

use crate::error::{Code, Error};
use parking_lot::Mutex;

/// Passwords that wait to be verified; more are refused unseen. At 25 ms each the last one waits for some seconds,
/// which is as long as anybody does.
pub(super) const MAX_VERIFYING: usize = 128;

/// A password that was right is given its turn even where many were wrong, for so long.
pub(super) const VERIFIED_TTL: Duration = Duration::from_secs(24 * 3600);

/// The answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed.
    Allowed,
    /// Not without credentials; ask for some.
    AskCredentials,
    /// The name, the password or the token is wrong.
    WrongCredentials,
    /// Too many wrong passwords from there for that name; the password was not even looked at.
    TooManyFailures,
    /// The credentials are right, but this is not permitted.
    NotPermitted,
}

impl Decision {
    /// Whether it is a yes.
    pub fn is_allowed(self) -> bool {
        self == Decision::Allowed
    }

    /// The word for it in metrics and in the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Allowed => "allowed",
            Decision::AskCredentials => "ask",
            Decision::WrongCredentials => "wrong_credentials",
            Decision::TooManyFailures => "throttled",
            Decision::NotPermitted => "not_permitted",
        }
    }

    fn because(self, who: Principal, reason: &'static str) -> Verdict {
        Verdict { decision: self, who, reason }
    }

    pub(super) fn of(self, who: Principal) -> Verdict {
        let reason = match self {
            Decision::Allowed => "allowed",
            Decision::AskCredentials => "credentials are needed",
            Decision::WrongCredentials => "wrong user name or password",
            Decision::TooManyFailures => "too many wrong passwords",
            Decision::NotPermitted => "not permitted",
        };
        Verdict { decision: self, who, reason }
    }
}

/// An answer with its circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub decision: Decision,
    /// Who was recognised. [`Principal::Anonymous`] when a rule for everybody allowed it, or nobody was.
    pub who: Principal,
    /// Why, in words, without any credential: for log, audit and caller.
    pub reason: &'static str,
}

impl Verdict {
    /// The answer to MediaMTX about an action that we have never heard of.
    pub fn on_unknown_action(caller: &Caller) -> Self {
        let decision = if caller.credentials.is_empty() { Decision::AskCredentials } else { Decision::NotPermitted };
        decision.because(Principal::Anonymous, "this action is not known to mtx-sidecar")
    }

    /// That somebody did what they may.
    pub fn allowed(who: Principal) -> Self {
        Decision::Allowed.of(who)
    }

    /// What a caller who was not allowed is told. Whoever asks for a list is told of no path in it: leave it empty.
    pub fn refusal(&self, action: Action, path: &str) -> Error {
        let what = match action.has_path() && !path.is_empty() {
            true => format!("{} {path}", action.as_str()),
            false => action.as_str().to_owned(),
        };
        match self.decision {
            Decision::AskCredentials => {
                Error::new(Code::Unauthenticated, format!("to {what} a user name and password, or a token, are needed"))
            }
            Decision::NotPermitted => Error::new(Code::Forbidden, format!("{} may not {what}", self.who)),
            _ => self.sign_in_refusal(),
        }
    }

    /// What somebody is told who could not be signed in.
    pub fn sign_in_refusal(&self) -> Error {
        match self.decision {
            Decision::TooManyFailures => {
                Error::new(Code::TooManyFailures, "too many wrong passwords; wait a minute before the next one")
            }
            Decision::AskCredentials => Error::new(Code::Unauthenticated, "a user name and password are needed"),
            _ => Error::new(Code::Unauthenticated, self.reason),
        }
    }
}

/// Somebody whose name and password are right.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// The name they gave.
    pub user: Arc<str>,
    /// Their entry.
    pub rule: Arc<Rule>,
}

/// What is asked of the entries of a name.
#[derive(Clone, Copy)]
enum Request<'a> {
    To(Action, &'a str),
    SignIn,
}

impl Request<'_> {
    fn granted_by(self, rule: &Rule) -> bool {
        match self {
            Request::To(action, path) => rule.permits(action, path),
            Request::SignIn => true,
        }
    }
}

/// What only an argon2 verification can tell.
#[derive(Debug)]
pub(super) struct Slow {
    /// The entry that took the password already, and did not permit the action.
    pub(super) recognised: bool,
    /// Entries whose password has to be verified, and whether they would permit the action.
    pub(super) candidates: Vec<(Arc<Rule>, bool)>,
}

/// The rules, compiled, and what is remembered of credentials. Cheap to clone.
#[derive(Clone)]
pub struct Policy(pub(super) Arc<Inner>);

pub(super) struct Inner {
    file: Vec<Arc<Rule>>,
    snapshot: ArcSwap<Snapshot>,
    password_cache_ttl: Duration,
    /// Keys the digests of credentials in memory: worthless without it, and gone with the process.
    pub(super) key: [u8; 32],
    /// Digests of right argon2 passwords.
    pub(super) verified: VerifiedCache<()>,
    /// Digests of tokens whose signature was right.
    tokens: VerifiedCache<Arc<Verified>>,
    pub(super) throttle: Throttle,
    pub(super) verifiers: Verifiers,
    /// Passwords that are being verified: whoever shows the same waits for the same result.
    pub(super) verifying: Mutex<HashMap<[u8; 32], watch::Receiver<Option<bool>>>>,
}

impl Policy {
    /// Compiles the rules; the error names the entry and what is wrong in it.
    pub fn new(settings: &AuthSettings) -> Result<Self, String> {
        let compile =
            |(i, user): (usize, &User)| Rule::compile(user).map(Arc::new).map_err(|e| format!("auth.users[{i}]: {e}"));
        let file = settings.users.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()?;
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|e| format!("the system gives no random numbers: {e}"))?;
        Ok(Policy(Arc::new(Inner {
            snapshot: ArcSwap::from_pointee(Snapshot::new(&file, Known::default())),
            file,
            password_cache_ttl: *settings.password_cache_ttl,
            key,
            verified: VerifiedCache::new(),
            tokens: VerifiedCache::new(),
            throttle: Throttle::new(settings.failures_per_minute),
            verifiers: Verifiers::default(),
            verifying: Mutex::default(),
        })))
    }

    /// Whether some rule grants the action to anybody at all.
    pub fn grants(users: &[User], action: Action) -> bool {
        users.iter().any(|user| user.permissions.iter().any(|p| p.action == action))
    }

    /// Whether the rules of the file have an entry of that name.
    pub fn is_in_file(&self, name: &str) -> bool {
        self.0.file.iter().any(|rule| !rule.is_for_anybody() && rule.user.matches(name))
    }

    /// From now on this is known. Answers in progress finish on what was known before.
    pub fn replace(&self, known: Known) {
        self.0.snapshot.store(Arc::new(Snapshot::new(&self.0.file, known)));
    }

    /// What is known at the moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// Answers. `path` is a path or stream name; it does not matter for actions that have none.
    pub async fn decide(&self, caller: &Caller, action: Action, path: &str) -> Verdict {
        match self.decide_now(caller, Request::To(action, path)) {
            Ok((verdict, _)) => verdict,
            Err(slow) => self.decide_slowly(caller, slow).await.0,
        }
    }

    /// Checks name and password, whatever they may be used for.
    pub async fn authenticate(&self, caller: &Caller) -> Result<Recognised, Verdict> {
        let (verdict, rule) = match self.decide_now(caller, Request::SignIn) {
            Ok(answer) => answer,
            Err(slow) => self.decide_slowly(caller, slow).await,
        };
        match rule {
            Some(rule) if verdict.decision.is_allowed() => {
                Ok(Recognised { user: caller.credentials.user.as_str().into(), rule })
            }
            // A token signs nobody in: it would outlive itself.
            _ if verdict.decision.is_allowed() => Err(Decision::WrongCredentials.of(Principal::Anonymous)),
            _ => Err(verdict),
        }
    }

    /// Who the caller is and what they may do, by token or by name and password; for showing it to them.
    pub async fn permissions_of(&self, caller: &Caller) -> Result<(Principal, Vec<Permission>), Verdict> {
        if let Some(token) = self.token_of(caller) {
            let (who, claims) = self
                .check_token(caller, token)
                .map_err(|r| Decision::WrongCredentials.because(Principal::Anonymous, r))?;
            return Ok((who, claims.claims.mediamtx_permissions.clone()));
        }
        let known = self.authenticate(caller).await?;
        Ok((Principal::User(known.user), known.rule.permissions().to_vec()))
    }

    /// Answers from memory if that can be done.
    fn decide_now(&self, caller: &Caller, wish: Request<'_>) -> Result<(Verdict, Option<Arc<Rule>>), Slow> {
        let snapshot = self.0.snapshot.load();
        let shown = &caller.credentials;
        if let Request::To(action, path) = wish {
            if let Some(verdict) = self.decide_by_token(&snapshot, caller, action, path) {
                return Ok((verdict, None));
            }
            let anybody = snapshot.anybody.iter().map(|i| &snapshot.rules[*i]);
            if anybody.into_iter().any(|rule| rule.counts_for(caller.ip) && rule.permits(action, path)) {
                return Ok((Decision::Allowed.of(Principal::Anonymous), None));
            }
        }
        if shown.is_empty() {
            return Ok((Decision::AskCredentials.of(Principal::Anonymous), None));
        }
        if looks_like_jwt(shown.password.expose()) {
            // Ours would have been decided by.
            return Ok((Decision::WrongCredentials.because(Principal::Anonymous, NOT_OURS), None));
        }
        let mut slow = Slow { recognised: false, candidates: vec![] };
        for i in snapshot.named(&shown.user) {
            let rule = &snapshot.rules[i];
            if !rule.counts_for(caller.ip) {
                continue;
            }
            let verified = match rule.pass.is_slow() {
                true => self.0.verified.get(&self.digest(&rule.pass, shown), self.0.password_cache_ttl).is_some(),
                false => rule.pass.matches(shown.password.expose()),
            };
            if verified {
                slow.recognised = true;
                if wish.granted_by(rule) {
                    return Ok((Decision::Allowed.of(Principal::User(self.name_of(rule, shown))), Some(rule.clone())));
                }
            } else if rule.pass.is_slow() {
                slow.candidates.push((rule.clone(), wish.granted_by(rule)));
            }
        }
        if slow.recognised {
            // Who they are is known; only what would allow it is still worth a verification.
            slow.candidates.retain(|(_, permits)| *permits);
        }
        // Those that permit it first: one verification is enough then.
        slow.candidates.sort_by_key(|(_, permits)| !permits);
        match (slow.candidates.is_empty(), slow.recognised) {
            (true, true) => Ok((Decision::NotPermitted.of(Principal::User(shown.user.as_str().into())), None)),
            (true, false) => Ok((self.count_failure(caller), None)),
            (false, _) => Err(slow),
        }
    }

    fn decide_share(&self, snapshot: &Snapshot, code: &str, action: Action, path: &str) -> Verdict {
        match snapshot.shares.get(&code_digest(code)) {
            Some(share) if share.expires <= now() => {
                Decision::WrongCredentials.because(Principal::Share(share.id.clone()), "the share link has expired")
            }
            Some(share) if share.permissions.permit(action, path) => {
                Decision::Allowed.of(Principal::Share(share.id.clone()))
            }
            Some(share) => Decision::NotPermitted.of(Principal::Share(share.id.clone())),
            None => Decision::WrongCredentials.because(Principal::Anonymous, "the share link is not known (any more)"),
        }
    }

    /// The answer by a token or a share's code of ours, if one was shown. It alone decides, also where everybody may more:
    /// a guest with a link sees what the link is for, on this machine too. What is not ours is none of this.
    fn decide_by_token(&self, snapshot: &Snapshot, caller: &Caller, action: Action, path: &str) -> Option<Verdict> {
        let password = caller.credentials.password.expose();
        if password.starts_with(SHARE_PREFIX) {
            return Some(self.decide_share(snapshot, password, action, path));
        }
        let verdict = match self.check_token(caller, self.token_of(caller)?) {
            Err(NOT_OURS | UNKNOWN_KEY) => return None,
            Err(reason) => Decision::WrongCredentials.because(Principal::Anonymous, reason),
            Ok((who, token)) if token.permissions.permit(action, path) => Decision::Allowed.of(who),
            Ok((who, _)) => Decision::NotPermitted.of(who),
        };
        Some(verdict)
    }

    fn token_of<'a>(&self, caller: &'a Caller) -> Option<&'a str> {
        Some(caller.credentials.password.expose()).filter(|password| looks_like_jwt(password))
    }

    /// Whether a token is ours and still counts, and whose it is.
    fn check_token(&self, caller: &Caller, token: &str) -> Result<(Principal, Arc<Verified>), &'static str> {
        let snapshot = self.0.snapshot.load();
        let digest = self.digest(&Credential::default(), &Credentials::from_token(token));
        let verified = match self.0.tokens.get(&digest, self.0.password_cache_ttl) {
            // Its key may have been dropped since.
            Some(verified) if snapshot.keys.contains_key(&verified.kid) => verified,
            _ => {
                let verified = verify(token, &snapshot)?;
                self.0.tokens.put(digest, verified.clone());
                verified
            }
        };
        let claims = &verified.claims;
        if claims.exp <= now() {
            return Err("the token has expired");
        }
        let is_revoked = |id: &String| snapshot.revoked.contains(id);
        if is_revoked(&claims.jti) || claims.sid.as_ref().is_some_and(is_revoked) {
            return Err("the token was revoked");
        }
        let who = match claims.kind {
            TokenKind::Machine => Principal::Token(claims.jti.as_str().into()),
            TokenKind::Share => Principal::Share(claims.sid.as_deref().unwrap_or_default().into()),
            TokenKind::Internal => Principal::Internal,
            TokenKind::Access => {
                let mut entries = snapshot.named(&claims.sub).map(|i| &snapshot.rules[i]);
                let entry = entries.find(|rule| claims.ver.as_ref() == Some(&snapshot.stamp(rule)));
                let entry = entry.ok_or("the token's user was changed or removed")?;
                if !entry.counts_for(caller.ip) {
                    return Err("the token's user may not come from this address");
                }
                Principal::User(claims.sub.as_str().into())
            }
        };
        Ok((who, verified))
    }

    /// The name without a copy where the entry has it.
    pub(super) fn name_of(&self, rule: &Rule, shown: &Credentials) -> Arc<str> {
        rule.name.clone().unwrap_or_else(|| shown.user.as_str().into())
    }
}

#[cfg(test)]
mod tests;
