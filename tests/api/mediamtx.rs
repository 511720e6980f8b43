//! The real MediaMTX, wherever it is installed, with the shipped mediamtx.yml and with the example that uses ffmpeg.

use std::{io::Write, time::Duration};

use fantoccini::Locator;

use crate::{
    browser::Browser,
    support::{
        PATIENCE, Program, TestApp, close_to, eventually, flat_picture, free_port, middle_colour, rtsp_client::Client,
    },
};

/// A MediaMTX of our own, on ports of its own.
pub struct MediaMtx {
    _process: Program,
    pub rtsp: u16,
    pub hls: u16,
    pub webrtc: u16,
    pub api: u16,
}

impl MediaMtx {
    /// With the shipped configuration.
    pub async fn start(app: &TestApp) -> Option<Self> {
        MediaMtx::start_with(app, mtx_sidecar::settings::MEDIAMTX_YML, &[]).await
    }

    /// None, and a line that says so past the test harness's capture, where there is no MediaMTX.
    pub async fn start_with(app: &TestApp, config_text: &str, ports: &[u16]) -> Option<Self> {
        let binary = std::env::var("MEDIAMTX_BIN").unwrap_or_else(|_| "mediamtx".into());
        if std::process::Command::new(&binary).arg("--version").output().is_err() {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            let line = format!("SKIPPED {test}: there is no mediamtx on PATH or in MEDIAMTX_BIN\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            return None;
        }
        // The file word for word, with our ports in it; MediaMTX's own ports by its environment.
        let config = app.folder().join("mediamtx.yml");
        let text = config_text.replace("127.0.0.1:9995", &app.addr.to_string());
        let text = text.replace("127.0.0.1:9554", &app.rtsp.to_string());
        std::fs::write(&config, text).expect("writes");
        let [rtsp, hls, webrtc, ice, api, playback] =
            std::array::from_fn(|i| ports.get(i).copied().unwrap_or_else(free_port));
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
            .env("MTX_PATHDEFAULTS_SOURCEONDEMANDCLOSEAFTER", "1s")
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

impl MediaMtx {
    /// Free ports: of RTSP, HLS, WebRTC, ICE, the control API and playback.
    pub fn ports() -> [u16; 6] {
        std::array::from_fn(|_| free_port())
    }

    /// Whether somebody publishes to the path.
    pub async fn is_available(&self, app: &TestApp, path: &str) -> bool {
        self.path(app, path).await["available"] == true
    }

    /// How many read the path.
    pub async fn readers(&self, app: &TestApp, path: &str) -> usize {
        self.path(app, path).await["readers"].as_array().map_or(0, Vec::len)
    }

    async fn path(&self, app: &TestApp, path: &str) -> serde_json::Value {
        let login = format!("admin:{}", app.password.as_deref().expect("a first start"));
        let mut command = tokio::process::Command::new("curl");
        let url = format!("http://127.0.0.1:{}/v3/paths/get/{path}", self.api);
        let output = command.args(["-sS", "-u", &login, &url]).output().await.expect("curl runs");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Asks the control API.
    async fn api(&self, method: &str, path: &str) -> serde_json::Value {
        let url = format!("http://127.0.0.1:{}{path}", self.api);
        let body = Program::output("curl", &["-sS", "--fail", "-X", method, &url]).await;
        serde_json::from_slice(&body).unwrap_or_default()
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

pub async fn first_frame_timeout(url: &str, to: &std::path::Path, headers: &[&str]) -> std::process::ExitStatus {
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-analyzeduration", "500000", "-fpsprobesize", "0"]);
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
    rtsp_and_hls_readers_get_the_picture(&app, &mediamtx).await;
}

#[tokio::test]
async fn the_recipes_with_ffmpeg_work_as_well() {
    let app = TestApp::with("streams: {card: {kind: test-card, width: 320, height: 180}}");
    let text = include_str!("../../examples/mediamtx/ffmpeg.yml");
    let Some(mediamtx) = MediaMtx::start_with(&app, text, &[]).await else { return };
    rtsp_and_hls_readers_get_the_picture(&app, &mediamtx).await;
    readers_start_and_end_it(&app, &mediamtx).await;
}

async fn rtsp_and_hls_readers_get_the_picture(app: &TestApp, mediamtx: &MediaMtx) {
    let colour = [40, 90, 210];
    app.put("/mjpeg-upload?name=imagefile", &flat_picture(640, 360, colour)).await;
    assert_eq!(app.stats("imagefile").await["watchers"], 0, "nobody watches: nothing runs");
    let file = app.folder().join("seen.png");
    for url in [
        format!("rtsp://127.0.0.1:{}/imagefile", mediamtx.rtsp),
        format!("rtsp://127.0.0.1:{}/pictures/imagefile", mediamtx.rtsp),
        format!("http://127.0.0.1:{}/imagefile/index.m3u8", mediamtx.hls),
    ] {
        assert!(first_frame_timeout(&url, &file, &[]).await.success(), "{url}");
        let seen = middle_colour(&file).await;
        assert!(close_to(seen, colour), "{url}: {seen:?} for {colour:?}");
    }
}

#[tokio::test]
async fn a_stream_runs_while_somebody_reads_and_ends_after() {
    let app = TestApp::with("streams: {card: {kind: test-card, width: 320, height: 180}}");
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    readers_start_and_end_it(&app, &mediamtx).await;
}

async fn readers_start_and_end_it(app: &TestApp, mediamtx: &MediaMtx) {
    let url = format!("rtsp://127.0.0.1:{}/pictures/card", mediamtx.rtsp);
    let reader = Program::start("ffmpeg", &["-v", "error", "-rtsp_transport", "tcp", "-i", &url, "-f", "null", "-"]);
    eventually("it is pulled", async || app.stats("card").await["state"] == "live").await;
    drop(reader);
    eventually("it is left", async || app.stats("card").await["state"] == "idle").await;
}

/// MediaMTX pulls once, however many read; and goes on when one of them is thrown out.
#[tokio::test]
async fn fifty_readers_cost_one_and_can_be_kicked() {
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
    let sessions = mediamtx.api("GET", "/v3/rtspsessions/list").await;
    let items = sessions["items"].as_array().expect("a list").clone();
    let reading: Vec<_> = items.iter().filter(|session| session["state"] == "read").collect();
    assert_eq!(reading.len(), 50, "{sessions}");
    let id = reading[0]["id"].as_str().expect("an id");
    mediamtx.api("POST", &format!("/v3/rtspsessions/kick/{id}")).await;
    // What MediaMTX had sent before is still read; behind it one connection ends, and the others go on.
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
    eventually("it is left", async || app.stats("card").await["state"] == "idle").await;
}

/// Either side may be started again; whoever asks next is served.
#[tokio::test]
async fn restarts_of_either_side_are_survived() {
    let settings =
        |http: u16, rtsp: u16| format!("http: {{listen: '127.0.0.1:{http}'}}\nrtsp: {{listen: '127.0.0.1:{rtsp}'}}");
    let (http, rtsp) = (free_port(), free_port());
    let app = TestApp::with(&settings(http, rtsp));
    let Some(mediamtx) = MediaMtx::start(&app).await else { return };
    let (url, colour) = (format!("rtsp://127.0.0.1:{}/imagefile", mediamtx.rtsp), [210, 120, 30]);
    let file = app.folder().join("seen.png");
    app.put("/mjpeg-upload?name=imagefile", &flat_picture(320, 180, colour)).await;
    assert!(first_frame_timeout(&url, &file, &[]).await.success());

    let folder = app.stop();
    let app = TestApp::in_folder(folder, &settings(http, rtsp));
    std::fs::remove_file(&file).expect("there");
    eventually("the picture is there again", async || first_frame_timeout(&url, &file, &[]).await.success()).await;
    assert!(close_to(middle_colour(&file).await, colour));

    let ports = [mediamtx.rtsp, mediamtx.hls, mediamtx.webrtc];
    drop(mediamtx);
    // It ends in its own time; the next one needs its ports.
    for port in ports {
        let is_free = async || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        eventually("the one before has left its ports", is_free).await;
    }
    let again = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await;
    assert!(again.is_some());
    std::fs::remove_file(&file).expect("there");
    assert!(first_frame_timeout(&url, &file, &[]).await.success());
    assert!(close_to(middle_colour(&file).await, colour));
}

/// MediaMTX may pull our streams; who watches MediaMTX's paths has to say who they are.
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
    assert!(!first_frame_timeout(&url("alice:wrong@"), &file, &[]).await.success());
    assert!(!first_frame_timeout(&url(""), &file, &[]).await.success());
    assert!(first_frame_timeout(&url("alice:right@"), &file, &[]).await.success());
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
