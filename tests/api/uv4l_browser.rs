//! UV4L cameras whose WebRTC is that of Chromium: watched in the viewer without MediaMTX, and as a path of the real MediaMTX. And a
//! room in which two pages find each other.

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    support::{
        TestApp, close_to, eventually,
        mediamtx::{MediaMtx, first_frame},
        middle_colour,
        uv4l_camera::{Script, Uv4lCamera},
    },
};

const GREEN: [u8; 3] = [20, 160, 20];

/// A camera with a browser behind it; `query` is that of its page.
async fn camera(query: &str) -> (Uv4lCamera, Browser) {
    let camera = Uv4lCamera::start(Script { by_peer: true, ..Script::default() }).await;
    let browser = Browser::start_with(&["--disable-features=WebRtcHideLocalIpsWithMdns"]).await;
    browser.client.goto(&format!("http://127.0.0.1:{}/page{query}", camera.port)).await.expect("loads");
    eventually("the browser is connected", async || camera.has_peer()).await;
    (camera, browser)
}

async fn shows_green(browser: &Browser) {
    eventually("the camera's picture is shown", async || {
        close_to(middle_colour(&browser.screenshot().await).await, GREEN)
    })
    .await;
}

/// With the camera's own options: candidates one by one, and all at once.
#[tokio::test]
async fn the_viewer_shows_a_camera_without_mediamtx() {
    let (camera, pi) = camera("").await;
    for (calls, trickle) in [(1, "yes"), (2, "no")] {
        let app =
            TestApp::with(&format!("uv4l: {{cameras: {{door: {{url: '{}', trickle_ice: {trickle}}}}}}}", camera.url()));
        let browser = Browser::start_with(&["--disable-features=WebRtcHideLocalIpsWithMdns"]).await;
        browser.client.goto(&format!("http://{}/viewer/#/watch/door", app.addr)).await.expect("loads");
        browser.says(".stage-how", "Playing over WebRTC.").await;
        shows_green(&browser).await;
        let seen = camera.seen();
        assert_eq!((seen.len(), &seen[calls - 1][..2]), (calls, &["call".to_owned(), "answer".into()][..]), "{seen:?}");
        if calls == 1 {
            // A second viewer is told why it sees nothing.
            let other = Browser::start_with(&[]).await;
            other.client.goto(&format!("http://{}/viewer/#/watch/door", app.addr)).await.expect("loads");
            other.says(".stage", "busy: the camera takes one call at a time").await;
            other.close().await;
            browser.run("location.hash = '#/'").await;
        } else {
            browser.kill().await;
        }
        eventually("the camera is free", async || camera.open() == 0).await;
        assert_eq!(camera.seen()[calls - 1].last().map(String::as_str), Some("hangup"));
        eventually("its page has no call", async || pi.run("return Object.keys(calls).length").await == 0).await;
    }
    pi.close().await;
}

/// A sidecar with a MediaMTX and this camera as the path `cameras/pi`.
async fn with_path(camera: &Uv4lCamera, more: &Value) -> Option<(TestApp, MediaMtx)> {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "mediamtx: {{api: 'http://127.0.0.1:{}', rtsp: 'rtsp://127.0.0.1:{}', webrtc: 'http://127.0.0.1:{2}', webrtc_url: 'http://127.0.0.1:{2}'}}",
        ports[4], ports[0], ports[2]
    ));
    let mediamtx = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await?;
    let mut definition = json!({"kind": "uv4l", "url": camera.url()});
    definition.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    assert_eq!(app.admin("PUT", "/api/v1/paths/cameras%2Fpi", &definition.to_string()).await.status, 201);
    eventually("MediaMTX has the path", async || path(&app).await["state"] == "applied").await;
    Some((app, mediamtx))
}

async fn path(app: &TestApp) -> Value {
    app.admin("GET", "/api/v1/paths/cameras%2Fpi", "").await.json()
}

async fn is(app: &TestApp, state: &str) {
    eventually(&format!("the camera's path is {state}"), async || path(app).await["bridge"]["state"] == state).await;
}

