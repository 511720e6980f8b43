//! The answer to a question: [`Decision`], and [`Verdict`], which adds the principal and the reason. [`Lease`] has the end of what
//! was permitted.

use std::{fmt, ops::Deref, sync::Arc};

use super::{Action, Caller, Principal};
use crate::error::{Code, Error};

/// The answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed.
    Allowed,
    /// Denied because no credentials were sent; the client should send some.
    AskCredentials,
    /// The user name, the password or the token is wrong.
    WrongCredentials,
    /// Denied without a look at the password: too many wrong ones from this address for this user name.
    TooManyFailures,
    /// Denied because the password could not be verified now: too many verifications wait, or one failed here. Says
    /// nothing about the password.
    NotVerified,
    /// The credentials are right, but no rule permits the action.
    NotPermitted,
}

impl Decision {
    /// Whether the action is allowed.
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
            Decision::NotVerified => "not_verified",
            Decision::NotPermitted => "not_permitted",
        }
    }

    /// The verdict with a reason of its own.
    pub(super) fn because(self, who: Principal, reason: &'static str) -> Verdict {
        Verdict { decision: self, who, reason, lease: None }
    }

    /// The verdict with the decision's usual reason.
    pub(super) fn of(self, who: Principal) -> Verdict {
        let reason = match self {
            Decision::Allowed => "allowed",
            Decision::AskCredentials => "credentials are required",
            Decision::WrongCredentials => "wrong user name or password",
            Decision::TooManyFailures => "too many wrong passwords",
            Decision::NotVerified => "the password could not be verified now",
            Decision::NotPermitted => "not permitted",
        };
        self.because(who, reason)
    }
}

/// A decision, for which principal, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// The authenticated principal; [`Principal::Anonymous`] if there is none, or if a rule for `any` allowed the
    /// action.
    pub who: Principal,
    /// Why, in words, for log, audit and caller. Never contains a credential.
    pub reason: &'static str,
    /// The end of what was permitted; none for a password and for a rule for `any`.
    pub lease: Option<Arc<Lease>>,
}

/// How long the credentials of a request are good: what was begun with them ends then, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// When the token, the share or the sign-in expires, in seconds of the Unix epoch. A page renews its access token every few
    /// minutes, so that of its sign-in counts, and not that of the token.
    pub expires: u64,
    /// The id of the sign-in to which an access token belongs.
    pub sign_in: Option<Arc<str>>,
    /// The `kid` of the key that signed the token.
    pub key: Option<Arc<str>>,
}

/// A principal that was authorized, and the lease of its credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorized {
    /// The principal.
    pub who: Principal,
    /// The end of what was permitted.
    pub lease: Option<Arc<Lease>>,
}

impl From<Principal> for Authorized {
    fn from(who: Principal) -> Self {
        Authorized { who, lease: None }
    }
}

impl From<Verdict> for Authorized {
    fn from(Verdict { who, lease, .. }: Verdict) -> Self {
        Authorized { who, lease }
    }
}

impl Deref for Authorized {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.who
    }
}

impl fmt::Display for Authorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.who.fmt(f)
    }
}

/// Credentials that are no longer good, or grant less than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// All of a principal.
    Principal(Principal),
    /// A token or a sign-in, by its id.
    Id(Arc<str>),
    /// All tokens of a key, by its `kid`.
    Key(Arc<str>),
}

impl Revoked {
    /// Whether what this principal has begun with these credentials must end.
    pub fn covers(&self, who: &Principal, lease: Option<&Lease>) -> bool {
        match self {
            Revoked::Principal(principal) => who == principal,
            Revoked::Id(id) => {
                matches!(who, Principal::Token(token) if token == id)
                    || lease.is_some_and(|lease| lease.sign_in.as_ref() == Some(id))
            }
            Revoked::Key(kid) => lease.is_some_and(|lease| lease.key.as_ref() == Some(kid)),
        }
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Revoked::Principal(who) => who.fmt(f),
            Revoked::Id(id) => write!(f, "token or sign-in {id}"),
            Revoked::Key(kid) => write!(f, "tokens of key {kid}"),
        }
    }
}

impl Verdict {
    /// The same with the lease of the credentials.
    pub(super) fn with(self, lease: Arc<Lease>) -> Self {
        Verdict { lease: Some(lease), ..self }
    }

    /// A failed attempt to sign in that the policy has not judged, such as an ended sign-in.
    pub fn refused(reason: &'static str) -> Self {
        Decision::WrongCredentials.because(Principal::Anonymous, reason)
    }

    /// The answer to MediaMTX about an action that this version does not know.
    pub fn on_unknown_action(caller: &Caller) -> Self {
        let decision = if caller.credentials.is_empty() { Decision::AskCredentials } else { Decision::NotPermitted };
        decision.because(Principal::Anonymous, "this action is not known to mtx-sidecar")
    }

    /// An action that the principal was permitted and has done.
    pub fn allowed(who: Principal) -> Self {
        Decision::Allowed.of(who)
    }

    /// The error for a caller who was not allowed. Leave `path` empty for requests about a list, so that the error
    /// names no path of it.
    pub fn refusal(&self, action: Action, path: &str) -> Error {
        let what = match action.has_path() && !path.is_empty() {
            true => format!("{} {path}", action.as_str()),
            false => action.as_str().to_owned(),
        };
        match self.decision {
            Decision::AskCredentials => {
                let message = format!("credentials are required to {what}: a user name and password, or a token");
                Error::new(Code::Unauthenticated, message)
            }
            Decision::NotPermitted => Error::new(Code::Forbidden, format!("{} is not permitted to {what}", self.who)),
            _ => self.sign_in_refusal(),
        }
    }

    /// The error for a caller who could not be signed in.
    pub fn sign_in_refusal(&self) -> Error {
        match self.decision {
            Decision::TooManyFailures => {
                Error::new(Code::TooManyFailures, "too many wrong passwords; wait a minute before the next attempt")
            }
            Decision::NotVerified => {
                Error::new(Code::Unavailable, "the password could not be verified now; try again in a few seconds")
            }
            Decision::AskCredentials => Error::new(Code::Unauthenticated, "a user name and a password are required"),
            _ => Error::new(Code::Unauthenticated, self.reason),
        }
    }
}
