//! Paths: their sources and commands.

use serde_json::{Map, Value};

use super::{Findings, flag, text, url::Url};
use crate::{
    mediamtx::{COMMANDS, command_fault},
    producer::{Definition, StreamDefinition},
    stream::StreamName,
};

impl Findings<'_> {
    pub(super) fn paths(&mut self, config: &Map<String, Value>) {
        let defaults = config.get("pathDefaults").and_then(Value::as_object);
        if let Some(defaults) = defaults {
            self.commands("pathDefaults", defaults);
            self.source("pathDefaults", defaults);
        }
        let restarts = defaults.and_then(|defaults| flag(defaults, "runOnDemandRestart")).unwrap_or(false);
        for (name, path) in config.get("paths").and_then(Value::as_object).into_iter().flatten() {
            if let Some(path) = path.as_object() {
                self.path(name, path, restarts);
            }
        }
    }

    fn path(&mut self, name: &str, path: &Map<String, Value>, restarts_by_default: bool) {
        let key = format!("paths.{name}");
        let is_regexp = name.starts_with('~') || matches!(name, "all_others" | "all");
        self.commands(&key, path);
        let has_command = text(path, "runOnDemand").is_some_and(|line| !line.trim().is_empty());
        let restarts = flag(path, "runOnDemandRestart").unwrap_or(restarts_by_default);
        if has_command && !is_regexp && !restarts {
            self.warn(
                &format!("{key}.runOnDemandRestart"),
                "is off: if the command ends while a client reads the path, later readers wait without end; \
                 write runOnDemandRestart: yes",
            );
            self.fix(&key, "runOnDemandRestart: yes");
        }
        let source = text(path, "source").unwrap_or_default();
        if is_regexp && source.contains("://") && !flag(path, "sourceOnDemand").unwrap_or(false) {
            let advice = "must be yes for a path with a regular expression and a source";
            self.error(&format!("{key}.sourceOnDemand"), advice);
            self.fix(&key, "sourceOnDemand: yes");
        }
        self.source(&key, path);
    }

    fn commands(&mut self, key: &str, path: &Map<String, Value>) {
        for command in COMMANDS {
            let Some(line) = text(path, command) else { continue };
            let key = format!("{key}.{command}");
            if let Some(fault) = command_fault(&line) {
                self.error(&key, fault);
            }
            self.command(&key, &line);
        }
    }

    fn source(&mut self, key: &str, path: &Map<String, Value>) {
        let source = text(path, "source").unwrap_or_default();
        let source_key = format!("{key}.source");
        if source.starts_with("http") && source.contains("mjp") {
            let advice = format!(
                "MediaMTX reads an http source as an HLS playlist, and cannot read MJPEG; write rtsp://127.0.0.1:{}/NAME",
                self.sidecar.rtsp_port
            );
            self.error(&source_key, advice);
        }
        let Some(url) = Url::parse(&source).filter(|url| url.scheme == "rtsp" && url.is_this_machine()) else { return };
        let (port, http, default) = (self.sidecar.rtsp_port, self.sidecar.http_port, self.sidecar.default_rtsp_port);
        if url.port != port {
            // This machine can have other RTSP servers, but not at a port of the sidecar.
            if url.port == http || url.port == default {
                let advice = format!("pulls from port {}; rtsp.listen in sidecar.yml has {port}", url.port);
                self.error(&source_key, advice);
            }
            return;
        }
        if !self.sidecar.rtsp_enabled {
            let advice = "pulls from the sidecar by RTSP, and rtsp.enabled in sidecar.yml is off";
            return self.error(&source_key, advice);
        }
        self.source_is_sidecar(key, path, &url);
    }

    /// A source that is the sidecar's RTSP server.
    fn source_is_sidecar(&mut self, key: &str, path: &Map<String, Value>, url: &Url) {
        let source_key = format!("{key}.source");
        if url.host == "localhost" {
            self.warn(&source_key, super::LOCALHOST);
        }
        let transport = text(path, "rtspTransport").unwrap_or_else(|| "automatic".into());
        if transport != "tcp" {
            let transport_key = format!("{key}.rtspTransport");
            if transport == "automatic" {
                let advice =
                    "is automatic: MediaMTX tries UDP first, which the sidecar refuses; write rtspTransport: tcp";
                self.warn(&transport_key, advice);
            } else {
                let advice = format!("is {transport}, and the sidecar serves TCP only; write rtspTransport: tcp");
                self.error(&transport_key, advice);
            }
            self.fix(key, "rtspTransport: tcp");
        }
        if !flag(path, "sourceOnDemand").unwrap_or(false) {
            let advice = "is off: the sidecar reads the camera and encodes the stream without any reader; write sourceOnDemand: yes";
            self.warn(&format!("{key}.sourceOnDemand"), advice);
            self.fix(key, "sourceOnDemand: yes");
        }
        self.login(&source_key, url);
        if let Some(word) = url.parameter("type") {
            self.recipe(&source_key, url.path.trim_matches('/'), &word);
        }
    }

    /// The login in a URL of the sidecar on this machine.
    fn login(&mut self, key: &str, url: &Url) {
        if !self.sidecar.lets_this_machine_read && !url.has_password && url.parameter("token").is_none() {
            self.warn(
                key,
                "gets 401: auth.users in sidecar.yml lets no program on this machine read without a password; add \
                 {user: any, ips: ['127.0.0.1', '::1'], permissions: [{action: read}]} there, or USER:PASSWORD@ to the URL",
            );
        }
    }

    /// A command that pulls from the sidecar.
    fn command(&mut self, key: &str, line: &str) {
        let words: Vec<_> = line.split_ascii_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        for word in &words {
            let Some(url) = Url::parse(word) else { continue };
            let is_sidecar = ["/mjpeg-get", "/stream/", "/snapshot/"].iter().any(|start| url.path.starts_with(start));
            if !is_sidecar {
                if url.scheme == "rtsp" && url.has_password {
                    self.warn(
                        key,
                        "shows a password to each user of the machine who can list processes; the rule for 127.0.0.1 in \
                         sidecar.yml lets ffmpeg publish without one",
                    );
                }
                continue;
            }
            let port = self.sidecar.http_port;
            if url.is_this_machine() && url.port != port {
                self.error(key, format!("pulls from port {}; http.listen in sidecar.yml has {port}", url.port));
            }
            if url.is_this_machine() {
                self.login(key, &url);
            }
            if url.host.contains('[') && !url.host.ends_with(']') || url.host.contains('【') || url.host.is_empty() {
                self.error(key, format!("{word} has a placeholder in place of the sidecar's address"));
            }
            if let Some(name) = url.parameter("name") {
                self.recipe(key, &name, url.parameter("type").as_deref().unwrap_or("file"));
            }
        }
        let pulls_mjpeg = words.iter().any(|word| word.contains("/mjpeg-get") || word.contains("/stream/"));
        let is_ffmpeg = words.first().is_some_and(|word| word.rsplit('/').next() == Some("ffmpeg"));
        if pulls_mjpeg && is_ffmpeg && !words.contains(&"-use_wallclock_as_timestamps") {
            self.warn(
                key,
                "gives each picture a duration of 40 ms; put -use_wallclock_as_timestamps 1 before -i and remove -re",
            );
        }
    }

    /// A stream name and the `type` of the original recipe, compared with the streams of sidecar.yml. Names with variables are skipped.
    fn recipe(&mut self, key: &str, name: &str, word: &str) {
        let kind = match Definition::of_recipe(word, None) {
            Ok(definition) => definition.kind(),
            Err(_) => return self.error(key, format!("type={word} in the URL must be file or udp")),
        };
        if name.contains('$') {
            return;
        }
        match StreamName::parse(name) {
            Err(e) => self.error(key, e.to_string()),
            Ok(name) => {
                let defined = self.sidecar.streams.get(&name).map(StreamDefinition::kind);
                if let Some(defined) = defined.filter(|defined| *defined != kind) {
                    self.error(key, format!("asks for {name} as {kind}, and sidecar.yml defines it as {defined}"));
                }
            }
        }
    }
}
