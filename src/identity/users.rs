//! Users of the database.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Identity, json, shown};
use crate::{
    error::{Code, Error, Result},
    policy::{Action, Credential, Permission, Rule, User, hash_password, now},
    secret::Secret,
    store::{Store, identity::UserRow},
    units::Network,
};

/// Most users: each takes some 2 KB of memory.
const MAX_USERS: usize = 20_000;

/// The shortest password. What is too easy to guess is for its owner to judge; guessing is slowed down.
const SHORTEST_PASSWORD: usize = 8;

/// What a user may do, in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Watch everything, live and recorded.
    User,
    /// Nothing but what is listed.
    #[default]
    #[serde(rename = "")]
    None,
}

impl Role {
    /// The word; empty for none.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::User => "user",
            Role::None => "",
        }
    }

    fn permissions(self) -> Vec<Permission> {
        match self {
            Role::Admin => Permission::all(),
            Role::User => [Action::Read, Action::Playback].map(Permission::everywhere).to_vec(),
            Role::None => vec![],
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Role::Admin, Role::User, Role::None];
        all.into_iter().find(|r| r.as_str() == word).ok_or_else(|| format!("{word:?} is neither admin nor user"))
    }
}

/// A user as the API shows it: without anything of the password.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct StoredUser {
    /// The name.
    pub name: String,
    /// `admin`, `user`, or empty.
    #[schema(value_type = String)]
    pub role: Role,
    /// What is allowed besides.
    pub permissions: Vec<Permission>,
    /// From where; empty: from everywhere.
    #[schema(value_type = Vec<String>)]
    pub ips: Vec<Network>,
    /// Whether the user counts for nothing at the moment.
    pub disabled: bool,
    /// `file` (sidecar.yml, where it is changed) or `database`.
    pub origin: &'static str,
    /// When the user was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When the user was changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
}

/// What is to be different about a user; what is left out stays. A new one needs a password.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// The new password, at least 8 characters.
    #[serde(alias = "password")]
    #[schema(value_type = Option<String>)]
    pub pass: Option<Secret>,
    /// `admin`, `user`, or empty.
    #[schema(value_type = Option<String>)]
    pub role: Option<Role>,
    /// What is allowed besides.
    pub permissions: Option<Vec<Permission>>,
    /// From where; empty: from everywhere.
    #[schema(value_type = Option<Vec<String>>)]
    pub ips: Option<Vec<Network>>,
    /// Whether the user shall count for nothing for now.
    pub disabled: Option<bool>,
}

fn wrong(field: &'static str, rule: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidIdentity, format!("{field}: {rule}")).in_field(field)
}

fn check_name(name: &str) -> Result<()> {
    let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(|c| c.is_control() || c == ':');
    if !fits || name != name.trim() {
        return Err(wrong("name", "must have 1 to 64 characters without a colon, and no space at its ends"));
    }
    if name == "any" || name.starts_with("sha256:") {
        return Err(wrong("name", "any means everybody, and cannot be somebody's name"));
    }
    Ok(())
}

/// The entry that a row means; none while it is disabled.
fn entry(row: &UserRow) -> Result<User, String> {
    let role: Role = row.role.parse()?;
    let mut permissions = role.permissions();
    permissions.extend(serde_json::from_str::<Vec<Permission>>(&row.permissions).map_err(|e| e.to_string())?);
    Ok(User {
        user: Credential::plain(&row.name),
        pass: Credential::parse(&row.pass)?,
        ips: serde_json::from_str(&row.ips).map_err(|e| e.to_string())?,
        permissions,
    })
}

type Compiled = HashMap<String, (UserRow, Option<Arc<Rule>>)>;

/// Compiles what has changed and takes over what has not.
pub(super) fn compile(rows: Vec<UserRow>, before: &Compiled) -> Compiled {
    let compiled = rows.into_iter().map(|row| {
        let rule = match before.get(&row.name) {
            Some((old, rule)) if *old == row => rule.clone(),
            _ if row.disabled => None,
            _ => entry(&row)
                .and_then(|user| Rule::compile(&user))
                .map(Arc::new)
                .inspect_err(|e| {
                    tracing::error!(user = row.name, "the user in the database does not count: {e}");
                })
                .ok(),
        };
        (row.name.clone(), (row, rule))
    });
    compiled.collect()
}

/// Who was there and is not the same any more.
pub(super) fn changed<'a>(before: &'a Compiled, now: &'a Compiled) -> impl Iterator<Item = &'a str> {
    let differs = |name: &str, old: &Rule| {
        now.get(name).and_then(|(_, rule)| rule.as_ref()).is_none_or(|rule| !rule.is_same_as(old))
    };
    before
        .iter()
        .filter(move |(name, (_, rule))| rule.as_ref().is_some_and(|old| differs(name, old)))
        .map(|(name, _)| name.as_str())
}

