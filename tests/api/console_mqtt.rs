//! The console's section about MQTT.

use crate::{
    browser::Browser,
    console::{confirm, enter, press, submit, type_into},
    support::{TestApp, eventually, mediamtx::MediaMtx, mosquitto::Mosquitto, picture},
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
    press(&browser, ".section-mqtt tr[data-key=door] [role=switch]").await;
    eventually("the device is gone", async || broker.kept("homeassistant/device/mtx_door/config").await.is_none())
        .await;

    // A regular expression, and a topic with wildcards.
    browser.click("#mqtt-publish").await;
    type_into(&browser, "dialog [name=name]", "~^do").await;
    submit(&browser).await;
    browser.says(".section-mqtt tr[data-key=door]", "~^do").await;
    press(&browser, ".section-mqtt button[aria-label='Stop publishing ~^do']").await;
    confirm(&browser).await;
    let group = r#"{"kind":"mqtt","topic":"cam/+"}"#;
    assert_eq!(app.admin("PUT", "/api/v1/streams/yard", group).await.status, 201);
    eventually("the topic is a stream", async || {
        broker.publish("cam/a", &picture(2), &[]).await;
        browser.text(".section-mqtt").await.contains("1 / 100")
    })
    .await;
    browser.says(".section-mqtt", "yard/a").await;
    browser.close().await;
}

/// One switch makes a path of MediaMTX a device of Home Assistant.
#[tokio::test]
async fn a_path_of_mediamtx_becomes_a_device_with_one_switch() {
    let (broker, ports) = (Mosquitto::start().await, MediaMtx::ports());
    let app = TestApp::with(&format!(
        "mqtt: {{{}, homeassistant: {{enabled: yes}}}}
mediamtx: {{api: 'http://127.0.0.1:{}', rtsp: 'rtsp://127.0.0.1:{}'}}
",
        broker.settings(),
        ports[4],
        ports[0]
    ));
    let config = mtx_sidecar::settings::MEDIAMTX_YML;
    let Some(_mediamtx) = MediaMtx::start_with(&app, config, &ports).await else { return };
    // A path on demand can be read at any time.
    let definition = r#"{"kind":"camera","url":"rtsp://127.0.0.1:9/none"}"#;
    assert!(app.admin("PUT", "/api/v1/paths/gate", definition).await.status < 300);
    let browser = Browser::start().await;
    enter(&browser, &app, "#/mqtt").await;
    browser.says(".section-mqtt tr[data-key=gate]", "MediaMTX").await;
    press(&browser, ".section-mqtt tr[data-key=gate] [role=switch]").await;
    let device = broker.next("homeassistant/device/mtx_gate/config").await;
    assert!(String::from_utf8_lossy(&device).contains("mtx/gate/image"));
    browser.says(".section-mqtt tr[data-key=gate]", "mtx/gate/image").await;
    press(&browser, ".section-mqtt tr[data-key=gate] [role=switch]").await;
    eventually("the device is gone", async || broker.kept("homeassistant/device/mtx_gate/config").await.is_none())
        .await;
    browser.assert_quiet("the section MQTT").await;
    browser.close().await;
}
