//! Clients that keep the server waiting: each wait has an end, and idle connections make room for those that work.

use std::net::{IpAddr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::{PATIENCE, Response, TestApp, basic, eventually, noise, picture, rtsp_client::Client};

/// Short times; those of the server are counted in whole seconds.
const IMPATIENT: &str = "http: {head_timeout: 1s, idle_timeout: 2s, upload_timeout: 1s}\noutput: {stall_timeout: 2s}";

/// The sides of a picture that does not fit into the buffers of a socket: some 10 MB.
const SIDE: u32 = 2500;

/// A connection from another address of this machine, which the rule for 127.0.0.1 does not match.
async fn from(address: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    // A small buffer, so that an unread answer stays at the server.
    socket.set_recv_buffer_size(4096).expect("a buffer");
    let address: IpAddr = address.parse().expect("an address");
    socket.bind(SocketAddr::new(address, 0)).expect("an address of this machine");
    socket.connect(to).await.expect("connects")
}

/// Reads until the server closes the connection.
async fn until_closed(socket: &mut TcpStream) -> Vec<u8> {
    let mut data = vec![];
    // A reset is an end as well.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut data)).await.expect("the server closes the connection");
    data
}

async fn say(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).await.expect("writes");
}

/// Reads one answer of a connection that stays open.
async fn answer(socket: &mut TcpStream) -> Response {
    let mut data = vec![];
    while !data.windows(4).any(|four| four == b"\r\n\r\n") {
        assert!(socket.read_buf(&mut data).await.expect("reads") > 0, "closed");
    }
    Response::parse(&data)
}

#[tokio::test]
async fn a_head_that_does_not_end_closes_its_connection() {
    let app = TestApp::with(IMPATIENT);
    let mut first = from("127.0.0.1", app.addr).await;
    say(&mut first, "GET /health").await;
    let mut second = from("127.0.0.1", app.addr).await;
    say(&mut second, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer(&mut second).await.status, 200);
    say(&mut second, "G").await;
    until_closed(&mut first).await;
    until_closed(&mut second).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_with_the_reason() {
    let app = TestApp::with(IMPATIENT);
    for (method, path) in [
        ("POST", "/api/v1/login"),
        ("PUT", "/api/v1/streams/door/frame"),
        ("POST", "/api/v1/streams/door/frames"),
        ("POST", "/mediamtx-auth"),
    ] {
        let slow = app.request(method, path, &["Content-Length: 1000"], b"{").await;
        assert_eq!((slow.status, slow.problem().as_str()), (408, "slow_body"), "{path}: {slow:?}");
        assert!(slow.detail().contains("http.upload_timeout"), "{slow:?}");
    }
}

#[tokio::test]
async fn an_unread_snapshot_is_a_session_that_ends() {
    let app = TestApp::spawn();
    let large = noise(SIDE, 1);
    assert_eq!(app.put("/api/v1/streams/door/frame", &large).await.status, 200);
    let mut unread = from("127.0.0.1", app.addr).await;
    say(&mut unread, &format!("GET /snapshot/door.jpg HTTP/1.1\r\nHost: {}\r\n\r\n", app.addr)).await;
    let listed = async || {
        let sessions = app.admin("GET", "/api/v1/sessions", "").await.json();
        let of_snapshot = sessions["sessions"].as_array().expect("a list").iter().find(|s| s["protocol"] == "snapshot");
        of_snapshot.map(|session| session["id"].as_str().expect("an id").to_owned())
    };
    eventually("the snapshot is listed", async || listed().await.is_some()).await;
    let id = listed().await.expect("it is still unread");
    let ended = app.admin("DELETE", &format!("/api/v1/sessions/sidecar/{id}"), "").await;
    assert_eq!(ended.status, 204, "{ended:?}");
    let received = until_closed(&mut unread).await;
    assert!(received.len() < large.len(), "{} of {}", received.len(), large.len());
    assert!(listed().await.is_none());
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected() {
    let app = TestApp::with(IMPATIENT);
    let large = noise(SIDE, 1);
    assert_eq!(app.put("/api/v1/streams/door/frame", &large).await.status, 200);
    let mut unread = from("127.0.0.1", app.addr).await;
    say(&mut unread, &format!("GET /snapshot/door.jpg HTTP/1.1\r\nHost: {}\r\n\r\n", app.addr)).await;
    let late = async || {
        let metrics = app.admin("GET", "/metrics", "").await;
        String::from_utf8_lossy(&metrics.body)
            .contains("mtx_sidecar_connections_ended_total{listener=\"http\",cause=\"late\"} 1")
    };
    eventually("the connection is ended", late).await;
    assert!(until_closed(&mut unread).await.len() < large.len());
}

#[tokio::test]
async fn idle_connections_make_room_and_those_of_a_crowd_go_first() {
    let app = TestApp::with("limits: {connections: 32, caller_share: 100}");
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let mut neighbour = from("127.0.0.9", app.addr).await;
    let mut crowd = vec![];
    for _ in 0..100 {
        crowd.push(from("127.0.0.2", app.addr).await);
    }
    // A served connection stays, whatever arrives.
    let mut watcher = app.watch("/stream/door.mjpeg").await;
    watcher.until(&picture(1)).await;
    for _ in 0..40 {
        assert_eq!(app.get("/snapshot/door.jpg").await.status, 200);
    }
    app.put("/api/v1/streams/door/frame", &picture(2)).await;
    watcher.until(&picture(2)).await;
    for socket in &mut crowd[..60] {
        assert!(until_closed(socket).await.is_empty(), "the oldest of the crowd made room");
    }
    say(&mut neighbour, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer(&mut neighbour).await.status, 200, "an address with one connection keeps it");
}

#[tokio::test]
async fn slow_rtsp_clients_make_room() {
    let app = TestApp::with("rtsp: {max_connections: 16}\nstreams: {card: {kind: test-card, width: 64, height: 36}}");
    let mut slow = vec![];
    for _ in 0..40 {
        let mut socket = from("127.0.0.2", app.rtsp).await;
        say(&mut socket, "DESCRIBE rtsp://x/card RT").await;
        slow.push(socket);
    }
    let mut reader = Client::connect(&app, "card").await;
    reader.play().await;
    reader.picture().await;
}

#[tokio::test]
async fn one_caller_gets_its_share_of_the_watchers() {
    let app = TestApp::with("limits: {watchers: 16, caller_share: 25}");
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    app.user("alice", serde_json::json!({"pass": "correct horse", "permissions": [{"action": "read"}]})).await;
    let request = |who: &str, password: &str| {
        format!("GET /stream/door.mjpeg HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", basic(who, password))
    };
    let mut watchers = vec![];
    for n in 0..5 {
        // Each from another address: the share is that of the user.
        let mut socket = from(&format!("127.0.0.{}", 20 + n), app.addr).await;
        say(&mut socket, &request("alice", "correct horse")).await;
        let status = answer(&mut socket).await.status;
        assert_eq!(status, if n < 4 { 200 } else { 503 }, "watcher {n}");
        watchers.push(socket);
    }
    let password = app.password.clone().expect("the first start makes one");
    let mut admin = from("127.0.0.20", app.addr).await;
    say(&mut admin, &request("admin", &password)).await;
    assert_eq!(answer(&mut admin).await.status, 200, "the share does not limit an administrator");
    assert_eq!(app.watch("/stream/door.mjpeg").await.part().await.data, picture(1), "nor this machine");
}
