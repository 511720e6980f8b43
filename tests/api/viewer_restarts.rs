//! The viewer after a restart of the sidecar or of MediaMTX: the open page shows the next picture, without a reload.

use std::net::SocketAddr;

use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    browser::Browser,
    rtsp_camera::GUARDED,
    support::{Program, TestApp, close_to, eventually, flat_picture, free_port, mediamtx::MediaMtx, middle_colour},
};

const BEFORE: [u8; 3] = [200, 60, 40];
const AFTER: [u8; 3] = [30, 90, 210];

async fn open(browser: &Browser, addr: SocketAddr, name: &str) {
    browser.client.goto(&format!("http://{addr}/viewer/#/watch/{name}")).await.expect("loads");
}

async fn shows(browser: &Browser, colour: [u8; 3]) {
    eventually("the picture is shown", async || close_to(middle_colour(&browser.screenshot().await).await, colour))
        .await;
}

/// The page has noticed that nothing plays.
async fn notices(browser: &Browser) {
    browser.find(".screen:not(.is-playing)").await;
}

/// Settings of a sidecar on ports that its successor takes over, beside a MediaMTX on these ports.
fn settings(ports: &[u16; 6]) -> String {
    let [rtsp, hls, webrtc, _, api, _] = ports;
    format!(
        "http: {{listen: '127.0.0.1:{}'}}\nrtsp: {{listen: '127.0.0.1:{}'}}\n\
         mediamtx: {{api: 'http://127.0.0.1:{api}', rtsp: 'rtsp://127.0.0.1:{rtsp}', \
         webrtc_url: 'http://127.0.0.1:{webrtc}', hls_url: 'http://127.0.0.1:{hls}'}}",
        free_port(),
        free_port()
    )
}

async fn mediamtx(app: &TestApp, ports: &[u16; 6]) -> Option<MediaMtx> {
    let mediamtx = MediaMtx::start_with(app, mtx_sidecar::settings::MEDIAMTX_YML, ports).await?;
    eventually("MediaMTX is known", async || app.get("/api/v1/wall").await.json()["mediamtx"] == true).await;
    Some(mediamtx)
}

/// The sidecar as a process of its own, which is killed.
#[tokio::test]
async fn the_page_shows_the_next_picture_after_the_sidecar_was_killed_and_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let addr: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let file = folder.path().join("sidecar.yml");
    let settings = format!(
        "http: {{listen: '{addr}'}}\nrtsp: {{listen: '127.0.0.1:0'}}\nudp: {{listen: '127.0.0.1:0'}}\n\
         mediamtx: {{api: 'http://127.0.0.1:9'}}\ndata_dir: '{0}/data'\nmedia: {{roots: ['{0}/media']}}",
        folder.path().display()
    );
    std::fs::write(&file, settings).expect("writes");
    let start = async || {
        let sidecar = Program::start(env!("CARGO_BIN_EXE_mtx-sidecar"), &["--config", &file.to_string_lossy()]);
        eventually("the sidecar listens", async || TcpStream::connect(addr).await.is_ok()).await;
        sidecar
    };
    let upload = async |colour: [u8; 3]| {
        let picture = folder.path().join("picture.jpg");
        std::fs::write(&picture, flat_picture(640, 360, colour)).expect("writes");
        let url = format!("http://{addr}/api/v1/streams/door/frame");
        Program::output("curl", &["-sS", "--fail", "-T", &picture.to_string_lossy(), &url]).await;
    };
    let mut sidecar = start().await;
    upload(BEFORE).await;
    let browser = Browser::start().await;
    open(&browser, addr, "door").await;
    browser.says(".stage-how", "Playing over MSE").await;
    shows(&browser, BEFORE).await;
    sidecar.0.kill().await.expect("it runs");
    notices(&browser).await;
    let _sidecar = start().await;
    upload(AFTER).await;
    shows(&browser, AFTER).await;

    // The wall, too.
    browser.run("location.hash = '#/'").await;
    browser.find(".tile.has-picture[data-key=door]").await;
    browser.close().await;
}

#[tokio::test]
async fn the_page_shows_the_next_picture_by_webrtc_after_a_restart_of_the_sidecar() {
    let ports = MediaMtx::ports();
    let settings = settings(&ports);
    let app = TestApp::with(&settings);
    app.put("/api/v1/streams/door/frame", &flat_picture(640, 360, BEFORE)).await;
    let Some(_mediamtx) = mediamtx(&app, &ports).await else { return };
    let browser = Browser::start().await;
    open(&browser, app.addr, "door").await;
    browser.says(".stage-how", "Playing over WebRTC").await;
    shows(&browser, BEFORE).await;
    let folder = app.stop();
    notices(&browser).await;
    let app = TestApp::in_folder(folder, &settings);
    app.put("/api/v1/streams/door/frame", &flat_picture(640, 360, AFTER)).await;
    shows(&browser, AFTER).await;
    browser.close().await;
}

/// A stream of the sidecar goes on without MediaMTX. A path of MediaMTX alone goes on when MediaMTX has it again.
#[tokio::test]
async fn the_page_shows_the_next_picture_after_mediamtx_was_killed_and_started_again() {
    let source = TestApp::with(GUARDED);
    source.put("/api/v1/streams/far/frame", &flat_picture(640, 360, BEFORE)).await;
    let ports = MediaMtx::ports();
    let app = TestApp::with(&settings(&ports));
    app.put("/api/v1/streams/door/frame", &flat_picture(640, 360, BEFORE)).await;
    let lobby = json!({"kind": "camera", "url": format!("rtsp://viewer:right@{}/far", source.rtsp)}).to_string();
    assert_eq!(app.admin("PUT", "/api/v1/paths/lobby", &lobby).await.status, 201);
    let Some(first) = mediamtx(&app, &ports).await else { return };
    let in_the_list = async || {
        let wall = app.get("/api/v1/wall").await.json();
        wall["items"].as_array().is_some_and(|items| items.iter().any(|item| item["name"] == "lobby"))
    };
    eventually("the path is in the list", in_the_list).await;
    let browser = Browser::start().await;
    open(&browser, app.addr, "lobby").await;
    browser.says(".stage-how", "Playing over WebRTC").await;
    shows(&browser, BEFORE).await;
    let other = Browser::start().await;
    open(&other, app.addr, "door").await;
    other.says(".stage-how", "Playing over WebRTC").await;
    // Dropping it kills it.
    drop(first);
    app.put("/api/v1/streams/door/frame", &flat_picture(640, 360, AFTER)).await;
    other.says(".stage-how", "Playing over MSE, because: WebRTC: MediaMTX does not answer").await;
    shows(&other, AFTER).await;
    notices(&browser).await;
    source.put("/api/v1/streams/far/frame", &flat_picture(640, 360, AFTER)).await;
    let _again = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await;
    shows(&browser, AFTER).await;
    // What plays in another way goes up again, without an interruption from outside.
    other.says(".stage-how", "Playing over WebRTC.").await;
    shows(&other, AFTER).await;
    other.close().await;
    browser.close().await;
}
