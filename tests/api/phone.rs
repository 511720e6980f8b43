//! A phone as a camera: a link of the console, and the page that it opens.

use crate::{
    browser::Browser,
    console::{enter, press, type_into},
    support::{TestApp, eventually, mediamtx::MediaMtx},
};

#[tokio::test]
async fn a_link_makes_a_camera_of_the_device_that_opens_it_until_it_is_revoked() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "mediamtx: {{api: 'http://127.0.0.1:{}', hls_url: 'http://127.0.0.1:{}', webrtc_url: 'http://127.0.0.1:{}'}}",
        ports[4], ports[1], ports[2]
    ));
    let Some(_mediamtx) = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await else { return };
    let browser = Browser::start().await;
    enter(&browser, &app, "#/publish").await;
    press(&browser, ".do-phone").await;
    browser.says("dialog", "over HTTPS only").await;
    type_into(&browser, "dialog [name=path]", "pocket").await;
    press(&browser, "dialog button.primary").await;
    browser.find("dialog .qr").await;
    browser.keep_screenshot("console-phone-link-desktop").await;
    let link = browser.text("dialog .snippet code").await;
    browser.close().await;

    let is_available = async || {
        let paths = app.admin("GET", "/api/v1/mediamtx/paths", "").await.json();
        let paths = paths["paths"].as_array().cloned().unwrap_or_default();
        paths.iter().any(|path| path["name"] == "pocket" && path["available"] == true)
    };
    let phone = Browser::with_devices().await;
    phone.client.goto(&link).await.expect("loads");
    let shown = "return document.querySelector('.phone video').videoWidth > 0";
    phone.find(".phone:not([hidden]) .phone-go").await;
    eventually("the page shows the camera", async || phone.run(shown).await == true).await;
    assert!(!is_available().await, "nothing is sent before a press");
    phone.click(".phone-go").await;
    phone.says(".phone .badge", "live").await;
    eventually("MediaMTX has the picture", async || is_available().await).await;
    phone.keep_screenshot("viewer-phone-camera-desktop").await;

    let shares = app.admin("GET", "/api/v1/shares", "").await.json();
    let id = shares["shares"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(app.admin("DELETE", &format!("/api/v1/shares/{id}"), "").await.status, 204);
    eventually("it has ended", async || !is_available().await).await;
    let state = "return document.querySelector('.phone:not([hidden]) .badge')?.textContent ?? ''";
    eventually("the page says so", async || phone.run(state).await != "live").await;
    phone.close().await;
}
