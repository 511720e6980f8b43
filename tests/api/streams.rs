use crate::support::{TestApp, basic, picture};

#[tokio::test]
async fn a_definition_is_created_changed_and_removed() {
    let app = TestApp::spawn();
    let made = app.admin("PUT", "/api/v1/streams/Hall/Card", r#"{"kind":"test-card","fps":10}"#).await;
    assert_eq!(made.status, 201, "{made:?}");
    let json = made.json();
    assert_eq!(
        (&json["name"], &json["kind"], &json["origin"], &json["state"]),
        (&"Hall/Card".into(), &"test-card".into(), &"api".into(), &"idle".into())
    );
    assert_eq!(json["definition"]["fps"], 10.0);

    let mut watcher = app.watch("/stream/Hall/Card.mjpeg").await;
    watcher.part().await;
    let changed = app.admin("PATCH", "/api/v1/streams/Hall/Card", r#"{"width":320,"height":200,"fps":null}"#).await;
    assert_eq!((changed.status, &changed.json()["definition"]["width"]), (200, &320.into()), "{changed:?}");
    assert_eq!(changed.json()["definition"]["fps"], 5.0, "null restores the default");
    // The watcher stays connected, and gets pictures of the new size.
    crate::support::eventually("the new size is shown", async || {
        watcher.part().await;
        app.stats("Hall/Card").await["picture"]["width"] == 320
    })
    .await;

    assert_eq!(app.admin("PUT", "/api/v1/streams/Hall/Card", r#"{"kind":"upload"}"#).await.status, 200);
    assert_eq!(app.put("/api/v1/streams/Hall/Card/frame", &picture(1)).await.status, 200);
    watcher.until(&picture(1)).await;
    assert_eq!(app.admin("DELETE", "/api/v1/streams/Hall/Card", "").await.status, 204);
    assert_eq!(app.admin("GET", "/api/v1/streams/Hall/Card", "").await.status, 404);
    assert_eq!(app.admin("DELETE", "/api/v1/streams/Hall/Card", "").await.status, 404);
}

#[tokio::test]
async fn lists_contain_the_streams_that_the_caller_can_read() {
    let app = TestApp::with(
        "auth: {users: [{user: guest, pass: g, permissions: [{action: read, path: '~^hall/'}]}, {user: boss, pass: b, permissions: [{action: read}, {action: api}]}]}
streams: {hall/1: {kind: upload}, hall/2: {kind: upload}, safe: {kind: upload}}",
    );
    let names = async |headers: &[&str]| {
        let response = app.request("GET", "/api/v1/streams", headers, b"").await;
        let list = response.json()["streams"].as_array().cloned().unwrap_or_default();
        (response.status, list.iter().map(|s| s["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(names(&[&basic("guest", "g")]).await, (200, vec!["hall/1".into(), "hall/2".into()]));
    assert_eq!(names(&[&basic("boss", "b")]).await.1.len(), 3);
    assert_eq!(names(&[]).await.0, 401, "without credentials there is no list");
    let hidden = app.request("GET", "/api/v1/streams/safe", &[&basic("guest", "g")], b"").await;
    assert_eq!(hidden.status, 403);
    let open = app.request("GET", "/api/v1/streams/hall/1", &[&basic("guest", "g")], b"").await.json();
    assert!(open.get("definition").is_none(), "definitions are for administrators: {open}");
}
