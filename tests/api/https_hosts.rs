//! HTTPS to hosts that an administrator names: MediaMTX, webhooks, another sidecar.

use std::{net::SocketAddr, process::Stdio};

use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, path},
};

use crate::support::{
    PATIENCE, TestApp, eventually,
    mediamtx::MediaMtx,
    picture,
    tls::{Authority, tls_in_front_of},
};

/// The reason for an unknown authority, and the way to trust it.
const UNTRUSTED: [&str; 2] = ["no known authority has signed it", "fetch.ca_file"];

/// TLS in front of a server, with a certificate of the authority for `localhost`.
async fn secured(authority: &Authority, behind: SocketAddr) -> String {
    let signed = authority.sign("localhost").await;
    let addr = tls_in_front_of(behind, &signed.certificate, &signed.key).await;
    format!("https://localhost:{}", addr.port())
}

async fn mediamtx_state(url: &str, ca_file: &str) -> Value {
    let app = TestApp::with(&format!("mediamtx: {{api: '{url}'}}\nfetch: {{ca_file: '{ca_file}'}}"));
    app.admin("GET", "/api/v1/mediamtx", "").await.json()
}

#[tokio::test]
async fn the_control_api_and_the_playback_server_can_have_https() {
    let (authority, server) = (Authority::new().await, MockServer::start().await);
    for (at, answer) in [
        ("/v3/info", json!({"version": "v1.20.1", "started": "now"})),
        ("/v3/recordings/get/door", json!({"name": "door", "segments": [{"start": "2026-01-31T10:00:00Z"}]})),
        ("/list", json!([{"start": "2026-01-31T10:00:00Z", "duration": 60.0}])),
    ] {
        Mock::given(path(at)).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&server).await;
    }
    let url = secured(&authority, *server.address()).await;
    let app = TestApp::with(&format!(
        "mediamtx: {{api: '{url}', playback: '{url}/'}}\nfetch: {{ca_file: '{}'}}",
        authority.file()
    ));
    let state = app.admin("GET", "/api/v1/mediamtx", "").await.json();
    assert_eq!((&state["reachable"], &state["version"]), (&json!(true), &json!("v1.20.1")), "{state}");
    let recording = app.admin("GET", "/api/v1/recordings/door", "").await.json();
    assert_eq!(recording["ranges"][0]["duration"], 60.0, "{recording}");
    let played = recording["ranges"][0]["url"].as_str().expect("a URL");
    let port = url.rsplit(':').next().expect("a port");
    assert!(played.starts_with(&format!("https://127.0.0.1:{port}/get?")), "browsers get the same scheme: {played}");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_with_the_reason() {
    let (authority, server) = (Authority::new().await, MockServer::start().await);
    let url = secured(&authority, *server.address()).await;
    let state = mediamtx_state(&url, "").await;
    let problem = state["problem"].as_str().expect("a problem");
    assert!(UNTRUSTED.iter().all(|part| problem.contains(part)), "{problem}");
    let other = authority.sign("another.example").await;
    let addr = tls_in_front_of(*server.address(), &other.certificate, &other.key).await;
    let state = mediamtx_state(&format!("https://localhost:{}", addr.port()), &authority.file()).await;
    assert!(state["problem"].as_str().is_some_and(|text| text.contains("it is for another host name")), "{state}");
    assert_eq!(server.received_requests().await.expect("recorded").len(), 0, "no request was sent");
    // The list of paths has the reason, too: administrators look there.
    let app = TestApp::with(&format!("mediamtx: {{api: '{url}'}}"));
    eventually("the reason is shown", async || {
        let listed = app.admin("GET", "/api/v1/paths", "").await.json();
        listed["mediamtx"]["error"].as_str().is_some_and(|error| error.contains(UNTRUSTED[0]))
    })
    .await;
}

