//! Signing keys (Ed25519, RFC 8037): which one signs, which ones verify, and when the next one takes over.
//!
//! A key is published long before it signs and long after: MediaMTX fetches the key set at most once an hour and not for
//! a `kid` it does not know (internal/auth/manager.go), so a token signed with a key that was made just now
//! would be refused for that long.

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
    store::{Store, identity::KeyRow},
};

/// The keys, in the order in which they sign; the last one not yet.
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
    /// Reads the keys, and makes the first two.
    pub(super) fn open(rotation: Duration) -> impl FnOnce(&Store) -> Result<KeySet> {
        move |store| {
            let mut keys = store.keys()?;
            let mut from = now();
            while keys.len() < 2 {
                let key = make(from)?;
                store.put_key(&key)?;
                keys.push(key);
                from += rotation.as_secs();
            }
            let keys = keys.into_iter().map(Key::read).collect::<Result<_>>()?;
            Ok(KeySet { keys })
        }
    }

    fn current(&self) -> Result<&Key> {
        let now = now();
        let current = self.keys.iter().rev().find(|key| key.row.active_from <= now);
        // A clock that was put back leaves none; the oldest is as good as any.
        current.or(self.keys.first()).ok_or_else(|| Error::new(crate::error::Code::Internal, "there is no signing key"))
    }

    /// Signs; returns the token and the key's name.
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

fn make(active_from: u64) -> Result<KeyRow> {
    let made = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new());
    let made = made.map_err(|e| Error::internal("a signing key cannot be made", e.to_string()))?;
    Ok(KeyRow { kid: random_id()?, pkcs8: made.as_ref().to_vec(), active_from })
}

impl Identity {
    /// The public keys (RFC 7517, section 5).
    pub fn jwks(&self) -> JwkSet {
        let key_set = self.0.key_set.lock();
        JwkSet { keys: key_set.keys.iter().map(|key| key.public.clone()).collect() }
    }

    /// Makes the key after the next once the next has begun to sign, and drops those whose tokens have all ended.
    pub(super) async fn look_after_keys(&self) -> Result<()> {
        let access = self.0.settings.access_lifetime.as_secs();
        self.rearrange(move |store, rotation| {
            let (keys, now) = (store.keys()?, now());
            if keys.iter().all(|key| key.active_from <= now) {
                store.put_key(&make(now + rotation.as_secs())?)?;
            }
            let used: Vec<_> = store.tokens()?.into_iter().filter(|t| t.expires > now).map(|t| t.kid).collect();
            for pair in keys.windows(2) {
                let over = pair[1].active_from + access <= now;
                if over && !used.contains(&pair[0].kid) {
                    store.delete_key(&pair[0].kid)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Lets the next key sign from now on, and makes another one to follow. `drop_old` drops all that have signed until
    /// now, and with them every token there is.
    pub async fn rotate_keys(&self, drop_old: bool) -> Result<()> {
        self.rearrange(move |store, rotation| {
            let (keys, now) = (store.keys()?, now());
            for old in keys.iter().filter(|key| key.active_from <= now && drop_old) {
                store.delete_key(&old.kid)?;
            }
            if let Some(next) = keys.iter().find(|key| key.active_from > now) {
                store.put_key(&KeyRow { active_from: now, ..next.clone() })?;
            }
            store.put_key(&make(now + rotation.as_secs())?)
        })
        .await?;
        self.reload().await
    }

    async fn rearrange(&self, change: impl FnOnce(&Store, Duration) -> Result<()> + Send + 'static) -> Result<()> {
        let rotation = *self.0.settings.key_rotation;
        let key_set = self
            .0
            .store
            .run(move |store| {
                change(store, rotation)?;
                KeySet::open(rotation)(store)
            })
            .await?;
        *self.0.key_set.lock() = key_set;
        Ok(())
    }
}
