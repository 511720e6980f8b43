//! The real MediaMTX with the shipped mediamtx.yml, and with the example that uses ffmpeg.

use fantoccini::Locator;

use crate::{
    browser::Browser,
    support::{
        PATIENCE, Program, TestApp, close_to, eventually, flat_picture, free_port,
        mediamtx::{MediaMtx, first_frame},
        middle_colour,
        rtsp_client::Client,
    },
};

#[tokio::test]
async fn rtsp_and_hls_readers_get_the_uploaded_picture_on_demand() {
    let app = TestApp::spawn();
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    rtsp_and_hls_readers_get_the_picture(&app, &mediamtx).await;
}

#[tokio::test]
async fn the_recipes_with_ffmpeg_give_the_same_pictures() {
    let app = TestApp::with("streams: {card: {kind: test-card, width: 320, height: 180}}");
    let text = include_str!("../../examples/mediamtx/ffmpeg.yml");
    let Some(mediamtx) = MediaMtx::start_with(&app, text, &[]).await else { return };
    rtsp_and_hls_readers_get_the_picture(&app, &mediamtx).await;
    readers_start_and_end_it(&app, &mediamtx).await;
}

async fn rtsp_and_hls_readers_get_the_picture(app: &TestApp, mediamtx: &MediaMtx) {
    let colour = [40, 90, 210];
    app.put("/mjpeg-upload?name=imagefile", &flat_picture(640, 360, colour)).await;
    assert_eq!(app.stats("imagefile").await["watchers"], 0, "without a reader there is no watcher");
    let file = app.folder().join("seen.png");
    for url in [
        format!("rtsp://127.0.0.1:{}/imagefile", mediamtx.rtsp),
        format!("rtsp://127.0.0.1:{}/pictures/imagefile", mediamtx.rtsp),
        format!("http://127.0.0.1:{}/imagefile/index.m3u8", mediamtx.hls),
    ] {
        assert!(first_frame(&url, &file, &[]).await.success(), "{url}");
        let seen = middle_colour(&file).await;
        assert!(close_to(seen, colour), "{url}: {seen:?} for {colour:?}");
    }
}

#[tokio::test]
async fn a_stream_runs_from_the_first_reader_to_the_last() {
    let app = TestApp::with("streams: {card: {kind: test-card, width: 320, height: 180}}");
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    readers_start_and_end_it(&app, &mediamtx).await;
}

async fn readers_start_and_end_it(app: &TestApp, mediamtx: &MediaMtx) {
    let url = format!("rtsp://127.0.0.1:{}/pictures/card", mediamtx.rtsp);
    let reader = Program::start("ffmpeg", &["-v", "error", "-rtsp_transport", "tcp", "-i", &url, "-f", "null", "-"]);
    eventually("the stream is live", async || app.stats("card").await["state"] == "live").await;
    drop(reader);
    eventually("the stream is idle", async || app.stats("card").await["state"] == "idle").await;
}

/// MediaMTX pulls once for all readers, and continues when one of them is kicked.
#[tokio::test]
async fn fifty_readers_are_one_watcher_and_can_be_kicked() {
    let app = TestApp::with(
        "auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: publish}, {action: read}, {action: api}]}]}\nstreams: {card: {kind: test-card, width: 320, height: 180}}",
    );
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    let mut readers = vec![];
    for _ in 0..50 {
        let mut client = Client::connect_to(mediamtx.rtsp, "pictures/card").await;
        client.play().await;
        readers.push(client);
    }
    for reader in &mut readers {
        for _ in 0..3 {
            reader.picture().await;
        }
    }
    let stats = app.stats("card").await;
    assert_eq!((&stats["watchers"], &stats["video"][0]["readers"]), (&1.into(), &1.into()), "{stats}");
    let sessions = mediamtx.call("GET", "/v3/rtspsessions/list").await;
    let items = sessions["items"].as_array().expect("a list").clone();
    let reading: Vec<_> = items.iter().filter(|session| session["state"] == "read").collect();
    assert_eq!(reading.len(), 50, "{sessions}");
    let id = reading[0]["id"].as_str().expect("an id");
    mediamtx.call("POST", &format!("/v3/rtspsessions/kick/{id}")).await;
    // Each connection still has the data that MediaMTX sent before; after that one connection ends, and the others continue.
    let remain = |mut reader: Client| async move {
        for _ in 0..40 {
            if reader.try_picture().await.is_none() {
                return false;
            }
        }
        true
    };
    let remaining = futures_util::future::join_all(readers.into_iter().map(remain));
    let remaining = tokio::time::timeout(3 * PATIENCE, remaining).await.expect("in time");
    assert_eq!(remaining.iter().filter(|remains| !**remains).count(), 1);
    eventually("the stream is idle", async || app.stats("card").await["state"] == "idle").await;
}

