//! A node as a process of its own: killed, and drained by the command.

use std::path::PathBuf;

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{
    MjpegReader, Program, TestApp, eventually, free_port,
    live_camera::{LiveCamera, Seen},
    nats::NatsServer,
};

const BINARY: &str = env!("CARGO_BIN_EXE_mtx-sidecar");

/// The node `a`.
struct Process {
    program: Program,
    port: u16,
    config: PathBuf,
    _folder: tempfile::TempDir,
}

impl Process {
    async fn start(nats: &NatsServer, streams: &str) -> Self {
        let (folder, port, rtsp) = (tempfile::tempdir().expect("a folder"), free_port(), free_port());
        let config = folder.path().join("sidecar.yml");
        let data = folder.path().join("data");
        let own = format!(
            "data_dir: '{}'\nhttp: {{listen: '127.0.0.1:{port}'}}\nrtsp: {{listen: '127.0.0.1:{rtsp}'}}\nudp: {{listen: '127.0.0.1:0'}}\n",
            data.display()
        );
        std::fs::write(&config, format!("{own}{}{streams}", nats.settings("a"))).expect("writes");
        let program = Program::start(BINARY, &["--config", config.to_str().expect("text")]);
        eventually("the process listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        Process { program, port, config, _folder: folder }
    }

    async fn watch(&self) -> MjpegReader {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await.expect("connects");
        let request = format!("GET /stream/cam.mjpeg HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        socket.write_all(request.as_bytes()).await.expect("writes");
        MjpegReader::new(socket).await
    }
}

async fn new_picture(camera: &LiveCamera, watcher: &mut MjpegReader) {
    let first = watcher.part().await.data;
    loop {
        let jpeg = watcher.part().await.data;
        if jpeg != first && camera.has(&jpeg) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_camera_of_a_killed_process_is_taken_over() {
    let camera = LiveCamera::start().await;
    let Some(nats) = NatsServer::start().await else { return };
    let mut process = Process::start(&nats, &camera.streams("")).await;
    let mut first = process.watch().await;
    new_picture(&camera, &mut first).await;
    let b = TestApp::with(&format!("{}{}", nats.settings("b"), camera.streams("")));
    let mut other = b.watch("/stream/cam.mjpeg").await;
    new_picture(&camera, &mut other).await;
    assert_eq!(camera.connections(), 1);
    process.program.0.kill().await.expect("is killed");
    eventually("the other node has the camera", async || camera.has_seen(&Seen::Sent(2))).await;
    new_picture(&camera, &mut other).await;
    assert_eq!(camera.most_open(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_drain_hands_the_streams_over() {
    let camera = LiveCamera::start().await;
    let Some(nats) = NatsServer::start().await else { return };
    let process = Process::start(&nats, &camera.streams("")).await;
    let mut first = process.watch().await;
    new_picture(&camera, &mut first).await;
    let b = TestApp::with(&format!("{}{}", nats.settings("b"), camera.streams("")));
    let mut other = b.watch("/stream/cam.mjpeg").await;
    new_picture(&camera, &mut other).await;
    let config = process.config.to_str().expect("text");
    let said = Program::output(BINARY, &["--config", config, "drain"]).await;
    assert!(String::from_utf8_lossy(&said).contains("handed over"), "{said:?}");
    eventually("the camera is left", async || camera.has_seen(&Seen::Closed(1))).await;
    let seen = camera.seen.lock().clone();
    assert_eq!(seen, [Seen::Opened(1), Seen::Sent(1), Seen::Opened(2), Seen::Sent(2), Seen::Closed(1)]);
    // Who still watches at the drained node gets the pictures of the other one.
    new_picture(&camera, &mut first).await;
    new_picture(&camera, &mut other).await;
}
