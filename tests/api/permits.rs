//! Limits on callers that stay connected: permission first, then the permit, and only then the camera.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{TestApp, eventually, picture, rtsp_client::Client};

const FULL: &str = "limits: {watchers: 1}\nstreams: {camera: {kind: test-card, width: 64, height: 36, fps: 5}}";

async fn state(app: &TestApp) -> serde_json::Value {
    app.stats("camera").await["state"].clone()
}

#[tokio::test]
async fn a_watcher_beyond_the_limit_starts_no_camera() {
    let app = TestApp::with(FULL);
    app.put("/api/v1/streams/still/frame", &picture(1)).await;
    let _only = app.watch("/stream/still.mjpeg").await;
    let mjpeg = app.get("/stream/camera.mjpeg").await;
    assert_eq!((mjpeg.status, mjpeg.problem().as_str()), (503, "too_many_watchers"));
    let recipe = app.get("/mjpeg-get?name=new").await;
    assert_eq!((recipe.status, recipe.problem().as_str()), (503, "too_many_watchers"));
    let websocket = app.ws("/ws/camera", &[]).await.err().expect("refused");
    assert_eq!((websocket.status, websocket.problem().as_str()), (503, "too_many_watchers"));
    let refused = Client::connect(&app, "camera").await.ask("DESCRIBE", "", &[]).await;
    assert_eq!(refused.status, 503);
    // A started producer stays in `starting`, `live` or `lingering` for at least the linger.
    assert_eq!(state(&app).await, "idle");
    assert_eq!(app.get("/api/v1/streams/new").await.status, 404, "a refused recipe makes no stream");
}

#[tokio::test]
async fn publishers_have_a_limit_of_their_own() {
    let app = TestApp::with("limits: {watchers: 1, publishers: 2}");
    app.put("/api/v1/streams/still/frame", &picture(1)).await;
    let _watcher = app.watch("/stream/still.mjpeg").await;
    // A WebSocket publisher takes no watcher's place, and an endless upload counts.
    let websocket = app.ws("/ws/one?push=1", &[]).await.expect("a place for publishers is free");
    let mut upload = app.send("POST", "/api/v1/streams/two/frames", &["Content-Length: 1000000"], &picture(2)).await;
    eventually("the upload is connected", async || app.get("/api/v1/streams/two").await.status == 200).await;
    let third = app.ws("/ws/three?push=1", &[]).await.err().expect("refused");
    assert_eq!((third.status, third.problem().as_str()), (503, "too_many_publishers"));
    let third = app.request("POST", "/api/v1/streams/three/frames", &[], &picture(3)).await;
    assert_eq!((third.status, third.problem().as_str()), (503, "too_many_publishers"));
    assert_eq!(
        app.put("/api/v1/streams/three/frame", &picture(3)).await.status,
        200,
        "a single upload needs no permit"
    );
    drop(websocket);
    eventually("the place of the publisher is free again", async || app.ws("/ws/three?push=1", &[]).await.is_ok())
        .await;
    upload.shutdown().await.expect("the upload ends");
    let mut rest = vec![];
    let _ = upload.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn bytes_of_a_websocket_publisher_count_as_received() {
    let app = TestApp::spawn();
    let mut publisher = app.ws("/ws/cam?push=1", &[]).await.expect("connects");
    publisher.binary(picture(1)).await;
    assert_eq!(publisher.notice().await["type"], "taken");
    let sessions = app.admin("GET", "/api/v1/sessions", "").await.json();
    let session = &sessions["sessions"][0];
    assert_eq!(
        (&session["protocol"], &session["state"], &session["path"], &session["outbound_bytes"]),
        (&json!("websocket"), &json!("publish"), &json!("cam"), &json!(0)),
        "{sessions}"
    );
    assert!(session["inbound_bytes"].as_u64() >= Some(picture(1).len() as u64), "{sessions}");
}
