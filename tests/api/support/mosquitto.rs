//! Mosquitto, a real broker, on a port of its own, and its command-line clients.

use std::path::PathBuf;

use tokio::net::TcpStream;

use super::{PATIENCE, Program, eventually, free_port};

/// A running broker; ended on drop.
pub struct Mosquitto {
    pub port: u16,
    folder: tempfile::TempDir,
    /// None while the broker is stopped.
    program: Option<Program>,
    /// Options of the clients that this test starts.
    client: Vec<String>,
}

/// Debian has the broker in a folder that is not on every user's path.
fn program() -> &'static str {
    if std::path::Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" }
}

impl Mosquitto {
    /// A broker that admits everyone.
    pub async fn start() -> Self {
        Self::with("allow_anonymous true\n", &[]).await
    }

    /// A broker with these lines in its configuration, in which FOLDER is a folder for files. Its clients have these options.
    pub async fn with(config: &str, client: &[&str]) -> Self {
        Self::with_files(config, &[], client).await
    }

    /// As [`Mosquitto::with`]; the files are in the folder.
    pub async fn with_files(config: &str, files: &[(&str, &str)], client: &[&str]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("writes");
        }
        let config = config.replace("FOLDER", &folder.path().to_string_lossy());
        // `user root`: started by root, it would otherwise become a user who cannot read the folder.
        let config = format!("listener {port} 127.0.0.1\nuser root\npersistence false\n{config}");
        std::fs::write(folder.path().join("mosquitto.conf"), config).expect("writes");
        let client = client.iter().map(|option| (*option).to_owned()).collect();
        let mut broker = Mosquitto { port, folder, program: None, client };
        broker.run().await;
        broker
    }

    /// Starts it again, or for the first time.
    pub async fn run(&mut self) {
        let config = self.path("mosquitto.conf");
        self.program = Some(Program::start(program(), &["-c", &config.to_string_lossy()]));
        let port = self.port;
        eventually("the broker listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        let mut program = self.program.take().expect("runs");
        program.0.kill().await.expect("is killed");
    }

    /// A file in the broker's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The settings of a sidecar with this broker, as the beginning of the section `mqtt`.
    pub fn settings(&self) -> String {
        format!("url: 'mqtt://127.0.0.1:{}', prefix: mtx", self.port)
    }

    fn options(&self, options: &[&str]) -> Vec<String> {
        let own = ["-h".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), self.port.to_string()];
        let given = options.iter().map(|option| (*option).to_owned());
        own.into_iter().chain(self.client.iter().cloned()).chain(given).collect()
    }

    /// Publishes a message.
    pub async fn publish(&self, topic: &str, payload: &[u8], options: &[&str]) {
        let file = self.path(&format!("message-{}", free_port()));
        std::fs::write(&file, payload).expect("writes");
        let file = file.to_string_lossy().into_owned();
        let all = self.options(&[&["-t", topic, "-f", &file], options].concat());
        Program::output("mosquitto_pub", &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    /// The next message of a topic: kept, or published from now on.
    pub async fn next(&self, topic: &str) -> Vec<u8> {
        let patience = PATIENCE.as_secs().to_string();
        let all = self.options(&["-t", topic, "-C", "1", "-N", "-W", &patience]);
        Program::output("mosquitto_sub", &all.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// The next message of a topic. What makes one is done until it has come: only the broker knows when the subscription begins.
    pub async fn next_after(&self, topic: &str, mut cause: impl AsyncFnMut()) -> Vec<u8> {
        let has_come = std::cell::Cell::new(false);
        let next = async {
            let message = self.next(topic).await;
            has_come.set(true);
            message
        };
        let what = format!("a message of {topic}");
        let again = super::eventually(&what, async || {
            cause().await;
            has_come.get()
        });
        tokio::join!(next, again).0
    }

    /// The kept message of a topic, if the broker has one now.
    pub async fn kept(&self, topic: &str) -> Option<Vec<u8>> {
        let all = self.options(&["-t", topic, "-C", "1", "-N", "-W", "1", "--retained-only"]);
        let output = tokio::process::Command::new("mosquitto_sub").args(all).output().await.expect("runs");
        output.status.success().then_some(output.stdout)
    }

    /// Follows topics; each line of the output is a topic and a payload.
    pub fn follow(&self, topic: &str) -> Following {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let all = self.options(&["-t", topic, "-v"]);
        let mut command = tokio::process::Command::new("mosquitto_sub");
        command.args(all).stdout(std::process::Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("mosquitto_sub is installed by `make test-deps`");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Following { lines, _child: child }
    }
}

/// A client that shows all messages.
pub struct Following {
    lines: tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>,
    _child: tokio::process::Child,
}

impl Following {
    /// The first line from now on that has this beginning.
    pub async fn line(&mut self, begin: &str) -> String {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let line = self.lines.next_line().await.expect("reads").expect("the client runs");
                if line.starts_with(begin) {
                    return line;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("no message that begins with {begin}"))
    }
}
