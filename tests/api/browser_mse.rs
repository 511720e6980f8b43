//! static/players/mse.js in Chromium, without MediaMTX.

use crate::{
    browser::Browser,
    support::{TestApp, close_to, eventually, flat_picture, middle_colour},
};

const COLOURS: [[u8; 3]; 4] = [[200, 40, 40], [40, 160, 60], [40, 60, 200], [210, 200, 60]];

/// Remembers the time of the frame that was shown last.
const WATCH: &str = "const v = document.querySelector('.stage video');
    const shown = (_, { mediaTime }) => {
      window.shown = mediaTime;
      v.requestVideoFrameCallback(shown);
    };
    v.requestVideoFrameCallback(shown)";

/// Seconds between that frame and the end of the newest one; many if there is a gap between them.
const AHEAD: &str = "const v = document.querySelector('.stage video');
    return v.buffered.length === 1 ? v.buffered.end(0) - window.shown : 99";

/// Sets the player back to two seconds behind, and counts the jumps, of which this is the first one.
const SET_BACK: &str = "const v = document.querySelector('.stage video');
    window.jumps = 0;
    v.addEventListener('seeking', () => window.jumps++);
    v.currentTime = v.buffered.end(0) - 2";

/// Waits until a frame near the newest one is shown: a second before it, if the player had to wait for frames. At one moment it can
/// be further behind: the browsers of other tests take its time, too.
async fn is_near(browser: &Browser, when: &str) {
    let near = async || browser.run(AHEAD).await.as_f64().is_some_and(|ahead| ahead < 1.2);
    eventually(&format!("a frame near the newest one is shown: {when}"), near).await;
}

#[tokio::test]
async fn a_still_and_each_new_picture_are_shown_without_mediamtx() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/Front/Door/frame", &flat_picture(640, 360, COLOURS[0])).await;
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/#/watch/Front/Door", app.addr)).await.expect("loads");
    browser.says(".stage-how", "Playing over MSE.").await;
    browser.run(WATCH).await;
    let shows = async |colour: [u8; 3]| close_to(middle_colour(&browser.screenshot().await).await, colour);
    // Again and again: a new picture comes between two repetitions of the one before.
    for round in 0..3 {
        for colour in COLOURS {
            app.put("/api/v1/streams/Front/Door/frame", &flat_picture(640, 360, colour)).await;
            eventually("the picture is shown", async || shows(colour).await).await;
        }
        is_near(&browser, &format!("round {round}")).await;
    }
    assert_eq!(app.stats("Front/Door").await["watchers"], 1);
    browser.click(".do-stats").await;
    browser.says(".stage-stats", "640 × 360").await;
    browser.says(".stage-stats", "avc1.42C0").await;
    browser.run("location.hash = '#/'").await;
    eventually("the stream has no watcher", async || app.stats("Front/Door").await["watchers"] == 0).await;
    browser.assert_quiet("MSE").await;
    browser.close().await;
}

#[tokio::test]
async fn a_stream_that_moves_plays_at_the_newest_picture() {
    let app = TestApp::with("streams: {card: {kind: test-card, width: 160, height: 90, fps: 10}}");
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/#/watch/card", app.addr)).await.expect("loads");
    browser.says(".stage-how", "Playing over MSE.").await;
    browser.run(WATCH).await;
    let played = "return document.querySelector('.stage video').currentTime > 6";
    eventually("it plays", async || browser.run(played).await == true).await;
    is_near(&browser, "at the start").await;
    // As after a moment in which the browser had no processor. At this distance playing faster is not enough.
    browser.run(SET_BACK).await;
    eventually("the player jumps", async || browser.run("return window.jumps > 1").await == true).await;
    is_near(&browser, "after it was two seconds behind").await;
    browser.close().await;
}

#[tokio::test]
async fn mjpeg_replaces_mse_where_websockets_are_blocked_and_the_page_says_why() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &flat_picture(320, 180, COLOURS[1])).await;
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/", app.addr)).await.expect("loads");
    browser.run("window.WebSocket = class { constructor() { throw new Error('blocked by a test') } }").await;
    browser.run("location.hash = '#/watch/cam'").await;
    browser.says(".stage-how", "Playing over MJPEG, because: MSE: The server answered: blocked by a test").await;
    browser.close().await;
}
