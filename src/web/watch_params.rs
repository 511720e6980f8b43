//! Parameters and quotas of all addresses with pictures.

use actix_web::{HttpRequest, http::header};
use url::Url;

use super::{
    State,
    origin::{comes_from_elsewhere, is_ours},
};
use crate::{
    catalog::Requester,
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

/// The holder of the quota that a variant counts for.
pub(super) fn share_of(who: &Principal, caller: &Caller) -> String {
    caller.quota_holder(who)
}

/// The caller as one whose request can make a stream. A page of another web site cannot: every page can have a browser send
/// a GET, with the browser's address and passwords.
pub(super) fn requester(request: &HttpRequest, state: &State, who: &Principal, caller: &Caller) -> Requester {
    let (peer, headers, http) = (request.peer_addr().map(|addr| addr.ip()), request.headers(), &state.settings.http);
    // Browsers leave Sec-Fetch-Site out where the connection is not encrypted, but they send a Referer.
    let referer = headers.get(header::REFERER).and_then(|value| Url::parse(value.to_str().ok()?).ok());
    let refers = referer.is_some_and(|url| {
        !headers.contains_key(header::ORIGIN) && !is_ours(&url.origin().ascii_serialization(), peer, headers, http)
    });
    Requester { share: share_of(who, caller), may_make: !refers && !comes_from_elsewhere(peer, headers, http) }
}
