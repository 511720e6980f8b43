//! `mtx-sidecar hook`: posts the variables of a MediaMTX hook to a running sidecar. MediaMTX's standard image has neither a shell nor curl;
//! this program is one file that can be mounted into it.

use std::time::Duration;

use awc::ClientRequest;
use serde_json::{Map, Value};

use super::{Authorities, Outcome};
use crate::{hosts, secret::shown_url};

/// Timeout of the request. At its end, MediaMTX waits for its hooks without a limit.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the hook, such as available, unavailable, read or record-segment-complete. `demand` is for runOnDemand of a path: the
    /// UV4L camera of its name is called until this program is ended.
    event: String,
    /// Base URL of the sidecar, http:// or https://.
    #[arg(long, default_value = "http://127.0.0.1:9995", env = "SIDECAR_URL")]
    url: String,
    /// The value of auth.webhook_secret, if it is set.
    #[arg(long, env = "SIDECAR_WEBHOOK_SECRET", hide_env_values = true, default_value = "")]
    secret: String,
    #[command(flatten)]
    pub(super) authorities: Authorities,
}

impl Args {
    /// Whether it is the hook that runs until it is ended (`demand`).
    pub(super) fn is_demand(&self) -> bool {
        self.event == "demand"
    }

    /// The address of the hook.
    pub(super) fn address(&self) -> String {
        format!("{}/api/v1/hooks/{}", self.url.trim_end_matches('/'), self.event)
    }

    /// Shows the secret.
    pub(super) fn authorized(&self, request: ClientRequest) -> ClientRequest {
        if self.secret.is_empty() { request } else { request.basic_auth("mediamtx", &self.secret) }
    }
}

pub(super) fn run(args: &Args) -> Outcome {
    // Without the query, which can contain a token.
    let is_sent = |key: &str| key.starts_with("MTX_") && key != "MTX_QUERY" || key == "RTSP_PORT";
    let variables: Map<String, Value> =
        std::env::vars().filter(|(key, _)| is_sent(key)).map(|(key, value)| (key, Value::String(value))).collect();
    let url = args.address();
    args.authorities.hosts()?.run(TIMEOUT, async |client| {
        let request = args.authorized(client.post(&url));
        let mut response =
            request.send_json(&variables).await.map_err(|e| format!("{}: {}", shown_url(&url), hosts::explain(&e)))?;
        if response.status().is_success() {
            return Ok(());
        }
        let body = response.body().await.unwrap_or_default();
        Err(format!("{} answers {}: {}", shown_url(&url), response.status(), String::from_utf8_lossy(&body)))
    })
}
