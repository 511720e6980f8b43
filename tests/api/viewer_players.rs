//! The viewer with the real MediaMTX: WebRTC, and its fallbacks.

use serde_json::json;

use crate::{
    browser::Browser,
    support::{TestApp, close_to, eventually, flat_picture, free_port, mediamtx::MediaMtx, middle_colour},
};

const COLOUR: [u8; 3] = [200, 60, 40];

/// A sidecar and its MediaMTX. `browser_urls` are settings with the addresses of MediaMTX for browsers.
pub async fn start(browser_urls: impl Fn(&[u16; 6]) -> String) -> Option<(TestApp, MediaMtx)> {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "mediamtx: {{api: 'http://127.0.0.1:{}', playback: 'http://127.0.0.1:{}', {}}}",
        ports[4],
        ports[5],
        browser_urls(&ports)
    ));
    let mediamtx = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await?;
    app.put("/api/v1/streams/door/frame", &flat_picture(640, 360, COLOUR)).await;
    eventually("the sidecar knows that MediaMTX is reachable", async || {
        app.get("/api/v1/wall").await.json()["mediamtx"] == true
    })
    .await;
    Some((app, mediamtx))
}

async fn open(browser: &Browser, app: &TestApp, name: &str) {
    browser.client.goto("about:blank").await.expect("loads");
    browser.client.goto(&format!("http://{}/viewer/#/watch/{name}", app.addr)).await.expect("loads");
}

async fn shows_the_picture(browser: &Browser) {
    eventually("the picture is shown", async || close_to(middle_colour(&browser.screenshot().await).await, COLOUR))
        .await;
}

/// From now on WebSockets fail in this page, as behind a proxy that does not know them; then shows the stream again.
async fn block_websockets(browser: &Browser, name: &str) {
    browser.run("location.hash = '#/'").await;
    browser.run("window.WebSocket = class { constructor() { throw new Error('blocked by a test') } }").await;
    browser.run(&format!("location.hash = '#/watch/{name}'")).await;
}

#[tokio::test]
async fn a_stream_is_watched_by_webrtc_and_its_session_ends_with_the_page() {
    let Some((app, _mediamtx)) =
        start(|ports| format!("webrtc_url: 'http://127.0.0.1:{}', hls_url: 'http://127.0.0.1:{}'", ports[2], ports[1]))
            .await
    else {
        return;
    };
    let browser = Browser::start().await;
    open(&browser, &app, "door").await;
    browser.says(".stage-how", "Playing over WebRTC.").await;
    shows_the_picture(&browser).await;
    browser.click(".do-stats").await;
    browser.says(".stage-stats", "H264").await;
    browser.says(".stage-stats", "640 × 360").await;
    eventually("the stream has one watcher", async || app.stats("door").await["watchers"] == 1).await;
    browser.keep_screenshot("webrtc-desktop").await;
    browser.run("location.hash = '#/'").await;
    eventually("the stream has no watcher", async || app.stats("door").await["watchers"] == 0).await;
    browser.assert_quiet("WebRTC").await;

    // Tiles of the fixed layouts play.
    browser.click("button[data-layout='4']").await;
    browser.find(".tile.is-playing[data-key=door]").await;
    browser.says(".tile[data-key=door] .tile-way", "WebRTC").await;
    browser.keep_screenshot("wall-live-desktop").await;
    browser.close().await;
}

#[tokio::test]
async fn mse_then_hls_and_then_mjpeg_replace_webrtc_and_the_page_says_why() {
    let (no_webrtc, no_hls) = (free_port(), free_port());
    let Some((app, _mediamtx)) =
        start(|ports| format!("webrtc_url: 'http://127.0.0.1:{no_webrtc}', hls_url: 'http://127.0.0.1:{}'", ports[1]))
            .await
    else {
        return;
    };
    let browser = Browser::start().await;
    open(&browser, &app, "door").await;
    browser.says(".stage-how", "Playing over MSE, because: WebRTC: MediaMTX does not answer this browser").await;
    shows_the_picture(&browser).await;
    block_websockets(&browser, "door").await;
    browser.says(".stage-how", "Playing over HLS, because: WebRTC: MediaMTX does not answer this browser").await;
    browser.says(".stage-how", "MSE: ").await;
    shows_the_picture(&browser).await;
    browser.keep_screenshot("fallback-desktop").await;
    let other_ways = "return [...document.querySelectorAll('.stage-foot option')].map((o) => o.value)";
    assert_eq!(browser.run(other_ways).await, json!(["auto", "whep", "mse", "hls", "mjpeg"]));
    browser.close().await;
    drop(app);

    let Some((app, _mediamtx)) =
        start(|_| format!("webrtc_url: 'http://127.0.0.1:{no_webrtc}', hls_url: 'http://127.0.0.1:{no_hls}'")).await
    else {
        return;
    };
    let browser = Browser::start().await;
    open(&browser, &app, "door").await;
    browser.says(".stage-how", "Playing over MSE, because: WebRTC: MediaMTX does not answer").await;
    block_websockets(&browser, "door").await;
    browser.says(".stage-how", "Playing over MJPEG, because: WebRTC: MediaMTX does not answer").await;
    browser.says(".stage-how", "HLS: MediaMTX does not answer").await;
    shows_the_picture(&browser).await;
    browser.close().await;
}

