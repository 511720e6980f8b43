//! Settings of traces.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Traces, sent to a collector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceSettings {
    /// URL of the collector; empty: no traces.
    pub endpoint: String,
    /// The part of the traces that is recorded, from 0 to 1.
    pub ratio: f64,
    /// The value of the header `Authorization`; empty: none.
    pub authorization: Secret,
    /// The service's name in the traces.
    pub service: String,
}

impl Default for TraceSettings {
    fn default() -> Self {
        TraceSettings {
            endpoint: String::new(),
            ratio: 1.0,
            authorization: Secret::default(),
            service: "mtx-sidecar".into(),
        }
    }
}

impl TraceSettings {
    /// The errors of the settings: key and rule.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        let is_url = |text: &str| {
            let url = url::Url::parse(text).ok();
            url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none())
        };
        if !self.endpoint.is_empty() && !is_url(&self.endpoint) {
            found.push(("endpoint", "must be a URL such as http://127.0.0.1:4318".into()));
        }
        if !(0.0..=1.0).contains(&self.ratio) {
            found.push(("ratio", format!("must be from 0 to 1, not {}", self.ratio)));
        }
        if awc::http::header::HeaderValue::from_str(self.authorization.expose()).is_err() {
            found.push(("authorization", "must be one line of text".into()));
        }
        found
    }
}
