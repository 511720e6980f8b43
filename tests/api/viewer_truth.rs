//! The viewer says live only while new pictures come, and says why there are none.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    browser::Browser,
    support::{Program, TestApp, eventually, fake_camera::FakeCamera, flat_picture, free_port, mediamtx::MediaMtx},
};

const COLOUR: [u8; 3] = [200, 60, 40];

async fn open(browser: &Browser, addr: SocketAddr, at: &str) {
    browser.client.goto(&format!("http://{addr}/viewer/{at}")).await.expect("loads");
}

/// Waits until the element is not there, or is hidden.
async fn is_gone(browser: &Browser, css: &str) {
    eventually(&format!("{css} is gone"), async || {
        browser.run(&format!("return document.querySelector({css:?})?.checkVisibility() ?? false")).await == false
    })
    .await;
}

/// The sidecar is a process of its own, which is killed while the wall is open.
#[tokio::test]
async fn without_the_sidecar_pictures_are_grey_and_a_line_says_so_until_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let addr: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let file = folder.path().join("sidecar.yml");
    let settings = format!(
        "http: {{listen: '{addr}'}}\nrtsp: {{listen: '127.0.0.1:0'}}\nudp: {{listen: '127.0.0.1:0'}}\n\
         mediamtx: {{api: 'http://127.0.0.1:9'}}\ndata_dir: '{0}/data'\nmedia: {{roots: ['{0}/media']}}\n\
         streams: {{card: {{kind: test-card, width: 320, height: 180}}}}",
        folder.path().display()
    );
    std::fs::write(&file, settings).expect("writes");
    let start = async || {
        let sidecar = Program::start(env!("CARGO_BIN_EXE_mtx-sidecar"), &["--config", &file.to_string_lossy()]);
        eventually("the sidecar listens", async || TcpStream::connect(addr).await.is_ok()).await;
        sidecar
    };
    let mut sidecar = start().await;
    let (wall, stage) = (Browser::start().await, Browser::start().await);
    open(&wall, addr, "").await;
    wall.find(".tile.has-picture[data-key=card]").await;
    wall.says(".tile[data-key=card] .badge", "live").await;
    open(&stage, addr, "#/watch/card").await;
    stage.says(".stage-head .badge", "live").await;
    sidecar.0.kill().await.expect("it runs");
    wall.says(".banner", "The server does not answer").await;
    wall.find(".tile.is-stale[data-key=card]").await;
    wall.says(".tile[data-key=card] .badge", "no connection").await;
    wall.says(".tile[data-key=card]", "This picture is old").await;
    wall.keep_screenshot("wall-away-desktop").await;
    stage.says(".banner", "The server does not answer").await;
    stage.says(".stage-head .badge", "no connection").await;
    is_gone(&stage, ".stage-live").await;
    let _sidecar = start().await;
    wall.find(".tile.has-picture:not(.is-stale)[data-key=card]").await;
    wall.says(".tile[data-key=card] .badge", "live").await;
    is_gone(&wall, ".banner").await;
    stage.says(".stage-head .badge", "live").await;
    is_gone(&stage, ".banner").await;
    wall.close().await;
    stage.close().await;
}

/// The list is there before the connection of the events is.
#[tokio::test]
async fn events_between_the_list_and_the_connection_are_heard_or_told_to_be_missed() {
    let app = TestApp::spawn();
    let browser = Browser::start().await;
    let page = String::from_utf8_lossy(&app.get("/viewer/").await.body).into_owned();
    let begins = page.find("static/").expect("modules");
    let version = page[begins..].split('/').nth(1).expect("a version");
    // A document without scripts of its own.
    browser.client.goto(&format!("http://{}/static/{version}/locales/en.json", app.addr)).await.expect("loads");
    let listed = app.get("/api/v1/wall").await.json()["event"].clone();
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, COLOUR)).await;
    let name = mtx_sidecar::stream::StreamName::parse("door").expect("a name");
    assert!(app.registry.get(&name).is_some());
    eventually("it is told", async || app.get("/api/v1/wall").await.json()["event"] != listed).await;
    let listen = format!(
        "window.heard = [];
         import('/static/{version}/lib/events.js').then(({{ listen }}) => {{
           window.listen = (name) => listen(['stream.state'], ({{ path }}) => heard.push(`${{name}} ${{path}}`), {{
             seen: {listed}, onGap: () => heard.push(`${{name}} gap`) }});
           window.listen('first');
         }});"
    );
    browser.run(&listen).await;
    eventually("the first one hears it", async || browser.run("return heard").await == json!(["first door"])).await;
    // The connection is beyond what this one has seen.
    browser.run("window.listen('second')").await;
    assert_eq!(browser.run("return heard").await, json!(["first door", "second gap"]));
    browser.close().await;
}

