//! The command line.

use std::process::{Command, Output, Stdio};

use tokio::io::AsyncWriteExt;

use crate::support::{Program, TestApp, eventually, picture};

fn sidecar(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().expect("starts");
    (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_pushed_in_order() {
    let app = TestApp::spawn();
    for n in 1..=3 {
        std::fs::write(app.folder().join(format!("{n}.jpg")), picture(n)).expect("writes");
    }
    let pattern = format!("{}/*.jpg", app.folder().display());
    let url = format!("http://{}", app.addr);
    let (ok, said) = run(sidecar(&["push", "show", &pattern, "--fps", "50", "--url", &url]));
    assert!(ok && said.contains("sent 3 pictures"), "{said}");
    assert_eq!(app.get("/snapshot/show.jpg").await.body, picture(3));
    assert_eq!(app.stats("show").await["frames"], 3);

    let (ok, said) = run(sidecar(&["push", "show", "/nonexistent/*.jpg", "--url", &url]));
    assert!(!ok && said.contains("matches no file"), "{said}");
    let (ok, said) = run(sidecar(&["push", "a b", &pattern, "--url", &url]));
    assert!(!ok && said.contains("can contain letters"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_printed_with_the_error_of_the_sidecar() {
    let app = TestApp::with(
        "auth: {users: [{user: cam, pass: secret, permissions: [{action: publish}]}], generate_admin: no}",
    );
    let file = app.folder().join("1.jpg");
    std::fs::write(&file, picture(1)).expect("writes");
    let file = file.to_string_lossy().into_owned();
    let url = format!("http://{}", app.addr);
    let (ok, said) = run(sidecar(&["push", "x", &file, "--url", &url]));
    assert!(!ok && said.contains("a user name and password, or a token"), "{said}");
    let mut command = sidecar(&["push", "x", &file, "--url", &url, "--user", "cam"]);
    command.env("SIDECAR_PASSWORD", "wrong");
    let (ok, said) = run(command);
    assert!(!ok && said.contains("wrong user name or password"), "{said}");
    let mut command = sidecar(&["push", "x", &file, "--url", &url, "--user", "cam"]);
    command.env("SIDECAR_PASSWORD", "secret");
    let (ok, said) = run(command);
    assert!(ok, "{said}");
}

#[tokio::test]
async fn each_picture_of_standard_input_is_pushed_at_once() {
    let app = TestApp::spawn();
    let url = format!("http://{}", app.addr);
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.args(["push", "pipe", "-", "--url", &url]).stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    for n in 1..=3 {
        pipe.write_all(&picture(n)).await.expect("writes");
        eventually("the picture is the snapshot", async || app.get("/snapshot/pipe.jpg").await.body == picture(n))
            .await;
    }
    drop(pipe);
    assert!(child.wait().await.expect("ends").success());
}

#[tokio::test]
async fn new_pictures_in_a_folder_are_pushed() {
    let app = TestApp::spawn();
    let url = format!("http://{}", app.addr);
    let shots = app.folder().join("shots");
    std::fs::create_dir(&shots).expect("makes");
    std::fs::write(shots.join("old.jpg"), picture(0)).expect("writes");
    let _push = Program::start(
        env!("CARGO_BIN_EXE_mtx-sidecar"),
        &["push", "folder", &shots.to_string_lossy(), "--watch", "--url", &url],
    );
    let mut number = 0;
    eventually("a new picture is pushed", async || {
        // The command ignores files that are older than its start, so new ones are written until one is pushed.
        number += 1;
        std::fs::write(shots.join(format!("{number}.jpg")), picture(1)).expect("writes");
        app.get("/snapshot/folder.jpg").await.body == picture(1)
    })
    .await;
}

#[test]
fn init_check_and_hash_password_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_string_lossy().into_owned();
    let (ok, said) = run(sidecar(&["init", &path]));
    assert!(ok && said.contains("wrote"), "{said}");
    let (ok, said) = run(sidecar(&["init", &path]));
    assert!(!ok && said.contains("exists already"), "{said}");
    let config = format!("{path}/sidecar.yml");
    let mediamtx = format!("{path}/mediamtx.yml");
    let (ok, said) = run(sidecar(&["--config", &config, "check", &mediamtx]));
    assert!(ok && said.contains(": no errors") && said.contains(": no findings"), "{said}");

    std::fs::write(&config, "http: {listen: 127.0.0.1:9000, lisen: 1}\nstreams: {x: {kind: y}}\n").expect("writes");
    let (ok, said) = run(sidecar(&["--config", &config, "check"]));
    assert!(
        !ok && said.contains("http.lisen: is not a known key; did you mean listen?") && said.contains("streams.x.kind"),
        "{said}"
    );
    std::fs::write(&config, "http: {listen: 127.0.0.1:9000}\n").expect("writes");
    let (ok, said) = run(sidecar(&["--config", &config, "check", &mediamtx]));
    assert!(!ok && said.contains("authHTTPAddress: asks port 9995; http.listen in sidecar.yml has 9000"), "{said}");

    let mut command = sidecar(&["hash-password"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"s3cret\n").expect("writes");
    let output = child.wait_with_output().expect("ends");
    let hash = String::from_utf8(output.stdout).expect("text");
    assert!(hash.starts_with("argon2:$argon2id$v=19$"), "{hash}");
    assert!(mtx_sidecar::policy::Credential::parse(hash.trim()).is_ok());
}
