//! Traces, sent to a collector that this test plays.

use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use crate::support::{TestApp, eventually, rtsp_client::Client};

const SETTINGS: &str =
    "streams: {card: {kind: test-card, width: 320, height: 180}, lost: {kind: file, path: none.jpg}}\n";

/// A collector that takes everything with the right secret.
async fn collector() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/traces"))
        .and(header("authorization", "Bearer hush"))
        .and(header("content-type", "application/json"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({})))
        .mount(&server)
        .await;
    server
}

/// All spans that the collector has.
async fn spans(collector: &MockServer) -> Vec<Value> {
    let mut spans = vec![];
    for request in collector.received_requests().await.expect("recorded") {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let resource = &body["resourceSpans"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "pictures");
        spans.extend(resource["scopeSpans"][0]["spans"].as_array().expect("spans").clone());
    }
    spans
}

/// Waits for a span whose name begins with this one, with this value of an attribute.
async fn span(collector: &MockServer, name: &str, attribute: &str, value: &str) -> Value {
    let mut found = None;
    eventually(&format!("the collector has {name}, {attribute}={value}"), async || {
        let has = |span: &Value| {
            let attributes = span["attributes"].as_array().expect("attributes");
            span["name"].as_str().is_some_and(|found| found.starts_with(name))
                && attributes.iter().any(|a| a["key"] == attribute && a["value"]["stringValue"] == value)
        };
        found = spans(collector).await.into_iter().find(has);
        found.is_some()
    })
    .await;
    found.expect("waited for")
}

fn with(collector: &MockServer) -> String {
    format!("{SETTINGS}traces: {{endpoint: '{}', authorization: Bearer hush, service: pictures}}\n", collector.uri())
}

#[tokio::test]
async fn a_trace_leads_from_mediamtx_s_question_to_the_start_of_the_producer() {
    let collector = collector().await;
    let app = TestApp::with(&with(&collector));
    let question =
        json!({"ip": "127.0.0.1", "action": "read", "path": "pictures/card", "protocol": "webrtc", "query": ""});
    let asked = app.request("POST", "/mediamtx-auth", &[], question.to_string().as_bytes()).await;
    assert_eq!(asked.status, 204, "{asked:?}");
    // MediaMTX pulls the stream then.
    let mut client = Client::connect(&app, "card").await;
    client.play().await;
    let question = span(&collector, "MediaMTX's question", "mediamtx.path", "pictures/card").await;
    let request = span(&collector, "POST /mediamtx-auth", "http.response.status_code", "204").await;
    let opened = span(&collector, "open by RTSP", "stream", "card").await;
    let started = span(&collector, "start producer", "kind", "test-card").await;
    for (below, above) in [(&question, &request), (&opened, &question), (&started, &opened)] {
        assert_eq!(below["traceId"], above["traceId"], "{below} {above}");
        assert_eq!(below["parentSpanId"], above["spanId"], "{below} {above}");
    }
    let time = |span: &Value, key: &str| span[key].as_str().and_then(|n| n.parse::<u128>().ok()).expect("a time");
    assert!(time(&started, "startTimeUnixNano") <= time(&started, "endTimeUnixNano"));
    assert!(time(&question, "startTimeUnixNano") <= time(&started, "startTimeUnixNano"));
}

#[tokio::test]
async fn a_failed_start_says_why_and_a_caller_s_trace_goes_on() {
    let collector = collector().await;
    let app = TestApp::with(&with(&collector));
    let traceparent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = app.request("GET", "/snapshot/lost.jpg?token=hidden", &[traceparent], b"").await;
    assert!(answer.status >= 400, "{answer:?}");
    let failed = span(&collector, "start producer", "stream", "lost").await;
    assert_eq!(failed["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(failed["status"]["code"], 2, "{failed}");
    span(&collector, "GET /snapshot/", "url.path", "/snapshot/lost.jpg").await;
    app.get("/healthz").await;
    let all = Value::from(spans(&collector).await).to_string();
    assert!(!all.contains("hidden") && !all.contains("healthz"), "{all}");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_request() {
    let app = TestApp::with(&format!("{SETTINGS}traces: {{endpoint: 'http://127.0.0.1:1'}}\n"));
    for _ in 0..20 {
        assert_eq!(app.get("/snapshot/card.jpg").await.status, 200);
    }
    let metrics = app.admin("GET", "/metrics", "").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(text.contains("mtx_sidecar_trace_spans_dropped_total 0"), "the queue has room: {text}");
}
