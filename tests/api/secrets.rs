//! No secret is in the log, at any level.

use serde_json::{Value, json};

use crate::support::{Program, TestApp, basic, eventually, free_port, picture};

#[tokio::test]
async fn the_log_contains_no_password_and_no_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, rtsp) = (free_port(), free_port());
    let config = format!(
        "http: {{listen: '127.0.0.1:{port}'}}\nrtsp: {{listen: '127.0.0.1:{rtsp}'}}\nudp: {{listen: '127.0.0.1:0'}}\nlog: {{level: trace}}\n\
         data_dir: '{0}/data'\nauth: {{users: [{{user: admin, pass: pass-of-the-file, permissions: [{{action: api}}, {{action: read}}, {{action: publish}}]}}]}}\n\
         streams: {{yard: {{kind: rtsp, url: 'rtsp://admin:pass-of-the-camera@127.0.0.1:{rtsp}/door?key=pass-in-the-url'}}}}",
        folder.path().display()
    );
    let (file, log) = (folder.path().join("sidecar.yml"), folder.path().join("log"));
    std::fs::write(&file, config).expect("writes");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    let out = || std::fs::File::options().create(true).append(true).open(&log).expect("a log");
    command.arg("--config").arg(&file).arg("serve").stdout(out()).stderr(out()).kill_on_drop(true);
    let _program = Program(command.spawn().expect("starts"));
    let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let admin = basic("admin", "pass-of-the-file");
    // Requests that fail are a part of the test.
    let curl = async |args: &[&str]| {
        let mut command = tokio::process::Command::new("curl");
        command.args(["-s", "-m", "5"]).args(args).kill_on_drop(true);
        command.output().await.expect("curl is there").stdout
    };
    eventually("the program answers", async || curl(&[&url("/healthz")]).await.starts_with(b"ok")).await;
    let post = async |path: &str, body: Value| {
        let answer = curl(&["-H", &admin, "-d", &body.to_string(), &url(path)]).await;
        serde_json::from_slice::<Value>(&answer).unwrap_or_default()
    };
    let text = |of: &Value, key: &str| of[key].as_str().expect("a text").to_owned();
    let jpeg = folder.path().join("p.jpg");
    std::fs::write(&jpeg, picture(1)).expect("writes");
    curl(&["-H", &admin, "-T", &jpeg.to_string_lossy(), &url("/api/v1/streams/door/frame")]).await;
    let token = text(
        &post("/api/v1/tokens", json!({"name": "x", "permissions": [{"action": "read"}], "expires": "1h"})).await,
        "token",
    );
    let code = text(&post("/api/v1/shares", json!({"path": "door", "expires": "1h"})).await, "code");
    let access =
        text(&post("/api/v1/login", json!({"user": "admin", "password": "pass-of-the-file"})).await, "access_token");
    curl(&[
        "-H",
        &admin,
        "-X",
        "PUT",
        "-d",
        r#"{"pass":"pass-of-the-base","role":"user"}"#,
        &url("/api/v1/users/alice"),
    ])
    .await;
    for path in [
        format!("/snapshot/door.jpg?token={token}"),
        format!("/snapshot/door.jpg?token={code}"),
        format!("/snapshot/none.jpg?jwt={access}"),
        format!("/nothing?token={token}"),
    ] {
        curl(&[&url(&path)]).await;
    }
    let refused = String::from_utf8(curl(&["-H", &admin, &url("/snapshot/yard.jpg")]).await).expect("text");
    assert!(refused.contains("refuses the user name and password"), "{refused}");
    let shown = String::from_utf8(curl(&["-H", &admin, &url("/api/v1/streams/yard")]).await).expect("text");
    assert!(shown.contains("***") && !shown.contains("pass-of-the-camera"), "{shown}");
    assert!(shown.contains("key=***") && !shown.contains("pass-in-the-url"), "{shown}");
    curl(&["-d", &json!({ "code": code }).to_string(), &url("/api/v1/shares/open")]).await;
    curl(&["-u", "alice:pass-that-is-wrong", &url("/api/v1/users")]).await;
    let question = json!({"ip": "192.0.2.1", "user": "alice", "password": "pass-of-the-base", "action": "read", "path": "x", "query": format!("token={code}")});
    curl(&["-d", &question.to_string(), &url("/mediamtx-auth")]).await;
    eventually("the requests are logged", async || {
        let log = std::fs::read_to_string(&log).expect("reads");
        log.contains("/mediamtx-auth")
            && log.contains("alice")
            && log.contains("/nothing")
            && log.contains("producer failed")
    })
    .await;
    let log = std::fs::read_to_string(&log).expect("reads");
    // The lines that the server keeps in memory are the same ones.
    let kept = String::from_utf8(curl(&["-H", &admin, &url("/api/v1/log?format=text")]).await).expect("text");
    // Each has the time at which it was written.
    let (_, last) = log.lines().last().and_then(|line| line.split_once(' ')).expect("a time and a line");
    assert!(kept.contains(last.trim()), "{last} is not in\n{kept}");
    let log = log + &kept;
    for secret in [
        "pass-of-the-file",
        "pass-of-the-base",
        "pass-that-is-wrong",
        "pass-of-the-camera",
        "pass-in-the-url",
        &token,
        &code,
        &access,
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

/// A definition that was shown can be sent back. Its secrets go to no other host.
#[tokio::test]
async fn secret_parameters_of_a_camera_s_url_are_not_shown_and_stay_with_their_host() {
    let app = TestApp::spawn();
    let put = async |url: &str| {
        let definition = json!({"kind": "http", "url": url}).to_string();
        app.admin("PUT", "/api/v1/streams/yard", &definition).await
    };
    let made = put("http://127.0.0.1:9/s.cgi?user=admin&pwd=hunter2&channel=1").await;
    assert_eq!(made.status, 201, "{made:?}");
    let shown = app.admin("GET", "/api/v1/streams/yard", "").await.json()["definition"]["url"].clone();
    assert_eq!(shown, "http://127.0.0.1:9/s.cgi?user=admin&pwd=***&channel=1");
    for url in [shown.as_str().expect("a text"), "http://127.0.0.1:9/s.cgi?user=admin&pwd=***&channel=2"] {
        assert_eq!(put(url).await.status, 200, "{url}");
    }
    for url in ["http://127.0.0.2:9/s.cgi?user=admin&pwd=***&channel=1", "http://127.0.0.1:10/s.cgi?pwd=***"] {
        let refused = put(url).await;
        assert!(refused.status == 422 && refused.detail().starts_with("url: ***"), "{refused:?}");
    }
}
