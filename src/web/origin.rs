//! Our origin as the client sees it: scheme, host and base path.

use actix_web::{HttpRequest, http::header};

use super::State;
use crate::{server::Secure, units::any_contains};

/// Whether the client's connection is encrypted, by our own knowledge or a trusted proxy's.
pub(super) fn is_secure(request: &HttpRequest, state: &State) -> bool {
    let http = &state.settings.http;
    let by_proxy = || {
        let peer = request.peer_addr().map(|a| a.ip().to_canonical());
        let says = request.headers().get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        says == Some("https") && peer.is_some_and(|ip| any_contains(&http.trusted_proxies, ip))
    };
    request.conn_data::<Secure>().is_some_and(|secure| secure.0) || http.public_url.starts_with("https:") || by_proxy()
}

/// The base of links to us, without a slash at the end: `http.public_url`, or the origin of the request.
pub(super) fn of(request: &HttpRequest, state: &State) -> String {
    let http = &state.settings.http;
    if !http.public_url.is_empty() {
        return http.public_url.clone();
    }
    let scheme = if is_secure(request, state) { "https" } else { "http" };
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    format!("{scheme}://{}{}", host.unwrap_or("localhost"), http.base_path)
}