#[tokio::test]
async fn a_path_without_a_publisher_plays_when_there_is_one() {
    let Some((app, mediamtx)) =
        start(|ports| format!("webrtc_url: 'http://127.0.0.1:{}', hls_url: 'http://127.0.0.1:{}'", ports[2], ports[1]))
            .await
    else {
        return;
    };
    let path = json!({"kind": "raw", "fields": {"source": "publisher"}}).to_string();
    assert_eq!(app.admin("PUT", "/api/v1/paths/stage", &path).await.status, 201);
    eventually("the path is in the list", async || {
        let wall = app.get("/api/v1/wall").await.json();
        wall["items"].as_array().is_some_and(|items| items.iter().any(|item| item["name"] == "stage"))
    })
    .await;
    let browser = Browser::start().await;
    open(&browser, &app, "stage").await;
    browser.says(".stage-message", "There is no publisher").await;
    let target = format!("rtsp://127.0.0.1:{}/stage", mediamtx.rtsp);
    let args = ["-v", "error", "-re", "-f", "lavfi", "-i", "color=0xc83c28:size=320x180:rate=10", "-c:v", "libx264"];
    let more = ["-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-pix_fmt", "yuv420p", "-f", "rtsp"];
    let last = ["-rtsp_transport", "tcp", &target];
    let _ffmpeg = crate::support::Program::start("ffmpeg", &[&args[..], &more, &last].concat());
    browser.says(".stage-how", "Playing over WebRTC").await;
    browser.close().await;
}

