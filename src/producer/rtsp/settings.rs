//! The settings of all RTSP cameras, and the definition of one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::{
    error::{Code, Error, Result},
    rtsp_client,
    secret::{self, Secret},
    units::HumanDuration,
};

/// Settings of all RTSP cameras.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RtspCameraSettings {
    /// How long a camera can send no picture before it counts as lost.
    pub stale_after: HumanDuration,
    /// The program ffmpeg, for video that is not decoded here; empty for none.
    pub ffmpeg: String,
    /// What reads cameras.
    pub reader: Reader,
    /// What decodes H.264 for watchers that stay.
    pub decoder: Decoding,
    /// Most processes of ffmpeg at a time that decode instead of openh264. Each takes some 50 MB.
    pub ffmpeg_decoders: usize,
}

/// What decodes a camera's H.264.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decoding {
    /// ffmpeg, if it is installed, for a camera that is watched for more than a moment, because it takes less CPU time; openh264
    /// otherwise.
    #[default]
    Auto,
    /// openh264, in this process.
    Openh264,
}

/// What reads a camera's RTSP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    /// This program; ffmpeg for a camera whose answers this program does not understand, if ffmpeg is installed.
    #[default]
    Auto,
    /// This program.
    Native,
    /// ffmpeg, also for paths of MediaMTX.
    Ffmpeg,
}

impl Default for RtspCameraSettings {
    fn default() -> Self {
        RtspCameraSettings {
            stale_after: HumanDuration::secs(10),
            ffmpeg: "ffmpeg".into(),
            reader: Reader::Auto,
            decoder: Decoding::Auto,
            ffmpeg_decoders: 8,
        }
    }
}

impl RtspCameraSettings {
    /// Invalid settings: the key and the rule that it breaks.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if !(HumanDuration::secs(1)..=HumanDuration::secs(3600)).contains(&self.stale_after) {
            found.push(("stale_after", format!("must be from 1s to 1h, not {}", self.stale_after)));
        }
        found
    }
}

/// How the video is transported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// By TCP; by UDP if the camera refuses TCP.
    #[default]
    Auto,
    /// In the RTSP connection: without loss, and through every firewall that permits RTSP.
    Tcp,
    /// In UDP datagrams, for cameras without TCP transport.
    Udp,
    /// In the RTSP connection, which is in HTTP, for networks that let nothing else through. The URL has the port of HTTP.
    Http,
}

impl From<Transport> for rtsp_client::Transport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Auto => rtsp_client::Transport::Auto,
            Transport::Tcp => rtsp_client::Transport::Tcp,
            Transport::Udp => rtsp_client::Transport::Udp,
            Transport::Http => rtsp_client::Transport::Http,
        }
    }
}

/// One RTSP camera, or a path of MediaMTX.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RtspDefinition)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub struct Settings {
    /// The camera's URL, such as `rtsp://192.168.1.30/stream1`, or with `rtsps`. A user and password in it are moved to `user` and
    /// `pass`. Parameters such as `pwd` are shown as `***`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "secret::serialize_optional_url")]
    pub url: Option<String>,
    /// A path of MediaMTX, instead of `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The camera's user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The camera's password; shown as `***`.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub pass: Secret,
    /// The SHA-256 of the certificate of an rtsps camera, if it is self-signed; 64 hexadecimal digits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// How the video is transported.
    pub transport: Transport,
    /// Most pictures a second, from 0.02 to 60.
    pub fps: f64,
    /// Quality of the pictures, from 1 to 100. Has no effect on the pictures of an MJPEG camera.
    pub quality: i32,
    /// Decode only keyframes, also for continuous watchers: one picture every few seconds, with very little CPU time.
    pub keyframes_only: bool,
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut settings = Settings::deserialize(from)?;
        if let Some((clean, user, pass)) = settings.url.as_deref().and_then(secret::split_login) {
            settings.url = Some(clean);
            // `user` and `pass` have precedence over the URL, so that a changed password takes effect.
            settings.user = settings.user.or(Some(user));
            if settings.pass.is_empty() {
                settings.pass = Secret::new(pass);
            }
        }
        Ok(settings)
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Settings::serialize(self, to)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            url: None,
            path: None,
            user: None,
            pass: Secret::default(),
            fingerprint: String::new(),
            transport: Transport::Auto,
            fps: 10.0,
            quality: 80,
            keyframes_only: false,
        }
    }
}

