//! Reading an administrator's `mediamtx.yml` and saying what in it will not work with this sidecar.
//!
//! Only what concerns us, and what is known to hurt (each finding cites why). Facts are those of MediaMTX
//! 1.20; a key that is not there has MediaMTX's default.

mod url;

use std::fmt;

use config::{Map, Value, ValueKind};
use serde::Serialize;
use utoipa::ToSchema;

use self::url::Url;
use crate::{
    mediamtx::{COMMANDS, command_fault},
    producer::Definition,
    settings::Settings,
    stream::StreamName,
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It will not work, or it is dangerous.
    Error,
    /// It works, and something about it will surprise.
    Warning,
}

/// One thing about a `mediamtx.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The key.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub advice: String,
    /// Lines to write into mediamtx.yml, where it is that simple.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {}: {}", self.key, self.advice)
    }
}

/// MediaMTX's listeners: key, default, protocol, and the key that switches it on (with its default).
const LISTENERS: &[(&str, &str, &str, &str, bool)] = &[
    ("rtspAddress", ":8554", "tcp", "rtsp", true),
    ("rtpAddress", ":8000", "udp", "rtsp", true),
    ("rtcpAddress", ":8001", "udp", "rtsp", true),
    ("rtmpAddress", ":1935", "tcp", "rtmp", true),
    ("hlsAddress", ":8888", "tcp", "hls", true),
    ("webrtcAddress", ":8889", "tcp", "webrtc", true),
    ("webrtcLocalUDPAddress", ":8189", "udp", "webrtc", true),
    ("srtAddress", ":8890", "udp", "srt", true),
    ("apiAddress", ":9997", "tcp", "api", false),
    ("metricsAddress", ":9998", "tcp", "metrics", false),
    ("pprofAddress", ":9999", "tcp", "pprof", false),
    ("playbackAddress", ":9996", "tcp", "playback", false),
];

/// Looks the configuration over; the worst findings come first.
pub fn examine(config: &Map<String, Value>, settings: &Settings) -> Vec<Finding> {
    let defaults = match config.get("pathDefaults").map(|v| &v.kind) {
        Some(ValueKind::Table(defaults)) => flag(defaults, "runOnDemandRestart"),
        _ => None,
    };
    let mut found = Findings { list: vec![], settings, restarts_by_default: defaults.unwrap_or(false) };
    found.auth(config);
    found.listeners(config);
    found.path("pathDefaults", config.get("pathDefaults"), None);
    if let Some(ValueKind::Table(paths)) = config.get("paths").map(|v| &v.kind) {
        let mut names: Vec<_> = paths.keys().collect();
        names.sort();
        for name in names {
            found.path(&format!("paths.{name}"), paths.get(name), Some(name));
        }
    }
    found.list.sort_by_key(|finding| finding.severity);
    found.list
}

struct Findings<'a> {
    list: Vec<Finding>,
    settings: &'a Settings,
    /// `pathDefaults.runOnDemandRestart`.
    restarts_by_default: bool,
}

