//! The console's section about MQTT.

use crate::{
    browser::Browser,
    console::{confirm, enter, press, submit, type_into},
    support::{TestApp, eventually, mosquitto::Mosquitto, picture},
};

#[tokio::test]
async fn a_stream_is_published_and_removed_in_the_console() {
    let broker = Mosquitto::start().await;
    let app = TestApp::with(&format!(
        "mqtt: {{{}, homeassistant: {{enabled: yes}}, publish: {{fixed: {{interval: on_request}}}}}}",
        broker.settings()
    ));
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let browser = Browser::start().await;
    enter(&browser, &app, "#/mqtt").await;
    browser.says(".section-mqtt", "connected to mqtt://127.0.0.1").await;
    browser.says(".section-mqtt", "sidecar.yml").await;
    browser.click("#mqtt-publish").await;
    type_into(&browser, "dialog [name=name]", "door").await;
    type_into(&browser, "dialog [name=interval]", "often").await;
    browser.click("dialog button.primary").await;
    browser.says("dialog", "on_change, on_request or a duration").await;
    type_into(&browser, "dialog [name=interval]", "1s").await;
    submit(&browser).await;
    browser.says(".section-mqtt", "mtx/door/image").await;
    assert_eq!(broker.next("mtx/door/image").await, picture(1));
    assert!(!broker.next("homeassistant/device/mtx_door/config").await.is_empty());
    press(&browser, ".section-mqtt button[aria-label='Stop publishing door']").await;
    confirm(&browser).await;
    eventually("the device is gone", async || broker.kept("homeassistant/device/mtx_door/config").await.is_none())
        .await;
    browser.close().await;
}
