//! Publishing from the console to the real MediaMTX.

use serde_json::json;

use crate::{
    browser::Browser,
    console::enter,
    support::{
        Program, TestApp, close_to, eventually, flat_picture,
        mediamtx::{MediaMtx, first_frame},
        middle_colour,
    },
};

async fn start() -> Option<(TestApp, MediaMtx)> {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "mediamtx: {{api: 'http://127.0.0.1:{}', hls_url: 'http://127.0.0.1:{}', webrtc_url: 'http://127.0.0.1:{}'}}",
        ports[4], ports[1], ports[2]
    ));
    let mediamtx = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await?;
    Some((app, mediamtx))
}

async fn choose_file(browser: &Browser, app: &TestApp, css: &str, colour: [u8; 3]) {
    let file = app.folder().join(format!("{}.jpg", colour.map(|c| c.to_string()).join("-")));
    std::fs::write(&file, flat_picture(640, 360, colour)).expect("writes");
    browser.find(css).await.send_keys(&file.to_string_lossy()).await.expect("chooses");
}

/// A still on a canvas is published by WHIP, read by WHEP, and replaced while it is live.
#[tokio::test]
async fn a_still_image_is_published_seen_and_replaced() {
    let Some((app, _mediamtx)) = start().await else { return };
    let browser = Browser::start().await;
    enter(&browser, &app, "#/publish").await;
    let colours = [[30, 60, 200], [200, 120, 20]];
    choose_file(&browser, &app, ".publish-form [name=file]", colours[0]).await;
    browser.click("#publish-start").await;
    // MediaMTX has no path of this name: the page creates it.
    browser.says(".publication[data-path=studio] .badge", "live").await;
    browser.says(".publication[data-path=studio]", "H264").await;
    let kept = app.admin("GET", "/api/v1/paths/studio", "").await.json();
    assert_eq!((&kept["kind"], &kept["fields"]["source"]), (&json!("raw"), &json!("publisher")), "{kept}");

    let reader = Browser::start().await;
    reader.client.goto(&format!("http://{}/viewer/#/watch/studio", app.addr)).await.expect("loads");
    reader.says(".stage-how", "WebRTC").await;
    for (i, colour) in colours.into_iter().enumerate() {
        if i > 0 {
            choose_file(&browser, &app, ".publication input[type=file]", colour).await;
        }
        eventually("the reader shows the picture", async || {
            close_to(middle_colour(&reader.screenshot().await).await, colour)
        })
        .await;
    }
    // It continues while another section is shown, and the navigation shows that.
    browser.click("#sections [data-section=sessions]").await;
    browser.says("#sections [data-section=publish] .count", "1").await;
    let row = "tbody tr[data-key^='mediamtx webrtc']";
    browser.says(".section-sessions", "studio").await;
    browser.find(row).await;
    browser.click("#sections [data-section=publish]").await;
    browser.keep_screenshot("console-publishing-desktop").await;
    browser.click(".publication button.danger").await;
    eventually("the path has no publisher", async || {
        let path = app.admin("GET", "/api/v1/paths/studio", "").await.json();
        path["actual"]["available"] != true
    })
    .await;
    browser.says(".section-publish", "Nothing is being published").await;
    reader.close().await;
    browser.close().await;
}

#[tokio::test]
async fn a_camera_is_published_with_sound_beside_a_still() {
    let Some((app, _mediamtx)) = start().await else { return };
    let browser = Browser::with_devices().await;
    enter(&browser, &app, "#/publish").await;
    browser.run("document.querySelector('.kind input[value=camera]').click()").await;
    browser.find(".publish-form [name=audio] option[value=none]").await;
    browser.click("#publish-start").await;
    browser.says(".publication[data-path=studio] .badge", "live").await;
    browser.says(".publication[data-path=studio]", "H264 + opus").await;
    eventually("the meter shows a level", async || {
        let level =
            "return Number(document.querySelector('.meter span').style.transform.match(/[\\d.]+/)?.[0] ?? 0) > 0.05";
        browser.run(level).await == true
    })
    .await;
    browser.run("document.querySelector('.kind input[value=still]').click()").await;
    choose_file(&browser, &app, ".publish-form [name=file]", [30, 60, 200]).await;
    browser.click("#publish-start").await;
    browser.says(".publication[data-path=studio-2] .badge", "live").await;
    browser.says("#sections [data-section=publish] .count", "2").await;
    // The same path a second time is refused before a device is opened.
    browser.run("document.querySelector('.publish-form [name=path]').value = 'studio'").await;
    choose_file(&browser, &app, ".publish-form [name=file]", [30, 60, 201]).await;
    browser.click("#publish-start").await;
    browser.says(".publish-form", "studio is being published already").await;
    browser.close().await;
}

/// A video in a loop, a file with sound only, and the screen.
#[tokio::test]
async fn files_and_the_screen_are_published() {
    let Some((app, mediamtx)) = start().await else { return };
    let (colour, film, tone) = ([200, 30, 30], app.folder().join("film.webm"), app.folder().join("tone.wav"));
    let (film, tone) = (film.to_string_lossy().into_owned(), tone.to_string_lossy().into_owned());
    let source = "color=0xc81e1e:s=320x180:r=15:d=1";
    let video = ["-v", "error", "-f", "lavfi", "-i", source, "-f", "lavfi", "-i", "sine=d=1", "-c:v", "libvpx"];
    Program::output("ffmpeg", &[&video[..], &["-c:a", "libopus", &film]].concat()).await;
    Program::output("ffmpeg", &["-v", "error", "-f", "lavfi", "-i", "sine=d=1", &tone]).await;
    let browser = Browser::with_devices().await;
    enter(&browser, &app, "#/publish").await;
    for (i, (kind, file, carries)) in
        [("video", Some(&film), "H264 + opus"), ("audio", Some(&tone), "opus"), ("screen", None, "H264")]
            .into_iter()
            .enumerate()
    {
        let path = if i == 0 { "studio".to_owned() } else { format!("studio-{}", i + 1) };
        browser.run(&format!("document.querySelector('.kind input[value={kind}]').click()")).await;
        if let Some(file) = file {
            browser.find(".publish-form [name=file]").await.send_keys(file).await.expect("chooses");
        }
        browser.click("#publish-start").await;
        browser.says(&format!(".publication[data-path={path}] .badge"), "live").await;
        browser.says(&format!(".publication[data-path={path}]"), carries).await;
    }
    // The clip is one second long: at this point it has been repeated.
    let seen = app.folder().join("seen.png");
    assert!(first_frame(&format!("rtsp://127.0.0.1:{}/studio", mediamtx.rtsp), &seen, &[]).await.success());
    let found = middle_colour(&seen).await;
    assert!(close_to(found, colour), "{found:?}");
    let listed = app.admin("POST", "/mediamtx-get-path", "").await.json();
    let tracks = |name: &str| {
        let path = listed["list"].as_array().into_iter().flatten().find(|path| path["name"] == name);
        path.map(|path| path["tracks"].clone())
    };
    assert_eq!(tracks("studio-2"), Some(json!(["Opus"])), "{listed}");
    browser.says("#sections [data-section=publish] .count", "3").await;
    browser.close().await;
}
