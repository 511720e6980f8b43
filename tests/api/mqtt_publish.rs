//! Pictures that are published to a real broker, and Home Assistant's discovery.

use mtx_sidecar::picture::{Picture, PictureLimits};
use serde_json::{Value, json};

use super::support::{
    Program, TestApp, eventually, mediamtx::MediaMtx, mosquitto::Mosquitto, noise, picture, sized_picture,
};

const CARD: &str = "streams: {card: {kind: test-card, width: 64, height: 48, fps: 5}}";

fn sidecar(broker: &Mosquitto, settings: &str, sections: &str) -> TestApp {
    TestApp::with(&format!("mqtt: {{{}, {settings}}}\n{sections}", broker.settings()))
}

/// The publication of this name.
async fn publication(app: &TestApp, name: &str) -> Value {
    let known = app.admin("GET", "/api/v1/mqtt", "").await.json();
    let all = known["publications"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|one| one["name"] == name).unwrap_or_default()
}

fn parsed(message: &[u8]) -> Value {
    serde_json::from_slice(message).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(message)))
}

/// Width and height of a JPEG.
fn size(jpeg: &[u8]) -> (u32, u32) {
    let picture = Picture::from_plain_jpeg(jpeg.to_vec().into(), &PictureLimits::default()).expect("a picture");
    (picture.width, picture.height)
}

#[tokio::test]
async fn pictures_are_published_at_an_interval_when_they_change_and_on_request() {
    let broker = Mosquitto::start().await;
    let publish =
        "publish: {card: {every: 1s, w: 32, retain: yes}, a: {interval: on_change}, b: {interval: on_request}}";
    let app = sidecar(&broker, publish, CARD);
    let jpeg = broker.next("mtx/card/image").await;
    assert_eq!(size(&jpeg), (32, 24));
    assert_eq!(size(&broker.next("mtx/card/image").await), (32, 24), "kept for clients that subscribe later");
    let state = parsed(&broker.next("mtx/card/state").await);
    assert!(state["width"] == 64 && state["age_ms"].is_u64() && state["state"].is_string(), "{state}");
    eventually("the next ones follow", async || publication(&app, "card").await["published"].as_u64() >= Some(3)).await;

    // Each new picture, and the stream may be made later.
    eventually("the absence is told", async || publication(&app, "a").await["problem"].is_string()).await;
    for name in ["a", "b"] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &picture(1)).await;
    }
    let mut changes = broker.follow("mtx/a/state");
    broker.publish("mtx/a/snapshot/set", b"", &[]).await;
    changes.line("mtx/a/state {").await;
    let upload = async || drop(app.put("/api/v1/streams/a/frame", &picture(2)).await);
    assert_eq!(broker.next_after("mtx/a/image", upload).await, picture(2));

    assert_eq!(broker.kept("mtx/b/image").await, None);
    let ask = async || broker.publish("mtx/b/snapshot/set", b"now", &[]).await;
    assert_eq!(broker.next_after("mtx/b/image", ask).await, picture(1));
    // In a size of its own. An answer to the requests before can still come.
    let ask = async || broker.publish("mtx/b/snapshot/set", br#"{"w": 32}"#, &[]).await;
    eventually("it has the size", async || size(&broker.next_after("mtx/b/image", ask).await).0 == 32).await;
}

