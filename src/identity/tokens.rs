//! Tokens for programs and cameras: named, scoped, with an expiry, revocable.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Identity, check_label, expiry, json, keys::KeySet, random_id, timestamp};
use crate::{
    error::{Code, Error, Result},
    policy::{Action, Claims, ISSUER, Permission, Rule, TokenKind, User, now},
    store::{Store, identity::TokenRow, shared::OnConflict},
    stream::StreamName,
};

/// Most tokens that have not expired.
const MAX_TOKENS: usize = 10_000;

/// Most permissions in one token: it is sent in a header.
const MAX_PERMISSIONS: usize = 50;

/// The token to create.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// A name for people; MediaMTX shows it as the session's user.
    pub name: String,
    /// The permissions.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// For a camera, instead of `permissions`: the only stream to which it can publish.
    #[schema(value_type = Option<String>)]
    pub publish_to: Option<StreamName>,
    /// When it expires: a duration (`12h`, `365days`) or a time (RFC 3339).
    #[schema(example = "365days")]
    pub expires: String,
}

/// A token as the API lists it. The token itself is shown once, when it is created.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MachineToken {
    /// The id, which is the token's `jti`; `DELETE /api/v1/tokens/{id}` revokes the token.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The permissions; empty if they cannot be read, see `damaged`.
    pub permissions: Vec<Permission>,
    /// When it was created.
    pub created: String,
    /// When it expires.
    pub expires: String,
    /// The principal that created it.
    pub created_by: String,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Why the permissions cannot be read; left out if they can. The token itself contains them too and stays valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
}

impl From<TokenRow> for MachineToken {
    fn from(row: TokenRow) -> Self {
        let (permissions, damaged) = match serde_json::from_str(&row.permissions) {
            Ok(permissions) => (permissions, None),
            Err(e) => (vec![], Some(format!("permissions: {e}"))),
        };
        MachineToken {
            permissions,
            damaged,
            created: timestamp(row.created),
            expires: timestamp(row.expires),
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

    /// Creates a token. Returns it with its description; the token is not stored.
    pub async fn make_token(&self, wanted: NewToken, created_by: &str) -> Result<(String, MachineToken)> {
        check_label("name", &wanted.name)?;
        let mut permissions = wanted.permissions;
        if let Some(stream) = &wanted.publish_to {
            if !permissions.is_empty() {
                let rule = "publish_to: a camera's token has no other permissions; leave permissions out";
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
            sign_in: None,
            sign_in_ends: None,
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
            .change(OnConflict::Again, move |store| {
                if store.tokens()?.len() >= MAX_TOKENS {
                    return Err(Error::new(
                        Code::TooManyIdentities,
                        format!("the limit of {MAX_TOKENS} tokens is reached"),
                    ));
                }
                store.add_token(&row)
            })
            .await?;
        Ok((token, description))
    }

    /// All tokens that have not expired, newest first.
    pub async fn tokens(&self) -> Result<Vec<MachineToken>> {
        Ok(self.0.store.run(Store::tokens).await?.into_iter().map(Into::into).collect())
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, id: &str) -> Result<()> {
        let key = id.to_owned();
        let revoke = move |store: &Store| store.revoke_token(&key, now());
        if !self.0.store.change(OnConflict::Again, revoke).await? {
            return Err(Error::new(Code::UnknownIdentity, format!("there is no valid token {id}")));
        }
        self.reload().await
    }

    /// A token for playback of one path, valid for 15 minutes: it is part of URLs.
    pub fn playback_token(&self, path: &str) -> Result<String> {
        let claims = Claims {
            iss: ISSUER.into(),
            sub: "playback".into(),
            jti: random_id()?,
            iat: now(),
            exp: now() + 900,
            kind: TokenKind::Machine,
            sid: None,
            sign_in: None,
            sign_in_ends: None,
            ver: None,
            mediamtx_permissions: vec![Permission::on(Action::Playback, path)],
        };
        Ok(self.sign(&claims)?.0)
    }

    /// This program's own token for MediaMTX's control API, valid for a minute.
    pub fn internal_token(&self) -> Result<String> {
        self.own_token([Action::Api, Action::Metrics, Action::Playback].map(Permission::everywhere).to_vec())
    }

    /// This program's own token for reading one path of MediaMTX, valid for a minute: MediaMTX checks it only when the
    /// session begins.
    pub fn reading_token(&self, path: &str) -> Result<String> {
        self.own_token(vec![Permission::on(Action::Read, path)])
    }

    /// The same for publishing to one path of MediaMTX.
    pub fn publishing_token(&self, path: &str) -> Result<String> {
        self.own_token(vec![Permission::on(Action::Publish, path)])
    }

    fn own_token(&self, permissions: Vec<Permission>) -> Result<String> {
        let claims = Claims {
            iss: ISSUER.into(),
            sub: ISSUER.into(),
            jti: random_id()?,
            iat: now(),
            exp: now() + 60,
            kind: TokenKind::Internal,
            sid: None,
            sign_in: None,
            sign_in_ends: None,
            ver: None,
            mediamtx_permissions: permissions,
        };
        Ok(self.sign(&claims)?.0)
    }
}

/// A token of an administrator for a command beside a running server, valid for a minute. It is signed with the key of the
/// database, so that only a user who can read the data folder gets one.
pub fn command_token(store: &Store, command: &str) -> Result<String> {
    let claims = Claims {
        iss: ISSUER.into(),
        sub: command.to_owned(),
        jti: random_id()?,
        iat: now(),
        exp: now() + 60,
        kind: TokenKind::Machine,
        sid: None,
        sign_in: None,
        sign_in_ends: None,
        ver: None,
        mediamtx_permissions: [Action::Api, Action::Metrics, Action::Read].map(Permission::everywhere).to_vec(),
    };
    Ok(KeySet::stored(store)?.sign(&claims)?.0)
}

/// Checks the number of the permissions, and compiles them.
pub(super) fn check_permissions(permissions: &[Permission]) -> Result<()> {
    let wrong =
        |rule: String| Error::new(Code::InvalidIdentity, format!("permissions: {rule}")).in_field("permissions");
    if !(1..=MAX_PERMISSIONS).contains(&permissions.len()) {
        return Err(wrong(format!("must be 1 to {MAX_PERMISSIONS}, not {}", permissions.len())));
    }
    let user =
        User { user: Default::default(), pass: Default::default(), ips: vec![], permissions: permissions.to_vec() };
    Rule::compile(&user).map(drop).map_err(wrong)
}
