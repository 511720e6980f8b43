//! Events: to pages, and from hooks.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};

use crate::{
    identity::{FAR, bearer},
    support::{PATIENCE, TestApp, eventually, picture},
};

/// A listener: reads events one by one.
struct Listener(BufReader<TcpStream>);

impl Listener {
    async fn new(app: &TestApp, path: &str, headers: &[&str]) -> Self {
        let mut reader = BufReader::new(app.send("GET", path, headers, b"").await);
        let mut line = String::new();
        reader.read_line(&mut line).await.expect("an answer");
        assert!(line.contains("200"), "{line}");
        Listener(reader)
    }

    /// Events until one of that kind and path; its data, and its id.
    async fn until(&mut self, kind: &str, path: &str) -> (Value, String) {
        let search = async {
            loop {
                let mut line = String::new();
                assert!(self.0.read_line(&mut line).await.expect("goes on") > 0, "ended before {kind} {path}");
                let Some(text) = line.strip_prefix("data: ") else { continue };
                let Ok(event) = serde_json::from_str::<Value>(text) else { continue };
                if event["type"] == kind && event["path"] == path {
                    return (event["data"].clone(), event["id"].to_string());
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("{kind} {path} in time"))
    }

    async fn ends(mut self) {
        let mut line = String::new();
        let end = async { while self.0.read_line(&mut line).await.is_ok_and(|n| n > 0) {} };
        tokio::time::timeout(PATIENCE, end).await.expect("it is ended");
    }
}

#[tokio::test]
async fn pages_hear_what_they_may_and_can_come_back() {
    let app = TestApp::with("streams: {card: {kind: test-card}}");
    let admin = crate::support::basic("admin", app.password.as_deref().expect("generated"));
    let mut listener = Listener::new(&app, "/api/v1/events", &[&admin]).await;
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let (data, id) = listener.until("stream.state", "door").await;
    assert_eq!(data["before"], Value::Null, "{data}");
    // A hook of MediaMTX, and a wrong password.
    let hook = json!({"MTX_PATH": "door", "MTX_SEGMENT_PATH": "/x.mp4", "MTX_QUERY": "token=s3cret"}).to_string();
    assert_eq!(app.request("POST", "/api/v1/hooks/record-segment-complete", &[], hook.as_bytes()).await.status, 204);
    let (data, _) = listener.until("recording.segment", "door").await;
    assert_eq!(data["variables"]["MTX_SEGMENT_PATH"], "/x.mp4");
    assert!(!data.to_string().contains("s3cret"), "{data}");
    app.far("GET", "/snapshot/door.jpg", &crate::support::basic("eve", "guess"), "").await;
    let (data, _) = listener.until("login.failed", "door").await;
    assert_eq!((data["user"].as_str(), data["protocol"].as_str()), (Some("eve"), Some("http")));
    drop(listener);
    // Back again: what was missed is told, and what was heard is not told again.
    let mut again = Listener::new(&app, "/api/v1/events", &[&admin, &format!("Last-Event-ID: {id}")]).await;
    again.until("recording.segment", "door").await;
    let mut some = Listener::new(&app, &format!("/api/v1/events?types=login.failed&since={id}"), &[&admin]).await;
    some.until("login.failed", "door").await;
    for (path, says) in [("/api/v1/events?types=nonsense", "nonsense"), ("/api/v1/events?since=x", "since")] {
        let refused = app.request("GET", path, &[&admin], b"").await;
        assert!(refused.status == 400 && refused.detail().contains(says), "{refused:?}");
    }
}

#[tokio::test]
async fn a_reader_hears_of_its_paths_and_no_others() {
    let app = TestApp::spawn();
    let wanted = json!({"name": "x", "permissions": [{"action": "read", "path": "~^hall"}], "expires": "1h"});
    let made = app.made("/api/v1/tokens", wanted).await;
    let header = bearer(made["token"].as_str().expect("a token"));
    let mut listener = Listener::new(&app, "/api/v1/events?since=0", &[FAR, &header]).await;
    for name in ["door", "hall"] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &picture(1)).await;
    }
    app.request("POST", "/api/v1/hooks/read", &[], b"MTX_PATH=hall&MTX_READER_ID=x").await;
    let mut heard = vec![];
    let listen = async {
        loop {
            let mut line = String::new();
            listener.0.read_line(&mut line).await.expect("goes on");
            if let Some(event) = line.strip_prefix("data: ").and_then(|text| serde_json::from_str::<Value>(text).ok())
                && event["path"].is_string()
            {
                heard.push((event["type"].clone(), event["path"].clone()));
                if heard.len() == 1 {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, listen).await.expect("in time");
    assert_eq!(heard, [(json!("stream.state"), json!("hall"))]);
    // And nothing any more when the token is revoked.
    let id = made["id"].as_str().expect("an id");
    app.admin("DELETE", &format!("/api/v1/tokens/{id}"), "").await;
    listener.ends().await;
}

#[tokio::test]
async fn the_hook_command_posts_what_mediamtx_says() {
    let app = TestApp::with("auth: {webhook_secret: s3cret}");
    let admin = crate::support::basic("admin", app.password.as_deref().expect("generated"));
    let mut listener = Listener::new(&app, "/api/v1/events", &[&admin]).await;
    let run = async |secret: &str| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
        command.args(["hook", "available", "--url", &format!("http://{}", app.addr)]);
        command.env("MTX_PATH", "a b';touch x;'").env("MTX_SOURCE_TYPE", "rtspSession").env("MTX_QUERY", "token=x");
        command.env("SIDECAR_WEBHOOK_SECRET", secret).stderr(std::process::Stdio::null());
        command.status().await.expect("runs").success()
    };
    assert!(!run("wrong").await && !run("").await);
    assert!(run("s3cret").await);
    let (data, _) = listener.until("hook", "a b';touch x;'").await;
    assert_eq!(
        data,
        json!({"hook": "available", "variables": {"MTX_PATH": "a b';touch x;'", "MTX_SOURCE_TYPE": "rtspSession"}})
    );
}
