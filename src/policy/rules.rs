//! The rules as they are written down, and as they are compiled.

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{Action, password::Credential};
use crate::units::{Network, any_contains};

/// One entry of the rules: who, from where, may do what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name; `any` is everybody, with and without credentials. May be `sha256:` + base64.
    pub user: Credential,
    /// Plain, `sha256:` + base64 of the digest, or `argon2:` + PHC string. Empty: any password.
    #[serde(default)]
    pub pass: Credential,
    /// Addresses and networks from which the entry counts; empty: from everywhere.
    #[serde(default)]
    pub ips: Vec<Network>,
    /// What is allowed.
    #[serde(default)]
    pub permissions: Vec<Permission>,
}

/// One thing that is allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// The action.
    pub action: Action,
    /// For publish, read and playback: empty for every path, `~` and a regular expression, or the path itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Permission {
    /// The action on everything.
    pub fn everywhere(action: Action) -> Self {
        Permission { action, path: None }
    }

    /// All actions on everything.
    pub fn all() -> Vec<Self> {
        use Action::{Api, Metrics, Playback, Pprof, Publish, Read};
        [Publish, Read, Playback, Api, Metrics, Pprof].map(Permission::everywhere).to_vec()
    }
}

/// The rule that is there out of the box: programs on this machine may read and publish, as ffmpeg
/// beside MediaMTX needs to.
pub fn loopback_rule() -> User {
    User {
        user: Credential::any(),
        pass: Credential::default(),
        ips: ["127.0.0.1", "::1"].iter().map(|ip| ip.parse().expect("an address")).collect(),
        permissions: [Action::Read, Action::Publish, Action::Playback].map(Permission::everywhere).to_vec(),
    }
}

/// A rule made ready for asking.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) user: Credential,
    pub(super) pass: Credential,
    ips: Vec<Network>,
    permissions: Vec<(Action, PathMatch)>,
}

#[derive(Debug)]
enum PathMatch {
    Everything,
    Exactly(String),
    Matching(Regex),
}

impl Rule {
    /// Compiles the regular expressions; the error names the one that is wrong.
    pub(super) fn compile(user: &User) -> Result<Self, String> {
        let mut permissions = vec![];
        for permission in &user.permissions {
            let matcher = match permission.path.as_deref().unwrap_or_default() {
                "" => PathMatch::Everything,
                text => match text.strip_prefix('~') {
                    Some(pattern) => PathMatch::Matching(Regex::new(pattern).map_err(|e| {
                        // The last line says it; the others draw the expression.
                        let why = e.to_string();
                        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                        format!("path: {text:?} is not a valid regular expression: {why}")
                    })?),
                    None => PathMatch::Exactly(text.to_owned()),
                },
            };
            permissions.push((permission.action, matcher));
        }
        Ok(Rule { user: user.user.clone(), pass: user.pass.clone(), ips: user.ips.clone(), permissions })
    }

    pub(super) fn is_for_anybody(&self) -> bool {
        self.user.is_any()
    }

    /// Whether the entry counts for callers from there. Somebody whose address is not known gets
    /// nothing from an entry that asks for one.
    pub(super) fn counts_for(&self, ip: Option<std::net::IpAddr>) -> bool {
        self.ips.is_empty() || ip.is_some_and(|ip| any_contains(&self.ips, ip))
    }

    pub(super) fn permits(&self, action: Action, path: &str) -> bool {
        self.permissions.iter().any(|(allowed, matcher)| {
            *allowed == action
                && (!action.has_path()
                    || match matcher {
                        PathMatch::Everything => true,
                        PathMatch::Exactly(exact) => exact == path,
                        PathMatch::Matching(regex) => regex.is_match(path),
                    })
        })
    }
}
