//! Tokens (RFC 7519): their claims, and their verification.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, Validation, decode, decode_header, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Lease, Permission, rules::Permissions, snapshot::Snapshot};

/// The `iss` of all tokens of this program.
pub const ISSUER: &str = "mtx-sidecar";

/// The prefix of share codes; 32 characters of base64url follow.
pub const SHARE_PREFIX: &str = "mtxs_";

/// Longest token in bytes; a longer one was not issued here and is not decoded.
const MAX_TOKEN: usize = 16 << 10;

// Reasons after which the rules are still asked: the token can belong to another program.
pub(super) const NOT_OURS: &str = "the token was not issued by mtx-sidecar";
pub(super) const UNKNOWN_KEY: &str = "the token's key is unknown, or was dropped";

/// The claims of a token. The claim that MediaMTX reads has its own name and shape
/// (internal/auth/jwt_claims.go), so that the same token works with its authMethod jwt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// [`ISSUER`].
    pub iss: String,
    /// The user; for machines, the token's name; for shares, the label. MediaMTX shows it as the session's user.
    pub sub: String,
    /// The token's id; a machine's token is revoked by it.
    pub jti: String,
    /// Time of issue, in seconds of the Unix epoch.
    pub iat: u64,
    /// Time of expiry, in seconds of the Unix epoch.
    pub exp: u64,
    /// The principal that it was issued to.
    pub kind: TokenKind,
    /// The id of its sign-in or share; revoking that revokes the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// For a visitor's token, the id of the sign-in; `sid` is that of the share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<String>,
    /// When the sign-in of an access token ends, in seconds of the Unix epoch. What was begun with the token ends then, and not
    /// when the token expires, because the page renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in_ends: Option<u64>,
    /// The stamp of the user's entry at the time of issue: a changed entry invalidates the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ver: Option<String>,
    /// The permissions.
    pub mediamtx_permissions: Vec<Permission>,
}

/// The principal that a token was issued to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A user who signed in.
    Access,
    /// A program or a camera.
    Machine,
    /// A visitor with a share link.
    Share,
    /// A user whom a proxy has signed in (`http.ingress`).
    Ingress,
    /// This program itself, as a client of MediaMTX.
    Internal,
}

/// A token whose signature is right.
#[derive(Debug)]
pub(super) struct VerifiedToken {
    pub(super) claims: Claims,
    pub(super) kid: String,
    pub(super) permissions: Permissions,
    pub(super) lease: Arc<Lease>,
}

/// Whether the text has the form of a JWT of any issuer: three parts of base64url, of which the first is a JSON object.
pub(super) fn looks_like_jwt(text: &str) -> bool {
    text.starts_with("eyJ")
        && text.bytes().filter(|b| *b == b'.').count() == 2
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// The digest that is stored for a share's code, so that the database does not contain the link.
pub fn code_digest(code: &str) -> [u8; 32] {
    Sha256::digest(code).into()
}

/// The current time, in seconds of the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Checks signature, issuer and lifetime. The algorithm is fixed here and not taken from the token (RFC 8725,
/// section 3.1).
pub(super) fn verify(token: &str, snapshot: &Snapshot) -> Result<Arc<VerifiedToken>, &'static str> {
    if token.len() > MAX_TOKEN {
        return Err(NOT_OURS);
    }
    let header = decode_header(token).map_err(|_| NOT_OURS)?;
    let kid = header.kid.ok_or(NOT_OURS)?;
    let key = snapshot.keys.get(&kid).ok_or(UNKNOWN_KEY)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.leeway = 0;
    validation.validate_aud = false;
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss"]);
    let claims = decode::<Claims>(token, key, &validation).map_err(|e| match e.kind() {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        _ => NOT_OURS,
    })?;
    let claims = claims.claims;
    let permissions = Permissions::compile(&claims.mediamtx_permissions).map_err(|_| NOT_OURS)?;
    let sign_in = match claims.kind {
        TokenKind::Access => claims.sid.as_deref(),
        _ => claims.sign_in.as_deref(),
    };
    let lease = Lease {
        expires: claims.sign_in_ends.unwrap_or(claims.exp),
        sign_in: sign_in.map(Into::into),
        key: Some(kid.as_str().into()),
    };
    Ok(Arc::new(VerifiedToken { claims, kid, permissions, lease: Arc::new(lease) }))
}
