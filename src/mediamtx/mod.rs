//! MediaMTX's control API (v3): the only place that knows the host's URLs.
//!
//! [`Client`] is a handle; requests are made by a thread of its own, because awc's client stays on the thread that made it.
//! **Never from within the answer to `/mediamtx-auth`**: MediaMTX waits for that answer in the loop that would have
//! to answer us (internal/core/path_manager.go).

mod breaker;
mod client;
mod inventory;
mod lookup;
mod path_cache;
mod session_index;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub use self::{
    client::{Client, Fields, Info, Playable, Recorded, Segment},
    inventory::Connected,
    lookup::{Readable, readable},
    path_cache::PathCache,
    session_index::SessionIndex,
};
use crate::secret::Secret;

/// The MediaMTX beside us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaMtxSettings {
    /// Its control API.
    pub api: String,
    /// Its playback server.
    pub playback: String,
    /// What the addresses begin with at which browsers reach the playback server; empty for its port at the name by which
    /// they reach us.
    pub playback_url: String,
    /// The same for WebRTC (WHEP and WHIP).
    pub webrtc_url: String,
    /// The same for HLS.
    pub hls_url: String,
    /// The path below which it has our streams, as the shipped mediamtx.yml pulls them; empty for none in front.
    pub path_prefix: String,
    /// A user who may use it; empty for a token of our own, which our answer to MediaMTX's question accepts.
    pub user: String,
    /// The password.
    pub pass: Secret,
    /// What the addresses begin with at which we read its paths.
    pub rtsp: String,
    /// What the addresses begin with at which it pulls our streams; empty for our RTSP port on this machine.
    pub advertise_rtsp: String,
    /// What the addresses begin with at which programs beside it get files from us; empty for our HTTP port on this
    /// machine.
    pub advertise_http: String,
}

impl Default for MediaMtxSettings {
    fn default() -> Self {
        MediaMtxSettings {
            api: "http://127.0.0.1:9997".into(),
            playback: "http://127.0.0.1:9996".into(),
            playback_url: String::new(),
            webrtc_url: String::new(),
            hls_url: String::new(),
            path_prefix: "pictures".into(),
            user: String::new(),
            pass: Secret::default(),
            rtsp: "rtsp://127.0.0.1:8554".into(),
            advertise_rtsp: String::new(),
            advertise_http: String::new(),
        }
    }
}

impl MediaMtxSettings {
    /// What the addresses begin with at which MediaMTX pulls our streams, given where our RTSP server listens.
    pub fn advertise_rtsp(&self, rtsp: SocketAddr) -> String {
        if !self.advertise_rtsp.is_empty() {
            return self.advertise_rtsp.trim_end_matches('/').to_owned();
        }
        let ip = if rtsp.ip().is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { rtsp.ip() };
        format!("rtsp://{}", SocketAddr::new(ip, rtsp.port()))
    }

    /// What the addresses begin with at which programs beside MediaMTX get files, given where our HTTP server listens.
    pub fn advertise_http(&self, http: SocketAddr) -> String {
        if !self.advertise_http.is_empty() {
            return self.advertise_http.trim_end_matches('/').to_owned();
        }
        let ip = if http.ip().is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { http.ip() };
        format!("http://{}", SocketAddr::new(ip, http.port()))
    }