/// VP8 is offered first; MediaMTX gets H.264.
#[tokio::test]
async fn a_camera_is_a_path_of_mediamtx_and_comes_back_after_it_has_hung_up() {
    let (camera, pi) = camera("?vp8").await;
    let Some((app, mediamtx)) = with_path(&camera, &json!({"on_demand": false})).await else { return };
    is(&app, "live").await;
    assert_eq!(camera.seen().len(), 1, "the camera is not called before MediaMTX has the path");
    let answer: Value = serde_json::from_str(camera.texts(0)[1]["data"].as_str().expect("a text")).expect("JSON");
    let answer = answer["sdp"].as_str().expect("SDP").to_owned();
    assert!(
        answer.contains("a=mid:video\r\n") && answer.contains("m=application 0 ") && answer.contains("H264"),
        "{answer}"
    );
    let seen = app.folder().join("seen.png");
    let url = format!("rtsp://127.0.0.1:{}/cameras/pi", mediamtx.rtsp);
    assert!(first_frame(&url, &seen, &[]).await.success());
    assert!(close_to(middle_colour(&seen).await, GREEN));
    // Every output that a path has: here a snapshot.
    let snapshot = app.get("/snapshot/cameras/pi.jpg").await;
    assert_eq!((snapshot.status, snapshot.header("content-type")), (200, Some("image/jpeg")), "{snapshot:?}");
    camera.say(0, r#"{"what":"hangup"}"#);
    eventually("the camera is called again", async || camera.seen().len() == 2).await;
    is(&app, "live").await;
    let state = path(&app).await;
    assert_eq!(app.admin("DELETE", "/api/v1/paths/cameras%2Fpi", "").await.status, 204);
    eventually("the camera is free", async || camera.open() == 0).await;
    assert_eq!(camera.seen()[1].last().map(String::as_str), Some("hangup"), "{state}");
    pi.close().await;
}

#[tokio::test]
async fn a_camera_on_demand_is_called_for_the_first_reader_and_hung_up_after_the_last() {
    let (camera, pi) = camera("").await;
    let Some((app, _mediamtx)) = with_path(&camera, &json!({})).await else { return };
    is(&app, "idle").await;
    assert!(camera.seen().is_empty(), "no reader, no call");
    let wall_has_it = async |available: bool| {
        eventually(&format!("the wall has the path, available: {available}"), async || {
            let wall = app.get("/api/v1/wall").await.json();
            let mut items = wall["items"].as_array().into_iter().flatten();
            let path = items.find(|item| item["name"] == "cameras/pi").map(|item| item["path"].clone());
            path.is_some_and(|path| path["on_demand"] == true && path["available"] == available)
        })
        .await;
    };
    wall_has_it(false).await;
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/#/watch/cameras/pi", app.addr)).await.expect("loads");
    browser.says(".stage-how", "Playing over WebRTC.").await;
    shows_green(&browser).await;
    is(&app, "live").await;
    assert_eq!(camera.seen().len(), 1);
    // The wall finds a path that is available, and reads nothing of it: it would be the reader that keeps the camera.
    wall_has_it(true).await;
    browser.run("location.hash = '#/'").await;
    browser.client.refresh().await.expect("loads");
    browser.says(".tile[data-key='cameras/pi'] .badge", "ready").await;
    eventually("the camera is hung up", async || camera.open() == 0).await;
    assert_eq!(camera.seen()[0].last().map(String::as_str), Some("hangup"));
    is(&app, "idle").await;
    // The wall does not wake it.
    browser.find(".tile[data-key='cameras/pi']").await;
    assert_eq!(camera.seen().len(), 1);
    browser.close().await;
    pi.close().await;
}

/// The path is one of mediamtx.yml, and the sidecar knows the camera only.
#[tokio::test]
async fn mediamtx_has_a_camera_called_by_run_on_demand() {
    let (camera, pi) = camera("").await;
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "mediamtx: {{api: 'http://127.0.0.1:{}', rtsp: 'rtsp://127.0.0.1:{}', webrtc: 'http://127.0.0.1:{}'}}\nuv4l: {{cameras: {{pi: {{url: '{}'}}}}}}",
        ports[4],
        ports[0],
        ports[2],
        camera.url()
    ));
    let text = format!(
        "{}\n  pi:\n    runOnDemand: {} hook demand --url http://127.0.0.1:9995\n",
        mtx_sidecar::settings::MEDIAMTX_YML,
        env!("CARGO_BIN_EXE_mtx-sidecar")
    );
    let Some(mediamtx) = MediaMtx::start_with(&app, &text, &ports).await else { return };
    assert!(camera.seen().is_empty(), "no reader, no call");
    let url = format!("rtsp://127.0.0.1:{}/pi", mediamtx.rtsp);
    for reader in 0..2 {
        let seen = app.folder().join("seen.png");
        assert!(first_frame(&url, &seen, &[]).await.success(), "the first reader waits until the video is there");
        assert!(close_to(middle_colour(&seen).await, GREEN));
        // MediaMTX ends the command after the last reader (runOnDemandCloseAfter).
        eventually("the camera is hung up", async || camera.open() == 0).await;
        let seen = camera.seen();
        assert_eq!((seen.len(), seen[reader].last().map(String::as_str)), (reader + 1, Some("hangup")), "{seen:?}");
    }
    pi.close().await;
}

#[tokio::test]
async fn two_pages_find_each_other_in_a_room() {
    let pages = tempfile::tempdir().expect("a folder");
    std::fs::copy(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/signal/index.html"),
        pages.path().join("room.html"),
    )
    .expect("copies");
    let app = TestApp::with(&format!("http: {{static_dir: '{}'}}", pages.path().display()));
    let browser = Browser::start_with(&["--disable-features=WebRtcHideLocalIpsWithMdns"]).await;
    let url = format!("http://{}/room.html#test", app.addr);
    browser.client.goto(&url).await.expect("loads");
    browser.says("#state", "waiting").await;
    let second = browser.client.new_window(true).await.expect("opens");
    browser.client.switch_to_window(second.handle).await.expect("switches");
    browser.client.goto(&url).await.expect("loads");
    browser.says("#state", "connected").await;
    browser.says("#messages", "hello from").await;
    browser.close().await;
}