/// A camera that answers 401 until its door is opened.
async fn guarded_camera() -> (FakeCamera, Arc<AtomicBool>) {
    let is_open = Arc::new(AtomicBool::new(false));
    let picture = flat_picture(320, 180, COLOUR);
    let seen = is_open.clone();
    let camera = FakeCamera::of_bytes(move |_| {
        if !seen.load(Ordering::SeqCst) {
            return Some(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec());
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
        Some([head.as_bytes(), &picture].concat())
    })
    .await;
    (camera, is_open)
}

#[tokio::test]
async fn a_broken_camera_says_why_comes_last_and_is_tried_at_once_after_an_edit() {
    let (camera, is_open) = guarded_camera().await;
    let app = TestApp::spawn();
    let definition = |path: &str| json!({"kind": "http", "url": format!("http://{}/{path}", camera.addr)}).to_string();
    assert_eq!(app.admin("PUT", "/api/v1/streams/a-camera", &definition("shot.jpg")).await.status, 201);
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, COLOUR)).await;
    let browser = Browser::start().await;
    open(&browser, app.addr, "").await;
    browser.says(".tile[data-key=a-camera] .badge", "no signal").await;
    browser.says(".tile[data-key=a-camera] .tile-told", "The camera requires a user name and a password").await;
    let names = "return [...document.querySelectorAll('.tile')].map((tile) => tile.dataset.key)";
    eventually("the broken one comes last", async || browser.run(names).await == json!(["door", "a-camera"])).await;
    // The words of the server contain the address of the camera: they are for administrators.
    let wall = app.get("/api/v1/wall").await;
    assert!(!String::from_utf8_lossy(&wall.body).contains(&camera.addr.to_string()), "{}", wall.json());
    let wall = app.admin("GET", "/api/v1/wall", "").await.json();
    let failed = wall["items"].as_array().into_iter().flatten().find(|item| item["name"] == "a-camera").cloned();
    let failure = failed.expect("it is in the list")["stream"]["failure"].clone();
    assert_eq!((&failure["code"], &failure["cause"]), (&json!("upstream"), &json!("password_needed")), "{failure}");
    assert!(failure["reason"].as_str().is_some_and(|reason| reason.contains("403")), "{failure}");
    assert!(failure["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{failure}");

    let stage = Browser::start().await;
    open(&stage, app.addr, "#/watch/a-camera").await;
    stage.says(".stage-head .badge", "no signal").await;
    stage.says(".stage-message", "The camera requires a user name and a password").await;
    is_gone(&stage, ".stage-live").await;
    stage.keep_screenshot("stage-failing-desktop").await;
    stage.close().await;

    is_open.store(true, Ordering::SeqCst);
    assert_eq!(app.admin("PUT", "/api/v1/streams/a-camera", &definition("other.jpg")).await.status, 200);
    browser.find(".tile.has-picture:not(.is-stale)[data-key=a-camera]").await;
    browser.close().await;
}

/// Sends a signal to a process.
async fn signal(program: &Program, name: &str) {
    let pid = program.0.id().expect("it runs").to_string();
    Program::output("kill", &[&format!("-{name}"), &pid]).await;
}