#[tokio::test]
async fn a_recorded_day_has_a_timeline_and_plays_from_a_chosen_time() {
    let Some((app, mediamtx)) = start(|_| "user: ''".to_owned()).await else { return };
    let raw = json!({"kind": "raw", "fields": {
        "source": format!("rtsp://{}/door?fps=10", app.rtsp), "rtspTransport": "tcp", "record": true, "recordPartDuration": "200ms",
    }});
    assert_eq!(app.admin("PUT", "/api/v1/paths/tape", &raw.to_string()).await.status, 201);
    eventually("there is a recording of two seconds", async || {
        let found = app.admin("GET", "/api/v1/recordings/tape", "").await.json();
        found["ranges"][0]["duration"].as_f64().is_some_and(|seconds| seconds > 2.0)
    })
    .await;
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/#/recordings", app.addr)).await.expect("loads");
    browser.click("a.recording").await;
    browser.find(".timeline-part").await;
    browser.says(".stage-head .dim", "recorded").await;
    // With the keyboard: to the first range.
    let first = "const line = document.querySelector('.timeline'); line.focus();
        line.dispatchEvent(new KeyboardEvent('keydown', { key: 'Home', bubbles: true }))";
    browser.run(first).await;
    let video = "const v = document.querySelector('.recorded video'); return v.videoWidth > 0 && v.currentTime > 0.2";
    eventually("the recording plays", async || browser.run(video).await == true).await;
    // The video, and pictures of the recording above the line. A picture can be placed anew at any time.
    for css in [".recorded video", ".timeline-stills canvas"] {
        let file = app.folder().join("seen.png");
        eventually(&format!("{css} shows the recording"), async || {
            let Ok(shot) = browser.find(css).await.screenshot().await else { return false };
            std::fs::write(&file, shot).expect("writes");
            close_to(middle_colour(&file).await, COLOUR)
        })
        .await;
    }
    browser.keep_screenshot("recordings-desktop").await;
    // The line zooms with the wheel, around the pointer, and back to the day.
    let ticks = "return [...document.querySelectorAll('.timeline-hours span')].map((tick) => tick.textContent)";
    browser.run("document.querySelector('.timeline-tools button:last-child').click()").await;
    let day = browser.run(ticks).await;
    assert!(day.as_array().is_some_and(|times| times.first() == Some(&json!("00:00"))), "{day}");
    let wheel = "const line = document.querySelector('.timeline'); const { left, width, top } = line.getBoundingClientRect();
        const at = document.querySelector('.timeline-now').getBoundingClientRect().left;
        for (let i = 0; i < 30; i += 1) line.dispatchEvent(new WheelEvent('wheel', { deltaY: -100, clientX: at, clientY: top, cancelable: true }));
        return [...document.querySelectorAll('.timeline-hours span')].every((tick) => tick.textContent.length === 8)";
    assert_eq!(browser.run(wheel).await, true, "seconds are seen");
    // A clip has a start, an end, and a file.
    browser.click(".do-clip").await;
    let field = |part: &str| format!("document.querySelector('.clip input[name={part}]')");
    let span = format!("const [from, to] = [{}.value, {}.value]; return from < to", field("from"), field("to"));
    eventually("a range is chosen", async || browser.run(&span).await == true).await;
    browser.keep_screenshot("recordings-clip-desktop").await;
    let links = browser.run("return document.querySelector('.clip-files a').href").await;
    let link = links.as_str().expect("an address");
    assert!(link.starts_with(&format!("http://{}/api/v1/recordings/tape/download?", app.addr)), "{link}");
    let file = app.folder().join("tape.mp4");
    crate::support::Program::output("curl", &["-sS", "--fail", "-o", &file.to_string_lossy(), link]).await;
    assert!(std::fs::metadata(&file).expect("a file").len() > 1000, "{link}");
    browser.assert_quiet("recordings").await;
    // An administrator's link to a range opens the recordings without a password, and nothing else.
    let admin = Browser::start().await;
    admin.client.goto(&format!("http://{}/viewer/#/recordings/tape", app.addr)).await.expect("loads");
    admin.click("#account").await;
    admin.sign_in("admin", app.password.as_deref().expect("made on the first start")).await;
    admin.says("#account", "admin").await;
    admin.find(".timeline-part").await;
    admin.click(".do-clip").await;
    admin.click(".do-share").await;
    admin.click("dialog button.primary").await;
    admin.find("dialog .snippet code").await;
    let shared = admin.text("dialog .snippet code").await;
    assert!(shared.contains("#share="), "{shared}");
    admin.close().await;
    let visitor = Browser::start().await;
    visitor.client.goto(&shared).await.expect("loads");
    visitor.find(".timeline-range:not([hidden])").await;
    eventually("it plays for the visitor", async || visitor.run(video).await == true).await;
    let hash = visitor.run("return location.hash").await;
    assert!(hash.as_str().is_some_and(|hash| !hash.contains("share=") && hash.contains("recordings/tape")), "{hash}");
    visitor.close().await;
    // The stage leads there only from a path that has some. MediaMTX is asked for them every ten seconds.
    eventually("the recordings are known", async || {
        let wall = app.admin("GET", "/api/v1/wall", "").await.json();
        let items = wall["items"].as_array().expect("a list");
        items.iter().any(|item| item["name"] == "tape" && item["path"]["recordings"] == true)
    })
    .await;
    open(&browser, &app, "tape").await;
    browser.says(".stage-how", "Playing over WebRTC").await;
    let shown = "return document.querySelector('.stage-head a[href*=recordings]').checkVisibility()";
    eventually("it leads to the recordings", async || browser.run(shown).await == true).await;
    open(&browser, &app, "door").await;
    browser.says(".stage-how", "Playing over WebRTC").await;
    assert_eq!(browser.run(shown).await, false);

    // Links to a path of MediaMTX: all that there is of it, at the ports that it has.
    open(&browser, &app, "tape").await;
    browser.says(".stage-how", "Playing over WebRTC").await;
    browser.click(".stage-head button").await;
    browser.find("dialog select[name=kind]").await;
    let kinds = "return [...document.querySelectorAll('dialog select[name=kind] option')].map((o) => o.value)";
    assert_eq!(browser.run(kinds).await, json!(["page", "mjpeg", "snapshot", "mp4", "webrtc", "hls", "rtsp"]));
    browser.run("document.querySelector('dialog select[name=kind]').value = 'rtsp'").await;
    browser.click("dialog button.primary").await;
    browser.says("dialog .snippet code", &format!("rtsp://127.0.0.1:{}/tape", mediamtx.rtsp)).await;
    browser.close().await;
}

#[tokio::test]
async fn a_path_with_sound_alone_says_so_and_plays() {
    let Some((app, mediamtx)) = start(|_| "user: ''".to_owned()).await else { return };
    let raw = json!({"kind": "raw", "fields": {"source": "publisher"}});
    assert_eq!(app.admin("PUT", "/api/v1/paths/radio", &raw.to_string()).await.status, 201);
    let to = format!("rtsp://127.0.0.1:{}/radio", mediamtx.rtsp);
    let tone = ["-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "sine=frequency=440", "-c:a", "libopus"];
    let sends = [&tone[..], &["-f", "rtsp", "-rtsp_transport", "tcp", &to]].concat();
    let mut sender = crate::support::Program::start("ffmpeg", &sends);
    let is_live = async || {
        let wall = app.get("/api/v1/wall").await.json();
        let items = wall["items"].as_array().cloned().unwrap_or_default();
        items.iter().any(|item| item["name"] == "radio" && item["path"]["available"] == true)
    };
    eventually("the path has sound", async || {
        // MediaMTX has the new path a moment after the sidecar: the first attempt can be too early.
        if sender.0.try_wait().expect("asks").is_some() {
            sender = crate::support::Program::start("ffmpeg", &sends);
        }
        is_live().await
    })
    .await;
    let browser = Browser::start().await;
    open(&browser, &app, "radio").await;
    browser.says(".stage-how", "Playing over WebRTC").await;
    browser.says("main", "This path has sound and no video.").await;
    browser.says(".stage-head .badge", "live").await;
    browser.keep_screenshot("stage-sound-desktop").await;
    browser.close().await;
}
