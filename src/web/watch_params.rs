//! What can be said about pictures at every address that gives some.

use utoipa::IntoParams;

use crate::{
    error::{Error, Result},
    policy::{Caller, Principal},
};

/// Another size, quality, orientation or rate; read by [`Transform::from_query`](crate::picture::transform::Transform::from_query).
#[derive(IntoParams)]
#[allow(dead_code, reason = "this is what the documentation shows; the query is read as a whole")]
pub struct TransformQuery {
    /// Width in pixels, 8 to 4096; `width` is the same. Alone it keeps the proportions, and never enlarges.
    w: Option<u32>,
    /// Height in pixels, 8 to 4096; `height` is the same. Alone it keeps the proportions, and never enlarges.
    h: Option<u32>,
    /// `inside` (default: proportions kept, at most the size, never enlarged), or exactly the size: `contain` (all of it, with
    /// bars), `cover` (its middle), `fill` (distorted); the words of CSS's object-fit.
    fit: Option<String>,
    /// JPEG quality, 1 to 100. Without it a picture is encoded only if it has to be, with `variants.quality`.
    quality: Option<u8>,
    /// Pictures a second at most, 0.01 to 60; nothing to snapshots.
    fps: Option<f64>,
    /// Clockwise: 0, 90, 180 or 270. `w` and `h` are those of the result.
    rotate: Option<i32>,
    /// `horizontal` exchanges left and right, `vertical` top and bottom, `both`; after turning.
    flip: Option<String>,
    /// `1` for gray.
    gray: Option<String>,
}

/// A parameter that is `1` or `0`, or not there.
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
