//! The real MediaMTX as a peer, on ports that are free.

use super::{PATIENCE, Program, TestApp, eventually, free_port, skip};

/// A running MediaMTX; ended on drop.
pub struct MediaMtx {
    process: Program,
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

    /// With this configuration. None where there is no MediaMTX, which is noted (see [`skip`]).
    pub async fn start_with(app: &TestApp, config_text: &str, ports: &[u16]) -> Option<Self> {
        let binary = skip::mediamtx()?;
        // The file as it is shipped, with the ports of this application. The environment sets MediaMTX's own ports.
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
        let process = Program(command.spawn().expect("it has printed its version"));
        for port in [rtsp, hls, webrtc, api] {
            eventually("MediaMTX opens its ports", async || {
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
            })
            .await;
        }
        Some(MediaMtx { process, rtsp, hls, webrtc, api })
    }
}

/// Its state.
impl MediaMtx {
    /// Free ports: of RTSP, HLS, WebRTC, ICE, the control API and playback.
    pub fn ports() -> [u16; 6] {
        std::array::from_fn(|_| free_port())
    }

    /// Whether the path has a publisher or a source.
    pub async fn is_available(&self, app: &TestApp, path: &str) -> bool {
        self.path(app, path).await["available"] == true
    }

    /// The number of readers of the path.
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

    /// Whether the configuration has the path, so that a client can publish to it.
    pub async fn has_path(&self, app: &TestApp, path: &str) -> bool {
        let login = format!("admin:{}", app.password.as_deref().unwrap_or_default());
        let url = format!("http://127.0.0.1:{}/v3/config/paths/get/{path}", self.api);
        let mut command = tokio::process::Command::new("curl");
        let output = command.args(["-sS", "-u", &login, &url]).output().await.expect("curl runs");
        serde_json::from_slice(&output.stdout).is_ok_and(|found: serde_json::Value| found["name"] == path)
    }

    /// Whether the configuration has an entry of this name, which can be a regular expression.
    pub async fn has_conf(&self, app: &TestApp, name: &str) -> bool {
        let login = format!("admin:{}", app.password.as_deref().unwrap_or_default());
        let url = format!("http://127.0.0.1:{}/v3/config/paths/list", self.api);
        let mut command = tokio::process::Command::new("curl");
        let output = command.args(["-sS", "-u", &login, &url]).output().await.expect("curl runs");
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        listed["items"].as_array().is_some_and(|items| items.iter().any(|item| item["name"] == name))
    }

    /// Calls the control API.
    pub async fn call(&self, method: &str, path: &str) -> serde_json::Value {
        let url = format!("http://127.0.0.1:{}{path}", self.api);
        let body = Program::output("curl", &["-sS", "--fail", "-X", method, &url]).await;
        serde_json::from_slice(&body).unwrap_or_default()
    }
}

impl Drop for MediaMtx {
    /// SIGINT, on which MediaMTX ends the ffmpeg processes that it has started.
    fn drop(&mut self) {
        if let Some(pid) = self.process.0.id() {
            let _ = std::process::Command::new("kill").args(["-INT", &pid.to_string()]).status();
        }
    }
}

/// Lets ffmpeg read the first frame of the URL into a file, and returns how ffmpeg ended.
pub async fn first_frame(url: &str, to: &std::path::Path, headers: &[&str]) -> std::process::ExitStatus {
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
