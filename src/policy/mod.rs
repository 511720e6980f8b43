//! Who may do what. Rules in the shape of MediaMTX's `authInternalUsers`, asked by every route of ours
//! and by MediaMTX through its webhook.
//!
//! Decides and does no I/O, from an immutable [`Snapshot`] that is swapped whole; the one thing that takes time, an
//! argon2 password never seen before, runs on a blocking thread. Knows no HTTP beyond what [`webhook`] decodes, and
//! not where users, tokens and shares are kept: that is `identity`.

mod decide;
mod password;
mod rules;
mod snapshot;
mod throttle;
mod tokens;
mod verification;
mod verified_cache;
pub mod webhook;

use std::{net::IpAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

pub use self::{
    decide::{Decision, Policy, Recognised, Verdict},
    password::{Credential, hash_password},
    rules::{Permission, Rule, User, loopback_rule},
    snapshot::{Known, ShareRule, Snapshot},
    tokens::{Claims, ISSUER, TokenKind, code_digest, now},
};
use crate::{
    secret::Secret,
    units::{HumanDuration, Network, private_networks},
};

/// Who is asked for what, apart from the rules themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The rules, in the shape of MediaMTX's `authInternalUsers`.
    pub users: Vec<User>,
    /// Whether an administrator with a random password is made on first start when no rule grants `api`.
    pub generate_admin: bool,
    /// From where `/mediamtx-auth` may be asked.
    pub webhook_networks: Vec<Network>,
    /// How long an argon2 password that was right is remembered (as a keyed digest).
    pub password_cache_ttl: HumanDuration,
    /// Wrong passwords a minute, for one address and user name together, before further ones are refused unseen.
    pub failures_per_minute: u32,
    /// What MediaMTX's `authHTTPAddress` has to carry as `?secret=` or as its password; empty for nothing.
    pub webhook_secret: Secret,
    /// How long an access token is good.
    pub access_lifetime: HumanDuration,
    /// How long a sign-in lasts that nobody ends.
    pub sign_in_lifetime: HumanDuration,
    /// How long a signing key signs before the next one does.
    pub key_rotation: HumanDuration,
}

impl AuthSettings {
    /// Says what is wrong with the settings, by key.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if self.failures_per_minute == 0 {
            found.push(("failures_per_minute", "must be at least 1".into()));
        }
        if !(HumanDuration::secs(60)..=HumanDuration::secs(86_400)).contains(&self.access_lifetime) {
            found.push(("access_lifetime", format!("must be from 1m to 1day, not {}", self.access_lifetime)));
        }
        if self.sign_in_lifetime < self.access_lifetime {
            found.push(("sign_in_lifetime", "must not be shorter than auth.access_lifetime".into()));
        }
        // MediaMTX fetches the keys once an hour.
        if self.key_rotation < HumanDuration::secs(2 * 3600) {
            found.push(("key_rotation", format!("must be at least 2h, not {}", self.key_rotation)));
        }
        found
    }
}

impl Default for AuthSettings {
    fn default() -> Self {
        AuthSettings {
            users: vec![loopback_rule()],
            generate_admin: true,
            webhook_networks: private_networks(),
            password_cache_ttl: HumanDuration::secs(300),
            failures_per_minute: 10,
            webhook_secret: Secret::default(),
            access_lifetime: HumanDuration::secs(600),
            sign_in_lifetime: HumanDuration::secs(30 * 86_400),
            key_rotation: HumanDuration::secs(90 * 86_400),
        }
    }
}

/// What somebody wants to do; MediaMTX's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Action {
    /// Bring media to a path, or pictures to a stream.
    Publish,
    /// Watch.
    Read,
    /// Watch recordings.
    Playback,
    /// Administer: MediaMTX's control API and ours.
    Api,
    /// Read metrics.
    Metrics,
    /// Profile.
    Pprof,
}

impl Action {
    /// All there are.
    pub const ALL: [Action; 6] =
        [Action::Publish, Action::Read, Action::Playback, Action::Api, Action::Metrics, Action::Pprof];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Publish => "publish",
            Action::Read => "read",
            Action::Playback => "playback",
            Action::Api => "api",
            Action::Metrics => "metrics",
            Action::Pprof => "pprof",
        }
    }

    /// Whether permissions for it name paths; `api`, `metrics` and `pprof` are for everything.
    pub fn has_path(self) -> bool {
        matches!(self, Action::Publish | Action::Read | Action::Playback)
    }
}

impl std::str::FromStr for Action {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Action::ALL
            .into_iter()
            .find(|a| a.as_str() == word)
            .ok_or_else(|| format!("{word:?} is none of publish, read, playback, api, metrics, pprof"))
    }
}

impl TryFrom<String> for Action {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        word.parse()
    }
}

/// What somebody showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The user name; empty when none was given.
    pub user: String,
    /// The password; empty when none was given.
    pub password: Secret,
}

impl Credentials {
    /// Reads the value of an `Authorization` header of the Basic scheme (RFC 7617), of HTTP and RTSP alike.
    pub fn from_basic(value: &str) -> Option<Self> {
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Credentials { user: user.to_owned(), password: Secret::new(password) })
    }

    /// A bearer token (RFC 6750). One of the form `user:password`, with exactly one colon, is both, as in MediaMTX
    /// (internal/protocols/httpp/credentials.go).
    pub fn from_token(token: &str) -> Self {
        match token.split_once(':') {
            Some((user, password)) if !password.contains(':') => {
                Credentials { user: user.to_owned(), password: Secret::new(password) }
            }
            _ => Credentials { user: String::new(), password: Secret::new(token) },
        }
    }

    /// Reads the value of an `Authorization` header of the Basic or the Bearer scheme.
    pub fn from_header(value: &str) -> Option<Self> {
        match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Some(Credentials::from_token(token.trim()))
            }
            _ => Credentials::from_basic(value),
        }
    }

    /// Whether nothing was shown.
    pub fn is_empty(&self) -> bool {
        self.user.is_empty() && self.password.is_empty()
    }
}

/// Who was recognised by what they showed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// A user, by name and password or by an access token.
    User(Arc<str>),
    /// A machine, by its token's id.
    Token(Arc<str>),
    /// A visitor, by a share's id.
    Share(Arc<str>),
    /// This program itself, asking MediaMTX's control API.
    Internal,
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Principal::Anonymous => f.write_str("anybody"),
            Principal::User(name) => write!(f, "user {name}"),
            Principal::Token(id) => write!(f, "token {id}"),
            Principal::Share(id) => write!(f, "share {id}"),
            Principal::Internal => f.write_str("mtx-sidecar"),
        }
    }
}

/// Who asks: from where, and with what.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The address, when it is known and can be believed. A request that came through a proxy nobody
    /// vouched for has none.
    pub ip: Option<IpAddr>,
    /// What they showed.
    pub credentials: Credentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read() {
        let read = |value: &str| {
            let credentials = Credentials::from_basic(value)?;
            Some((credentials.user, credentials.password.expose().to_owned()))
        };
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(read("Basic dTpw"), pair("u", "p"));
        assert_eq!(read("basic dTpwOng="), pair("u", "p:x"));
        for wrong in ["Basic", "Basic !", "Basic dQ==", "Bearer dTpw", "Basic /w=="] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