/// With the certificate of the authority, as an administrator sets it up.
#[tokio::test]
async fn the_real_mediamtx_can_have_https() {
    let authority = Authority::new().await;
    let signed = authority.sign("localhost").await;
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "mediamtx: {{api: 'https://localhost:{}'}}\nfetch: {{ca_file: '{}'}}",
        ports[4],
        authority.file()
    ));
    let text = format!(
        "{}\napiEncryption: yes\napiServerCert: {}\napiServerKey: {}\n",
        mtx_sidecar::settings::MEDIAMTX_YML,
        signed.certificate.display(),
        signed.key.display()
    );
    let Some(_mediamtx) = MediaMtx::start_with(&app, &text, &ports).await else { return };
    let body = json!({"kind": "camera", "url": "rtsp://127.0.0.1:1/x"}).to_string();
    assert_eq!(app.admin("PUT", "/api/v1/paths/cam", &body).await.status, 201);
    eventually("MediaMTX has the path", async || {
        app.admin("GET", "/api/v1/paths/cam", "").await.json()["state"] == "applied"
    })
    .await;
}

#[tokio::test]
async fn webhooks_can_have_https() {
    let (authority, server) = (Authority::new().await, MockServer::start().await);
    Mock::given(any()).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let url = secured(&authority, *server.address()).await;
    let app = |ca_file: &str| {
        let webhook = format!("{{url: '{url}/in', events: [hook], tries: 1}}");
        TestApp::with(&format!("events: {{webhooks: [{webhook}]}}\nfetch: {{ca_file: '{ca_file}'}}"))
    };
    let trusting = app(&authority.file());
    assert_eq!(trusting.request("POST", "/api/v1/hooks/read", &[], b"MTX_PATH=door").await.status, 204);
    eventually("the event is posted", async || {
        server.received_requests().await.expect("recorded").iter().any(|request| request.url.path() == "/in")
    })
    .await;
    let other = app("");
    assert_eq!(other.request("POST", "/api/v1/hooks/read", &[], b"MTX_PATH=door").await.status, 204);
    let mut letters = Value::Null;
    eventually("the event is a dead letter", async || {
        letters = other.admin("GET", "/api/v1/events/dead-letters", "").await.json();
        letters["dead"].as_array().is_some_and(|dead| dead.len() == 1)
    })
    .await;
    let error = letters["dead"][0]["error"].as_str().expect("a reason");
    assert!(UNTRUSTED.iter().all(|part| error.contains(part)), "{error}");
}

/// Runs a command of the program to its end, and returns whether it succeeded, and its output.
async fn run(args: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.args(args).envs(variables.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("ends").expect("starts");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test]
async fn push_and_hook_reach_a_sidecar_by_https() {
    let authority = Authority::new().await;
    let signed = authority.sign("localhost").await;
    let app = TestApp::with(&format!(
        "http: {{listen: 127.0.0.1:0, tls: {{listen: '127.0.0.1:0', certificate: '{}', key: '{}'}}}}",
        signed.certificate.display(),
        signed.key.display()
    ));
    let url = format!("https://localhost:{}", app.tls.expect("HTTPS").port());
    let (file, ca_file) = (app.folder().join("1.jpg"), authority.file());
    std::fs::write(&file, picture(1)).expect("writes");
    let file = file.to_string_lossy().into_owned();

    let (ok, output) = run(&["push", "door", &file, "--url", &url], &[]).await;
    assert!(!ok && UNTRUSTED.iter().all(|part| output.contains(part)), "without a second attempt: {output}");
    let (ok, output) = run(&["push", "door", &file, "--url", &url, "--ca-file", &ca_file], &[]).await;
    assert!(ok && output.contains("sent 1 pictures"), "{output}");
    assert_eq!(app.get("/snapshot/door.jpg").await.body, picture(1));

    let (ok, output) = run(&["hook", "read", "--url", &url], &[("MTX_PATH", "door")]).await;
    assert!(!ok && output.contains(UNTRUSTED[0]), "{output}");
    let variables = [("MTX_PATH", "door"), ("SIDECAR__FETCH__CA_FILE", ca_file.as_str())];
    let (ok, output) = run(&["hook", "read", "--url", &url], &variables).await;
    assert!(ok, "{output}");
}
