//! Parameters and quotas of all addresses with pictures.

use crate::{
    error::{Error, Result},
    policy::{Caller, Principal},
};

/// A parameter that is `1` or `0`. The default is `0`.
pub(super) fn flag(field: &'static str, value: Option<&str>) -> Result<bool> {
    match value {
        None | Some("0" | "false" | "no") => Ok(false),
        Some("1" | "true" | "yes") => Ok(true),
        Some(other) => Err(Error::parameter(field, format!("must be 0 or 1, not {other:?}"))),
    }
}

/// The holder of the quota that a variant counts for: the principal, or the address of an anonymous caller.
pub(super) fn share_of(who: &Principal, caller: &Caller) -> String {
    match (who, caller.ip) {
        (Principal::Anonymous, Some(ip)) => ip.to_string(),
        (who, _) => who.to_string(),
    }
}
