//! A node of a cluster as a process of its own.

use std::{path::PathBuf, sync::Arc};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{MjpegReader, Program, eventually, free_port, nats::NatsServer};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_mtx-sidecar");

/// A running node; killed on drop.
pub struct Process {
    pub program: Program,
    pub port: u16,
    pub config: PathBuf,
    folder: Arc<tempfile::TempDir>,
}

impl Process {
    /// Starts a node of this name with further settings (YAML), and waits until it listens.
    pub async fn start(nats: &NatsServer, node: &str, yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, rtsp) = (free_port(), free_port());
        let data = folder.path().join("data");
        let own = format!(
            "data_dir: '{}'\nhttp: {{listen: '127.0.0.1:{port}'}}\nrtsp: {{listen: '127.0.0.1:{rtsp}'}}\nudp: {{listen: '127.0.0.1:0'}}\n",
            data.display()
        );
        let config = folder.path().join("sidecar.yml");
        std::fs::write(&config, format!("{own}{}{yaml}", nats.settings(node))).expect("writes");
        Process::run(config, port, Arc::new(folder)).await
    }

    async fn run(config: PathBuf, port: u16, folder: Arc<tempfile::TempDir>) -> Self {
        let program = Program::start(BINARY, &["--config", config.to_str().expect("text")]);
        eventually("the process listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        Process { program, port, config, folder }
    }

    /// Kills it without a word.
    pub async fn kill(&mut self) {
        self.program.0.kill().await.expect("is killed");
    }

    /// Starts it again, with the data that it had.
    pub async fn restart(&mut self) {
        *self = Process::run(self.config.clone(), self.port, self.folder.clone()).await;
    }

    /// Watches a stream.
    pub async fn watch(&self, stream: &str) -> MjpegReader {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await.expect("connects");
        let request = format!("GET /stream/{stream}.mjpeg HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        socket.write_all(request.as_bytes()).await.expect("writes");
        MjpegReader::new(socket).await
    }
}
