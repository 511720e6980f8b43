//! The definition of a path of MediaMTX.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    error::{Code, Error, Result},
    mediamtx::{COMMANDS, Fields, command_fault},
    producer::{check_nodes, check_title},
    secret::{HIDDEN, has_hidden, hide_in_json, restored_url, shown_url},
    stream::StreamName,
    trust::Fingerprint,
    uv4l::{Camera, Defined},
};

/// Longest name, and longest source or command, in characters.
const MAX_NAME: usize = 250;
const MAX_TEXT: usize = 4096;

/// The definition of a path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Wanted {
    /// Its kind.
    #[serde(flatten)]
    pub kind: Kind,
    /// Whether MediaMTX gets the path.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether MediaMTX records the path.
    #[serde(default)]
    pub record: bool,
    /// What people read in place of the name, in any script: up to 100 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Keys and values for other programs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// In a cluster: names of the nodes whose MediaMTX gets the path; none: all. At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// In a cluster: whether only one of the nodes has the path at a time: the first of `nodes` that is there, or, without
    /// `nodes`, one that the name decides. When the node is gone, the path moves to another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failover: bool,
}

/// Kinds of paths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// A stream of the sidecar, which MediaMTX pulls by RTSP.
    Stream {
        /// The name of the stream.
        #[schema(value_type = String)]
        stream: StreamName,
    },
    /// A camera or another server that MediaMTX pulls from.
    Camera {
        /// Its URL: `rtsp://`, `rtsps://`, `rtmp://`, `http://…m3u8`, `srt://`, `whep://` or another scheme of MediaMTX.
        url: String,
        /// Whether MediaMTX pulls only while it has readers.
        #[serde(default = "yes")]
        on_demand: bool,
        /// The transport of RTSP: `tcp`, `udp`, `multicast` or `automatic`.
        #[serde(default = "tcp")]
        transport: String,
        /// The SHA-256 of the server's certificate, for an encrypted URL with a self-signed certificate; 64 hexadecimal digits.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        fingerprint: String,
    },
    /// A UV4L camera, which the sidecar introduces to MediaMTX. Disabled, it is a camera that browsers call (`/uv4l/NAME`), and no
    /// path.
    Uv4l {
        /// The camera. One of the same name in sidecar.yml counts instead.
        #[serde(flatten)]
        camera: Camera,
        /// Whether the camera is called only while the path has readers.
        #[serde(default = "yes")]
        on_demand: bool,
    },
    /// Any settings, by MediaMTX's names.
    Raw {
        /// The settings.
        #[schema(value_type = Object)]
        fields: Fields,
    },
}

fn yes() -> bool {
    true
}

fn tcp() -> String {
    "tcp".into()
}

fn wrong(field: &'static str, rule: impl std::fmt::Display) -> Error {
    Error::new(Code::InvalidPath, format!("{field}: {rule}")).in_field(field)
}

/// Checks a path name by MediaMTX's rules (internal/conf/path.go). One rule is added: a name must not begin with `-`, because names become
/// arguments of commands.
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(wrong("name", format!("must have 1 to {MAX_NAME} characters")));
    }
    if let Some(expression) = name.strip_prefix('~') {
        return match regex::Regex::new(expression) {
            Ok(_) => Ok(()),
            Err(_) => Err(wrong("name", "must have a valid regular expression after ~")),
        };
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-/.".contains(c);
    let segments = || name.split('/');
    if !name.chars().all(fits) || segments().any(|s| matches!(s, "" | "." | "..")) || name.starts_with('-') {
        return Err(wrong(
            "name",
            "must have only letters, digits and _ - . /, no empty segment, no segment . or .., and no - at the start",
        ));
    }
    if matches!(name, "all" | "all_others") {
        return Err(wrong("name", "must not be all_others; define the settings of all other paths in mediamtx.yml"));
    }
    Ok(())
}

