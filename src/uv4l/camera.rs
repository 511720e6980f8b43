//! [`Camera`]: the definition of a UV4L camera.

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::message::CallOptions;
use crate::{
    error::{Error, Result},
    fetch::Target,
    secret::{self, HIDDEN, Secret, has_hidden},
};

/// Most calls of one camera at a time that can be set.
const MAX_SESSIONS: u16 = 1000;

/// Longest URL, in bytes.
const MAX_URL: usize = 2000;

/// The format of calls for MediaMTX: 1280x720 at 30 pictures a second.
const USUAL_VFORMAT: u16 = 60;

/// A UV4L camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Uv4lCamera)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// URL of the signalling, such as `ws://192.168.1.40:8080/stream/webrtc`, or `wss://`. Empty: an agent at the camera connects
    /// (`mtx-sidecar uv4l-agent`).
    #[serde(default, serialize_with = "secret::serialize_url")]
    pub url: String,
    /// The user, if UV4L asks for one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The password; shown as `***`.
    #[serde(default, skip_serializing_if = "Secret::is_empty")]
    #[schema(value_type = String)]
    pub pass: Secret,
    /// The SHA-256 of the camera's certificate, if it is self-signed; 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// UV4L's number of a size and rate, such as 60 for 1280x720 at 30 pictures a second. Without it: what the viewer asks for, and
    /// 60 for MediaMTX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vformat: Option<u16>,
    /// Whether the hardware encodes, which gives H.264. Without it: what the viewer asks for, and yes for MediaMTX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_hw_vcodec: Option<bool>,
    /// Whether candidates are sent one by one. Without it: what the viewer asks for, and yes for MediaMTX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trickle_ice: Option<bool>,
    /// Whether sound is passed on. Without it: to viewers, and not to MediaMTX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<bool>,
    /// Whether MediaMTX gets H.264 only. Other codecs cannot be watched by HLS and as pictures.
    #[serde(default = "yes")]
    pub h264_only: bool,
    /// Calls at a time. UV4L serves one unless it is told otherwise.
    #[serde(default = "one")]
    pub max_sessions: u16,
    /// Whether a viewer with the permission to publish ends another one's call when all are taken.
    #[serde(default)]
    pub takeover: bool,
}

fn yes() -> bool {
    true
}

fn one() -> u16 {
    1
}

impl Default for Camera {
    fn default() -> Self {
        Camera {
            url: String::new(),
            user: String::new(),
            pass: Secret::default(),
            fingerprint: String::new(),
            vformat: None,
            force_hw_vcodec: None,
            trickle_ice: None,
            audio: None,
            h264_only: true,
            max_sessions: 1,
            takeover: false,
        }
    }
}

impl Camera {
    /// Checks the definition. The error names the field.
    pub fn check(&self) -> Result<()> {
        if !(1..=MAX_SESSIONS).contains(&self.max_sessions) {
            return Err(Error::parameter("max_sessions", format!("must be from 1 to {MAX_SESSIONS}")));
        }
        if has_hidden(&self.url) || self.pass.expose() == HIDDEN {
            let field = if has_hidden(&self.url) { "url" } else { "pass" };
            return Err(Error::parameter(field, format!("{HIDDEN} stands for a hidden password; write the password")));
        }
        if self.url.is_empty() {
            return match self.user.is_empty() && self.pass.is_empty() && self.fingerprint.is_empty() {
                true => Ok(()),
                false => Err(Error::parameter("url", "is needed for user, pass and fingerprint")),
            };
        }
        self.target().map(drop)
    }

    /// Where the camera is, and the password for it.
    pub(super) fn target(&self) -> Result<Target> {
        let rule = || Error::parameter("url", "must be like ws://192.168.1.40:8080/stream/webrtc, or wss://");
        if self.url.len() > MAX_URL {
            return Err(rule());
        }
        let url = Url::parse(&self.url).map_err(|_| rule())?;
        // A WebSocket begins as a request of HTTP (RFC 6455, section 3).
        let (scheme, rest) = self.url.split_once("://").ok_or_else(rule)?;
        let http = match (scheme.to_ascii_lowercase().as_str(), url.has_host()) {
            ("ws", true) => "http",
            ("wss", true) => "https",
            _ => return Err(rule()),
        };
        Target::new(&format!("{http}://{rest}"), &self.user, &self.pass, &self.fingerprint)
    }

