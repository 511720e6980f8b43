//! Another name for a stream, and for what refers to it.

use serde_json::json;

use crate::{
    browser::Browser,
    console::{enter, press, type_into},
    support::{TestApp, flat_picture},
};

const COLOUR: [u8; 3] = [20, 160, 20];

/// A stream `yard`, and something of each kind that names it.
async fn app_with_references() -> TestApp {
    let app = TestApp::with("streams: {fixed: {kind: derived, of: yard}}");
    let put = async |path: &str, body: serde_json::Value| {
        let answer = app.admin("PUT", path, &body.to_string()).await;
        assert!(answer.status < 300, "{path}: {answer:?}");
    };
    app.put("/api/v1/streams/yard/frame", &flat_picture(320, 180, COLOUR)).await;
    put("/api/v1/streams/cut", json!({"kind": "derived", "of": "yard", "crop": [0, 0, 50, 50]})).await;
    put("/api/v1/streams/wall", json!({"kind": "mosaic", "tiles": ["yard", "cut"]})).await;
    put("/api/v1/paths/live", json!({"kind": "stream", "stream": "yard"})).await;
    let permissions =
        json!([{"action": "read", "path": "~^(pictures/)?yard$"}, {"action": "read", "path": "pictures/yard"}]);
    put("/api/v1/users/ann", json!({"pass": "correct horse", "permissions": permissions})).await;
    let token = json!({"name": "frigate", "permissions": [{"action": "read", "path": "yard"}], "expires": "1day"});
    app.made("/api/v1/tokens", token).await;
    app.made("/api/v1/shares", json!({"path": "yard", "expires": "1day", "label": "neighbours"})).await;
    app
}

#[tokio::test]
async fn a_stream_gets_another_name_and_what_refers_to_it_follows() {
    let app = app_with_references().await;
    let rename = async |body: serde_json::Value| app.admin("POST", "/api/v1/stream-rename", &body.to_string()).await;
    let plan = rename(json!({"from": "yard", "to": "garden/pond", "dry_run": true})).await.json();
    let of = |kind: &str, name: &str| json!({"kind": kind, "name": name});
    let changed = json!([of("stream", "cut"), of("stream", "wall"), of("path", "live"), of("user", "ann")]);
    let left = json!([of("stream", "fixed"), of("token", "frigate"), of("share", "neighbours")]);
    assert_eq!((&plan["changed"], &plan["left"]), (&changed, &left), "{plan}");
    assert_eq!(app.get("/snapshot/yard.jpg").await.status, 200, "nothing is changed yet");

    for (body, status, field) in [
        (json!({"from": "yard", "to": "cut"}), 412, "to"),
        (json!({"from": "yard", "to": "a b"}), 400, "to"),
        (json!({"from": "none", "to": "b"}), 404, ""),
        (json!({"from": "fixed", "to": "b"}), 409, ""),
    ] {
        let refused = rename(body.clone()).await;
        let found = refused.json()["field"].as_str().unwrap_or_default().to_owned();
        assert_eq!((refused.status, found.as_str()), (status, field), "{body}: {refused:?}");
    }

    let done = rename(json!({"from": "yard", "to": "garden/pond"})).await;
    assert_eq!((done.status, done.json()), (200, plan));
    assert_eq!(app.get("/snapshot/yard.jpg").await.problem(), "unknown_stream");
    assert_eq!(app.get("/snapshot/garden/pond.jpg").await.status, 200, "with its picture");
    assert_eq!(app.get("/snapshot/cut.jpg").await.status, 200);
    let definition = async |name: &str| app.stats(name).await["definition"].clone();
    assert_eq!(definition("cut").await["of"], "garden/pond");
    assert_eq!(definition("wall").await["tiles"], json!(["garden/pond", "cut"]));
    assert_eq!(app.admin("GET", "/api/v1/paths/live", "").await.json()["stream"], "garden/pond");
    let ann = app.admin("GET", "/api/v1/users/ann", "").await.json();
    let paths: Vec<_> = ann["permissions"].as_array().expect("a list").iter().map(|one| &one["path"]).collect();
    assert_eq!(paths, ["~^(pictures/)?garden/pond$", "pictures/garden/pond"]);

    // The picture is there after a restart, too.
    let password = app.password.clone();
    let mut app = TestApp::in_folder(app.stop(), "streams: {fixed: {kind: derived, of: yard}}");
    app.password = password;
    assert_eq!(app.get("/snapshot/garden/pond.jpg").await.status, 200);
    assert_eq!(app.get("/snapshot/yard.jpg").await.problem(), "unknown_stream");
}

#[tokio::test]
async fn the_numbers_of_a_graph_go_with_its_name() {
    let app = TestApp::spawn();
    app.admin("PUT", "/api/v1/streams/heat", r#"{"kind": "graph"}"#).await;
    assert!(app.admin("POST", "/api/v1/streams/heat/points", r#"{"kelvin": 294.5}"#).await.status < 300);
    let body = r#"{"kind": "test-card", "overlay": [{"text": "{value:heat/kelvin}"}]}"#;
    let made = app.admin("PUT", "/api/v1/streams/card", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let renamed = app.admin("POST", "/api/v1/stream-rename", r#"{"from": "heat", "to": "warmth"}"#).await;
    assert_eq!(renamed.status, 200, "{renamed:?}");
    let text = app.stats("card").await["definition"]["overlay"][0]["text"].clone();
    assert_eq!(text, "{value:warmth/kelvin}");
    let folder = app.stop();
    let file = |name: &str| std::fs::read(folder.path().join(format!("data/points/{name}.points")));
    assert!(file("warmth").is_ok_and(|data| data.windows(6).any(|at| at == b"kelvin")), "the points are kept");
    assert!(file("heat").is_err());
}

#[tokio::test]
async fn the_console_renames_a_stream_and_says_what_follows() {
    let app = app_with_references().await;
    let browser = Browser::start().await;
    enter(&browser, &app, "#/streams").await;
    press(&browser, ".stream[data-name=yard] button[aria-label^=Edit]").await;
    press(&browser, "dialog .do-rename").await;
    type_into(&browser, "dialog [name=to]", "pond").await;
    press(&browser, "dialog:has([name=to]) button.primary").await;
    browser.says("dialog:last-of-type", "These follow: stream cut, stream wall, path live, permissions of ann.").await;
    browser
        .says("dialog:last-of-type", "no longer find the stream: stream fixed, token frigate, link neighbours")
        .await;
    browser.keep_screenshot("console-rename-desktop").await;
    press(&browser, "dialog:last-of-type button.danger").await;
    browser.says(".stream[data-name=pond] h2", "pond").await;
    browser.close().await;
}
