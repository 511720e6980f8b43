//! Video over MQTT in Chromium: a page that another web server serves, at our own endpoint and at Mosquitto.

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use crate::{
    browser::Browser,
    support::{TestApp, close_to, eventually, flat_picture, free_port, mosquitto::Mosquitto},
};

const RED: [u8; 3] = [200, 40, 40];
const GREEN: [u8; 3] = [40, 160, 60];

async fn show(app: &TestApp, colour: [u8; 3]) {
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, colour)).await;
}

/// The page, in a browser, whose clients connect to this port.
async fn open(port: u16) -> (MockServer, Browser) {
    let (server, browser) = (MockServer::start().await, Browser::start().await);
    let page = ResponseTemplate::new(200).set_body_raw(include_bytes!("mqtt_video_page.html").to_vec(), "text/html");
    Mock::given(path("/")).respond_with(page).mount(&server).await;
    browser.client.goto(&server.uri()).await.expect("loads");
    browser.run(&format!("open({port})")).await;
    (server, browser)
}

async fn is_connected(browser: &Browser, client: usize) {
    let script = format!("return pages[{client}].connected");
    eventually("the page is connected", async || browser.run(&script).await == true).await;
}

/// Waits until a client of the page shows this colour; its errors are the reason if it does not.
async fn shows(browser: &Browser, client: usize, colour: [u8; 3]) {
    let script = format!("return pages[{client}].colour()");
    eventually("the colour is shown", async || {
        let shown: [u8; 3] = serde_json::from_value(browser.run(&script).await).expect("a colour");
        let errors = browser.run(&format!("return pages[{client}].errors")).await;
        assert_eq!(errors, json!([]), "of client {client}");
        close_to(shown, colour)
    })
    .await;
}

#[tokio::test]
async fn two_clients_of_a_page_with_one_identifier_play_stop_and_play_again() {
    let app = TestApp::with("mqtt_video: {listen: '127.0.0.1:0', public: [door]}");
    show(&app, RED).await;
    let (_server, browser) = open(app.mqtt.expect("set").port()).await;
    for client in 0..2 {
        is_connected(&browser, client).await;
        browser.run(&format!("pages[{client}].start('rtsp://camera.example:554/door')")).await;
    }
    for client in 0..2 {
        shows(&browser, client, RED).await;
    }
    browser.keep_screenshot("mqtt-video").await;
    show(&app, GREEN).await;
    for client in 0..2 {
        shows(&browser, client, GREEN).await;
    }
    browser.run("pages[0].stop()").await;
    eventually("one video has ended", async || app.stats("door").await["watchers"] == 1).await;
    show(&app, RED).await;
    browser.run("pages[0].start('door')").await;
    for client in 0..2 {
        shows(&browser, client, RED).await;
    }
    let played = "return pages.every(page => page.video.currentTime > 3 && page.video.buffered.length === 1)";
    eventually("both go on without a gap", async || browser.run(played).await == true).await;
    browser.run("pages[1].start('http://192.0.2.1/other')").await;
    eventually("the refusal is shown", async || {
        let errors = browser.run("return pages[1].errors").await;
        errors[0].as_str().is_some_and(|error| error.contains("mqtt_video.urls"))
    })
    .await;
    browser.close().await;
    eventually("no video is left", async || app.stats("door").await["watchers"] == 0).await;
}

/// Mosquitto with a port for WebSockets, and a sidecar that answers there.
async fn at_a_broker() -> (Mosquitto, u16, TestApp) {
    let port = free_port();
    let config = format!("allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets\n");
    let broker = Mosquitto::with(&config, &[]).await;
    // Of an earlier time; the broker has kept it.
    broker.publish("client/unregister", br#"{"clientId":"id_0"}"#, &["-r"]).await;
    let settings = "mqtt_video: {enabled: no, broker: yes, public: [door], ttl: 10s}";
    let app = TestApp::with(&format!("mqtt: {{{}}}\n{settings}", broker.settings()));
    for name in ["door", "yard"] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &flat_picture(320, 180, RED)).await;
    }
    eventually("the topics are subscribed", async || {
        let known = app.admin("GET", "/api/v1/mqtt", "").await.json();
        let topics = known["subscriptions"].as_array().cloned().unwrap_or_default();
        known["state"] == "connected" && topics.iter().any(|one| one["topic"] == "client/play")
    })
    .await;
    (broker, port, app)
}

#[tokio::test]
async fn a_page_plays_through_mosquitto_and_its_last_will_ends_the_video() {
    let (_broker, port, app) = at_a_broker().await;
    let (_server, browser) = open(port).await;
    // Both have one identifier, so that the broker has ended the connection of one of them.
    let connected = "return pages.findIndex(page => page.connected && page.errors.length === 0)";
    eventually("one is connected", async || {
        let closed = browser.run("return pages.filter(page => page.errors.length > 0).length").await;
        browser.run(connected).await.as_i64().is_some_and(|found| found >= 0) && closed == 1
    })
    .await;
    let client = usize::try_from(browser.run(connected).await.as_i64().expect("a number")).expect("found");
    browser.run(&format!("pages[{client}].start('door')")).await;
    shows(&browser, client, RED).await;
    show(&app, GREEN).await;
    shows(&browser, client, GREEN).await;
    browser.run(&format!("pages[{client}].stop()")).await;
    eventually("the video has ended", async || app.stats("door").await["watchers"] == 0).await;
    browser.run(&format!("pages[{client}].start('door')")).await;
    shows(&browser, client, GREEN).await;
    // The connection ends without DISCONNECT.
    browser.close().await;
    eventually("the video has ended", async || app.stats("door").await["watchers"] == 0).await;
}

#[tokio::test]
async fn a_client_of_a_broker_reads_public_names_and_loses_its_video_after_a_time() {
    let (broker, _, app) = at_a_broker().await;
    for (url, says) in [("yard", "mqtt_video.public"), ("http://192.0.2.1/x", "mqtt_video.urls"), ("door", "avc1.42")] {
        let mut answers = broker.follow("client/describe/response_1");
        let body = json!({"clientId": "c", "url": url, "resp_topic": "client/describe/response_1"}).to_string();
        // Until the client has subscribed.
        let line = loop {
            broker.publish("client/describe", body.as_bytes(), &[]).await;
            let found = answers.line("client/describe/response_1 ");
            if let Ok(line) = tokio::time::timeout(std::time::Duration::from_millis(500), found).await {
                break line;
            }
        };
        assert!(line.contains(says), "{url}: {line}");
    }
    let play = json!({"clientId": "c", "url": "door", "resp_topic": "homeassistant/x"}).to_string();
    broker.publish("client/play", play.as_bytes(), &[]).await;
    let play = json!({"clientId": "c", "url": "door", "resp_topic": "video_1"}).to_string();
    broker.publish("client/play", play.as_bytes(), &[]).await;
    eventually("it is listed", async || {
        let listed = app.admin("GET", "/api/v1/sessions", "").await.json();
        let sessions = listed["sessions"].as_array().cloned().unwrap_or_default();
        sessions.iter().filter(|one| one["protocol"] == "mqtt-video" && one["remote"] == "MQTT broker").count() == 1
    })
    .await;
    let message = broker.next("video_1").await;
    assert!(matches!(&message[4..8], b"ftyp" | b"moof"), "{:?}", &message[..8]);
    eventually("the time is over", async || app.stats("door").await["watchers"] == 0).await;
    let known: Value = app.admin("GET", "/api/v1/mqtt", "").await.json();
    assert_eq!(known["connections"], 1, "the broker has ended no connection");
}
