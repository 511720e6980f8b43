//! Checks a `mediamtx.yml` of an administrator: which of its settings do not work with this sidecar.
//!
//! The check covers settings that concern the sidecar, and settings that are known to cause harm; each of these cites the reason.
//! Facts are those of MediaMTX 1.20. A missing key has MediaMTX's default.

mod auth;
mod listeners;
mod paths;
mod url;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{producer::StreamDefinition, stream::StreamName};

/// The settings of the sidecar that a `mediamtx.yml` must fit.
#[derive(Clone, Debug)]
pub struct Sidecar<'a> {
    /// Port of `http.listen`.
    pub http_port: u16,
    /// `rtsp.enabled`.
    pub rtsp_enabled: bool,
    /// Port of `rtsp.listen`.
    pub rtsp_port: u16,
    /// Default port of `rtsp.listen`.
    pub default_rtsp_port: u16,
    /// Port of `udp.listen`.
    pub udp_port: u16,
    /// Whether `auth.webhook_secret` is set.
    pub has_webhook_secret: bool,
    /// Whether only programs on this machine can ask: neither `auth.webhook_networks` nor the secret is set.
    pub webhook_is_local: bool,
    /// Whether a rule of `auth.users` lets programs on this machine read without a password.
    pub lets_this_machine_read: bool,
    /// The streams of `sidecar.yml`.
    pub streams: &'a BTreeMap<StreamName, StreamDefinition>,
}

/// For URLs with `localhost`.
const LOCALHOST: &str = "localhost can be ::1, where the sidecar does not listen; write 127.0.0.1";

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The setting does not work, or is dangerous.
    Error,
    /// The setting works, but has an unexpected effect.
    Warning,
}

/// One finding about a `mediamtx.yml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// The severity.
    pub severity: Severity,
    /// The key with its path, such as `paths.cam.source`.
    pub key: String,
    /// The fault, and the change that mends it.
    pub advice: String,
    /// Lines for mediamtx.yml that mend the fault, if a few lines are enough.
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

/// Checks the configuration. Errors come before warnings.
pub fn examine(config: &Map<String, Value>, sidecar: &Sidecar<'_>) -> Vec<Finding> {
    let mut findings = Findings { list: vec![], sidecar };
    findings.auth(config);
    findings.listeners(config);
    findings.paths(config);
    findings.list.sort_by_key(|finding| finding.severity);
    findings.list
}

struct Findings<'a> {
    list: Vec<Finding>,
    sidecar: &'a Sidecar<'a>,
}

impl Findings<'_> {
    fn error(&mut self, key: &str, advice: impl Into<String>) {
        self.list.push(Finding { severity: Severity::Error, key: key.into(), advice: advice.into(), fix: None });
    }

    fn warn(&mut self, key: &str, advice: impl Into<String>) {
        self.list.push(Finding { severity: Severity::Warning, key: key.into(), advice: advice.into(), fix: None });
    }

    /// Adds lines to the last finding. They belong below `path`, which is `paths.NAME`, `pathDefaults`, or empty for the top level.
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
}

/// A single value as text; none for a list, a section, null, or a missing key.
fn text(table: &Map<String, Value>, key: &str) -> Option<String> {
    match table.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A boolean. MediaMTX reads YAML 1.1, in which `yes` and `on` are true.
fn flag(table: &Map<String, Value>, key: &str) -> Option<bool> {
    match &*text(table, key)?.to_ascii_lowercase() {
        "yes" | "true" | "on" => Some(true),
        "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
