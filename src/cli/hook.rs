//! `mtx-sidecar hook`: posts the variables of a MediaMTX hook to a running sidecar. MediaMTX's standard image has neither a shell nor curl;
//! this program is one file that can be mounted into it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Authorities, Outcome};
use crate::{hosts, secret::shown_url};

/// Timeout of the request. At its end, MediaMTX waits for its hooks without a limit.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the hook, such as available, unavailable, read or record-segment-complete.
    event: String,
    /// Base URL of the sidecar, http:// or https://.
    #[arg(long, default_value = "http://127.0.0.1:9995", env = "SIDECAR_URL")]
    url: String,
    /// The value of auth.webhook_secret, if it is set.
    #[arg(long, env = "SIDECAR_WEBHOOK_SECRET", hide_env_values = true, default_value = "")]
    secret: String,
    #[command(flatten)]
    authorities: Authorities,
}

pub(super) fn run(args: &Args) -> Outcome {
    // Without the query, which can contain a token.
    let is_sent = |key: &str| key.starts_with("MTX_") && key != "MTX_QUERY" || key == "RTSP_PORT";
    let variables: Map<String, Value> =
        std::env::vars().filter(|(key, _)| is_sent(key)).map(|(key, value)| (key, Value::String(value))).collect();
    let url = format!("{}/api/v1/hooks/{}", args.url.trim_end_matches('/'), args.event);
    args.authorities.hosts()?.run(TIMEOUT, async |client| {
        let mut request = client.post(&url);
        if !args.secret.is_empty() {
            request = request.basic_auth("mediamtx", &args.secret);
        }
        let mut response =
            request.send_json(&variables).await.map_err(|e| format!("{}: {}", shown_url(&url), hosts::explain(&e)))?;
        if response.status().is_success() {
            return Ok(());
        }
        let body = response.body().await.unwrap_or_default();
        Err(format!("{} answers {}: {}", shown_url(&url), response.status(), String::from_utf8_lossy(&body)))
    })
}
