//! Sign-ins: a short-lived access token for requests, and a refresh token to get the next one.
//!
//! A refresh token is valid once and is replaced by its use (RFC 9700, section 4.14.2). If one is used a second time,
//! it was stolen before or after the first use, and the whole sign-in ends.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Grant, Identity, Refused, random_id, random_secret, shares};
use crate::{
    error::{Code, Result},
    policy::{Authenticated, Caller, Claims, ISSUER, Permission, Principal, Rule, TokenKind, Verdict, now},
    secret::Secret,
    store::{
        Store,
        identity::{ShareRow, SignInRow},
        shared::OnConflict,
    },
};

/// For how many seconds the previous refresh token still gets an access token, but no new refresh token: two tabs of a
/// browser refresh at the same time with the same cookie.
const GRACE: u64 = 10;

/// How long goes on what was begun with a sign-in by a proxy, in seconds: the proxy does not say when it has ended.
const INGRESS_LIFETIME: u64 = 12 * 3600;

/// The result of a successful sign-in.
#[derive(Debug)]
pub struct SignedIn {
    /// The user, or the share of a visitor.
    pub who: Principal,
    /// The tokens.
    pub grant: Grant,
}

fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

fn ended() -> Verdict {
    Verdict::refused("the sign-in has ended; sign in again")
}

