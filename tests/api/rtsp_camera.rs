//! RTSP cameras. A script, or another sidecar, is the camera: the sidecar serves H.264 and requires passwords.

use base64::{Engine, engine::general_purpose::STANDARD};
use mtx_sidecar::{
    h264::{Effort, Encoder},
    picture::{Canvas, Yuv420},
    rtsp::rtp::Packetizer,
};
use serde_json::json;

use crate::support::{TestApp, basic, close_to, eventually, flat_picture, free_port, middle_colour, script::Script};

/// Settings of a camera whose streams only the user `viewer` with the password `right` can read.
pub const GUARDED: &str = "auth: {users: [{user: viewer, pass: right, permissions: [{action: read}]}, {user: any, ips: ['127.0.0.1'], permissions: [{action: publish}]}]}";

fn camera(source: &TestApp, path: &str, more: &str) -> TestApp {
    TestApp::with(&format!("streams: {{cam: {{kind: rtsp, url: 'rtsp://{}/{path}'{more}}}}}", source.rtsp))
}

/// One keyframe, as SDP's format parameters and as RTP packets on channel 0.
pub fn keyframe(colour: [u8; 3]) -> (String, Vec<u8>) {
    let jpeg = flat_picture(64, 48, colour);
    let canvas = Canvas::for_picture(64, 48);
    let picture = Yuv420::from_jpeg(&jpeg, canvas).expect("a JPEG");
    let mut encoder = Encoder::new(canvas, Effort::Still).expect("an encoder");
    let unit = encoder.encode(&picture, true).expect("a keyframe");
    let [sps, pps] = [&unit.sps, &unit.pps].map(|set| STANDARD.encode(set));
    let mut packets = vec![];
    Packetizer::new(0, 42, 1, 0).packetize(unit.nals(false), 0, &mut packets);
    (format!("packetization-mode=1;sprop-parameter-sets={sps},{pps}"), packets.concat())
}

/// The camera requires a password, is described, set up and played, sends a keyframe, and is torn down after the last
/// watcher has left.
#[tokio::test]
async fn a_camera_is_described_set_up_played_and_torn_down() {
    let colour = [200, 60, 30];
    let (format, packets) = keyframe(colour);
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
         m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 {format}\r\na=control:track1\r\n"
    );
    let camera = Script::bind()
        .await
        .expect("DESCRIBE rtsp://{addr}/live RTSP/1.0\nAccept: application/sdp")
        .answer("RTSP/1.0 401 Unauthorized\nCSeq: {CSeq}\nWWW-Authenticate: Digest realm=\"cam\", nonce=\"n1\"")
        .expect("DESCRIBE rtsp://{addr}/live RTSP/1.0\nAuthorization: Digest username=\"viewer\"*nonce=\"n1\"*")
        .answer_with(
            "RTSP/1.0 200 OK\nCSeq: {CSeq}\nContent-Base: rtsp://{addr}/live/\nContent-Type: application/sdp",
            sdp,
        )
        .expect("SETUP rtsp://{addr}/live/track1 RTSP/1.0\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1*")
        .answer(
            "RTSP/1.0 200 OK\nCSeq: {CSeq}\nSession: 7;timeout=60\n\
             Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=0000002A",
        )
        .expect("PLAY rtsp://{addr}/live/ RTSP/1.0\nSession: 7")
        .answer("RTSP/1.0 200 OK\nCSeq: {CSeq}\nSession: 7\nRTP-Info: url=rtsp://{addr}/live/track1;seq=1;rtptime=0")
        .send(packets)
        .expect("TEARDOWN rtsp://{addr}/live/ RTSP/1.0\nSession: 7")
        .answer("RTSP/1.0 200 OK\nCSeq: {CSeq}")
        .closed();
    let url = format!("rtsp://{}/live", camera.addr());
    let app = TestApp::with(&format!("streams: {{cam: {{kind: rtsp, url: '{url}', user: viewer, pass: right}}}}"));
    let (snapshot, ()) = tokio::join!(app.get("/snapshot/cam.jpg"), camera.play());
    assert_eq!(snapshot.status, 200, "{snapshot:?}");
    let file = app.folder().join("seen.jpg");
    std::fs::write(&file, &snapshot.body).expect("writes");
    assert!(close_to(middle_colour(&file).await, colour));
}

