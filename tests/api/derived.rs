//! Overlays, streams made of other streams, and mosaics.

use mtx_sidecar::picture::Raster;
use serde_json::{Value, json};

use crate::support::{FAR, MjpegReader, Program, TestApp, WsClient, basic, eventually, flat_picture};

const WHITE: [u8; 3] = [255, 255, 255];

/// No watcher gets the "waiting" picture, however slow this machine is.
const PATIENT: &str = "stream_defaults: {placeholder_after: 20s}";

/// Most parts that a test reads before it gives up.
const PARTS: usize = 300;

/// The brightness of a pixel, from 0 to 255; the position is in percent.
fn luma(jpeg: &[u8], x: u32, y: u32) -> u8 {
    let raster = Raster::from_jpeg(jpeg).unwrap_or_else(|e| panic!("{e}"));
    raster.at(raster.width() * x / 100, raster.height() * y / 100)[0]
}

fn is_masked_on_the_left(jpeg: &[u8]) -> bool {
    (5..45).step_by(10).all(|x| luma(jpeg, x, 50) < 30) && luma(jpeg, 80, 50) > 220
}

async fn define(app: &TestApp, name: &str, definition: Value) {
    let response = app.admin("PUT", &format!("/api/v1/streams/{name}"), &definition.to_string()).await;
    assert!(matches!(response.status, 200 | 201), "{response:?}");
}

async fn snapshot(app: &TestApp, path: &str) -> Vec<u8> {
    let response = app.get(&format!("/snapshot/{path}")).await;
    assert_eq!(response.status, 200, "{path}: {response:?}");
    response.body.to_vec()
}

/// The first picture of which this holds.
async fn first_of(mjpeg: &mut MjpegReader, holds: impl Fn(&Raster) -> bool) -> Raster {
    for _ in 0..PARTS {
        let raster = Raster::from_jpeg(&mjpeg.part().await.data).expect("decodes");
        if holds(&raster) {
            return raster;
        }
    }
    panic!("none of {PARTS} pictures");
}

#[tokio::test]
async fn a_mask_is_in_every_output_and_no_parameter_takes_it_away() {
    let app = TestApp::with(PATIENT);
    let mask = json!([{"mask": [0, 0, 50, 100]}]);
    define(&app, "cam", json!({"kind": "upload", "overlay": mask})).await;
    app.put("/api/v1/streams/cam/frame", &flat_picture(320, 240, WHITE)).await;
    for query in ["", "?w=100", "?quality=95", "?gray=1", "?w=64&h=64&fit=fill", "?max_age=0", "?overlay=&rotate=0"] {
        let response = app.get(&format!("/snapshot/cam.jpg{query}")).await;
        // An empty name of a preset is refused.
        if response.status == 200 {
            assert!(is_masked_on_the_left(&response.body), "{query}");
        }
    }
    let turned = snapshot(&app, "cam.jpg?rotate=180").await;
    assert!(luma(&turned, 75, 50) < 30 && luma(&turned, 25, 50) > 220, "the mask turns with the picture");
    let mut mjpeg = app.watch("/stream/cam.mjpeg").await;
    assert!(is_masked_on_the_left(&mjpeg.part().await.data));
    let mut ws: WsClient = app.ws("/ws/cam", &[]).await.expect("a WebSocket");
    assert!(is_masked_on_the_left(&ws.picture().await));
    // H.264, by RTSP and as MP4.
    let rtsp = format!("rtsp://127.0.0.1:{}/cam", app.rtsp.port());
    let mp4 = format!("http://{}/stream/cam.mp4", app.addr);
    for url in [rtsp, mp4] {
        let args = ["-v", "error", "-i", &url, "-frames:v", "1", "-f", "image2pipe", "-c:v", "mjpeg", "-"];
        assert!(is_masked_on_the_left(&Program::output("ffmpeg", &args).await), "{url}");
    }
    // The next picture, while it is watched and while it is not.
    app.put("/api/v1/streams/cam/frame", &flat_picture(160, 120, WHITE)).await;
    assert!(is_masked_on_the_left(&snapshot(&app, "cam.jpg").await));
    drop((mjpeg, ws));
    app.put("/api/v1/streams/cam/frame", &flat_picture(200, 100, WHITE)).await;
    eventually("the newest picture, with the mask", async || {
        let picture = snapshot(&app, "cam.jpg").await;
        assert!(is_masked_on_the_left(&picture));
        Raster::from_jpeg(&picture).is_ok_and(|raster| raster.width() == 200)
    })
    .await;
}

