//! [`Policy`]: decides from the current [`Snapshot`], and with a [`Verifier`] where a password needs argon2.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use super::{
    Action, AuthSettings, Authorized, Caller, Credential, Credentials, Decision, IdentityData, Permission, Principal,
    Snapshot, User, Verdict,
    rules::{Permissions, Rule},
    tokens::{NOT_OURS, SHARE_PREFIX, TokenKind, UNKNOWN_KEY, VerifiedToken, code_digest, looks_like_jwt, now, verify},
    verified_cache::VerifiedCache,
    verifier::{VERIFIED_TTL, Verification, Verifier},
};

/// A user whose name and password are right.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The name that the client sent.
    pub user: Arc<str>,
    /// The entry that accepted the password.
    pub rule: Arc<Rule>,
}

/// What the entries of a user name are asked for.
#[derive(Clone, Copy)]
enum Request<'a> {
    To(Action, &'a str),
    /// The action on at least one path.
    ToSome(Action),
    SignIn,
}

impl Request<'_> {
    fn granted_by(self, permissions: &Permissions) -> bool {
        match self {
            Request::To(action, path) => permissions.permit(action, path),
            Request::ToSome(action) => permissions.permit_some(action),
            Request::SignIn => true,
        }
    }
}

/// A verdict, and the entry that grants the request if one of a user name does.
type Answer = (Verdict, Option<Arc<Rule>>);

/// A request that only verifications can decide.
#[derive(Debug)]
struct Undecided {
    /// Whether an entry accepted the password already, and does not permit the action.
    is_authenticated: bool,
    /// Entries whose password has to be verified, and whether they permit the action; those that do come first.
    candidates: Vec<(Arc<Rule>, bool)>,
}

/// The compiled rules, and what is remembered of credentials. Cheap to clone.
#[derive(Clone)]
pub struct Policy(Arc<Inner>);

struct Inner {
    file: Vec<Arc<Rule>>,
    snapshot: ArcSwap<Snapshot>,
    password_cache_ttl: Duration,
    verifier: Verifier,
    /// Tokens whose signature was right, by the digest of the token.
    tokens: VerifiedCache<Arc<VerifiedToken>>,
}

