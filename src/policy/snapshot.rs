//! [`Snapshot`]: all that answers depend on, immutable, swapped as a whole.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::DecodingKey;
use sha2::Sha256;

use super::{
    Permission,
    rules::{Permissions, Rule},
};

/// What `identity` knows and the rules of the file do not say.
#[derive(Clone, Default)]
pub struct Known {
    /// Users from the database.
    pub users: Vec<Arc<Rule>>,
    /// Keys by which tokens are verified, by `kid`.
    pub keys: HashMap<String, DecodingKey>,
    /// Ids of tokens, sign-ins and shares that do not count any more.
    pub revoked: HashSet<String>,
    /// Shares that are open.
    pub shares: Vec<Arc<ShareRule>>,
    /// Keys what tokens tell of their user's entry.
    pub stamp_key: [u8; 32],
}

/// A share, made ready for asking.
pub struct ShareRule {
    pub(super) id: Arc<str>,
    pub(super) code: [u8; 32],
    pub(super) permissions: Permissions,
    /// Seconds of the Unix epoch.
    pub(super) expires: u64,
}

impl ShareRule {
    /// Compiles the permissions; the error says what is wrong. `code` is [`super::code_digest`] of the link's code.
    pub fn compile(id: &str, code: [u8; 32], permissions: &[Permission], expires: u64) -> Result<Arc<Self>, String> {
        Ok(Arc::new(ShareRule { id: id.into(), code, permissions: Permissions::compile(permissions)?, expires }))
    }
}

/// All that answers depend on.
pub struct Snapshot {
    pub(super) rules: Vec<Arc<Rule>>,
    /// Entries for everybody.
    pub(super) anybody: Vec<usize>,
    by_name: HashMap<Arc<str>, Vec<usize>>,
    /// Entries whose name is written as a digest.
    hashed: Vec<usize>,
    pub(super) keys: HashMap<String, DecodingKey>,
    pub(super) revoked: HashSet<String>,
    pub(super) shares: HashMap<[u8; 32], Arc<ShareRule>>,
    stamp_key: [u8; 32],
}

impl Snapshot {
    /// Entries of the file come first and win: a user of the database who has the name of one of theirs does not count.
    pub(super) fn new(file: &[Arc<Rule>], known: Known) -> Self {
        let taken: HashSet<_> = file.iter().filter_map(|rule| rule.name.clone()).collect();
        let others = known.users.into_iter().filter(|rule| rule.name.as_ref().is_none_or(|n| !taken.contains(n)));
        let rules: Vec<_> = file.iter().cloned().chain(others).collect();
        let (mut anybody, mut hashed, mut by_name) = (vec![], vec![], HashMap::<_, Vec<_>>::new());
        for (i, rule) in rules.iter().enumerate() {
            match &rule.name {
                _ if rule.is_for_anybody() => anybody.push(i),
                Some(name) => by_name.entry(name.clone()).or_default().push(i),
                None => hashed.push(i),
            }
        }
        let shares = known.shares.into_iter().map(|share| (share.code, share)).collect();
        let Known { keys, revoked, stamp_key, .. } = known;
        Snapshot { rules, anybody, by_name, hashed, keys, revoked, shares, stamp_key }
    }

    /// Entries that may be meant by a name, the digests among them compared.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let plain = if name.is_empty() { None } else { self.by_name.get(name) };
        let hashed = self.hashed.iter().filter(move |i| !name.is_empty() && self.rules[**i].user.matches(name));
        plain.into_iter().flatten().chain(hashed).copied()
    }

    /// The entries of that name, for somebody who was recognised before.
    pub fn users<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Rule>> {
        self.named(name).map(|i| &self.rules[i])
    }

    /// What a token tells of its user's entry: another one after every change.
    pub fn stamp(&self, rule: &Rule) -> String {
        self.keyed(&rule.version)
    }

    /// What a sign-in tells of its user's password: another one after every change of it.
    pub fn password_stamp(&self, rule: &Rule) -> String {
        self.keyed(&rule.password_version)
    }

    /// With a key: what is digested may be a plain password of the file, which must not be guessed from a token.
    fn keyed(&self, data: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.stamp_key).expect("HMAC takes keys of any length");
        mac.update(data);
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..12])
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} rules, {} shares)", self.rules.len(), self.shares.len())
    }
}
