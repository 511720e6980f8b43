//! Who may do what. Rules in the shape of MediaMTX's `authInternalUsers`, asked by every route of ours
//! and by MediaMTX through its webhook.
//!
//! Decides and does no I/O; the one thing that takes time, an argon2 password never seen before, runs
//! on a blocking thread. Knows no HTTP beyond what [`webhook`] decodes.

mod decide;
mod password;
mod rules;
mod throttle;
pub mod webhook;

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

pub use self::{
    decide::{Decision, Policy},
    password::{Credential, hash_password},
    rules::{Permission, User, loopback_rule},
};
use crate::{
    secret::Secret,
    units::{Network, Span, private_networks},
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
    pub webhook_from: Vec<Network>,
    /// How long an argon2 password that was right is remembered (as a keyed digest).
    pub remember: Span,
    /// Wrong passwords a minute, for one address and user name together, before further ones are refused unseen.
    pub failures_per_minute: u32,
}

impl Default for AuthSettings {
    fn default() -> Self {
        AuthSettings {
            users: vec![loopback_rule()],
            generate_admin: true,
            webhook_from: private_networks(),
            remember: Span::secs(300),
            failures_per_minute: 10,
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
        use Action::{Api, Metrics, Playback, Pprof, Publish, Read};
        [Publish, Read, Playback, Api, Metrics, Pprof]
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

    /// Whether nothing was shown.
    pub fn is_empty(&self) -> bool {
        self.user.is_empty() && self.password.is_empty()
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
