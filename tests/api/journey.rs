//! The last day of streams, and the diagram of a stream's way.

use crate::{
    browser::Browser,
    console::{enter, press},
    support::{FAR, TestApp, eventually},
};

#[tokio::test]
async fn the_console_shows_the_last_day_of_a_stream_and_where_its_pictures_go() {
    let app = TestApp::with(
        "streams: {card: {kind: test-card}, gate: {kind: http, url: 'http://127.0.0.1:9/x'}, rest: {kind: test-card}}\n\
         fetch: {networks: [127.0.0.1]}\nstream_defaults: {retry_max: 1h}",
    );
    let mut watcher = app.watch("/stream/card.mjpeg").await;
    watcher.part().await;
    let _waiting = app.watch("/stream/gate.mjpeg").await;
    // Seconds are counted by an observer that looks every two seconds.
    eventually("a live and a failing stream are counted", async || {
        let day = app.get("/api/v1/uptime").await.json();
        let seconds = |name: &str, what: &str| day["streams"][name][0][what].as_u64().unwrap_or_default();
        seconds("card", "live") > 0 && seconds("gate", "failing") > 0
    })
    .await;
    let day = app.get("/api/v1/uptime").await.json();
    assert_eq!(day["slot"], 900, "{day}");
    assert!(day["streams"]["rest"].is_null(), "nothing has asked for it: {day}");
    assert_eq!(app.request("GET", "/api/v1/uptime", &[FAR], b"").await.status, 401);

    let browser = Browser::start().await;
    enter(&browser, &app, "#/streams").await;
    browser.says(".stream[data-name=card] .beats:not([hidden])", "100 %").await;
    browser.says(".stream[data-name=gate] .beats:not([hidden])", "0 %").await;
    press(&browser, ".stream[data-name=card] button[aria-label^=Journey]").await;
    browser.says("dialog .journey-stop.good", "Test card").await;
    browser.says("dialog .journey", "mjpeg · 127.0.0.1").await;
    browser.keep_screenshot("console-journey-desktop").await;
    press(&browser, "dialog .dialog-head button").await;
    press(&browser, ".stream[data-name=gate] button[aria-label^=Journey]").await;
    browser.says("dialog .journey-stop.bad", "The camera cannot be reached").await;
    browser.close().await;
}
