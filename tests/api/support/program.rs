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
/// returns each port once.
pub fn free_port() -> u16 {
    use std::sync::Mutex;
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(vec![]);
    loop {
        let tcp = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = tcp.local_addr().expect("bound").port();
        let mut given = GIVEN.lock().expect("no panic while it is held");
        if !given.contains(&port) && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            given.push(port);
            return port;
        }
    }
}