    /// Options that count instead of those of a viewer.
    pub(super) fn fixed(&self) -> CallOptions {
        CallOptions { force_hw_vcodec: self.force_hw_vcodec, vformat: self.vformat, trickle_ice: self.trickle_ice }
    }

    /// The options of a call for MediaMTX.
    pub(super) fn for_mediamtx(&self) -> CallOptions {
        CallOptions {
            force_hw_vcodec: self.force_hw_vcodec.or(Some(true)),
            vformat: self.vformat.or(Some(USUAL_VFORMAT)),
            trickle_ice: self.trickle_ice.or(Some(true)),
        }
    }

    /// Restores hidden secrets of `before`, for a definition that was shown and sent back.
    pub fn unhide(&mut self, before: &Camera) {
        if let Some(restored) = secret::restored_url(&self.url, &before.url) {
            self.url = restored;
        }
        let host = |url: &str| {
            Url::parse(url).ok().and_then(|url| Some((url.scheme().to_owned(), url.host_str()?.to_owned())))
        };
        // The password of one host is not sent to another one.
        if self.pass.expose() == HIDDEN && self.user == before.user && host(&self.url) == host(&before.url) {
            self.pass = before.pass.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(url: &str) -> Camera {
        Camera { url: url.into(), ..Camera::default() }
    }

    #[test]
    fn urls_of_cameras_are_checked() {
        for url in
            ["", "ws://pi:8080/stream/webrtc", "wss://pi/x", "WS://[fe80::1]:9080/", "ws://u:p@192.168.1.4:8090/webrtc"]
        {
            camera(url).check().unwrap_or_else(|e| panic!("{url}: {e}"));
        }
        for url in
            ["pi:8080", "http://pi/", "ws://", "ws:pi", "ws://u:***@pi/", &format!("ws://pi/{}", "x".repeat(2000))]
        {
            assert_eq!(camera(url).check().expect_err(url).field(), Some("url"), "{url}");
        }
        let target = camera("wss://u:p@pi/x?y=1").target().expect("a target");
        assert_eq!(target.url.as_str(), "https://pi/x?y=1");
    }

    #[test]
    fn errors_name_the_field() {
        let of = |change: fn(&mut Camera)| {
            let mut camera = camera("ws://pi/");
            change(&mut camera);
            camera.check().expect_err("wrong").field().map(str::to_owned)
        };
        assert_eq!(of(|camera| camera.max_sessions = 0).as_deref(), Some("max_sessions"));
        assert_eq!(of(|camera| camera.user = "a:b".into()).as_deref(), Some("user"));
        assert_eq!(of(|camera| camera.fingerprint = "x".into()).as_deref(), Some("fingerprint"));
        assert_eq!(of(|camera| camera.pass = Secret::new("***")).as_deref(), Some("pass"));
        assert_eq!(of(|camera| (camera.url, camera.user) = (String::new(), "x".into())).as_deref(), Some("url"));
    }

    #[test]
    fn a_hidden_password_is_restored_for_the_same_host_only() {
        let before = Camera { user: "u".into(), pass: Secret::new("p"), ..camera("ws://pi:8080/") };
        let sent = |url: &str| Camera { user: "u".into(), pass: Secret::new(HIDDEN), ..camera(url) };
        for (url, restored) in
            [("ws://pi:8080/", "p"), ("ws://pi:9090/x", "p"), ("ws://other/", "***"), ("wss://pi/", "***")]
        {
            let mut camera = sent(url);
            camera.unhide(&before);
            assert_eq!(camera.pass.expose(), restored, "{url}");
        }
    }
}
