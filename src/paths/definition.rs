//! What an administrator wants a path of MediaMTX to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    error::{Code, Error, Result},
    mediamtx::{COMMANDS, Fields, command_fault},
    stream::StreamName,
};

/// Longest name, and longest source or command, in characters.
const MAX_NAME: usize = 250;
const MAX_TEXT: usize = 4096;

/// What stands for something secret that is not shown.
const HIDDEN: &str = "***";

/// A path as it is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Wanted {
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Whether MediaMTX shall have it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether MediaMTX records it.
    #[serde(default)]
    pub record: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Kinds of paths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// A stream of ours, pulled by RTSP.
    Stream {
        /// Its name here.
        #[schema(value_type = String)]
        stream: StreamName,
    },
    /// A camera or another server that MediaMTX pulls from.
    Camera {
        /// `rtsp://`, `rtsps://`, `rtmp://`, `http://…m3u8`, `srt://`, `whep://` and what else MediaMTX knows.
        url: String,
        /// Whether it is pulled only while somebody watches.
        #[serde(default = "yes")]
        on_demand: bool,
        /// For RTSP: `tcp`, `udp` or `automatic`.
        #[serde(default = "tcp")]
        transport: String,
    },
    /// Any settings of MediaMTX, by its own names.
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

/// Whether MediaMTX takes it for a path's name (internal/conf/path.go). Stricter in one thing: a name may not begin with
/// `-`, because names become arguments of commands.
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(wrong("name", format!("must have 1 to {MAX_NAME} characters")));
    }
    if let Some(expression) = name.strip_prefix('~') {
        return match regex::Regex::new(expression) {
            Ok(_) => Ok(()),
            Err(_) => Err(wrong("name", "~ must be followed by a regular expression")),
        };
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-/.".contains(c);
    let segments = || name.split('/');
    if !name.chars().all(fits) || segments().any(|s| matches!(s, "" | "." | "..")) || name.starts_with('-') {
        return Err(wrong("name", "may hold letters, digits and _ - . /, no empty segment, no . or .., no - in front"));
    }
    if matches!(name, "all" | "all_others") {
        return Err(wrong("name", "all_others is everything else, and belongs into mediamtx.yml"));
    }
    Ok(())
}

impl Wanted {
    /// Says what is wrong with it; the error names the field.
    pub fn check(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let is_regexp = name.starts_with('~');
        match &self.kind {
            Kind::Stream { .. } if is_regexp => {
                return Err(wrong("stream", "is one; a path with a regular expression is of kind raw"));
            }
            Kind::Stream { .. } => {}
            Kind::Camera { url, on_demand, transport } => {
                check_source(url)?;
                if !matches!(transport.as_str(), "tcp" | "udp" | "multicast" | "automatic") {
                    return Err(wrong("transport", "must be tcp, udp, multicast or automatic"));
                }
                if is_regexp && !on_demand {
                    return Err(wrong("on_demand", "must be true for a path with a regular expression"));
                }
            }
            Kind::Raw { fields } => {
                if fields.contains_key("name") {
                    return Err(wrong("fields", "name stands in the address"));
                }
                for (key, value) in fields {
                    check_field(key, value)?;
                }
            }
        }
        if self.note.chars().count() > 1000 {
            return Err(wrong("note", "may have 1000 characters"));
        }
        if self.labels.len() > 50 || self.labels.iter().any(|(k, v)| k.len() > 100 || v.len() > 400) {
            return Err(wrong("labels", "may be 50, with keys of 100 and values of 400 characters"));
        }
        Ok(())
    }

    /// The settings at MediaMTX. `advertise_rtsp` is the beginning of our RTSP addresses.
    pub fn fields(&self, advertise_rtsp: &str) -> Fields {
        let value = match &self.kind {
            Kind::Stream { stream } => {
                json!({"source": format!("{advertise_rtsp}/{stream}"), "rtspTransport": "tcp", "sourceOnDemand": true})
            }
            Kind::Camera { url, on_demand, transport } => {
                let mut fields = json!({"source": url, "sourceOnDemand": on_demand});
                if url.starts_with("rtsp") {
                    fields["rtspTransport"] = json!(transport);
                }
                fields
            }
            Kind::Raw { fields } => Value::Object(fields.clone()),
        };
        let Value::Object(mut fields) = value else { return Fields::new() };
        if self.record {
            fields.insert("record".into(), json!(true));
        }
        fields
    }

    /// The same for showing: passwords are hidden.
    pub fn hidden(&self) -> Self {
        let mut shown = self.clone();
        match &mut shown.kind {
            Kind::Stream { .. } => {}
            Kind::Camera { url, .. } => *url = hide(url),
            Kind::Raw { fields } => {
                for (key, value) in fields {
                    if let Value::String(text) = value {
                        let is_password = key.to_ascii_lowercase().ends_with("pass") && !text.is_empty();
                        *text = if is_password { HIDDEN.into() } else { hide(text) };
                    }
                }
            }
        }
        shown
    }

    /// Puts what was hidden back, where the rest of the text is the same as before.
    pub fn unhide(&mut self, before: &Wanted) {
        let shown = before.hidden();
        match (&mut self.kind, &before.kind, &shown.kind) {
            (Kind::Camera { url, .. }, Kind::Camera { url: old, .. }, Kind::Camera { url: hidden, .. })
                if url == hidden =>
            {
                url.clone_from(old);
            }
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

/// The password in a URL is replaced, wherever the URL stands in the text.
fn hide(text: &str) -> String {
    let userinfo = regex::Regex::new(r"(://[^/@:\s]*):([^/@\s]+)@").expect("a literal expression");
    userinfo.replace_all(text, format!("$1:{HIDDEN}@")).into_owned()
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
        return Err(wrong("url", "must be an address that MediaMTX can pull from, such as rtsp://192.168.1.20/stream"));
    }
    if url.len() > MAX_TEXT || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(wrong("url", format!("may have {MAX_TEXT} characters, and no space")));
    }
    if url.contains(&format!(":{HIDDEN}@")) {
        return Err(wrong("url", format!("{HIDDEN} stands for a password that is not shown; write it out")));
    }
    if scheme.is_some_and(|scheme| scheme.starts_with("http")) && url.contains("mjp") {
        return Err(wrong("url", "MediaMTX reads HLS by http and no MJPEG; make it a stream of this program instead"));
    }
    Ok(())
}

fn check_field(key: &str, value: &Value) -> Result<()> {
    let rule = |rule: &str| Err(Error::new(Code::InvalidPath, format!("fields.{key}: {rule}")).in_field("fields"));
    let Some(text) = value.as_str() else { return Ok(()) };
    if text.len() > MAX_TEXT {
        return rule("is too long");
    }
    if text == HIDDEN || text.contains(&format!(":{HIDDEN}@")) || text == "<redacted>" {
        return rule("stands for something that is not shown; write it out");
    }
    match COMMANDS.contains(&key).then(|| command_fault(text)).flatten() {
        Some(fault) => rule(fault),
        None => Ok(()),
    }
}
