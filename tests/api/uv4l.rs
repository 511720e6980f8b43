//! The signalling of UV4L cameras over sockets, with a camera that follows a script.

use actix_http::ws::Frame;
use mtx_sidecar::{
    fetch::{Fetch, FetchSettings, Target},
    secret::Secret,
    uv4l::Dialler,
};
use serde_json::{Value, json};

use crate::support::{
    FAR, TestApp, WsClient, basic, bearer, eventually,
    uv4l_camera::{OFFER, Script, Uv4lCamera, message},
};

/// A sidecar with this camera as `door`, and more settings of it.
fn app_with(camera: &Uv4lCamera, more: &str) -> TestApp {
    TestApp::with(&format!("uv4l: {{cameras: {{door: {{url: '{}'{more}}}}}}}", camera.url()))
}

async fn say(viewer: &mut WsClient, what: &str, data: &Value) {
    let text = if data.is_null() { json!({"what": what}).to_string() } else { message(what, data) };
    viewer.text(&text).await;
}

fn answer() -> Value {
    json!({"type": "answer", "sdp": OFFER.replace("sendonly", "recvonly")})
}

/// The next message, with `data` decoded.
async fn next(viewer: &mut WsClient) -> (String, Value) {
    let message = viewer.notice().await;
    let data = message["data"].as_str().map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data)));
    (message["what"].as_str().expect("a word").to_owned(), data.unwrap_or_else(|| message["data"].clone()))
}

