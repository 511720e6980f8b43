//! `mtx-sidecar hook demand`: a UV4L camera is called while the command runs, whichever way it ends.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::support::{
    PATIENCE, TestApp, eventually, free_port,
    uv4l_camera::{Script, Uv4lCamera},
};

/// The command as MediaMTX starts it for a path.
fn hook(app: &TestApp, path: &str, secret: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.args(["hook", "demand", "--url", &format!("http://{}", app.addr)]);
    command.env("MTX_PATH", path).env("SIDECAR_WEBHOOK_SECRET", secret);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().expect("starts")
}

/// A sidecar with this camera as `door`.
fn app_with(camera: &Uv4lCamera) -> TestApp {
    TestApp::with(&format!(
        "auth: {{webhook_secret: s3cret}}\nuv4l: {{cameras: {{door: {{url: '{}', max_sessions: 2}}}}}}",
        camera.url()
    ))
}

async fn is_called(camera: &Uv4lCamera, connection: usize) {
    eventually("the camera is called", async || {
        camera.seen().get(connection).is_some_and(|words| words.first().is_some_and(|word| word == "call"))
    })
    .await;
}

async fn is_free(camera: &Uv4lCamera, connection: usize) {
    eventually("the call has ended", async || camera.open() == 0).await;
    assert_eq!(camera.seen()[connection], ["call", "hangup"]);
}

async fn ends(hook: Child) -> std::process::Output {
    timeout(PATIENCE, hook.wait_with_output()).await.expect("in time").expect("ends")
}

/// The camera sends no offer, so that its call lasts without a MediaMTX.
#[tokio::test]
async fn a_camera_is_called_until_the_command_ends() {
    let camera = Uv4lCamera::start(Script::default()).await;
    let app = app_with(&camera);
    // As MediaMTX ends it, and as a killed one ends.
    for (i, signal) in ["-INT", "-TERM", "-KILL"].into_iter().enumerate() {
        let mut hook = hook(&app, "door", "s3cret");
        let mut told = BufReader::new(hook.stdout.take().expect("piped")).lines();
        // It writes the states into MediaMTX's log.
        while let Some(line) = timeout(PATIENCE, told.next_line()).await.expect("in time").expect("reads") {
            if line == "mtx-sidecar: door: starting: the camera is called" {
                break;
            }
        }
        is_called(&camera, i).await;
        let pid = hook.id().expect("it runs").to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.expect("kill runs").success());
        let output = ends(hook).await;
        assert_eq!(output.status.success(), signal != "-KILL", "{signal}: {output:?}");
        is_free(&camera, i).await;
    }
    assert_eq!(camera.seen().len(), 3);
}

#[tokio::test]
async fn two_commands_for_a_camera_share_its_call() {
    let camera = Uv4lCamera::start(Script::default()).await;
    let app = app_with(&camera);
    let (first, second) = (hook(&app, "door", "s3cret"), hook(&app, "door", "s3cret"));
    is_called(&camera, 0).await;
    let bridge = async || app.admin("GET", "/api/v1/uv4l", "").await.json()["cameras"][0]["bridge"]["state"].clone();
    eventually("the list shows the state", async || bridge().await == "starting").await;
    drop(first);
    drop(second);
    is_free(&camera, 0).await;
    eventually("the path has no state any longer", async || bridge().await.is_null()).await;
    assert_eq!(camera.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_ends_the_command_with_its_reason() {
    let camera = Uv4lCamera::start(Script::default()).await;
    let app = app_with(&camera);
    for (path, secret, says) in [
        ("yard", "s3cret", "there is no UV4L camera yard"),
        ("a/../b", "s3cret", "name: "),
        ("door", "wrong", "auth.webhook_secret"),
        ("", "s3cret", "MTX_PATH is not set"),
    ] {
        let output = ends(hook(&app, path, secret)).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(says), "{path} {secret}: {told}");
    }
    assert!(camera.seen().is_empty(), "no refused caller reaches the camera");
}

#[tokio::test]
async fn the_command_waits_for_a_sidecar_that_is_away() {
    let camera = Uv4lCamera::start(Script::default()).await;
    let settings = format!(
        "http: {{listen: '127.0.0.1:{}'}}\nauth: {{webhook_secret: s3cret}}\nuv4l: {{cameras: {{door: {{url: '{}'}}}}}}",
        free_port(),
        camera.url()
    );
    let app = TestApp::with(&settings);
    let _hook = hook(&app, "door", "s3cret");
    is_called(&camera, 0).await;
    let folder = app.stop();
    is_free(&camera, 0).await;
    let _app = TestApp::in_folder(folder, &settings);
    is_called(&camera, 1).await;
}
