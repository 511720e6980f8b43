//! Streams as MP4: by HTTP, and what ffmpeg makes of it.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::support::{PATIENCE, Program, Response, TestApp, basic, eventually, flat_picture, large_picture, picture};

/// What ffprobe says of a file: `-show_frames` decodes it, `-show_packets` reads it.
async fn probe(file: &[u8], show: &str) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("video.mp4");
    std::fs::write(&path, file).expect("writes");
    let path = path.display().to_string();
    let args = ["-v", "error", "-show_streams", show, "-of", "json", &path];
    serde_json::from_slice(&Program::output("ffprobe", &args).await).expect("JSON")
}

/// Reads a response without an end until it has so many bytes.
async fn beginning(app: &TestApp, path: &str, headers: &[&str], bytes: usize) -> Response {
    let mut socket = app.send("GET", path, headers, b"").await;
    let mut data = vec![];
    while data.len() < bytes {
        let n = tokio::time::timeout(PATIENCE, socket.read_buf(&mut data)).await.expect("in time").expect("reads");
        assert!(n > 0, "ended after {} bytes", data.len());
    }
    Response::parse(&data)
}

const FRAMES: &str = "-show_frames";

#[tokio::test]
async fn a_still_is_an_endless_mp4_that_begins_with_a_keyframe() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/Front/Door/frame", &picture(1)).await;
    let response = beginning(&app, "/stream/Front/Door.mp4", &["Range: bytes=0-"], 6000).await;
    assert_eq!(response.status, 200, "a video without an end has no ranges");
    let media_type = response.header("content-type").expect("a type");
    assert!(media_type.starts_with("video/mp4; codecs=\"avc1.42C0"), "{media_type}");
    assert_eq!(response.header("accept-ranges"), Some("none"));
    assert_eq!((response.header("content-length"), response.header("transfer-encoding")), (None, None));
    assert_eq!(&response.body[4..8], b"ftyp");
    eventually("the stream has no watcher", async || app.stats("Front/Door").await["watchers"] == 0).await;

    let head = app.request("HEAD", "/stream/Front/Door.mp4", &[], b"").await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("video/mp4")));
    let missing = app.request("HEAD", "/stream/none.mp4", &[], b"").await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn a_video_of_a_length_is_a_file_in_which_every_frame_follows_the_last() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &flat_picture(640, 360, [200, 60, 40])).await;
    let at = "/stream/cam.mp4?w=320&duration=1.5&filename=front%20door.mp4";
    let response = app.get(at).await;
    let disposition = response.header("content-disposition").expect("a name");
    assert!(disposition.starts_with("attachment; filename=\"front door.mp4\""), "{disposition}");
    let found = probe(&response.body, FRAMES).await;
    assert_eq!(found["frames"][0]["key_frame"], 1);
    let decoded = found["frames"].as_array().map(Vec::len);
    let found = probe(&response.body, "-show_packets").await;
    let stream = &found["streams"][0];
    assert_eq!(
        (&stream["codec_name"], &stream["width"], &stream["height"]),
        (&json!("h264"), &json!(320), &json!(180))
    );
    let frames = found["packets"].as_array().expect("packets");
    assert_eq!(decoded, Some(frames.len()));
    let number = |frame: &Value, key: &str| frame[key].as_str().and_then(|n| n.parse::<f64>().ok()).expect("a number");
    // 22 on a machine with nothing else to do.
    assert!(frames.len() > 10, "{} frames", frames.len());
    for pair in frames.windows(2) {
        let pause = number(&pair[1], "pts_time") - number(&pair[0], "pts_time");
        assert!(pause > 0.0 && pause < 1.0, "{pair:?}");
    }
    let last = number(frames.last().expect("one"), "pts_time");
    assert!((1.0..1.6).contains(&last), "the last frame is at {last} s");
}