/// After a restart of either program the next reader gets the picture.
#[tokio::test]
async fn a_restart_of_either_program_needs_no_restart_of_the_other() {
    let settings =
        |http: u16, rtsp: u16| format!("http: {{listen: '127.0.0.1:{http}'}}\nrtsp: {{listen: '127.0.0.1:{rtsp}'}}");
    let (http, rtsp) = (free_port(), free_port());
    let app = TestApp::with(&settings(http, rtsp));
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    let (url, colour) = (format!("rtsp://127.0.0.1:{}/imagefile", mediamtx.rtsp), [210, 120, 30]);
    let file = app.folder().join("seen.png");
    app.put("/mjpeg-upload?name=imagefile", &flat_picture(320, 180, colour)).await;
    assert!(first_frame(&url, &file, &[]).await.success());

    let folder = app.stop();
    let app = TestApp::in_folder(folder, &settings(http, rtsp));
    std::fs::remove_file(&file).expect("there");
    eventually("the picture can be read again", async || first_frame(&url, &file, &[]).await.success()).await;
    assert!(close_to(middle_colour(&file).await, colour));

    let ports = [mediamtx.rtsp, mediamtx.hls, mediamtx.webrtc];
    drop(mediamtx);
    // The next MediaMTX needs the ports of this one, which takes a moment to end.
    for port in ports {
        let is_free = async || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        eventually("the port is free", is_free).await;
    }
    let again = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await;
    assert!(again.is_some());
    std::fs::remove_file(&file).expect("there");
    assert!(first_frame(&url, &file, &[]).await.success());
    assert!(close_to(middle_colour(&file).await, colour));
}

/// MediaMTX can pull streams without credentials; readers of MediaMTX's paths need credentials.
#[tokio::test]
async fn a_wrong_password_is_refused_through_mediamtx() {
    let app = TestApp::with(
        "auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: publish}, {action: read, path: '~^[^/]+$'}]}, {user: alice, pass: right, permissions: [{action: read, path: '~^pictures/'}, {action: api}]}]}",
    );
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    let colour = [200, 40, 160];
    // Published without credentials, with the permissions of this machine, which do not include reading at MediaMTX.
    assert_eq!(app.put("/mjpeg-upload?name=door", &flat_picture(320, 240, colour)).await.status, 200);
    let file = app.folder().join("seen.png");
    let url = |user: &str| format!("rtsp://{user}127.0.0.1:{}/pictures/door", mediamtx.rtsp);
    assert!(!first_frame(&url("alice:wrong@"), &file, &[]).await.success());
    assert!(!first_frame(&url(""), &file, &[]).await.success());
    assert!(first_frame(&url("alice:right@"), &file, &[]).await.success());
    let seen = middle_colour(&file).await;
    assert!(close_to(seen, colour), "{seen:?} for {colour:?}");
}

/// By WHEP, with MediaMTX's page in Chromium; a new picture is shown while it plays.
#[tokio::test]
async fn a_browser_sees_the_picture_by_webrtc() {
    let app = TestApp::spawn();
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    let browser = Browser::start().await;
    let colours = [[210, 40, 40], [30, 170, 60]];
    app.put("/mjpeg-upload?name=imagefile", &flat_picture(640, 360, colours[0])).await;
    browser.client.goto(&format!("http://127.0.0.1:{}/imagefile/", mediamtx.webrtc)).await.expect("loads");
    browser.client.wait().at_most(PATIENCE).for_element(Locator::Css("video")).await.expect("a player");
    for colour in colours {
        app.put("/mjpeg-upload?name=imagefile", &flat_picture(640, 360, colour)).await;
        eventually("the picture is shown", async || close_to(middle_colour(&browser.screenshot().await).await, colour))
            .await;
    }
    browser.close().await;
}
