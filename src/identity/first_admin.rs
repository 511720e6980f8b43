//! The first administrator: created at the first start if the configuration grants `api` to no user.

use super::random;
use crate::{
    error::{Error, Result},
    policy::{Action, AuthSettings, Credential, Permission, Policy, User, hash_password},
    store::Store,
};

/// The fact that holds the hash of the generated password.
const ADMIN_HASH: &str = "admin_password_hash";

/// Adds the user `admin` to the settings, unless `generate_admin` is off or a rule grants `api`. Returns the password
/// if it was generated now; only its hash is stored.
pub async fn ensure(settings: &mut AuthSettings, store: &Store) -> Result<Option<String>> {
    if !settings.generate_admin || Policy::grants(&settings.users, Action::Api) {
        return Ok(None);
    }
    let (hash, generated) = store.run(stored_or_generated).await?;
    let damaged = |e: String| Error::internal(format!("{ADMIN_HASH} in the database is damaged"), e);
    // Anything else would be taken as a plain password, and an empty one as any.
    if !hash.starts_with("argon2:") {
        return Err(damaged("it is not an argon2 hash".into()));
    }
    let pass = Credential::parse(&hash).map_err(damaged)?;
    let (user, permissions) = (Credential::plain("admin"), Permission::all());
    settings.users.push(User { user, pass, ips: vec![], permissions });
    Ok(generated)
}

/// The hash of the password, and the password if it was generated now.
fn stored_or_generated(store: &Store) -> Result<(String, Option<String>)> {
    if let Some(hash) = store.fact(ADMIN_HASH)? {
        return Ok((hash, None));
    }
    let password = random_password()?;
    let hash = hash_password(&password).map_err(|e| Error::internal("the password cannot be hashed", e))?;
    store.put_fact(ADMIN_HASH, &hash)?;
    Ok((hash, Some(password)))
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
        policy::{Caller, Credentials},
        secret::Secret,
    };

    async fn is_admin(settings: &AuthSettings, password: &str) -> bool {
        let credentials = Credentials { user: "admin".into(), password: Secret::new(password) };
        let policy = Policy::new(settings).expect("compiles");
        policy.decide(&Caller { credentials, ..Caller::default() }, Action::Api, "").await.decision.is_allowed()
    }

    #[tokio::test]
    async fn the_password_is_generated_once_and_only_its_hash_is_stored() {
        let store = Store::in_memory().expect("opens");
        let mut first = AuthSettings::default();
        let password = ensure(&mut first, &store).await.expect("works").expect("a new password");
        assert!(password.len() == 20 && password.bytes().all(|b| b.is_ascii_alphanumeric()), "{password}");
        assert!(is_admin(&first, &password).await && !is_admin(&first, "another").await);
        let stored = store.fact(ADMIN_HASH).expect("reads").expect("a hash");
        assert!(stored.starts_with("argon2:") && !stored.contains(&password), "{stored}");

        let mut second = AuthSettings::default();
        assert_eq!(ensure(&mut second, &store).await.expect("works"), None, "at the second start");
        assert!(is_admin(&second, &password).await);
        assert_eq!(store.fact(ADMIN_HASH).expect("reads"), Some(stored));
    }

    #[tokio::test]
    async fn no_administrator_is_added_where_one_is_configured_or_none_is_wanted() {
        let store = Store::in_memory().expect("opens");
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
            let mut changed = settings.clone();
            assert_eq!(ensure(&mut changed, &store).await.expect("works"), None);
            assert_eq!(changed, settings);
        }
        assert_eq!(store.fact(ADMIN_HASH).expect("reads"), None);
    }

    #[tokio::test]
    async fn a_damaged_hash_is_an_error_that_names_it() {
        let store = Store::in_memory().expect("opens");
        for damaged in ["argon2:cut off", "plain", ""] {
            store.put_fact(ADMIN_HASH, damaged).expect("writes");
            let error = ensure(&mut AuthSettings::default(), &store).await.expect_err("refused");
            assert!(error.to_string().contains(ADMIN_HASH), "{error}");
        }
    }
}
