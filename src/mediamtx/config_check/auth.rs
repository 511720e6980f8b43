//! `authMethod` and its settings: MediaMTX must ask the sidecar, or verify the sidecar's tokens.

use serde_json::{Map, Value};

use super::{Findings, text, url::Url};
use crate::policy::ISSUER;

impl Findings<'_> {
    pub(super) fn auth(&mut self, config: &Map<String, Value>) {
        match text(config, "authMethod").unwrap_or_else(|| "internal".into()).as_str() {
            "http" => self.http(config),
            "jwt" => self.jwt(config),
            method => {
                let address = self.webhook();
                let advice = format!(
                    "is {method}: MediaMTX does not ask the sidecar; write authMethod: http and authHTTPAddress: {address}"
                );
                self.error("authMethod", advice);
                self.fix("", &format!("authMethod: http\nauthHTTPAddress: {address}"));
            }
        }
    }

    /// The sidecar's URL for MediaMTX's requests.
    fn webhook(&self) -> String {
        format!("http://127.0.0.1:{}/mediamtx-auth", self.sidecar.http_port)
    }

    fn http(&mut self, config: &Map<String, Value>) {
        let address = text(config, "authHTTPAddress").unwrap_or_default();
        let (expected, port) = (self.webhook(), self.sidecar.http_port);
        let fix = format!("authHTTPAddress: {expected}");
        match Url::parse(&address) {
            None => {
                self.error("authHTTPAddress", format!("{address:?} is not an http URL; write {expected}"));
                self.fix("", &fix);
            }
            Some(url) => {
                if url.path != "/mediamtx-auth" {
                    let advice = format!("asks {}; the sidecar answers at /mediamtx-auth: write {expected}", url.path);
                    self.error("authHTTPAddress", advice);
                    self.fix("", &fix);
                }
                if url.port != port && url.is_this_machine() {
                    let advice = format!("asks port {}; http.listen in sidecar.yml has {port}", url.port);
                    self.error("authHTTPAddress", advice);
                    self.fix("", &fix);
                }
                if url.host == "localhost" {
                    self.warn("authHTTPAddress", super::LOCALHOST);
                    self.fix("", &fix);
                }
                if self.sidecar.webhook_is_local && !url.is_this_machine() {
                    let advice = format!(
                        "asks {}, so MediaMTX does not connect from 127.0.0.1, and the sidecar accepts this machine only; set \
                         auth.webhook_secret in sidecar.yml and append ?secret=… here, or set auth.webhook_networks",
                        url.host
                    );
                    self.warn("authHTTPAddress", advice);
                }
                if self.sidecar.has_webhook_secret && url.parameter("secret").is_none() && !url.has_password {
                    self.error("authHTTPAddress", "lacks auth.webhook_secret of sidecar.yml; append ?secret=…");
                }
            }
        }
        let excluded = config.get("authHTTPExclude").and_then(Value::as_array).into_iter().flatten();
        if excluded.filter_map(Value::as_object).any(|entry| text(entry, "action").as_deref() == Some("api")) {
            self.error(
                "authHTTPExclude",
                "lets each client that reaches its port use the control API, and thus run commands (runOnInit of a path); \
                 remove `action: api`",
            );
        }
        if config.contains_key("authInternalUsers") {
            self.warn(
                "authInternalUsers",
                "has no effect while authMethod is http; move the list to auth.users in sidecar.yml",
            );
        }
    }

    /// MediaMTX verifies the sidecar's tokens, and decides by the permissions in them.
    fn jwt(&mut self, config: &Map<String, Value>) {
        let port = self.sidecar.http_port;
        match text(config, "authJWTJWKS").as_deref().and_then(Url::parse) {
            Some(url) if url.path == "/.well-known/jwks.json" => {
                if url.port != port && url.is_this_machine() {
                    let advice = format!("asks port {}; http.listen in sidecar.yml has {port}", url.port);
                    self.error("authJWTJWKS", advice);
                }
            }
            _ => {
                let expected = format!("http://127.0.0.1:{port}/.well-known/jwks.json");
                self.error("authJWTJWKS", format!("is not the URL of the sidecar's keys; write {expected}"));
                self.fix("", &format!("authJWTJWKS: {expected}"));
            }
        }
        if text(config, "authJWTClaimKey").is_some_and(|key| key != "mediamtx_permissions") {
            let advice = "the sidecar's tokens have their permissions in mediamtx_permissions; remove the key";
            self.error("authJWTClaimKey", advice);
        }
        if text(config, "authJWTIssuer").is_some_and(|issuer| !issuer.is_empty() && issuer != ISSUER) {
            self.error("authJWTIssuer", format!("the issuer of the sidecar's tokens is {ISSUER}"));
        }
        if text(config, "authJWTAudience").is_some_and(|audience| !audience.is_empty()) {
            self.error("authJWTAudience", "the sidecar's tokens have no audience; remove the key");
        }
    }
}
