//! Commands beside a running server, and what programs that call them see.

use std::process::{Command, Output, Stdio};

use crate::support::{Program, TestApp, eventually, free_port};

fn sidecar(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.args(arguments).envs(variables.iter().copied()).current_dir(std::env::temp_dir());
    command.stdin(Stdio::null()).output().expect("runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn health_asks_the_server_that_the_settings_describe() {
    let app = TestApp::with("http: {base_path: /cameras}");
    let listen = app.addr.to_string();
    // In a file, by --config and by its variable; in the environment; and as an argument.
    let file = app.folder().join("health.yml");
    std::fs::write(&file, format!("http: {{listen: '0.0.0.0:{}', base_path: /cameras}}\n", app.addr.port()))
        .expect("writes");
    let file = file.to_str().expect("text");
    for (arguments, variables) in [
        (vec!["--config", file, "health"], vec![]),
        (vec!["health"], vec![("SIDECAR_CONFIG", file)]),
        (vec!["health"], vec![("SIDECAR__HTTP__LISTEN", &*listen), ("SIDECAR__HTTP__BASE_PATH", "/cameras")]),
        (vec!["health", &listen], vec![]),
    ] {
        let output = sidecar(&arguments, &variables);
        assert!(output.status.success(), "{arguments:?} {variables:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "ready\n");
    }
    // Nothing listens there, and settings that are wrong are told as `serve` tells them.
    let none = format!("127.0.0.1:{}", free_port());
    let failed = sidecar(&["health"], &[("SIDECAR__HTTP__LISTEN", &none)]);
    assert!(!failed.status.success() && text(&failed.stderr).contains(&none), "{failed:?}");
    let wrong = sidecar(&["health"], &[("SIDECAR__HTTP__LISTEN", "everywhere")]);
    assert!(!wrong.status.success() && text(&wrong.stderr).contains("http.listen"), "{wrong:?}");
}

/// What packages need: completions that the shells can read, and a page for each command that is not hidden.
#[test]
fn completions_and_manual_pages_are_generated() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = sidecar(&["generate", folder.path().to_str().expect("text")], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let files = std::fs::read_dir(folder.path()).expect("lists").flatten();
    let names: Vec<_> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    for name in ["mtx-sidecar.bash", "_mtx-sidecar", "mtx-sidecar.fish", "mtx-sidecar.1", "mtx-sidecar-user-add.1"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    let needless: Vec<_> = names.iter().filter(|name| name.contains("-help") || name.contains("generate")).collect();
    assert!(needless.is_empty(), "{needless:?}");
    let bash = Command::new("bash").arg("-n").arg(folder.path().join("mtx-sidecar.bash")).output().expect("runs");
    assert!(bash.status.success() && bash.stderr.is_empty(), "{}", text(&bash.stderr));
    let page = std::fs::read_to_string(folder.path().join("mtx-sidecar-backup.1")).expect("reads");
    assert!(page.contains(".TH mtx-sidecar-backup 1"), "{page}");
}

/// Files and other programs get no escape sequences, whatever `TERM` says.
#[tokio::test]
async fn what_is_no_terminal_gets_no_colours() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, rtsp) = (free_port(), free_port());
    let log = folder.path().join("log");
    let out = || std::fs::File::options().create(true).append(true).open(&log).expect("a log");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.arg("serve").env("TERM", "xterm-256color").env("SIDECAR__LOG__LEVEL", "debug").current_dir(folder.path());
    command.env("SIDECAR__HTTP__LISTEN", format!("127.0.0.1:{port}"));
    command.env("SIDECAR__RTSP__LISTEN", format!("127.0.0.1:{rtsp}"));
    command.stdin(Stdio::null()).stdout(out()).stderr(out()).kill_on_drop(true);
    let program = Program(command.spawn().expect("starts"));
    eventually("the log has lines", async || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("listens on") && log.contains("password"))
    })
    .await;
    drop(program);
    let folder = folder.path().to_str().expect("text");
    let mut said = vec![std::fs::read(&log).expect("reads")];
    for arguments in
        [&["--help"][..], &["check"], &["--nonsense"], &["user", "remove", "alice"], &["health", "127.0.0.1:1"]]
    {
        let output = sidecar(arguments, &[("TERM", "xterm-256color"), ("SIDECAR__DATA_DIR", folder)]);
        said.push([output.stdout, output.stderr].concat());
    }
    for said in said {
        assert!(!said.is_empty() && !said.contains(&0x1B), "{}", text(&said));
    }
}
