//! The rules: as written in the configuration, and compiled.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use regex::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{Action, password::Credential};
use crate::units::{Network, any_contains};

/// Most memory for the compiled expressions of one entry, in bytes: a thousand expressions take about 10 MB.
const MAX_EXPRESSIONS: usize = 64 << 20;

/// One entry of the rules: a user, the networks it is valid for, and its permissions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user name, plain or `sha256:` + base64. `any` stands for every client, with or without credentials.
    pub user: Credential,
    /// Plain, `sha256:` + base64 of the digest, or `argon2:` + PHC string. Empty: any password.
    #[serde(default)]
    pub pass: Credential,
    /// Addresses and networks that the entry is valid for; empty: all.
    #[serde(default)]
    pub ips: Vec<Network>,
    /// The permissions.
    #[serde(default)]
    pub permissions: Vec<Permission>,
}

/// One permission, in MediaMTX's shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// The action.
    #[schema(value_type = String, example = "read")]
    pub action: Action,
    /// For publish, read and playback: a path, or `~` and a regular expression; empty: every path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Permission {
    /// The action on every path.
    pub fn everywhere(action: Action) -> Self {
        Permission { action, path: None }
    }

    /// The action on one path.
    pub fn on(action: Action, path: &str) -> Self {
        Permission { action, path: Some(path.to_owned()) }
    }

    /// Every action on every path.
    pub fn all() -> Vec<Self> {
        Action::ALL.map(Permission::everywhere).to_vec()
    }
}

/// The default rule: programs on this host can read and publish without credentials, as ffmpeg beside MediaMTX
/// needs to.
#[expect(clippy::expect_used, reason = "the literals are addresses")]
pub fn loopback_rule() -> User {
    User {
        user: Credential::any(),
        pass: Credential::default(),
        ips: ["127.0.0.1", "::1"].iter().map(|ip| ip.parse().expect("an address")).collect(),
        permissions: [Action::Read, Action::Publish, Action::Playback].map(Permission::everywhere).to_vec(),
    }
}

/// Compiled permissions: a decision takes one table lookup, and one pass over the path for any number of expressions.
#[derive(Debug, Default)]
pub(super) struct Permissions([Paths; Action::ALL.len()]);

#[derive(Debug, Default)]
struct Paths {
    everything: bool,
    exactly: HashSet<Box<str>>,
    matching: Option<RegexSet>,
}

impl Permissions {
    /// Compiles the regular expressions; the error names the one that is wrong.
    pub(super) fn compile(permissions: &[Permission]) -> Result<Self, String> {
        let mut compiled = Permissions::default();
        for action in Action::ALL {
            let paths = &mut compiled.0[action as usize];
            let mut expressions = vec![];
            for permission in permissions.iter().filter(|p| p.action == action) {
                match permission.path.as_deref().unwrap_or_default() {
                    "" => paths.everything = true,
                    text => match text.strip_prefix('~') {
                        Some(expression) => expressions.push(expression),
                        None => drop(paths.exactly.insert(text.into())),
                    },
                }
            }
            if !expressions.is_empty() {
                paths.matching = Some(compile_set(&expressions)?);
            }
        }
        Ok(compiled)
    }

    /// Whether the action is permitted on at least one path.
    pub(super) fn permit_some(&self, action: Action) -> bool {
        let paths = &self.0[action as usize];
        paths.everything || paths.matching.is_some() || !paths.exactly.is_empty()
    }

    pub(super) fn permit(&self, action: Action, path: &str) -> bool {
        let paths = &self.0[action as usize];
        let some = self.permit_some(action);
        if !action.has_path() {
            return some;
        }
        some && (paths.everything
            || paths.exactly.contains(path)
            || paths.matching.as_ref().is_some_and(|set| set.is_match(path)))
    }
}

fn compile_set(expressions: &[&str]) -> Result<RegexSet, String> {
    let whole = RegexSetBuilder::new(expressions).size_limit(MAX_EXPRESSIONS).dfa_size_limit(MAX_EXPRESSIONS).build();
    whole.map_err(|e| {
        // One after the other, to find the one to name.
        let culprit = expressions.iter().find_map(|one| regex::Regex::new(one).err().map(|e| (one, e)));
        match culprit {
            Some((one, e)) => {
                // The last line has the reason; the others draw the expression.
                let why = e.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                format!("path: {:?} is not a valid regular expression: {why}", format!("~{one}"))
            }
            None => format!("path: the regular expressions are too large together: {e}"),
        }
    })
}

/// A compiled entry.
#[derive(Debug)]
pub struct Rule {
    pub(super) user: Credential,
    pub(super) pass: Credential,
    /// The user name, if it is written plainly.
    pub(super) name: Option<Arc<str>>,
    ips: Vec<Network>,
    permissions: Permissions,
    written: Vec<Permission>,
    /// Digest of the entry.
    pub(super) version: [u8; 32],
    /// Digest of the password.
    pub(super) password_version: [u8; 32],
}

impl Rule {
    /// Compiles the regular expressions; the error names the one that is wrong.
    pub fn compile(user: &User) -> Result<Self, String> {
        let ips: Vec<_> = user.ips.iter().map(ToString::to_string).collect();
        let permissions = serde_json::to_vec(&user.permissions).map_err(|e| e.to_string())?;
        let digest = |parts: &[&[u8]]| {
            let mut hash = Sha256::new();
            for part in parts {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            hash.finalize().into()
        };
        Ok(Rule {
            name: user.user.name().map(Into::into),
            permissions: Permissions::compile(&user.permissions)?,
            version: digest(&[user.pass.identity(), ips.join(",").as_bytes(), &permissions]),
            password_version: digest(&[b"password", user.pass.identity()]),
            user: user.user.clone(),
            pass: user.pass.clone(),
            ips: user.ips.clone(),
            written: user.permissions.clone(),
        })
    }

    /// Whether both entries are equal, the password included.
    pub fn is_same_as(&self, other: &Rule) -> bool {
        self.version == other.version
    }

    /// The permissions as written.
    pub fn permissions(&self) -> &[Permission] {
        &self.written
    }

    /// The user name, if it is written plainly.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    pub(super) fn is_for_any(&self) -> bool {
        self.user.is_any()
    }

    /// Whether the entry is valid for this address. An entry with networks is not valid for an unknown address.
    pub fn applies_to(&self, ip: Option<IpAddr>) -> bool {
        self.ips.is_empty() || ip.is_some_and(|ip| any_contains(&self.ips, ip))
    }

    /// The compiled permissions.
    pub(super) fn compiled(&self) -> &Permissions {
        &self.permissions
    }
}
