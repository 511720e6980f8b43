//! Users, sign-ins, tokens, shares and signing keys: stored in the database, and loaded into the policy.
//!
//! Every change writes rows and then calls [`Identity::reload`], which replaces the policy's snapshot and determines
//! whose permissions were reduced. Another process can change the rows too (`mtx-sidecar user`); the change takes
//! effect within a second.

pub mod first_admin;
mod grant;
mod keys;
mod shares;
mod sign_in;
mod tokens;
mod users;

use std::{collections::HashSet, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use tokio::sync::mpsc;

pub use self::{
    grant::{Grant, Refused},
    shares::{NewShare, Opened, Share},
    sign_in::SignedIn,
    tokens::{MachineToken, NewToken, command_token},
    users::{Role, StoredUser, UserChange, read_users, write_user},
};
use crate::{
    error::{Code, Error, Result},
    policy::{AuthSettings, IdentityData, Policy, Principal, Revoked, now},
    store::{Store, shared::OnConflict},
    units::{self, LATEST_SECONDS},
};

/// How often the database is checked for changes by other processes: it compares one number in memory.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How often expired rows are deleted and signing keys are rotated, in seconds.
const CLEANUP_INTERVAL: u64 = 3600;

/// How much the clocks of two nodes of a cluster can differ, in seconds.
const CLOCK_GRACE: u64 = 3600;

/// The fact that holds the key of the stamps in tokens, see [`Snapshot::stamp`](crate::policy::Snapshot::stamp).
const STAMP_KEY: &str = "token_stamp_key";

/// Revocations that wait for their sessions to be ended; a further change waits for room.
const PENDING_REVOCATIONS: usize = 64;

/// Users, sign-ins, tokens, shares and signing keys. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    settings: AuthSettings,
    store: Store,
    policy: Policy,
    key_set: Mutex<keys::KeySet>,
    stamp_key: [u8; 32],
    loaded: Mutex<Loaded>,
    /// One reload at a time, so that an older state of the database never replaces a newer one.
    reloading: tokio::sync::Mutex<()>,
    revoked: mpsc::Sender<Vec<Revoked>>,
}

/// What the policy's snapshot was last built from.
#[derive(Default)]
struct Loaded {
    users: users::Compiled,
    shares: shares::Compiled,
    revoked: HashSet<String>,
    /// The `kid` of each key that verifies tokens.
    keys: HashSet<String>,
}

impl Identity {
    /// Reads the database into the policy, and creates the first signing keys if there are none. The receiver gets the
    /// credentials that were revoked, or grant less than before: their sessions must be ended.
    pub async fn open(
        settings: AuthSettings,
        store: Store,
        policy: Policy,
    ) -> Result<(Self, mpsc::Receiver<Vec<Revoked>>)> {
        let (sender, revoked) = mpsc::channel(PENDING_REVOCATIONS);
        let key_set = store.run(keys::KeySet::open(*settings.key_rotation)).await?;
        let stamp_key = store.run(stamp_key).await?;
        let identity = Identity(Arc::new(Inner {
            settings,
            store,
            policy,
            key_set: Mutex::new(key_set),
            stamp_key,
            loaded: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
            revoked: sender,
        }));
        identity.reload().await?;
        Ok((identity, revoked))
    }

    /// Makes the first signing keys, and the key of the stamps, if there are none. The first node of a cluster does it for all.
    pub async fn prepare(settings: &AuthSettings, store: &Store) -> Result<()> {
        store.run(keys::KeySet::open(*settings.key_rotation)).await?;
        store.run(|store| stamp_key(store).map(drop)).await
    }

    /// Reads the database into the policy again, and sends the credentials that were revoked or grant less than before.
    pub async fn reload(&self) -> Result<()> {
        let _turn = self.0.reloading.lock().await;
        if self.0.store.is_shared() {
            self.reload_keys().await?;
        }
        let rows = |store: &Store| Ok((store.users()?, store.shares()?, store.revoked()?));
        let (users, shares, revoked) = self.0.store.run(rows).await?;
        let mut ended = vec![];
        {
            let mut loaded = self.0.loaded.lock();
            let before = std::mem::take(&mut *loaded);
            loaded.users = users::compile(users, &before.users);
            loaded.shares = shares::compile(shares, &before.shares, now());
            loaded.revoked = revoked.into_iter().collect();
            for (user, reason) in users::newly_damaged(&before.users, &loaded.users) {
                tracing::error!(user, "the user in the database is damaged and cannot sign in: {reason}");
            }
            for (share, reason) in loaded.shares.newly_damaged(&before.shares) {
                tracing::error!(share, "the share in the database is damaged and opens nothing: {reason}");
            }
            let keys = self.0.key_set.lock().verifying();
            loaded.keys = keys.keys().cloned().collect();
            let principal = |who| Revoked::Principal(who);
            let changed_users = users::changed(&before.users, &loaded.users);
            ended.extend(changed_users.map(|name| principal(Principal::User(name.into()))));
            let ended_shares = before.shares.valid.keys().filter(|id| !loaded.shares.valid.contains_key(*id));
            ended.extend(ended_shares.map(|id| principal(Principal::Share(id.as_str().into()))));
            let revoked = loaded.revoked.difference(&before.revoked);
            ended.extend(revoked.map(|id| Revoked::Id(id.as_str().into())));
            ended.extend(before.keys.difference(&loaded.keys).map(|kid| Revoked::Key(kid.as_str().into())));
            self.0.policy.replace(IdentityData {
                users: loaded.users.values().filter_map(|(_, entry)| entry.rule().cloned()).collect(),
                shares: loaded.shares.valid.values().map(|(rule, _)| rule.clone()).collect(),
                revoked: loaded.revoked.clone(),
                keys,
                stamp_key: self.0.stamp_key,
            });
        }
        if !ended.is_empty() {
            // The receiver is gone only at shutdown, when all sessions end.
            let _ = self.0.revoked.send(ended).await;
        }
        Ok(())
    }

