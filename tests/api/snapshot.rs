use crate::support::{TestApp, picture};

#[tokio::test]
async fn a_snapshot_is_revalidated_with_its_entity_tag() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let first = app.get("/snapshot/cam.jpg").await;
    assert_eq!((first.status, &first.body), (200, &bytes::Bytes::from(picture(1))));
    let tag = first.header("etag").expect("a tag").to_owned();
    assert!(first.header("last-modified").is_some_and(|v| v.ends_with("GMT")));
    assert!(first.header("cache-control").is_some_and(|v| v.contains("no-cache")));
    assert_eq!(first.header("content-length"), Some(&*picture(1).len().to_string()));
    assert!(first.header("x-mtx-frame-age").is_some_and(|v| v.parse::<f64>().is_ok()));

    for condition in
        [format!("If-None-Match: {tag}"), format!("If-None-Match: \"x\", W/{tag}"), "If-None-Match: *".into()]
    {
        let again = app.request("GET", "/snapshot/cam.jpg", &[&condition], b"").await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{condition}");
    }
    app.put("/api/v1/streams/cam/frame", &picture(2)).await;
    let changed = app.request("GET", "/snapshot/cam.jpg", &[&format!("If-None-Match: {tag}")], b"").await;
    assert_eq!((changed.status, &changed.body[..]), (200, &picture(2)[..]));
    let head = app.request("HEAD", "/snapshot/cam.jpg", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn a_snapshot_without_a_picture_has_an_answer() {
    let app = TestApp::with("streams: {yard: {kind: udp-camera, address: '127.0.0.1:9'}, empty: {kind: upload}}");
    let unknown = app.get("/snapshot/none.jpg").await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "unknown_stream"));

    let silent = app.admin("GET", "/snapshot/yard.jpg", "").await;
    assert_eq!((silent.status, silent.problem().as_str()), (504, "no_picture"));
    assert!(silent.detail().contains("no picture within the start timeout"), "{}", silent.detail());

    let waiting = app.get("/snapshot/empty.jpg").await;
    assert_eq!((waiting.status, waiting.header("x-mtx-placeholder")), (200, Some("waiting")));
}

/// Each timeout is an hour, so no timeout can explain the answer.
#[tokio::test]
async fn a_failure_is_answered_at_once() {
    let app = TestApp::with(
        "output: {snapshot_timeout: 1h}\nstream_defaults: {start_timeout: 1h}\nstreams: {lost: {kind: file, path: gone.jpg}}",
    );
    let lost = app.get("/snapshot/lost.jpg").await;
    assert_eq!((lost.status, lost.problem().as_str()), (504, "no_picture"));
    assert_eq!(lost.json()["cause"], "unknown_file", "{lost:?}");
    assert!(!lost.detail().contains("gone.jpg"), "the words are for administrators: {}", lost.detail());
    let lost = app.admin("GET", "/snapshot/lost.jpg", "").await;
    assert!(lost.detail().contains("gone.jpg cannot be read"), "{}", lost.detail());
}

#[tokio::test]
async fn max_age_waits_for_a_new_picture() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    assert_eq!(app.get("/snapshot/cam.jpg?max_age=60").await.body, picture(1));
    let (fresh, _) = tokio::join!(app.get("/snapshot/cam.jpg?max_age=0"), async {
        crate::support::eventually("the snapshot waits", async || app.stats("cam").await["watchers"] == 1).await;
        app.put("/api/v1/streams/cam/frame", &picture(2)).await
    });
    assert_eq!(fresh.body, picture(2));
    let stale = app.get("/snapshot/cam.jpg?max_age=0ms").await;
    assert_eq!((stale.status, stale.problem().as_str()), (504, "no_picture"));
    for wrong in ["-1", "abc", "1e99", ""] {
        let response = app.get(&format!("/snapshot/cam.jpg?max_age={wrong}")).await;
        assert_eq!((response.status, response.json()["field"].as_str()), (400, Some("max_age")), "{wrong}");
    }
}
