//! What tests share: the application under test, its clients, its peers, and waiting with a bound.

mod app;
pub mod cut;
pub mod fake_camera;
mod http;
pub mod live_camera;
pub mod marionette;
pub mod mediamtx;
mod mjpeg;
pub mod mosquitto;
pub mod mqtt_client;
pub mod nats;
mod outcome;
mod pictures;
pub mod process;
mod program;
pub mod rtsp_client;
pub mod rtsp_peer;
pub mod script;
pub mod skip;
pub mod small_disk;
pub mod tls;
pub mod uv4l_camera;
pub mod webkit;
mod ws_client;

use std::time::{Duration, Instant};

pub use self::{
    app::TestApp,
    http::{FAR, Response, basic, bearer},
    mjpeg::MjpegReader,
    outcome::example,
    pictures::*,
    program::{Program, free_port},
    ws_client::WsClient,
};

/// No test waits longer than this for one thing. It is a bound for tests that fail: nothing is measured by it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until the condition holds; asks again and again, for at most [`PATIENCE`].
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
