//! Parameters and shares of all addresses that give pictures.

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

/// To whose share a variant counts: somebody who was recognised, or else an address.
pub(super) fn share_of(who: &Principal, caller: &Caller) -> String {
    match (who, caller.ip) {
        (Principal::Anonymous, Some(ip)) => ip.to_string(),
        (who, _) => who.to_string(),
    }
}
