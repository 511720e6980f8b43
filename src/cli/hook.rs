//! `mtx-sidecar hook`: what MediaMTX's hook variables say, posted to a running sidecar. MediaMTX's standard image has neither
//! a shell nor curl; this program is one file that can be mounted into it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Outcome;

/// MediaMTX waits for its hooks when it ends, for ever.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What has happened, such as available, unavailable, read, record-segment-complete.
    event: String,
    /// The sidecar.
    #[arg(long, default_value = "http://127.0.0.1:9995", env = "SIDECAR_URL")]
    url: String,
    /// auth.webhook_secret, if there is one.
    #[arg(long, env = "SIDECAR_WEBHOOK_SECRET", hide_env_values = true, default_value = "")]
    secret: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    // Not the query: it may have a token in it.
    let is_ours = |key: &str| key.starts_with("MTX_") && key != "MTX_QUERY" || key == "RTSP_PORT";
    let variables: Map<String, Value> =
        std::env::vars().filter(|(key, _)| is_ours(key)).map(|(key, value)| (key, Value::String(value))).collect();
    let url = format!("{}/api/v1/hooks/{}", args.url.trim_end_matches('/'), args.event);
    let post = async {
        let client = awc::Client::builder().timeout(TIMEOUT).finish();
        let mut request = client.post(&url);
        if !args.secret.is_empty() {
            request = request.basic_auth("mediamtx", &args.secret);
        }
        let mut response = request.send_json(&variables).await.map_err(|e| format!("{url}: {e}"))?;
        if response.status().is_success() {
            return Ok(());
        }
        let body = response.body().await.unwrap_or_default();
        Err(format!("{url} answers {}: {}", response.status(), String::from_utf8_lossy(&body)))
    };
    actix_web::rt::System::new().block_on(post)
}