#[tokio::test]
async fn a_path_whose_pictures_stand_still_has_stalled_and_goes_on() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!("mediamtx: {{api: 'http://127.0.0.1:{}'}}", ports[4]));
    let Some(mediamtx) = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await else { return };
    let path = json!({"kind": "raw", "fields": {"source": "publisher"}}).to_string();
    assert_eq!(app.admin("PUT", "/api/v1/paths/lobby", &path).await.status, 201);
    eventually("MediaMTX has the path", async || mediamtx.has_path(&app, "lobby").await).await;
    let target = format!("rtsp://127.0.0.1:{}/lobby", mediamtx.rtsp);
    let args = ["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=10", "-c:v", "libx264"];
    let more = ["-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-pix_fmt", "yuv420p", "-f", "rtsp"];
    let ffmpeg = Program::start("ffmpeg", &[&args[..], &more, &["-rtsp_transport", "tcp", &target]].concat());
    eventually("it is published, and the ports are known", async || {
        let wall = app.get("/api/v1/wall").await.json();
        let items = wall["items"].as_array().cloned().unwrap_or_default();
        let is_there = items.iter().any(|item| item["name"] == "lobby" && item["path"]["available"] == true);
        is_there && wall["webrtc"] == format!("http://127.0.0.1:{}", ports[2])
    })
    .await;
    let (stage, wall) = (Browser::start().await, Browser::start().await);
    open(&stage, app.addr, "#/watch/lobby").await;
    open(&wall, app.addr, "").await;
    stage.says(".stage-how", "Playing over WebRTC").await;
    stage.says(".stage-head .badge", "live").await;
    wall.find(".tile.is-playing[data-key=lobby]").await;
    wall.says(".tile[data-key=lobby] .badge", "live").await;
    signal(&ffmpeg, "STOP").await;
    stage.says(".stage-head .badge", "stalled").await;
    stage.says(".stage-message", "No new picture since").await;
    stage.find(".screen.is-stale").await;
    is_gone(&stage, ".stage-live").await;
    wall.says(".tile[data-key=lobby] .badge", "stalled").await;
    signal(&ffmpeg, "CONT").await;
    stage.says(".stage-head .badge", "live").await;
    stage.find(".screen:not(.is-stale)").await;
    wall.find(".tile.is-playing:not(.is-stale)[data-key=lobby]").await;

    // MediaMTX is gone: the tile of its path stays, and says so.
    drop(mediamtx);
    wall.says(".banner", "MediaMTX does not answer").await;
    wall.says(".tile[data-key=lobby] .badge", "no connection").await;
    stage.says(".banner", "MediaMTX does not answer").await;
    stage.close().await;
    wall.close().await;
}

#[tokio::test]
async fn a_camera_that_is_connected_and_sends_nothing_has_stalled() {
    // Ten pictures, and then silence while the connection stays open.
    let picture = flat_picture(320, 180, COLOUR);
    let part = [
        format!("--b\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len()).as_bytes(),
        &picture,
        b"\r\n",
    ]
    .concat();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("bound");
    let camera = tokio::spawn(async move {
        let mut open = vec![];
        while let Ok((mut socket, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt;
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n";
            let _ = socket.write_all(&[&head[..], &part.repeat(10), b"--b\r\n"].concat()).await;
            open.push(socket);
        }
    });
    let app = TestApp::with(&format!("streams: {{yard: {{kind: http, url: 'http://{addr}/'}}}}"));
    let browser = Browser::start().await;
    open(&browser, app.addr, "#/watch/yard").await;
    browser.says(".stage-head .badge", "stalled").await;
    browser.find(".screen.is-stale").await;
    camera.abort();
    browser.close().await;
}

#[tokio::test]
async fn a_network_that_is_cut_is_told_and_heals() {
    let app = TestApp::with("streams: {card: {kind: test-card, width: 320, height: 180}}");
    let browser = Browser::start().await;
    open(&browser, app.addr, "").await;
    browser.find(".tile.has-picture[data-key=card]").await;
    browser.cut_network(true).await;
    browser.says(".banner", "The server does not answer").await;
    browser.find(".tile.is-stale[data-key=card]").await;
    browser.cut_network(false).await;
    browser.find(".tile.has-picture:not(.is-stale)[data-key=card]").await;
    is_gone(&browser, ".banner").await;
    browser.close().await;
}
