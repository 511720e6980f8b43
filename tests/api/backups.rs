//! `mtx-sidecar backup`, `restore` and `support`, beside a server that runs.

use std::{
    io::Read,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support::{TestApp, eventually, free_port, picture};

/// Runs the command on the data folder of the application, which listens at this address.
fn sidecar(folder: &Path, listen: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("SIDECAR__DATA_DIR", folder.join("data")).env("SIDECAR__HTTP__LISTEN", listen);
    command.output().expect("runs")
}

fn told(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}

/// The files of an archive, with their text.
fn files(path: &Path) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(path).expect("is there")));
    let mut files = vec![];
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let mut data = vec![];
        entry.read_to_end(&mut data).expect("reads");
        files.push((name, String::from_utf8_lossy(&data).into_owned()));
    }
    files
}

#[tokio::test]
async fn a_backup_beside_a_running_server_is_restored_into_a_new_folder() {
    let app = TestApp::with("uploads: {durability: ack}");
    app.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    assert_eq!(app.put("/api/v1/streams/door/frame", &picture(7)).await.status, 200);
    let listen = app.addr.to_string();
    let archive = app.folder().join("backup.tar.gz");
    let archive = archive.to_str().expect("text");
    let output = sidecar(app.folder(), &listen, &["backup", archive]);
    assert!(output.status.success() && told(&output).contains("1 pictures"), "{}", told(&output));
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(archive).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds password hashes and keys");
    let again = sidecar(app.folder(), &listen, &["backup", archive]);
    assert!(!again.status.success() && told(&again).contains("exists already"), "{}", told(&again));
    let piped = sidecar(app.folder(), &listen, &["backup", "-"]);
    assert!(piped.status.success() && piped.stdout.starts_with(&[0x1F, 0x8B]), "{}", told(&piped));
    // Under the server, and over its data.
    let refused = sidecar(app.folder(), &listen, &["restore", archive]);
    assert!(!refused.status.success() && told(&refused).contains("in use by pid"), "{}", told(&refused));
    let password = app.password.clone();
    let folder = app.stop();
    let refused = sidecar(folder.path(), &listen, &["restore", archive]);
    assert!(!refused.status.success() && told(&refused).contains("overwrites nothing"), "{}", told(&refused));

    let other = Arc::new(tempfile::tempdir().expect("a folder"));
    let output = sidecar(other.path(), &listen, &["restore", archive]);
    assert!(output.status.success(), "{}", told(&output));
    let mut app = TestApp::in_folder(other, "");
    assert_eq!(app.password, None, "the administrator is that of the backup");
    app.password = password;
    let users = app.admin("GET", "/api/v1/users", "").await.json();
    assert!(users.to_string().contains("alice"), "{users}");
    let shown = app.get("/snapshot/door.jpg").await;
    assert!(shown.status == 200 && shown.body == picture(7), "{}", shown.status);
}

#[tokio::test]
async fn a_missing_data_folder_is_not_made_by_a_backup() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = sidecar(folder.path(), "127.0.0.1:1", &["backup", "x.tar.gz"]);
    assert!(!output.status.success() && told(&output).contains("there is no data folder"), "{}", told(&output));
    assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 0);
}

/// Secrets of all kinds in the settings, in definitions, and in the database.
const SECRETS: &str = "
auth: {users: [{user: bob, pass: hidden-1, permissions: [{action: read}]}], webhook_secret: hidden-2, generate_admin: yes}
mediamtx: {user: me, pass: hidden-3}
mqtt: {user: me, pass: hidden-4}
events: {webhooks: [{url: 'http://127.0.0.1:1/hook?token=hidden-5', pass: hidden-6}]}
uv4l: {cameras: {pi: {url: 'ws://127.0.0.1:1/stream/webrtc', user: pi, pass: hidden-7}}}
streams: {yard: {kind: rtsp, url: 'rtsp://me:hidden-8@127.0.0.1:1/live?key=hidden-9'}}
";

