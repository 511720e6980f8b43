//! Settings of video over MQTT, and which stream a URL names.

use std::net::SocketAddr;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    error::{Code, Error, Result},
    foreign,
    stream::StreamName,
    units::{HumanDuration, optional_address},
};

/// Video over MQTT (`mqtt_video` in sidecar.yml).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttVideoSettings {
    /// Whether there is an endpoint at `/mqtt`.
    pub enabled: bool,
    /// A port of its own for the endpoint, without TLS; none: no such port.
    #[serde(with = "optional_address")]
    pub listen: Option<SocketAddr>,
    /// Whether requests are answered at the broker of `mqtt.url`.
    pub broker: bool,
    /// Streams and paths that clients without user and password can read, and the only ones at the broker.
    pub public: Vec<StreamName>,
    /// The streams that URLs mean which clients send.
    pub urls: Vec<Alias>,
    /// Most videos at a time.
    pub max_viewers: usize,
    /// How long a client at the broker gets a video without a new request.
    pub ttl: HumanDuration,
}

/// A URL that means a stream. It is compared as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// The URL, or any other text.
    pub url: String,
    /// The stream, or the path of MediaMTX.
    pub name: StreamName,
}

impl Default for MqttVideoSettings {
    fn default() -> Self {
        MqttVideoSettings {
            enabled: true,
            listen: None,
            broker: false,
            public: vec![],
            urls: vec![],
            max_viewers: 100,
            ttl: HumanDuration::secs(3600),
        }
    }
}

impl MqttVideoSettings {
    /// Invalid settings: the key and the rule that it breaks.
    pub fn problems(&self, has_broker: bool) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if self.broker && !has_broker {
            found.push(("broker", "needs a broker (mqtt.url)".into()));
        }
        if self.listen.is_some() && !self.enabled {
            found.push(("listen", "needs mqtt_video.enabled: yes".into()));
        }
        if self.max_viewers == 0 {
            found.push((
                "max_viewers",
                "must be at least 1; to switch the endpoint off, set mqtt_video.enabled: no".into(),
            ));
        }
        if !(HumanDuration::secs(10)..=HumanDuration::secs(86_400)).contains(&self.ttl) {
            found.push(("ttl", format!("must be from 10s to 1day, not {}", self.ttl)));
        }
        found
    }

    /// Settings that are valid, and probably not what is meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut found = vec![];
        if self.broker && self.public.is_empty() {
            let why = "the broker does not say who asks";
            found.push(format!(
                "mqtt_video.broker answers for the names in mqtt_video.public only ({why}), and there are none"
            ));
        }
        found
    }

    /// The name that a client means: a name, a URL of `urls`, or `rtsp://` with any host and the name as its path. Nothing is
    /// ever fetched from the URL.
    pub fn name_in(&self, url: &str) -> Result<String> {
        let url = url.trim();
        let refuse = |why: &str| {
            let message = format!(
                "url: {:?} {why}; it must be the name of a stream, rtsp://HOST/NAME, or one of mqtt_video.urls, and no other \
                 address is opened",
                foreign::shown(url)
            );
            Err(Error::new(Code::UnknownStream, message).in_field("url"))
        };
        if let Some(alias) = self.urls.iter().find(|alias| alias.url == url) {
            return Ok(alias.name.to_string());
        }
        if !url.contains("://") {
            let name = url.trim_matches('/');
            return if name.is_empty() { refuse("is empty") } else { Ok(name.to_owned()) };
        }
        let Ok(parsed) = Url::parse(url) else { return refuse("is not a URL") };
        if !matches!(parsed.scheme(), "rtsp" | "rtsps") {
            return refuse("is not allowed");
        }
        match percent_decode_str(parsed.path().trim_matches('/')).decode_utf8() {
            Ok(name) if !name.is_empty() => Ok(name.into_owned()),
            _ => refuse("names no stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_looked_up_and_any_other_is_refused_with_the_rule() {
        let door = StreamName::parse("Front/Door").expect("a name");
        let seed = "rtsp://mpv.cdn3.bigCDN.com:554/bigCDN/definst/mp4:bigbuckbunnyiphone_400.mp4";
        let urls =
            [seed, "http://127.0.0.1/x", "bunny"].map(|url| Alias { url: url.to_owned(), name: door.clone() }).into();
        let settings = MqttVideoSettings { urls, ..MqttVideoSettings::default() };
        for (url, name) in [
            ("yard", "yard"),
            (" /Front/Yard ", "Front/Yard"),
            ("rtsp://any.host:8554/Front/Yard", "Front/Yard"),
            ("rtsps://user:pass@192.0.2.1/a%62c/?x=1", "abc"),
            (seed, "Front/Door"),
            ("http://127.0.0.1/x", "Front/Door"),
            ("bunny", "Front/Door"),
        ] {
            assert_eq!(settings.name_in(url).expect("a name"), name, "{url}");
        }
        for url in
            ["", " / ", "http://192.0.2.1/door", "file:///etc/passwd", "rtsp://host/", "rtsp://", "rtsp://h/%FF", "://"]
        {
            let error = settings.name_in(url).expect_err(url);
            assert_eq!((error.code(), error.field()), (Code::UnknownStream, Some("url")), "{url}");
            assert!(error.to_string().contains("mqtt_video.urls"), "{error}");
        }
    }

    #[test]
    fn an_error_names_the_key_and_the_rule() {
        let keys = |change: fn(&mut MqttVideoSettings)| {
            let mut settings = MqttVideoSettings::default();
            change(&mut settings);
            settings.problems(false).into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert!(keys(|_| {}).is_empty());
        assert_eq!(keys(|s| s.broker = true), ["broker"]);
        assert_eq!(keys(|s| (s.enabled, s.listen) = (false, Some(([127, 0, 0, 1], 9001).into()))), ["listen"]);
        assert_eq!(keys(|s| s.max_viewers = 0), ["max_viewers"]);
        assert_eq!(keys(|s| s.ttl = HumanDuration::secs(1)), ["ttl"]);
        let settings = MqttVideoSettings { broker: true, ..MqttVideoSettings::default() };
        assert!(settings.problems(true).is_empty() && settings.warnings().len() == 1);
    }
}