    /// Says what is wrong with the settings, by key.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        for (key, text, usual) in
            [("api", &self.api, "http://127.0.0.1:9997"), ("playback", &self.playback, "http://127.0.0.1:9996")]
        {
            let url = text.parse::<actix_web::http::Uri>().ok();
            let fits = url.is_some_and(|url| {
                url.scheme_str() == Some("http") && url.host().is_some() && matches!(url.path(), "" | "/")
            });
            if !fits || text.contains('@') {
                found.push((key, format!("must be like {usual}, with user and password apart, not {text:?}")));
            }
        }
        let rtsp = self.rtsp.strip_prefix("rtsp://").unwrap_or_default();
        if rtsp.is_empty() || rtsp.contains(['@', '/', '?', '#', ' ']) {
            found.push(("rtsp", "must be like rtsp://127.0.0.1:8554, with user and password apart".into()));
        }
        if !self.advertise_rtsp.is_empty() && !self.advertise_rtsp.starts_with("rtsp://") {
            found.push((
                "advertise_rtsp",
                format!("must be like rtsp://192.168.1.5:9554, not {:?}", self.advertise_rtsp),
            ));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || ":/.-_[]".contains(c);
        if !self.advertise_http.is_empty()
            && (!self.advertise_http.starts_with("http://") || !self.advertise_http.chars().all(fits))
        {
            found.push((
                "advertise_http",
                format!("must be like http://192.168.1.5:9995, not {:?}", self.advertise_http),
            ));
        }
        for (key, url, usual) in [
            ("playback_url", &self.playback_url, "https://home.example/playback"),
            ("webrtc_url", &self.webrtc_url, "https://home.example/webrtc"),
            ("hls_url", &self.hls_url, "https://home.example/hls"),
        ] {
            // They stand in a header (Content-Security-Policy), where a space or semicolon would say something else.
            let fits = |c: char| c.is_ascii_alphanumeric() || ":/.-_~[]".contains(c);
            let is_web = url.starts_with("http://") || url.starts_with("https://");
            if !url.is_empty() && (!is_web || url.ends_with('/') || !url.chars().all(fits)) {
                found.push((key, format!("must be like {usual}, without a slash at its end, not {url:?}")));
            }
        }
        let path = &self.path_prefix;
        let fits = |c: char| c.is_ascii_alphanumeric() || "/_-.~:".contains(c);
        if path.starts_with('/') || path.ends_with('/') || !path.chars().all(fits) {
            found.push((
                "path_prefix",
                format!(
                    "must be the beginning of a path's name, such as pictures, without slashes around it, not {path:?}"
                ),
            ));
        }
        found
    }
}

/// Settings of a path that are commands (internal/conf/path.go).
pub const COMMANDS: &[&str] = &[
    "runOnInit",
    "runOnDemand",
    "runOnUnDemand",
    "runOnAvailable",
    "runOnUnavailable",
    "runOnOnline",
    "runOnOffline",
    "runOnReady",
    "runOnNotReady",
    "runOnRead",
    "runOnUnread",
    "runOnRecordSegmentCreate",
    "runOnRecordSegmentComplete",
];

/// What is wrong with a command, if something is (internal/externalcmd).
pub fn command_fault(line: &str) -> Option<&'static str> {
    if !line.is_empty() && line.trim().is_empty() {
        return Some("is nothing but white space, which crashes MediaMTX when it runs it; write '' or take it out");
    }
    let is_open = |mark: char| line.matches(mark).count() % 2 == 1;
    let fault = "has a quotation mark without its partner; MediaMTX will not start the command";
    (is_open('"') || is_open('\'')).then_some(fault)
}

/// A kind of session that MediaMTX can be asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionKind(&'static str);

impl SessionKind {
    /// All there are; a server that is switched off answers 404 for its own.
    pub const ALL: [SessionKind; 8] = [
        SessionKind("rtspsessions"),
        SessionKind("rtspssessions"),
        SessionKind("webrtcsessions"),
        SessionKind("hlssessions"),
        SessionKind("moqsessions"),
        SessionKind("rtmpconns"),
        SessionKind("rtmpsconns"),
        SessionKind("srtconns"),
    ];

    /// The word in addresses of the control API.
    fn word(self) -> &'static str {
        self.0
    }

    /// The protocol, such as `rtsps` or `webrtc`.
    pub fn protocol(self) -> &'static str {
        self.0.strip_suffix("sessions").or(self.0.strip_suffix("conns")).unwrap_or(self.0)
    }

    /// The kind with that protocol.
    pub fn named(protocol: &str) -> Option<SessionKind> {
        SessionKind::ALL.into_iter().find(|kind| kind.protocol() == protocol)
    }

    /// Those that a protocol of an auth call may mean: encrypted and plain ones go by the same word.
    pub fn of_protocol(protocol: &str) -> impl Iterator<Item = SessionKind> {
        let kinds: &[&str] = match protocol {
            "rtsp" => &["rtspsessions", "rtspssessions"],
            "webrtc" => &["webrtcsessions"],
            "hls" => &["hlssessions"],
            "moq" => &["moqsessions"],
            "rtmp" => &["rtmpconns", "rtmpsconns"],
            "srt" => &["srtconns"],
            _ => &[],
        };
        kinds.iter().map(|kind| SessionKind(kind))
    }
}

#[cfg(test)]
mod tests;
