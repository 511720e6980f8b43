//! The first administrator: an account of the database, made at the first start if nothing grants `api` to a user.

use super::{Role, random, read_users};
use crate::{
    error::{Error, Result},
    policy::{Action, AuthSettings, Credential, Policy, hash_password, now},
    store::{Store, identity::UserRow, shared::OnConflict},
};

/// The name of the account.
const NAME: &str = "admin";

/// The fact that held the hash of the generated password up to version 3 of the database, when the account was in no table.
const ADMIN_HASH: &str = "admin_password_hash";

/// The fact that an account was made, so that one that was removed does not come back with the next start.
const MADE: &str = "first_admin_made";

/// Makes the user `admin`, unless one was made before, `generate_admin` is off, or a rule or another user of the database grants
/// `api`. Returns the password if it was generated now; only its hash is stored.
pub async fn ensure(settings: &AuthSettings, store: &Store) -> Result<Option<String>> {
    if !is_wanted(settings) {
        return Ok(None);
    }
    store.run(make).await
}

/// Makes an account of the generated administrator of an earlier version, which keeps its password. Commands call it, so that
/// they find the account before the server has run.
pub fn adopt(settings: &AuthSettings, store: &Store) -> Result<()> {
    if is_wanted(settings) && store.fact(ADMIN_HASH)?.is_some() {
        make(store)?;
    }
    Ok(())
}

/// Removes the account that a start has just made and that then failed: its password was never shown.
pub async fn undo(store: &Store) -> Result<()> {
    store
        .change(OnConflict::Again, |store| {
            store.delete_user(NAME)?;
            store.delete_fact(MADE)
        })
        .await
}

fn is_wanted(settings: &AuthSettings) -> bool {
    settings.generate_admin && !Policy::grants(&settings.users, Action::Api)
}

fn make(store: &Store) -> Result<Option<String>> {
    let old = store.fact(ADMIN_HASH)?;
    if store.fact(MADE)?.is_some() && old.is_none() {
        return Ok(None);
    }
    if let Some(hash) = &old {
        check(hash)?;
    }
    let mut generated = None;
    let users = read_users(store)?;
    if users.iter().any(|user| user.name == NAME) || (old.is_none() && users.iter().any(is_administrator)) {
        tracing::info!("no administrator is generated, because the database has users already");
    } else {
        let hash = match old {
            Some(hash) => hash,
            None => {
                let password = random_password()?;
                let hash = hash_password(&password).map_err(|e| Error::internal("the password cannot be hashed", e))?;
                generated = Some(password);
                hash
            }
        };
        store.put_user(&account(hash))?;
    }
    // The account is stored first: after a crash in between it is found at the next start.
    store.put_fact(MADE, "yes")?;
    store.delete_fact(ADMIN_HASH)?;
    Ok(generated)
}

/// Anything but a hash would be taken as a plain password, and an empty one as any.
fn check(hash: &str) -> Result<()> {
    let damaged = |e: String| Error::internal(format!("{ADMIN_HASH} in the database is damaged"), e);
    if !hash.starts_with("argon2:") {
        return Err(damaged("it is not an argon2 hash".into()));
    }
    Credential::parse(hash).map(drop).map_err(damaged)
}

fn is_administrator(user: &super::StoredUser) -> bool {
    let grants = user.role == Role::Admin || user.permissions.iter().any(|p| p.action == Action::Api);
    grants && !user.disabled && user.damaged.is_none()
}

fn account(pass: String) -> UserRow {
    UserRow {
        name: NAME.into(),
        pass,
        role: Role::Admin.as_str().into(),
        permissions: "[]".into(),
        ips: "[]".into(),
        disabled: false,
        created: now(),
        changed: now(),
        // The password stands in a log or on a terminal.
        must_change: true,
    }
}

