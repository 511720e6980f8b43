//! Users of the database.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Identity, json, timestamp};
use crate::{
    error::{Code, Error, Result},
    policy::{Action, Credential, Permission, Rule, User, hash_password, now},
    secret::Secret,
    store::{Store, identity::UserRow, shared::OnConflict},
    units::Network,
};

/// Most users: each takes about 2 KB of memory.
const MAX_USERS: usize = 20_000;

/// The shortest password, in characters. There is no other rule: guesses are throttled.
const SHORTEST_PASSWORD: usize = 8;

/// A set of permissions with a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Every action on every path.
    Admin,
    /// Reading and playback of every path.
    User,
    /// Only the permissions that are listed.
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

/// A user as the API shows it, without the password.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct StoredUser {
    /// The name.
    pub name: String,
    /// `admin`, `user`, or empty.
    #[schema(value_type = String)]
    pub role: Role,
    /// Permissions in addition to those of the role; empty if they cannot be read, see `damaged`.
    pub permissions: Vec<Permission>,
    /// Addresses and networks that the user is permitted from; empty: all.
    #[schema(value_type = Vec<String>)]
    pub ips: Vec<Network>,
    /// Whether the user is disabled: cannot sign in and has no permissions.
    pub disabled: bool,
    /// `file` (defined in sidecar.yml, and changed there) or `database`.
    pub origin: &'static str,
    /// When the user was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When the user was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
    /// Whether pages ask for a new password at the next sign-in.
    pub must_change_password: bool,
    /// Why the user in the database cannot be used; left out if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
}

/// A change of a user. Fields that are left out stay as they are. A new user needs a password.
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
    /// Permissions in addition to those of the role.
    pub permissions: Option<Vec<Permission>>,
    /// Addresses and networks that the user is permitted from; empty: all.
    #[schema(value_type = Option<Vec<String>>)]
    pub ips: Option<Vec<Network>>,
    /// Whether the user is disabled.
    pub disabled: Option<bool>,
    /// Whether pages ask for a new password at the next sign-in. A new password answers that, unless this is true beside it.
    pub must_change_password: Option<bool>,
}

fn wrong(field: &'static str, rule: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidIdentity, format!("{field}: {rule}")).in_field(field)
}

fn check_name(name: &str) -> Result<()> {
    let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(|c| c.is_control() || c == ':');
    if !fits || name != name.trim() {
        return Err(wrong(
            "name",
            "must have 1 to 64 characters without a colon or control characters, and no space at its ends",
        ));
    }
    if name == "any" || name.starts_with("sha256:") {
        return Err(wrong(
            "name",
            "any stands for every client and cannot be the name of a user; sha256: begins a digest",
        ));
    }
    Ok(())
}

/// The entry that a row stands for; the error names the field that cannot be used, and why.
fn parse(row: &UserRow) -> Result<User, (&'static str, String)> {
    let role: Role = row.role.parse().map_err(|e| ("role", e))?;
    let listed: Vec<Permission> = serde_json::from_str(&row.permissions).map_err(|e| ("permissions", e.to_string()))?;
    let mut permissions = role.permissions();
    permissions.extend(listed);
    // Anything else would be taken as a plain password, and an empty one as any.
    if !row.pass.starts_with("argon2:") {
        return Err(("pass", "is not an argon2 hash".into()));
    }
    Ok(User {
        user: Credential::plain(&row.name),
        pass: Credential::parse(&row.pass).map_err(|e| ("pass", e))?,
        ips: serde_json::from_str(&row.ips).map_err(|e| ("ips", e.to_string()))?,
        permissions,
    })
}

fn compile_row(row: &UserRow) -> Result<Rule, (&'static str, String)> {
    Rule::compile(&parse(row)?).map_err(|e| ("permissions", e))
}

/// What a row of the database contributes to the policy.
#[derive(Clone)]
pub(super) enum Entry {
    Active(Arc<Rule>),
    Disabled,
    /// Cannot be used, and why. The user cannot sign in.
    Damaged(String),
}

impl Entry {
    pub(super) fn rule(&self) -> Option<&Arc<Rule>> {
        match self {
            Entry::Active(rule) => Some(rule),
            Entry::Disabled | Entry::Damaged(_) => None,
        }
    }

    fn of(row: &UserRow) -> Self {
        match compile_row(row) {
            Err((field, e)) => Entry::Damaged(format!("{field}: {e}")),
            Ok(_) if row.disabled => Entry::Disabled,
            Ok(rule) => Entry::Active(Arc::new(rule)),
        }
    }
}

/// The users of the database, by name.
pub(super) type Compiled = HashMap<String, (UserRow, Entry)>;

/// Compiles the rows that have changed, and takes the others over.
pub(super) fn compile(rows: Vec<UserRow>, before: &Compiled) -> Compiled {
    let compiled = rows.into_iter().map(|row| {
        let entry = match before.get(&row.name) {
            Some((old, entry)) if *old == row => entry.clone(),
            _ => Entry::of(&row),
        };
        (row.name.clone(), (row, entry))
    });
    compiled.collect()
}

/// Users that are damaged and were not so before, and why.
pub(super) fn newly_damaged<'a>(before: &'a Compiled, now: &'a Compiled) -> impl Iterator<Item = (&'a str, &'a str)> {
    now.iter().filter_map(|(name, (_, entry))| match (entry, before.get(name)) {
        (Entry::Damaged(reason), Some((_, Entry::Damaged(old)))) if reason == old => None,
        (Entry::Damaged(reason), _) => Some((name.as_str(), reason.as_str())),
        _ => None,
    })
}

