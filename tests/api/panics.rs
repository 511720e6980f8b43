//! Panics on purpose, one at a time: the others go on, and what must live is started again.

use std::sync::Arc;

use mtx_sidecar::faults;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use crate::{
    support::{PATIENCE, TestApp, basic, eventually, flat_picture, picture, rtsp_client::Client},
    tls::certificate,
};

const CARD: &str = "{kind: test-card, width: 64, height: 36, fps: 20}";

async fn restarts(app: &TestApp, task: &str) -> u64 {
    let metrics = app.admin("GET", "/metrics", "").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = format!("mtx_sidecar_task_restarts_total{{task=\"{task}\"}} ");
    text.lines().find_map(|found| found.strip_prefix(&line)).map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test]
async fn each_background_task_that_panics_is_started_again_while_requests_and_the_other_tasks_go_on() {
    let server = MockServer::start().await;
    let info = json!({"version": "v1.20.1", "started": "2026-01-01T00:00:00Z"});
    Mock::given(path("/v3/info")).respond_with(ResponseTemplate::new(200).set_body_json(info)).mount(&server).await;
    let hooks = MockServer::start().await;
    Mock::given(path("/in")).respond_with(ResponseTemplate::new(204)).mount(&hooks).await;
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    certificate(folder.path(), "localhost").await;
    let at = folder.path().display().to_string();
    let app = TestApp::in_folder(
        folder,
        &format!(
            "mediamtx: {{api: '{}'}}\nevents: {{webhooks: [{{url: '{}/in', events: [hook]}}]}}\nstreams: {{card: {CARD}}}\n\
             http: {{listen: 127.0.0.1:0, tls: {{listen: '127.0.0.1:0', certificate: '{at}/cert.pem', key: '{at}/key.pem'}}}}",
            server.uri(),
            hooks.uri()
        ),
    );
    let data = app.folder().join("data").display().to_string();
    let mut watcher = app.watch("/stream/card.mjpeg").await;
    let tasks = [
        "access",
        "identity",
        "paths",
        "observer",
        "uploads",
        "expiry",
        "certificates",
        "mediamtx",
        "webhook",
        "rtsp",
        "http connections",
        "rtsp connections",
    ];
    for task in tasks {
        faults::arm(task, &data);
        eventually(&format!("{task} is started again"), async || restarts(&app, task).await == 1).await;
        assert_eq!(app.get("/healthz").await.status, 200, "{task}");
        watcher.part().await;
    }
    for task in tasks {
        assert_eq!(restarts(&app, task).await, 1, "a panic in one task restarts no other: {task}");
    }
    // Each task does its work again. The pauses before the restarts have an end.
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    eventually("uploads: the picture is on the disk", async || {
        std::fs::read_dir(app.folder().join("data/frames")).is_ok_and(|files| files.count() > 0)
    })
    .await;
    app.far("GET", "/snapshot/door.jpg", &basic("eve", "guess"), "").await;
    eventually("access: the refusal is in the audit", async || {
        let audit = app.admin("GET", "/api/v1/audit", "").await;
        String::from_utf8_lossy(&audit.body).contains("wrong_credentials")
    })
    .await;
    eventually("mediamtx: questions are answered", async || {
        app.admin("GET", "/api/v1/mediamtx", "").await.json()["reachable"] == true
    })
    .await;
    eventually("paths: MediaMTX is seen", async || {
        app.admin("GET", "/api/v1/paths", "").await.json()["mediamtx"]["version"] == "v1.20.1"
    })
    .await;
    assert_eq!(app.request("POST", "/api/v1/hooks/read", &[], b"MTX_PATH=door").await.status, 204);
    eventually("webhook: the event is posted", async || {
        hooks.received_requests().await.is_some_and(|all| !all.is_empty())
    })
    .await;
    eventually("rtsp: connections are accepted", async || {
        let mut reader = Client::connect(&app, "card").await;
        reader.ask("DESCRIBE", "", &[]).await.status == 200
    })
    .await;
    certificate(app.folder(), "another").await;
    eventually("certificates: the new one is served", async || {
        let address = format!("localhost:{}", app.tls.expect("HTTPS").port());
        let mut command = tokio::process::Command::new("openssl");
        command.args(["s_client", "-connect", &address]).stdin(std::process::Stdio::null()).kill_on_drop(true);
        let shown = command.output().await.expect("openssl is there").stdout;
        String::from_utf8_lossy(&shown).contains("CN = another")
            || String::from_utf8_lossy(&shown).contains("CN=another")
    })
    .await;
}

