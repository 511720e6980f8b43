//! Paths and media files in the console.

use serde_json::json;

use crate::{
    browser::Browser,
    console::{choose, count, enter, press, submit, type_into},
    support::{TestApp, eventually, flat_picture},
};

#[tokio::test]
async fn paths_are_created_disabled_and_edited_as_one_text() {
    let app = TestApp::with("mediamtx: {api: 'http://127.0.0.1:9'}");
    let browser = Browser::start().await;
    enter(&browser, &app, "#/paths").await;
    browser.click(".page-head button.primary").await;
    type_into(&browser, "dialog [name=name]", "yard").await;
    type_into(&browser, "dialog [name=url]", "not an address").await;
    browser.click("dialog form button.primary").await;
    browser.says("dialog .field:has([name=url]) .field-error", "must be a URL from which MediaMTX can pull").await;
    type_into(&browser, "dialog [name=url]", "rtsp://user:hunter2@127.0.0.1:1/live").await;
    submit(&browser).await;
    browser.says("tr[data-key=yard]", "rtsp://user:***@127.0.0.1:1/live").await;
    press(&browser, "tr[data-key=yard] [role=switch][aria-label^=Enable]").await;
    browser.says("tr[data-key=yard]", "disabled").await;
    let yard = app.admin("GET", "/api/v1/paths/yard", "").await.json();
    assert_eq!((&yard["enabled"], &yard["kind"]), (&json!(false), &json!("camera")), "{yard}");

    // As one text: the changes are shown first, and nothing is changed before they are confirmed.
    press(&browser, ".page-head button:nth-of-type(2)").await;
    let add = "const a = document.querySelector('dialog textarea'); const all = JSON.parse(a.value);
        all.studio = { kind: 'raw', fields: { source: 'publisher' } }; a.value = JSON.stringify(all); a.dispatchEvent(new Event('input', { bubbles: true }))";
    browser.find("dialog textarea").await;
    browser.run(add).await;
    browser.click("dialog form button.primary").await;
    browser.says("dialog .notice", "1 added: studio").await;
    assert_eq!(app.admin("GET", "/api/v1/paths/studio", "").await.status, 404, "not created yet");
    submit(&browser).await;
    browser.find("tr[data-key=studio]").await;
    assert_eq!(app.admin("GET", "/api/v1/paths/studio", "").await.status, 200);
    browser.close().await;
}

#[tokio::test]
async fn a_media_file_becomes_a_channel() {
    let app = TestApp::with("mediamtx: {api: 'http://127.0.0.1:9'}");
    let folder = app.folder().join("media/holiday");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("be ach.jpg"), flat_picture(320, 180, [20, 120, 200])).expect("writes");
    let browser = Browser::start().await;
    enter(&browser, &app, "#/media").await;
    browser.click(".root").await;
    browser.click(".media-words a").await;
    browser.says(".crumbs", "holiday").await;
    eventually("the thumbnail is shown", async || {
        browser.run("return document.querySelector('.media-picture img')?.naturalWidth > 0").await == true
    })
    .await;
    browser.click(".media-actions button[aria-label^='Make a channel']").await;
    let proposed = browser.run("return document.querySelector('dialog [name=name]').value").await;
    assert_eq!(proposed, "holiday/be-ach");
    submit(&browser).await;
    let made = app.admin("GET", "/api/v1/paths/holiday/be-ach", "").await.json();
    assert_eq!(made["kind"], "stream", "{made}");
    let file = app.folder().join("new.jpg");
    std::fs::write(&file, flat_picture(64, 64, [1, 2, 3])).expect("writes");
    browser.find(".page-head input[type=file]").await.send_keys(&file.to_string_lossy()).await.expect("chooses");
    eventually("both files are listed", async || count(&browser, ".media-item").await == 2).await;
    assert!(folder.join("new.jpg").is_file());
    choose(&browser, ".page-head select", "video").await;
    browser.says(".section-media", "This folder is empty").await;
    browser.close().await;
}