/// Names of active users that were changed, disabled or removed.
pub(super) fn changed<'a>(before: &'a Compiled, now: &'a Compiled) -> impl Iterator<Item = &'a str> {
    let differs = |name: &str, old: &Rule| {
        now.get(name).and_then(|(_, entry)| entry.rule()).is_none_or(|rule| !rule.is_same_as(old))
    };
    let changed = before.iter().filter(move |(name, (_, entry))| entry.rule().is_some_and(|old| differs(name, old)));
    changed.map(|(name, _)| name.as_str())
}

/// Creates or changes a user in the database; returns whether it is new. Hashing a password takes about 25 ms.
pub fn write_user(store: &Store, name: &str, change: &UserChange) -> Result<bool> {
    check_name(name)?;
    let present = store.user(name)?;
    let is_new = present.is_none();
    if is_new && store.users()?.len() >= MAX_USERS {
        return Err(Error::new(Code::TooManyIdentities, format!("the limit of {MAX_USERS} users is reached")));
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
        must_change: false,
    });
    match &change.pass {
        Some(password) if password.expose().chars().count() < SHORTEST_PASSWORD => {
            return Err(wrong("pass", format!("must have at least {SHORTEST_PASSWORD} characters")));
        }
        Some(password) => {
            row.pass =
                hash_password(password.expose()).map_err(|e| Error::internal("the password cannot be hashed", e))?;
        }
        None if is_new => return Err(wrong("pass", "is required for a new user")),
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
    row.must_change = change.must_change_password.unwrap_or(row.must_change && change.pass.is_none());
    row.changed = at;
    // Only rows that can be used are stored.
    compile_row(&row).map_err(|(field, e)| wrong(field, e))?;
    store.put_user(&row)?;
    Ok(is_new)
}

fn as_stored(row: UserRow, damaged: Option<String>) -> StoredUser {
    StoredUser {
        // Of a damaged row, the parts that can be read.
        role: row.role.parse().unwrap_or_default(),
        permissions: serde_json::from_str(&row.permissions).unwrap_or_default(),
        ips: serde_json::from_str(&row.ips).unwrap_or_default(),
        disabled: row.disabled,
        origin: "database",
        created: Some(timestamp(row.created)),
        changed: Some(timestamp(row.changed)),
        must_change_password: row.must_change,
        name: row.name,
        damaged,
    }
}

/// All users of the database.
pub fn read_users(store: &Store) -> Result<Vec<StoredUser>> {
    let users = store.users()?.into_iter().map(|row| {
        let damaged = compile_row(&row).err().map(|(field, e)| format!("{field}: {e}"));
        as_stored(row, damaged)
    });
    Ok(users.collect())
}

impl Identity {
    /// Users of the file and of the database, by name. The `any` entry is not a user.
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
                    must_change_password: false,
                    damaged: None,
                })
            })
            .collect();
        let rows = self.0.store.run(Store::users).await?;
        all.extend(rows.into_iter().map(|row| self.describe(row)));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Creates or changes a user, with immediate effect; returns whether it is new.
    pub async fn put_user(&self, name: &str, change: UserChange) -> Result<bool> {
        self.put_user_if(name, change, false).await
    }

    /// The same; with `only_new` a user that exists is refused.
    pub async fn put_user_if(&self, name: &str, change: UserChange, only_new: bool) -> Result<bool> {
        self.refuse_if_from_file(name)?;
        let key = name.to_owned();
        let write = move |store: &Store| {
            if only_new && store.user(&key)?.is_some() {
                let message = format!("name: a user {key} exists already");
                return Err(Error::new(Code::PreconditionFailed, message).in_field("name"));
            }
            write_user(store, &key, &change)
        };
        let is_new = self.0.store.change(OnConflict::Refuse, write).await?;
        self.reload().await?;
        Ok(is_new)
    }

    /// A user of the database.
    pub async fn user(&self, name: &str) -> Result<StoredUser> {
        let key = name.to_owned();
        let row = self.0.store.run(move |store| store.user(&key)).await?;
        row.map(|row| self.describe(row))
            .ok_or_else(|| Error::new(Code::UnknownIdentity, format!("there is no user {name} in the database")))
    }

    /// A user as the API shows it. Damage was found when the row was last loaded.
    fn describe(&self, row: UserRow) -> StoredUser {
        let damaged = match self.0.loaded.lock().users.get(&row.name) {
            Some((_, Entry::Damaged(reason))) => Some(reason.clone()),
            _ => None,
        };
        as_stored(row, damaged)
    }

    /// Whether the user has to choose a password.
    pub fn must_change_password(&self, name: &str) -> bool {
        !self.0.policy.is_in_file(name) && self.0.loaded.lock().users.get(name).is_some_and(|(row, _)| row.must_change)
    }

    /// Where a user is defined: `file` or `database`.
    pub fn origin_of(&self, name: &str) -> &'static str {
        if self.0.policy.is_in_file(name) { "file" } else { "database" }
    }

    /// Removes a user.
    pub async fn remove_user(&self, name: &str) -> Result<()> {
        self.refuse_if_from_file(name)?;
        self.user(name).await?;
        let key = name.to_owned();
        self.0.store.change(OnConflict::Refuse, move |store| store.delete_user(&key)).await?;
        self.reload().await
    }

    fn refuse_if_from_file(&self, name: &str) -> Result<()> {
        if self.0.policy.is_in_file(name) {
            let message = format!("user {name} is defined in sidecar.yml; it cannot be changed here");
            return Err(Error::new(Code::FixedByFile, message));
        }
        Ok(())
    }
}