    /// Deletes what has expired, and makes the next signing key.
    async fn clean_up(&self) -> Result<()> {
        // Clocks of nodes differ: what a fast one takes for expired must stay for a slow one.
        let grace = if self.0.store.is_shared() { CLOCK_GRACE } else { 0 };
        let delete = move |store: &Store| store.delete_expired(now().saturating_sub(grace));
        self.0.store.change(OnConflict::Again, delete).await?;
        self.rotate_due_keys().await
    }

    /// Reloads after changes by other processes and when something has expired, until the program ends.
    pub async fn run(&self) {
        let mut version = None;
        let mut cleaned = 0;
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let done = async {
                let current = self.0.store.run(Store::version).await?;
                let has_expired = self.0.loaded.lock().shares.valid.values().any(|(_, expires)| *expires <= now());
                let mut is_due = version.replace(current) != Some(current) || has_expired;
                if now() >= cleaned + CLEANUP_INTERVAL {
                    cleaned = now();
                    if let Err(e) = self.clean_up().await {
                        tracing::warn!("expired rows and keys stay for another hour: {}", e.chain());
                    }
                    is_due = true;
                }
                if is_due { self.reload().await } else { Ok(()) }
            };
            if let Err(e) = done.await {
                tracing::error!("users and tokens cannot be reloaded: {}", e.chain());
            }
        }
    }
}

/// The key of the stamps in tokens, created at the first start.
fn stamp_key(store: &Store) -> Result<[u8; 32]> {
    if let Some(text) = store.fact(STAMP_KEY)? {
        let decoded = URL_SAFE_NO_PAD.decode(text).ok();
        if let Some(key) = decoded.and_then(|key| key.try_into().ok()) {
            return Ok(key);
        }
        tracing::error!("{STAMP_KEY} in the database is damaged and is replaced: all users must sign in again");
    }
    let key = random::<32>()?;
    store.put_fact(STAMP_KEY, &URL_SAFE_NO_PAD.encode(key))?;
    Ok(key)
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal("the system provides no random numbers", e))?;
    Ok(bytes)
}

/// An id for a row: 72 random bits, not secret.
fn random_id() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<9>()?))
}

/// A secret of 192 random bits, as 32 characters of base64url.
fn random_secret() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<24>()?))
}

/// Reads a time of expiry: a duration from now (`12h`, `30days`) or a time (RFC 3339).
fn expiry(expires: &str) -> Result<u64> {
    /// A later expiry is refused as a mistake.
    const LONGEST: u64 = 10 * 366 * 86_400;
    let rule =
        "must be a duration such as 12h or 30days, or a time such as 2027-01-31T12:00:00Z, in the next ten years";
    let wrong = || Error::new(Code::InvalidIdentity, format!("expires: {rule}, not {expires:?}")).in_field("expires");
    let now = now();
    let at = match humantime::parse_duration(expires) {
        Ok(span) => now.saturating_add(span.as_secs()),
        Err(_) => {
            let at = units::timestamp(expires).ok_or_else(wrong)?;
            u64::try_from(at.as_second()).map_err(|_| wrong())?
        }
    };
    if at > now && at - now <= LONGEST { Ok(at) } else { Err(wrong()) }
}

/// A time in the form of the API (RFC 3339).
fn timestamp(at: u64) -> String {
    // A damaged row can have any number.
    let at = Duration::from_secs(at.min(LATEST_SECONDS));
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + at).to_string()
}

/// Checks a name or label for people: one line of 1 to 100 characters.
fn check_label(field: &'static str, label: &str) -> Result<()> {
    let is_fine = (1..=100).contains(&label.chars().count()) && !label.chars().any(char::is_control);
    let rule = "must have 1 to 100 characters, and no control characters";
    let wrong = || Error::new(Code::InvalidIdentity, format!("{field}: {rule}")).in_field(field);
    if is_fine { Ok(()) } else { Err(wrong()) }
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal("a value cannot be written as JSON", e))
}

#[cfg(test)]
mod tests;
