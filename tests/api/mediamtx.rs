//! The real MediaMTX with the shipped mediamtx.yml, wherever it is installed.

use std::{io::Write, time::Duration};

use fantoccini::Locator;

use crate::{
    browser::Browser,
    support::{PATIENCE, Program, TestApp, close_to, eventually, flat_picture, free_port, middle_colour},
};

/// A MediaMTX of our own, on ports of its own.
pub struct MediaMtx {
    _process: Program,
    pub rtsp: u16,
    pub hls: u16,
    pub webrtc: u16,
    #[expect(dead_code, reason = "for tests of the control API")]
    pub api: u16,
}

impl MediaMtx {
    /// None, and a line that says so past the test harness's capture, where there is no MediaMTX.
    pub async fn start(app: &TestApp) -> Option<Self> {
        let binary = std::env::var("MEDIAMTX_BIN").unwrap_or_else(|_| "mediamtx".into());
        if std::process::Command::new(&binary).arg("--version").output().is_err() {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            let line = format!("SKIPPED {test}: there is no mediamtx on PATH or in MEDIAMTX_BIN\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            return None;
        }
        // The shipped file, word for word, with our port in it; MediaMTX's own ports by its environment.
        let config = app.folder().join("mediamtx.yml");
        let text = mtx_sidecar::settings::MEDIAMTX_YML.replace("127.0.0.1:9995", &app.addr.to_string());
        std::fs::write(&config, text).expect("writes");
        let [rtsp, hls, webrtc, ice, api, playback] = std::array::from_fn(|_| free_port());
        let mut command = tokio::process::Command::new(&binary);
        command
            .arg(&config)
            .current_dir(app.folder())
            .env("MTX_RTSPADDRESS", format!("127.0.0.1:{rtsp}"))
            .env("MTX_RTSPTRANSPORTS", "tcp")
            .env("MTX_RTMP", "no")
            .env("MTX_SRT", "no")
            .env("MTX_HLSADDRESS", format!("127.0.0.1:{hls}"))
            .env("MTX_WEBRTCADDRESS", format!("127.0.0.1:{webrtc}"))
            .env("MTX_WEBRTCLOCALUDPADDRESS", format!("127.0.0.1:{ice}"))
            .env("MTX_APIADDRESS", format!("127.0.0.1:{api}"))
            .env("MTX_PLAYBACKADDRESS", format!("127.0.0.1:{playback}"))
            .env("MTX_PATHDEFAULTS_RUNONDEMANDCLOSEAFTER", "1s")
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        if std::env::var_os("TEST_LOG").is_none() {
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        }
        let process = Program(command.spawn().expect("it was there a moment ago"));
        for port in [rtsp, hls, webrtc, api] {
            eventually("MediaMTX opens its ports", async || {
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
            })
            .await;
        }
        Some(MediaMtx { _process: process, rtsp, hls, webrtc, api })
    }
}

impl Drop for MediaMtx {
    /// Asked, not killed: MediaMTX then ends the ffmpegs it has started.
    fn drop(&mut self) {
        if let Some(pid) = self._process.0.id() {
            let _ = std::process::Command::new("kill").args(["-INT", &pid.to_string()]).status();
        }
    }
}

async fn first_picture(url: &str, to: &std::path::Path, headers: &[&str]) -> std::process::ExitStatus {
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-analyzeduration", "500000"]);
    if url.starts_with("rtsp") {
        command.args(["-rtsp_transport", "tcp"]);
    }
    command
        .args(headers)
        .args(["-i", url, "-frames:v", "1"])
        .arg(to)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    if std::env::var_os("TEST_LOG").is_none() {
        command.stderr(std::process::Stdio::null());
    }
    tokio::time::timeout(2 * PATIENCE, command.status()).await.expect("in time").expect("ffmpeg runs")
}

#[tokio::test]
async fn rtsp_and_hls_readers_get_the_uploaded_picture_on_demand() {
    let app = TestApp::spawn();
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    let colour = [40, 90, 210];
    app.put("/mjpeg-upload?name=imagefile", &flat_picture(640, 360, colour)).await;
    assert_eq!(app.stats("imagefile").await["watchers"], 0, "nobody watches: no ffmpeg runs");
    let file = app.folder().join("seen.png");
    for url in [
        format!("rtsp://127.0.0.1:{}/imagefile", mediamtx.rtsp),
        format!("rtsp://127.0.0.1:{}/pictures/imagefile", mediamtx.rtsp),
        format!("http://127.0.0.1:{}/imagefile/index.m3u8", mediamtx.hls),
    ] {
        assert!(first_picture(&url, &file, &[]).await.success(), "{url}");
        let seen = middle_colour(&file).await;
        assert!(close_to(seen, colour), "{url}: {seen:?} for {colour:?}");
    }
}

#[tokio::test]
async fn the_command_runs_while_somebody_reads_and_ends_after() {
    let app = TestApp::with("streams: {card: {kind: test-card, width: 320, height: 180}}");
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    let url = format!("rtsp://127.0.0.1:{}/pictures/card", mediamtx.rtsp);
    let reader = Program::start("ffmpeg", &["-v", "error", "-rtsp_transport", "tcp", "-i", &url, "-f", "null", "-"]);
    eventually("the recipe pulls", async || app.stats("card").await["state"] == "live").await;
    drop(reader);
    eventually("the recipe ends", async || app.stats("card").await["state"] == "idle").await;
}

/// ffmpeg may pull our streams and publish; who watches MediaMTX's paths has to say who they are.
#[tokio::test]
async fn a_wrong_password_is_refused_through_mediamtx() {
    let app = TestApp::with(
        "auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: publish}, {action: read, path: '~^[^/]+$'}]}, {user: alice, pass: right, permissions: [{action: read, path: '~^pictures/'}, {action: api}]}]}",
    );
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    let colour = [200, 40, 160];
    // Published without credentials, by the rule for this machine; "publish" is not "read".
    assert_eq!(app.put("/mjpeg-upload?name=door", &flat_picture(320, 240, colour)).await.status, 200);
    let file = app.folder().join("seen.png");
    let url = |user: &str| format!("rtsp://{user}127.0.0.1:{}/pictures/door", mediamtx.rtsp);
    assert!(!first_picture(&url("alice:wrong@"), &file, &[]).await.success());
    assert!(!first_picture(&url(""), &file, &[]).await.success());
    assert!(first_picture(&url("alice:right@"), &file, &[]).await.success());
    let seen = middle_colour(&file).await;
    assert!(close_to(seen, colour), "{seen:?} for {colour:?}");
}

/// WHEP, by MediaMTX's own page in Chromium; and a new picture while it plays.
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
        eventually("the picture is shown", async || {
            let seen = middle_colour(&browser.screenshot().await).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            close_to(seen, colour)
        })
        .await;
    }
    browser.close().await;
}