/// A call up to the camera's candidates.
async fn call(app: &TestApp, path: &str) -> WsClient {
    let mut viewer = app.ws(path, &[]).await.expect("a WebSocket");
    viewer.text(r#"{"what":"call","options":{"force_hw_vcodec":false,"vformat":10,"trickle_ice":true}}"#).await;
    let (what, offer) = next(&mut viewer).await;
    assert_eq!((what.as_str(), offer["type"].as_str()), ("offer", Some("offer")));
    say(&mut viewer, "answer", &answer()).await;
    assert_eq!(next(&mut viewer).await.1["candidate"], "candidate:1 1 udp 1 192.0.2.1 9 typ host");
    assert_eq!(next(&mut viewer).await, ("iceCandidate".into(), json!("")));
    viewer
}

/// Waits until the camera has seen these messages on a connection, and none is open.
async fn ends(camera: &Uv4lCamera, connection: usize, words: &[&str]) {
    eventually(&format!("{words:?}"), async || camera.open() == 0 && camera.seen()[connection] == words).await;
}

#[tokio::test]
async fn a_viewer_calls_a_camera_and_hangs_up() {
    let camera = Uv4lCamera::start(Script::friendly()).await;
    let app = app_with(&camera, "");
    let mut viewer = call(&app, "/uv4l/door").await;
    assert_eq!(camera.open(), 1);
    say(&mut viewer, "addIceCandidate", &json!({"candidate": "candidate:2", "sdpMLineIndex": 0, "evil": 1})).await;
    eventually("the candidate has arrived", async || camera.seen()[0].len() == 3).await;
    let texts = camera.texts(0);
    assert_eq!(
        texts[0],
        json!({"what": "call", "options": {"force_hw_vcodec": false, "vformat": 10, "trickle_ice": true}})
    );
    assert_eq!(texts[2]["data"], r#"{"candidate":"candidate:2","sdpMLineIndex":0}"#);
    let sessions = app.admin("GET", "/api/v1/sessions", "").await.json();
    assert!(
        sessions["sessions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|s| s["protocol"] == "uv4l" && s["path"] == "door"))
    );
    let listed = app.admin("GET", "/api/v1/uv4l", "").await.json();
    assert_eq!((&listed["cameras"][0]["name"], &listed["cameras"][0]["sessions"]), (&json!("door"), &json!(1)));
    say(&mut viewer, "hangup", &Value::Null).await;
    assert_eq!(viewer.close_code().await.0, 1000);
    ends(&camera, 0, &["call", "answer", "addIceCandidate", "hangup"]).await;
}

/// In the order of the page that was published with the first such relay: the call at once, the answer when it is made, candidates of
/// the browser possibly before it; at the root of a port of its own. `data` is a text that has JSON.
#[tokio::test]
async fn the_original_page_finds_its_server_at_the_root_of_its_port() {
    let camera = Uv4lCamera::start(Script::friendly()).await;
    let app =
        TestApp::with(&format!("uv4l: {{listen: '127.0.0.1:0', cameras: {{door: {{url: '{}'}}}}}}", camera.url()));
    let at = app.uv4l.expect("a further address");
    assert_ne!(at, app.addr);
    let origin = format!("Origin: http://{at}");
    let host = format!("Host: {at}");
    let mut viewer = WsClient::connect_at(at, "/", &[&host, &origin]).await.expect("a WebSocket");
    viewer.text(r#"{"what":"call","options":{"force_hw_vcodec":false,"vformat":10,"trickle_ice":true}}"#).await;
    let (what, offer) = next(&mut viewer).await;
    assert_eq!((what.as_str(), &offer["sdp"]), ("offer", &json!(offer_sorted(&offer))));
    say(&mut viewer, "addIceCandidate", &json!({"sdpMLineIndex": 0, "sdpMid": "video", "candidate": "candidate:9"}))
        .await;
    say(&mut viewer, "answer", &answer()).await;
    eventually("the camera has both", async || camera.seen()[0] == ["call", "answer", "addIceCandidate"]).await;
    assert_eq!(next(&mut viewer).await.0, "iceCandidate");
    drop(viewer);
    ends(&camera, 0, &["call", "answer", "addIceCandidate", "hangup"]).await;
    // The same at the root of the usual port; the first page stays.
    let _viewer = call(&app, "/").await;
    assert_eq!(app.get("/").await.header("content-type"), Some("text/html; charset=utf-8"));
}

/// The SDP of a message, which must have all lines of the camera's offer.
fn offer_sorted(offer: &Value) -> String {
    let sdp = offer["sdp"].as_str().expect("SDP");
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(sdp), sorted(OFFER));
    sdp.to_owned()
}

#[tokio::test]
async fn two_viewers_have_separate_calls_and_a_third_is_told_that_the_camera_is_busy() {
    let camera = Uv4lCamera::start(Script::friendly()).await;
    let app = app_with(&camera, ", max_sessions: 2");
    let (mut a, mut b) = (call(&app, "/uv4l/door").await, call(&app, "/uv4l/door").await);
    let mut c = app.ws("/uv4l/door", &[]).await.expect("a WebSocket");
    say(&mut c, "call", &Value::Null).await;
    let (what, text) = next(&mut c).await;
    assert!(what == "message" && text.as_str().is_some_and(|text| text.starts_with("busy: ")), "{text}");
    assert_eq!(c.close_code().await.0, 1013);
    camera.say(0, r#"{"what":"message","data":"for a"}"#);
    camera.say(1, r#"{"what":"message","data":"for b"}"#);
    assert_eq!(next(&mut a).await.1, "for a");
    assert_eq!(next(&mut b).await.1, "for b");
    drop(a);
    eventually("the call of a has ended", async || camera.open() == 1).await;
    assert_eq!(camera.seen()[0].last().map(String::as_str), Some("hangup"));
    camera.say(1, r#"{"what":"message","data":"still for b"}"#);
    assert_eq!(next(&mut b).await.1, "still for b");
    assert_eq!(camera.seen().len(), 2, "a refused viewer does not reach the camera");
}

#[tokio::test]
async fn a_viewer_who_may_publish_takes_the_camera_over() {
    let camera = Uv4lCamera::start(Script::friendly()).await;
    let app = app_with(&camera, ", takeover: yes");
    let mut first = call(&app, "/uv4l/door").await;
    app.user("reader", json!({"password": "reading-only", "permissions": [{"action": "read"}]})).await;
    let mut reader = app.ws("/uv4l/door", &[FAR, &basic("reader", "reading-only")]).await.expect("a WebSocket");
    say(&mut reader, "call", &Value::Null).await;
    assert!(next(&mut reader).await.1.as_str().is_some_and(|text| text.starts_with("busy")));
    let second = call(&app, "/uv4l/door").await;
    let (what, text) = next(&mut first).await;
    assert!(what == "message" && text.as_str().is_some_and(|text| text.contains("taken the camera over")), "{text}");
    assert_eq!(first.close_code().await.0, 1008);
    assert_eq!(camera.seen()[0].last().map(String::as_str), Some("hangup"));
    assert_eq!(camera.open(), 1);
    drop(second);
    ends(&camera, 1, &["call", "answer", "hangup"]).await;
}

#[tokio::test]
async fn a_viewer_is_told_why_there_is_no_call() {
    let silent = "uv4l: {cameras: {gone: {url: 'ws://127.0.0.1:1/x'}, far: {url: 'ws://192.0.2.1/x'}, agent: {}}}";
    let app = TestApp::with(silent);
    for (camera, says) in
        [("gone", "cannot be reached"), ("far", "fetch.networks"), ("agent", "uv4l-agent) is not connected")]
    {
        let mut viewer = app.ws(&format!("/uv4l/{camera}"), &[]).await.expect("a WebSocket");
        say(&mut viewer, "call", &Value::Null).await;
        let (what, text) = next(&mut viewer).await;
        assert!(what == "message" && text.as_str().is_some_and(|text| text.contains(says)), "{camera}: {text}");
        assert_eq!(viewer.close_code().await.0, 1001, "{camera}");
    }
    for (script, says) in [
        (Script::saying(r#"{"what":"message","data":"too many users"}"#), "too many users"),
        (Script::saying("nonsense"), "of the camera cannot be read"),
        (Script::saying(message("offer", &json!({"type": "offer", "sdp": "v=0\r\n"}))), "the offer cannot be used"),
        (Script::saying("x".repeat(70_000)), "the message is too large"),
        (Script { login: Some("Basic other".into()), ..Script::friendly() }, "401"),
    ] {
        let camera = Uv4lCamera::start(script).await;
        let app = app_with(&camera, ", user: pi, pass: secret");
        let mut viewer = app.ws("/uv4l/door", &[]).await.expect("a WebSocket");
        say(&mut viewer, "call", &Value::Null).await;
        let (_, text) = next(&mut viewer).await;
        assert!(text.as_str().is_some_and(|text| text.contains(says)), "{says}: {text}");
        assert_eq!(viewer.close_code().await.0, 1001, "{says}");
        eventually("nothing is open", async || camera.open() == 0).await;
    }
}

#[tokio::test]
async fn a_camera_with_a_password_is_called() {
    let login = basic("pi", "secret").split_once(": ").expect("a header").1.to_owned();
    let camera = Uv4lCamera::start(Script { login: Some(login), ..Script::friendly() }).await;
    let app = app_with(&camera, ", user: pi, pass: secret");
    call(&app, "/uv4l/door").await;
    let listed = app.admin("GET", "/api/v1/uv4l", "").await;
    assert!(!format!("{listed:?}").contains("secret"), "{listed:?}");
    assert_eq!(listed.json()["cameras"][0]["camera"]["pass"], "***");
}

#[tokio::test]
async fn hostile_messages_end_the_call_and_free_the_camera() {
    let deep = format!(r#"{{"what":"addIceCandidate","data":{}}}"#, "[".repeat(2000));
    for (text, code) in [
        ("{".to_owned(), 1008),
        (deep, 1008),
        ("x".repeat(70_000), 1009),
        (json!({"what": "addIceCandidate", "data": {"candidate": "a\r\na=x"}}).to_string(), 1008),
    ] {
        let camera = Uv4lCamera::start(Script::friendly()).await;
        let app = app_with(&camera, "");
        let mut viewer = call(&app, "/uv4l/door").await;
        viewer.text(&text).await;
        assert_eq!(viewer.close_code().await.0, code);
        ends(&camera, 0, &["call", "answer", "hangup"]).await;
    }
    let camera = Uv4lCamera::start(Script::friendly()).await;
    let app = app_with(&camera, "");
    let mut viewer = call(&app, "/uv4l/door").await;
    viewer.text(r#"{"what":"reboot"}"#).await;
    assert!(next(&mut viewer).await.1.as_str().is_some_and(|text| text.contains("\"reboot\"")));
    viewer.binary(vec![1, 2]).await;
    assert_eq!(viewer.close_code().await.0, 1003);
    ends(&camera, 0, &["call", "answer", "hangup"]).await;
}

#[tokio::test]
async fn only_viewers_with_the_permission_reach_a_camera() {
    let camera = Uv4lCamera::start(Script::friendly()).await;
    let app = app_with(&camera, "");
    let refused = app.ws("/uv4l/door", &[FAR]).await.map(|_| ()).expect_err("no permission");
    assert_eq!((refused.status, refused.problem().as_str()), (401, "unauthenticated"));
    let refused = app.ws("/uv4l/door", &["Origin: http://evil.example"]).await.map(|_| ()).expect_err("another site");
    assert_eq!(refused.problem(), "cross_site");
    let refused =
        app.ws("/uv4l/door?agent=1", &["Origin: http://evil.example"]).await.map(|_| ()).expect_err("another site");
    assert_eq!(refused.problem(), "cross_site");
    assert_eq!(app.get("/uv4l/door").await.problem(), "not_a_websocket");
    assert_eq!(app.ws("/uv4l/none", &[]).await.map(|_| ()).expect_err("no camera").problem(), "unknown_stream");
    assert_eq!(app.ws("/uv4l/door?agent=1", &[]).await.map(|_| ()).expect_err("a url").problem(), "kind_conflict");
    assert_eq!(app.ws("/uv4l/door?data=x", &[]).await.map(|_| ()).expect_err("a form").problem(), "invalid_parameter");
    assert!(camera.seen().is_empty(), "no refused caller reaches the camera");

    let permissions = json!([{"action": "read", "path": "door"}]);
    let made = app.made("/api/v1/tokens", json!({"name": "viewer", "permissions": permissions, "expires": "1h"})).await;
    let token = made["token"].as_str().expect("a token");
    let protocol = format!("Sec-WebSocket-Protocol: mtx.uv4l, bearer.{token}");
    let mut viewer = app.ws("/uv4l/door?data=plain", &[FAR, &protocol]).await.expect("a WebSocket");
    assert!(viewer.head.to_ascii_lowercase().contains("sec-websocket-protocol: mtx.uv4l\r\n"), "{}", viewer.head);
    say(&mut viewer, "call", &Value::Null).await;
    let offer = viewer.notice().await;
    let sdp = offer["data"]["sdp"].as_str().expect("plain data");
    // Without the permission to publish: no data channels, and nothing is sent to the camera.
    assert!(!sdp.contains("m=application"), "{sdp}");
    viewer.text(&json!({"what": "answer", "data": {"type": "answer", "sdp": sdp}}).to_string()).await;
    eventually("the camera has the answer", async || camera.seen()[0].len() == 2).await;
    let answer: Value = serde_json::from_str(camera.texts(0)[1]["data"].as_str().expect("encoded")).expect("JSON");
    let answer = answer["sdp"].as_str().expect("SDP");
    assert!(answer.contains("m=application 0 ") && !answer.contains("a=send"), "{answer}");
    // The token is revoked: the session ends, and so does the call.
    let id = made["id"].as_str().expect("an id");
    assert_eq!(app.admin("DELETE", &format!("/api/v1/tokens/{id}"), "").await.status, 204);
    assert_eq!(viewer.close_code().await.0, 1008);
    ends(&camera, 0, &["call", "answer", "hangup"]).await;
}

#[tokio::test]
async fn a_camera_that_is_defined_as_a_disabled_path_is_for_browsers_only() {
    let camera = Uv4lCamera::start(Script::friendly()).await;
    let app = TestApp::spawn();
    let definition = json!({"kind": "uv4l", "url": camera.url(), "user": "pi", "pass": "hunter2", "enabled": false});
    assert_eq!(app.admin("PUT", "/api/v1/paths/yard", &definition.to_string()).await.status, 201);
    let shown = app.admin("GET", "/api/v1/paths/yard", "").await.json();
    assert_eq!((&shown["kind"], &shown["pass"], &shown["state"]), (&json!("uv4l"), &json!("***"), &json!("disabled")));
    // Sent back as it was shown, it keeps its password.
    let changed = app.admin("PATCH", "/api/v1/paths/yard", r#"{"max_sessions": 2, "pass": "***"}"#).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let wall = app.get("/api/v1/wall").await.json();
    assert_eq!(wall["items"][0]["uv4l"], json!({"sessions": 0, "max_sessions": 2}), "{wall}");
    let (_a, _b) = (call(&app, "/uv4l/yard").await, call(&app, "/uv4l/yard").await);
    for (body, field) in [
        (json!({"kind": "uv4l", "url": "http://pi/"}), "url"),
        (json!({"kind": "uv4l", "url": "ws://pi/", "max_sessions": 0}), "max_sessions"),
        (json!({"kind": "uv4l", "url": "ws://pi/", "record": true}), "record"),
    ] {
        let refused = app.admin("PUT", "/api/v1/paths/other", &body.to_string()).await;
        assert_eq!((refused.problem().as_str(), refused.json()["field"].as_str()), ("invalid_path", Some(field)));
    }
    // Stored with its password, and restored.
    let folder = app.stop();
    let app = TestApp::in_folder(folder, "");
    let listed = app.request("GET", "/api/v1/wall", &[], b"").await.json();
    assert_eq!(listed["items"][0]["name"], "yard");
    call(&app, "/uv4l/yard").await;
}

#[tokio::test]
async fn an_agent_carries_the_calls_of_a_camera_behind_nat() {
    let camera = Uv4lCamera::start(Script::friendly()).await;
    let app = TestApp::with("uv4l: {cameras: {door: {max_sessions: 2}}}");
    let permissions = json!([{"action": "publish", "path": "door"}]);
    let made = app.made("/api/v1/tokens", json!({"name": "pi", "permissions": permissions, "expires": "1h"})).await;
    let token = made["token"].as_str().expect("a token");
    let reading = json!([{"action": "read", "path": "door"}]);
    let reader = app.made("/api/v1/tokens", json!({"name": "reader", "permissions": reading, "expires": "1h"})).await;
    let reader = bearer(reader["token"].as_str().expect("a token"));
    let refused = app.ws("/uv4l/door?agent=1", &[FAR, &reader]).await.map(|_| ()).expect_err("read is not enough");
    assert_eq!(refused.problem(), "forbidden");
    let url = format!("http://{}/uv4l/door?agent=1", app.addr);
    let dialler = Dialler {
        fetch: Fetch::new(&FetchSettings::default()).expect("no file"),
        sidecar: Target::new(&url, "", &Secret::default(), "").expect("a URL"),
        token: Secret::new(token),
        camera: mtx_sidecar::uv4l::Camera { url: camera.url(), ..Default::default() },
    };
    let agent = tokio::spawn(async move { dialler.run().await });
    let connected = async || app.admin("GET", "/api/v1/uv4l", "").await.json()["cameras"][0]["agent"] == true;
    eventually("the agent is connected", connected).await;
    let (a, mut b) = (call(&app, "/uv4l/door").await, call(&app, "/uv4l/door").await);
    camera.say(1, r#"{"what":"message","data":"for b"}"#);
    assert_eq!(next(&mut b).await.1, "for b");
    drop(a);
    eventually("the call of a has ended", async || camera.open() == 1).await;
    assert!(camera.seen()[0].contains(&"hangup".to_owned()), "{:?}", camera.seen());
    // The camera ends a call, and its viewer is told.
    camera.disconnect();
    assert!(next(&mut b).await.1.as_str().is_some_and(|text| text.contains("closes the connection")));
    let mut c = call(&app, "/uv4l/door").await;
    agent.abort();
    assert!(next(&mut c).await.1.as_str().is_some_and(|text| text.contains("agent has disconnected")));
    eventually("the agent has left", async || !connected().await).await;
    eventually("no call is left at the camera", async || camera.open() == 0).await;
}

#[tokio::test]
async fn rooms_pass_messages_between_their_members() {
    let app = TestApp::spawn();
    let join = async |path: &str, headers: &[&str]| app.ws(path, headers).await;
    let (mut a, mut b) =
        (join("/signal/home", &[]).await.expect("joins"), join("/signal/home", &[]).await.expect("joins"));
    let mut elsewhere = join("/signal/away", &[]).await.expect("joins");
    a.text("any text").await;
    assert!(matches!(b.next().await, Frame::Text(text) if text == "any text"));
    b.text("back").await;
    assert!(matches!(a.next().await, Frame::Text(text) if text == "back"), "its own text did not come back");
    let mut third = join("/signal/home", &[]).await.expect("joins");
    assert_eq!(third.close_code().await, (1013, "the room is full".into()));

    let addressed = "Sec-WebSocket-Protocol: mtx.signal";
    let mut mixed = join("/signal/home", &[addressed]).await.expect("joins");
    assert_eq!(mixed.close_code().await.0, 1013);
    let mut c = join("/signal/many", &[addressed]).await.expect("joins");
    assert!(c.head.to_ascii_lowercase().contains("sec-websocket-protocol: mtx.signal"), "{}", c.head);
    let id = c.notice().await["id"].as_str().expect("an id").to_owned();
    let mut d = join("/signal/many", &[addressed]).await.expect("joins");
    assert_eq!(d.notice().await["peers"], json!([id]));
    let other = c.notice().await["id"].clone();
    c.text(&json!({"to": other, "from": "someone", "type": "offer", "sdp": "v=0"}).to_string()).await;
    assert_eq!(d.notice().await, json!({"from": id, "type": "offer", "sdp": "v=0"}));
    drop(d);
    assert_eq!(c.notice().await, json!({"type": "left", "id": other}));

    assert_eq!(join("/signal/home", &[FAR]).await.map(|_| ()).expect_err("no permission").status, 401);
    let evil = join("/signal/home", &["Origin: http://evil.example"]).await.map(|_| ()).expect_err("another site");
    assert_eq!(evil.problem(), "cross_site");
    app.user("reader", json!({"password": "reading-only", "permissions": [{"action": "read"}]})).await;
    let reader = join("/signal/home", &[FAR, &basic("reader", "reading-only")]).await.map(|_| ());
    assert_eq!(reader.expect_err("read is not enough").problem(), "forbidden");
    app.ask_to_end();
    assert_eq!(elsewhere.close_code().await.0, 1001);
}
