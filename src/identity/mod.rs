//! Who there is: users, sign-ins, tokens and shares, kept in the database, and made known to the policy.
//!
//! Everything here changes rows and then calls [`Identity::reload`], which builds what the policy answers from and finds
//! out who has lost something by the change. Another process may change the rows as well (`mtx-sidecar user`); that
//! is noticed within a second.

mod keys;
mod shares;
mod sign_in;
mod tokens;
mod users;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use tokio::sync::mpsc;

pub use self::{
    shares::{NewShare, Opened, Share},
    sign_in::{Grant, SignedIn},
    tokens::{MachineToken, NewToken},
    users::{Role, StoredUser, UserChange, read_users, write_user},
};
use crate::{
    error::{Code, Error, Result},
    policy::{AuthSettings, IdentityData, Policy, Principal, Rule, ShareRule, now},
    store::{Store, identity::UserRow},
};

/// How often other processes' changes are looked for: a number in the database's memory.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often what has ended is forgotten, and keys are looked after.
const TIDY_EVERY: u64 = 3600;

/// Under this key is kept what keys the stamps in tokens.
const STAMP_KEY: &str = "token_stamp_key";

/// Changes whose consequences wait to be drawn.
const WAITING: usize = 64;

/// Who there is. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    settings: AuthSettings,
    store: Store,
    policy: Policy,
    key_set: Mutex<keys::KeySet>,
    stamp_key: [u8; 32],
    loaded: Mutex<Loaded>,
    /// One change at a time, so that what is known is never older than what was.
    reloading: tokio::sync::Mutex<()>,
    revoked: mpsc::Sender<Vec<Principal>>,
}

/// What was made known last.
#[derive(Default)]
struct Loaded {
    users: HashMap<String, (UserRow, Option<Arc<Rule>>)>,
    shares: HashMap<String, (Arc<ShareRule>, u64)>,
    revoked: HashSet<String>,
}

impl Identity {
    /// Reads the database, makes the first signing keys if there are none, and makes all of it known to the policy. The
    /// receiver is told who has lost something: their sessions are to be ended.
    pub async fn open(
        settings: AuthSettings,
        store: Store,
        policy: Policy,
    ) -> Result<(Self, mpsc::Receiver<Vec<Principal>>)> {
        let (sender, revoked) = mpsc::channel(WAITING);
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

    /// Makes known what the database says now, and tells who has lost something by it.
    pub async fn reload(&self) -> Result<()> {
        let _turn = self.0.reloading.lock().await;
        let rows = |store: &Store| Ok((store.users()?, store.shares()?, store.revoked()?));
        let (users, shares, revoked) = self.0.store.run(rows).await?;
        let mut principals = vec![];
        {
            let mut loaded = self.0.loaded.lock();
            let before = std::mem::take(&mut *loaded);
            loaded.users = users::compile(users, &before.users);
            loaded.shares = shares::compile(shares, &before.shares, now());
            loaded.revoked = revoked.into_iter().collect();
            principals.extend(users::changed(&before.users, &loaded.users).map(|name| Principal::User(name.into())));
            principals.extend(
                before
                    .shares
                    .keys()
                    .filter(|id| !loaded.shares.contains_key(*id))
                    .map(|id| Principal::Share(id.as_str().into())),
            );
            principals
                .extend(loaded.revoked.difference(&before.revoked).map(|id| Principal::Token(id.as_str().into())));
            self.0.policy.replace(IdentityData {
                users: loaded.users.values().filter_map(|(_, rule)| rule.clone()).collect(),
                shares: loaded.shares.values().map(|(rule, _)| rule.clone()).collect(),
                revoked: loaded.revoked.clone(),
                keys: self.0.key_set.lock().verifying(),
                stamp_key: self.0.stamp_key,
            });
        }
        if !principals.is_empty() {
            // Nobody listens at the end of the program, when there is nothing left to end.
            let _ = self.0.revoked.send(principals).await;
        }
        Ok(())
    }

    /// Notices what others have changed and what has ended by itself, until the program ends.
    pub async fn run(&self) {
        let mut version = None;
        let mut tidied = 0;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let done = async {
                let seen = self.0.store.run(Store::version).await?;
                let over = {
                    let loaded = self.0.loaded.lock();
                    loaded.shares.values().any(|(_, expires)| *expires <= now())
                };
                let mut is_due = over || version.replace(seen) != Some(seen);
                if now() >= tidied + TIDY_EVERY {
                    tidied = now();
                    self.0.store.run(|store| store.forget_ended(now())).await?;
                    self.look_after_keys().await?;
                    is_due = true;
                }
                if is_due { self.reload().await } else { Ok(()) }
            };
            if let Err(e) = done.await {
                tracing::error!("users and tokens cannot be looked after: {}", e.chain());
            }
        }
    }
}

/// The key of the stamps in tokens, made at the first start.
fn stamp_key(store: &Store) -> Result<[u8; 32]> {
    let kept = store.fact(STAMP_KEY)?.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    if let Some(key) = kept.and_then(|key| key.try_into().ok()) {
        return Ok(key);
    }
    let key = random::<32>()?;
    store.put_fact(STAMP_KEY, &URL_SAFE_NO_PAD.encode(key))?;
    Ok(key)
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal("the system gives no random numbers", e))?;
    Ok(bytes)
}

/// A name for a row: not secret, and not guessed by chance.
fn random_id() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<9>()?))
}

/// Something that nobody can guess: 192 bits.
fn random_secret() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<24>()?))
}

/// From now until when; `expires` is a duration (`12h`, `30days`) or a time as RFC 3339 has it.
fn expiry(expires: &str) -> Result<u64> {
    /// Further away is a mistake, or should be thought of again.
    const LONGEST: u64 = 10 * 366 * 86_400;
    let rule =
        "must be a duration such as 12h or 30days, or a time such as 2027-01-31T12:00:00Z, in the next ten years";
    let wrong = || Error::new(Code::InvalidIdentity, format!("expires: {rule}, not {expires:?}")).in_field("expires");
    let now = now();
    let at = match humantime::parse_duration(expires) {
        Ok(span) => now.saturating_add(span.as_secs()),
        Err(_) => {
            let at = humantime::parse_rfc3339_weak(expires).map_err(|_| wrong())?;
            at.duration_since(std::time::UNIX_EPOCH).map_err(|_| wrong())?.as_secs()
        }
    };
    if at > now && at - now <= LONGEST { Ok(at) } else { Err(wrong()) }
}

/// A time in the form of the API.
fn shown(at: u64) -> String {
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + Duration::from_secs(at)).to_string()
}

/// What people call something: one line, not endless.
fn check_label(field: &'static str, label: &str) -> Result<()> {
    let is_fine = (1..=100).contains(&label.chars().count()) && !label.chars().any(char::is_control);
    let wrong = || Error::new(Code::InvalidIdentity, format!("{field}: must have 1 to 100 characters")).in_field(field);
    if is_fine { Ok(()) } else { Err(wrong()) }
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal("a row cannot be written", e))
}

#[cfg(test)]
mod tests;