impl Wanted {
    /// Checks the definition. The error names the field.
    pub fn check(&self, name: &str) -> Result<()> {
        check_name(name)?;
        check_nodes(&self.nodes).map_err(|rule| wrong("nodes", rule))?;
        let is_regexp = name.starts_with('~');
        match &self.kind {
            Kind::Stream { .. } if is_regexp => {
                return Err(wrong("stream", "is one stream; a path with a regular expression needs the kind raw"));
            }
            Kind::Stream { .. } => {}
            Kind::Camera { url, on_demand, transport, fingerprint } => {
                check_source(url)?;
                if !fingerprint.is_empty() {
                    Fingerprint::parse(fingerprint)
                        .map_err(|e| Error::new(Code::InvalidPath, e.to_string()).in_field("fingerprint"))?;
                }
                if !matches!(transport.as_str(), "tcp" | "udp" | "multicast" | "automatic") {
                    return Err(wrong("transport", "must be tcp, udp, multicast or automatic"));
                }
                if is_regexp && !on_demand {
                    return Err(wrong("on_demand", "must be true for a path with a regular expression"));
                }
            }
            Kind::Uv4l { camera, on_demand } => {
                if is_regexp || StreamName::parse(name).is_err() {
                    return Err(wrong("name", "of a UV4L camera must be a plain name, which /uv4l/NAME has"));
                }
                camera.check().map_err(|e| {
                    let error = Error::new(Code::InvalidPath, e.to_string());
                    e.field().map(str::to_owned).into_iter().fold(error, Error::in_field)
                })?;
                if self.record && *on_demand {
                    return Err(wrong(
                        "record",
                        "needs on_demand: false, because nothing is recorded without the camera",
                    ));
                }
            }
            Kind::Raw { fields } => {
                if fields.contains_key("name") {
                    return Err(wrong("fields", "must not have name, which is a part of the URL"));
                }
                for (key, value) in fields {
                    check_field(key, value)?;
                }
            }
        }
        check_title(&self.title).map_err(|rule| wrong("title", rule))?;
        if self.note.chars().count() > 1000 {
            return Err(wrong("note", "must not have more than 1000 characters"));
        }
        if self.labels.len() > 50 || self.labels.iter().any(|(k, v)| k.len() > 100 || v.len() > 400) {
            return Err(wrong(
                "labels",
                "must not be more than 50, with keys of up to 100 and values of up to 400 characters",
            ));
        }
        Ok(())
    }

    /// The settings at MediaMTX. `advertise_rtsp` is the base URL of the sidecar's streams.
    pub fn fields(&self, advertise_rtsp: &str) -> Fields {
        let value = match &self.kind {
            Kind::Stream { stream } => {
                json!({"source": format!("{advertise_rtsp}/{stream}"), "rtspTransport": "tcp", "sourceOnDemand": true})
            }
            Kind::Camera { url, on_demand, transport, fingerprint } => {
                let mut fields = json!({"source": url, "sourceOnDemand": on_demand});
                if !fingerprint.is_empty() {
                    // MediaMTX compares with digits without colons (internal/protocols/tls/make_config.go).
                    let digits: String = fingerprint.chars().filter(char::is_ascii_hexdigit).collect();
                    fields["sourceFingerprint"] = json!(digits.to_ascii_lowercase());
                }
                if url.starts_with("rtsp") {
                    fields["rtspTransport"] = json!(transport);
                }
                fields
            }
            // The first reader waits at the offline picture, and is not refused, while the camera is called.
            Kind::Uv4l { on_demand: true, .. } => {
                json!({"source": "publisher", "alwaysAvailable": true, "alwaysAvailableTracks": [{"codec": "H264"}]})
            }
            Kind::Uv4l { .. } => json!({"source": "publisher"}),
            Kind::Raw { fields } => Value::Object(fields.clone()),
        };
        let Value::Object(mut fields) = value else { return Fields::new() };
        if self.record {
            fields.insert("record".into(), json!(true));
        }
        fields
    }

