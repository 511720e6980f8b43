//! Every error is a problem document with a documented code, at every address: tests that walk the list of routes.

use mtx_sidecar::{
    error::Code,
    library::Location,
    web::{Address, addresses},
};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use crate::support::{Response, TestApp, basic, example};

/// Settings with the names that addresses without a name need.
const SETTINGS: &str = "aliases: {webcams: [x]}\nmediamtx: {api: 'http://127.0.0.1:9'}";

/// Fails if the answer is an error without a problem document, or with an unknown code. HEAD has no body.
fn check(answer: &Response, method: &str, at: &str) {
    if answer.status < 400 {
        return;
    }
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {at}: {answer:?}");
    if method != "HEAD" {
        let code = answer.problem();
        let known = Code::ALL.iter().find(|known| known.as_str() == code);
        assert_eq!(known.map(|known| known.status()), Some(answer.status), "{method} {at}: {answer:?}");
    }
}

fn joined(at: &str, query: &str) -> String {
    format!("{at}{}{query}", if at.contains('?') { '&' } else { '?' })
}

/// All routes as method, address and documented operation, with this value for their variables.
fn operations<'a>(document: &'a Value, value: &'a str) -> impl Iterator<Item = (&'a str, String, &'a Value)> {
    addresses().iter().flat_map(move |address: &Address| {
        let operation = &document["paths"][address.path()];
        address.methods().map(move |method| {
            (method.as_str(), example(address.pattern(), value), &operation[method.as_str().to_lowercase()])
        })
    })
}

fn takes_json(operation: &Value) -> bool {
    let content = &operation["requestBody"]["content"];
    !content["application/json"].is_null() || !content["application/merge-patch+json"].is_null()
}

#[tokio::test]
async fn wrong_queries_get_problem_documents() {
    let app = TestApp::with(SETTINGS);
    let admin = basic("admin", app.password.as_deref().expect("generated"));
    let document = app.get("/api/v1/openapi.json").await.json();
    let mut asked = 0;
    for (method, at, operation) in operations(&document, "x") {
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().expect("a name"))
            .collect();
        for name in &names {
            let twice = joined(&at, &format!("{name}=1&{name}=1"));
            let answer = app.outcome(method, &twice, &[&admin], b"").await;
            check(&answer, method, &twice);
            assert_eq!(answer.status, 400, "{method} {twice}: {answer:?}");
            if method != "HEAD" {
                assert_eq!(answer.problem(), "invalid_parameter", "{method} {twice}");
            }
            asked += 1;
        }
        let impossible = names.iter().map(|name| format!("{name}=-1%00%FF")).collect::<Vec<_>>().join("&");
        let impossible = joined(&at, &impossible);
        // Without parameters the request is valid, and a search would begin.
        if !names.is_empty() {
            check(&app.outcome(method, &impossible, &[&admin], b"").await, method, &impossible);
        }
    }
    assert!(asked > 100, "only {asked} parameters were found");
    for query in ["limit=abc", "limit=0", "start=-1", "type=noise"] {
        let refused = app.admin("GET", &format!("/api/v1/media?path=&{query}"), "").await;
        let field = query.split('=').next().expect("a name");
        assert_eq!((refused.problem().as_str(), refused.json()["field"].as_str()), ("invalid_parameter", Some(field)));
    }
    let refused = app.admin("GET", "/api/v1/audit?limit=abc", "").await;
    assert_eq!((refused.problem().as_str(), refused.json()["field"].as_str()), ("invalid_parameter", Some("limit")));
    let refused = app.admin("GET", "/api/v1/media/info", "").await;
    assert_eq!((refused.problem().as_str(), refused.json()["field"].as_str()), ("invalid_parameter", Some("path")));
}