#[tokio::test]
async fn an_upload_with_an_overlay_survives_a_restart_with_its_mask() {
    let app = TestApp::with("uploads: {durability: ack}");
    define(&app, "cam", json!({"kind": "upload", "overlay": [{"mask": [0, 0, 50, 100]}]})).await;
    app.put("/api/v1/streams/cam/frame", &flat_picture(320, 240, WHITE)).await;
    let folder = app.stop();
    let app = TestApp::in_folder(folder, "uploads: {durability: ack}");
    eventually("the stored picture is shown", async || {
        let response = app.get("/snapshot/cam.jpg").await;
        response.status == 200 && is_masked_on_the_left(&response.body)
    })
    .await;
}

#[tokio::test]
async fn a_derived_stream_has_a_permission_of_its_own() {
    let app = TestApp::with("auth: {users: [{user: bob, pass: secret, permissions: [{action: read, path: public}]}]}");
    app.admin("PUT", "/api/v1/streams/original", r#"{"kind": "upload"}"#).await;
    define(
        &app,
        "public",
        json!({"kind": "derived", "of": "original", "w": 64, "overlay": [{"mask": [0, 0, 50, 100]}]}),
    )
    .await;
    let pushed = app
        .admin("PUT", "/api/v1/users/pusher", r#"{"pass": "secret1234", "permissions": [{"action": "publish"}]}"#)
        .await;
    assert!(matches!(pushed.status, 200 | 201), "{pushed:?}");
    let pusher = basic("pusher", "secret1234");
    let white = flat_picture(320, 240, WHITE);
    let sent = app.request("PUT", "/api/v1/streams/original/frame", &[&pusher], &white).await;
    assert!(matches!(sent.status, 200 | 201), "{sent:?}");
    let bob = basic("bob", "secret");
    let public = app.request("GET", "/snapshot/public.jpg", &[&bob], b"").await;
    assert_eq!(public.status, 200, "{public:?}");
    assert!(is_masked_on_the_left(&public.body));
    assert_eq!(Raster::from_jpeg(&public.body).expect("decodes").width(), 64);
    assert_eq!(app.request("GET", "/snapshot/original.jpg", &[&bob], b"").await.status, 403);
}

#[tokio::test]
async fn a_derived_stream_watches_its_parent_only_while_it_is_watched() {
    let app = TestApp::with("stream_defaults: {linger: 100ms}\nstreams: {card: {kind: test-card, fps: 10}}");
    define(&app, "part", json!({"kind": "derived", "of": "card", "crop": [0, 0, 50, 50], "rotate": 90, "fps": 4}))
        .await;
    assert_eq!(app.stats("card").await["watchers"], 0);
    let mut mjpeg = app.watch("/stream/part.mjpeg").await;
    let part = first_of(&mut mjpeg, |raster| (raster.width(), raster.height()) == (225, 400)).await;
    assert!(part.at(200, 20)[0] > 150, "the gray bar of the test card, turned to the right upper corner");
    assert_eq!(app.stats("card").await["watchers"], 1);
    drop(mjpeg);
    eventually("nothing is watched", async || {
        app.stats("card").await["watchers"] == 0 && app.stats("card").await["state"] == "idle"
    })
    .await;
}

#[tokio::test]
async fn circles_and_parents_that_the_definer_cannot_read_are_refused() {
    let app = TestApp::spawn();
    define(&app, "a", json!({"kind": "derived", "of": "b"})).await;
    define(&app, "b", json!({"kind": "derived", "of": "c"})).await;
    for (name, definition) in [
        ("a", json!({"kind": "derived", "of": "a"})),
        ("b", json!({"kind": "derived", "of": "a"})),
        ("c", json!({"kind": "derived", "of": "a"})),
        ("c", json!({"kind": "mosaic", "tiles": ["x", "b"]})),
    ] {
        let response = app.admin("PUT", &format!("/api/v1/streams/{name}"), &definition.to_string()).await;
        assert_eq!(response.status, 422, "{name} {definition}: {response:?}");
    }
    let missing = app.admin("GET", "/snapshot/a.jpg", "").await;
    assert_eq!(missing.status, 504, "{missing:?}");
    assert!(missing.detail().contains("there is no stream c"), "{missing:?}");
    app.user(
        "half",
        json!({"pass": "secret1234", "permissions": [{"action": "api"}, {"action": "read", "path": "a"}]}),
    )
    .await;
    let half = basic("half", "secret1234");
    let put = async |definition: Value| {
        let body = definition.to_string();
        app.far("PUT", "/api/v1/streams/mine", &half, &body).await.status
    };
    assert_eq!(put(json!({"kind": "derived", "of": "a"})).await, 201);
    assert_eq!(put(json!({"kind": "derived", "of": "secret"})).await, 403);
    assert_eq!(put(json!({"kind": "mosaic", "tiles": ["a"]})).await, 200);
    assert_eq!(put(json!({"kind": "mosaic", "tiles": ["a", "secret"]})).await, 403);
    assert_eq!(
        put(json!({"kind": "mosaic", "tiles": ["~^a"]})).await,
        403,
        "a pattern shows streams that are not there yet"
    );
    let body = json!({"of": "secret"}).to_string();
    let patched = app.far("PATCH", "/api/v1/streams/mine", &half, &body).await;
    assert!(patched.status == 403 || patched.status == 422, "{patched:?}");
}

#[tokio::test]
async fn a_still_with_a_clock_moves_while_it_is_watched_and_rests_otherwise() {
    let app = TestApp::with("stream_defaults: {linger: 100ms}");
    define(&app, "still", json!({"kind": "upload", "overlay": [{"text": "{now:%T}", "size": 20}]})).await;
    app.put("/api/v1/streams/still/frame", &flat_picture(320, 240, [90, 90, 90])).await;
    let mut mjpeg = app.watch("/stream/still.mjpeg").await;
    let mut different = vec![];
    for _ in 0..PARTS {
        let part = mjpeg.part().await.data;
        if !different.contains(&part) {
            different.push(part);
        }
        if different.len() == 4 {
            break;
        }
    }
    assert_eq!(different.len(), 4, "one picture, or a \"waiting\" picture, and then another one each second");
    drop(mjpeg);
    eventually("it rests", async || app.stats("still").await["state"] == "idle").await;
    let frames = app.stats("still").await["frames"].as_u64();
    assert!(frames.is_some_and(|frames| frames >= 2), "{frames:?}");
    // Nothing runs that could draw: the state is idle.
    assert_eq!(app.stats("still").await["frames"].as_u64(), frames);
}

#[tokio::test]
async fn a_value_is_shown_as_soon_as_it_is_set() {
    let app = TestApp::with(PATIENT);
    define(
        &app,
        "score",
        json!({"kind": "upload", "overlay": [{"text": "{value:hall/score}", "at": "center", "size": 40}]}),
    )
    .await;
    app.put("/api/v1/streams/score/frame", &flat_picture(320, 240, [0, 0, 0])).await;
    let mut mjpeg = app.watch("/stream/score.mjpeg").await;
    let first = mjpeg.part().await.data;
    assert_eq!(app.put("/api/v1/values/hall/score", "88:88".as_bytes()).await.status, 204);
    let bright = |raster: &Raster| (0..320).filter(|x| (60..180).any(|y| raster.at(*x, y)[0] > 200)).count();
    assert!(bright(&Raster::from_jpeg(&first).expect("decodes")) < 100, "a dash");
    first_of(&mut mjpeg, |raster| bright(raster) > 100).await;
    assert_eq!(app.get("/api/v1/values").await.json()["values"]["hall/score"], "88:88");
    let anonymous = "X: y";
    assert_eq!(app.far("PUT", "/api/v1/values/hall/score", anonymous, "0:0").await.status, 401);
    assert_eq!(app.put("/api/v1/values/x", &[b'x'; 201]).await.status, 400);
    assert_eq!(app.put("/api/v1/values/../x", b"x").await.status / 100, 4);
    let deleted = app.request("DELETE", "/api/v1/values/hall/score", &[], b"").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(app.request("DELETE", "/api/v1/values/hall/score", &[], b"").await.status, 404);
}

#[tokio::test]
async fn the_last_number_of_a_graph_is_shown_as_soon_as_it_comes() {
    let app = TestApp::with(PATIENT);
    let post = async |points: &str| {
        let sent = app.request("POST", "/api/v1/streams/house/hall/points", &[], points.as_bytes()).await;
        assert_eq!(sent.status, 200, "{sent:?}");
    };
    post(r#"{"bed": 1, "other": 88888888}"#).await;
    let overlay = json!([{"text": "{value:house/hall/bed}", "at": "center", "size": 40}]);
    define(&app, "shown", json!({"kind": "upload", "overlay": overlay})).await;
    app.put("/api/v1/streams/shown/frame", &flat_picture(320, 240, [0, 0, 0])).await;
    let mut mjpeg = app.watch("/stream/shown.mjpeg").await;
    let bright = |raster: &Raster| (0..320).filter(|x| (60..180).any(|y| raster.at(*x, y)[0] > 200)).count();
    let one = Raster::from_jpeg(&mjpeg.part().await.data).expect("decodes");
    assert!((1..100).contains(&bright(&one)), "a narrow number: {}", bright(&one));
    post(r#"{"bed": 88.88}"#).await;
    first_of(&mut mjpeg, |raster| bright(raster) > 100).await;
    // A value that is set with the same key comes first.
    assert_eq!(app.put("/api/v1/values/house/hall/bed", b"1").await.status, 204);
    first_of(&mut mjpeg, |raster| (1..100).contains(&bright(raster))).await;
    // Who may not read the graph cannot show its numbers under another name.
    let permissions = json!([{"action": "api"}, {"action": "read", "path": "shown"}]);
    app.user("limited", json!({"password": "limited-user", "permissions": permissions})).await;
    let limited = basic("limited", "limited-user");
    let put = async |text: &str| {
        let body = json!({"kind": "upload", "overlay": [{"text": text}]}).to_string();
        app.request("PUT", "/api/v1/streams/other", &[FAR, &limited], body.as_bytes()).await.status
    };
    assert_eq!((put("{value:house/hall/bed}").await, put("{value:score}").await), (403, 201));
}

#[tokio::test]
async fn a_preset_is_drawn_when_it_is_asked_for() {
    let app = TestApp::with(&format!(
        "overlays: {{label: [{{text: '{{name}}', size: 30, background: white, colour: black}}]}}\n{PATIENT}"
    ));
    app.put("/api/v1/streams/cam/frame", &flat_picture(320, 240, [0, 0, 0])).await;
    let plain = snapshot(&app, "cam.jpg").await;
    let labelled = snapshot(&app, "cam.jpg?overlay=label").await;
    assert!(luma(&plain, 6, 8) < 30 && luma(&labelled, 4, 5) > 200);
    let small = snapshot(&app, "cam.jpg?overlay=label&w=100").await;
    assert_eq!(Raster::from_jpeg(&small).expect("decodes").width(), 100);
    let mut mjpeg = app.watch("/stream/cam.mjpeg?overlay=label").await;
    assert!(luma(&mjpeg.part().await.data, 4, 5) > 200);
    let unknown = app.get("/snapshot/cam.jpg?overlay=other").await;
    assert_eq!(unknown.status, 400, "{unknown:?}");
    assert!(unknown.detail().contains("label"), "{unknown:?}");
    assert_eq!(app.get("/stream/cam.mjpeg?overlay=other").await.status, 400);
    assert_eq!(app.get("/snapshot/cam.jpg?overlay=a%20b").await.status, 400);
}

#[tokio::test]
async fn a_mosaic_shows_its_tiles_and_the_reasons_of_those_without_a_picture() {
    let app = TestApp::with("stream_defaults: {linger: 100ms, retry_max: 1s}");
    app.put("/api/v1/streams/white/frame", &flat_picture(320, 180, WHITE)).await;
    app.put("/api/v1/streams/red/frame", &flat_picture(320, 180, [255, 0, 0])).await;
    // Nothing listens on this port.
    define(&app, "dead", json!({"kind": "http", "url": "http://127.0.0.1:9"})).await;
    let tiles = json!(["white", "dead", "missing", "~^red$"]);
    define(
        &app,
        "wall",
        json!({"kind": "mosaic", "tiles": tiles, "w": 640, "h": 360, "fps": 10, "gap": 0, "labels": false}),
    )
    .await;
    let mut mjpeg = app.watch("/stream/wall.mjpeg").await;
    first_of(&mut mjpeg, |raster| {
        let [white, dead, missing, red] = [(160, 90), (480, 20), (160, 200), (480, 270)].map(|(x, y)| raster.at(x, y));
        let letters = |x0: u32, y0: u32| (x0..x0 + 320).any(|x| (y0 + 60..y0 + 120).any(|y| raster.at(x, y)[0] > 180));
        (raster.width(), raster.height()) == (640, 360)
            && white[0] > 230
            && (60..100).contains(&red[0])
            && dead[0] < 70
            && missing[0] < 70
            && letters(320, 0)
            && letters(0, 180)
    })
    .await;
    assert_eq!(app.stats("white").await["watchers"], 1);
    drop(mjpeg);
    eventually("no tile is watched", async || app.stats("white").await["watchers"] == 0).await;
    let snapshot = snapshot(&app, "wall.jpg").await;
    assert_eq!(Raster::from_jpeg(&snapshot).expect("decodes").height(), 360);
}

#[tokio::test]
async fn a_pattern_without_a_stream_waits_for_one_and_small_pictures_fill_their_tile() {
    let app = TestApp::with(PATIENT);
    let wall =
        json!({"kind": "mosaic", "tiles": ["~^late$"], "w": 640, "h": 360, "fps": 10, "gap": 0, "labels": false});
    define(&app, "wall", wall).await;
    let mut mjpeg = app.watch("/stream/wall.mjpeg").await;
    first_of(&mut mjpeg, |raster| raster.width() == 640 && raster.at(320, 180)[0] < 60).await;
    eventually("it is live without a tile", async || app.stats("wall").await["state"] == "live").await;
    app.put("/api/v1/streams/late/frame", &flat_picture(64, 36, WHITE)).await;
    first_of(&mut mjpeg, |raster| {
        [(4, 4), (635, 4), (4, 355), (635, 355)].iter().all(|(x, y)| raster.at(*x, *y)[0] > 230)
    })
    .await;
}