    /// A copy for clients, with passwords and other secrets as `***`.
    pub fn hidden(&self) -> Self {
        let mut shown = self.clone();
        match &mut shown.kind {
            // A UV4L camera hides its password and the URL's itself when it is serialized.
            Kind::Stream { .. } | Kind::Uv4l { .. } => {}
            Kind::Camera { url, .. } => *url = shown_url(url),
            Kind::Raw { fields } => {
                let mut all = Value::Object(std::mem::take(fields));
                hide_in_json(&mut all);
                if let Value::Object(hidden) = all {
                    *fields = hidden;
                }
            }
        }
        shown
    }

    /// Restores the secrets of `before` in texts that are otherwise unchanged, and in parameters of the same URL.
    pub fn unhide(&mut self, before: &Wanted) {
        let shown = before.hidden();
        match (&mut self.kind, &before.kind, &shown.kind) {
            (Kind::Camera { url, .. }, Kind::Camera { url: old, .. }, _) => {
                if let Some(restored) = restored_url(url, old) {
                    *url = restored;
                }
            }
            (Kind::Uv4l { camera, .. }, Kind::Uv4l { camera: old, .. }, _) => camera.unhide(old),
            (Kind::Raw { fields }, Kind::Raw { fields: old }, Kind::Raw { fields: hidden }) => {
                for (key, value) in fields {
                    if let (Some(old), true) = (old.get(key), hidden.get(key) == Some(value)) {
                        value.clone_from(old);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The UV4L cameras among the definitions.
pub(super) fn cameras(all: &BTreeMap<String, Wanted>) -> BTreeMap<StreamName, Defined> {
    let cameras = all.iter().filter_map(|(name, wanted)| match &wanted.kind {
        Kind::Uv4l { camera, on_demand } => {
            let defined = Defined { camera: camera.clone(), bridged: wanted.enabled, on_demand: *on_demand };
            Some((StreamName::parse(name).ok()?, defined))
        }
        _ => None,
    });
    cameras.collect()
}

fn check_source(url: &str) -> Result<()> {
    const SCHEMES: [&str; 15] = [
        "rtsp",
        "rtsps",
        "rtsp+http",
        "rtsp+ws",
        "rtmp",
        "rtmps",
        "http",
        "https",
        "srt",
        "whep",
        "wheps",
        "moqt",
        "udp+mpegts",
        "udp+rtp",
        "rtsps+http",
    ];
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if !scheme.is_some_and(|scheme| SCHEMES.contains(&scheme)) {
        return Err(wrong("url", "must be a URL from which MediaMTX can pull, such as rtsp://192.168.1.20/stream"));
    }
    if url.len() > MAX_TEXT || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong("url", format!("must not have more than {MAX_TEXT} characters, and no space")));
    }
    if has_hidden(url) {
        return Err(wrong(
            "url",
            format!("{HIDDEN} stands for a hidden password or secret; write the password or secret"),
        ));
    }
    if scheme.is_some_and(|scheme| scheme.starts_with("http")) && url.contains("mjp") {
        return Err(wrong("url", "MediaMTX reads HLS by http, but not MJPEG; define a stream of kind http instead"));
    }
    Ok(())
}

fn check_field(key: &str, value: &Value) -> Result<()> {
    let rule = |rule: &str| Err(Error::new(Code::InvalidPath, format!("fields.{key}: {rule}")).in_field("fields"));
    let Some(text) = value.as_str() else {
        let is_hidden = match value {
            Value::Array(items) => items.iter().any(|item| check_field(key, item).is_err()),
            Value::Object(members) => members.values().any(|item| check_field(key, item).is_err()),
            _ => false,
        };
        return if is_hidden { rule("has a value that stands for a hidden one; write the value") } else { Ok(()) };
    };
    if text.len() > MAX_TEXT {
        return rule(&format!("must not have more than {MAX_TEXT} characters"));
    }
    if has_hidden(text) || text == "<redacted>" {
        return rule("stands for a hidden value; write the value");
    }
    match COMMANDS.contains(&key).then(|| command_fault(text)).flatten() {
        Some(fault) => rule(fault),
        None => Ok(()),
    }
}
