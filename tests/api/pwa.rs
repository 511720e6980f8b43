//! The viewer as an installed application: its manifest, what it says without the server, and a screen that stays on.

use serde_json::json;

use crate::{
    browser::Browser,
    support::{TestApp, eventually, flat_picture},
};

#[tokio::test]
async fn the_manifest_names_icons_of_their_sizes_and_the_page_to_begin_with() {
    let app = TestApp::spawn();
    let page = app.get("/viewer/").await;
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let link = text.split("rel=\"manifest\"").nth(1).and_then(|rest| rest.split('"').nth(1)).expect("a link");
    let base = url::Url::parse("http://sidecar.test/viewer/").expect("an address");
    let at = base.join(link).expect("an address");
    let manifest = app.get(at.path()).await;
    assert_eq!(manifest.status, 200, "{at}");
    let manifest = manifest.json();
    assert_eq!((&manifest["name"], &manifest["display"]), (&json!("mtx-sidecar"), &json!("standalone")));
    for member in ["start_url", "scope"] {
        let address = at.join(manifest[member].as_str().expect("an address")).expect("an address");
        assert_eq!(address.path(), "/viewer/", "{member}");
    }
    let icons = manifest["icons"].as_array().expect("icons");
    for size in ["192x192", "512x512"] {
        // Chromium asks for both before it offers to install a page.
        let icon = icons.iter().find(|icon| icon["sizes"] == size && icon["type"] == "image/png").expect("an icon");
        let picture = app.get(at.join(icon["src"].as_str().expect("an address")).expect("an address").path()).await;
        assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/png")));
        let image = image::load_from_memory(&picture.body).expect("a picture");
        assert_eq!(format!("{}x{}", image.width(), image.height()), size);
    }
    assert!(icons.iter().any(|icon| icon["purpose"] == "maskable"), "{manifest}");
}

#[tokio::test]
async fn a_page_that_cannot_be_loaded_says_so_in_words_of_its_own() {
    let app = TestApp::spawn();
    let address = format!("http://{}/viewer/", app.addr);
    let browser = Browser::start().await;
    browser.client.goto(&address).await.expect("loads");
    let ready = "return navigator.serviceWorker.controller !== null";
    eventually("the worker serves the page", async || browser.run(ready).await == true).await;
    drop(app);
    browser.client.goto(&address).await.expect("the worker answers");
    browser.says("h1", "The server does not answer.").await;
    browser.close().await;
}

/// Chromium's own rules for installing a page.
#[tokio::test]
async fn chromium_would_install_the_viewer() {
    let app = TestApp::spawn();
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/", app.addr)).await.expect("loads");
    let mut errors = json!(null);
    eventually("there is nothing against it", async || {
        errors = browser.devtools("Page.getInstallabilityErrors", json!({})).await["installabilityErrors"].clone();
        errors == json!([])
    })
    .await;
    let manifest = browser.devtools("Page.getAppManifest", json!({})).await;
    assert_eq!(manifest["errors"], json!([]), "{manifest}");
    assert!(manifest["url"].as_str().is_some_and(|url| url.ends_with("viewer.webmanifest")), "{manifest}");
    browser.close().await;
}

#[tokio::test]
async fn the_screen_stays_on_while_a_stream_is_watched() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &flat_picture(640, 360, [200, 60, 40])).await;
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/", app.addr)).await.expect("loads");
    browser.find(".tile.has-picture").await;
    let stand_in = "window.locks = { held: 0 };
        const request = async () => { locks.held += 1; const lock = new EventTarget();
            lock.release = async () => { locks.held -= 1; lock.dispatchEvent(new Event('release')) }; return lock };
        Object.defineProperty(navigator, 'wakeLock', { value: { request }, configurable: true })";
    browser.run(stand_in).await;
    browser.run("location.hash = '#/watch/door'").await;
    let held = "return locks.held";
    eventually("the screen stays on", async || browser.run(held).await == 1).await;
    browser.run("location.hash = '#/'").await;
    eventually("and no longer after it", async || browser.run(held).await == 0).await;
    browser.close().await;
}
