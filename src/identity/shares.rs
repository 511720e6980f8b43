//! Share links: a visitor with the link sees the shared paths, and nothing else, without an account.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Grant, Identity, Refused, check_label, expiry, json, random_id, random_secret, timestamp, tokens::check_permissions,
};
use crate::{
    error::{Code, Error, Result},
    policy::{Action, Permission, SHARE_PREFIX, ShareRule, Verdict, code_digest, now},
    store::{Store, identity::ShareRow, shared::OnConflict},
};

/// Most shares that have not expired.
const MAX_SHARES: usize = 10_000;

/// The share to create.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShare {
    /// The stream or path, or `~` and a regular expression for several.
    pub path: String,
    /// The permitted actions: `read`, `playback`, `publish`.
    #[serde(default = "read_only")]
    #[schema(value_type = Vec<String>, example = json!(["read"]))]
    pub actions: Vec<Action>,
    /// When it expires: a duration (`12h`, `7days`) or a time (RFC 3339).
    #[schema(example = "7days")]
    pub expires: String,
    /// A label for people; the path if it is left out.
    #[serde(default)]
    pub label: String,
    /// How often the link can be opened; without a limit if it is left out.
    #[serde(default)]
    pub max_uses: Option<u32>,
}

fn read_only() -> Vec<Action> {
    vec![Action::Read]
}

/// A share as the API lists it. The link itself is shown once, when the share is created.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Share {
    /// The id; `DELETE /api/v1/shares/{id}` revokes the share.
    pub id: String,
    /// The label for people.
    pub label: String,
    /// The permissions; empty if they cannot be read, see `damaged`.
    pub permissions: Vec<Permission>,
    /// When it was created.
    pub created: String,
    /// When it expires.
    pub expires: String,
    /// The principal that created it.
    pub created_by: String,
    /// How often the link can be opened; null without a limit.
    pub max_uses: Option<u64>,
    /// How often it was opened.
    pub uses: u64,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Why the share in the database cannot be used; left out if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
}

impl From<ShareRow> for Share {
    fn from(row: ShareRow) -> Self {
        let (permissions, damaged) = match permissions(&row) {
            Ok(permissions) => (permissions, None),
            Err(reason) => (vec![], Some(reason)),
        };
        Share {
            permissions,
            created: timestamp(row.created),
            expires: timestamp(row.expires),
            revoked: row.revoked.is_some(),
            id: row.id,
            label: row.label,
            created_by: row.created_by,
            max_uses: row.max_uses,
            uses: row.uses,
            damaged,
        }
    }
}

/// The permissions of a row; the error says why they cannot be read.
fn permissions(row: &ShareRow) -> Result<Vec<Permission>, String> {
    serde_json::from_str(&row.permissions).map_err(|e| format!("permissions: {e}"))
}

/// The permissions of a row, if they can be compiled.
pub(super) fn usable_permissions(row: &ShareRow) -> Result<Vec<Permission>> {
    let damaged = |reason: String| Error::internal(format!("the share {} in the database is damaged", row.id), reason);
    compile_row(row).map_err(damaged)?;
    permissions(row).map_err(damaged)
}

/// A share that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The share.
    pub share: Share,
    /// The visitor's tokens.
    pub grant: Grant,
}

/// The shares of the database, by id.
#[derive(Default)]
pub(super) struct Compiled {
    /// Shares that are neither revoked nor expired, and their times of expiry.
    pub(super) valid: HashMap<String, (Arc<ShareRule>, u64)>,
    /// Shares that should be valid and cannot be compiled, and why.
    pub(super) damaged: HashMap<String, String>,
}

impl Compiled {
    /// Shares that are damaged and were not so before, and why.
    pub(super) fn newly_damaged<'a>(&'a self, before: &'a Compiled) -> impl Iterator<Item = (&'a str, &'a str)> {
        let new = self.damaged.iter().filter(|(id, reason)| before.damaged.get(*id) != Some(*reason));
        new.map(|(id, reason)| (id.as_str(), reason.as_str()))
    }
}

/// Compiles the shares that are neither revoked nor expired.
pub(super) fn compile(rows: Vec<ShareRow>, before: &Compiled, now: u64) -> Compiled {
    let mut compiled = Compiled::default();
    for row in rows.into_iter().filter(|row| row.revoked.is_none() && row.expires > now) {
        let rule = match before.valid.get(&row.id) {
            Some((rule, _)) => Ok(rule.clone()),
            None => compile_row(&row),
        };
        match rule {
            Ok(rule) => drop(compiled.valid.insert(row.id, (rule, row.expires))),
            Err(reason) => drop(compiled.damaged.insert(row.id, reason)),
        }
    }
    compiled
}

