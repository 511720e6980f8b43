//! The main journeys of people in Firefox: the first picture, the wall, one stream, sign-in, a share link.

use serde_json::{Value, json};

use crate::{
    engines::Window,
    support::{Program, TestApp, eventually, flat_picture},
    viewer_players::start,
};

const COLOUR: [u8; 3] = [40, 160, 60];

/// Waits until a script gives this value.
async fn gives(window: &mut Window, script: &str, expected: impl Into<Value>) {
    let expected = expected.into();
    eventually(&format!("{script} gives {expected}"), async || window.run(script).await == expected).await;
}

/// Waits until the text of an element contains this part.
async fn says(window: &mut Window, css: &str, part: &str) {
    let script = format!("return document.querySelector({css:?})?.innerText.includes({part:?}) ?? false");
    gives(window, &script, true).await;
}

async fn press(window: &mut Window, css: &str) {
    let script = format!(
        "const button = document.querySelector({css:?}); if (!button) return false; button.click(); return true"
    );
    gives(window, &script, true).await;
}

#[tokio::test]
async fn firefox_shows_the_first_picture_the_wall_and_a_stream_and_signs_in() {
    let Some(mut window) = Window::firefox().await else { return };
    let app = TestApp::spawn();
    let page = |at: &str| format!("http://{}/{at}", app.addr);
    // The first page takes a picture, and shows it.
    window.open(&page("")).await;
    let choose = "const input = document.querySelector('input[type=file]'); if (!input) return false;
        const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
        const context = canvas.getContext('2d'); context.fillStyle = 'rgb(40,160,60)'; context.fillRect(0, 0, 640, 360);
        const data = atob(canvas.toDataURL('image/png').split(',')[1]);
        const bytes = Uint8Array.from(data, (c) => c.charCodeAt(0));
        const files = new DataTransfer(); files.items.add(new File([bytes], 'green.png', { type: 'image/png' }));
        input.files = files.files; input.dispatchEvent(new Event('change', { bubbles: true })); return true";
    gives(&mut window, choose, true).await;
    says(&mut window, "main", "640 × 360").await;
    assert_eq!(app.get("/snapshot/hello.jpg").await.status, 200);

    // The wall has a tile with its picture, and the stage plays it.
    window.open(&page("viewer/")).await;
    gives(&mut window, "return document.querySelector('.tile.has-picture')?.dataset.key ?? ''", "hello").await;
    window.open(&page("viewer/#/watch/hello")).await;
    says(&mut window, ".stage-head .badge", "live").await;
    says(&mut window, ".stage-how", "Playing over").await;
    window.shows(COLOUR).await;

    // An administrator signs in, and sees the console.
    window.open(&page("console/#/users")).await;
    press(&mut window, "main .empty button.primary").await;
    let password = app.password.as_deref().expect("made on the first start");
    let fill = format!(
        "const form = document.querySelector('dialog.sign-in form'); if (!form) return false;
        form.elements.user.value = 'admin'; form.elements.password.value = {password:?}; form.requestSubmit(); return true"
    );
    gives(&mut window, &fill, true).await;
    says(&mut window, ".section-users tbody", "admin").await;
    window.close().await;
}

/// Firefox has H.264 for WebRTC only with a component that it downloads, and VP8 by itself. The stage must not fall back from it.
#[tokio::test]
async fn firefox_plays_a_path_of_mediamtx_by_webrtc() {
    let Some(mut window) = Window::firefox().await else { return };
    let Some((app, mediamtx)) = start(|_| "user: ''".to_owned()).await else { return };
    let path = json!({"kind": "raw", "fields": {"source": "publisher"}}).to_string();
    assert_eq!(app.admin("PUT", "/api/v1/paths/yard", &path).await.status, 201);
    eventually("MediaMTX has the path", async || mediamtx.has_path(&app, "yard").await).await;
    let target = format!("rtsp://127.0.0.1:{}/yard", mediamtx.rtsp);
    let args = ["-v", "error", "-re", "-f", "lavfi", "-i", "color=0x28a03c:size=320x180:rate=10", "-c:v", "libvpx"];
    let more =
        ["-deadline", "realtime", "-g", "10", "-pix_fmt", "yuv420p", "-f", "rtsp", "-rtsp_transport", "tcp", &target];
    let _ffmpeg = Program::start("ffmpeg", &[&args[..], &more].concat());
    eventually("the path is live", async || mediamtx.is_available(&app, "yard").await).await;
    window.open(&format!("http://{}/viewer/#/watch/yard", app.addr)).await;
    says(&mut window, ".stage-how", "Playing over WebRTC.").await;
    says(&mut window, ".stage-head .badge", "live").await;
    window.shows(COLOUR).await;
    window.close().await;
}

#[tokio::test]
async fn firefox_opens_a_share_link() {
    let Some(mut window) = Window::firefox().await else { return };
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &flat_picture(640, 360, COLOUR)).await;
    let share = app.made("/api/v1/shares", json!({"path": "door", "expires": "1day", "label": "neighbours"})).await;
    let url = share["url"].as_str().expect("a link").to_owned();
    window.open(&url).await;
    says(&mut window, ".stage-head h1", "door").await;
    window.shows(COLOUR).await;
    gives(&mut window, "return location.hash.includes('share')", false).await;
    window.close().await;
}
