//! Sends spans to the collector: OTLP over HTTP in its JSON form.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, timeout},
};

use super::TraceSettings;
use crate::{
    error::Result,
    hosts::{self, Hosts},
    secret::shown_url,
};

/// Most spans in one request.
const MAX_BATCH: usize = 256;

/// A span waits this long for others.
const PAUSE: Duration = Duration::from_secs(2);

const TIMEOUT: Duration = Duration::from_secs(10);

/// The log has one line for each fault in this time.
const QUIET: Duration = Duration::from_secs(60);

/// Runs on a thread of its own, until all senders of spans are gone.
pub(super) fn start(settings: &TraceSettings, hosts: &Hosts, spans: mpsc::Receiver<Value>) -> Result<()> {
    let (settings, spans) = (settings.clone(), std::sync::Arc::new(Mutex::new(spans)));
    hosts.spawn("traces", TIMEOUT, move |client| {
        let (settings, spans) = (settings.clone(), spans.clone());
        async move { send_all(&client, &settings, &mut *spans.lock().await).await }
    })
}

async fn send_all(client: &awc::Client, settings: &TraceSettings, spans: &mut mpsc::Receiver<Value>) {
    let url = format!("{}/v1/traces", settings.endpoint.trim_end_matches('/'));
    let mut told: Option<Instant> = None;
    while let Some(first) = spans.recv().await {
        let mut batch = vec![first];
        let due = Instant::now() + PAUSE;
        while batch.len() < MAX_BATCH {
            match timeout(due.saturating_duration_since(Instant::now()), spans.recv()).await {
                Ok(Some(span)) => batch.push(span),
                Ok(None) | Err(_) => break,
            }
        }
        let count = batch.len();
        match post(client, settings, &url, batch).await {
            Ok(()) => told = None,
            // They are not sent again: a collector that is away for a while costs the traces of that while.
            Err(e) if told.is_none_or(|at| at.elapsed() > QUIET) => {
                tracing::warn!("{count} spans are not at {} (traces.endpoint): {e}", shown_url(&url));
                told = Some(Instant::now());
            }
            Err(_) => {}
        }
    }
}

async fn post(
    client: &awc::Client,
    settings: &TraceSettings,
    url: &str,
    spans: Vec<Value>,
) -> std::result::Result<(), String> {
    let mut request = client.post(url);
    if !settings.authorization.is_empty() {
        request = request.insert_header(("Authorization", settings.authorization.expose()));
    }
    let answer = request.send_json(&document(&settings.service, spans)).await.map_err(|e| hosts::explain(&e))?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("it answers {}", answer.status())) }
}

fn document(service: &str, spans: Vec<Value>) -> Value {
    let attribute = |key: &str, text: &str| json!({"key": key, "value": {"stringValue": text}});
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            attribute("service.name", service),
            attribute("service.version", env!("CARGO_PKG_VERSION")),
        ]},
        "scopeSpans": [{
            "scope": {"name": "mtx-sidecar", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans,
        }],
    }]})
}
