//! [`Snapshot`]: everything that decisions depend on; immutable, replaced as a whole.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;
use jsonwebtoken::DecodingKey;

use super::{
    Credential, Lease, Permission,
    rules::{Permissions, Rule},
};
use crate::secret::hmac_sha256;

/// The part of a snapshot that `identity` reads from the database.
#[derive(Clone, Default)]
pub struct IdentityData {
    /// Users of the database.
    pub users: Vec<Arc<Rule>>,
    /// Keys that verify tokens, by `kid`.
    pub keys: HashMap<String, DecodingKey>,
    /// Ids of revoked tokens, sign-ins and shares.
    pub revoked: HashSet<String>,
    /// Shares that are valid.
    pub shares: Vec<Arc<ShareRule>>,
    /// Keys the stamps in tokens, see [`Snapshot::stamp`].
    pub stamp_key: [u8; 32],
}

/// A share with compiled permissions.
pub struct ShareRule {
    pub(super) id: Arc<str>,
    pub(super) code: [u8; 32],
    pub(super) permissions: Permissions,
    /// Seconds of the Unix epoch.
    pub(super) expires: u64,
    pub(super) lease: Arc<Lease>,
}

impl ShareRule {
    /// Compiles the permissions; the error says what is wrong. `code` is [`super::code_digest`] of the link's code.
    pub fn compile(id: &str, code: [u8; 32], permissions: &[Permission], expires: u64) -> Result<Arc<Self>, String> {
        let lease = Arc::new(Lease { expires, ..Lease::default() });
        Ok(Arc::new(ShareRule { id: id.into(), code, permissions: Permissions::compile(permissions)?, expires, lease }))
    }
}

/// Everything that decisions depend on.
pub struct Snapshot {
    pub(super) rules: Vec<Arc<Rule>>,
    /// Indices of the entries for `any`.
    pub(super) for_any: Vec<usize>,
    by_name: HashMap<Arc<str>, Vec<usize>>,
    /// Indices of entries whose user name is written as a digest.
    hashed: Vec<usize>,
    pub(super) keys: HashMap<String, DecodingKey>,
    pub(super) revoked: HashSet<String>,
    pub(super) shares: HashMap<[u8; 32], Arc<ShareRule>>,
    /// A hash that no password has, and that takes as long as those of the users.
    pub(super) decoy: Credential,
    stamp_key: [u8; 32],
}

impl Snapshot {
    /// Entries of the file come first and win: a user of the database with the name of one of them is ignored.
    pub(super) fn new(file: &[Arc<Rule>], data: IdentityData) -> Self {
        let taken: HashSet<_> = file.iter().filter_map(|rule| rule.name.clone()).collect();
        let others = data.users.into_iter().filter(|rule| rule.name.as_ref().is_none_or(|n| !taken.contains(n)));
        let rules: Vec<_> = file.iter().cloned().chain(others).collect();
        let (mut for_any, mut hashed, mut by_name) = (vec![], vec![], HashMap::<_, Vec<_>>::new());
        for (i, rule) in rules.iter().enumerate() {
            match &rule.name {
                _ if rule.is_for_any() => for_any.push(i),
                Some(name) => by_name.entry(name.clone()).or_default().push(i),
                None => hashed.push(i),
            }
        }
        let shares = data.shares.into_iter().map(|share| (share.code, share)).collect();
        let IdentityData { keys, revoked, stamp_key, .. } = data;
        let decoy = Credential::decoy(rules.iter().map(|rule| &rule.pass).find(|pass| pass.is_slow()));
        Snapshot { rules, for_any, by_name, hashed, keys, revoked, shares, decoy, stamp_key }
    }

    /// Indices of the entries with this user name, written plainly or as a digest.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let plain = if name.is_empty() { None } else { self.by_name.get(name) };
        let hashed = self.hashed.iter().filter(move |i| !name.is_empty() && self.rules[**i].user.matches(name));
        plain.into_iter().flatten().chain(hashed).copied()
    }

    /// The entries of a user who was authenticated before.
    pub fn users<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Rule>> {
        self.named(name).map(|i| &self.rules[i])
    }

    /// A digest of a user's entry, for tokens: it changes with the entry.
    pub fn stamp(&self, rule: &Rule) -> String {
        self.keyed(&rule.version)
    }

    /// A digest of a user's password, for sign-ins: it changes with the password.
    pub fn password_stamp(&self, rule: &Rule) -> String {
        self.keyed(&rule.password_version)
    }

    /// Keyed, because the data can be a plain password of the file: a token must not help in guessing it.
    fn keyed(&self, data: &[u8]) -> String {
        let mut mac = hmac_sha256(&self.stamp_key);
        mac.update(data);
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..12])
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} rules, {} shares)", self.rules.len(), self.shares.len())
    }
}
