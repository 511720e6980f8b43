//! Our origin as the client sees it: scheme, host and base path.

use std::{borrow::Cow, net::IpAddr};

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderMap},
};

use super::{State, ingress};
use crate::{server::Secure, settings::HttpSettings, units::any_contains};

/// Headers that only a proxy adds. A request with one of them does not come from a program on this machine.
const PROXY_HEADERS: [&str; 10] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "forwarded",
    "x-real-ip",
    "via",
    "cf-connecting-ip",
    "true-client-ip",
    "x-client-ip",
];

/// Headers that only a browser adds.
const BROWSER_HEADERS: [&str; 5] = ["origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user"];

/// Whether the request came through a proxy, as far as its headers show that.
pub(super) fn is_proxied(headers: &HeaderMap) -> bool {
    PROXY_HEADERS.iter().any(|name| headers.contains_key(*name))
}

/// Whether a browser made the request.
pub(super) fn is_from_browser(headers: &HeaderMap) -> bool {
    BROWSER_HEADERS.iter().any(|name| headers.contains_key(*name))
}

/// Whether a browser says what the request is for (Fetch Metadata). It does so only to HTTPS and to this machine.
pub(super) fn has_fetch_metadata(headers: &HeaderMap) -> bool {
    BROWSER_HEADERS.iter().any(|name| *name != "origin" && headers.contains_key(*name))
}

/// Whether a page of another origin makes the request.
pub(super) fn comes_from_elsewhere(peer: Option<IpAddr>, headers: &HeaderMap, http: &HttpSettings) -> bool {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(origin) = text(header::ORIGIN.as_str()) {
        return !is_ours(origin, peer, headers, http);
    }
    matches!(text("sec-fetch-site"), Some("cross-site" | "same-site"))
}

/// Whether pages of this origin can change data here.
pub(super) fn is_ours(origin: &str, peer: Option<IpAddr>, headers: &HeaderMap, http: &HttpSettings) -> bool {
    let leads_to = |url: &str| !url.is_empty() && (url == origin || url.starts_with(&format!("{origin}/")));
    http.cors_origins.iter().any(|known| known == origin)
        || leads_to(&http.public_url)
        || hosts(peer, headers, http).iter().any(|host| names(origin, Some(host)))
}

/// Whether the client's connection is encrypted, by our own knowledge or a trusted proxy's.
pub(super) fn is_secure(request: &HttpRequest, state: &State) -> bool {
    let http = &state.settings.http;
    let by_proxy = || {
        let peer = request.peer_addr().map(|addr| addr.ip());
        reported(peer, request.headers(), http).proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
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
    let hosts = hosts(request.peer_addr().map(|addr| addr.ip()), request.headers(), http);
    // The path of ingress is that of one session of one user: links lead to our own port at the same host.
    if ingress::path(request, state).is_some() {
        let host = hosts.last().map_or("localhost", |host| &**host);
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        return format!("http://{}:{}", name.map_or(host, |(name, _)| name), http.listen.port());
    }
    format!("{scheme}://{}{}", hosts.last().map_or("localhost", |host| &**host), http.base_path)
}

/// The hosts, with a port if there is one, under which the client can have reached us: those that a trusted proxy reports, or
/// that of the request itself. In a chain of proxies, the nearest one wrote the last host. The page that the browser shows
/// can have any of them: no page can set these headers for a request to another site.
fn hosts<'a>(peer: Option<IpAddr>, headers: &'a HeaderMap, http: &HttpSettings) -> Vec<Cow<'a, str>> {
    let Reported { hosts, port, .. } = reported(peer, headers, http);
    if hosts.is_empty() {
        return text(headers, header::HOST.as_str()).map(Cow::from).into_iter().collect();
    }
    hosts
        .into_iter()
        .map(|host| match port {
            // The bracket ends an IPv6 address, which has colons.
            Some(port) if !host.rsplit(']').next().is_some_and(|behind| behind.contains(':')) => {
                Cow::from(format!("{host}:{port}"))
            }
            _ => Cow::from(host),
        })
        .collect()
}

/// The hosts, port and scheme that a trusted proxy reports.
#[derive(Default)]
struct Reported<'a> {
    hosts: Vec<&'a str>,
    port: Option<&'a str>,
    proto: Option<&'a str>,
}