#[tokio::test]
async fn addresses_that_cannot_be_decoded_get_problem_documents() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("index.html"), "<title>mine</title>").expect("writes");
    let from_folder = format!("{SETTINGS}\nhttp: {{static_dir: '{}'}}", folder.path().display());
    for app in [TestApp::with(SETTINGS), TestApp::with(&from_folder)] {
        let admin = basic("admin", app.password.as_deref().expect("generated"));
        let document = app.get("/api/v1/openapi.json").await.json();
        for (method, at, _) in operations(&document, "%FF").filter(|(_, at, _)| at.contains("%FF")) {
            let answer = app.outcome(method, &at, &[&admin], b"").await;
            check(&answer, method, &at);
            assert!(answer.status >= 400, "{method} {at}: {answer:?}");
        }
        for at in
            ["/%FF", "/nothing/%FF", "/a%2Fb", "/%00", "/static/%FF", "/..%2F..%2Fetc", "/*x", "/x:", "/nothing/here"]
        {
            for method in ["GET", "POST", "DELETE"] {
                let answer = app.outcome(method, at, &[], b"").await;
                check(&answer, method, at);
                assert!(answer.status >= 400, "{method} {at}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn wrong_and_oversized_bodies_get_problem_documents() {
    let app = TestApp::with(SETTINGS);
    let admin = basic("admin", app.password.as_deref().expect("generated"));
    let document = app.get("/api/v1/openapi.json").await.json();
    let mut with_json = 0;
    for (method, at, operation) in operations(&document, "x") {
        if !["PUT", "POST", "PATCH"].contains(&method) {
            continue;
        }
        let headers = [admin.as_str(), "Content-Type: application/json"];
        let wrong = app.outcome(method, &at, &headers, b"{\"").await;
        check(&wrong, method, &at);
        let too_long = app.outcome(method, &at, &[&admin, "Content-Length: 99999999999"], b"").await;
        check(&too_long, method, &at);
        if takes_json(operation) {
            with_json += 1;
            assert!([400, 422].contains(&wrong.status), "{method} {at}: {wrong:?}");
            assert_eq!((too_long.status, too_long.problem().as_str()), (413, "body_too_large"), "{method} {at}");
        }
    }
    assert!(with_json > 15, "only {with_json} addresses take JSON");
}

/// The same for bodies whose length is not announced, and the codes of wrong JSON.
#[tokio::test]
async fn limits_of_bodies_hold_and_codes_fit_the_address() {
    let app = TestApp::with(SETTINGS);
    let admin = basic("admin", app.password.as_deref().expect("generated"));
    for (method, at, most) in [
        ("POST", "/api/v1/login", 16 << 10),
        ("POST", "/mediamtx-auth", 256 << 10),
        ("PUT", "/api/v1/streams/x", 256 << 10),
        ("POST", "/api/v1/mediamtx/check", 4 << 20),
        ("PUT", "/api/v1/paths", 16_000_000),
    ] {
        let mut body = format!("{:x}\r\n", most + 1).into_bytes();
        body.resize(body.len() + most + 1, b' ');
        body.extend_from_slice(b"\r\n0\r\n\r\n");
        let answer = app.outcome(method, at, &[&admin, "Transfer-Encoding: chunked"], &body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (413, "body_too_large"), "{method} {at}");
    }
    let anonymous = app.outcome("PUT", "/api/v1/paths", &["Content-Length: 99999999999"], b"").await;
    assert_eq!(anonymous.status, 401, "nothing of the body is read for a caller without a login: {anonymous:?}");
    for (method, at, body, code, field) in [
        ("POST", "/api/v1/login", "{}", "invalid_body", Some("user")),
        ("POST", "/api/v1/shares/open", "{", "invalid_body", None),
        ("POST", "/api/v1/me/password", r#"{"old": "x"}"#, "invalid_body", Some("old")),
        ("POST", "/api/v1/keys/rotate", r#"{"drop": true}"#, "invalid_body", Some("drop")),
        ("POST", "/api/v1/media/channel", "{}", "invalid_body", Some("path")),
        ("POST", "/mediamtx-add-media", "{}", "invalid_body", Some("path")),
        ("POST", "/mediamtx-delete-media", "[]", "invalid_body", None),
        ("POST", "/api/v1/discover/onvif", "{}", "invalid_body", Some("address")),
        ("POST", "/api/v1/mediamtx/check", "a: [", "invalid_body", None),
        ("POST", "/api/v1/hooks/read", "{", "invalid_body", None),
        ("PUT", "/api/v1/users/bob", r#"{"x": 1}"#, "invalid_identity", Some("x")),
        ("POST", "/api/v1/tokens", "{", "invalid_identity", None),
        ("PUT", "/api/v1/paths", "{}", "invalid_path", Some("paths")),
        ("PUT", "/api/v1/paths/x", "{}", "invalid_path", Some("kind")),
        ("PUT", "/api/v1/streams/x", "{}", "invalid_definition", None),
    ] {
        let refused = app.admin(method, at, body).await;
        assert_eq!(refused.problem(), code, "{method} {at} {body}: {refused:?}");
        assert_eq!(refused.json()["field"].as_str(), field, "{method} {at} {body}: {refused:?}");
    }
}

#[tokio::test]
async fn ten_thousand_paths_fit_into_one_request() {
    let app = TestApp::with(SETTINGS);
    let path = |n: usize| {
        json!({
            "kind": "camera",
            "url": format!("rtsp://operator:{}@camera-{n}.example:8554/Streaming/Channels/101?transportmode=unicast", "p".repeat(40)),
            "record": true,
            "note": "n".repeat(200),
            "labels": {"floor": "ground", "side": "north", "site": format!("building {}", n % 20)},
        })
    };
    let paths: serde_json::Map<_, _> = (0..10_000).map(|n| (format!("site/camera-{n}"), path(n))).collect();
    let body = json!({ "paths": paths }).to_string();
    assert!(body.len() > 4 << 20, "{} bytes", body.len());
    let answer = app.admin("PUT", "/api/v1/paths?dry_run=1", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Files and preflights are answered by libraries, whose errors have other bodies or none.
#[tokio::test]
async fn errors_of_files_and_of_preflights_are_problem_documents() {
    let folder = std::sync::Arc::new(tempfile::tempdir().expect("a folder"));
    std::fs::create_dir_all(folder.path().join("media")).expect("makes");
    std::fs::write(folder.path().join("media/clip.mp4"), b"0123456789").expect("writes");
    let app = TestApp::in_folder(folder, "http: {cors_origins: ['https://home.example']}");
    let clip = Location { root: "media".into(), path: "clip.mp4".into() }.id();
    let at = format!("/api/v1/media/content/{clip}");
    let outside = app.request("GET", &at, &["Range: bytes=20-30"], b"").await;
    assert_eq!((outside.status, outside.problem().as_str()), (416, "range_not_satisfiable"), "{outside:?}");
    assert_eq!(outside.header("content-range"), Some("bytes */10"), "what RFC 9110 asks of 416 stays");
    let changed = app.request("GET", &at, &["If-Match: \"other\""], b"").await;
    assert_eq!((changed.status, changed.problem().as_str()), (412, "precondition_failed"), "{changed:?}");
    let preflight = [
        "Origin: https://home.example",
        "Access-Control-Request-Method: PUT",
        "Access-Control-Request-Headers: X-Other",
    ];
    let refused = app.request("OPTIONS", "/api/v1/streams", &preflight, b"").await;
    assert_eq!((refused.status, refused.problem().as_str()), (400, "invalid_request"), "{refused:?}");
    // MediaMTX writes the reason into its log: the one error in another form.
    let question =
        json!({"action": "read", "path": "x", "ip": "192.0.2.1", "user": "eve", "password": "x"}).to_string();
    let denied = app.request("POST", "/mediamtx-auth", &[], question.as_bytes()).await;
    assert_eq!((denied.status, denied.header("content-type")), (401, Some("text/plain")), "{denied:?}");
}

#[tokio::test]
async fn a_recording_without_such_a_file_is_no_missing_path() {
    let mediamtx = MockServer::start().await;
    let listed = json!({"name": "hall", "segments": [{"start": "2026-11-20T10:00:00.5+09:00"}]});
    let answer = ResponseTemplate::new(200).set_body_json(listed);
    Mock::given(path("/v3/recordings/get/hall")).respond_with(answer).mount(&mediamtx).await;
    let app = TestApp::with(&format!("mediamtx: {{api: '{}'}}", mediamtx.uri()));
    let refused = app.admin("DELETE", "/api/v1/recordings/hall?start=2026-11-20T10:00:00Z", "").await;
    assert_eq!((refused.status, refused.problem().as_str()), (404, "unknown_file"), "{refused:?}");
    assert_eq!(refused.json()["field"], "start");
}