impl Policy {
    /// Compiles the rules; the error names the entry and what is wrong in it.
    pub fn new(settings: &AuthSettings) -> Result<Self, String> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|e| format!("the system gives no random numbers: {e}"))?;
        Policy::with(settings, Verifier::new(key, settings.failures_per_minute))
    }

    fn with(settings: &AuthSettings, verifier: Verifier) -> Result<Self, String> {
        let compile =
            |(i, user): (usize, &User)| Rule::compile(user).map(Arc::new).map_err(|e| format!("auth.users[{i}]: {e}"));
        let file = settings.users.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()?;
        Ok(Policy(Arc::new(Inner {
            snapshot: ArcSwap::from_pointee(Snapshot::new(&file, IdentityData::default())),
            file,
            password_cache_ttl: *settings.password_cache_ttl,
            verifier,
            tokens: VerifiedCache::new(),
        })))
    }

    /// Whether any of the rules grants the action.
    pub fn grants(users: &[User], action: Action) -> bool {
        users.iter().any(|user| user.permissions.iter().any(|p| p.action == action))
    }

    /// Whether the rules of the configuration file have an entry for this user name.
    pub fn is_in_file(&self, name: &str) -> bool {
        self.0.file.iter().any(|rule| !rule.is_for_any() && rule.user.matches(name))
    }

    /// Replaces what `identity` contributes to decisions. Decisions in progress finish on the previous snapshot.
    pub fn replace(&self, data: IdentityData) {
        self.0.snapshot.store(Arc::new(Snapshot::new(&self.0.file, data)));
    }

    /// The current snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// Decides. `path` is a path or stream name; it is ignored for actions that have none.
    pub async fn decide(&self, caller: &Caller, action: Action, path: &str) -> Verdict {
        self.answer(caller, Request::To(action, path)).await.0
    }

    /// Decides whether the caller is permitted the action on at least one path, for requests about all paths.
    pub async fn decide_some(&self, caller: &Caller, action: Action) -> Verdict {
        self.answer(caller, Request::ToSome(action)).await.0
    }

    /// Checks user name and password, whatever they permit.
    pub async fn authenticate(&self, caller: &Caller) -> Result<Authenticated, Verdict> {
        let (verdict, rule) = self.answer(caller, Request::SignIn).await;
        match rule {
            Some(rule) if verdict.decision.is_allowed() => {
                Ok(Authenticated { user: caller.credentials.user.as_str().into(), rule })
            }
            // A token is no sign-in: the sign-in would outlive it.
            _ if verdict.decision.is_allowed() => Err(Decision::WrongCredentials.of(Principal::Anonymous)),
            _ => Err(verdict),
        }
    }

    /// The caller's principal and permissions, by token or by user name and password; for showing them to the caller.
    pub async fn permissions_of(&self, caller: &Caller) -> Result<(Authorized, Vec<Permission>), Verdict> {
        if let Some(token) = self.token_of(caller) {
            let (who, token) = self
                .check_token(caller, token)
                .map_err(|r| Decision::WrongCredentials.because(Principal::Anonymous, r))?;
            let lease = Some(token.lease.clone());
            return Ok((Authorized { who, lease }, token.claims.mediamtx_permissions.clone()));
        }
        let authenticated = self.authenticate(caller).await?;
        Ok((Principal::User(authenticated.user).into(), authenticated.rule.permissions().to_vec()))
    }

    async fn answer(&self, caller: &Caller, request: Request<'_>) -> Answer {
        match self.decide_now(caller, request) {
            Ok(answer) => answer,
            Err(undecided) => self.decide_slowly(caller, undecided).await,
        }
    }

    /// Decides from memory, if that is possible.
    fn decide_now(&self, caller: &Caller, request: Request<'_>) -> Result<Answer, Undecided> {
        let snapshot = self.0.snapshot.load();
        let sent = &caller.credentials;
        if !matches!(request, Request::SignIn) {
            if let Some(verdict) = self.decide_by_token(&snapshot, caller, request) {
                return Ok((verdict, None));
            }
            let mut for_any = snapshot.for_any.iter().map(|i| &snapshot.rules[*i]);
            if for_any.any(|rule| rule.applies_to(caller.ip) && request.granted_by(rule.compiled())) {
                return Ok((Decision::Allowed.of(Principal::Anonymous), None));
            }
        }
        if sent.is_empty() {
            return Ok((Decision::AskCredentials.of(Principal::Anonymous), None));
        }
        if looks_like_jwt(sent.password.expose()) {
            // Our own tokens were handled above; this JWT is foreign.
            return Ok((Decision::WrongCredentials.because(Principal::Anonymous, NOT_OURS), None));
        }
        let mut undecided = Undecided { is_authenticated: false, candidates: vec![] };
        for i in snapshot.named(&sent.user) {
            let rule = &snapshot.rules[i];
            if !rule.applies_to(caller.ip) {
                continue;
            }
            let is_remembered = |max_age| self.0.verifier.is_verified(&rule.pass, sent, max_age);
            let verified = match rule.pass.is_slow() {
                true => is_remembered(self.0.password_cache_ttl),
                // A right guess must not pass where a wrong one would be refused, so it takes a guess from the allowance
                // as well, unless it was right before.
                false => {
                    rule.pass.is_empty() || rule.pass.matches(sent.password.expose()) && is_remembered(VERIFIED_TTL)
                }
            };
            if verified {
                undecided.is_authenticated = true;
                if request.granted_by(rule.compiled()) {
                    return Ok((Decision::Allowed.of(Principal::User(name_of(rule, sent))), Some(rule.clone())));
                }
            } else {
                undecided.candidates.push((rule.clone(), request.granted_by(rule.compiled())));
            }
        }
        if undecided.is_authenticated {
            // The user is known; only an entry that permits the action is worth a verification.
            undecided.candidates.retain(|(_, permits)| *permits);
            if undecided.candidates.is_empty() {
                return Ok((Decision::NotPermitted.of(Principal::User(sent.user.as_str().into())), None));
            }
        }
        // Entries that permit the action come first: one verification is enough if the password is right.
        undecided.candidates.sort_by_key(|(_, permits)| !permits);
        Err(undecided)
    }

    /// Decides by verifications; those of argon2 are away from the async threads.
    async fn decide_slowly(&self, caller: &Caller, undecided: Undecided) -> Answer {
        let refused = |decision: Decision| (decision.of(Principal::Anonymous), None);
        let sent = &caller.credentials;
        let mut is_authenticated = undecided.is_authenticated;
        let (mut has_guess, mut was_slow) = (false, false);
        for (rule, permits) in undecided.candidates {
            was_slow |= rule.pass.is_slow();
            match self.0.verifier.verify(caller, &rule.pass, &mut has_guess).await {
                Verification::Right if permits => {
                    return (Decision::Allowed.of(Principal::User(name_of(&rule, sent))), Some(rule));
                }
                Verification::Right => is_authenticated = true,
                Verification::Wrong => {}
                Verification::Throttled => return refused(Decision::TooManyFailures),
                Verification::NotNow => return refused(Decision::NotVerified),
            }
        }
        if is_authenticated {
            return (Decision::NotPermitted.of(Principal::User(sent.user.as_str().into())), None);
        }
        if !was_slow {
            // A user name that is unknown, or whose password is not hashed, takes the same time as the others: names cannot
            // be guessed by the time of the answer.
            let decoy = self.0.snapshot.load().decoy.clone();
            match self.0.verifier.verify(caller, &decoy, &mut has_guess).await {
                Verification::Throttled => return refused(Decision::TooManyFailures),
                Verification::NotNow => return refused(Decision::NotVerified),
                Verification::Right | Verification::Wrong => {}
            }
        }
        refused(Decision::WrongCredentials)
    }

    fn decide_share(&self, snapshot: &Snapshot, code: &str, request: Request<'_>) -> Verdict {
        match snapshot.shares.get(&code_digest(code)) {
            Some(share) if share.expires <= now() => {
                Decision::WrongCredentials.because(Principal::Share(share.id.clone()), "the share link has expired")
            }
            Some(share) => {
                let decision = match request.granted_by(&share.permissions) {
                    true => Decision::Allowed,
                    false => Decision::NotPermitted,
                };
                decision.of(Principal::Share(share.id.clone())).with(share.lease.clone())
            }
            None => {
                let reason = "the share link is unknown, or was revoked";
                Decision::WrongCredentials.because(Principal::Anonymous, reason)
            }
        }
    }

    /// The verdict by a token or share code that was issued here, if the client sent one. It alone decides, even where
    /// the rules for `any` permit more: a visitor with a link sees what the link is for, on this host too. None for
    /// foreign tokens.
    fn decide_by_token(&self, snapshot: &Snapshot, caller: &Caller, request: Request<'_>) -> Option<Verdict> {
        let password = caller.credentials.password.expose();
        if password.starts_with(SHARE_PREFIX) {
            return Some(self.decide_share(snapshot, password, request));
        }
        let verdict = match self.check_token(caller, self.token_of(caller)?) {
            Err(NOT_OURS | UNKNOWN_KEY) => return None,
            Err(reason) => Decision::WrongCredentials.because(Principal::Anonymous, reason),
            Ok((who, token)) => {
                let decision = match request.granted_by(&token.permissions) {
                    true => Decision::Allowed,
                    false => Decision::NotPermitted,
                };
                decision.of(who).with(token.lease.clone())
            }
        };
        Some(verdict)
    }

    fn token_of<'a>(&self, caller: &'a Caller) -> Option<&'a str> {
        Some(caller.credentials.password.expose()).filter(|password| looks_like_jwt(password))
    }

    /// Checks that a token was issued here and is still valid; returns its principal.
    fn check_token(&self, caller: &Caller, token: &str) -> Result<(Principal, Arc<VerifiedToken>), &'static str> {
        let snapshot = self.0.snapshot.load();
        let digest = self.0.verifier.digest(&Credential::default(), &Credentials::from_token(token));
        let verified = match self.0.tokens.get(&digest, self.0.password_cache_ttl) {
            // Its key can have been dropped since.
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
        let ids = [Some(&claims.jti), claims.sid.as_ref(), claims.sign_in.as_ref()];
        if ids.into_iter().flatten().any(is_revoked) {
            return Err("the token was revoked");
        }
        let who = match claims.kind {
            TokenKind::Machine => Principal::Token(claims.jti.as_str().into()),
            TokenKind::Share => Principal::Share(claims.sid.as_deref().unwrap_or_default().into()),
            TokenKind::Ingress => Principal::User(claims.sub.as_str().into()),
            TokenKind::Internal => Principal::Internal,
            TokenKind::Access => {
                let mut entries = snapshot.named(&claims.sub).map(|i| &snapshot.rules[i]);
                let entry = entries.find(|rule| claims.ver.as_ref() == Some(&snapshot.stamp(rule)));
                let entry = entry.ok_or("the token's user was changed or removed")?;
                if !entry.applies_to(caller.ip) {
                    return Err("the token's user is not permitted from this address");
                }
                Principal::User(claims.sub.as_str().into())
            }
        };
        Ok((who, verified))
    }
}

/// The user name, without a copy where the entry has it.
fn name_of(rule: &Rule, sent: &Credentials) -> Arc<str> {
    rule.name.clone().unwrap_or_else(|| sent.user.as_str().into())
}

#[cfg(test)]
mod tests;
