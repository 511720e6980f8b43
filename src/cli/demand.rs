//! `mtx-sidecar hook demand`: MediaMTX's `runOnDemand` for the path of a UV4L camera.
//!
//! MediaMTX starts it for the first reader, and ends it with SIGINT after the last one. The sidecar calls the camera while the
//! request of this program is open, so that a killed program ends the call, too.

use std::time::Duration;

use awc::Client;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{Outcome, hook::Args};
use crate::{backoff::Backoff, hosts, secret::shown_url, shutdown};

/// Timeout of a request up to the head of its answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// The sidecar sends something every two seconds. If nothing comes for this time, it has vanished.
const SILENCE: Duration = Duration::from_secs(10);

/// A request ends when this program does. awc wants a limit.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Pauses between attempts, while the sidecar is away or starts.
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));

/// Most bytes of a line of the answer.
const MAX_LINE: usize = 16 << 10;

/// Why a request has ended.
enum Ended {
    /// It cannot succeed.
    Refused(String),
    /// Another attempt can succeed.
    Lost(String),
}

/// A line of the answer.
#[derive(Deserialize)]
struct Status {
    state: String,
    reason: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    let path = std::env::var("MTX_PATH").unwrap_or_default();
    if path.is_empty() {
        return Err("MTX_PATH is not set: this is a command for runOnDemand of a path in mediamtx.yml".into());
    }
    args.authorities.hosts()?.run(ANSWERED_WITHIN, async |client| {
        tokio::select! {
            refused = hold(&client, args, &path) => Err(refused),
            () = shutdown::signalled() => Ok(()),
        }
    })
}

/// Holds a request open, and begins another one when it ends. Returns why the sidecar refuses.
async fn hold(client: &Client, args: &Args, path: &str) -> String {
    let mut backoff = RETRY;
    loop {
        let mut has_begun = false;
        match request(client, args, path, &mut has_begun).await {
            Ended::Refused(why) => return why,
            Ended::Lost(why) => eprintln!("mtx-sidecar: {path}: {why}; trying again"),
        }
        if has_begun {
            backoff.reset();
        }
        sleep(backoff.next_pause()).await;
    }
}

async fn request(client: &Client, args: &Args, path: &str, has_begun: &mut bool) -> Ended {
    let url = args.address();
    let failed = |why: String| format!("{}: {why}", shown_url(&url));
    let sent = args.authorized(client.post(&url)).send_json(&json!({ "MTX_PATH": path })).await;
    let mut response = match sent {
        Ok(response) => response.timeout(FOREVER),
        Err(e) if hosts::is_untrusted(&e) => return Ended::Refused(failed(hosts::explain(&e))),
        Err(e) => return Ended::Lost(failed(hosts::explain(&e))),
    };
    let status = response.status();
    if !status.is_success() {
        let body = response.body().await.unwrap_or_default();
        let why = failed(format!("the sidecar answers {status}: {}", String::from_utf8_lossy(&body)));
        return if status.is_client_error() { Ended::Refused(why) } else { Ended::Lost(why) };
    }
    *has_begun = true;
    let mut line = vec![];
    loop {
        let chunk = match timeout(SILENCE, response.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(e))) => return Ended::Lost(failed(e.to_string())),
            Ok(None) => return Ended::Lost(failed("the sidecar has ended the request".into())),
            Err(_) => return Ended::Lost(failed(format!("the sidecar sends nothing for {SILENCE:?}"))),
        };
        for byte in chunk {
            match byte {
                b'\n' => tell(path, &std::mem::take(&mut line)),
                _ if line.len() < MAX_LINE => line.push(byte),
                _ => {}
            }
        }
    }
}

/// Writes a state into MediaMTX's log. Empty lines are signs of life.
fn tell(path: &str, line: &[u8]) {
    if let Ok(Status { state, reason }) = serde_json::from_slice(line) {
        println!("mtx-sidecar: {path}: {state}: {reason}");
    }
}
