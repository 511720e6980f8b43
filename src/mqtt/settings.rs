//! Settings of the connection to a broker, and of what is published.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;
use utoipa::ToSchema;

use super::{subject::Subject, topic};
use crate::{
    fetch::Tls,
    picture::transform::{MAX_SIDE, MIN_SIDE},
    secret::Secret,
    trust::{Fingerprint, Identity},
    units::{HumanDuration, Size},
};

/// The bounds of `interval` of a publication.
const INTERVALS: (HumanDuration, HumanDuration) = (HumanDuration::secs(1), HumanDuration::secs(86_400));

/// The connection to a broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttSettings {
    /// URL of the broker, `mqtt://` or `mqtts://`; empty: no MQTT.
    pub url: String,
    /// User at the broker; empty: none.
    pub user: String,
    /// Password of that user.
    pub pass: Secret,
    /// SHA-256 of the broker's certificate, if it is self-signed.
    pub fingerprint: String,
    /// PEM file with the certificate that the broker asks for; empty: none.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// Client identifier; empty: one that is made of the names of the host and of the data folder.
    pub client_id: String,
    /// Topic filters that streams of kind `mqtt` can use; empty: all topics.
    pub topics: Vec<String>,
    /// First levels of all topics that are published.
    pub prefix: String,
    /// Most bytes of one published message.
    pub max_packet: Size,
    /// What is published, by the name of the stream or of MediaMTX's path, or by a regular expression after `~`.
    pub publish: BTreeMap<Subject, Publication>,
    /// Home Assistant's discovery.
    pub homeassistant: HomeAssistantSettings,
    /// Whether messages can ask for pictures of every stream.
    pub commands: bool,
    /// Kinds of events that are published.
    pub events: Vec<String>,
}

impl Default for MqttSettings {
    fn default() -> Self {
        MqttSettings {
            url: String::new(),
            user: String::new(),
            pass: Secret::default(),
            fingerprint: String::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_id: String::new(),
            topics: vec![],
            prefix: "mtx-sidecar".into(),
            // Below the limit of Mosquitto 2.1, 2,000,000 bytes, which ends the connection of a client that exceeds it.
            max_packet: Size(1900 << 10),
            publish: BTreeMap::new(),
            homeassistant: HomeAssistantSettings::default(),
            commands: false,
            events: vec![],
        }
    }
}

/// Home Assistant's discovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HomeAssistantSettings {
    /// Whether a device is announced for each publication.
    pub enabled: bool,
    /// Home Assistant's discovery prefix.
    pub prefix: String,
}

impl Default for HomeAssistantSettings {
    fn default() -> Self {
        HomeAssistantSettings { enabled: false, prefix: "homeassistant".into() }
    }
}

/// How the pictures of one stream are published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Publication {
    /// `on_request`, `on_change` (the camera runs all the time), or the pause between two pictures, such as `30s`.
    #[serde(alias = "every")]
    #[schema(value_type = String, example = "30s")]
    pub interval: Pace,
    /// Width in pixels; the stream's own without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub w: Option<u32>,
    /// JPEG quality, 1 to 100; the stream's own pictures without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
    /// Whether the broker keeps the last picture for clients that subscribe later.
    pub retain: bool,
}

/// When pictures are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Each time this has passed.
    Interval(HumanDuration),
    /// Each new picture.
    OnChange,
    /// When a message asks for one.
    OnRequest,
}

impl Default for Pace {
    fn default() -> Self {
        Pace::Interval(HumanDuration::secs(30))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pace::Interval(interval) => interval.fmt(f),
            Pace::OnChange => f.write_str("on_change"),
            Pace::OnRequest => f.write_str("on_request"),
        }
    }
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "on_change" => Ok(Pace::OnChange),
            "on_request" => Ok(Pace::OnRequest),
            _ => {
                let interval: HumanDuration =
                    text.parse().map_err(|e| format!("interval: must be on_change, on_request or a duration: {e}"))?;
                let (shortest, longest) = INTERVALS;
                if !(shortest..=longest).contains(&interval) {
                    return Err(format!("interval: must be from {shortest} to {longest}, not {interval}"));
                }
                Ok(Pace::Interval(interval))
            }
        }
    }
}

impl Serialize for Pace {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pace {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl Publication {
    /// Invalid members: the member and the rule that it breaks.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if let Some(w) = self.w.filter(|w| !(MIN_SIDE..=MAX_SIDE).contains(w)) {
            return Some(("w", format!("must be from {MIN_SIDE} to {MAX_SIDE}, not {w}")));
        }
        let quality = self.quality.filter(|quality| !(1..=100).contains(quality));
        quality.map(|quality| ("quality", format!("must be from 1 to 100, not {quality}")))
    }
}

/// The address of a broker, read from the settings.
#[derive(Clone, Debug)]
pub(super) struct Broker {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<Tls>,
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls.is_some() { "mqtts" } else { "mqtt" }, self.host, self.port)
    }
}

