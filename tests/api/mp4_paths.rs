//! Paths of MediaMTX as MP4: passed on as they are, by one session.

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    support::{Program, TestApp, close_to, eventually, mediamtx::MediaMtx, middle_colour},
};

/// A video of one colour, as ffmpeg's source.
pub const COLOURED: [&str; 5] = ["-re", "-f", "lavfi", "-i", "color=0xc83c28:size=320x180:rate=15"];

/// Publishes what ffmpeg makes to a path.
pub fn publish(mediamtx: &MediaMtx, path: &str, args: &[&str]) -> Program {
    let target = format!("rtsp://127.0.0.1:{}/{path}", mediamtx.rtsp);
    let form = ["-f", "rtsp", "-rtsp_transport", "tcp", &target];
    Program::start("ffmpeg", &[&["-v", "error"], args, &form].concat())
}

pub const H264: [&str; 6] = ["-c:v", "libx264", "-profile:v", "main", "-tune", "zerolatency"];
const H265: [&str; 8] =
    ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=0", "-tag:v", "hvc1"];

async fn start(encoder: &[&str]) -> Option<(TestApp, MediaMtx, Program)> {
    start_with(&[&COLOURED[..], encoder, &["-pix_fmt", "yuv420p", "-g", "15"]].concat()).await
}

/// A sidecar and its MediaMTX with a path `yard` that has a publisher.
pub async fn start_with(args: &[&str]) -> Option<(TestApp, MediaMtx, Program)> {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "mediamtx: {{api: 'http://127.0.0.1:{}', rtsp: 'rtsp://127.0.0.1:{}'}}",
        ports[4], ports[0]
    ));
    let mediamtx = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await?;
    let path = json!({"kind": "raw", "fields": {"source": "publisher"}}).to_string();
    assert_eq!(app.admin("PUT", "/api/v1/paths/yard", &path).await.status, 201);
    eventually("MediaMTX has the path", async || mediamtx.has_path(&app, "yard").await).await;
    let publisher = publish(&mediamtx, "yard", args);
    eventually("the path has a publisher", async || mediamtx.is_available(&app, "yard").await).await;
    Some((app, mediamtx, publisher))
}

async fn probe(file: &[u8]) -> Value {
    probe_for(file, "-show_frames").await
}

/// The streams of a file, and what else ffprobe shows.
pub async fn probe_for(file: &[u8], show: &str) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("video.mp4");
    std::fs::write(&path, file).expect("writes");
    let path = path.display().to_string();
    let args = ["-v", "error", "-show_streams", show, "-of", "json", &path];
    serde_json::from_slice(&Program::output("ffprobe", &args).await).expect("JSON")
}

#[tokio::test]
async fn viewers_of_a_path_share_one_session_and_get_its_own_h264() {
    let Some((app, mediamtx, _publisher)) = start(&H264).await else { return };
    let at = "/stream/yard.mp4?duration=2";
    let (first, second, third) = tokio::join!(app.get(at), app.get(at), async {
        let mut client = app.ws("/ws/yard?video=1", &[]).await.expect("connects");
        let mut file = vec![];
        for _ in 0..20 {
            file.extend(client.picture().await);
        }
        assert_eq!(mediamtx.readers(&app, "yard").await, 1);
        file
    });
    for response in [&first, &second] {
        assert_eq!(response.status, 200, "{}", response.body.len());
        let media_type = response.header("content-type").expect("a type");
        assert!(media_type.starts_with("video/mp4; codecs=\"avc1.4D40"), "{media_type}: the publisher's profile");
    }
    for file in [&first.body[..], &second.body, &third] {
        let found = probe(file).await;
        assert_eq!((&found["streams"][0]["profile"], &found["streams"][0]["width"]), (&json!("Main"), &json!(320)));
        let frames = found["frames"].as_array().expect("frames");
        assert!(frames.len() > 10 && frames[0]["key_frame"] == 1, "{} frames", frames.len());
    }
}

/// Keyframes are decoded for pictures. Clients that read the coded video need none.
#[tokio::test]
async fn while_video_is_passed_on_pictures_are_rarely_decoded_and_a_snapshot_is_a_new_one() {
    let moving = ["-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=15"];
    let Some((app, _mediamtx, _publisher)) =
        start_with(&[&moving[..], &H264, &["-pix_fmt", "yuv420p", "-g", "15"]].concat()).await
    else {
        return;
    };
    let mut client = app.ws("/ws/yard?video=1", &[]).await.expect("connects");
    client.picture().await;
    let first = app.get("/snapshot/yard.jpg").await;
    assert_eq!(first.status, 200);
    let frames = async || app.admin("GET", "/api/v1/streams/yard", "").await.json()["frames"].as_u64().expect("frames");
    let before = frames().await;
    // Until the picture is older than a snapshot can be, and some keyframes more.
    for _ in 0..150 {
        client.picture().await;
    }
    assert!(frames().await <= before + 1, "{before} before");
    let later = app.get("/snapshot/yard.jpg").await;
    assert_eq!(later.status, 200);
    assert_ne!(first.body, later.body, "testsrc shows the time");
    assert_eq!(app.admin("GET", "/api/v1/streams/yard", "").await.json()["state"], "live");
}

#[tokio::test]
async fn h265_is_passed_on_and_refused_to_a_client_that_does_not_play_it() {
    let Some((app, _mediamtx, _publisher)) = start(&H265).await else { return };
    let response = app.get("/stream/yard.mp4?duration=1").await;
    let media_type = response.header("content-type").expect("a type");
    assert!(media_type.starts_with("video/mp4; codecs=\"hvc1.1.6.L"), "{media_type}");
    let found = probe(&response.body).await;
    assert_eq!((&found["streams"][0]["codec_name"], &found["streams"][0]["width"]), (&json!("hevc"), &json!(320)));
    assert!(found["frames"].as_array().is_some_and(|frames| frames.len() > 5), "{found}");
    let mut client = app.ws("/api/ws?src=yard", &[]).await.expect("connects");
    client.text(r#"{"type":"mse","value":"avc1.640029,mp4a.40.2"}"#).await;
    let refused = client.notice().await;
    let value = refused["value"].as_str().unwrap_or_default();
    assert!(value.starts_with("mse: the client does not play hvc1."), "{refused}");
}

#[tokio::test]
async fn the_viewer_plays_a_path_by_mse_where_webrtc_does_not_get_through() {
    let Some((app, _mediamtx, _publisher)) = start(&H264).await else { return };
    eventually("the path is in the list", async || {
        let wall = app.get("/api/v1/wall").await.json();
        let yard = wall["items"].as_array().and_then(|items| items.iter().find(|item| item["name"] == "yard").cloned());
        yard.is_some_and(|yard| yard["path"]["tracks"] == json!(["H264"]))
    })
    .await;
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/", app.addr)).await.expect("loads");
    browser.run("window.RTCPeerConnection = class { constructor() { throw new Error('blocked by a test') } }").await;
    browser.run("location.hash = '#/watch/yard'").await;
    browser.says(".stage-how", "Playing over MSE, because: WebRTC: ").await;
    let colour = [0xc8, 0x3c, 0x28];
    eventually("the picture is shown", async || close_to(middle_colour(&browser.screenshot().await).await, colour))
        .await;
    browser.close().await;
}
