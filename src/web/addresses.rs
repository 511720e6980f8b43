//! The base URLs of MediaMTX's servers as browsers reach them: on their own ports, or behind a proxy.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{State, origin};
use crate::mediamtx::Listening;

/// The base URLs at which browsers reach MediaMTX's servers.
#[derive(Serialize, ToSchema)]
pub struct Addresses {
    /// WHEP and WHIP: `webrtc/PATH/whep`.
    #[schema(example = "http://camera-pi:8889")]
    pub webrtc: String,
    /// HLS: `hls/PATH/index.m3u8`.
    #[schema(example = "http://camera-pi:8888")]
    pub hls: String,
    /// The playback server.
    #[schema(example = "http://camera-pi:9996")]
    pub playback: String,
    /// The path below which MediaMTX has our streams: `pictures/NAME`. Empty: no path in front.
    #[schema(example = "pictures")]
    pub path_prefix: String,
    /// The RTSP server: `rtsp/PATH`. Left out if it is switched off.
    #[schema(example = "rtsp://camera-pi:8554")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtsp: Option<String>,
    /// The RTMP server. Left out if it is switched off, or is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtmp: Option<String>,
    /// The SRT server. Left out if it is switched off, or is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srt: Option<String>,
}

/// The base URLs of MediaMTX's servers. They are no secret, and the same for every caller.
#[utoipa::path(get, path = "/api/v1/addresses", tag = "mediamtx", responses((status = 200, body = Addresses)))]
pub(super) async fn get(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(of(&request, &state))
}

/// The configured base URLs, or else the ports of MediaMTX's configuration at the host name of the request; its default ports
/// until it has answered for the first time.
pub(super) fn of(request: &HttpRequest, state: &State) -> Addresses {
    let settings = &state.settings.mediamtx;
    let ours = origin::of(request, state);
    let host = host_of(&ours);
    let known = state.path_cache.servers();
    let servers = known.as_deref().cloned().unwrap_or_default();
    let web = |url: &str, server: Option<Listening>, usual: u16| {
        let Listening { port, tls } = server.unwrap_or(Listening { port: usual, tls: false });
        if url.is_empty() { format!("http{}://{host}:{port}", if tls { "s" } else { "" }) } else { url.to_owned() }
    };
    let media = |name: &str, server: Option<Listening>| {
        server.map(|Listening { port, tls }| format!("{name}{}://{host}:{port}", if tls { "s" } else { "" }))
    };
    let rtsp = match known {
        Some(_) => servers.rtsp,
        None => settings.rtsp_port().map(|port| Listening { port, tls: false }),
    };
    Addresses {
        webrtc: web(&settings.webrtc_url, servers.webrtc, 8889),
        hls: web(&settings.hls_url, servers.hls, 8888),
        playback: match settings.playback_url.as_str() {
            "" => settings.playback_at(host),
            url => url.to_owned(),
        },
        path_prefix: settings.path_prefix.clone(),
        rtsp: media("rtsp", rtsp),
        rtmp: media("rtmp", servers.rtmp),
        srt: media("srt", servers.srt),
    }
}

/// The host of a URL, without its port. It comes from the request and goes into a header, so anything but a host name is left
/// out.
fn host_of(url: &str) -> &str {
    let host = url.split("://").nth(1).unwrap_or_default().split('/').next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if host.is_empty() || !host.chars().all(fits) { "localhost" } else { host }
}

/// The Content-Security-Policy of pages in `http.static_dir` that are not ours: the original program's load Vue, Bootstrap and
/// jQuery from networks, compile templates in the browser, and ask hosts that are written in their scripts. Who can write into
/// the folder can do that anyway.
pub(super) const FOREIGN_PAGES: &str = "default-src 'self' http: https: ws: wss: data: blob: 'unsafe-inline' 'unsafe-eval'; \
     object-src 'none'; base-uri 'self'; frame-ancestors 'none'";

impl Addresses {
    /// The Content-Security-Policy of pages: resources of this server and of MediaMTX only, and no inline script or style.
    pub(super) fn content_security_policy(&self) -> String {
        let origin = |url: &str| url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let mut all = [&self.webrtc, &self.hls, &self.playback].map(|url| origin(url)).to_vec();
        all.sort();
        all.dedup();
        let mediamtx = all.join(" ");
        format!(
            "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: {mediamtx}; \
             connect-src 'self' {mediamtx}; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_nothing_else() {
        for (url, host) in [
            ("http://camera-pi:9995", "camera-pi"),
            ("https://home.example/cameras", "home.example"),
            ("http://[::1]:9995", "[::1]"),
            ("http://[fe80::1]", "[fe80::1]"),
            ("http://a b; script-src *:80", "localhost"),
            ("http://", "localhost"),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }
}
