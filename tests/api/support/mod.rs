//! The application under test, a small HTTP client, and waiting with a bound.

pub mod fake_camera;
mod pictures;
pub mod rtsp_client;
mod ws_client;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mtx_sidecar::{
    app::App,
    multipart::{Part, Splitter},
    settings,
    shutdown::Shutdown,
    stream::Registry,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub use self::pictures::*;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Settings of every test: a camera that is left lingers for a moment only, and logs stay quiet.
const SETTINGS: &str = "
http: {listen: 127.0.0.1:0, workers: 1, shutdown_timeout: 2s, upload_timeout: 2s}
rtsp: {listen: 127.0.0.1:0}
udp: {listen: 127.0.0.1:0, interval: 200ms}
stream_defaults: {linger: 200ms, start_timeout: 2s}
output: {snapshot_timeout: 3s}
";

/// The application, running on threads of its own; ended on drop.
pub struct TestApp {
    pub addr: SocketAddr,
    /// Where RTSP is spoken.
    pub rtsp: SocketAddr,
    /// Where HTTPS is, if the settings have it.
    pub tls: Option<SocketAddr>,
    pub registry: Registry,
    pub password: Option<String>,
    shutdown: Shutdown,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
    folder: Option<Arc<tempfile::TempDir>>,
}

impl TestApp {
    /// The usual settings.
    pub fn spawn() -> Self {
        TestApp::with("")
    }

    /// The usual settings with these (YAML) over them, in a fresh data folder.
    pub fn with(yaml: &str) -> Self {
        TestApp::in_folder(Arc::new(tempfile::tempdir().expect("a folder")), yaml)
    }

    /// The same in a folder that was used before.
    pub fn in_folder(folder: Arc<tempfile::TempDir>, yaml: &str) -> Self {
        if std::env::var_os("TEST_LOG").is_some() {
            mtx_sidecar::telemetry::start(&settings::LogSettings {
                level: "debug".into(),
                format: settings::LogFormat::Text,
            });
        }
        let path = folder.path().join("sidecar.yml");
        std::fs::write(&path, merged(SETTINGS, yaml)).expect("writes");
        let mut loaded = settings::load(Some(&path), &Default::default()).expect("the test's settings are right");
        let settings = &mut loaded.settings;
        settings.data_dir = folder.path().join("data");
        if settings.media.roots == [PathBuf::from("media")] {
            settings.media.roots = vec![folder.path().join("media")];
        }
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(async {
                let app = App::build(loaded).await.map_err(|e| std::io::Error::other(e.chain()))?;
                let state = app.state();
                let password = app.generated_password().map(str::to_owned);
                let rtsp = app.rtsp_addr().unwrap_or(([127, 0, 0, 1], 0).into());
                let addresses = (app.addr(), rtsp, app.tls_addr());
                tell.send((addresses, state.catalog.registry().clone(), state.shutdown.clone(), password))
                    .expect("the test waits");
                drop(state);
                app.run_until_stopped().await
            })
        });
        let (addresses, registry, shutdown, password) = told.recv_timeout(PATIENCE).expect("the application starts");
        let (addr, rtsp, tls) = addresses;
        TestApp { addr, rtsp, tls, registry, password, shutdown, thread: Some(thread), folder: Some(folder) }
    }

    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("there until the end").path()
    }

    /// Ends the application in order and gives its folder back.
    pub fn stop(mut self) -> Arc<tempfile::TempDir> {
        self.end();
        self.folder.take().expect("there until the end")
    }

    pub fn ask_to_end(&self) {
        self.shutdown.ask();
    }

    fn end(&mut self) {
        self.shutdown.ask();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic").expect("ends well");
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"").await
    }

    pub async fn put(&self, path: &str, body: &[u8]) -> Response {
        self.request("PUT", path, &[], body).await
    }

    /// A request as the administrator with the generated password.
    pub async fn admin(&self, method: &str, path: &str, body: &str) -> Response {
        let password = self.password.as_deref().expect("a first start without an administrator");
        self.request(method, path, &[&basic("admin", password)], body.as_bytes()).await
    }

    /// A request with further header lines, on a connection of its own.
    pub async fn request(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Response {
        let mut socket = self.send(method, path, headers, body).await;
        let mut data = vec![];
        let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut data)).await.expect("an answer in time");
        if let Err(e) = read {
            assert!(!data.is_empty(), "the connection broke off: {e}");
        }
        Response::parse(&data)
    }

    /// Sends a request and gives the connection.
    pub async fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(self.addr).await.expect("connects");
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|h| h.to_ascii_lowercase().starts_with("host:")) {
            write!(head, "Host: {}\r\n", self.addr).expect("writes");
        }
        for header in headers {
            write!(head, "{header}\r\n").expect("writes");
        }
        if !headers.iter().any(|h| h.to_ascii_lowercase().starts_with("connection:")) {
            head.push_str("Connection: close\r\n");
        }
        let framed = headers
            .iter()
            .any(|h| h.to_ascii_lowercase().starts_with("content-length:") || h.starts_with("Transfer-Encoding"));
        if !framed && (!body.is_empty() || method != "GET") {
            write!(head, "Content-Length: {}\r\n", body.len()).expect("writes");
        }
        head.push_str("\r\n");
        socket.write_all(head.as_bytes()).await.expect("writes");
        // The answer may come, and the connection close, before all of a refused body is written.
        let _ = socket.write_all(body).await;
        socket
    }

    /// Watches MJPEG at the path.
    pub async fn watch(&self, path: &str) -> MjpegReader {
        MjpegReader::new(self.send("GET", path, &[], b"").await).await
    }

    /// The stream as the list has it.
    pub async fn stats(&self, name: &str) -> serde_json::Value {
        self.stats_as(name, "Accept: */*").await
    }

    /// The same for somebody with this header line.
    pub async fn stats_as(&self, name: &str, header: &str) -> serde_json::Value {
        let response = self.request("GET", &format!("/api/v1/streams/{name}"), &[header], b"").await;
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shutdown.ask();
        } else {
            self.end();
        }
    }
}

