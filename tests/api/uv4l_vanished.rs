//! A viewer of a UV4L camera whose network is cut: no FIN comes, and no answer to pings.

use std::net::SocketAddr;

use actix_http::ws::{Frame, Message};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::support::{
    TestApp, WsClient, eventually,
    uv4l_camera::{OFFER, Script, Uv4lCamera, message},
};

/// A cable to the application. Cut, it carries nothing in either direction, and neither end hears of it.
struct Cable {
    at: SocketAddr,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Cable {
    async fn to(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let at = listener.local_addr().expect("bound");
        let (cut, _) = watch::channel(false);
        let cuts = cut.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(addr).await.expect("connects");
                let mut cut = cuts.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => return,
                        _ = cut.wait_for(|is_cut| *is_cut) => {}
                    }
                    // Both connections stay open until the test ends.
                    std::future::pending::<()>().await;
                });
            }
        });
        Cable { at, cut, task }
    }

    async fn viewer(&self) -> WsClient {
        let host = format!("Host: {}", self.at);
        WsClient::connect_at(self.at, "/uv4l/door", &[&host]).await.expect("a WebSocket")
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `what` of the next message. Pings are answered.
async fn next(viewer: &mut WsClient) -> Value {
    loop {
        match viewer.next().await {
            Frame::Ping(data) => viewer.say(Message::Pong(data)).await,
            Frame::Text(text) => {
                let message: Value = serde_json::from_slice(&text).expect("JSON");
                return message["what"].clone();
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_viewer_that_is_cut_off_leaves_nothing_at_the_camera() {
    let camera = Uv4lCamera::start(Script::friendly()).await;
    let app = TestApp::with(&format!(
        "uv4l: {{viewer_timeout: 3s, cameras: {{door: {{url: '{}', max_sessions: 3}}}}}}",
        camera.url()
    ));
    let cable = Cable::to(app.addr).await;
    let mut connected = app.ws("/uv4l/door", &[]).await.expect("a WebSocket");
    let (mut called, mut answered) = (cable.viewer().await, cable.viewer().await);
    let answer = message("answer", &json!({"type": "answer", "sdp": OFFER.replace("sendonly", "recvonly")}));
    // One viewer after the other, so that the camera's connections are in their order.
    for (i, viewer) in [&mut connected, &mut called, &mut answered].into_iter().enumerate() {
        viewer.text(r#"{"what":"call"}"#).await;
        assert_eq!(next(viewer).await, "offer");
        if i != 1 {
            viewer.text(&answer).await;
            assert_eq!(next(viewer).await, "iceCandidate");
            assert_eq!(next(viewer).await, "iceCandidate");
        }
    }
    assert_eq!(camera.open(), 3);
    cable.cut.send_replace(true);
    // The one that is still there answers pings meanwhile.
    let gone = eventually("two calls have ended", async || camera.open() == 1);
    tokio::select! {
        () = gone => {}
        extra = next(&mut connected) => panic!("{extra}"),
    }
    let seen = camera.seen();
    assert_eq!(
        (&seen[1][..], &seen[2][..]),
        (&["call", "hangup"].map(String::from)[..], &["call", "answer", "hangup"].map(String::from)[..])
    );
    // Two calls are free again.
    let mut again = app.ws("/uv4l/door", &[]).await.expect("a WebSocket");
    again.text(r#"{"what":"call"}"#).await;
    assert_eq!(next(&mut again).await, "offer");
}
