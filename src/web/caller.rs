//! The caller of an HTTP request: address and credentials.

use std::{
    future::{Ready, ready},
    net::IpAddr,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap},
};

use futures_util::future::LocalBoxFuture;

use super::{Problem, State, origin, state_in};
use crate::{
    error::Error,
    policy::{Authorized, Caller, Credentials, Sender, token_in_query},
    query,
    secret::Secret,
    settings::HttpSettings,
    units::any_contains,
};

/// The caller of this request.
pub struct CallerExtractor(pub Caller);

impl FromRequest for CallerExtractor {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let settings = &state_in(request.app_data()).settings.http;
        let mut caller = caller(request.peer_addr().map(|a| a.ip()), request.headers(), settings);
        // A token for this one connection has precedence over credentials that the browser adds to each request.
        if let Some(token) = token_in_protocols(request) {
            caller.credentials = Credentials::from_token(&token);
        }
        if caller.credentials.is_empty() && takes_token_in_url(request.path()) {
            let token = token_in_query(request.query_string());
            caller.credentials = token.map(|token| Credentials::from_token(&token)).unwrap_or_default();
            // InfluxDB 1 takes a user and a password as parameters, and small devices have no other way.
            if let ("/write" | "/query", true) = (request.path(), caller.credentials.is_empty()) {
                let value = |name| query::first(request.query_string(), name).unwrap_or_default().into_owned();
                caller.credentials = Credentials { user: value("u"), password: Secret::new(value("p")) };
            }
        }
        ready(Ok(CallerExtractor(caller)))
    }
}

/// Whether the request shows by itself who sends it: a token or password that is valid, and that no browser adds by itself to
/// the requests of another site's page. Cookies and the address show nothing.
///
/// A browser adds Basic credentials by itself. They count only from an origin that no web site can have: `file://` of a
/// program, or that of an app. (A token in a URL has to be valid: with an invalid one, the caller's address would count.)
pub(super) async fn shows_its_sender(request: &HttpRequest, state: &State) -> bool {
    let Ok(CallerExtractor(caller)) = CallerExtractor::from_request(request, &mut Payload::None).await else {
        return false;
    };
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_basic = text(header::AUTHORIZATION).get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic "));
    let origin = text(header::ORIGIN);
    let of_a_site = ["http://", "https://"].iter().any(|scheme| origin.starts_with(scheme));
    let of_no_site = origin.contains("://") && !of_a_site && !origin::has_fetch_metadata(request.headers());
    if caller.credentials.is_empty() || (is_basic && token_in_protocols(request).is_none() && !of_no_site) {
        return false;
    }
    state.access.permissions_of(&caller, "a request from another site").await.is_ok()
}

/// An administrator: the extractor refuses callers without the permission `api`. It holds the principal.
pub struct Admin(pub Authorized);

impl FromRequest for Admin {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let state = state_in(request.app_data()).clone();
        let caller = CallerExtractor::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move { Ok(Admin(administrator(&request, &state, &caller.await?.0).await?)) })
    }
}

/// Authorizes an administrator. The audit has the method and the resource, and the outcome of a change.
pub(super) async fn administrator(request: &HttpRequest, state: &State, caller: &Caller) -> Result<Authorized, Error> {
    let path = request.path();
    let resource = path.strip_prefix("/api/v1/").unwrap_or_else(|| path.trim_start_matches('/'));
    let mut asked =
        format!("{} {}", request.method(), percent_encoding::percent_decode_str(resource).decode_utf8_lossy());
    // The file of a media folder or of a recording, and whether nothing is changed. Other parameters can be secrets that a client
    // has put there.
    for (n, name) in ["root", "path", "start", "dry_run"]
        .into_iter()
        .filter(|name| query::first(request.query_string(), name).is_some())
        .enumerate()
    {
        let value = query::first(request.query_string(), name).unwrap_or_default();
        asked.extend([if n == 0 { "?" } else { "&" }, name, "=", &value]);
    }
    // The name in `streams/NAME`; the resource itself if there is none.
    let decoded = percent_encoding::percent_decode_str(resource).decode_utf8_lossy();
    let object = match query::first(request.query_string(), "path") {
        Some(file) => file.into_owned(),
        None => decoded.split_once('/').map_or(&*decoded, |(_, name)| object_of(name)).to_owned(),
    };
    let (who, change) = state.access.authorize_administrator(caller, &asked, &object).await?;
    if let Some(change) = change {
        // `guard::log_and_count` ends it with the status of the response.
        request.extensions_mut().insert(change);
    }
    Ok(who)
}

/// What a request is done to: the address of a stream can have the word of an action behind the name.
fn object_of(name: &str) -> &str {
    name.strip_suffix("/mediamtx-path").unwrap_or(name)
}

/// Reads the caller from the connection's address and the request's headers.
pub fn caller(peer: Option<IpAddr>, headers: &HeaderMap, settings: &HttpSettings) -> Caller {
    let peer = peer.map(|peer| peer.to_canonical());
    let ip = peer.and_then(|peer| address(peer, headers, settings));
    let sender = match (ip, peer) {
        (None, Some(peer)) => Sender::Proxy(peer),
        _ => Sender::Client,
    };
    Caller { sender, ip, credentials: shown(headers).unwrap_or_default() }
}