/// Makes or changes a user in the database; says whether it is new. Hashing takes some 25 ms.
pub fn write_user(store: &Store, name: &str, change: &UserChange) -> Result<bool> {
    check_name(name)?;
    let present = store.user(name)?;
    let is_new = present.is_none();
    if is_new && store.users()?.len() >= MAX_USERS {
        return Err(Error::new(Code::TooManyIdentities, format!("there are {MAX_USERS} users already")));
    }
    let at = now();
    let mut row = present.unwrap_or_else(|| UserRow {
        name: name.to_owned(),
        pass: String::new(),
        role: String::new(),
        permissions: "[]".into(),
        ips: "[]".into(),
        disabled: false,
        created: at,
        changed: at,
    });
    match &change.pass {
        Some(password) if password.expose().chars().count() < SHORTEST_PASSWORD => {
            return Err(wrong("pass", format!("must have at least {SHORTEST_PASSWORD} characters")));
        }
        Some(password) => {
            row.pass =
                hash_password(password.expose()).map_err(|e| Error::internal("the password cannot be hashed", e))?;
        }
        None if is_new => return Err(wrong("pass", "is needed for a new user")),
        None => {}
    }
    if let Some(role) = change.role {
        row.role = role.as_str().into();
    }
    if let Some(permissions) = &change.permissions {
        row.permissions = json(permissions)?;
    }
    if let Some(ips) = &change.ips {
        row.ips = json(ips)?;
    }
    row.disabled = change.disabled.unwrap_or(row.disabled);
    row.changed = at;
    // Whatever is kept can be read again.
    let rule = entry(&row).and_then(|user| Rule::compile(&user).map(drop));
    rule.map_err(|e| wrong("permissions", e))?;
    store.put_user(&row)?;
    Ok(is_new)
}

fn as_stored(row: UserRow) -> StoredUser {
    StoredUser {
        role: row.role.parse().unwrap_or_default(),
        permissions: serde_json::from_str(&row.permissions).unwrap_or_default(),
        ips: serde_json::from_str(&row.ips).unwrap_or_default(),
        disabled: row.disabled,
        origin: "database",
        created: Some(shown(row.created)),
        changed: Some(shown(row.changed)),
        name: row.name,
    }
}

/// All users of the database.
pub fn read_users(store: &Store) -> Result<Vec<StoredUser>> {
    Ok(store.users()?.into_iter().map(as_stored).collect())
}

impl Identity {
    /// Users of the file, and of the database, by name. An entry for everybody is nobody.
    pub async fn users(&self) -> Result<Vec<StoredUser>> {
        let mut all: Vec<_> = self
            .0
            .settings
            .users
            .iter()
            .filter_map(|user| {
                let name = user.user.name().filter(|name| *name != "any")?;
                Some(StoredUser {
                    name: name.to_owned(),
                    role: Role::None,
                    permissions: user.permissions.clone(),
                    ips: user.ips.clone(),
                    disabled: false,
                    origin: "file",
                    created: None,
                    changed: None,
                })
            })
            .collect();
        all.extend(self.0.store.run(read_users).await?);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Makes or changes a user; says whether it is new. It counts from now on.
    pub async fn put_user(&self, name: &str, change: UserChange) -> Result<bool> {
        self.refuse_if_from_file(name)?;
        let key = name.to_owned();
        let is_new = self.0.store.run(move |store| write_user(store, &key, &change)).await?;
        self.reload().await?;
        Ok(is_new)
    }

    /// A user of the database.
    pub async fn user(&self, name: &str) -> Result<StoredUser> {
        let key = name.to_owned();
        let row = self.0.store.run(move |store| store.user(&key)).await?;
        row.map(as_stored)
            .ok_or_else(|| Error::new(Code::UnknownIdentity, format!("there is no user {name} in the database")))
    }

    /// Removes a user.
    pub async fn remove_user(&self, name: &str) -> Result<()> {
        self.refuse_if_from_file(name)?;
        self.user(name).await?;
        let key = name.to_owned();
        self.0.store.run(move |store| store.delete_user(&key)).await?;
        self.reload().await
    }

    fn refuse_if_from_file(&self, name: &str) -> Result<()> {
        if self.0.policy.is_in_file(name) {
            let message = format!("user {name} is defined in sidecar.yml (or is its administrator); change it there");
            return Err(Error::new(Code::FixedByFile, message));
        }
        Ok(())
    }
}