/// A figure of `/metrics`.
pub async fn figure(app: &TestApp, name: &str) -> f64 {
    let text = String::from_utf8(app.admin("GET", "/metrics", "").await.body.to_vec()).expect("text");
    let line =
        text.lines().find_map(|line| line.strip_prefix(&format!("mtx_sidecar_{name}_total "))).map(str::to_owned);
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

#[tokio::test]
async fn a_snapshot_of_a_camera_has_its_colours() {
    let source = TestApp::spawn();
    let colour = [40, 90, 210];
    source.put("/api/v1/streams/door/frame", &flat_picture(640, 360, colour)).await;
    let app = camera(&source, "door", "");
    let snapshot = app.get("/snapshot/cam.jpg").await;
    assert_eq!(snapshot.status, 200, "{snapshot:?}");
    let file = app.folder().join("seen.jpg");
    std::fs::write(&file, &snapshot.body).expect("writes");
    let seen = middle_colour(&file).await;
    assert!((0..3).all(|i| seen[i].abs_diff(colour[i]) <= 4), "{seen:?} for {colour:?}");
    let stats = app.stats("cam").await;
    assert_eq!((&stats["kind"], &stats["picture"]["width"]), (&json!("rtsp"), &json!(640)));
}

#[tokio::test]
async fn a_snapshot_decodes_keyframes_only_and_a_watcher_gets_all_pictures() {
    let source = TestApp::with("streams: {card: {kind: test-card, width: 320, height: 180, fps: 15}}");
    let app = camera(&source, "card", ", fps: 30");
    // With a watcher the camera sends video; without one it would send a still.
    let _moving = source.watch("/stream/card.mjpeg").await;
    for _ in 0..3 {
        assert_eq!(app.get("/snapshot/cam.jpg?max_age=0").await.status, 200);
    }
    assert!(figure(&app, "camera_keyframes").await >= 1.0);
    assert_eq!(figure(&app, "camera_deltas").await, 0.0, "without a continuous watcher");
    let mut watcher = app.watch("/stream/cam.mjpeg").await;
    for _ in 0..20 {
        watcher.part().await;
    }
    assert!(figure(&app, "camera_deltas").await >= 5.0);
}

#[tokio::test]
async fn all_watchers_share_one_connection_and_one_decoder() {
    let source = TestApp::with("streams: {card: {kind: test-card, width: 320, height: 180, fps: 15}}");
    let app = camera(&source, "card", ", fps: 5");
    let mut watchers = vec![];
    for _ in 0..10 {
        watchers.push(app.watch("/stream/cam.mjpeg").await);
    }
    for watcher in &mut watchers {
        for _ in 0..10 {
            watcher.part().await;
        }
    }
    let stats = app.stats("cam").await;
    assert_eq!((figure(&app, "camera_connections").await, stats["watchers"].as_u64()), (1.0, Some(10)));
    let (made, published) = (figure(&app, "camera_pictures").await, stats["frames"].as_f64().expect("a number"));
    assert!(made >= published && published < 60.0, "{made} made, {published} published for ten watchers");
    assert_eq!(source.stats("card").await["watchers"], 1);
}

#[tokio::test]
async fn a_missing_or_wrong_password_is_reported() {
    let source = TestApp::with(GUARDED);
    source.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [9, 9, 9])).await;
    for (login, says) in [
        ("", "requires a user name and password"),
        (", user: viewer, pass: wrong", "refuses the user name and password"),
        (", user: other, pass: right", "refuses the user name and password"),
    ] {
        let app = camera(&source, "door", login);
        let answer = app.admin("GET", "/snapshot/cam.jpg", "").await;
        assert_eq!((answer.status, answer.problem().as_str()), (504, "no_picture"), "{answer:?}");
        assert!(answer.detail().contains(says), "{login}: {answer:?}");
    }
    let app = camera(&source, "door", ", user: viewer, pass: right");
    assert_eq!(app.get("/snapshot/cam.jpg").await.status, 200);
}

#[tokio::test]
async fn a_password_is_stored_and_never_shown() {
    let source = TestApp::with(GUARDED);
    source.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [9, 9, 9])).await;
    let app = TestApp::spawn();
    let password = app.password.clone().expect("a first start");
    let url = "/api/v1/streams/yard";
    let definition = json!({"kind": "rtsp", "url": format!("rtsp://viewer:right@{}/door", source.rtsp)}).to_string();
    let made = app.admin("PUT", url, &definition).await;
    assert_eq!(made.status, 201, "{made:?}");
    let shown = app.admin("GET", url, "").await.json()["definition"].clone();
    assert_eq!(
        (&shown["url"], &shown["user"], &shown["pass"]),
        (&json!(format!("rtsp://{}/door", source.rtsp)), &json!("viewer"), &json!("***"))
    );
    assert_eq!(app.admin("PATCH", url, r#"{"fps":5}"#).await.status, 200);
    let again = app.admin("PUT", url, &shown.to_string()).await;
    assert_eq!(again.json()["definition"]["pass"], "***", "{again:?}");
    // After a restart, too.
    let app = TestApp::in_folder(app.stop(), "");
    assert_eq!(app.get("/snapshot/yard.jpg").await.status, 200);
    let admin = basic("admin", &password);
    for answer in [made, again, app.request("GET", url, &[&admin], b"").await, app.get("/api/v1/streams").await] {
        assert!(!format!("{}{}", answer.head, String::from_utf8_lossy(&answer.body)).contains("right"), "{answer:?}");
    }
    let changed = app.request("PATCH", url, &[&admin], br#"{"pass":"wrong"}"#).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let answer = app.request("GET", "/snapshot/yard.jpg?max_age=0", &[&admin], b"").await;
    assert!(answer.detail().contains("refuses"), "{answer:?}");
}

#[tokio::test]
async fn a_camera_that_was_unreachable_is_connected_again() {
    let port = free_port();
    let settings = format!("rtsp: {{listen: 127.0.0.1:{port}}}");
    let source = TestApp::with(&settings);
    source.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [200, 30, 30])).await;
    let app = camera(&source, "door", "");
    let _watcher = app.watch("/stream/cam.mjpeg").await;
    eventually("the stream is live", async || app.stats("cam").await["state"] == "live").await;
    let folder = source.stop();
    eventually("the stream is failing", async || app.stats("cam").await["state"] == "failing").await;
    let reason = app.stats("cam").await["reason"].as_str().expect("words").to_owned();
    assert!(reason.contains(&format!("127.0.0.1:{port}")), "{reason}");
    let source = TestApp::in_folder(folder, &settings);
    source.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [30, 200, 30])).await;
    eventually("the stream is live again", async || app.stats("cam").await["state"] == "live").await;
    let file = app.folder().join("seen.jpg");
    eventually("the snapshot is the new picture", async || {
        std::fs::write(&file, &app.get("/snapshot/cam.jpg").await.body).expect("writes");
        close_to(middle_colour(&file).await, [30, 200, 30])
    })
    .await;
}

