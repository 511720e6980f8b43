//! The requests of the console: the overview, sessions, settings, and the check of MediaMTX's configuration.

use serde_json::{Value, json};

use crate::support::{Program, TestApp, eventually, flat_picture, mediamtx::MediaMtx, picture};

async fn admin(app: &TestApp, path: &str) -> Value {
    let answer = app.admin("GET", path, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn the_overview_is_for_administrators_and_has_the_counts() {
    let app = TestApp::with("streams: {card: {kind: test-card}}\nmediamtx: {api: 'http://127.0.0.1:9'}");
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    for path in ["/api/v1/overview", "/api/v1/sessions", "/api/v1/settings", "/api/v1/mediamtx/check"] {
        assert_eq!(app.get(path).await.status, 401, "{path}");
    }
    let mut reader = app.watch("/stream/door.mjpeg").await;
    reader.part().await;
    let seen = admin(&app, "/api/v1/overview").await;
    assert_eq!((seen["streams"]["total"].as_u64(), seen["streams"]["live"].as_u64()), (Some(2), Some(1)), "{seen}");
    assert_eq!((&seen["watchers"], &seen["sessions"]), (&json!(1), &json!(1)));
    assert_eq!(seen["mediamtx"]["reachable"], false);
    assert!(seen["picture_memory"].as_u64().is_some_and(|bytes| bytes > 0));
    eventually("the throughput has the bytes of the upload and of the watcher", async || {
        let throughput = &admin(&app, "/api/v1/overview").await["throughput"];
        throughput["total_inbound"].as_u64() >= Some(picture(1).len() as u64)
            && throughput["total_outbound"].as_u64() >= Some(picture(1).len() as u64)
    })
    .await;
    let check = app.admin("GET", "/api/v1/mediamtx/check", "").await;
    assert_eq!((check.status, check.problem().as_str()), (502, "mediamtx_away"));
}

#[tokio::test]
async fn a_pasted_configuration_is_checked() {
    let app = TestApp::spawn();
    let found = app.admin("POST", "/api/v1/mediamtx/check", "paths: {x: {runOnDemand: '  '}}").await.json();
    let findings = found["findings"].as_array().expect("a list");
    assert_eq!((&findings[0]["severity"], &findings[0]["key"]), (&json!("error"), &json!("authMethod")));
    assert!(findings[0]["fix"].as_str().is_some_and(|fix| fix.starts_with("authMethod: http\n")), "{found}");
    assert!(findings.iter().any(|finding| finding["key"] == "paths.x.runOnDemand"), "{found}");
    for body in ["{", "- a list"] {
        let answer = app.admin("POST", "/api/v1/mediamtx/check", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid_body"), "{body:?}");
    }
}

#[tokio::test]
async fn watchers_and_uploads_are_listed_and_disconnected() {
    let app = TestApp::with("mediamtx: {api: 'http://127.0.0.1:9'}");
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let mut reader = app.watch("/stream/door.mjpeg").await;
    reader.part().await;
    let headers = ["Content-Type: image/jpeg", "Transfer-Encoding: chunked"];
    let mut sender = app.send("POST", "/api/v1/streams/yard/frames", &headers, b"").await;
    tokio::io::AsyncWriteExt::write_all(&mut sender, b"3\r\nabc\r\n").await.expect("writes");
    let mut listed = Value::Null;
    eventually("both are listed", async || {
        listed = admin(&app, "/api/v1/sessions").await;
        listed["sessions"].as_array().is_some_and(|all| {
            all.iter().any(|s| s["state"] == "publish" && s["inbound_bytes"] == 3)
                && all.iter().any(|s| s["protocol"] == "mjpeg")
        })
    })
    .await;
    assert!(listed["error"].as_str().is_some_and(|error| error.contains("MediaMTX")), "{listed}");
    let of = |protocol: &str| {
        let all = listed["sessions"].as_array().expect("a list");
        all.iter().find(|s| s["protocol"] == protocol).unwrap_or_else(|| panic!("{protocol} in {listed}")).clone()
    };
    let (mjpeg, upload) = (of("mjpeg"), of("upload"));
    assert_eq!((&mjpeg["path"], &upload["path"]), (&json!("door"), &json!("yard")));
    assert!(mjpeg["outbound_bytes"].as_u64() >= Some(picture(1).len() as u64), "{mjpeg}");
    assert!(mjpeg["remote"].as_str().is_some_and(|remote| remote.starts_with("127.0.0.1:")), "{mjpeg}");

    let kick = |id: &Value| format!("/api/v1/sessions/sidecar/{}", id.as_str().expect("an id"));
    assert_eq!(
        app.request("DELETE", &kick(&mjpeg["id"]), &[], b"").await.status,
        401,
        "only administrators disconnect"
    );
    assert_eq!(app.admin("DELETE", &kick(&mjpeg["id"]), "").await.status, 204);
    while reader.maybe_part().await.is_some() {}
    eventually("the session has ended", async || app.admin("DELETE", &kick(&mjpeg["id"]), "").await.status == 404)
        .await;
    for (path, status, code) in [
        ("/api/v1/sessions/sidecar/x", 404, "unknown_session"),
        ("/api/v1/sessions/pigeon/1", 400, "invalid_parameter"),
        ("/api/v1/sessions/webrtc/1", 502, "mediamtx_away"),
    ] {
        let answer = app.admin("DELETE", path, "").await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{path}");
    }
}

#[tokio::test]
async fn settings_are_shown_with_their_source_and_without_secrets() {
    let app = TestApp::with("mediamtx: {user: me, pass: hunter2}\nlog: {level: warn}");
    let shown = admin(&app, "/api/v1/settings").await;
    let settings = shown["settings"].as_array().expect("a list");
    let of = |key: &str| settings.iter().find(|s| s["key"] == key).unwrap_or_else(|| panic!("{key} in {shown}"));
    assert_eq!((&of("log.level")["value"], &of("log.level")["source"]), (&json!("warn"), &json!("file")));
    assert_eq!((&of("log.format")["value"], &of("log.format")["source"]), (&json!("text"), &json!("default")));
    assert_eq!(of("mediamtx.pass")["value"], "***");
    assert!(!shown.to_string().contains("hunter2") && !shown.to_string().contains("$argon2"), "{shown}");
    assert!(shown["file"].as_str().is_some_and(|file| file.ends_with("sidecar.yml")));
}

#[tokio::test]
async fn sessions_and_configuration_of_the_real_mediamtx_are_shown() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!("mediamtx: {{api: 'http://127.0.0.1:{}'}}", ports[4]));
    let text = mtx_sidecar::settings::MEDIAMTX_YML;
    let Some(mediamtx) = MediaMtx::start_with(&app, text, &ports).await else { return };
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [9, 99, 200])).await;
    let url = format!("rtsp://127.0.0.1:{}/pictures/door", mediamtx.rtsp);
    let _reader = Program::start("ffmpeg", &["-v", "error", "-rtsp_transport", "tcp", "-i", &url, "-f", "null", "-"]);
    let mut theirs = Value::Null;
    eventually("the reader is listed, and the session with which MediaMTX pulls", async || {
        let listed = admin(&app, "/api/v1/sessions").await;
        let all = listed["sessions"].as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|s| s["server"] == "mediamtx" && s["path"] == "pictures/door").cloned();
        theirs = found.unwrap_or_default();
        let pulled = all.iter().any(|s| s["server"] == "sidecar" && s["protocol"] == "rtsp" && s["path"] == "door");
        theirs["state"] == "read" && pulled && theirs["outbound_bytes"].as_u64() > Some(0)
    })
    .await;
    assert_eq!((&theirs["protocol"], theirs["agent"].as_str().is_some()), (&json!("rtsp"), true), "{theirs}");
    eventually("the overview counts the reader", async || {
        let seen = admin(&app, "/api/v1/overview").await;
        seen["mediamtx"]["reachable"] == true && seen["readers"] == 1 && seen["paths"]["available"] == 1
    })
    .await;
    let kick = format!("/api/v1/sessions/rtsp/{}", theirs["id"].as_str().expect("an id"));
    assert_eq!(app.admin("DELETE", &kick, "").await.status, 204);
    assert_eq!(app.admin("DELETE", &kick, "").await.status, 404);

    // The environment sets the ports of MediaMTX, so they differ from its file: findings about them are expected, and no others.
    let found = admin(&app, "/api/v1/mediamtx/check").await;
    let keys: Vec<_> = found["findings"].as_array().expect("a list").iter().map(|f| f["key"].clone()).collect();
    assert!(
        keys.iter().all(|key| key.as_str().is_some_and(|key| key.starts_with("auth") || key.ends_with(".source"))),
        "{found}"
    );
}
