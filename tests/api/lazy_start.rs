use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::support::{TestApp, eventually};

const CARD: &str = "streams: {card: {kind: test-card, width: 64, height: 36, fps: 20}, other: {kind: test-card, width: 64, height: 36, fps: 20}}";

async fn state(app: &TestApp) -> String {
    app.stats("card").await["state"].as_str().expect("a state").to_owned()
}

#[tokio::test]
async fn a_producer_runs_from_the_first_watcher_to_the_last() {
    let app = TestApp::with(CARD);
    assert_eq!(state(&app).await, "idle");
    let one = app.watch("/stream/card.mjpeg").await;
    eventually("the stream is live", async || state(&app).await == "live").await;
    let two = app.watch("/stream/card.mjpeg").await;
    drop(one);
    drop(two);
    eventually("the stream is idle", async || state(&app).await == "idle").await;
    let frames = app.stats("card").await["frames"].as_u64();
    // While another test card of the same rate makes eight pictures, this one makes none.
    let mut other = app.watch("/stream/other.mjpeg").await;
    let made = async || app.stats("other").await["frames"].as_u64() >= Some(8);
    while !made().await {
        other.part().await;
    }
    assert_eq!(app.stats("card").await["frames"].as_u64(), frames);
}

/// actix-web#1313: without `h1_allow_half_closed(false)` the body of a stream stays until something is written to it. Here
/// that is an hour: neither a repeated picture nor the stall timeout can explain that the watcher is gone.
#[tokio::test]
async fn a_client_that_closes_is_noticed_although_nothing_is_written() {
    let app = TestApp::with("output: {interval: 1h, stall_timeout: 1h}");
    app.put("/api/v1/streams/still/frame", &crate::support::picture(1)).await;
    let mut reader = app.watch("/stream/still.mjpeg").await;
    reader.until(&crate::support::picture(1)).await;
    assert_eq!(app.stats("still").await["watchers"], 1);
    drop(reader);
    eventually("the watcher is gone", async || app.stats("still").await["watchers"] == 0).await;
}

/// A reset in the middle of a picture that does not fit the socket's buffers.
#[tokio::test]
async fn a_client_that_resets_its_connection_while_it_is_written_to_is_noticed() {
    let app = TestApp::with("output: {stall_timeout: 1h}");
    let large = [crate::support::picture(1), vec![0; 12 << 20]].concat();
    assert_eq!(app.put("/api/v1/streams/big/frame", &large).await.status, 200);
    let mut socket = app.send("GET", "/stream/big.mjpeg", &[], b"").await;
    let mut start = [0; 1000];
    socket.read_exact(&mut start).await.expect("it begins");
    eventually("it is watched", async || app.stats("big").await["watchers"] == 1).await;
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).expect("a reset at the close");
    drop(socket);
    eventually("the watcher is gone", async || app.stats("big").await["watchers"] == 0).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected() {
    let app = TestApp::with("output: {stall_timeout: 1s}");
    let large = [crate::support::picture(1), vec![0; 12 << 20]].concat();
    app.put("/api/v1/streams/big/frame", &large).await;
    let _socket = app.send("GET", "/stream/big.mjpeg", &[], b"").await;
    eventually("it is watched", async || app.stats("big").await["watchers"] == 1).await;
    eventually("it is disconnected", async || app.stats("big").await["watchers"] == 0).await;
}

#[tokio::test]
async fn a_snapshot_starts_a_producer_which_then_ends() {
    let app = TestApp::with(CARD);
    let response = app.get("/snapshot/card.jpg").await;
    assert_eq!((response.status, response.header("content-type")), (200, Some("image/jpeg")));
    eventually("the stream is idle", async || state(&app).await == "idle").await;
}
