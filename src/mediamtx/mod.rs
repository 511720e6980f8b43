//! MediaMTX's control API (v3), playback server and WHIP: the only module that knows their URLs.
//!
//! [`Client`] makes the requests. **The answer to `/mediamtx-auth` must not wait for one**: MediaMTX waits for that answer in the loop
//! that would have to answer the request (internal/core/path_manager.go). `config_check` checks an administrator's mediamtx.yml.

mod breaker;
mod client;
pub mod config_check;
mod download;
mod inventory;
mod lookup;
mod path_cache;
mod queue;
mod servers;
mod session_index;
mod settings;
mod whip;

pub use self::{
    client::{Client, Fields, Info, Playable, Recorded, Segment},
    download::{Download, Downloads},
    inventory::Connected,
    lookup::{Readable, entry_of, is_on_demand, readable},
    path_cache::PathCache,
    servers::{Listening, Servers},
    session_index::{IndexedSession, SessionIndex},
    settings::MediaMtxSettings,
    whip::{Whip, WhipSession},
};

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

/// The fault of a command, if it has one (internal/externalcmd).
pub fn command_fault(line: &str) -> Option<&'static str> {
    if !line.is_empty() && line.trim().is_empty() {
        return Some(
            "is white space only, which crashes MediaMTX when it runs the command; write '' or remove the key",
        );
    }
    let is_open = |mark: char| line.matches(mark).count() % 2 == 1;
    let fault = "has an unpaired quotation mark; MediaMTX does not start the command";
    (is_open('"') || is_open('\'')).then_some(fault)
}

/// A kind of session that the control API can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionKind(&'static str);

impl SessionKind {
    /// All kinds. The API answers 404 for the kinds of a server that is switched off.
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

    /// The word in URLs of the control API.
    fn word(self) -> &'static str {
        self.0
    }

    /// The protocol, such as `rtsps` or `webrtc`.
    pub fn protocol(self) -> &'static str {
        self.0.strip_suffix("sessions").or(self.0.strip_suffix("conns")).unwrap_or(self.0)
    }

    /// The kind with this protocol.
    pub fn named(protocol: &str) -> Option<SessionKind> {
        SessionKind::ALL.into_iter().find(|kind| kind.protocol() == protocol)
    }

    /// The kinds behind the protocol of an auth request, which has one word for plain and encrypted sessions.
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