#[tokio::test]
async fn a_panic_in_a_handler_is_an_answer_and_its_connection_goes_on() {
    let app = TestApp::with(&format!("streams: {{panic-handler: {CARD}}}"));
    let at = "/api/v1/streams/panic-handler";
    faults::arm("handler", at);
    let mut socket = app.send("GET", at, &["Connection: keep-alive"], b"").await;
    let mut read = async || {
        let mut data = vec![];
        while !data.ends_with(b"}") {
            let read = tokio::time::timeout(PATIENCE, socket.read_buf(&mut data)).await.expect("in time");
            assert!(read.expect("reads") > 0, "closed after {:?}", String::from_utf8_lossy(&data));
        }
        let answer = crate::support::Response::parse(&data);
        socket.write_all(format!("GET {at} HTTP/1.1\r\nHost: {}\r\n\r\n", app.addr).as_bytes()).await.expect("writes");
        answer
    };
    let failed = read().await;
    assert_eq!((failed.status, failed.problem().as_str()), (500, "internal"), "{failed:?}");
    assert!(!failed.detail().contains("on purpose"), "the reason is for the log: {failed:?}");
    assert_eq!(failed.header("x-content-type-options"), Some("nosniff"), "it is an answer as every other");
    assert_eq!(read().await.status, 200);
}

/// The figures of a stream are collected under its lock.
#[tokio::test]
async fn a_panic_under_the_lock_of_a_stream_takes_neither_the_stream_nor_the_lists() {
    let app = TestApp::with("stream_defaults: {expire_empty: 1s}");
    for name in ["panic-lock", "other"] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &picture(1)).await;
    }
    for path in ["/api/v1/streams", "/metrics"] {
        faults::arm("figures of a stream", "panic-lock");
        let failed = app.admin("GET", path, "").await;
        assert_eq!((failed.status, failed.problem().as_str()), (500, "internal"), "{path}");
        let again = app.admin("GET", path, "").await;
        assert_eq!(again.status, 200, "{path}");
        assert!(String::from_utf8_lossy(&again.body).contains("panic-lock"), "{path}: {again:?}");
    }
    assert_eq!(app.get("/snapshot/panic-lock.jpg").await.body, picture(1));
    assert_eq!(app.put("/api/v1/streams/panic-lock/frame", &picture(2)).await.status, 200);
}

#[tokio::test]
async fn a_panic_in_a_producer_or_in_a_stream_s_task_is_a_failure_of_that_stream_which_is_retried() {
    let app = TestApp::with(&format!("streams: {{panic-producer: {CARD}, panic-task: {CARD}, other: {CARD}}}"));
    let mut other = app.watch("/stream/other.mjpeg").await;
    for (point, name) in [("producer", "panic-producer"), ("supervisor of a stream", "panic-task")] {
        faults::arm(point, name);
        let mut watcher = app.watch(&format!("/stream/{name}.mjpeg")).await;
        eventually("the stream is live", async || app.stats(name).await["state"] == "live").await;
        assert!(!faults::is_armed(point, name), "it panicked");
        for _ in 0..3 {
            watcher.part().await;
            other.part().await;
        }
        drop(watcher);
        eventually("its producer stops with the last watcher", async || app.stats(name).await["state"] == "idle").await;
        app.watch(&format!("/stream/{name}.mjpeg")).await.part().await;
    }
    assert!(restarts(&app, "streams").await >= 1);
}

#[tokio::test]
async fn a_panic_in_an_rtsp_connection_ends_that_connection_and_gives_its_place_back() {
    let app = TestApp::with("rtsp: {listen: 127.0.0.1:0, max_connections: 2}");
    app.put("/api/v1/streams/panic-rtsp/frame", &flat_picture(64, 48, [1, 2, 3])).await;
    let mut other = Client::connect(&app, "panic-rtsp").await;
    other.play().await;
    faults::arm("RTSP request", "panic-rtsp");
    let mut fails = Client::connect(&app, "panic-rtsp").await;
    fails.send(&format!("DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", fails.base)).await;
    let mut rest = vec![];
    // The connection is closed, or reset because it had unread data.
    let _ = tokio::time::timeout(PATIENCE, fails.socket.read_to_end(&mut rest)).await.expect("it ends");
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    eventually("its place is free", async || {
        let mut next = Client::connect(&app, "panic-rtsp").await;
        next.send(&format!("DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", next.base)).await;
        let mut first = [0; 12];
        next.socket.read_exact(&mut first).await.is_ok() && first == *b"RTSP/1.0 200"
    })
    .await;
    eventually("only one watcher is left", async || app.stats("panic-rtsp").await["watchers"] == 1).await;
    let got = tokio::time::timeout(PATIENCE, other.socket.readable()).await;
    got.expect("the other connection still gets video").expect("open");
}
