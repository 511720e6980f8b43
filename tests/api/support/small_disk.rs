//! The program in a mount namespace of its own, with file systems that only it sees: a small disk that a test fills, or a
//! mount that hangs. The namespace ends with the test, whatever happens.

use std::{path::PathBuf, process::Stdio};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::{PATIENCE, Program, basic, eventually, free_port, skip::skip};

/// What the namespace has besides the files of the machine.
pub enum Mount {
    /// The folder `data` on a disk of this size, such as `2m`.
    Disk(&'static str),
    /// The folder `hung` on a file system in user space whose program never answers.
    Hung,
}

/// The program, its folder and its namespace.
pub struct Namespaced {
    folder: tempfile::TempDir,
    port: u16,
    /// Keeps the namespace.
    holder: Program,
    /// Options of nsenter for the namespace.
    enter: &'static [&'static str],
    program: Option<Program>,
}

/// Mounts a file system in user space and answers none of its requests.
const HUNG: &str = r#"
import ctypes, os, sys
fd = os.open("/dev/fuse", os.O_RDWR)
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fd
if ctypes.CDLL(None, use_errno=True).mount(b"hung", sys.argv[1].encode(), b"fuse", 0, options) != 0:
    sys.exit("no mount")
print("mounted", flush=True)
sys.stdin.read()
"#;

/// An answer: status and body.
pub type Answer = (u16, String);

impl Namespaced {
    /// Makes the namespace. None where the system allows none, which is noted as a skipped test.
    pub async fn new(mount: &Mount, settings: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["data", "hung", "good"] {
            std::fs::create_dir(folder.path().join(name)).expect("makes");
        }
        let (port, rtsp, path) = (free_port(), free_port(), folder.path().display());
        let settings = format!(
            "{settings}\nhttp: {{listen: '127.0.0.1:{port}'}}\nrtsp: {{listen: '127.0.0.1:{rtsp}'}}\nudp: {{listen: '127.0.0.1:0'}}\n\
             data_dir: '{path}/data'\nmedia: {{roots: ['{path}/good', '{path}/hung']}}\n\
             auth: {{users: [{{user: admin, pass: secret, permissions: [{{action: api}}, {{action: read}}, {{action: publish}}, {{action: metrics}}]}}]}}\n"
        );
        std::fs::write(folder.path().join("sidecar.yml"), settings).expect("writes");
        let script = match mount {
            Mount::Disk(size) => {
                format!("mount -t tmpfs -o size={size} none '{path}/data' && echo mounted && exec cat")
            }
            Mount::Hung => format!("exec python3 -c '{HUNG}' '{path}/hung'"),
        };
        // Root needs no namespace of users, and some containers allow none.
        let ways: [(&[&str], &[&str]); 2] = [(&["-m"], &["-m"]), (&["-Urm"], &["-U", "-m", "--preserve-credentials"])];
        for (unshare, enter) in ways {
            let mut command = Command::new("unshare");
            command.args(unshare).args(["sh", "-c", &script]).kill_on_drop(true);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let Ok(mut holder) = command.spawn() else { continue };
            let mut line = String::new();
            let output = holder.stdout.take().expect("is piped");
            if BufReader::new(output).read_line(&mut line).await.is_ok() && line == "mounted\n" {
                return Some(Namespaced { folder, port, holder: Program(holder), enter, program: None });
            }
        }
        skip("no mount namespace can be made here (unshare, mount)");
        None
    }

    /// A path in the folder, as the program sees it.
    pub fn inside(&self, path: &str) -> PathBuf {
        let holder = self.holder.0.id().expect("it runs");
        let folder = self.folder.path().strip_prefix("/").expect("absolute");
        PathBuf::from(format!("/proc/{holder}/root")).join(folder).join(path)
    }

    /// Starts the program and waits until it answers.
    pub async fn start(&mut self) {
        let holder = self.holder.0.id().expect("it runs").to_string();
        let mut command = Command::new("nsenter");
        let quiet = || if std::env::var_os("TEST_LOG").is_some() { Stdio::inherit() } else { Stdio::null() };
        command.args(self.enter).args(["-t", &holder, env!("CARGO_BIN_EXE_mtx-sidecar"), "--config"]);
        command.arg(self.folder.path().join("sidecar.yml")).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(quiet()).stderr(quiet()).kill_on_drop(true);
        self.program = Some(Program(command.spawn().expect("nsenter is there (util-linux)")));
        eventually("the program answers", async || self.get("/healthz").await.0 == 200).await;
    }

    /// Ends the program with `kill -9`.
    pub async fn kill(&mut self) {
        let mut program = self.program.take().expect("it runs");
        program.0.kill().await.expect("ends");
    }

    /// Ends the program in order.
    pub async fn stop(&mut self) {
        let mut program = self.program.take().expect("it runs");
        let pid = program.0.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())).expect("it runs");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("is told to end");
        tokio::time::timeout(PATIENCE, program.0.wait()).await.expect("ends in time").expect("ends");
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], b"").await
    }

    /// A request of the administrator.
    pub async fn admin(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.request(method, path, &[&basic("admin", "secret")], body).await
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), body).expect("writes");
        let mut command = Command::new("curl");
        command.args(["-s", "-m", "30", "-X", method, "-w", "\n%{http_code}"]);
        for header in headers {
            command.args(["-H", header]);
        }
        if !body.is_empty() {
            command.args(["-H", "Content-Type: application/octet-stream"]);
            command.arg("--data-binary").arg(format!("@{}", file.path().display()));
        }
        command.arg(format!("http://127.0.0.1:{}{path}", self.port)).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.expect("curl is there").stdout;
        let text = String::from_utf8_lossy(&output).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or((&text, "0"));
        (status.parse().unwrap_or(0), body.to_owned())
    }
}

/// The `code` of a problem document.
pub fn code(answer: &Answer) -> (u16, String) {
    let problem: Value = serde_json::from_str(&answer.1).unwrap_or_default();
    (answer.0, problem["code"].as_str().unwrap_or_default().to_owned())
}