#[tokio::test]
async fn a_support_archive_has_the_state_and_no_secret() {
    let app = TestApp::with(SECRETS);
    let definition =
        json!({"kind": "http", "url": "http://127.0.0.1:1/s.cgi?pwd=hidden-10", "pass": "hidden-11", "user": "u"});
    assert_eq!(app.admin("PUT", "/api/v1/streams/gate", &definition.to_string()).await.status, 201);
    let path = json!({"kind": "camera", "url": "rtsp://me:hidden-12@127.0.0.1:1/live"});
    app.admin("PUT", "/api/v1/paths/cam", &path.to_string()).await;
    app.user("alice", json!({"pass": "hidden-13", "role": "user"})).await;
    let made =
        app.made("/api/v1/tokens", json!({"name": "t", "permissions": [{"action": "read"}], "expires": "1h"})).await;
    let token = made["token"].as_str().expect("a token").to_owned();
    let share = app.made("/api/v1/shares", json!({"path": "door", "expires": "1h"})).await;
    let code = share["code"].as_str().expect("a code").to_owned();
    let config = app.folder().join("support.yml");
    std::fs::write(&config, SECRETS).expect("writes");
    let config = config.to_str().expect("text");
    let archive = app.folder().join("report.tar.gz");
    let name = archive.to_str().expect("text");
    let output = sidecar(app.folder(), &app.addr.to_string(), &["--config", config, "support", name]);
    assert!(output.status.success(), "{}", told(&output));
    let found = files(&archive);
    let text = |name: &str| {
        let file = found.iter().find(|(file, _)| file == &format!("mtx-sidecar-support/{name}"));
        file.unwrap_or_else(|| panic!("no {name} in {:?}", found.iter().map(|(name, _)| name).collect::<Vec<_>>()))
            .1
            .clone()
    };
    let parsed = |name: &str| serde_json::from_str::<Value>(&text(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(parsed("system.json")["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(parsed("settings.json")["settings"]["mqtt.pass"], json!({"value": "***", "source": "file"}));
    assert_eq!(parsed("settings.json")["streams"]["yard"]["url"], "rtsp://127.0.0.1:1/live?key=***");
    assert_eq!(parsed("data.json")["rows"]["streams"], 1);
    assert_eq!(parsed("server/overview.json")["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        text("server/ready.txt").starts_with("ready") && text("server/metrics.txt").contains("mtx_sidecar_streams 2")
    );
    assert!(text("server/streams.json").contains("gate") && text("server/paths.json").contains("cam"));
    assert!(!text("server/log.txt").starts_with("missing"), "{}", text("server/log.txt"));
    let password = app.password.clone().expect("the first start");
    let hidden = (1..=13).map(|n| format!("hidden-{n}"));
    for secret in hidden.chain([token, code, password]) {
        let leak = found.iter().find(|(_, text)| text.contains(&secret)).map(|(name, _)| name);
        assert_eq!(leak, None, "{secret}");
    }
    assert!(!found.iter().any(|(_, text)| text.contains("$argon2")), "no hash of a password");
}

#[tokio::test]
async fn a_support_archive_is_made_without_a_server_and_with_wrong_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let listen = format!("127.0.0.1:{}", free_port());
    let output = sidecar(folder.path(), &listen, &["support"]);
    assert!(output.status.success(), "{}", told(&output));
    let found = files(&folder.path().join("mtx-sidecar-support.tar.gz"));
    let missing = found.iter().find(|(name, _)| name.ends_with("server/missing.txt")).expect("says what is missing");
    assert!(missing.1.starts_with("missing: "), "{}", missing.1);
    assert!(!folder.path().join("data").exists(), "it makes no data folder");
    let config = folder.path().join("wrong.yml");
    std::fs::write(&config, "http: {listn: x}\nauth: {webhook_secret: hidden-1}\n").expect("writes");
    let output =
        sidecar(folder.path(), &listen, &["--config", config.to_str().expect("text"), "support", "wrong.tar.gz"]);
    assert!(output.status.success(), "{}", told(&output));
    let found = files(&folder.path().join("wrong.tar.gz"));
    let settings = &found.iter().find(|(name, _)| name.ends_with("settings.json")).expect("settings").1;
    assert!(settings.contains("listn") && !settings.contains("hidden-1"), "{settings}");
}

#[tokio::test]
async fn the_last_lines_of_the_log_are_for_administrators() {
    let app = TestApp::spawn();
    assert!(matches!(app.get("/api/v1/log").await.status, 401 | 403));
    eventually("an administrator can read them", async || {
        let answer = app.admin("GET", "/api/v1/log?format=text", "").await;
        answer.status == 200 && answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain"))
    })
    .await;
}
