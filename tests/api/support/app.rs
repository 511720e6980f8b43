//! The application under test: started with the settings of a test, asked by HTTP, and ended in order.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    sync::{Arc, mpsc},
};

use mtx_sidecar::{
    app::App,
    cluster::Cluster,
    fleet::Fleet,
    identity::UserChange,
    settings::{self, Loaded},
    shutdown::Shutdown,
    stream::Registry,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{FAR, MjpegReader, PATIENCE, Response, WsClient, basic};

/// Settings of every test: ports that the system chooses, and short timeouts. A test's own settings come first.
const SETTINGS: [(&str, &str); 10] = [
    ("http.listen", "127.0.0.1:0"),
    ("http.workers", "1"),
    ("http.shutdown_timeout", "2s"),
    ("http.upload_timeout", "2s"),
    ("rtsp.listen", "127.0.0.1:0"),
    ("udp.listen", "127.0.0.1:0"),
    ("udp.interval", "200ms"),
    ("stream_defaults.linger", "200ms"),
    ("stream_defaults.start_timeout", "2s"),
    ("output.snapshot_timeout", "3s"),
];

/// The application, running on threads of its own; ended on drop.
pub struct TestApp {
    pub addr: SocketAddr,
    /// The address of the RTSP server.
    pub rtsp: SocketAddr,
    /// The address for HTTPS, if the settings have one.
    pub tls: Option<SocketAddr>,
    /// The address of the port for video over MQTT, if the settings have one.
    pub mqtt: Option<SocketAddr>,
    /// The further address of the HTTP server (`uv4l.listen`), if the settings have one.
    pub uv4l: Option<SocketAddr>,
    pub registry: Registry,
    /// The node's part of a cluster, if the settings have one.
    pub cluster: Option<Cluster>,
    /// The streams of the cluster.
    pub fleet: Option<Fleet>,
    /// The password of the user `admin`, which the first start generates.
    pub password: Option<String>,
    shutdown: Shutdown,
    /// Receives the result when the application has ended.
    ended: mpsc::Receiver<std::io::Result<()>>,
    folder: Option<Arc<tempfile::TempDir>>,
}

/// What a started application reports to its test.
struct Started {
    addresses: (SocketAddr, SocketAddr, Option<SocketAddr>, Option<SocketAddr>),
    uv4l: Option<SocketAddr>,
    registry: Registry,
    cluster: Option<Cluster>,
    fleet: Option<Fleet>,
    shutdown: Shutdown,
    password: Option<String>,
}

/// Starting and ending.
impl TestApp {
    /// Starts with the settings of every test.
    pub fn spawn() -> Self {
        TestApp::with("")
    }

    /// Starts with these settings (YAML) before those of every test, in a new folder.
    pub fn with(yaml: &str) -> Self {
        TestApp::in_folder(Arc::new(tempfile::tempdir().expect("a folder")), yaml)
    }

    /// Starts in a folder that may have been used before.
    pub fn in_folder(folder: Arc<tempfile::TempDir>, yaml: &str) -> Self {
        if std::env::var_os("TEST_LOG").is_some() {
            mtx_sidecar::telemetry::start(&settings::LogSettings {
                level: "debug".into(),
                format: settings::LogFormat::Text,
            });
        }
        let loaded = load(folder.path(), yaml);
        let (sender, receiver) = mpsc::channel();
        let (end_sender, ended) = mpsc::channel();
        std::thread::spawn(move || {
            // The test may be over: then nothing receives the result.
            let _ = end_sender.send(run(loaded, &sender));
        });
        let Started { addresses: (addr, rtsp, tls, mqtt), uv4l, registry, cluster, fleet, shutdown, password } =
            receiver
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("the application does not start: {:?}", ended.try_recv()));
        TestApp {
            addr,
            rtsp,
            tls,
            mqtt,
            uv4l,
            registry,
            cluster,
            fleet,
            password,
            shutdown,
            ended,
            folder: Some(folder),
        }
    }

    /// Starts with settings with which the application must not start, and returns why it did not.
    pub fn refused(folder: &Arc<tempfile::TempDir>, yaml: &str) -> String {
        let loaded = load(folder.path(), yaml);
        let (sender, _receiver) = mpsc::channel();
        let started = std::thread::spawn(move || run(loaded, &sender)).join().expect("no panic");
        started.expect_err("the application must not start").to_string()
    }

    /// The folder of the settings, of the data and of the media files.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("kept until the end").path()
    }

    /// Ends the application in order and returns its folder.
    pub fn stop(mut self) -> Arc<tempfile::TempDir> {
        self.end();
        self.folder.take().expect("kept until the end")
    }

    /// Asks the application to end, and does not wait.
    pub fn ask_to_end(&self) {
        self.shutdown.ask();
    }

    fn end(&mut self) {
        self.shutdown.ask();
        match self.ended.recv_timeout(PATIENCE) {
            Ok(result) => result.expect("ends without an error"),
            Err(e) => panic!("the application has panicked, or has not ended after {PATIENCE:?}: {e}"),
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.ask();
        // After `stop` the folder is taken; a failed test does not wait.
        if self.folder.is_some() && !std::thread::panicking() {
            self.end();
        }
    }
}

