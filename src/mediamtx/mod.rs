//! MediaMTX's control API (v3): the only place that knows the host's URLs.
//!
//! [`Client`] is a handle; requests are made by a thread of its own, because awc's client stays on the thread that made it.
//! **Never from within the answer to `/mediamtx-auth`**: MediaMTX waits for that answer in the loop that would have
//! to answer us (internal/core/path_manager.go).

mod admitted;
mod client;

use serde::{Deserialize, Serialize};

pub use self::{admitted::Admitted, client::Client};
use crate::secret::Secret;

/// The MediaMTX beside us.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaMtxSettings {
    /// Its control API.
    pub api: String,
    /// A user who may use it; empty for a token of our own, which our answer to MediaMTX's question accepts.
    pub user: String,
    /// The password.
    pub pass: Secret,
}

impl Default for MediaMtxSettings {
    fn default() -> Self {
        MediaMtxSettings { api: "http://127.0.0.1:9997".into(), user: String::new(), pass: Secret::default() }
    }
}

impl MediaMtxSettings {
    /// Says what is wrong with the settings, by key.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let url = self.api.parse::<actix_web::http::Uri>().ok();
        let fits = url.is_some_and(|url| {
            url.scheme_str() == Some("http") && url.host().is_some() && matches!(url.path(), "" | "/")
        });
        if fits && !self.api.contains('@') {
            return vec![];
        }
        vec![("api", format!("must be like http://127.0.0.1:9997, with user and password apart, not {:?}", self.api))]
    }
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
