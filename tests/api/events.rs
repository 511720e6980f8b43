//! Events for pages, and events from MediaMTX's hooks.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};

use crate::support::{FAR, PATIENCE, TestApp, bearer, picture};

/// Reads the events of a response one by one.
struct Listener(BufReader<TcpStream>);

impl Listener {
    async fn new(app: &TestApp, path: &str, headers: &[&str]) -> Self {
        let mut reader = BufReader::new(app.send("GET", path, headers, b"").await);
        let mut line = String::new();
        reader.read_line(&mut line).await.expect("an answer");
        assert!(line.contains("200"), "{line}");
        Listener(reader)
    }

    /// The next event with a path; none when the server has ended the response.
    async fn next(&mut self) -> Option<Value> {
        let read = async {
            loop {
                let mut line = String::new();
                // A connection that is ended by the server may be reset.
                if self.0.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return None;
                }
                let event = line.strip_prefix("data: ").and_then(|text| serde_json::from_str::<Value>(text).ok());
                if let Some(event) = event.filter(|event| event["path"].is_string()) {
                    return Some(event);
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an event in time")
    }

    /// Reads until this line.
    async fn until_line(&mut self, wanted: &str) {
        let read = async {
            let mut line = String::new();
            while line.trim_end() != wanted {
                line.clear();
                assert_ne!(self.0.read_line(&mut line).await.expect("reads"), 0, "ended before {wanted}");
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("a line in time");
    }

    /// Reads until an event of that type and path; returns its data and its id.
    async fn until(&mut self, kind: &str, path: &str) -> (Value, String) {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("ended before {kind} {path}"));
            if event["type"] == kind && event["path"] == path {
                return (event["data"].clone(), event["id"].to_string());
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn an_administrator_gets_all_events_and_can_resume() {
    let app = TestApp::with("streams: {card: {kind: test-card}}");
    let admin = crate::support::basic("admin", app.password.as_deref().expect("generated"));
    let mut listener = Listener::new(&app, "/api/v1/events", &[&admin]).await;
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let (data, id) = listener.until("stream.state", "door").await;
    assert_eq!(data["before"], Value::Null, "{data}");
    // A hook of MediaMTX, and then a wrong password.
    let hook = json!({"MTX_PATH": "door", "MTX_SEGMENT_PATH": "/x.mp4", "MTX_QUERY": "token=s3cret"}).to_string();
    assert_eq!(app.request("POST", "/api/v1/hooks/record-segment-complete", &[], hook.as_bytes()).await.status, 204);
    let (data, _) = listener.until("recording.segment", "door").await;
    assert_eq!(data["variables"]["MTX_SEGMENT_PATH"], "/x.mp4");
    assert!(!data.to_string().contains("s3cret"), "{data}");
    app.far("GET", "/snapshot/door.jpg", &crate::support::basic("eve", "guess"), "").await;
    let (data, _) = listener.until("login.failed", "door").await;
    assert_eq!((data["user"].as_str(), data["protocol"].as_str()), (Some("eve"), Some("http")));
    drop(listener);
    // After a reconnection the missed events are sent, and earlier ones are not.
    let mut again = Listener::new(&app, "/api/v1/events", &[&admin, &format!("Last-Event-ID: {id}")]).await;
    again.until("recording.segment", "door").await;
    let mut some = Listener::new(&app, &format!("/api/v1/events?types=login.failed&since={id}"), &[&admin]).await;
    some.until("login.failed", "door").await;
    // An id of another node, or from before the clock was set back: a gap, and what follows.
    let answer = app.send("GET", "/api/v1/events?since=9007199254740991", &[&admin], b"").await;
    let mut ahead = Listener(BufReader::new(answer));
    ahead.until_line("event: gap").await;
    app.put("/api/v1/streams/yard/frame", &picture(1)).await;
    ahead.until("stream.state", "yard").await;
    for (path, says) in [("/api/v1/events?types=nonsense", "nonsense"), ("/api/v1/events?since=x", "since")] {
        let refused = app.request("GET", path, &[&admin], b"").await;
        assert!(refused.status == 400 && refused.detail().contains(says), "{refused:?}");
    }
}

#[tokio::test]
async fn a_reader_gets_events_of_readable_paths_only() {
    let app = TestApp::spawn();
    let wanted = json!({"name": "x", "permissions": [{"action": "read", "path": "~^hall"}], "expires": "1h"});
    let made = app.made("/api/v1/tokens", wanted).await;
    let header = bearer(made["token"].as_str().expect("a token"));
    let mut listener = Listener::new(&app, "/api/v1/events?since=0", &[FAR, &header]).await;
    for name in ["door", "hall"] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &picture(1)).await;
    }
    // A hook and a failed sign-in at the reader's own path are for administrators.
    app.request("POST", "/api/v1/hooks/read", &[], b"MTX_PATH=hall&MTX_READER_ID=x").await;
    app.far("GET", "/snapshot/hall.jpg", &crate::support::basic("eve", "guess"), "").await;
    app.put("/api/v1/streams/yard/frame", &picture(1)).await;
    // The last event is for the reader: an event that must not be sent would come before it.
    app.put("/api/v1/streams/hall/last/frame", &picture(1)).await;
    let mut received = vec![];
    while received.last() != Some(&("stream.state".to_owned(), "hall/last".to_owned())) {
        let event = listener.next().await.expect("goes on");
        received.push((text(&event["type"]), text(&event["path"])));
    }
    let expected = ["hall", "hall/last"].map(|path| ("stream.state".to_owned(), path.to_owned()));
    assert_eq!(received, expected);
    // A revoked token ends the response, and no event is sent before the end.
    let id = made["id"].as_str().expect("an id");
    app.admin("DELETE", &format!("/api/v1/tokens/{id}"), "").await;
    app.put("/api/v1/streams/hall/later/frame", &picture(1)).await;
    assert_eq!(listener.next().await, None);
}

#[tokio::test]
async fn the_hook_command_posts_the_variables_of_mediamtx() {
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

#[tokio::test(flavor = "multi_thread")]
async fn listeners_at_one_node_of_a_cluster_hear_the_events_of_all() {
    let Some(fleet) = crate::support::nats::Fleet::start(2).await else { return };
    let [a, b] = fleet.nodes.as_slice() else { panic!("two") };
    let admin = crate::support::basic("admin", a.password.as_deref().expect("generated"));
    let mut listener = Listener::new(b, "/api/v1/events", &[&admin]).await;
    let hook = json!({"MTX_PATH": "door", "MTX_SEGMENT_PATH": "/x.mp4"}).to_string();
    for (node, name) in [(a, "a"), (b, "b")] {
        let posted = node.request("POST", "/api/v1/hooks/record-segment-complete", &[], hook.as_bytes()).await;
        assert_eq!(posted.status, 204, "{posted:?}");
        loop {
            let event = listener.next().await.expect("no end");
            if event["type"] == "recording.segment" {
                assert_eq!(event["node"], name, "{event}");
                break;
            }
        }
    }
}
