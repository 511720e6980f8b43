//! `make run`: MediaMTX is fetched from a release page that this test plays, checked, started beside the sidecar, and ended with it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use crate::{
    documents::root,
    support::{PATIENCE, eventually, free_port, skip},
};

const VERSION: &str = "v9.8.7";

/// Programs that the scripts may use. MediaMTX is not among them, so that it is not found on PATH.
const PROGRAMS: &[&str] = &[
    "awk",
    "bash",
    "cat",
    "curl",
    "cut",
    "dirname",
    "gzip",
    "head",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "sha256sum",
    "sleep",
    "tail",
    "tar",
    "uname",
];

/// A folder with links to the programs, for PATH.
fn programs(folder: &Path) -> PathBuf {
    let to = folder.join("bin");
    std::fs::create_dir(&to).expect("makes");
    let path = std::env::var_os("PATH").expect("a PATH");
    for name in PROGRAMS {
        let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
        let found = found.unwrap_or_else(|| panic!("there is no {name}"));
        std::os::unix::fs::symlink(found, to.join(name)).expect("links");
    }
    to
}

/// The name of the release's file for this machine.
fn file_name() -> String {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => panic!("no release for {other}"),
    };
    format!("mediamtx_{VERSION}_linux_{machine}.tar.gz")
}

/// A release's file with this program in it.
async fn packed(folder: &Path, program: &Path) -> Vec<u8> {
    let work = folder.join("pack");
    std::fs::create_dir_all(&work).expect("makes");
    std::fs::copy(program, work.join("mediamtx")).expect("copies");
    std::fs::write(work.join("LICENSE"), "text").expect("writes");
    let mut tar = tokio::process::Command::new("tar");
    let tar = tar.args(["-c", "mediamtx", "LICENSE"]).current_dir(&work).output().await.expect("tar runs");
    assert!(tar.status.success());
    let mut packed = GzEncoder::new(vec![], Compression::none());
    packed.write_all(&tar.stdout).expect("packs");
    packed.finish().expect("packs")
}

/// A program that stands for MediaMTX.
fn stand_in(folder: &Path, version: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.join("stand-in");
    std::fs::write(&program, format!("#!/bin/sh\necho {version}\n")).expect("writes");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("sets");
    program
}

fn checksum_of(packed: &[u8]) -> String {
    let digest: String = Sha256::digest(packed).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}  other.tar.gz\n{digest}  {}\n", "0".repeat(64), file_name())
}

/// Plays the release page.
async fn page(packed: Vec<u8>, checksums: String) -> MockServer {
    let page = MockServer::start().await;
    let give = |address: String, body: Vec<u8>| {
        Mock::given(path(address)).respond_with(ResponseTemplate::new(200).set_body_bytes(body)).mount(&page)
    };
    give(format!("/{}", file_name()), packed).await;
    give("/checksums.sha256".into(), checksums.into_bytes()).await;
    page
}

/// Runs the script for `folder/to`.
async fn fetch(folder: &Path, url: &str, variables: &[(&str, &str)]) -> Output {
    let bin = folder.join("bin");
    let bin = if bin.exists() { bin } else { programs(folder) };
    let mut script = tokio::process::Command::new(root().join("scripts/fetch-mediamtx"));
    script.arg(VERSION).arg(folder.join("to")).env("PATH", bin).env("MEDIAMTX_RELEASE_URL", url);
    for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        script.env_remove(name);
    }
    script.envs(variables.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(2 * PATIENCE, script.output()).await.expect("the script ends by itself");
    output.expect("the script runs")
}

/// That the script failed with one line which has this text, and has left nothing.
fn assert_refused(folder: &Path, output: &Output, says: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.starts_with("MediaMTX v9.8.7 cannot be fetched: ") && told.contains(says), "{told}");
    assert!(told.lines().count() == 1 && output.stdout.is_empty(), "{output:?}");
    let left: Vec<_> = std::fs::read_dir(folder.join("to")).expect("lists").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_release_is_fetched_once_and_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let packed = packed(folder, &stand_in(folder, VERSION)).await;
    let page = page(packed.clone(), checksum_of(&packed)).await;
    for _ in 0..2 {
        let output = fetch(folder, &page.uri(), &[]).await;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let version = std::process::Command::new(told.trim()).output().expect("the printed program runs");
        assert_eq!(version.stdout, format!("{VERSION}\n").into_bytes());
    }
    assert_eq!(page.received_requests().await.expect("recorded").len(), 2, "the second run asks for nothing");
    let left = std::fs::read_dir(folder.join("to")).expect("lists").count();
    assert_eq!(left, 1, "the program alone");
}

