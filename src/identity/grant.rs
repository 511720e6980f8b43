//! [`Grant`]: what a browser gets for a sign-in or for a share link.

use crate::{policy::Permission, secret::Secret};

/// The tokens of a sign-in.
#[derive(Debug)]
pub struct Grant {
    /// The access token.
    pub access: Secret,
    /// The lifetime of the access token, in seconds.
    pub expires_in: u64,
    /// The refresh token and its lifetime in seconds; none if the client keeps the one that it has.
    pub refresh: Option<(Secret, u64)>,
    /// The permissions.
    pub permissions: Vec<Permission>,
}
