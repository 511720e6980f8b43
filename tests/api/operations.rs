use std::collections::BTreeSet;

use mtx_sidecar::{output::OUTPUTS, web::addresses};
use serde_json::{Value, json};

use crate::support::{TestApp, eventually, example, picture};

#[tokio::test]
async fn health_readiness_and_metrics() {
    let app = TestApp::with(
        "auth: {users: [{user: any, permissions: [{action: publish}, {action: read}]}, {user: prom, pass: p, permissions: [{action: metrics}]}], generate_admin: no}",
    );
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.get("/readyz").await.status, 200);
    app.put("/api/v1/streams/Hall/1/frame", &picture(1)).await;
    app.get("/stream/none.mjpeg").await;
    drop(app.watch("/stream/Hall/1.mjpeg").await);
    assert_eq!(app.get("/metrics").await.status, 401);
    let response = app.request("GET", "/metrics", &[&crate::support::basic("prom", "p")], b"").await;
    assert_eq!(response.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = String::from_utf8(response.body.to_vec()).expect("text");
    let size = picture(1).len();
    let left = "mtx_sidecar_watchers_left_total{output=\"mjpeg\",reason=\"connection closed\"} 1";
    let prom = crate::support::basic("prom", "p");
    eventually("the watcher that left is counted", async || {
        let metrics = app.request("GET", "/metrics", &[&prom], b"").await;
        String::from_utf8_lossy(&metrics.body).lines().any(|line| line == left)
    })
    .await;
    for line in [
        "mtx_sidecar_stream_frames_total{stream=\"Hall/1\",kind=\"upload\"} 1.0".to_owned(),
        format!("mtx_sidecar_stream_bytes_total{{stream=\"Hall/1\",kind=\"upload\"}} {size}.0"),
        "mtx_sidecar_streams 1.0".to_owned(),
        format!("mtx_sidecar_frame_memory_bytes {size}.0"),
        "mtx_sidecar_http_requests_total{route=\"/stream/{name:.+}.mjpeg\",status=\"404\"} 1".to_owned(),
        "mtx_sidecar_auth_decisions_total{action=\"publish\",decision=\"allowed\"} 1".to_owned(),
        "# EOF".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}

/// The addresses of the document with their methods.
fn documented(document: &Value) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        all.extend(methods.as_object().expect("methods").keys().map(|method| (path.clone(), method.to_uppercase())));
    }
    all
}

#[tokio::test]
async fn the_openapi_document_has_exactly_the_routes_and_methods_of_the_server() {
    let app = TestApp::spawn();
    let document = app.get("/api/v1/openapi.json").await.json();
    let mut served = BTreeSet::new();
    for address in addresses() {
        let at = example(address.pattern(), "x");
        let mut allowed = vec![];
        for method in ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"] {
            // Without credentials, so that the request changes nothing.
            let answer = app.outcome(method, &at, &[], b"").await;
            if answer.status != 405 {
                served.insert((address.path(), method.to_owned()));
                allowed.push(method);
                let is_unknown = answer.status == 404 && method != "HEAD" && answer.problem() == "not_found";
                assert!(!is_unknown, "nothing answers {method} {at}");
                continue;
            }
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {at}: {answer:?}");
            if method != "HEAD" {
                assert_eq!(answer.problem(), "method_not_allowed", "{method} {at}");
            }
            let declared: Vec<_> = address.methods().map(|method| method.as_str()).collect();
            assert_eq!(answer.header("allow"), Some(declared.join(", ").as_str()), "{method} {at}");
        }
        let mut declared: Vec<_> = address.methods().map(|method| method.as_str()).collect();
        declared
            .sort_by_key(|method| ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"].iter().position(|m| m == method));
        assert_eq!(allowed, declared, "{at}");
    }
    assert!(served.len() > 100, "{served:?}");
    assert_eq!(documented(&document), served);
}

#[tokio::test]
async fn the_openapi_document_has_unique_ids_true_parameters_events_and_outputs() {
    let app = TestApp::spawn();
    let document = app.get("/api/v1/openapi.json").await.json();
    let operations =
        document["paths"].as_object().expect("paths").values().flat_map(|path| path.as_object().expect("it"));
    let ids: Vec<_> = operations.filter_map(|(_, operation)| operation["operationId"].as_str()).collect();
    assert!(ids.len() > 90, "{ids:?}");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
            let in_path: BTreeSet<_> = in_path.filter_map(|parameter| parameter["name"].as_str()).collect();
            let variables = path.split('{').skip(1).filter_map(|part| part.split('}').next());
            assert_eq!(in_path, variables.collect(), "parameters of {method} {path}");
        }
    }
    let kinds = &document["components"]["schemas"]["EventKind"];
    assert!(kinds["enum"].as_array().is_some_and(|words| words.contains(&json!("path.drift"))), "{kinds}");
    assert_eq!(
        document["components"]["schemas"]["Event"]["properties"]["type"]["$ref"],
        "#/components/schemas/EventKind"
    );
    for output in OUTPUTS {
        let kind = output.kind();
        let operation = &document["paths"][kind.path]["get"];
        assert_eq!(operation["summary"], kind.about, "{}: {operation}", kind.path);
        let responses = operation["responses"].as_object().expect("responses");
        let has = responses.values().any(|response| !response["content"][kind.content_type].is_null());
        assert!(has, "{} does not give {}: {operation}", kind.path, kind.content_type);
    }
}