/// On a disk without room, and while the nodes of a cluster cannot agree, a sign-in is not stored: the caller gets an access token without a refresh token, or keeps the
/// refresh token that it has, and signs in again when the access token has expired.
fn without_room<T>(stored: Result<T>) -> Result<Option<T>> {
    match stored {
        Ok(stored) => Ok(Some(stored)),
        Err(e) if matches!(e.code(), Code::StorageFull | Code::ClusterUnavailable) => {
            tracing::warn!("a sign-in lasts only as long as its access token: {}", e.chain());
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

impl Identity {
    /// Signs a user in by user name and password.
    pub async fn sign_in(&self, caller: &Caller) -> Result<SignedIn, Refused> {
        let Authenticated { user, rule } = self.0.policy.authenticate(caller).await?;
        let stamp = self.0.policy.snapshot().password_stamp(&rule);
        let lifetime = self.0.settings.sign_in_lifetime.as_secs();
        let mut row = SignInRow {
            id: random_id()?,
            user: Some(user.to_string()),
            share: None,
            secret: vec![],
            previous: None,
            rotated: now(),
            password_stamp: stamp,
            expires: now() + lifetime,
        };
        let refresh = without_room(self.begin(&mut row).await)?;
        let grant = self.user_grant(&user, &rule, &row, refresh)?;
        Ok(SignedIn { who: Principal::User(user), grant })
    }

    /// Signs in a user whom a proxy has signed in, with these permissions. There is no refresh token: the page asks again
    /// through the proxy. The user is none of ours, and has no entry; `@ingress` tells it from one with the same name.
    pub fn sign_in_by_proxy(&self, name: &str, permissions: Vec<Permission>) -> Result<SignedIn> {
        let sub = format!("{name}@ingress");
        let who = Principal::User(sub.as_str().into());
        let claims = Claims {
            iss: ISSUER.into(),
            sub,
            jti: random_id()?,
            iat: now(),
            exp: now(),
            kind: TokenKind::Ingress,
            sid: None,
            sign_in: None,
            sign_in_ends: Some(now() + INGRESS_LIFETIME),
            ver: None,
            mediamtx_permissions: permissions,
        };
        Ok(SignedIn { who, grant: self.grant(claims, self.0.settings.access_lifetime.as_secs(), None)? })
    }

    /// Exchanges a refresh token for the next access token.
    pub async fn refresh(&self, caller: &Caller, token: &str) -> Result<SignedIn, Refused> {
        let (id, secret) = token.split_once('.').ok_or_else(ended)?;
        let key = id.to_owned();
        let row = self.0.store.run(move |store| store.sign_in(&key)).await?.ok_or_else(ended)?;
        if row.expires <= now() {
            return Err(ended().into());
        }
        let sent = digest(secret);
        let is_sent = |stored: &[u8]| bool::from(stored.ct_eq(&sent));
        let refresh = if is_sent(&row.secret) {
            // None if a concurrent request with the same token has replaced it.
            without_room(self.rotate(&row).await)?.flatten()
        } else if row.previous.as_deref().is_some_and(is_sent) && now() <= row.rotated + GRACE {
            None
        } else {
            // The id is only in refresh tokens of this sign-in, so other clients cannot end it this way.
            tracing::warn!(user = row.user, share = row.share, "a refresh token was used twice; its sign-in is ended");
            self.end(&row).await?;
            return Err(ended().into());
        };
        if row.share.is_some() {
            let grant = self.share_access(&row, refresh).await?;
            return Ok(SignedIn { who: Principal::Share(row.share.unwrap_or_default().into()), grant });
        }
        let user: Arc<str> = row.user.as_deref().unwrap_or_default().into();
        let snapshot = self.0.policy.snapshot();
        let rule = snapshot.users(&user).find(|rule| snapshot.password_stamp(rule) == row.password_stamp);
        let Some(rule) = rule.filter(|rule| rule.applies_to(caller.ip)) else {
            self.end(&row).await?;
            return Err(ended().into());
        };
        let grant = self.user_grant(&user, rule, &row, refresh)?;
        Ok(SignedIn { who: Principal::User(user), grant })
    }

    /// Ends a sign-in by its refresh token, with everything that was begun with its access tokens. Returns whose it was; an
    /// invalid token is ignored.
    pub async fn sign_out(&self, token: &str) -> Result<Option<Principal>> {
        let Some((id, secret)) = token.split_once('.') else { return Ok(None) };
        let key = id.to_owned();
        let Some(row) = self.0.store.run(move |store| store.sign_in(&key)).await? else { return Ok(None) };
        let sent = digest(secret);
        let is_sent = |stored: &[u8]| bool::from(stored.ct_eq(&sent));
        if !is_sent(&row.secret) && !row.previous.as_deref().is_some_and(is_sent) {
            return Ok(None);
        }
        self.end(&row).await?;
        Ok(Some(match (row.user, row.share) {
            (Some(user), _) => Principal::User(user.into()),
            (None, share) => Principal::Share(share.unwrap_or_default().into()),
        }))
    }

    /// Signs a visitor in who has opened a share.
    pub(super) async fn grant_share(&self, share: &ShareRow) -> Result<Grant, Refused> {
        shares::usable_permissions(share)?;
        let mut row = SignInRow {
            id: random_id()?,
            user: None,
            share: Some(share.id.clone()),
            secret: vec![],
            previous: None,
            rotated: now(),
            password_stamp: String::new(),
            expires: share.expires.min(now() + self.0.settings.sign_in_lifetime.as_secs()),
        };
        let refresh = without_room(self.begin(&mut row).await)?;
        self.share_access(&row, refresh).await
    }

    async fn share_access(&self, row: &SignInRow, refresh: Option<(Secret, u64)>) -> Result<Grant, Refused> {
        let id = row.share.clone().unwrap_or_default();
        let key = id.clone();
        let shares = self.0.store.run(|store| store.shares()).await?;
        let share = shares.into_iter().find(|share| share.id == key);
        let share = share.filter(|share| share.revoked.is_none() && share.expires > now()).ok_or_else(ended)?;
        let permissions = shares::usable_permissions(&share)?;
        let lifetime = self.0.settings.access_lifetime.as_secs().min(share.expires.saturating_sub(now()));
        let claims = Claims { sid: Some(id), sign_in: Some(row.id.clone()), ..self.claims(TokenKind::Share, row)? };
        Ok(self.grant(Claims { sub: share.label, mediamtx_permissions: permissions, ..claims }, lifetime, refresh)?)
    }

    fn user_grant(&self, user: &str, rule: &Rule, row: &SignInRow, refresh: Option<(Secret, u64)>) -> Result<Grant> {
        let ver = Some(self.0.policy.snapshot().stamp(rule));
        let claims = Claims { sub: user.to_owned(), ver, ..self.claims(TokenKind::Access, row)? };
        let claims = Claims { mediamtx_permissions: rule.permissions().to_vec(), ..claims };
        self.grant(claims, self.0.settings.access_lifetime.as_secs(), refresh)
    }

    /// The claims that the tokens of a sign-in have in common.
    fn claims(&self, kind: TokenKind, row: &SignInRow) -> Result<Claims> {
        Ok(Claims {
            iss: ISSUER.into(),
            sub: String::new(),
            jti: random_id()?,
            iat: now(),
            exp: now(),
            kind,
            sid: Some(row.id.clone()),
            sign_in: None,
            sign_in_ends: Some(row.expires),
            ver: None,
            mediamtx_permissions: vec![],
        })
    }

    fn grant(&self, claims: Claims, lifetime: u64, refresh: Option<(Secret, u64)>) -> Result<Grant> {
        let claims = Claims { exp: claims.iat + lifetime, ..claims };
        let (access, _) = self.sign(&claims)?;
        let permissions = claims.mediamtx_permissions;
        Ok(Grant { access: Secret::new(access), expires_in: lifetime, refresh, permissions })
    }

    /// Stores a new sign-in, and returns its refresh token and its lifetime in seconds.
    async fn begin(&self, row: &mut SignInRow) -> Result<(Secret, u64)> {
        let secret = random_secret()?;
        row.secret = digest(&secret);
        let stored = row.clone();
        self.0.store.change(OnConflict::Again, move |store| store.add_sign_in(&stored)).await?;
        Ok((Secret::new(format!("{}.{secret}", row.id)), row.expires.saturating_sub(now())))
    }

    /// Replaces the refresh token; none if a concurrent request has replaced it.
    async fn rotate(&self, row: &SignInRow) -> Result<Option<(Secret, u64)>> {
        let secret = random_secret()?;
        let (id, old, new) = (row.id.clone(), row.secret.clone(), digest(&secret));
        let rotate = move |store: &Store| store.rotate_sign_in(&id, &old, &new, now());
        if !self.0.store.change(OnConflict::Again, rotate).await? {
            return Ok(None);
        }
        Ok(Some((Secret::new(format!("{}.{secret}", row.id)), row.expires.saturating_sub(now()))))
    }

    async fn end(&self, row: &SignInRow) -> Result<()> {
        let (id, until) = (row.id.clone(), now() + self.0.settings.access_lifetime.as_secs() + 1);
        self.0.store.change(OnConflict::Again, move |store| store.end_sign_in(&id, until)).await?;
        self.reload().await
    }
}
