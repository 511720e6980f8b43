//! [`Grant`]: what a browser gets for a sign-in or for a share link; [`Refused`]: why it gets nothing.

use crate::{
    error::Error,
    policy::{Permission, Verdict},
    secret::Secret,
};

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

/// Why there are no tokens.
#[derive(Debug)]
pub enum Refused {
    /// The credentials are not good; for the audit.
    Verdict(Verdict),
    /// The sign-in cannot be stored or read.
    Failed(Error),
}

impl Refused {
    /// What the caller is told.
    pub fn into_error(self) -> Error {
        match self {
            Refused::Verdict(verdict) => verdict.sign_in_refusal(),
            Refused::Failed(error) => error,
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Failed(error)
    }
}

impl From<Verdict> for Refused {
    fn from(verdict: Verdict) -> Self {
        Refused::Verdict(verdict)
    }
}
