//! Making a stream, a path or a user under a name: what has the name is not replaced without a question.

use serde_json::json;

use crate::{
    browser::Browser,
    console::{choose, count, enter, press, submit, type_into},
    support::{TestApp, basic, eventually, fake_camera::FakeCamera, flat_picture, picture},
};

#[tokio::test]
async fn with_if_none_match_only_what_is_new_is_made() {
    let app = TestApp::with("mediamtx: {api: 'http://127.0.0.1:9'}");
    let admin = basic("admin", app.password.as_deref().expect("made"));
    let put = async |path: &str, body: &str, only_new: bool| {
        let only_new = if only_new { "If-None-Match: *" } else { "Accept: */*" };
        app.request("PUT", path, &[&admin, only_new], body.as_bytes()).await
    };
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    for (path, first, second) in [
        ("/api/v1/streams/card", r#"{"kind": "test-card"}"#, r#"{"kind": "upload"}"#),
        ("/api/v1/paths/yard", r#"{"kind": "stream", "stream": "door"}"#, r#"{"kind": "raw", "fields": {}}"#),
        ("/api/v1/users/carol", r#"{"pass": "correct horse"}"#, r#"{"pass": "battery staple"}"#),
    ] {
        assert_eq!(put(path, first, true).await.status, 201, "{path}");
        let refused = put(path, second, true).await;
        assert_eq!((refused.status, refused.problem().as_str()), (412, "precondition_failed"), "{path}");
        assert_eq!(refused.json()["field"], "name", "{path}");
        assert_eq!(put(path, second, false).await.status, 200, "{path}: without the header it is replaced");
    }
    // An uploaded picture has the name, too.
    assert_eq!(put("/api/v1/streams/door", r#"{"kind": "test-card"}"#, true).await.status, 412);
    assert_eq!(app.get("/snapshot/door.jpg").await.body, picture(1));
    let odd = app.request("PUT", "/api/v1/streams/x", &[&admin, "If-None-Match: \"1\""], b"{}").await;
    assert_eq!((odd.status, odd.json()["field"].as_str()), (400, Some("If-None-Match")), "{odd:?}");
}

#[tokio::test]
async fn the_console_asks_before_it_replaces_a_stream_of_the_same_name() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/front/door/frame", &flat_picture(320, 180, [9, 99, 200])).await;
    let browser = Browser::start().await;
    enter(&browser, &app, "#/streams").await;
    browser.click("#new-stream").await;
    choose(&browser, "dialog [name=kind]", "test-card").await;
    type_into(&browser, "dialog [name=name]", "front/door").await;
    browser.click("dialog form button.primary").await;
    browser.says("dialog:last-of-type", "There is a front/door already").await;
    // The question is answered with no: the stream stays, and the form says why.
    press(&browser, "dialog:last-of-type .actions button:not(.danger)").await;
    browser.says("dialog .field:has([name=name]) .field-error", "This name is in use").await;
    assert_eq!(app.stats("front/door").await["kind"], "upload");
    browser.click("dialog form button.primary").await;
    press(&browser, "dialog:last-of-type button.danger").await;
    eventually("it is replaced", async || app.stats("front/door").await["kind"] == "test-card").await;
    eventually("the dialogs are closed", async || count(&browser, "dialog[open]").await == 0).await;

    // After a deletion the focus is at the next stream, and not lost.
    app.put("/api/v1/streams/gate/frame", &flat_picture(320, 180, [9, 99, 20])).await;
    browser.find(".stream[data-name=gate]").await;
    browser.run("document.querySelector(\".stream[data-name='front/door'] button[aria-label^=Delete]\").focus()").await;
    browser.click(".stream[data-name='front/door'] button[aria-label^=Delete]").await;
    browser.click("dialog[open] button.danger").await;
    eventually("the stream is gone", async || count(&browser, ".stream[data-name='front/door']").await == 0).await;
    eventually("the focus is at the next one", async || {
        browser.run("return document.activeElement.closest('.stream')?.dataset.name ?? ''").await == "gate"
    })
    .await;
    browser.close().await;
}

/// A camera that wants a password.
async fn locked_camera() -> FakeCamera {
    FakeCamera::of_bytes(|request| {
        let head = match request.contains("YW5uOnMzY3JldA==") {
            false => {
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n".into()
            }
            true => {
                let jpeg = flat_picture(320, 180, [20, 160, 20]);
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
                return Some([head.as_bytes(), &jpeg].concat());
            }
        };
        Some(String::into_bytes(head))
    })
    .await
}

#[tokio::test]
async fn a_definition_can_be_tried_out_before_it_is_stored() {
    let camera = locked_camera().await;
    let app = TestApp::with("fetch: {networks: [127.0.0.1]}");
    let url = format!("http://{}/x.jpg", camera.addr);
    let trial = async |body: serde_json::Value| app.admin("POST", "/api/v1/stream-test", &body.to_string()).await;
    let good = trial(json!({"kind": "http", "url": url, "user": "ann", "pass": "s3cret", "mode": "snapshot"})).await;
    assert_eq!((good.status, good.header("content-type")), (200, Some("image/jpeg")), "{good:?}");
    for (definition, status, field) in [
        (json!({"kind": "http", "url": url, "user": "ann", "pass": "wrong", "mode": "snapshot"}), 504, "pass"),
        (json!({"kind": "http", "url": "http://127.0.0.1:9/x"}), 504, "url"),
        (json!({"kind": "http", "url": "http://192.0.2.1/x"}), 504, "url"),
        (json!({"kind": "upload"}), 422, "kind"),
    ] {
        let bad = trial(definition.clone()).await;
        assert_eq!((bad.status, bad.json()["field"].as_str()), (status, Some(field)), "{definition}: {bad:?}");
    }
    assert_eq!(app.get("/api/v1/streams").await.json()["streams"], json!([]), "nothing is stored");
    let far = app.far("POST", "/api/v1/stream-test", "Accept: */*", "{}").await;
    assert_eq!(far.status, 401);
}

#[tokio::test]
async fn the_form_of_a_camera_tests_it_and_suggests_a_name_for_its_title() {
    let camera = locked_camera().await;
    let app = TestApp::with("fetch: {networks: [127.0.0.1]}");
    let browser = Browser::start().await;
    enter(&browser, &app, "#/streams").await;
    browser.click("#new-stream").await;
    choose(&browser, "dialog [name=kind]", "http").await;
    for (title, name) in [("Tür zum Hof", "tuer-zum-hof"), ("げんかん", "genkan"), ("大门", "camera-1")] {
        type_into(&browser, "dialog [name=title]", title).await;
        let suggested = "return document.querySelector('dialog [name=name]').value";
        eventually(title, async || browser.run(suggested).await == name).await;
    }
    type_into(&browser, "dialog [name=url]", &format!("http://{}/x.jpg", camera.addr)).await;
    type_into(&browser, "dialog [name=user]", "ann").await;
    type_into(&browser, "dialog [name=pass]", "wrong").await;
    browser.click("dialog .test").await;
    browser.says("dialog .field:has([name=pass]) .field-error", "user name or password is wrong").await;
    browser.keep_screenshot("console-test-failed-desktop").await;
    type_into(&browser, "dialog [name=pass]", "s3cret").await;
    browser.click("dialog .test").await;
    browser.says("dialog .trial", "320 × 180").await;
    browser.keep_screenshot("console-test-good-desktop").await;
    // Durations have a unit beside them.
    browser.click("dialog .more-fields summary").await;
    type_into(&browser, "dialog [name=interval]", "2").await;
    choose(&browser, "dialog .field:has([name=interval]) select", "m").await;
    submit(&browser).await;
    browser.says(".stream[data-name=camera-1] h2", "大门").await;
    let made = app.admin("GET", "/api/v1/streams/camera-1", "").await.json();
    assert_eq!((&made["title"], &made["definition"]["interval"]), (&json!("大门"), &json!("2m")), "{made}");
    let wall = app.get("/api/v1/wall").await.json();
    assert_eq!((&wall["items"][0]["name"], &wall["items"][0]["title"]), (&json!("camera-1"), &json!("大门")), "{wall}");

    // A failure is seen in the list after the state has gone back to idle.
    let wrong = json!({"kind": "http", "url": format!("http://{}/x.jpg", camera.addr), "user": "ann", "pass": "no", "mode": "snapshot"});
    app.admin("PUT", "/api/v1/streams/locked", &wrong.to_string()).await;
    app.get("/snapshot/locked.jpg").await;
    browser.says(".stream[data-name=locked] .reason", "password is wrong").await;
    let failing = app.stats("locked").await;
    assert!(failing["failure"]["reason"].as_str().is_some_and(|reason| reason.contains("password")), "{failing}");
    browser.close().await;
}

#[tokio::test]
async fn what_is_pasted_fills_the_form_with_the_camera_that_gives_a_picture() {
    let camera = locked_camera().await;
    let app = TestApp::with("fetch: {networks: [127.0.0.1]}");
    let browser = Browser::start().await;
    enter(&browser, &app, "#/streams").await;
    browser.click("#new-stream").await;
    browser.click("dialog .paste-part summary").await;
    let text = format!(
        "streams:\n  gone: rtsp://127.0.0.1:9/x\n  yard: http://ann:s3cret@{}/x.jpg#video=mjpeg\n",
        camera.addr
    );
    type_into(&browser, "dialog .paste", &text).await;
    browser.click("dialog .look").await;
    browser.says("dialog .candidate:nth-child(1)", "The camera cannot be reached").await;
    browser.says("dialog .candidate.has-picture", "320 × 180").await;
    browser.keep_screenshot("console-paste-desktop").await;
    press(&browser, "dialog .candidate.has-picture").await;
    let values = "return ['kind', 'name', 'url', 'user', 'pass'].map((name) => document.querySelector(`dialog [name=${name}]`).value)";
    let url = format!("http://{}/x.jpg", camera.addr);
    assert_eq!(browser.run(values).await, json!(["http", "yard", url, "ann", "s3cret"]));
    submit(&browser).await;
    assert_eq!(app.get("/snapshot/yard.jpg").await.status, 200);
    browser.close().await;
}

#[tokio::test]
async fn a_title_survives_a_restart_and_changes_nothing_else() {
    let app = TestApp::spawn();
    app.admin("PUT", "/api/v1/streams/door", r#"{"kind": "test-card", "title": "玄関"}"#).await;
    let password = app.password.clone().expect("made");
    let mut app = TestApp::in_folder(app.stop(), "streams: {gate: {kind: test-card, title: Tor}}");
    app.password = Some(password);
    assert_eq!((&app.stats("door").await["title"], &app.stats("gate").await["title"]), (&json!("玄関"), &json!("Tor")));
    // A watcher's stream goes on while its title is changed.
    let mut watch = app.watch("/stream/door.mjpeg").await;
    watch.part().await;
    let frames = app.stats("door").await["frames"].as_u64();
    let changed = app.admin("PATCH", "/api/v1/streams/door", r#"{"title": "Haustür"}"#).await;
    assert_eq!((changed.status, &changed.json()["title"]), (200, &json!("Haustür")));
    assert!(app.stats("door").await["frames"].as_u64() >= frames, "it was not begun anew");
    watch.part().await;
    let removed = app.admin("PATCH", "/api/v1/streams/door", r#"{"title": null}"#).await.json();
    assert!(removed["title"].is_null() && removed["definition"]["title"].is_null(), "{removed}");
    let long = json!({ "title": "x".repeat(101) }).to_string();
    assert_eq!(app.admin("PATCH", "/api/v1/streams/door", &long).await.status, 422);
    let kept = json!({"kind": "stream", "stream": "door", "title": "大门"});
    let path = app.admin("PUT", "/api/v1/paths/kept", &kept.to_string()).await.json();
    assert_eq!(path["title"], "大门", "{path}");
}
