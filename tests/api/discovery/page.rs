//! The console's section: a camera is found, asked with its password, and becomes a stream with one click.

use serde_json::json;

use super::{
    SETTINGS,
    fake::{Auth, Behaviour, Camera, LOGIN},
};
use crate::{
    browser::Browser,
    console::{enter, press, submit, type_into},
    support::{TestApp, eventually},
};

#[tokio::test]
async fn a_camera_becomes_a_stream_and_a_path_with_one_click_each() {
    let camera = Camera::start(Behaviour { auth: Auth::Token, ..Behaviour::of("hikvision") }).await;
    let app = TestApp::with(SETTINGS);
    let browser = Browser::start().await;
    enter(&browser, &app, "#/discovery").await;
    type_into(&browser, ".by-address input", &camera.http.to_string()).await;
    press(&browser, ".by-address button").await;
    browser.says(".camera", "needs a password").await;
    press(&browser, ".camera > div:last-child button").await;
    type_into(&browser, "dialog [name=user]", LOGIN.0).await;
    type_into(&browser, "dialog [name=pass]", LOGIN.1).await;
    submit(&browser).await;
    browser.says(".camera", "2688 × 1520").await;
    browser.keep_screenshot("console-discovery-desktop").await;
    let offers = "return [...document.querySelectorAll('.camera .offer')].map((offer) => offer.textContent)";
    let offers = browser.run(offers).await;
    let count = offers.as_array().expect("a list").len();
    assert!(count >= 3, "{offers}");
    for i in 0..count {
        browser.run(&format!("document.querySelectorAll('.camera .offer')[{i}].click()")).await;
        browser.find("dialog[open] [name=name]").await;
        browser.run(&format!("document.querySelector('dialog[open] [name=name]').value = 'yard/{i}'")).await;
        submit(&browser).await;
    }
    let path = app.admin("GET", "/api/v1/paths/yard/0", "").await.json();
    assert_eq!(path["kind"], "camera", "{path}");
    let stream = app.admin("GET", "/api/v1/streams/yard/1", "").await.json()["definition"].clone();
    assert_eq!((&stream["kind"], &stream["user"], &stream["pass"]), (&json!("rtsp"), &json!(LOGIN.0), &json!("***")));
    eventually("the dialog is closed", async || {
        browser.run("return document.querySelector('dialog[open]') === null").await == true
    })
    .await;
    browser.assert_quiet("discovery").await;
    browser.close().await;
}
