//! Cameras that the sidecar refuses to read and MediaMTX reads: the failure has a code, and one request, or one click, makes the path.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    browser::Browser,
    console::{count, enter, submit, type_into},
    rtsp_camera::GUARDED,
    support::{
        FAR, TestApp, close_to, eventually, flat_picture, mediamtx::MediaMtx, middle_colour, rtsp_peer::RtspPeer,
    },
};

const COLOUR: [u8; 3] = [200, 60, 30];

/// A camera in front of an RTSP server: it refuses the sidecar's client, which it knows by its name, and lets all others through.
async fn particular_camera(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, server));
        }
    });
    addr
}

async fn serve(mut client: TcpStream, server: SocketAddr) {
    let mut first = vec![];
    while !first.windows(4).any(|window| window == b"\r\n\r\n") {
        if client.read_buf(&mut first).await.unwrap_or(0) == 0 {
            return;
        }
    }
    if String::from_utf8_lossy(&first).contains("User-Agent: mtx-sidecar") {
        // A client that is gone needs no answer.
        let _ = client.write_all(b"RTSP/1.0 500 Kaputt\r\nCSeq: 1\r\n\r\n").await;
        return;
    }
    let mut server = TcpStream::connect(server).await.expect("the server listens");
    server.write_all(&first).await.expect("the server reads");
    // Either side can end the connection.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

async fn refusing_peer() -> RtspPeer {
    RtspPeer::start("", "", |_, _| Some(b"RTSP/1.0 500 Kaputt\r\n\r\n".to_vec())).await
}

/// A sidecar without ffmpeg and without an answering MediaMTX.
fn alone(peer: &RtspPeer) -> TestApp {
    TestApp::with(&format!(
        "rtsp_cameras: {{reader: native, ffmpeg: ''}}\nmediamtx: {{api: 'http://127.0.0.1:9'}}\n\
         streams: {{card: {{kind: test-card}}, fixed: {{kind: rtsp, url: 'rtsp://{}/live', user: viewer, pass: s3cret}}}}",
        peer.addr
    ))
}

async fn define(app: &TestApp, name: &str, camera: SocketAddr, more: Value) {
    let mut definition =
        json!({"kind": "rtsp", "url": format!("rtsp://{camera}/door"), "user": "viewer", "pass": "right"});
    definition.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    assert_eq!(app.admin("PUT", &format!("/api/v1/streams/{name}"), &definition.to_string()).await.status, 201);
}

#[tokio::test]
async fn a_refused_camera_has_a_code_that_outlives_its_state_until_a_picture_comes() {
    let peer = refusing_peer().await;
    let app = alone(&peer);
    assert_eq!(app.stats("fixed").await["failure"], Value::Null);
    assert_eq!(app.get("/snapshot/fixed.jpg").await.problem(), "no_picture");
    eventually("the stream is idle again", async || app.stats("fixed").await["state"] == "idle").await;
    let failure = app.stats("fixed").await["failure"].clone();
    assert_eq!(failure["code"], "rtsp_unreadable", "{failure}");
    assert!(
        failure["reason"].as_str().is_some_and(|reason| reason.contains("refuses DESCRIBE: 500 Kaputt")),
        "{failure}"
    );
    let list = app.admin("GET", "/api/v1/streams", "").await.json();
    let listed = list["streams"].as_array().expect("a list").iter().find(|stream| stream["name"] == "fixed");
    assert_eq!(listed.map(|stream| &stream["failure"]), Some(&failure), "the list has it, too");
    // Other failures have other codes.
    let elsewhere = json!({"kind": "rtsp", "url": "rtsp://127.0.0.1:9/live"}).to_string();
    assert_eq!(app.admin("PUT", "/api/v1/streams/elsewhere", &elsewhere).await.status, 201);
    assert_eq!(app.get("/snapshot/elsewhere.jpg").await.problem(), "no_picture");
    assert_eq!(app.stats("elsewhere").await["failure"]["code"], "unavailable");
    // A new definition is a new beginning, and so is a picture.
    app.admin("PUT", "/api/v1/streams/elsewhere", r#"{"kind": "test-card"}"#).await;
    assert_eq!(app.stats("elsewhere").await["failure"], Value::Null);
}

#[tokio::test]
async fn the_path_of_a_camera_gets_the_password_and_the_answer_does_not() {
    let peer = refusing_peer().await;
    let app = alone(&peer);
    define(&app, "front/door", peer.addr, json!({"pass": "s3:cr@t%41", "transport": "udp", "fps": 3.0})).await;
    let at = "/api/v1/streams/front/door/mediamtx-path";
    let made = app.admin("POST", at, "").await;
    assert_eq!(made.status, 201, "{made:?}");
    let answer = made.json();
    let url = format!("rtsp://viewer:***@{}/door", peer.addr);
    let path = &answer["path"];
    assert_eq!(
        (&path["name"], &path["kind"], &path["url"]),
        (&json!("front/door"), &json!("camera"), &json!(url)),
        "{answer}"
    );
    assert_eq!((&path["on_demand"], &path["transport"]), (&json!(true), &json!("udp")), "{answer}");
    assert!(answer["stream"]["definition"]["url"].is_string(), "the stream is as it was: {answer}");
    assert!(answer["advice"].as_str().is_some_and(|text| text.contains("\"replace\": true")), "{answer}");
    // The same again, and under another name.
    assert_eq!(app.admin("POST", at, "{}").await.status, 200);
    assert_eq!(app.admin("POST", at, r#"{"name": "yard"}"#).await.status, 201);
    let replaced = app.admin("POST", at, r#"{"replace": true}"#).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    let definition = &replaced.json()["stream"]["definition"];
    let expected = json!({"kind": "rtsp", "path": "front/door", "transport": "auto", "fps": 3.0, "quality": 80, "keyframes_only": false});
    assert_eq!(definition, &expected);
    let stored = app.folder().join("data");
    let paths = app.admin("GET", "/api/v1/paths", "").await;
    let mut audit = app.admin("GET", "/api/v1/audit?path=front/door", "").await;
    eventually("it is in the audit", async || {
        audit = app.admin("GET", "/api/v1/audit?path=front/door", "").await;
        audit.json().to_string().contains("POST streams/front/door/mediamtx-path")
    })
    .await;
    for shown in [made, replaced, paths, audit] {
        let text = String::from_utf8_lossy(&shown.body).into_owned();
        assert!(!text.contains("s3:cr") && !text.contains("s3%3A"), "{text}");
    }
    let has_password = std::fs::read_dir(&stored).expect("lists").flatten().any(|file| {
        let data = std::fs::read(file.path()).unwrap_or_default();
        data.windows(14).any(|window| window == b"s3%3Acr%40t%25")
    });
    assert!(has_password, "the stored path has it, with all special characters encoded");
}

#[tokio::test]
async fn what_is_not_possible_is_refused_in_words_and_changes_nothing() {
    let peer = refusing_peer().await;
    let app = alone(&peer);
    app.admin("PUT", "/api/v1/paths/taken", r#"{"kind": "stream", "stream": "card"}"#).await;
    define(&app, "reading", peer.addr, json!({})).await;
    app.admin("PUT", "/api/v1/streams/reading", r#"{"kind": "rtsp", "path": "other"}"#).await;
    for (stream, body, status, code, says) in [
        ("fixed", r#"{"name": "taken"}"#, 409, "path_exists", "another path taken is kept here"),
        ("fixed", r#"{"replace": true}"#, 409, "fixed_by_file", "is defined in sidecar.yml"),
        ("fixed", r#"{"name": "a b"}"#, 400, "invalid_name", "not ' '"),
        ("fixed", r#"{"name": "~^a"}"#, 400, "invalid_name", "not '~'"),
        ("fixed", r#"{"name": "a//b"}"#, 422, "invalid_path", "no empty segment"),
        ("fixed", r#"{"nam": "x"}"#, 400, "invalid_body", "unknown field"),
        ("card", "", 409, "kind_conflict", "is of kind test-card"),
        ("reading", "", 409, "kind_conflict", "reads MediaMTX's path other already"),
        ("nothing", "", 404, "unknown_stream", "nothing"),
    ] {
        let refused = app.admin("POST", &format!("/api/v1/streams/{stream}/mediamtx-path"), body).await;
        assert_eq!((refused.status, refused.problem().as_str()), (status, code), "{stream} {body}: {refused:?}");
        assert!(refused.detail().contains(says), "{stream} {body}: {refused:?}");
    }
    let kept = app.admin("GET", "/api/v1/paths", "").await.json();
    assert_eq!(kept["paths"].as_array().map(Vec::len), Some(1), "{kept}");
    // Without `replace`, the answer says what to write into the file.
    let made = app.admin("POST", "/api/v1/streams/fixed/mediamtx-path", "").await;
    assert!(
        made.status == 201 && made.json()["advice"].as_str().is_some_and(|text| text.contains("`path: fixed`")),
        "{made:?}"
    );
    // Administrators only.
    app.user("alice", json!({"password": "correct horse", "role": "user"})).await;
    let at = "/api/v1/streams/fixed/mediamtx-path";
    assert_eq!(app.request("POST", at, &[FAR], b"").await.status, 401);
    let alice = crate::support::basic("alice", "correct horse");
    assert_eq!(app.request("POST", at, &[FAR, &alice], b"").await.status, 403);
    let no_stream = app.admin("PUT", "/api/v1/streams/x/mediamtx-path/y", r#"{"kind": "test-card"}"#).await;
    assert_eq!(no_stream.status, 201, "only the last part of a name is an address");
    let uploaded = app.put("/mjpeg-upload?name=x/mediamtx-path", &flat_picture(64, 48, COLOUR)).await;
    assert!(uploaded.status == 400 && uploaded.detail().contains("must not end with /mediamtx-path"), "{uploaded:?}");
}

/// With the real MediaMTX, in the console: the button, and what it makes.
#[tokio::test]
async fn one_click_lets_mediamtx_read_the_camera_and_the_stream_shows_it() {
    let source = TestApp::with(GUARDED);
    source.put("/api/v1/streams/door/frame", &flat_picture(320, 180, COLOUR)).await;
    let camera = particular_camera(source.rtsp).await;
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "rtsp_cameras: {{reader: native}}\nstream_defaults: {{start_timeout: 8s}}\noutput: {{snapshot_timeout: 8s}}\n\
         mediamtx: {{api: 'http://127.0.0.1:{}', rtsp: 'rtsp://127.0.0.1:{}'}}\n\
         streams: {{fixed: {{kind: rtsp, url: 'rtsp://{camera}/door', user: viewer, pass: right}}}}",
        ports[4], ports[0]
    ));
    let Some(mediamtx) = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await else { return };
    eventually("the sidecar knows that MediaMTX is reachable", async || {
        app.admin("GET", "/api/v1/paths", "").await.json()["mediamtx"]["reachable"] == true
    })
    .await;
    define(&app, "yard", camera, json!({})).await;
    // A path of the shipped mediamtx.yml.
    define(&app, "imagefile", camera, json!({})).await;
    for name in ["yard", "imagefile", "fixed"] {
        assert_eq!(app.get(&format!("/snapshot/{name}.jpg")).await.problem(), "no_picture");
    }
    let browser = Browser::start().await;
    enter(&browser, &app, "#/streams").await;
    browser.says(".stream[data-name=yard] .reason", "refuses DESCRIBE: 500 Kaputt").await;
    browser.keep_screenshot("console-camera-path-desktop").await;
    browser.click(".stream[data-name=yard] .hand-over").await;
    browser.says(".toast", "MediaMTX reads the camera as path yard, and yard shows that path.").await;
    browser.find(".stream.has-picture[data-name=yard]").await;
    let hidden = "return document.querySelector('.stream[data-name=yard] .hand-over').hidden";
    eventually("the button is hidden", async || browser.run(hidden).await == true).await;
    let snapshot = app.get("/snapshot/yard.jpg").await;
    let file = app.folder().join("seen.jpg");
    std::fs::write(&file, &snapshot.body).expect("writes");
    assert!(close_to(middle_colour(&file).await, COLOUR));
    assert!(mediamtx.is_available(&app, "yard").await, "MediaMTX is the one that reads it");

    // The name is taken: the page asks for another one.
    browser.click(".stream[data-name=imagefile] .hand-over").await;
    browser.says("dialog[open]", "There is another path imagefile").await;
    type_into(&browser, "dialog [name=name]", "imagefile/camera").await;
    submit(&browser).await;
    browser.find(".stream.has-picture[data-name=imagefile]").await;
    let path = app.admin("GET", "/api/v1/paths/imagefile/camera", "").await.json();
    assert_eq!((&path["state"], &path["url"]), (&json!("applied"), &json!(format!("rtsp://viewer:***@{camera}/door"))));

    // A stream of sidecar.yml is changed there: the page says how.
    browser.click(".stream[data-name=fixed] .hand-over").await;
    browser.says("dialog[open]", "path: fixed").await;
    assert_eq!(count(&browser, "dialog[open] form").await, 0);
    browser.close().await;
}