#[tokio::test]
async fn home_assistant_is_told_of_devices_and_of_their_end() {
    let broker = Mosquitto::start().await;
    // A device of before a restart, which is no longer published, and one of another program.
    let stale = json!({ "origin": { "name": "mtx-sidecar" }, "availability": [{ "topic": "mtx/available" }] });
    broker.publish("homeassistant/device/mtx_gone/config", stale.to_string().as_bytes(), &["-r"]).await;
    broker.publish("homeassistant/device/mtx_other/config", br#"{"origin":{"name":"other"}}"#, &["-r"]).await;
    let app = sidecar(&broker, "homeassistant: {enabled: yes}, publish: {card: {interval: on_request}}", CARD);
    let device = parsed(&broker.next("homeassistant/device/mtx_card/config").await);
    assert_eq!(device["components"]["camera"]["topic"], "mtx/card/image");
    assert_eq!(device["components"]["snapshot"]["command_topic"], "mtx/card/snapshot/set");
    assert_eq!(device["availability"][0]["topic"], "mtx/available");
    assert_eq!(device["device"]["identifiers"][0], "mtx_card");
    let own = parsed(&broker.next("homeassistant/device/mtx/config").await);
    assert_eq!(device["device"]["via_device"], own["device"]["identifiers"][0]);
    eventually("the stale device is removed", async || {
        broker.kept("homeassistant/device/mtx_gone/config").await.is_none()
    })
    .await;
    assert!(broker.kept("homeassistant/device/mtx_other/config").await.is_some());

    // Home Assistant starts: all is told again.
    let mut told = broker.follow("homeassistant/device/mtx_card/config");
    told.line("homeassistant/device/mtx_card/config {").await;
    broker.publish("homeassistant/status", b"online", &[]).await;
    told.line("homeassistant/device/mtx_card/config {").await;

    // A publication of the API: an upload that is published, and removed.
    let address = "/api/v1/mqtt/publications/Garden/Gate";
    assert_eq!(app.admin("PUT", address, r#"{"interval":"on_request"}"#).await.status, 201);
    app.put("/api/v1/streams/Garden/Gate/frame", &picture(1)).await;
    let mut all = broker.follow("homeassistant/device/+/config");
    let asking = eventually("a picture is published", async || {
        broker.publish("mtx/Garden/Gate/snapshot/set", b"", &[]).await;
        publication(&app, "Garden/Gate").await["published"].as_u64() >= Some(1)
    });
    let line = tokio::join!(all.line("homeassistant/device/mtx_Garden_Gate_"), asking).0;
    let topic = line.split(' ').next().expect("a topic").to_owned();
    assert_eq!(app.admin("DELETE", "/api/v1/streams/Garden/Gate", "").await.status, 204);
    eventually("the device is gone with its stream", async || broker.kept(&topic).await.is_none()).await;
    app.put("/api/v1/streams/Garden/Gate/frame", &picture(1)).await;
    eventually("and is there again", async || {
        broker.publish("mtx/Garden/Gate/snapshot/set", b"", &[]).await;
        broker.kept(&topic).await.is_some()
    })
    .await;
    assert_eq!(app.admin("DELETE", address, "").await.status, 204);
    eventually("the device is gone with its publication", async || broker.kept(&topic).await.is_none()).await;
    assert_eq!(broker.kept("mtx/Garden/Gate/state").await, None);
}

#[tokio::test]
async fn a_regular_expression_publishes_streams_as_they_appear_and_disappear() {
    let broker = Mosquitto::start().await;
    let publish = "homeassistant: {enabled: yes}, publish: {'~^cam/': {interval: on_request}, cam/own: {interval: 1h}}";
    let app = sidecar(&broker, publish, "");
    let device = |name: &str| format!("homeassistant/device/{name}/config");
    for name in ["cam/a", "cam/own", "hall"] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &picture(1)).await;
    }
    let mut all = broker.follow("homeassistant/device/+/config");
    let line = all.line("homeassistant/device/mtx_cam_a_").await;
    let topic = line.split(' ').next().expect("a topic").to_owned();
    let ask = async || broker.publish("mtx/cam/a/snapshot/set", b"", &[]).await;
    assert_eq!(broker.next_after("mtx/cam/a/image", ask).await, picture(1));
    let known = app.admin("GET", "/api/v1/mqtt", "").await.json();
    assert_eq!(known["patterns"][0]["selected"], 1, "the other one has a publication of its own: {known}");
    assert_eq!(publication(&app, "cam/a").await["pattern"], "~^cam/");
    assert_eq!(publication(&app, "cam/own").await["publication"]["interval"], "1h");
    assert_eq!(broker.kept(&device("mtx_hall")).await, None);
    let refused = app.admin("DELETE", "/api/v1/mqtt/publications/cam/a", "").await;
    assert!(refused.status == 404 && refused.detail().contains("~^cam/"), "{}", refused.detail());
    assert_eq!(app.admin("DELETE", "/api/v1/streams/cam/a", "").await.status, 204);
    eventually("the device is gone with its stream", async || broker.kept(&topic).await.is_none()).await;
    eventually("and the publication", async || publication(&app, "cam/a").await.is_null()).await;

    // By the API.
    let address = format!("/api/v1/mqtt/publications/{}", "~^h[a-z]+$".replace('^', "%5E").replace('[', "%5B"));
    let made = app.admin("PUT", &address, r#"{"interval":"on_request"}"#).await;
    assert_eq!((made.status, made.json()["pattern"].as_str()), (201, Some("~^h[a-z]+$")));
    eventually("the device is there", async || broker.kept(&device("mtx_hall")).await.is_some()).await;
    assert_eq!(app.admin("DELETE", &address, "").await.status, 204);
    eventually("the device is gone", async || broker.kept(&device("mtx_hall")).await.is_none()).await;
    let wrong = app.admin("PUT", "/api/v1/mqtt/publications/~(", "{}").await;
    assert!(wrong.status == 400 && wrong.detail().contains("regular expression"), "{}", wrong.detail());
    let file = app.admin("DELETE", "/api/v1/mqtt/publications/~%5Ecam/", "").await;
    assert_eq!(file.problem(), "fixed_by_file");
}

#[tokio::test]
async fn paths_of_mediamtx_are_devices_while_they_can_be_read() {
    let (broker, ports) = (Mosquitto::start().await, MediaMtx::ports());
    let mediamtx = format!("api: 'http://127.0.0.1:{}', rtsp: 'rtsp://127.0.0.1:{}'", ports[4], ports[0]);
    let publish = "homeassistant: {enabled: yes}, publish: {'~^cam/': {interval: 1s, w: 64, retain: yes}}";
    let app = sidecar(&broker, publish, &format!("mediamtx: {{{mediamtx}}}"));
    let config = mtx_sidecar::settings::MEDIAMTX_YML;
    let Some(mediamtx) = MediaMtx::start_with(&app, config, &ports).await else { return };
    let definition = json!({ "kind": "raw", "fields": { "source": "publisher" } }).to_string();
    assert!(app.admin("PUT", "/api/v1/paths/cam/gate", &definition).await.status < 300);
    eventually("MediaMTX has the path", async || mediamtx.has_path(&app, "cam/gate").await).await;
    let url = format!("rtsp://127.0.0.1:{}/cam/gate", mediamtx.rtsp);
    let source = ["-v", "error", "-re", "-f", "lavfi", "-i", "color=c=red:s=320x180:r=5", "-c:v", "libx264", "-g", "5"];
    let to = ["-tune", "zerolatency", "-pix_fmt", "yuv420p", "-f", "rtsp", "-rtsp_transport", "tcp", &url];
    let publisher = Program::start("ffmpeg", &[&source[..], &to].concat());
    let mut all = broker.follow("homeassistant/device/+/config");
    let line = all.line("homeassistant/device/mtx_cam_gate_").await;
    let topic = line.split(' ').next().expect("a topic").to_owned();
    assert_eq!(size(&broker.next("mtx/cam/gate/image").await), (64, 36));
    drop(publisher);
    eventually("the device is gone with its path", async || broker.kept(&topic).await.is_none()).await;
    eventually("nor is its last picture kept", async || broker.kept("mtx/cam/gate/image").await.is_none()).await;
}

#[tokio::test]
async fn publications_of_the_api_survive_a_restart_and_errors_name_the_field() {
    let broker = Mosquitto::start().await;
    let settings = format!("mqtt: {{{}, publish: {{card: {{interval: 1h}}}}}}\n{CARD}", broker.settings());
    let app = TestApp::with(&settings);
    let wrong = settings.replace("1h", "often").replace("card: {i", "card: {x: 1, i");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sidecar.yml");
    std::fs::write(&file, wrong).expect("writes");
    let error = mtx_sidecar::settings::load(Some(&file), &Default::default()).expect_err("unknown").to_string();
    assert!(error.contains("mqtt.publish.card"), "{error}");
    let put = async |name: &str, body: &str| app.admin("PUT", &format!("/api/v1/mqtt/publications/{name}"), body).await;
    for (body, says) in [
        (r#"{"interval":"1ms"}"#, "from 1s to 1day"),
        (r#"{"interval":"often"}"#, "on_change"),
        (r#"{"w":1}"#, "w: must be from 8"),
        (r#"{"quality":0}"#, "quality: must be from 1 to 100"),
        (r#"{"width":1}"#, "unknown field"),
    ] {
        let answer = put("a", body).await;
        assert!(answer.status == 422 && answer.detail().contains(says), "{body}: {}", answer.detail());
    }
    assert_eq!(put("card", "{}").await.problem(), "fixed_by_file");
    assert_eq!((put("a", "{}").await.status, put("a", r#"{"interval":"2h"}"#).await.status), (201, 200));
    let password = app.password.clone();
    let mut app = TestApp::in_folder(app.stop(), &settings);
    app.password = password;
    assert_eq!(publication(&app, "a").await["publication"]["interval"], "2h");
    assert_eq!(app.admin("DELETE", "/api/v1/mqtt/publications/none", "").await.status, 404);
}

#[tokio::test]
async fn a_picture_that_the_broker_refuses_is_made_smaller_and_the_connection_stays() {
    // `max_packet_size` ends the connection of a client that exceeds it (mosquitto.conf).
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 20000\n", &[]).await;
    let app = sidecar(&broker, "publish: {a: {interval: on_request}}", "");
    let large = noise(200, 1);
    assert!(large.len() > 22_000, "{} bytes", large.len());
    app.put("/api/v1/streams/a/frame", &large).await;
    let asking = async {
        loop {
            broker.publish("mtx/a/snapshot/set", b"", &[]).await;
        }
    };
    let published = tokio::select! {
        published = broker.next("mtx/a/image") => published,
        never = asking => never,
    };
    assert!(published.len() < 20_000, "{} of {} bytes", published.len(), large.len());
    let known = app.admin("GET", "/api/v1/mqtt", "").await.json();
    assert_eq!(known["state"], "connected", "{known}");
    assert!(known["connections"].as_u64() <= Some(5), "{known}");
}

#[tokio::test]
async fn events_are_published_and_requests_for_any_stream_only_if_they_are_permitted() {
    let broker = Mosquitto::start().await;
    let app = sidecar(&broker, "commands: yes, events: [stream.state]", CARD);
    let (mut events, mut states) = (broker.follow("mtx/events"), broker.follow("mtx/available"));
    states.line("mtx/available online").await;
    let _watching = app.watch("/stream/card.mjpeg").await;
    let ask = async || broker.publish("mtx/snapshot/set", br#"{"name":"card","w":32}"#, &[]).await;
    assert_eq!(size(&broker.next_after("mtx/card/image", ask).await), (32, 24));
    let event = events.line("mtx/events {").await;
    assert!(event.contains("stream.state") && event.contains("card"), "{event}");
    let quiet = sidecar(&broker, "client_id: other", "");
    quiet.put("/api/v1/streams/a/frame", &sized_picture(64, 48, 1)).await;
    let topics = quiet.admin("GET", "/api/v1/mqtt", "").await.json()["subscriptions"].to_string();
    assert!(!topics.contains("mtx/snapshot/set"), "{topics}");
}
