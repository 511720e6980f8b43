//! Decides whether a caller is permitted to do something. The rules have the shape of MediaMTX's `authInternalUsers`;
//! every route of this program asks here, and MediaMTX does through its HTTP authentication.
//!
//! Reads an immutable [`Snapshot`], which is replaced as a whole, and does no I/O. Only argon2 passwords take time:
//! they are verified on threads of their own. Knows no HTTP beyond MediaMTX's question ([`webhook`]), and not where
//! users, tokens and shares are stored: that is `identity`.

mod credentials;
mod decide;
mod password;
mod rules;
mod snapshot;
mod throttle;
mod tokens;
mod verdict;
mod verified_cache;
mod verifier;
pub mod webhook;

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

pub use self::{
    credentials::{Credentials, token_in_query},
    decide::{Authenticated, Policy},
    password::{Credential, hash_password},
    rules::{Permission, Rule, User, loopback_rule},
    snapshot::{IdentityData, ShareRule, Snapshot},
    tokens::{Claims, ISSUER, SHARE_PREFIX, TokenKind, code_digest, now},
    verdict::{Authorized, Decision, Lease, Revoked, Verdict},
};
use crate::{
    secret::Secret,
    units::{HumanDuration, Network, host_network, loopback_networks, private_networks},
};

/// Authentication settings (`auth` in sidecar.yml).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The rules, in the shape of MediaMTX's `authInternalUsers`.
    pub users: Vec<User>,
    /// Whether the first start creates an administrator with a random password if no rule and no user grants `api`.
    pub generate_admin: bool,
    /// Networks from which `/mediamtx-auth` and the hooks accept requests. None: this machine, or with `webhook_secret` all
    /// private networks.
    pub webhook_networks: Option<Vec<Network>>,
    /// How long a verified argon2 password is remembered (as a keyed digest).
    pub password_cache_ttl: HumanDuration,
    /// Wrong passwords per minute, for each pair of address and user name; further ones are refused without
    /// verification.
    pub failures_per_minute: u32,
    /// The secret that MediaMTX's `authHTTPAddress` must carry as `?secret=` or as its password; empty: none.
    pub webhook_secret: Secret,
    /// How long an access token is valid.
    pub access_lifetime: HumanDuration,
    /// How long a sign-in lasts if the user does not sign out.
    pub sign_in_lifetime: HumanDuration,
    /// How long a key signs tokens before the next one takes over.
    pub key_rotation: HumanDuration,
    /// How long the audit keeps changes, sign-ins and refusals.
    pub audit_retention: HumanDuration,
}

impl AuthSettings {
    /// The networks from which `/mediamtx-auth` and the hooks accept requests.
    pub fn webhook_senders(&self) -> Cow<'_, [Network]> {
        match &self.webhook_networks {
            Some(networks) => networks.into(),
            None if self.webhook_secret.is_empty() => loopback_networks().into(),
            None => private_networks().into(),
        }
    }

    /// Whether a rule lets programs on this machine read at least one stream without a password, as MediaMTX and ffmpeg do
    /// that pull from it.
    pub fn lets_this_machine_read(&self) -> bool {
        let here: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let is_local = |network: &Network| here.iter().any(|address| network.contains(*address));
        self.users.iter().any(|user| {
            user.user.is_any()
                && user.pass.is_empty()
                && (user.ips.is_empty() || user.ips.iter().any(is_local))
                && user.permissions.iter().any(|permission| permission.action == Action::Read)
        })
    }

    /// Settings that are valid, and open MediaMTX's question to other programs.
    pub fn warnings(&self) -> Vec<String> {
        let is_loopback = |network: &Network| loopback_networks().iter().any(|own| own.covers(network));
        if !self.webhook_secret.is_empty() || self.webhook_senders().iter().all(is_loopback) {
            return vec![];
        }
        let networks = self.webhook_senders().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        vec![format!(
            "auth.webhook_networks ({networks}) lets every program there ask MediaMTX's question, guess passwords with invented \
             addresses, and report events: set auth.webhook_secret, or only MediaMTX's own address"
        )]
    }

    /// Settings that are not valid: the key, and the rule that it breaks.
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
        if self.audit_retention < HumanDuration::secs(86_400) {
            found.push(("audit_retention", format!("must be at least 1day, not {}", self.audit_retention)));
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
            webhook_networks: None,
            password_cache_ttl: HumanDuration::secs(300),
            failures_per_minute: 10,
            webhook_secret: Secret::default(),
            access_lifetime: HumanDuration::secs(600),
            sign_in_lifetime: HumanDuration::secs(30 * 86_400),
            key_rotation: HumanDuration::secs(90 * 86_400),
            audit_retention: HumanDuration::secs(90 * 86_400),
        }
    }
}

/// What a caller wants to do, in MediaMTX's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Action {
    /// Publish media to a path, or pictures to a stream.
    Publish,
    /// Watch live.
    Read,
    /// Watch recordings.
    Playback,
    /// Administer: MediaMTX's control API, and this program's.
    Api,
    /// Read metrics.
    Metrics,
    /// Read profiles.
    Pprof,
}

impl Action {
    /// All actions.
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

    /// Whether its permissions name paths. `api`, `metrics` and `pprof` have none.
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
            .ok_or_else(|| format!("{word:?} is not one of publish, read, playback, api, metrics, pprof"))
    }
}

impl TryFrom<String> for Action {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        word.parse()
    }
}

/// The identity that credentials authenticate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A client without credentials, or one that a rule for `any` permits.
    #[default]
    Anonymous,
    /// A user, by user name and password or by access token.
    User(Arc<str>),
    /// A program or a camera, by its token's id.
    Token(Arc<str>),
    /// A visitor with a share link, by the share's id.
    Share(Arc<str>),
    /// This program itself, as a client of MediaMTX.
    Internal,
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Principal::Anonymous => f.write_str("anonymous"),
            Principal::User(name) => write!(f, "user {name}"),
            Principal::Token(id) => write!(f, "token {id}"),
            Principal::Share(id) => write!(f, "share {id}"),
            Principal::Internal => f.write_str("mtx-sidecar"),
        }
    }
}

/// The peer that sent a request, and whose word the caller's address is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The caller itself, or a proxy that is trusted.
    #[default]
    Client,
    /// A proxy that is not trusted, which hides the caller's address.
    Proxy(IpAddr),
    /// MediaMTX, or another program that sends its question; it states the caller's address.
    MediaMtx(Option<IpAddr>),
}

/// The client of a request: its address and its credentials.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The peer that sent the request.
    pub sender: Sender,
    /// The address, if it is known and trustworthy. None for a request through a proxy that is not in
    /// `http.trusted_proxies`.
    pub ip: Option<IpAddr>,
    /// The credentials that the client sent.
    pub credentials: Credentials,
}

impl Caller {
    /// The holder of a quota: the principal, or the network of an anonymous caller. A host has a whole /64 of IPv6 addresses.
    pub fn quota_holder(&self, who: &Principal) -> String {
        match (who, self.ip) {
            (Principal::Anonymous, Some(ip)) => host_network(ip).to_string(),
            (who, _) => who.to_string(),
        }
    }
}
