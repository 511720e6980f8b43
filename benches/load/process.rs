//! Starting servers on one core, and reading the kernel's figures of them.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::Result;

const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";

pub fn pin_self_to_load_core() -> std::io::Result<()> {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset").args(["-a", "-cp", LOAD_CORE, &pid]).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other("taskset failed")) }
}

/// A server process, ended on drop.
pub struct Server {
    child: Child,
    pub addr: SocketAddr,
    /// The address of its RTSP server, if it has one.
    pub rtsp: SocketAddr,
    _folder: Option<tempfile::TempDir>,
}

impl Server {
    /// The sidecar with these settings (YAML) and those that a measurement needs.
    pub fn sidecar(settings: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, rtsp) = (free_port()?, free_port()?);
        let config = folder.path().join("sidecar.yml");
        std::fs::write(&config, settings)?;
        let mut command = Command::new("taskset");
        command
            .args(["-c", SERVER_CORE, env!("CARGO_BIN_EXE_mtx-sidecar"), "--config"])
            .arg(&config)
            .env("SIDECAR__HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .env("SIDECAR__RTSP__LISTEN", format!("127.0.0.1:{rtsp}"))
            .env("SIDECAR__DATA_DIR", folder.path().join("data"))
            .env("SIDECAR__LOG__LEVEL", "warn")
            .current_dir(folder.path())
            .stdout(Stdio::null());
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let server = Server { child: command.spawn()?, addr: at(port), rtsp: at(rtsp), _folder: Some(folder) };
        server.wait_until_open()?;
        Ok(server)
    }

    /// One of the references in `bare.rs`, which prints its address.
    pub fn reference(which: &str) -> Result<Self> {
        Server::reference_with(which, &[])
    }

    /// The same with these variables of the environment.
    pub fn reference_with(which: &str, environment: &[(&str, String)]) -> Result<Self> {
        let me: PathBuf = std::env::current_exe()?;
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE]).arg(me).arg(which).envs(environment.iter().cloned());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let addr = line.trim().parse()?;
        Ok(Server { child, addr, rtsp: addr, _folder: None })
    }

    fn wait_until_open(&self) -> Result {
        let began = Instant::now();
        while std::net::TcpStream::connect(self.addr).is_err() {
            if began.elapsed() > Duration::from_secs(10) {
                return Err("the server does not open its port".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// CPU time of all of its threads so far (proc_pid_stat(5), fields 14 and 15, in ticks of 10 ms).
    pub fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    /// The same in nanoseconds (schedstat of each thread), without threads that have ended.
    pub fn cpu_exact(&self) -> Duration {
        cpu_exact_of(self.child.id())
    }

    /// As [`Server::cpu`], with its child processes that run now.
    pub fn cpu_of_all(&self) -> Duration {
        let id = self.child.id();
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let children = pids.filter(|pid| stat_of(*pid).get(1).is_some_and(|parent| *parent == id.to_string()));
        self.cpu() + children.map(cpu_of).sum::<Duration>()
    }

    /// Open files and sockets.
    pub fn open_files(&self) -> u64 {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, |files| files.count() as u64)
    }

    /// Threads.
    pub fn threads(&self) -> u64 {
        std::fs::read_dir(format!("/proc/{}/task", self.child.id())).map_or(0, |threads| threads.count() as u64)
    }

    /// Resident memory, in KiB.
    pub fn rss_kib(&self) -> u64 {
        rss_kib_of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The fields of proc_pid_stat(5) from the third one on, the state.
fn stat_of(pid: u32) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().unwrap_or_default().split(' ').map(str::to_owned).collect()
}

pub fn cpu_of(pid: u32) -> Duration {
    let fields = stat_of(pid);
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

pub fn cpu_exact_of(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

pub fn rss_kib_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The percentile of a sorted list.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

pub fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
