use crate::support::{TestApp, eventually, picture};

#[tokio::test]
async fn pictures_and_definitions_are_restored_after_a_restart() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/Front/Door/frame", &picture(1)).await;
    app.put("/api/v1/streams/Front/Door/frame", &picture(2)).await;
    app.put("/api/v1/streams/gone/frame", &picture(3)).await;
    app.admin("PUT", "/api/v1/streams/card", r#"{"kind":"test-card","width":64,"height":48}"#).await;
    app.admin("DELETE", "/api/v1/streams/gone", "").await;
    let before = app.get("/snapshot/Front/Door.jpg").await;
    let password = app.password.clone().expect("made on the first start");

    let app = TestApp::in_folder(app.stop(), "");
    assert!(app.password.is_none(), "the password is shown once");
    let after = app.get("/snapshot/Front/Door.jpg").await;
    assert_eq!((&after.body[..], after.header("etag")), (&picture(2)[..], before.header("etag")));
    assert_eq!(after.header("last-modified"), before.header("last-modified"), "the time of the picture is restored");
    assert!(app.get("/snapshot/card.jpg").await.body.starts_with(&[0xFF, 0xD8]));
    assert_eq!(app.get("/snapshot/gone.jpg").await.status, 404);
    let admin = app.request("GET", "/metrics", &[&crate::support::basic("admin", &password)], b"").await;
    assert_eq!(admin.status, 200, "the password is still valid");

    let mut watcher = app.watch("/mjpeg-get?name=Front/Door").await;
    watcher.until(&picture(2)).await;
}

/// The picture is written soon after the upload, and not only at the end of the program.
#[tokio::test]
async fn an_uploaded_picture_is_written_while_the_program_runs() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let file = app.folder().join("data/frames/cam.jpg");
    eventually("the picture is written", async || std::fs::read(&file).is_ok_and(|data| data == picture(1))).await;
    let files: Vec<_> =
        std::fs::read_dir(file.parent().expect("a folder")).expect("lists").flatten().map(|e| e.file_name()).collect();
    assert_eq!(files, ["cam.jpg"], "no temporary file is left");
}

#[tokio::test]
async fn a_stored_upload_does_not_replace_a_definition_of_its_name() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let app = TestApp::in_folder(app.stop(), "streams: {cam: {kind: test-card}}");
    assert_eq!(app.stats("cam").await["kind"], "test-card");
}