/// Requests.
impl TestApp {
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

    /// A request that does not count as one from this machine, with one more header line.
    pub async fn far(&self, method: &str, path: &str, header: &str, body: &str) -> Response {
        self.request(method, path, &[FAR, header], body.as_bytes()).await
    }

    /// POSTs as the administrator, and returns the object that was created.
    pub async fn made(&self, path: &str, body: Value) -> Value {
        let response = self.admin("POST", path, &body.to_string()).await;
        assert_eq!(response.status, 201, "{response:?}");
        response.json()
    }

    /// Lets pages ask the administrator for a new password, as they do after a first start outside of tests.
    pub async fn ask_for_new_password(&self) {
        let change = r#"{"must_change_password": true}"#;
        let response = self.admin("PATCH", "/api/v1/users/admin", change).await;
        assert_eq!(response.status, 200, "{response:?}");
    }

    /// Creates or changes a user.
    pub async fn user(&self, name: &str, body: Value) {
        let response = self.admin("PUT", &format!("/api/v1/users/{name}"), &body.to_string()).await;
        assert!(matches!(response.status, 200 | 201), "{response:?}");
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

    /// Sends a request and returns its connection.
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

    /// Connects by WebSocket; an answer that is no WebSocket is returned as it is.
    pub async fn ws(&self, path: &str, headers: &[&str]) -> Result<WsClient, Response> {
        WsClient::connect(self, path, headers).await
    }

    /// The stream's entry in the list.
    pub async fn stats(&self, name: &str) -> Value {
        self.stats_as(name, "Accept: */*").await
    }

    /// The same for a caller who shows this header line.
    pub async fn stats_as(&self, name: &str, header: &str) -> Value {
        let response = self.request("GET", &format!("/api/v1/streams/{name}"), &[header], b"").await;
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }
}

/// Writes the test's settings as `sidecar.yml` and loads them. The settings of every test are environment variables,
/// and those that the file sets are left out, because the environment comes before the file.
fn load(folder: &Path, yaml: &str) -> Loaded {
    let file = folder.join("sidecar.yml");
    std::fs::write(&file, yaml).expect("writes");
    let of_the_test = settings::load(Some(&file), &HashMap::new()).expect("the test's settings are valid").origins;
    let (data, media) = (folder.join("data"), folder.join("media"));
    let folders = [("data_dir", data.to_str().expect("text")), ("media.roots", media.to_str().expect("text"))];
    // Pages of a folder in place of those in the program, so that a change of a script needs no build.
    let pages = std::env::var("TEST_PAGES").ok();
    let pages = pages.as_deref().map(|folder| ("http.static_dir", folder));
    let environment = SETTINGS
        .into_iter()
        .chain(folders)
        .chain(pages)
        .filter(|(key, _)| !of_the_test.contains_key(*key))
        .map(|(key, value)| (format!("SIDECAR__{}", key.to_uppercase().replace('.', "__")), value.to_owned()))
        .collect();
    settings::load(Some(&file), &environment).expect("the settings of every test are valid")
}

/// Runs the application on a runtime of its own until it is asked to end.
fn run(loaded: Loaded, sender: &mpsc::Sender<Started>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let app = App::build(loaded).await.map_err(|e| std::io::Error::other(e.chain()))?;
        let state = app.state();
        if app.generated_password().is_some() {
            // Tests sign in with the generated password. On a disk without room nothing can be changed.
            let change = UserChange { must_change_password: Some(false), ..UserChange::default() };
            let _ = state.identity.put_user("admin", change).await;
        }
        let rtsp = app.rtsp_addr().unwrap_or(([127, 0, 0, 1], 0).into());
        let started = Started {
            addresses: (app.addr(), rtsp, app.tls_addr(), app.mqtt_video_addr()),
            uv4l: app.uv4l_addr(),
            registry: state.catalog.registry().clone(),
            cluster: state.cluster.clone(),
            fleet: state.fleet.clone(),
            shutdown: state.shutdown.clone(),
            password: app.generated_password().map(str::to_owned),
        };
        sender.send(started).expect("the test waits");
        drop(state);
        app.run_until_stopped().await
    })
}