impl MqttSettings {
    /// Whether a broker is set.
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// The broker; none without a URL. The error has the key and the rule.
    pub(super) fn broker(&self) -> Result<Option<Broker>, (&'static str, String)> {
        if !self.is_on() {
            return Ok(None);
        }
        // The text is left out of errors, because it can have a password.
        let wrong = |rule: &str| ("url", rule.to_owned());
        let url = Url::parse(&self.url).map_err(|_| wrong("is not a URL; write mqtt://192.168.1.10:1883"))?;
        let (default_port, is_tls) = match url.scheme() {
            "mqtt" => (1883, false),
            "mqtts" => (8883, true),
            _ => return Err(wrong("must begin with mqtt:// or mqtts://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must have no user and password; write them to mqtt.user and mqtt.pass"));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(wrong("must have a host, at most a port, and nothing behind it"));
        }
        let fingerprint = match self.fingerprint.as_str() {
            "" => None,
            _ if !is_tls => return Err(("fingerprint", "needs an mqtts URL".into())),
            text => Some(Fingerprint::parse(text).map_err(|e| ("fingerprint", e.to_string()))?),
        };
        let identity = match (self.certificate.as_os_str().is_empty(), self.key.as_os_str().is_empty()) {
            (true, true) => None,
            (false, false) if is_tls => {
                Some(Identity::open(&self.certificate, &self.key).map_err(|rule| ("certificate", rule))?)
            }
            (false, false) => return Err(("certificate", "needs an mqtts URL".into())),
            _ => return Err(("certificate", "needs mqtt.key, and mqtt.key needs it".into())),
        };
        let tls = is_tls.then_some(Tls { fingerprint, identity });
        Ok(Some(Broker { host, port: url.port().unwrap_or(default_port), tls }))
    }

    /// Invalid settings: the key and the rule that it breaks.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found: Vec<_> = self.broker().err().into_iter().collect();
        if !self.pass.is_empty() && self.user.is_empty() {
            found.push(("pass", "needs mqtt.user".into()));
        }
        let is_level = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_prefix = |text: &str| {
            text.len() <= 64 && text.split('/').all(|level| !level.is_empty() && level.chars().all(is_level))
        };
        let rule = "must be levels of letters, digits, -, _ and ., at most 64 characters";
        if !is_prefix(&self.prefix) {
            found.push(("prefix", rule.into()));
        }
        if !is_prefix(&self.homeassistant.prefix) {
            found.push(("homeassistant.prefix", rule.into()));
        }
        if self.client_id.len() > 64 || self.client_id.chars().any(char::is_control) {
            found.push(("client_id", "must have at most 64 characters, without control characters".into()));
        }
        for filter in &self.topics {
            if let Err(rule) = topic::check_filter(filter) {
                found.push(("topics", rule));
            }
        }
        if !(10 << 10..=256 << 20).contains(&self.max_packet.0) {
            found.push(("max_packet", "must be from 10K to 256M".into()));
        }
        for (name, publication) in &self.publish {
            if let Some((member, rule)) = publication.problem() {
                found.push(("publish", format!("{name}: {member}: {rule}")));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_key_and_never_shows_a_password() {
        let with = |change: fn(&mut MqttSettings)| {
            let mut settings = MqttSettings::default();
            change(&mut settings);
            settings.problems()
        };
        assert_eq!(with(|_| {}), []);
        for (problems, key, says) in [
            (with(|s| s.url = "http://h".into()), "url", "mqtt:// or mqtts://"),
            (with(|s| s.url = "mqtt://u:hunter2@h".into()), "url", "mqtt.user"),
            (with(|s| s.url = "mqtt://h/hunter2".into()), "url", "nothing behind"),
            (with(|s| s.url = "hunter2".into()), "url", "is not a URL"),
            (with(|s| s.pass = Secret::new("hunter2")), "pass", "mqtt.user"),
            (with(|s| (s.url, s.fingerprint) = ("mqtt://h".into(), "00".into())), "fingerprint", "mqtts"),
            (with(|s| (s.url, s.fingerprint) = ("mqtts://h".into(), "00".into())), "fingerprint", "64"),
            (with(|s| (s.url, s.key) = ("mqtts://h".into(), "k".into())), "certificate", "mqtt.key"),
            (with(|s| s.prefix = "a/#".into()), "prefix", "levels"),
            (with(|s| s.prefix = String::new()), "prefix", "levels"),
            (with(|s| s.topics = vec!["a/#/b".into()]), "topics", "#"),
            (with(|s| s.max_packet = Size(1)), "max_packet", "10K"),
        ] {
            let [(found, rule)] = problems.as_slice() else { panic!("{key}: {problems:?}") };
            assert!(*found == key && rule.contains(says) && !rule.contains("hunter2"), "{key}: {found}: {rule}");
        }
    }

    #[test]
    fn a_publication_reads_interval_and_its_alias() {
        let read = |text: &str| serde_json::from_str::<Publication>(text).map_err(|e| e.to_string());
        let paces = |text: &str| read(text).map(|publication| publication.interval.to_string());
        assert_eq!(paces("{}").as_deref(), Ok("30s"));
        assert_eq!(paces(r#"{"every":"5s"}"#).as_deref(), Ok("5s"));
        assert_eq!(paces(r#"{"interval":"on_change"}"#).as_deref(), Ok("on_change"));
        assert_eq!(paces(r#"{"interval":"on_request"}"#).as_deref(), Ok("on_request"));
        for (text, says) in [
            (r#"{"interval":"10ms"}"#, "from 1s to 1day"),
            (r#"{"interval":"often"}"#, "on_change, on_request or a duration"),
            (r#"{"width":3}"#, "unknown field"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
