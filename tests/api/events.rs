//! Events for pages and webhooks, and events from MediaMTX's hooks.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::{FAR, PATIENCE, TestApp, bearer, eventually, picture};

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
async fn webhooks_are_signed_retried_and_end_as_dead_letters() {
    let server = MockServer::start().await;
    // Two failures at first.
    Mock::given(any()).respond_with(ResponseTemplate::new(500)).up_to_n_times(2).mount(&server).await;
    Mock::given(any()).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let dead = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(410)).mount(&dead).await;
    let app = TestApp::with(&format!(
        "events: {{webhooks: [{{url: '{}/in', pass: s3cret, events: [hook]}}, {{url: '{}/gone', events: [hook]}}]}}",
        server.uri(),
        dead.uri()
    ));
    for n in 0..3 {
        let body = json!({"MTX_PATH": "door", "n": n.to_string()}).to_string();
        assert_eq!(app.request("POST", "/api/v1/hooks/read", &[], body.as_bytes()).await.status, 204);
    }
    let mut got = vec![];
    eventually("all are accepted", async || {
        got = server.received_requests().await.expect("recorded");
        got.len() == 5
    })
    .await;
    let numbers: Vec<_> = got
        .iter()
        .map(|request| {
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            let shown = request.headers["x-mtx-signature"].to_str().expect("text").to_owned();
            let time = shown["t=".len()..].split(',').next().and_then(|t| t.parse().ok()).expect("a time");
            assert_eq!(shown, mtx_sidecar::events::webhooks::signature("s3cret", time, &request.body));
            body["data"]["variables"]["n"].as_str().expect("a number").to_owned()
        })
        .collect();
    assert_eq!(numbers, ["0", "0", "0", "1", "2"], "in order, each after the one before it is accepted");
    let mut letters = Value::Null;
    eventually("the others are dead letters", async || {
        letters = app.admin("GET", "/api/v1/events/dead-letters", "").await.json();
        letters["dead"].as_array().is_some_and(|dead| dead.len() == 3)
    })
    .await;
    assert!(letters["dead"][0]["error"].as_str().is_some_and(|e| e.contains("410")), "{letters}");
}

/// A webhook that accepts a connection without an answer, then closes one in the middle of its answer, and then works. An event
/// that it has not accepted delays the events of the same path only.
#[tokio::test]
async fn a_webhook_that_hangs_and_breaks_off_gets_every_event_at_last() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("bound");
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut doors = 0;
        let mut kept = vec![];
        loop {
            let (mut socket, _) = listener.accept().await.expect("accepts");
            let mut request = vec![0; 16 << 10];
            let mut length = 0;
            // The head and the body come in one or two parts.
            while !String::from_utf8_lossy(&request[..length]).contains("\"n\":") {
                length += socket.read(&mut request[length..]).await.expect("reads");
            }
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let is_door = text.contains("\"path\":\"door\"");
            doors += usize::from(is_door);
            match (is_door, doors) {
                (true, 1) => kept.push(socket),
                (true, 2) => drop(socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Le").await),
                _ => {
                    let number = text.split("\"n\":\"").nth(1).and_then(|rest| rest.chars().next()).expect("a number");
                    sender.send((is_door, number)).expect("the test receives");
                    let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                    socket.write_all(answer).await.expect("writes");
                }
            }
        }
    });
    let app =
        TestApp::with(&format!("events: {{webhooks: [{{url: 'http://{addr}/', events: [hook], timeout: 300ms}}]}}"));
    for (path, n) in [("door", "1"), ("door", "2"), ("hall", "3")] {
        let body = json!({"MTX_PATH": path, "n": n}).to_string();
        assert_eq!(app.request("POST", "/api/v1/hooks/read", &[], body.as_bytes()).await.status, 204);
    }
    let mut got = vec![];
    for _ in 0..3 {
        got.push(tokio::time::timeout(PATIENCE, receiver.recv()).await.expect("in time").expect("the webhook runs"));
    }
    assert_eq!(
        got,
        [(false, '3'), (true, '1'), (true, '2')],
        "the other path does not wait, and the first one keeps its order"
    );
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
