//! Programs of the system as peers, and ports for those that cannot choose one.

use std::process::Stdio;

use super::PATIENCE;

/// A program of the system, started quietly and ended on drop.
pub struct Program(pub tokio::process::Child);

impl Program {
    pub fn start(name: &str, args: &[&str]) -> Self {
        Program::start_with(name, args, Stdio::null())
    }

    /// The same, with its output in a pipe.
    pub fn start_piped(name: &str, args: &[&str]) -> Self {
        Program::start_with(name, args, Stdio::piped())
    }

    fn start_with(name: &str, args: &[&str], output: Stdio) -> Self {
        let mut command = tokio::process::Command::new(name);
        let quiet = if std::env::var_os("TEST_LOG").is_some() { Stdio::inherit() } else { Stdio::null() };
        command.args(args).stdin(Stdio::null()).stdout(output).stderr(quiet).kill_on_drop(true);
        Program(
            command.spawn().unwrap_or_else(|e| panic!("{name} cannot be started ({e}); `make test-deps` installs it")),
        )
    }

    /// Runs the program to its end and returns its output.
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

/// A port that is free now, for programs that cannot take port 0 and report the port they got. One run of the tests
/// returns each port once. The ports are below those that the system gives to outgoing connections (32768 on Linux), which
/// could otherwise take one before its program does. Runs beside each other begin at different ports.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    const PORTS: std::ops::Range<u32> = 12_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(997);
    loop {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
        let port = (PORTS.start + offset) as u16;
        let tcp = std::net::TcpListener::bind(("127.0.0.1", port));
        if tcp.is_ok() && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