/// The trustworthy address of the caller, or none.
///
/// Behind a trusted proxy it is the last entry of `X-Forwarded-For` that is no trusted proxy. Behind any other proxy it is
/// unknown: a proxy on this machine would otherwise make every client 127.0.0.1. Loopback counts only for requests whose Host
/// names this machine, because a web page can rebind its host name to 127.0.0.1.
fn address(peer: IpAddr, headers: &HeaderMap, settings: &HttpSettings) -> Option<IpAddr> {
    let trusted = |ip: IpAddr| any_contains(&settings.trusted_proxies, ip);
    if !origin::is_proxied(headers) {
        return (!peer.is_loopback() || names_this_machine(headers, settings)).then_some(peer);
    }
    if !trusted(peer) {
        return None;
    }
    let hops = headers.get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let hops: Vec<_> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.iter().rev() {
        // Some proxies append the port.
        let ip = hop.parse().ok().or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()));
        let ip: IpAddr = IpAddr::to_canonical(&ip?);
        if !trusted(ip) {
            // A program on this machine reaches us without a proxy, so loopback in a header is the proxy's own client.
            return (!ip.is_loopback()).then_some(ip);
        }
    }
    None
}

fn names_this_machine(headers: &HeaderMap, settings: &HttpSettings) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
        || settings.hostnames.iter().any(|known| known.eq_ignore_ascii_case(&name))
}

/// Whether a token is accepted in the URL: for players, `<img>` and cameras, which have no other way (RFC 6750, section 2.3,
/// warns of it), but not for the API of administrators.
fn takes_token_in_url(path: &str) -> bool {
    !path.starts_with("/api/v1/")
        || ["/frame", "/frames", "/points", "/graph.png"].iter().any(|end| path.ends_with(end))
        || path.starts_with("/api/v1/recordings/") && path.ends_with("/download")
}

/// The token that a page offers as the WebSocket protocol `bearer.TOKEN`, because its script cannot set headers. The answer
/// never repeats it.
fn token_in_protocols(request: &HttpRequest) -> Option<String> {
    if !request.headers().contains_key(header::UPGRADE) {
        return None;
    }
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    let mut tokens = offered.flat_map(|value| value.split(',')).filter_map(|word| word.trim().strip_prefix("bearer."));
    let token = tokens.next().filter(|token| !token.is_empty())?;
    tokens.next().is_none().then(|| token.to_owned())
}

fn shown(headers: &HeaderMap) -> Option<Credentials> {
    Credentials::from_header(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                    HeaderValue::from_str(value).expect("a value"),
                )
            })
            .collect()
    }

    #[test]
    #[rustfmt::skip]
    fn an_address_counts_only_from_a_trusted_proxy() {
        let settings = HttpSettings {
            trusted_proxies: vec!["10.0.0.1".parse().expect("an address"), "10.0.0.2".parse().expect("an address")],
            hostnames: vec!["Camera-Pi".into()],
            ..HttpSettings::default()
        };
        for (peer, pairs, expected) in [
            ("192.0.2.1", &[][..], Some("192.0.2.1")),
            ("::ffff:192.0.2.1", &[], Some("192.0.2.1")),
            ("127.0.0.1", &[], Some("127.0.0.1")),
            ("127.0.0.1", &[("host", "localhost:9995")], Some("127.0.0.1")),
            ("127.0.0.1", &[("host", "127.0.0.1:9995")], Some("127.0.0.1")),
            ("::1", &[("host", "[::1]:9995")], Some("::1")),
            ("127.0.0.1", &[("host", "camera-pi:9995")], Some("127.0.0.1")),
            // DNS rebinding.
            ("127.0.0.1", &[("host", "evil.example:9995")], None),
            ("127.0.0.1", &[("host", "192.168.1.5")], None),
            ("192.0.2.1", &[("host", "evil.example")], Some("192.0.2.1")),
            // A proxy on this machine that is not trusted.
            ("127.0.0.1", &[("x-forwarded-for", "192.0.2.9")], None),
            ("127.0.0.1", &[("x-forwarded-for", "127.0.0.1")], None),
            ("127.0.0.1", &[("via", "1.1 nginx")], None),
            ("127.0.0.1", &[("x-real-ip", "192.0.2.9")], None),
            // Trusted proxies: the last hop that is none of them; the client can invent the hops before it.
            ("10.0.0.1", &[("x-forwarded-for", "127.0.0.1, 192.0.2.9")], Some("192.0.2.9")),
            ("10.0.0.1", &[("x-forwarded-for", "127.0.0.1, 192.0.2.9, 10.0.0.2")], Some("192.0.2.9")),
            ("10.0.0.1", &[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "192.0.2.9:4711")], Some("192.0.2.9")),
            ("10.0.0.1", &[("x-forwarded-for", "192.0.2.9, unknown")], None),
            ("10.0.0.1", &[("x-forwarded-for", "10.0.0.2")], None),
            ("10.0.0.1", &[("forwarded", "for=192.0.2.9")], None),
            ("10.0.0.1", &[], Some("10.0.0.1")),
        ] {
            let ip = caller(peer.parse().ok(), &headers(pairs), &settings).ip;
            assert_eq!(ip, expected.map(|e| e.parse().expect("an address")), "{peer} {pairs:?}");
        }
    }
}
