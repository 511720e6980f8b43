//! Tokens (RFC 7519): what is in them, and whether one is ours and still counts.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, Validation, decode, decode_header, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Permission, rules::Permissions, snapshot::Snapshot};

/// The `iss` of all our tokens.
pub const ISSUER: &str = "mtx-sidecar";

/// What a share's code begins with; the rest are 22 characters of base64url.
pub const SHARE_PREFIX: &str = "mtxs_";

/// A longer token is none of ours and is not even decoded.
const MAX_TOKEN: usize = 16 << 10;

/// Why a token is not looked at further: it may be for somebody else.
pub(super) const NOT_OURS: &str = "the token is not one of ours";
pub(super) const UNKNOWN_KEY: &str = "the token's key is not known (any more)";

/// What is in a token. The claim that MediaMTX reads has its own name and shape
/// (internal/auth/jwt_claims.go), so that the same token works with its authMethod jwt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// [`ISSUER`].
    pub iss: String,
    /// The user; for machines, the token's name. MediaMTX shows it as the session's user.
    pub sub: String,
    /// The token's id, by which a machine's is revoked.
    pub jti: String,
    /// When it was made, in seconds of the Unix epoch.
    pub iat: u64,
    /// From when on it does not count.
    pub exp: u64,
    /// What it is.
    pub kind: TokenKind,
    /// The sign-in or the share it belongs to, by which it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The state of the user's entry when it was made: a user who was changed has to get a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ver: Option<String>,
    /// What it allows.
    pub mediamtx_permissions: Vec<Permission>,
}

/// Whom a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A user who has signed in.
    Access,
    /// A program or a camera.
    Machine,
    /// A visitor with a share link.
    Share,
    /// Ourselves, towards MediaMTX's control API.
    Internal,
}

/// A token whose signature was right.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) claims: Claims,
    pub(super) kid: String,
    pub(super) permissions: Permissions,
}

/// Whether the text has the form of a token of whatever issuer: three parts of base64url, the first of which is a
/// JSON object.
pub(super) fn looks_like_jwt(text: &str) -> bool {
    text.starts_with("eyJ")
        && text.bytes().filter(|b| *b == b'.').count() == 2
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// The digest under which a share's code is kept: who reads the database cannot open the link.
pub fn code_digest(code: &str) -> [u8; 32] {
    Sha256::digest(code).into()
}

/// Seconds of the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Checks signature, issuer and lifetime. The algorithm is ours to name, not the token's (RFC 8725, section 3.1).
pub(super) fn verify(token: &str, snapshot: &Snapshot) -> Result<Arc<Verified>, &'static str> {
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
    Ok(Arc::new(Verified { claims, kid, permissions }))
}