impl Settings {
    /// A path of MediaMTX.
    pub fn of_path(path: &str) -> Self {
        Settings { path: Some(path.to_owned()), ..Settings::default() }
    }

    pub(super) fn check(&self) -> Result<()> {
        if !(0.02..=60.0).contains(&self.fps) {
            return Err(refuse("fps", format!("must be from 0.02 to 60, not {}", self.fps)));
        }
        if !(1..=100).contains(&self.quality) {
            return Err(refuse("quality", format!("must be from 1 to 100, not {}", self.quality)));
        }
        if self.path.is_some() && (self.user.is_some() || !self.pass.is_empty()) {
            return Err(refuse("user", "is for cameras; for a path of MediaMTX set mediamtx.user"));
        }
        if self.path.is_some() && matches!(self.transport, Transport::Udp | Transport::Http) {
            return Err(refuse("transport", "must be tcp or auto for a path of MediaMTX"));
        }
        let is_secure = self.url.as_deref().is_some_and(|url| url.starts_with("rtsps:"));
        if is_secure && self.transport == Transport::Udp {
            return Err(refuse("transport", "must be tcp or auto for rtsps, because UDP is not encrypted"));
        }
        if !is_secure && !self.fingerprint.is_empty() {
            return Err(refuse("fingerprint", "needs an rtsps URL"));
        }
        Ok(())
    }
}

/// An error for an invalid field of a definition.
pub(super) fn refuse(field: &'static str, rule: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_moved_out_of_the_url() {
        let read = |text: &str| serde_json::from_str::<Settings>(text).expect("reads");
        let credentials = |settings: &Settings| {
            let url = settings.url.clone().unwrap_or_default();
            (url, settings.user.clone().unwrap_or_default(), settings.pass.expose().to_owned())
        };
        let triple = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        for (text, expected) in [
            (r#"{"url":"rtsp://h/s"}"#, triple("rtsp://h/s", "", "")),
            (r#"{"url":"rtsp://u:p%40ss@h:8554/s?x=1"}"#, triple("rtsp://h:8554/s?x=1", "u", "p@ss")),
            (r#"{"url":"rtsp://u:p@ss:w@h/s"}"#, triple("rtsp://h/s", "u", "p@ss:w")),
            (r#"{"url":"rtsp://u:old@h/s","pass":"new"}"#, triple("rtsp://h/s", "u", "new")),
            (r#"{"url":"rtsp://u@h/s","user":"v"}"#, triple("rtsp://h/s", "v", "")),
        ] {
            let settings = read(text);
            assert_eq!(credentials(&settings), expected, "{text}");
            let shown = format!("{} {settings:?}", serde_json::to_string(&settings).expect("writes"));
            assert!(!shown.contains("p@ss") && !shown.contains("p%40ss"), "{shown}");
        }
        assert!(serde_json::from_str::<Settings>(r#"{"typo":1}"#).is_err());
    }

    #[test]
    fn an_error_names_the_invalid_field() {
        for (text, field) in [
            (r#"{"url":"rtsp://h/","fps":0}"#, "fps"),
            (r#"{"url":"rtsp://h/","fps":61}"#, "fps"),
            (r#"{"url":"rtsp://h/","quality":0}"#, "quality"),
            (r#"{"path":"a","user":"u"}"#, "user"),
            (r#"{"path":"a","transport":"udp"}"#, "transport"),
            (r#"{"path":"a","transport":"http"}"#, "transport"),
            (r#"{"url":"rtsps://h/","transport":"udp"}"#, "transport"),
            (r#"{"url":"rtsp://h/","fingerprint":"00"}"#, "fingerprint"),
        ] {
            let settings: Settings = serde_json::from_str(text).expect("reads");
            assert_eq!(settings.check().err().as_ref().and_then(Error::field), Some(field), "{text}");
        }
        let wrong = RtspCameraSettings { stale_after: HumanDuration::millis(1), ..Default::default() };
        assert_eq!(wrong.problems().first().map(|p| p.0), Some("stale_after"));
        assert!(RtspCameraSettings::default().problems().is_empty());
    }
}
