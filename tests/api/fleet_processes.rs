//! A node as a process of its own: killed, and drained by the command.

use crate::support::{
    MjpegReader, Program, TestApp, eventually,
    live_camera::{LiveCamera, Seen},
    nats::NatsServer,
    process::{BINARY, Process},
};

async fn new_picture(camera: &LiveCamera, watcher: &mut MjpegReader) {
    let first = watcher.part().await.data;
    loop {
        let jpeg = watcher.part().await.data;
        if jpeg != first && camera.has(&jpeg) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_camera_of_a_killed_process_is_taken_over() {
    let camera = LiveCamera::start().await;
    let Some(nats) = NatsServer::start().await else { return };
    let mut process = Process::start(&nats, "a", &camera.streams("")).await;
    let mut first = process.watch("cam").await;
    new_picture(&camera, &mut first).await;
    let b = TestApp::with(&format!("{}{}", nats.settings("b"), camera.streams("")));
    let mut other = b.watch("/stream/cam.mjpeg").await;
    new_picture(&camera, &mut other).await;
    assert_eq!(camera.connections(), 1);
    process.kill().await;
    eventually("the other node has the camera", async || camera.has_seen(&Seen::Sent(2))).await;
    new_picture(&camera, &mut other).await;
    assert_eq!(camera.most_open(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_drain_hands_the_streams_over() {
    let camera = LiveCamera::start().await;
    let Some(nats) = NatsServer::start().await else { return };
    let process = Process::start(&nats, "a", &camera.streams("")).await;
    let mut first = process.watch("cam").await;
    new_picture(&camera, &mut first).await;
    let b = TestApp::with(&format!("{}{}", nats.settings("b"), camera.streams("")));
    let mut other = b.watch("/stream/cam.mjpeg").await;
    new_picture(&camera, &mut other).await;
    let config = process.config.to_str().expect("text");
    let said = Program::output(BINARY, &["--config", config, "drain"]).await;
    assert!(String::from_utf8_lossy(&said).contains("handed over"), "{said:?}");
    eventually("the camera is left", async || camera.has_seen(&Seen::Closed(1))).await;
    let seen = camera.seen.lock().clone();
    assert_eq!(seen, [Seen::Opened(1), Seen::Sent(1), Seen::Opened(2), Seen::Sent(2), Seen::Closed(1)]);
    // Who still watches at the drained node gets the pictures of the other one.
    new_picture(&camera, &mut first).await;
    new_picture(&camera, &mut other).await;
}