#[tokio::test]
async fn a_release_that_is_not_what_it_says_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let good = packed(folder, &stand_in(folder, VERSION)).await;
    let another = packed(folder, &stand_in(folder, "v1.0.0")).await;
    let damaged = b"no archive".to_vec();
    for (file, checksums, says) in [
        (another.clone(), checksum_of(&good), "its release names"),
        (good.clone(), "0000  another.tar.gz\n".into(), "do not name mediamtx_v9.8.7_linux_"),
        (another.clone(), checksum_of(&another), "does not run here as v9.8.7 (it says: v1.0.0)"),
        (damaged.clone(), checksum_of(&damaged), "cannot be unpacked"),
    ] {
        let page = page(file, checksums).await;
        assert_refused(folder, &fetch(folder, &page.uri(), &[]).await, says);
    }
}

#[tokio::test]
async fn without_a_release_page_one_sentence_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let empty = MockServer::start().await;
    assert_refused(folder, &fetch(folder, &empty.uri(), &[]).await, "404");
    let closed = format!("http://127.0.0.1:{}", free_port());
    assert_refused(folder, &fetch(folder, &closed, &[]).await, "the release page does not give its checksums");
    // A proxy that refuses.
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let through = format!("http://{}", proxy.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = proxy.accept().await {
            let mut request = [0; 1024];
            let _ = client.read(&mut request).await;
            let _ = client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let output = fetch(folder, "https://release.invalid", &[("https_proxy", &through)]).await;
    assert_refused(folder, &output, "403");
    // A server that accepts and is silent.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let hold = tokio::spawn(async move {
        let mut held = vec![];
        while let Ok((client, _)) = silent.accept().await {
            held.push(client);
        }
    });
    assert_refused(folder, &fetch(folder, &url, &[]).await, "the release page does not give its checksums");
    hold.abort();
}

/// The sidecar and MediaMTX on ports of their own, as `make run` starts them.
struct Demo {
    script: tokio::process::Child,
    output: std::sync::Arc<parking_lot::Mutex<String>>,
    http: u16,
    rtsp: u16,
    api: u16,
}

impl Demo {
    fn start(folder: &Path, release: &str) -> Self {
        let bin = folder.join("bin");
        let bin = if bin.exists() { bin } else { programs(folder) };
        let [http, own_rtsp, rtsp, hls, webrtc, ice, api, playback]: [u16; 8] = std::array::from_fn(|_| free_port());
        let text = mtx_sidecar::settings::MEDIAMTX_YML.replace("127.0.0.1:9995", &format!("127.0.0.1:{http}"));
        let text = text.replace("127.0.0.1:9554", &format!("127.0.0.1:{own_rtsp}"));
        std::fs::write(folder.join("mediamtx.yml"), text).expect("writes");
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut script = tokio::process::Command::new(root().join("scripts/run-demo"));
        script.args([env!("CARGO_BIN_EXE_mtx-sidecar"), VERSION]).arg(folder.join("to")).current_dir(folder);
        script.env_clear().env("PATH", bin).env("TERM", "xterm-256color").env("MEDIAMTX_RELEASE_URL", release);
        script.env("SIDECAR__DATA_DIR", folder.join("data")).env("SIDECAR__HTTP__LISTEN", at(http));
        script.env("SIDECAR__RTSP__LISTEN", at(own_rtsp)).env("SIDECAR__UDP__LISTEN", "127.0.0.1:0");
        script.env("SIDECAR__MEDIAMTX__API", format!("http://{}", at(api)));
        script.env("SIDECAR__MEDIAMTX__RTSP", format!("rtsp://{}", at(rtsp)));
        script
            .env("MTX_RTSPADDRESS", at(rtsp))
            .env("MTX_RTSPTRANSPORTS", "tcp")
            .env("MTX_RTMP", "no")
            .env("MTX_SRT", "no");
        script
            .env("MTX_HLSADDRESS", at(hls))
            .env("MTX_WEBRTCADDRESS", at(webrtc))
            .env("MTX_PLAYBACKADDRESS", at(playback));
        script.env("MTX_WEBRTCLOCALUDPADDRESS", at(ice)).env("MTX_APIADDRESS", at(api));
        script.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut script = script.spawn().expect("the script runs");
        let output = std::sync::Arc::new(parking_lot::Mutex::new(String::new()));
        let streams: [Box<dyn tokio::io::AsyncRead + Send + Unpin>; 2] =
            [Box::new(script.stdout.take().expect("a pipe")), Box::new(script.stderr.take().expect("a pipe"))];
        for stream in streams {
            let output = output.clone();
            tokio::spawn(async move {
                let mut lines = BufReader::new(stream).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut output = output.lock();
                    output.push_str(&line);
                    output.push('\n');
                }
            });
        }
        Demo { script, output, http, rtsp, api }
    }

    fn said(&self) -> String {
        self.output.lock().clone()
    }

    /// The lines of the box, when it is there; nothing is below it.
    async fn boxed(&self) -> Vec<String> {
        let edges = |text: &str| text.lines().filter(|line| line.starts_with("+---")).count();
        // Fetching, and two programs that start.
        for _ in 0..3 {
            if edges(&self.said()) < 2 {
                let wait = async {
                    while edges(&self.said()) < 2 {
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await
                    }
                };
                let _ = tokio::time::timeout(PATIENCE, wait).await;
            }
        }
        let said = self.said();
        assert_eq!(edges(&said), 2, "no box:\n{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
        assert!(said.trim_end().ends_with("---+"), "lines below the box:\n{said}");
        said.lines()
            .filter_map(|line| line.strip_prefix('|'))
            .map(|line| line.trim_end_matches('|').trim().into())
            .collect()
    }

    async fn end(mut self, others: &[u16]) {
        let pid = self.script.id().expect("it runs").to_string();
        let kill = std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(kill.success());
        let status = tokio::time::timeout(PATIENCE, self.script.wait()).await.expect("ends").expect("ends");
        assert_eq!(status.code(), Some(143), "{}", self.said());
        for port in others.iter().chain([&self.http]) {
            let open = tokio::net::TcpStream::connect(("127.0.0.1", *port)).await;
            assert!(open.is_err(), "port {port} is open after the end:\n{}", self.said());
        }
    }
}

