//! Tests that need a program which not every machine has. A skipped test passes, so it has to be seen: it writes a line to
//! standard error past the test harness's capture, and one to the file that `SKIPPED_TESTS_FILE` names, which `make test`
//! counts at its end.

use std::{
    ffi::OsString,
    fs::File,
    io::Write,
    process::{Command, Stdio},
};

/// Notes that the running test ends early, and why.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {reason}\n", thread.name().unwrap_or("a test"));
    // `eprintln!` is captured by the harness; the stream itself is not.
    let _ = std::io::stderr().write_all(format!("SKIPPED {line}").as_bytes());
    if let Some(file) = std::env::var_os("SKIPPED_TESTS_FILE").filter(|file| !file.is_empty()) {
        // One write for the line: tests of several threads and processes append to the file.
        let appended =
            File::options().create(true).append(true).open(&file).and_then(|mut f| f.write_all(line.as_bytes()));
        appended.unwrap_or_else(|e| panic!("SKIPPED_TESTS_FILE {} cannot be written: {e}", file.display()));
    }
}

/// The program of MediaMTX, from `MEDIAMTX_BIN` or on `PATH`. If there is none, the test is skipped, and fails where
/// `REQUIRE_MEDIAMTX` is 1.
pub fn mediamtx() -> Option<OsString> {
    let binary = std::env::var_os("MEDIAMTX_BIN").filter(|name| !name.is_empty()).unwrap_or_else(|| "mediamtx".into());
    let mut command = Command::new(&binary);
    let version = command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if version.status().is_ok_and(|status| status.success()) {
        return Some(binary);
    }
    let reason = "there is no mediamtx on PATH or in MEDIAMTX_BIN";
    let is_required = std::env::var_os("REQUIRE_MEDIAMTX").is_some_and(|value| value == "1");
    assert!(!is_required, "{reason}, and REQUIRE_MEDIAMTX is 1");
    skip(reason);
    None
}

/// Another version of the NATS server, from the variable of this name. If it is not set, the test is skipped.
pub fn other_nats_server(variable: &str) -> Option<OsString> {
    let binary = std::env::var_os(variable).filter(|name| !name.is_empty());
    if binary.is_none() {
        skip(&format!("{variable} names no nats-server"));
    }
    binary
}

/// The NATS server, from `NATS_SERVER_BIN` or on `PATH`. If there is none, the test is skipped, and fails where
/// `REQUIRE_NATS` is 1.
pub fn nats_server() -> Option<OsString> {
    let binary = std::env::var_os("NATS_SERVER_BIN").filter(|name| !name.is_empty());
    let binary = binary.unwrap_or_else(|| "nats-server".into());
    let mut command = Command::new(&binary);
    let version = command.arg("--version").stdin(Stdio::null()).output();
    let text = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    // `nats-server: v2.12.3`. Debian 12 has 2.9, whose key-value store clients of today do not understand.
    let minor = text.split_once("v2.").and_then(|(_, rest)| rest.split('.').next()?.parse::<u32>().ok());
    if minor.is_some_and(|minor| minor >= 10) {
        return Some(binary);
    }
    let reason = "there is no nats-server 2.10 or later on PATH or in NATS_SERVER_BIN";
    let is_required = std::env::var_os("REQUIRE_NATS").is_some_and(|value| value == "1");
    assert!(!is_required, "{reason}, and REQUIRE_NATS is 1");
    skip(reason);
    None
}

/// Runs one test of this program that needs MediaMTX, in a process of its own where there is none.
fn run_without_mediamtx(file: &std::path::Path, require: &str) -> (bool, String) {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", NEEDS_MEDIAMTX])
        .env("MEDIAMTX_BIN", "/nonexistent/mediamtx")
        .env("REQUIRE_MEDIAMTX", require)
        .env("SKIPPED_TESTS_FILE", file)
        .env_remove("RUST_TEST_NOCAPTURE")
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
}

const NEEDS_MEDIAMTX: &str = "mediamtx::rtsp_and_hls_readers_get_the_uploaded_picture_on_demand";

#[test]
fn a_skipped_test_is_reported_and_fails_where_its_program_is_required() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("skipped");
    let reason = "there is no mediamtx on PATH or in MEDIAMTX_BIN";
    let line = format!("{NEEDS_MEDIAMTX}: {reason}\n");
    for runs in 1..=2 {
        let (passed, printed) = run_without_mediamtx(&file, "");
        assert!(passed && printed.contains("1 passed"), "{printed}");
        assert!(printed.contains(&format!("SKIPPED {line}")), "not captured: {printed}");
        assert_eq!(
            std::fs::read_to_string(&file).expect("the file"),
            line.repeat(runs),
            "one line for each skipped test"
        );
    }
    let (passed, printed) = run_without_mediamtx(&file, "1");
    assert!(!passed && printed.contains("1 failed") && printed.contains(reason), "{printed}");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), line.repeat(2), "a failed test is not skipped");
}

/// Whether the program is installed.
pub fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The same. Without the program, the test is skipped.
pub fn has(program: &str) -> bool {
    let is_there = is_there(program);
    if !is_there {
        skip(&format!("there is no {program} (`make test-deps` installs it)"));
    }
    is_there
}