/// Reads `X-Forwarded-Host`, `-Port` and `-Proto`, or `Forwarded` (RFC 7239), of a trusted proxy. Where several proxies have
/// added a port or a scheme, the last one counts: the nearest proxy wrote it.
fn reported<'a>(peer: Option<IpAddr>, headers: &'a HeaderMap, http: &HttpSettings) -> Reported<'a> {
    let is_trusted = |ip: IpAddr| [&http.trusted_proxies, &http.ingress.from].iter().any(|list| any_contains(list, ip));
    if !peer.is_some_and(|ip| is_trusted(ip.to_canonical())) {
        return Reported::default();
    }
    let list = |name: &str| {
        let values = headers.get_all(name).filter_map(|value| value.to_str().ok());
        let values: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        values.into_iter().filter(|value| !value.is_empty())
    };
    let forwarded = |wanted: &'static str| {
        list("forwarded").filter_map(move |element| {
            let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
            Some(value.trim().trim_matches('"'))
        })
    };
    let mut hosts: Vec<_> = list("x-forwarded-host").collect();
    if hosts.is_empty() {
        hosts.extend(forwarded("host"));
    }
    let port = list("x-forwarded-port").next_back().filter(|port| port.parse::<u16>().is_ok());
    Reported { hosts, port, proto: list("x-forwarded-proto").next_back().or_else(|| forwarded("proto").next_back()) }
}

/// Whether an `Origin` names this host. Ports are compared with the default port of the origin's scheme, because proxies and
/// browsers write it or leave it out.
pub(super) fn names(origin: &str, host: Option<&str>) -> bool {
    let Some((scheme, of_origin)) = origin.split_once("://") else { return false };
    let default = match scheme {
        // Programs that are no browsers write the scheme of their WebSocket.
        "https" | "wss" => ":443",
        "http" | "ws" => ":80",
        _ => return false,
    };
    let without_default = |host: &str| host.strip_suffix(default).unwrap_or(host).to_ascii_lowercase();
    host.is_some_and(|host| without_default(host) == without_default(of_origin))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_names_our_host_with_or_without_the_default_port() {
        for (origin, host, expected) in [
            ("http://a:9995", "a:9995", true),
            ("http://a", "a:80", true),
            ("http://a:80", "a", true),
            ("https://a", "a:443", true),
            ("https://A.example", "a.EXAMPLE", true),
            ("https://a", "a:80", false),
            ("http://a", "a:443", false),
            ("https://a:8443", "a:8443", true),
            ("https://a", "a:8443", false),
            ("https://b", "a", false),
            ("https://a.evil", "a", false),
            ("http://[::1]:9995", "[::1]:9995", true),
            ("ws://a:9995", "a:9995", true),
            ("wss://a", "a:443", true),
            ("ws://b:9995", "a:9995", false),
            ("file://", "a", false),
            ("null", "a", false),
        ] {
            assert_eq!(names(origin, Some(host)), expected, "{origin} {host}");
        }
        assert!(!names("http://a", None));
    }

    #[test]
    fn an_origin_names_any_host_that_a_trusted_proxy_reports() {
        let http =
            HttpSettings { trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")], ..HttpSettings::default() };
        for (origin, reported, expected) in [
            ("https://cams.example", &[("x-forwarded-host", "cams.example, inner.example")][..], true),
            ("https://inner.example", &[("x-forwarded-host", "cams.example, inner.example")], true),
            ("https://cams.example:8443", &[("x-forwarded-host", "cams.example"), ("x-forwarded-port", "8443")], true),
            ("https://cams.example", &[("x-forwarded-host", "cams.example"), ("x-forwarded-port", "443")], true),
            ("https://[::1]:8443", &[("x-forwarded-host", "[::1]"), ("x-forwarded-port", "8443")], true),
            (
                "https://cams.example:9000",
                &[("x-forwarded-host", "cams.example:9000"), ("x-forwarded-port", "80")],
                true,
            ),
            ("https://cams.example", &[("x-forwarded-host", "cams.example"), ("x-forwarded-port", "x")], true),
            ("https://cams.example", &[("forwarded", "for=1.2.3.4;host=cams.example, for=10.0.0.1;host=inner")], true),
            ("https://cams.example:8443", &[("forwarded", "for=\"[::1]:1\";Host=\"cams.example:8443\"")], true),
            ("https://sidecar:9995", &[("x-forwarded-host", "cams.example")], false),
            ("https://evil.example", &[("x-forwarded-host", "cams.example"), ("x-forwarded-port", "443")], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, header::HeaderValue::from_static("sidecar:9995"));
            for (name, value) in reported {
                headers.append(name.parse().expect("a name"), value.parse().expect("a value"));
            }
            assert_eq!(is_ours(origin, "10.1.2.3".parse().ok(), &headers, &http), expected, "{origin} {reported:?}");
            let untrusted = is_ours(origin, "192.0.2.1".parse().ok(), &headers, &http);
            assert_eq!(untrusted, origin == "https://sidecar:9995", "{origin} {reported:?}");
        }
    }
}
