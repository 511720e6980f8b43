use crate::support::{TestApp, picture};

#[tokio::test]
async fn health_readiness_and_metrics() {
    let app = TestApp::with(
        "auth: {users: [{user: any, permissions: [{action: publish}, {action: read}]}, {user: prom, pass: p, permissions: [{action: metrics}]}], generate_admin: no}",
    );
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.get("/readyz").await.status, 200);
    app.put("/api/v1/streams/Hall/1/frame", &picture(1)).await;
    app.get("/stream/none.mjpeg").await;
    assert_eq!(app.get("/metrics").await.status, 401);
    let response = app.request("GET", "/metrics", &[&crate::support::basic("prom", "p")], b"").await;
    assert_eq!(response.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = String::from_utf8(response.body.to_vec()).expect("text");
    let size = picture(1).len();
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

#[tokio::test]
async fn the_openapi_document_knows_every_route() {
    let app = TestApp::spawn();
    let document = app.get("/api/v1/openapi.json").await.json();
    let table = include_str!("../../src/web/mod.rs");
    let routes: Vec<_> = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".service(at(\"")?.split('"').next())
        // Without the patterns of its variables.
        .map(|route| regex::Regex::new(r":[^}]+\}").expect("a pattern").replace_all(route, "}").into_owned())
        .collect();
    assert!(routes.len() > 10, "the table was not recognised: {routes:?}");
    for route in routes {
        // With a slash behind it, an alias is the same.
        let route = if route == "/" { &route } else { route.trim_end_matches('/') };
        assert!(document["paths"].get(route).is_some(), "{route} is not in the OpenAPI document");
    }
}
