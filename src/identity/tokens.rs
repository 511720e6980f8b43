//! Tokens for machines: named, scoped, ending, and revocable.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Identity, check_label, expiry, json, random_id, shown};
use crate::{
    error::{Code, Error, Result},
    policy::{Action, Claims, ISSUER, Permission, Rule, TokenKind, User, now},
    store::{Store, identity::TokenRow},
    stream::StreamName,
};

/// Most tokens that count at a time.
const MAX_TOKENS: usize = 10_000;

/// Most permissions in one token: it travels in a header.
const MAX_PERMISSIONS: usize = 50;

/// A token to be made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What people call it; MediaMTX shows it as the session's user.
    pub name: String,
    /// What it allows.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// For a camera: the one stream to which it may publish, and nothing else.
    #[schema(value_type = Option<String>)]
    pub publish_to: Option<StreamName>,
    /// When it ends: `12h`, `365days`, or a time.
    #[schema(example = "365days")]
    pub expires: String,
}

/// A token as it is listed. The token itself is shown once, when it is made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MachineToken {
    /// Its id, by which it is revoked; the token's `jti`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created: String,
    /// When it ends.
    pub expires: String,
    /// Who made it.
    pub created_by: String,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl From<TokenRow> for MachineToken {
    fn from(row: TokenRow) -> Self {
        MachineToken {
            permissions: serde_json::from_str(&row.permissions).unwrap_or_default(),
            created: shown(row.created),
            expires: shown(row.expires),
            revoked: row.revoked.is_some(),
            id: row.id,
            name: row.name,
            created_by: row.created_by,
        }
    }
}

impl Identity {
    pub(super) fn sign(&self, claims: &Claims) -> Result<(String, String)> {
        self.0.key_set.lock().sign(claims)
    }

    /// Makes a token. Returns it with its description; it is kept nowhere.
    pub async fn make_token(&self, wanted: NewToken, created_by: &str) -> Result<(String, MachineToken)> {
        check_label("name", &wanted.name)?;
        let mut permissions = wanted.permissions;
        if let Some(stream) = &wanted.publish_to {
            if !permissions.is_empty() {
                let rule = "publish_to: a camera's token allows nothing else; leave permissions out";
                return Err(Error::new(Code::InvalidIdentity, rule).in_field("publish_to"));
            }
            permissions.push(Permission::on(Action::Publish, stream));
        }
        check_permissions(&permissions)?;
        let expires = expiry(&wanted.expires)?;
        let created = now();
        let claims = Claims {
            iss: ISSUER.into(),
            sub: wanted.name.clone(),
            jti: random_id()?,
            iat: created,
            exp: expires,
            kind: TokenKind::Machine,
            sid: None,
            ver: None,
            mediamtx_permissions: permissions,
        };
        let (token, kid) = self.sign(&claims)?;
        let row = TokenRow {
            id: claims.jti,
            name: wanted.name,
            permissions: json(&claims.mediamtx_permissions)?,
            kid,
            created,
            expires,
            created_by: created_by.to_owned(),
            revoked: None,
        };
        let description = MachineToken::from(row.clone());
        self.0
            .store
            .run(move |store| {
                if store.tokens()?.len() >= MAX_TOKENS {
                    return Err(Error::new(Code::TooManyIdentities, format!("there are {MAX_TOKENS} tokens already")));
                }
                store.add_token(&row)
            })
            .await?;
        Ok((token, description))
    }

    /// All tokens that have not ended, newest first.
    pub async fn tokens(&self) -> Result<Vec<MachineToken>> {
        Ok(self.0.store.run(Store::tokens).await?.into_iter().map(Into::into).collect())
    }

    /// Lets a token count no more.
    pub async fn revoke_token(&self, id: &str) -> Result<()> {
        let key = id.to_owned();
        if !self.0.store.run(move |store| store.revoke_token(&key, now())).await? {
            return Err(Error::new(Code::UnknownIdentity, format!("there is no token {id} that counts")));
        }
        self.reload().await
    }

    /// A token that may play back one path for a quarter of an hour: it stands in addresses.
    pub fn playback_token(&self, path: &str) -> Result<String> {
        let claims = Claims {
            iss: ISSUER.into(),
            sub: "playback".into(),
            jti: random_id()?,
            iat: now(),
            exp: now() + 900,
            kind: TokenKind::Machine,
            sid: None,
            ver: None,
            mediamtx_permissions: vec![Permission::on(Action::Playback, path)],
        };
        Ok(self.sign(&claims)?.0)
    }

    /// A token of our own for MediaMTX's control API; good for a minute.
    pub fn internal_token(&self) -> Result<String> {
        self.token_of_ours([Action::Api, Action::Metrics, Action::Playback].map(Permission::everywhere).to_vec())
    }

    /// A token of our own for reading one path of MediaMTX; good for a minute, as it is looked at only in the beginning.
    pub fn reading_token(&self, path: &str) -> Result<String> {
        self.token_of_ours(vec![Permission { action: Action::Read, path: Some(path.to_owned()) }])
    }

    fn token_of_ours(&self, permissions: Vec<Permission>) -> Result<String> {
        let claims = Claims {
            iss: ISSUER.into(),
            sub: ISSUER.into(),
            jti: random_id()?,
            iat: now(),
            exp: now() + 60,
            kind: TokenKind::Internal,
            sid: None,
            ver: None,
            mediamtx_permissions: permissions,
        };
        Ok(self.sign(&claims)?.0)
    }
}

/// Whether they can be compiled, and are some but not too many.
pub(super) fn check_permissions(permissions: &[Permission]) -> Result<()> {
    let wrong =
        |rule: String| Error::new(Code::InvalidIdentity, format!("permissions: {rule}")).in_field("permissions");
    if !(1..=MAX_PERMISSIONS).contains(&permissions.len()) {
        return Err(wrong(format!("must be from 1 to {MAX_PERMISSIONS}")));
    }
    let user =
        User { user: Default::default(), pass: Default::default(), ips: vec![], permissions: permissions.to_vec() };
    Rule::compile(&user).map(drop).map_err(wrong)
}