#[tokio::test]
async fn the_demo_fetches_mediamtx_shows_its_addresses_last_and_ends_with_it() {
    let Some(mediamtx) = skip::mediamtx() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    // Under the version that is asked for: the script compares it.
    let which =
        std::process::Command::new("bash").args(["-c", "command -v \"$0\""]).arg(&mediamtx).output().expect("runs");
    let real = String::from_utf8_lossy(&which.stdout).trim().to_owned();
    let wrapper = folder.join("wrapper");
    std::fs::write(
        &wrapper,
        format!("#!/bin/sh\n[ \"$1\" = --version ] && echo {VERSION} && exit\nexec {real} \"$@\"\n"),
    )
    .expect("writes");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("sets");
    let packed = packed(folder, &wrapper).await;
    let page = page(packed.clone(), checksum_of(&packed)).await;
    let demo = Demo::start(folder, &page.uri());
    let boxed = demo.boxed().await;
    let (http, rtsp) = (demo.http, demo.rtsp);
    assert_eq!(boxed.len(), 3, "{boxed:?}");
    assert_eq!(boxed[0], format!("pages    http://localhost:{http}/"));
    assert!(
        boxed[1].starts_with("WebRTC   http://localhost:") && boxed[1].ends_with("/pictures/demo/test-card"),
        "{boxed:?}"
    );
    assert_eq!(boxed[2], format!("RTSP     rtsp://localhost:{rtsp}/pictures/demo/test-card"));
    assert!(demo.said().contains("password"), "the first start shows the password of the administrator, above the box");
    // The address works, and the camera of the demo logs none of its pictures.
    let frame = folder.join("frame.jpg");
    let url = format!("rtsp://127.0.0.1:{rtsp}/pictures/demo/camera");
    assert!(crate::support::mediamtx::first_frame(&url, &frame, &[]).await.success(), "{}", demo.said());
    assert!(!demo.said().contains("sent picture"), "{}", demo.said());
    let api = demo.api;
    demo.end(&[rtsp, api]).await;
}

#[tokio::test]
async fn the_demo_goes_on_without_a_release() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), &format!("http://127.0.0.1:{}", free_port()));
    let boxed = demo.boxed().await;
    assert_eq!(boxed.len(), 3, "{boxed:?}");
    let said = demo.said();
    assert!(
        said.contains("MediaMTX v9.8.7 cannot be fetched: ") && said.contains("The sidecar works without."),
        "{said}"
    );
    eventually("the demo has a picture", async || {
        let url = boxed[1].split_whitespace().last().expect("an address").replace("localhost", "127.0.0.1");
        let curl =
            tokio::process::Command::new("curl").args(["-sS", "--fail", &url]).output().await.expect("curl runs");
        curl.status.success() && curl.stdout.starts_with(&[0xFF, 0xD8])
    })
    .await;
    demo.end(&[]).await;
}

#[tokio::test]
async fn a_demo_whose_port_is_in_use_ends_with_one_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Demo::start(folder.path(), &format!("http://127.0.0.1:{}", free_port()));
    first.boxed().await;
    let mut second = tokio::process::Command::new(root().join("scripts/run-demo"));
    second.args([env!("CARGO_BIN_EXE_mtx-sidecar"), VERSION]).arg(folder.path().join("to"));
    second.env("SIDECAR__HTTP__LISTEN", format!("127.0.0.1:{}", first.http)).current_dir(folder.path());
    second.env("SIDECAR__DATA_DIR", folder.path().join("other")).env("SIDECAR__RTSP__ENABLED", "no");
    let output = tokio::time::timeout(PATIENCE, second.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let output = output.expect("ends").expect("runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("http.listen") && told.contains("cannot be opened"), "{told}");
    first.end(&[]).await;
}