/// Sections of `over` replace keys of the same section of `base`.
fn merged(base: &str, over: &str) -> String {
    // Both are one line a section in flow style, or whole blocks that the base does not have.
    let section = |line: &str| line.split_once(':').map(|(k, _)| k.to_owned());
    let mut out = String::new();
    for line in base.lines().filter(|l| !l.is_empty()) {
        let name = section(line).expect("a section");
        match over.lines().find(|o| section(o).as_ref() == Some(&name) && !o.starts_with(' ')) {
            Some(o) => {
                let inner = |l: &str| {
                    let inner = l.split_once('{').expect("flow style").1.trim_end();
                    inner.strip_suffix('}').expect("flow style").to_owned()
                };
                let kept = inner(line);
                let kept: Vec<_> = kept
                    .split(", ")
                    .filter(|pair| !inner(o).contains(&format!("{}:", pair.split(':').next().expect("a key"))))
                    .map(str::to_owned)
                    .collect();
                let pairs = [kept, vec![inner(o)]].concat().join(", ");
                writeln!(out, "{name}: {{{pairs}}}").expect("writes");
            }
            None => writeln!(out, "{line}").expect("writes"),
        }
    }
    for line in over.lines() {
        let taken = section(line)
            .is_some_and(|name| !line.starts_with(' ') && base.lines().any(|b| section(b).as_ref() == Some(&name)));
        if !taken {
            writeln!(out, "{line}").expect("writes");
        }
    }
    out
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// An HTTP answer.
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Bytes,
}