#[tokio::test]
async fn a_snapshot_is_an_init_segment_and_one_keyframe() {
    let app = TestApp::with("streams: {yard: {kind: udp-camera, address: '127.0.0.1:9'}, empty: {kind: upload}}");
    app.put("/api/v1/streams/cam/frame", &large_picture(3)).await;
    for at in ["/snapshot/cam.mp4?w=160", "/api/frame.mp4?src=cam&w=160"] {
        let response = app.get(at).await;
        assert_eq!(response.header("content-length"), Some(&*response.body.len().to_string()));
        assert!(response.header("content-type").is_some_and(|kind| kind.contains("codecs=\"avc1.")), "{at}");
        let found = probe(&response.body, FRAMES).await;
        assert_eq!((&found["streams"][0]["width"], found["frames"].as_array().map(Vec::len)), (&json!(160), Some(1)));
        assert_eq!(found["frames"][0]["key_frame"], 1);
    }
    let waiting = app.get("/snapshot/empty.mp4").await;
    assert_eq!((waiting.status, waiting.header("x-mtx-placeholder")), (200, Some("waiting")));
    let silent = app.get("/snapshot/yard.mp4").await;
    assert_eq!((silent.status, silent.problem().as_str()), (504, "no_picture"));
    let unknown = app.get("/snapshot/none.mp4").await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "unknown_stream"));
}

#[tokio::test]
async fn clients_of_go2rtc_get_mp4() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let response = app.get("/api/stream.mp4?src=cam&mp4=all&duration=1").await;
    assert_eq!((response.status, &response.body[4..8]), (200, &b"ftyp"[..]));
    for (at, field) in [
        ("/api/stream.mp4", "src"),
        ("/api/frame.mp4?src=", "src"),
        ("/stream/cam.mp4?duration=0", "duration"),
        ("/stream/cam.mp4?filename=a%2Fb", "filename"),
        ("/stream/cam.mp4?w=7", "w"),
        ("/snapshot/cam.mp4?h=9999", "h"),
        ("/stream/cam.mp4?fps=1000", "fps"),
    ] {
        let refused = app.get(at).await;
        assert_eq!((refused.status, refused.json()["field"].as_str()), (400, Some(field)), "{at}");
    }
}

#[tokio::test]
async fn a_caller_without_permission_gets_no_video_and_starts_nothing() {
    let app = TestApp::with("streams: {card: {kind: test-card}}");
    app.user("eve", json!({"pass": "passpasspass", "permissions": [{"action": "read", "path": "other"}]})).await;
    let eve = basic("eve", "passpasspass");
    for at in ["/stream/card.mp4", "/snapshot/card.mp4", "/api/stream.mp4?src=card", "/api/frame.mp4?src=card"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(app.request(method, at, &[crate::support::FAR, &eve], b"").await.status, 403, "{method} {at}");
        }
    }
    let refused = app.ws("/ws/card?video=1", &[crate::support::FAR, &eve]).await.err().expect("refused");
    assert_eq!(refused.status, 403);
    assert_eq!(app.stats("card").await["state"], "idle");
}

#[tokio::test]
async fn a_websocket_with_video_has_the_media_type_and_then_fragments() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let mut client = app.ws("/ws/cam?video=1&w=64", &[]).await.expect("connects");
    let media_type = loop {
        let notice = client.notice().await;
        if notice["type"] == "mse" {
            break notice["value"].as_str().expect("text").to_owned();
        }
    };
    assert!(media_type.starts_with("video/mp4; codecs=\"avc1."), "{media_type}");
    let mut file = client.picture().await.to_vec();
    for _ in 0..5 {
        file.extend(client.picture().await);
    }
    let found = probe(&file, FRAMES).await;
    assert_eq!((&found["streams"][0]["width"], found["frames"].as_array().map(Vec::len)), (&json!(64), Some(5)));
    assert_eq!(app.stats("cam").await["watchers"], 1);
    for (query, field) in [("video=2", "video"), ("video=1&w=7", "w"), ("video=1&fps=99", "fps")] {
        let refused = app.ws(&format!("/ws/cam?{query}"), &[]).await.err().expect("refused");
        assert_eq!((refused.status, refused.json()["field"].as_str()), (400, Some(field)), "{query}");
    }
}
