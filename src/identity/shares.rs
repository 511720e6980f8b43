//! Share links: who has one sees what it is for, and nothing else, without an account.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Grant, Identity, check_label, expiry, json, random_id, random_secret, shown, tokens::check_permissions};
use crate::{
    error::{Code, Error, Result},
    policy::{Action, Permission, ShareRule, code_digest, now},
    store::{Store, identity::ShareRow},
};

/// Most shares that count at a time.
const MAX_SHARES: usize = 10_000;

/// A share to be made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShare {
    /// The stream or path, or `~` and a regular expression for several.
    pub path: String,
    /// What may be done there: `read` and `playback`, or `publish`.
    #[serde(default = "read_only")]
    #[schema(value_type = Vec<String>, example = json!(["read"]))]
    pub actions: Vec<Action>,
    /// When it ends: `12h`, `7days`, or a time.
    #[schema(example = "7days")]
    pub expires: String,
    /// What people call it.
    #[serde(default)]
    pub label: String,
    /// How often the link may be opened; as often as one likes if it is left out.
    #[serde(default)]
    pub max_uses: Option<u32>,
}

fn read_only() -> Vec<Action> {
    vec![Action::Read]
}

/// A share as it is listed; the link itself is shown once, when it is made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Share {
    /// Its id, by which it is revoked.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// What it allows.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created: String,
    /// When it ends.
    pub expires: String,
    /// Who made it.
    pub created_by: String,
    /// How often the link may be opened.
    pub max_uses: Option<u64>,
    /// How often it was opened.
    pub uses: u64,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl From<ShareRow> for Share {
    fn from(row: ShareRow) -> Self {
        Share {
            permissions: serde_json::from_str(&row.permissions).unwrap_or_default(),
            created: shown(row.created),
            expires: shown(row.expires),
            revoked: row.revoked.is_some(),
            id: row.id,
            label: row.label,
            created_by: row.created_by,
            max_uses: row.max_uses,
            uses: row.uses,
        }
    }
}

/// A share that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Which.
    pub share: Share,
    /// What the visitor gets.
    pub grant: Grant,
}

/// Shares that count. A code of one that may only be opened so often is no password for players: each use has to be
/// counted, which is opening it.
pub(super) fn compile(
    rows: Vec<ShareRow>,
    before: &HashMap<String, (Arc<ShareRule>, u64)>,
    now: u64,
) -> HashMap<String, (Arc<ShareRule>, u64)> {
    let counts = rows.into_iter().filter(|row| row.revoked.is_none() && row.expires > now);
    let compiled = counts.filter_map(|row| {
        let rule = match before.get(&row.id) {
            Some((rule, _)) => rule.clone(),
            None => {
                let permissions: Vec<Permission> = serde_json::from_str(&row.permissions).ok()?;
                let code = if row.max_uses.is_some() { code_digest(&row.id) } else { row.code };
                ShareRule::compile(&row.id, code, &permissions, row.expires).ok()?
            }
        };
        Some((row.id, (rule, row.expires)))
    });
    compiled.collect()
}

impl Identity {
    /// Makes a share. Returns the code of its link, which is kept nowhere, and its description.
    pub async fn make_share(&self, wanted: NewShare, created_by: &str) -> Result<(String, Share)> {
        let wrong = |field, rule: &str| Error::new(Code::InvalidIdentity, format!("{field}: {rule}")).in_field(field);
        if wanted.path.is_empty() {
            return Err(wrong("path", "is needed: a name, or ~ and a regular expression"));
        }
        if wanted.actions.is_empty() || !wanted.actions.iter().all(|action| action.has_path()) {
            return Err(wrong("actions", "must be some of read, playback, publish"));
        }
        if wanted.max_uses == Some(0) {
            return Err(wrong("max_uses", "must be at least 1"));
        }
        let label = if wanted.label.is_empty() { wanted.path.clone() } else { wanted.label };
        check_label("label", &label)?;
        let permissions: Vec<_> = wanted.actions.iter().map(|action| Permission::on(*action, &wanted.path)).collect();
        check_permissions(&permissions)?;
        let code = format!("mtxs_{}", random_secret()?);
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
            .run(move |store| {
                if store.shares()?.len() >= MAX_SHARES {
                    return Err(Error::new(Code::TooManyIdentities, format!("there are {MAX_SHARES} shares already")));
                }
                store.add_share(&row)
            })
            .await?;
        self.reload().await?;
        Ok((code, description))
    }

    /// All shares that have not ended, newest first.
    pub async fn shares(&self) -> Result<Vec<Share>> {
        Ok(self.0.store.run(Store::shares).await?.into_iter().map(Into::into).collect())
    }

    /// Lets a share, and all that was opened with it, count no more.
    pub async fn revoke_share(&self, id: &str) -> Result<()> {
        let (key, until) = (id.to_owned(), now() + self.0.settings.access_lifetime.as_secs() + 1);
        if !self.0.store.run(move |store| store.revoke_share(&key, now(), until)).await? {
            return Err(Error::new(Code::UnknownIdentity, format!("there is no share {id} that counts")));
        }
        self.reload().await
    }

    /// Opens a share by the code of its link.
    pub async fn open_share(&self, code: &str) -> Result<Opened> {
        let digest = code_digest(code);
        let row = self.0.store.run(move |store| store.open_share(&digest, now())).await?;
        let row = row.ok_or_else(|| {
            Error::new(Code::Unauthenticated, "the share link has ended, was revoked, or was opened too often")
        })?;
        let grant = self.grant_share(&row).await?;
        Ok(Opened { share: row.into(), grant })
    }
}