#[tokio::test]
async fn a_camera_that_sends_nothing_is_reported() {
    // A camera that accepts the connection and never answers.
    let camera = Script::bind().await.expect("DESCRIBE rtsp://{addr}/s RTSP/1.0").closed();
    let app = TestApp::with(&format!("streams: {{cam: {{kind: rtsp, url: 'rtsp://{}/s'}}}}", camera.addr()));
    let (answer, ()) = tokio::join!(app.get("/snapshot/cam.jpg"), camera.play());
    assert_eq!((answer.status, answer.problem().as_str()), (504, "no_picture"));
    // A camera that plays but, after the first seconds, sends a picture only every five seconds.
    let source = TestApp::spawn();
    source.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [9, 9, 9])).await;
    let app = TestApp::with(&format!(
        "rtsp_cameras: {{stale_after: 1s}}\nstreams: {{cam: {{kind: rtsp, url: 'rtsp://{}/door?fps=0.2'}}}}",
        source.rtsp
    ));
    let _watcher = app.watch("/stream/cam.mjpeg").await;
    eventually("the reason names the silence", async || {
        app.stats("cam").await["reason"].as_str().is_some_and(|reason| reason.contains("has sent no video for 1s"))
    })
    .await;
}

#[tokio::test]
async fn invalid_definitions_are_refused_with_their_field() {
    let app = TestApp::spawn();
    for (definition, field) in [
        (json!({"kind": "rtsp"}), "url"),
        (json!({"kind": "rtsp", "url": "rtsp://h/s", "path": "p"}), "url"),
        (json!({"kind": "rtsp", "url": "http://h/s"}), "url"),
        (json!({"kind": "rtsp", "url": "rtsps://h/s", "transport": "udp"}), "transport"),
        (json!({"kind": "rtsp", "url": "rtsps://h/s", "fingerprint": "1"}), "fingerprint"),
        (json!({"kind": "rtsp", "url": "rtsp://h/s", "fps": 0}), "fps"),
        (json!({"kind": "rtsp", "url": "rtsp://h/s", "quality": 101}), "quality"),
        (json!({"kind": "rtsp", "path": "/p"}), "path"),
    ] {
        let answer = app.admin("PUT", "/api/v1/streams/cam", &definition.to_string()).await;
        assert_eq!((answer.status, &answer.json()["field"]), (422, &json!(field)), "{definition}: {answer:?}");
    }
    let source = TestApp::spawn();
    source.put("/api/v1/streams/door/frame", &flat_picture(64, 48, [9, 9, 9])).await;
    let by_udp = camera(&source, "door", ", transport: udp").admin("GET", "/snapshot/cam.jpg", "").await;
    assert!(by_udp.detail().contains("does not support this transport"), "{by_udp:?}");
    let far = json!({"kind": "rtsp", "url": "rtsp://8.8.8.8/s"}).to_string();
    assert_eq!(app.admin("PUT", "/api/v1/streams/far", &far).await.status, 201);
    let answer = app.admin("GET", "/snapshot/far.jpg", "").await;
    assert!(answer.detail().contains("fetch.networks"), "{answer:?}");
}

#[tokio::test]
async fn an_unknown_name_is_not_found_while_mediamtx_is_unreachable() {
    let app = TestApp::with("mediamtx: {api: 'http://127.0.0.1:1'}");
    for path in ["/snapshot/none.jpg", "/stream/none.mjpeg"] {
        assert_eq!(app.get(path).await.problem(), "unknown_stream");
    }
    assert!(app.registry.is_empty());
}