impl Findings<'_> {
    fn error(&mut self, key: &str, advice: impl Into<String>) {
        self.list.push(Finding { severity: Severity::Error, key: key.into(), advice: advice.into(), fix: None });
    }

    fn warn(&mut self, key: &str, advice: impl Into<String>) {
        self.list.push(Finding { severity: Severity::Warning, key: key.into(), advice: advice.into(), fix: None });
    }

    /// What is to be written for the finding before; below `path`, which is `paths.NAME`, `pathDefaults`, or empty.
    fn fix(&mut self, path: &str, lines: &str) {
        let fix = match path.strip_prefix("paths.") {
            Some(name) => format!("paths:\n  {name:?}:\n    {lines}"),
            None if path.is_empty() => lines.to_owned(),
            None => format!("{path}:\n  {lines}"),
        };
        if let Some(last) = self.list.last_mut() {
            last.fix = Some(fix);
        }
    }

    fn auth(&mut self, config: &Map<String, Value>) {
        let port = self.settings.http.listen.port();
        let wanted = format!("http://127.0.0.1:{port}/mediamtx-auth");
        let method = text(config, "authMethod").unwrap_or_else(|| "internal".into());
        match method.as_str() {
            "http" => {}
            "jwt" => return self.jwt(config),
            _ => {
                self.error(
                    "authMethod",
                    format!(
                        "is {method}, so MediaMTX never asks us; write authMethod: http and authHTTPAddress: {wanted}"
                    ),
                );
                return self.fix("", &format!("authMethod: http\nauthHTTPAddress: {wanted}"));
            }
        }
        let address = text(config, "authHTTPAddress").unwrap_or_default();
        match Url::parse(&address) {
            None => {
                self.error("authHTTPAddress", format!("{address:?} is not an http address; write {wanted}"));
                self.fix("", &format!("authHTTPAddress: {wanted}"));
            }
            Some(url) => {
                if url.path != "/mediamtx-auth" {
                    self.error(
                        "authHTTPAddress",
                        format!("asks {}; we answer at /mediamtx-auth: write {wanted}", url.path),
                    );
                    self.fix("", &format!("authHTTPAddress: {wanted}"));
                }
                if url.port != port && url.is_this_machine() {
                    self.error(
                        "authHTTPAddress",
                        format!("asks port {}; http.listen in sidecar.yml has {port}", url.port),
                    );
                    self.fix("", &format!("authHTTPAddress: {wanted}"));
                }
                if url.host == "localhost" {
                    self.warn("authHTTPAddress", "localhost may mean ::1, on which nobody listens; write 127.0.0.1");
                    self.fix("", &format!("authHTTPAddress: {wanted}"));
                }
                if !self.settings.auth.webhook_secret.is_empty()
                    && url.parameter("secret").is_none()
                    && !url.has_userinfo
                {
                    self.error("authHTTPAddress", "does not show auth.webhook_secret of sidecar.yml; append ?secret=…");
                }
            }
        }
        if let Some(ValueKind::Array(excluded)) = config.get("authHTTPExclude").map(|v| &v.kind) {
            let excludes = |action: &str| {
                excluded
                    .iter()
                    .any(|e| matches!(&e.kind, ValueKind::Table(t) if text(t, "action").as_deref() == Some(action)))
            };
            if excludes("api") {
                self.error(
                    "authHTTPExclude",
                    "lets everybody who reaches its port use the control API, and whoever can add a path can run commands; take `action: api` out",
                );
            }
        }
        if text(config, "authInternalUsers").is_some() || config.contains_key("authInternalUsers") {
            self.warn(
                "authInternalUsers",
                "is not looked at while authMethod is http; move the list to auth.users in sidecar.yml",
            );
        }
    }

    /// MediaMTX decides by itself from our tokens.
    fn jwt(&mut self, config: &Map<String, Value>) {
        let port = self.settings.http.listen.port();
        let wanted = format!("http://127.0.0.1:{port}/.well-known/jwks.json");
        match text(config, "authJWTJWKS").as_deref().and_then(Url::parse) {
            Some(url) if url.path == "/.well-known/jwks.json" => {
                if url.port != port && url.is_this_machine() {
                    self.error("authJWTJWKS", format!("asks port {}; http.listen in sidecar.yml has {port}", url.port));
                }
            }
            _ => {
                self.error("authJWTJWKS", format!("is not where our keys are; write {wanted}"));
                self.fix("", &format!("authJWTJWKS: {wanted}"));
            }
        }
        if text(config, "authJWTClaimKey").is_some_and(|key| key != "mediamtx_permissions") {
            self.error("authJWTClaimKey", "our tokens have mediamtx_permissions; take the key out");
        }
        if text(config, "authJWTIssuer").is_some_and(|issuer| !issuer.is_empty() && issuer != crate::policy::ISSUER) {
            self.error("authJWTIssuer", format!("our tokens have {}", crate::policy::ISSUER));
        }
        if text(config, "authJWTAudience").is_some_and(|audience| !audience.is_empty()) {
            self.error("authJWTAudience", "our tokens have none; take the key out");
        }
    }

    fn listeners(&mut self, config: &Map<String, Value>) {
        let ours = [
            ("http.listen", self.settings.http.listen.port(), "tcp"),
            ("rtsp.listen", self.settings.rtsp.listen.port(), "tcp"),
            ("udp.listen", self.settings.udp.listen.port(), "udp"),
        ];
        for (key, default, protocol, switch, on) in LISTENERS {
            if !flag(config, switch).unwrap_or(*on) {
                continue;
            }
            let address = text(config, key).unwrap_or_else(|| (*default).to_owned());
            let port = address.rsplit(':').next().and_then(|p| p.parse::<u16>().ok());
            for (our_key, our_port, our_protocol) in ours {
                if port == Some(our_port) && *protocol == our_protocol {
                    self.error(
                        key,
                        format!("{protocol} port {our_port} is ours ({our_key} in sidecar.yml); change one of the two"),
                    );
                }
            }
        }
        if !flag(config, "api").unwrap_or(false) {
            self.warn("api", "is off: sessions of users who may not watch any more cannot be ended; write api: yes");
            self.fix("", "api: yes\napiAddress: 127.0.0.1:9997");
        } else {
            let address = text(config, "apiAddress").unwrap_or_else(|| ":9997".into());
            let host = address.rsplit_once(':').map_or("", |(host, _)| host);
            if !matches!(host, "127.0.0.1" | "[::1]" | "localhost") && !address.starts_with("unix:") {
                self.warn(
                    "apiAddress",
                    format!(
                        "{address} is reachable from elsewhere, and the API can run commands; write 127.0.0.1:9997"
                    ),
                );
                self.fix("", "apiAddress: 127.0.0.1:9997");
            }
        }
    }

    fn path(&mut self, key: &str, value: Option<&Value>, name: Option<&str>) {
        let Some(ValueKind::Table(path)) = value.map(|v| &v.kind) else { return };
        let is_regexp = name.is_some_and(|n| n.starts_with('~') || n == "all_others" || n == "all");
        for command in COMMANDS {
            let Some(line) = text(path, command) else { continue };
            let key = format!("{key}.{command}");
            if let Some(fault) = command_fault(&line) {
                self.error(&key, fault);
                if line.trim().is_empty() {
                    continue;
                }
            }
            self.command(&key, &line);
        }
        let on_demand = text(path, "runOnDemand").filter(|line| !line.trim().is_empty());
        let restarts = flag(path, "runOnDemandRestart").unwrap_or(self.restarts_by_default);
        if on_demand.is_some() && name.is_some() && !is_regexp && !restarts {
            self.warn(
                &format!("{key}.runOnDemandRestart"),
                "is off: if the command dies while somebody watches, later readers wait for ever; write runOnDemandRestart: yes",
            );
            self.fix(key, "runOnDemandRestart: yes");
        }
        let source = text(path, "source").unwrap_or_default();
        if is_regexp && source.contains("://") && !flag(path, "sourceOnDemand").unwrap_or(false) {
            self.error(
                &format!("{key}.sourceOnDemand"),
                "has to be yes for a path with a regular expression and a source",
            );
            self.fix(key, "sourceOnDemand: yes");
        }
        if source.starts_with("http") && source.contains("mjp") {
            let port = self.settings.rtsp.listen.port();
            self.error(
                &format!("{key}.source"),
                format!("http sources are HLS playlists for MediaMTX; it cannot read MJPEG. Write rtsp://127.0.0.1:{port}/NAME"),
            );
        }
        self.source(key, path, &source);
    }

    /// A source that is, or should be, our RTSP server.
    fn source(&mut self, key: &str, path: &Map<String, Value>, source: &str) {
        let Some(url) = Url::parse(source).filter(|url| url.scheme == "rtsp" && url.is_this_machine()) else { return };
        let rtsp = &self.settings.rtsp;
        let port = rtsp.listen.port();
        let (http, usual) = (self.settings.http.listen.port(), crate::rtsp::RtspSettings::default().listen.port());
        if url.port != port {
            // Another RTSP server on this machine is none of our business, unless it must be us who are meant.
            if url.port == http || url.port == usual {
                self.error(
                    &format!("{key}.source"),
                    format!("pulls from port {}; rtsp.listen in sidecar.yml has {port}", url.port),
                );
            }
            return;
        }
        if !rtsp.enabled {
            return self
                .error(&format!("{key}.source"), "pulls from us by RTSP, and rtsp.enabled in sidecar.yml is off");
        }
        if url.host == "localhost" {
            self.warn(&format!("{key}.source"), "localhost may mean ::1, on which nobody listens; write 127.0.0.1");
        }
        let transport = text(path, "rtspTransport").unwrap_or_else(|| "automatic".into());
        if transport != "tcp" {
            let transport_key = format!("{key}.rtspTransport");
            match transport.as_str() {
                "automatic" => self
                    .warn(&transport_key, "is automatic: UDP is tried and refused each time; write rtspTransport: tcp"),
                other => self
                    .error(&transport_key, format!("is {other}, and the sidecar serves TCP; write rtspTransport: tcp")),
            }
            self.fix(key, "rtspTransport: tcp");
        }
        if !flag(path, "sourceOnDemand").unwrap_or(false) {
            self.warn(
                &format!("{key}.sourceOnDemand"),
                "is off: the stream is encoded, and its camera asked, also while nobody watches; write sourceOnDemand: yes",
            );
            self.fix(key, "sourceOnDemand: yes");
        }
        if let Some(word) = url.parameter("type") {
            self.recipe(&format!("{key}.source"), url.path.trim_matches('/'), word);
        }
    }

    /// A command that pulls from us.
    fn command(&mut self, key: &str, line: &str) {
        let words: Vec<_> = line.split_ascii_whitespace().map(|w| w.trim_matches(['"', '\''])).collect();
        for word in &words {
            let Some(url) = Url::parse(word) else { continue };
            let is_ours = ["/mjpeg-get", "/stream/", "/snapshot/"].iter().any(|p| url.path.starts_with(p));
            if !is_ours {
                if url.scheme == "rtsp" && url.has_userinfo {
                    self.warn(
                        key,
                        "shows a password to everybody who can list processes; the rule for 127.0.0.1 in sidecar.yml lets ffmpeg publish without one",
                    );
                }
                continue;
            }
            let port = self.settings.http.listen.port();
            if url.is_this_machine() && url.port != port {
                self.error(key, format!("pulls from port {}; http.listen in sidecar.yml has {port}", url.port));
            }
            if url.host.contains('[') && !url.host.ends_with(']') || url.host.contains('【') || url.host.is_empty() {
                self.error(key, format!("{word} still has a placeholder where the sidecar's address belongs"));
            }
            if let Some(name) = url.parameter("name") {
                self.recipe(key, name, url.parameter("type").unwrap_or("file"));
            }
        }
        let pulls_mjpeg = words.iter().any(|w| w.contains("/mjpeg-get") || w.contains("/stream/"));
        let is_ffmpeg = words.first().is_some_and(|w| w.rsplit('/').next() == Some("ffmpeg"));
        if pulls_mjpeg && is_ffmpeg && !words.contains(&"-use_wallclock_as_timestamps") {
            self.warn(
                key,
                "gives every picture 40 ms whatever its real time; put -use_wallclock_as_timestamps 1 before -i and take -re out",
            );
        }
    }

    /// A stream's name and the recipe's type for it, where they are literal, against the streams we have.
    fn recipe(&mut self, key: &str, name: &str, word: &str) {
        let kind = match Definition::of_recipe(word) {
            Ok(definition) => definition.kind(),
            Err(_) => return self.error(key, format!("type={word} in the URL must be file or udp")),
        };
        if name.contains('$') {
            return;
        }
        match StreamName::parse(name) {
            Err(e) => self.error(key, e.to_string()),
            Ok(name) => {
                let defined = self.settings.streams.get(&name).map(Definition::kind);
                if let Some(defined) = defined.filter(|defined| *defined != kind) {
                    self.error(key, format!("asks for {name} as {kind}, and sidecar.yml defines it as {defined}"));
                }
            }
        }
    }
}

fn text(table: &Map<String, Value>, key: &str) -> Option<String> {
    match &table.get(key)?.kind {
        ValueKind::Nil => None,
        ValueKind::Table(_) | ValueKind::Array(_) => None,
        other => Some(other.to_string()),
    }
}

/// MediaMTX reads YAML 1.1, in which `yes` and `on` are true.
fn flag(table: &Map<String, Value>, key: &str) -> Option<bool> {
    match &*text(table, key)?.to_ascii_lowercase() {
        "yes" | "true" | "on" => Some(true),
        "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