fn compile_row(row: &ShareRow) -> Result<Arc<ShareRule>, String> {
    // A share with a limit on its uses must be opened, which counts the use: players cannot send its code as a
    // password. The digest of its id is a code that no client has.
    let code = if row.max_uses.is_some() { code_digest(&row.id) } else { row.code };
    ShareRule::compile(&row.id, code, &permissions(row)?, row.expires)
}

impl Identity {
    /// Creates a share. Returns the code of its link, which is not stored, and its description.
    pub async fn make_share(&self, wanted: NewShare, created_by: &str) -> Result<(String, Share)> {
        let wrong = |field, rule: &str| Error::new(Code::InvalidIdentity, format!("{field}: {rule}")).in_field(field);
        if wanted.path.is_empty() {
            return Err(wrong("path", "is required: a name, or ~ and a regular expression"));
        }
        if wanted.actions.is_empty() || !wanted.actions.iter().all(|action| action.has_path()) {
            return Err(wrong("actions", "must be a list of read, playback and publish"));
        }
        if wanted.max_uses == Some(0) {
            return Err(wrong("max_uses", "must be at least 1"));
        }
        let label = if wanted.label.is_empty() { wanted.path.clone() } else { wanted.label };
        check_label("label", &label)?;
        let permissions: Vec<_> = wanted.actions.iter().map(|action| Permission::on(*action, &wanted.path)).collect();
        check_permissions(&permissions)?;
        let code = format!("{SHARE_PREFIX}{}", random_secret()?);
        let row = ShareRow {
            id: random_id()?,
            code: code_digest(&code),
            label,
            permissions: json(&permissions)?,
            created: now(),
            expires: expiry(&wanted.expires)?,
            created_by: created_by.to_owned(),
            max_uses: wanted.max_uses.map(u64::from),
            uses: 0,
            revoked: None,
        };
        let description = Share::from(row.clone());
        self.0
            .store
            .change(OnConflict::Again, move |store| {
                if store.shares()?.len() >= MAX_SHARES {
                    return Err(Error::new(
                        Code::TooManyIdentities,
                        format!("the limit of {MAX_SHARES} shares is reached"),
                    ));
                }
                store.add_share(&row)
            })
            .await?;
        self.reload().await?;
        Ok((code, description))
    }

    /// All shares that have not expired, newest first.
    pub async fn shares(&self) -> Result<Vec<Share>> {
        let mut shares: Vec<Share> = self.0.store.run(Store::shares).await?.into_iter().map(Into::into).collect();
        let loaded = self.0.loaded.lock();
        for share in &mut shares {
            if let Some(reason) = loaded.shares.damaged.get(&share.id) {
                share.damaged = Some(reason.clone());
            }
        }
        Ok(shares)
    }

    /// Revokes a share and every sign-in made with it.
    pub async fn revoke_share(&self, id: &str) -> Result<()> {
        let (key, until) = (id.to_owned(), now() + self.0.settings.access_lifetime.as_secs() + 1);
        let revoke = move |store: &Store| store.revoke_share(&key, now(), until);
        if !self.0.store.change(OnConflict::Again, revoke).await? {
            return Err(Error::new(Code::UnknownIdentity, format!("there is no valid share {id}")));
        }
        self.reload().await
    }

    /// Opens a share by the code of its link, and counts the use.
    pub async fn open_share(&self, code: &str) -> Result<Opened, Refused> {
        let digest = code_digest(code);
        let opened = self.0.store.change(OnConflict::Again, move |store| store.open_share(&digest, now())).await;
        let row = match opened {
            // A use that is not limited need not be counted.
            Err(e) if e.code() == Code::ClusterUnavailable => {
                let is_open = move |share: &ShareRow| {
                    share.code == digest && share.max_uses.is_none() && share.revoked.is_none() && share.expires > now()
                };
                let found = self.0.store.run(move |store| Ok(store.shares()?.into_iter().find(is_open))).await?;
                Some(found.ok_or(e)?)
            }
            opened => opened?,
        };
        let row = row.ok_or_else(|| {
            Verdict::refused("the share link is unknown, has expired, was revoked, or was opened too often")
        })?;
        let grant = self.grant_share(&row).await?;
        Ok(Opened { share: row.into(), grant })
    }
}
