//! A real NATS server with JetStream, on a port of its own, and several applications as the nodes of one cluster.

use std::{ffi::OsString, path::PathBuf, sync::Arc};

use tokio::net::TcpStream;

use super::{Program, TestApp, eventually, free_port, skip};

/// The secret of all clusters of tests.
pub const SECRET: &str = "a secret of the tests";

/// A running server; ended on drop.
pub struct NatsServer {
    pub port: u16,
    binary: OsString,
    folder: tempfile::TempDir,
    /// None while the server is stopped.
    program: Option<Program>,
}

impl NatsServer {
    /// A server that admits everyone. None where there is no server, which is noted (see [`skip`]).
    pub async fn start() -> Option<Self> {
        NatsServer::with("").await
    }

    /// A server with these lines in its configuration, in which FOLDER is a folder for files. Without `jetstream` in them,
    /// JetStream is on.
    pub async fn with(config: &str) -> Option<Self> {
        NatsServer::with_files(config, &[]).await
    }

    /// As [`NatsServer::with`]; the files are in the folder.
    pub async fn with_files(config: &str, files: &[(&str, &str)]) -> Option<Self> {
        Some(NatsServer::of(skip::nats_server()?, config, files).await)
    }

    /// The same with this program.
    pub async fn of(binary: OsString, config: &str, files: &[(&str, &str)]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("writes");
        }
        let mut text = format!("listen: \"127.0.0.1:{port}\"\n{config}\n");
        if !config.contains("jetstream") {
            text.push_str("jetstream: {store_dir: \"FOLDER/store\"}\n");
        }
        let text = text.replace("FOLDER", &folder.path().to_string_lossy());
        std::fs::write(folder.path().join("nats.conf"), text).expect("writes");
        let mut server = NatsServer { port, binary, folder, program: None };
        server.run().await;
        server
    }

    /// Starts it again, or for the first time.
    pub async fn run(&mut self) {
        let config = self.path("nats.conf");
        let name = self.binary.to_string_lossy().into_owned();
        self.program = Some(Program::start(&name, &["-c", &config.to_string_lossy()]));
        let port = self.port;
        eventually("the NATS server listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        let mut program = self.program.take().expect("runs");
        program.0.kill().await.expect("is killed");
    }

    /// Removes all of its records; it must be stopped.
    pub fn lose_storage(&self) {
        std::fs::remove_dir_all(self.path("store")).expect("removes");
    }

    /// A file in the server's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The section `cluster` of a node.
    pub fn settings(&self, node: &str) -> String {
        section(self.port, node, "")
    }

    /// A client without an account.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(format!("nats://127.0.0.1:{}", self.port)).await.expect("connects")
    }
}

/// The section `cluster` of a node that reaches NATS at a port of this machine; `more` are further lines of it.
pub fn section(port: u16, node: &str, more: &str) -> String {
    format!("cluster:\n  nats: ['nats://127.0.0.1:{port}']\n  node: {node}\n  secret: '{SECRET}'\n{more}")
}

/// Nodes of one cluster, in one process: `a`, `b`, `c` and so on.
pub struct Fleet {
    pub nats: NatsServer,
    pub nodes: Vec<TestApp>,
}

impl Fleet {
    /// Starts a server and so many nodes. None where there is no server.
    pub async fn start(nodes: usize) -> Option<Self> {
        Fleet::with(nodes, "").await
    }

    /// The same, with further settings (YAML) of all nodes.
    pub async fn with(nodes: usize, yaml: &str) -> Option<Self> {
        let nats = NatsServer::start().await?;
        let mut fleet = Fleet { nats, nodes: vec![] };
        for n in 0..nodes {
            let section = fleet.nats.settings(&name(n));
            fleet.add(&format!("{section}{yaml}"));
        }
        for node in 0..nodes {
            fleet.sees_all(node).await;
        }
        Some(fleet)
    }

    /// Starts a further node with these settings.
    pub fn add(&mut self, yaml: &str) {
        self.add_in(Arc::new(tempfile::tempdir().expect("a folder")), yaml);
    }

    /// The same, in a folder that may have been used before.
    pub fn add_in(&mut self, folder: Arc<tempfile::TempDir>, yaml: &str) {
        let mut node = TestApp::in_folder(folder, yaml);
        // The administrator of a cluster is made once, by its first node.
        if let Some(first) = self.nodes.first() {
            node.password = first.password.clone();
        }
        self.nodes.push(node);
    }

    /// Waits until a node sees as many nodes as there are.
    pub async fn sees_all(&self, node: usize) {
        let count = self.nodes.len();
        eventually("the nodes see each other", async || {
            self.nodes[node].cluster.as_ref().is_some_and(|cluster| cluster.nodes().alive().borrow().len() == count)
        })
        .await;
    }
}

/// The name of the node of this number.
pub fn name(n: usize) -> String {
    char::from(b'a' + u8::try_from(n).expect("few nodes")).to_string()
}
