use std::time::{Duration, SystemTime};

use crate::support::{TestApp, picture};

fn write(app: &TestApp, name: &str, data: &[u8]) {
    let path = app.folder().join("media").join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
    // A new file that is renamed, so that a reader never sees half of it.
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, data).expect("writes");
    std::fs::rename(beside, path).expect("renames");
}

#[tokio::test]
async fn a_changed_file_is_shown() {
    let app = TestApp::with("streams: {menu: {kind: file, path: menu.jpg}}");
    write(&app, "menu.jpg", &picture(1));
    let mut reader = app.watch("/stream/menu.mjpeg").await;
    reader.until(&picture(1)).await;
    write(&app, "menu.jpg", &picture(2));
    reader.until(&picture(2)).await;
    // Half of a picture: the earlier picture stays until the file is complete.
    write(&app, "menu.jpg", &picture(3)[..200]);
    crate::support::eventually("the reason names the damage", async || {
        app.stats("menu").await["reason"].as_str().is_some_and(|r| r.contains("cut off"))
    })
    .await;
    assert_eq!(app.get("/snapshot/menu.jpg").await.body, picture(2));
    write(&app, "menu.jpg", &picture(3));
    reader.until(&picture(3)).await;
}

#[tokio::test]
async fn a_folder_is_a_slideshow_in_natural_order() {
    let app = TestApp::with(
        "streams: {show: {kind: file, path: show, interval: 100ms}, some: {kind: file, path: 'show/1*.jpg', interval: 100ms}}",
    );
    for n in [1, 2, 10] {
        write(&app, &format!("show/{n}.jpg"), &picture(n));
    }
    write(&app, "show/readme.txt", b"not a picture");
    let mut reader = app.watch("/stream/show.mjpeg").await;
    for n in [1, 2, 10, 1, 2] {
        reader.until(&picture(n)).await;
    }
    let mut some = app.watch("/stream/some.mjpeg").await;
    for n in [1, 10, 1] {
        some.until(&picture(n)).await;
    }
}

#[tokio::test]
async fn the_newest_pictures_come_first_with_order_newest() {
    let app = TestApp::with("streams: {new: {kind: file, path: show, interval: 100ms, order: newest}}");
    for (n, age) in [(1, 300), (2, 100), (3, 200)] {
        write(&app, &format!("show/{n}.jpg"), &picture(n));
        let file =
            std::fs::File::options().write(true).open(app.folder().join(format!("media/show/{n}.jpg"))).expect("opens");
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).expect("sets");
    }
    let mut reader = app.watch("/stream/new.mjpeg").await;
    for n in [2, 3, 1, 2] {
        reader.until(&picture(n)).await;
    }
}

#[tokio::test]
async fn symbolic_links_out_of_the_media_folder_are_refused() {
    let app = TestApp::with("streams: {out: {kind: file, path: out.jpg}, in: {kind: file, path: in.jpg}}");
    let secret = app.folder().join("secret.jpg");
    std::fs::write(&secret, picture(1)).expect("writes");
    write(&app, "real.jpg", &picture(2));
    let media = app.folder().join("media");
    std::os::unix::fs::symlink(&secret, media.join("out.jpg")).expect("links");
    std::os::unix::fs::symlink("real.jpg", media.join("in.jpg")).expect("links");
    let response = app.get("/snapshot/out.jpg").await;
    assert_eq!((response.status, response.problem().as_str()), (504, "no_picture"));
    assert_eq!(app.get("/snapshot/in.jpg").await.body, picture(2));
}

/// Browsers and phones make such names.
#[tokio::test]
async fn a_name_with_brackets_is_that_file_and_no_pattern() {
    let app = TestApp::with(
        "streams: {later: {kind: file, path: 'holiday [2019]/later.jpg'}, one: {kind: file, path: 'photo[1].jpg'}}",
    );
    for (n, name) in [(1, "photo[1].jpg"), (2, "photo1.jpg"), (3, "holiday [2019]/a.jpg")] {
        write(&app, name, &picture(n));
    }
    assert_eq!(app.get("/snapshot/one.jpg").await.body, picture(1));
    for (stream, path, n) in [("folder", "holiday [2019]", 3), ("inside", "holiday [2019]/a.jpg", 3)] {
        let body = serde_json::json!({"kind": "file", "path": path});
        assert_eq!(app.admin("PUT", &format!("/api/v1/streams/{stream}"), &body.to_string()).await.status, 201);
        assert_eq!(app.get(&format!("/snapshot/{stream}.jpg")).await.body, picture(n), "{path}");
    }
    write(&app, "holiday [2019]/later.jpg", &picture(2));
    assert_eq!(app.get("/snapshot/later.jpg").await.body, picture(2));
}

#[tokio::test]
async fn a_name_at_whose_address_pictures_are_uploaded_is_refused() {
    let app = TestApp::spawn();
    for name in ["door/frame", "door/frames"] {
        let refused = app.put(&format!("/mjpeg-upload?name={name}"), &picture(1)).await;
        assert_eq!((refused.status, refused.problem().as_str()), (400, "invalid_name"), "{refused:?}");
        assert_eq!(refused.json()["field"], "name");
    }
    assert_eq!(app.put("/mjpeg-upload?name=door/frame1", &picture(1)).await.status, 200);
}
