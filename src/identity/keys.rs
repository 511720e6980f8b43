//! Signing keys (Ed25519, RFC 8037): which key signs, which keys verify, and when the next one takes over.
//!
//! A key is published long before it signs, and long after: MediaMTX fetches the key set at most once an hour and does
//! not fetch it for an unknown `kid` (internal/auth/manager.go), so it would refuse the tokens of a new key for up to
//! an hour.

use std::{collections::HashMap, time::Duration};

use aws_lc_rs::{rand::SystemRandom, signature::Ed25519KeyPair};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};

use super::{Identity, random_id};
use crate::{
    error::{Error, Result},
    policy::{Claims, now},
    store::{Store, identity::KeyRow, shared::OnConflict},
};

/// The keys, in the order in which they sign; the last one does not sign yet.
pub(super) struct KeySet {
    keys: Vec<Key>,
}

struct Key {
    row: KeyRow,
    signing: EncodingKey,
    verifying: DecodingKey,
    public: Jwk,
}

impl Key {
    fn read(row: KeyRow) -> Result<Self> {
        let cannot = |e| Error::internal("a signing key in the database is damaged", e);
        let signing = EncodingKey::from_ed_der(&row.pkcs8);
        let mut public = Jwk::from_encoding_key(&signing, Algorithm::EdDSA).map_err(cannot)?;
        public.common.key_id = Some(row.kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let verifying = DecodingKey::from_jwk(&public).map_err(cannot)?;
        Ok(Key { row, signing, verifying, public })
    }
}

impl KeySet {
    /// Reads the keys, and creates the first two.
    pub(super) fn open(rotation: Duration) -> impl Fn(&Store) -> Result<KeySet> {
        move |store| {
            let mut keys = store.keys()?;
            let mut from = now();
            while keys.len() < 2 {
                let key = generate(from)?;
                store.put_key(&key)?;
                keys.push(key);
                from += rotation.as_secs();
            }
            let keys = keys.into_iter().map(Key::read).collect::<Result<_>>()?;
            Ok(KeySet { keys })
        }
    }

    /// The keys of the database, without making any.
    pub(super) fn stored(store: &Store) -> Result<KeySet> {
        KeySet::of(store.keys()?)
    }

    fn of(rows: Vec<KeyRow>) -> Result<KeySet> {
        Ok(KeySet { keys: rows.into_iter().map(Key::read).collect::<Result<_>>()? })
    }

    /// Whether these are its rows.
    pub(super) fn is_of(&self, rows: &[KeyRow]) -> bool {
        let parts = |row: &KeyRow| (row.kid.clone(), row.active_from);
        self.keys.iter().map(|key| parts(&key.row)).eq(rows.iter().map(parts))
    }

    fn current(&self) -> Result<&Key> {
        let now = now();
        let current = self.keys.iter().rev().find(|key| key.row.active_from <= now);
        // After the clock was set back no key is active; the oldest one signs.
        current.or(self.keys.first()).ok_or_else(|| Error::new(crate::error::Code::Internal, "there is no signing key"))
    }

    /// Signs; returns the token and the key's `kid`.
    pub(super) fn sign(&self, claims: &Claims) -> Result<(String, String)> {
        let key = self.current()?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.row.kid.clone());
        let token = jsonwebtoken::encode(&header, claims, &key.signing);
        Ok((token.map_err(|e| Error::internal("a token cannot be signed", e))?, key.row.kid.clone()))
    }

    pub(super) fn verifying(&self) -> HashMap<String, DecodingKey> {
        self.keys.iter().map(|key| (key.row.kid.clone(), key.verifying.clone())).collect()
    }
}

fn generate(active_from: u64) -> Result<KeyRow> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new());
    let pkcs8 = pkcs8.map_err(|e| Error::internal("a signing key cannot be generated", e.to_string()))?;
    Ok(KeyRow { kid: random_id()?, pkcs8: pkcs8.as_ref().to_vec(), active_from })
}

impl Identity {
    /// The public keys (RFC 7517, section 5).
    pub fn jwks(&self) -> JwkSet {
        let key_set = self.0.key_set.lock();
        JwkSet { keys: key_set.keys.iter().map(|key| key.public.clone()).collect() }
    }

    /// Creates a key once the last one has begun to sign, and drops keys whose tokens have all expired.
    pub(super) async fn rotate_due_keys(&self) -> Result<()> {
        let access = self.0.settings.access_lifetime.as_secs();
        self.change_keys(move |store, rotation| {
            let (keys, now) = (store.keys()?, now());
            if keys.iter().all(|key| key.active_from <= now) {
                store.put_key(&generate(now + rotation.as_secs())?)?;
            }
            let used: Vec<_> = store.tokens()?.into_iter().filter(|t| t.expires > now).map(|t| t.kid).collect();
            for pair in keys.windows(2) {
                let is_superseded = pair[1].active_from + access <= now;
                if is_superseded && !used.contains(&pair[0].kid) {
                    store.delete_key(&pair[0].kid)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Makes the next key sign from now on, and creates its successor. `drop_old` drops all keys that have signed until
    /// now, which invalidates every token that exists.
    pub async fn rotate_keys(&self, drop_old: bool) -> Result<()> {
        self.change_keys(move |store, rotation| {
            let (keys, now) = (store.keys()?, now());
            for old in keys.iter().filter(|key| key.active_from <= now && drop_old) {
                store.delete_key(&old.kid)?;
            }
            if let Some(next) = keys.iter().find(|key| key.active_from > now) {
                store.put_key(&KeyRow { active_from: now, ..next.clone() })?;
            }
            store.put_key(&generate(now + rotation.as_secs())?)
        })
        .await?;
        self.reload().await
    }

    async fn change_keys(&self, change: impl Fn(&Store, Duration) -> Result<()> + Send + Sync + 'static) -> Result<()> {
        let rotation = *self.0.settings.key_rotation;
        let key_set = self
            .0
            .store
            .change(OnConflict::Again, move |store| {
                change(store, rotation)?;
                KeySet::open(rotation)(store)
            })
            .await?;
        *self.0.key_set.lock() = key_set;
        Ok(())
    }

    /// Takes the keys of the database if another node of a cluster has changed them.
    pub(super) async fn reload_keys(&self) -> Result<()> {
        let rows = self.0.store.run(Store::keys).await?;
        if rows.is_empty() || self.0.key_set.lock().is_of(&rows) {
            return Ok(());
        }
        let key_set = KeySet::of(rows)?;
        *self.0.key_set.lock() = key_set;
        Ok(())
    }
}
