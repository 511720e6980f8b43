//! Ingress: requests through a proxy that has signed its users in and shows our pages in a frame of its own (`http.ingress`).
//!
//! Home Assistant's Supervisor is such a proxy. The browser asks Core for `/api/hassio_ingress/TOKEN/…`, the Supervisor asks us for
//! `/…`, and adds `X-Ingress-Path` and `X-Remote-User-…`; it removes such headers of clients
//! (supervisor/api/ingress.py). They count from its address only.

use actix_web::HttpRequest;

use super::State;
use crate::{foreign, policy::Permission, units::any_contains};

/// Longest path in front; the Supervisor's has about 70 characters.
const MAX_PATH: usize = 256;

/// A user of the proxy.
pub(super) struct User {
    /// Its name, for people and for the audit.
    pub(super) name: String,
    pub(super) permissions: Vec<Permission>,
}

/// The path in front of our addresses as the browser sees them, without a slash at the end; none for a request that did not come
/// through the proxy.
pub(super) fn path<'a>(request: &'a HttpRequest, state: &State) -> Option<&'a str> {
    let from = &state.settings.http.ingress.from;
    let peer = request.peer_addr()?.ip().to_canonical();
    if from.is_empty() || !any_contains(from, peer) {
        return None;
    }
    let path = header(request, "x-ingress-path")?.to_str().ok()?.trim_end_matches('/');
    // It becomes a part of a cookie.
    let fits = |c: char| c.is_ascii_alphanumeric() || "/_-.~".contains(c);
    (path.starts_with('/') && path.len() <= MAX_PATH && path.chars().all(fits)).then_some(path)
}

/// The user whom the proxy has signed in.
pub(super) fn user(request: &HttpRequest, state: &State) -> Option<User> {
    path(request, state)?;
    // Names can have any characters, which are UTF-8 here.
    let text = |name| header(request, name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    let id = text("x-remote-user-id").filter(|id| !id.is_empty())?;
    let name = text("x-remote-user-name").filter(|name| !name.is_empty());
    let names = [Some(&*id), name.as_deref()];
    let names: Vec<_> = names.into_iter().flatten().collect();
    let permissions = state.settings.http.ingress.permissions_of(&names);
    let shown = names.last().copied().unwrap_or_default();
    Some(User { name: foreign::shown(shown).into_owned(), permissions })
}

/// A header that is there once: a second one would be a client's.
fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a actix_web::http::header::HeaderValue> {
    let mut values = request.headers().get_all(name);
    let value = values.next();
    if values.next().is_some() { None } else { value }
}