/// Twenty letters and digits that are not easily confused with each other: 100 random bits.
fn random_password() -> Result<String> {
    const CHARACTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    Ok(random::<20>()?.iter().map(|byte| char::from(CHARACTERS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{UserChange, write_user},
        policy::{Permission, User},
        secret::Secret,
    };

    fn stored(store: &Store) -> UserRow {
        store.user(NAME).expect("reads").expect("an account")
    }

    #[tokio::test]
    async fn the_account_is_made_once_and_only_the_hash_of_its_password_is_stored() {
        let store = Store::in_memory().expect("opens");
        let settings = AuthSettings::default();
        let password = ensure(&settings, &store).await.expect("works").expect("a new password");
        assert!(password.len() == 20 && password.bytes().all(|b| b.is_ascii_alphanumeric()), "{password}");
        let made = stored(&store);
        assert!(made.pass.starts_with("argon2:") && !made.pass.contains(&password), "{made:?}");
        assert_eq!((made.role.as_str(), made.must_change), ("admin", true));

        assert_eq!(ensure(&settings, &store).await.expect("works"), None, "at the second start");
        assert_eq!(stored(&store), made);
        let change = UserChange { pass: Some(Secret::new("battery staple")), ..UserChange::default() };
        write_user(&store, NAME, &change).expect("changes");
        assert!(!stored(&store).must_change, "a new password was chosen");
        store.delete_user(NAME).expect("removes");
        assert_eq!(ensure(&settings, &store).await.expect("works"), None, "it was removed on purpose");
        undo(&store).await.expect("works");
        assert!(ensure(&settings, &store).await.expect("works").is_some(), "that start has failed");
        store.delete_user(NAME).expect("removes");
        assert_eq!(store.user(NAME).expect("reads"), None);
    }

    #[tokio::test]
    async fn the_generated_administrator_of_an_earlier_version_becomes_an_account_with_its_password() {
        let hash = hash_password("the old one").expect("hashes");
        for by_command in [false, true] {
            let store = Store::in_memory().expect("opens");
            store.put_fact(ADMIN_HASH, &hash).expect("writes");
            let settings = AuthSettings::default();
            if by_command {
                adopt(&settings, &store).expect("works");
            }
            assert_eq!(ensure(&settings, &store).await.expect("works"), None);
            assert_eq!((stored(&store).pass, stored(&store).must_change), (hash.clone(), true));
            assert_eq!(store.fact(ADMIN_HASH).expect("reads"), None);
        }
        // A user of that name was made by the command line: it stays as it is.
        let store = Store::in_memory().expect("opens");
        let change = UserChange { pass: Some(Secret::new("correct horse")), ..UserChange::default() };
        write_user(&store, NAME, &change).expect("makes");
        let before = stored(&store);
        store.put_fact(ADMIN_HASH, &hash).expect("writes");
        assert_eq!(ensure(&AuthSettings::default(), &store).await.expect("works"), None);
        assert_eq!(stored(&store), before);
    }

    #[tokio::test]
    async fn no_administrator_is_made_where_one_is_configured_or_none_is_wanted() {
        let store = Store::in_memory().expect("opens");
        adopt(&AuthSettings::default(), &store).expect("works");
        let boss = User {
            user: Credential::plain("boss"),
            pass: Credential::plain("s3cret"),
            ips: vec![],
            permissions: vec![Permission::everywhere(Action::Api)],
        };
        for settings in [
            AuthSettings { users: vec![boss], ..AuthSettings::default() },
            AuthSettings { generate_admin: false, ..AuthSettings::default() },
        ] {
            assert_eq!(ensure(&settings, &store).await.expect("works"), None);
        }
        assert_eq!(store.users().expect("reads"), []);
        let change =
            UserChange { pass: Some(Secret::new("correct horse")), role: Some(Role::Admin), ..UserChange::default() };
        write_user(&store, "carol", &change).expect("makes");
        assert_eq!(ensure(&AuthSettings::default(), &store).await.expect("works"), None);
        assert_eq!(store.users().expect("reads").len(), 1);
    }

    #[tokio::test]
    async fn a_damaged_hash_of_an_earlier_version_is_an_error_that_names_it() {
        let store = Store::in_memory().expect("opens");
        for damaged in ["argon2:cut off", "plain", ""] {
            store.put_fact(ADMIN_HASH, damaged).expect("writes");
            let error = ensure(&AuthSettings::default(), &store).await.expect_err("refused");
            assert!(error.to_string().contains(ADMIN_HASH), "{error}");
        }
    }
}