impl Response {
    fn parse(data: &[u8]) -> Self {
        let end = data.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&data[..end]).into_owned();
        let status = head[9..12].parse().expect("a status");
        let mut body = Bytes::copy_from_slice(&data[end..]);
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            body = unchunk(&body);
        }
        Response { status, head, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The stable code of a problem document; checks that it is one.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status);
        for member in ["type", "title", "detail"] {
            assert!(json[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {json}");
        }
        json["code"].as_str().expect("a code").to_owned()
    }

    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(400)]);
        write!(f, "{}{body}", self.head)
    }
}

fn unchunk(mut data: &[u8]) -> Bytes {
    let mut out = vec![];
    while let Some(line) = data.windows(2).position(|w| w == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&data[..line]).expect("hex"), 16).expect("hex");
        if length == 0 {
            break;
        }
        out.extend_from_slice(&data[line + 2..line + 2 + length]);
        data = &data[line + 4 + length..];
    }
    out.into()
}

/// Reads an MJPEG response part by part.
pub struct MjpegReader {
    pub socket: TcpStream,
    pub head: String,
    splitter: Splitter,
    raw: Vec<u8>,
}

impl MjpegReader {
    pub async fn new(mut socket: TcpStream) -> Self {
        let mut data = vec![];
        let end = loop {
            let n = tokio::time::timeout(PATIENCE, socket.read_buf(&mut data)).await.expect("in time").expect("reads");
            assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&data));
            if let Some(end) = data.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&data[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(&data));
        let mut splitter = Splitter::new(Some("multipart/x-mixed-replace;boundary=boundarydonotcross"), 32 << 20);
        splitter.feed(&data[end..]);
        let raw = data[end..].to_vec();
        MjpegReader { socket, head, splitter, raw }
    }

    /// The next part, however long ago it was sent.
    pub async fn part(&mut self) -> Part {
        self.maybe_part().await.expect("the stream goes on")
    }

    /// The next part, or none when the server closed.
    pub async fn maybe_part(&mut self) -> Option<Part> {
        loop {
            if let Some(part) = self.splitter.next_part().expect("well-formed") {
                return Some(part);
            }
            let mut data = vec![0; 1 << 16];
            let n = tokio::time::timeout(PATIENCE, self.socket.read(&mut data)).await.expect("in time").ok()?;
            if n == 0 {
                return None;
            }
            self.raw.extend_from_slice(&data[..n]);
            self.splitter.feed(&data[..n]);
        }
    }

    /// Reads until a part has this content.
    pub async fn until(&mut self, jpeg: &[u8]) {
        while self.part().await.data != jpeg {}
    }

    /// The text of all part headers so far.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }
}

/// Waits until it is so; asks again and again, for at most [`PATIENCE`].
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "not so in {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A program of the system, started quietly and ended on drop.
pub struct Program(pub tokio::process::Child);

impl Program {
    pub fn start(name: &str, args: &[&str]) -> Self {
        let mut command = tokio::process::Command::new(name);
        let quiet = if std::env::var_os("TEST_LOG").is_some() { Stdio::inherit() } else { Stdio::null() };
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(quiet).kill_on_drop(true);
        Program(
            command.spawn().unwrap_or_else(|e| panic!("{name} cannot be started ({e}); `make test-deps` installs it")),
        )
    }

    /// Runs to its end and gives what it printed.
    pub async fn output(name: &str, args: &[&str]) -> Vec<u8> {
        let mut command = tokio::process::Command::new(name);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(3 * PATIENCE, command.output()).await;
        let output = output
            .unwrap_or_else(|_| panic!("{name} does not end"))
            .unwrap_or_else(|e| panic!("{name}: {e}; `make test-deps` installs it"));
        assert!(output.status.success(), "{name} {args:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

/// A port that is free now, for programs that cannot take port 0 and tell. Taken by nobody else in this
/// run: each is given out once.
pub fn free_port() -> u16 {
    use std::sync::Mutex;
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(vec![]);
    loop {
        let tcp = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = tcp.local_addr().expect("bound").port();
        let mut given = GIVEN.lock().expect("whole");
        if !given.contains(&port) && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            given.push(port);
            return port;
        }
    }
}
