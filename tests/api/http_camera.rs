//! HTTP cameras, with the quirks of real ones.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::{TestApp, eventually, fake_camera::FakeCamera, picture};

fn files() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/quirks");
    let names = std::fs::read_dir(folder).expect("lists").flatten().map(|entry| entry.file_name().into_string());
    let mut names: Vec<_> = names.flatten().filter(|name| name.ends_with(".txt")).collect();
    names.sort();
    assert!(names.len() >= 9, "{names:?}");
    names
}

async fn app(definition: &str) -> TestApp {
    TestApp::with(&format!("streams: {{cam: {definition}}}"))
}

#[tokio::test]
async fn pictures_of_every_quirk_come_in_order_over_one_connection() {
    for file in files() {
        let camera = FakeCamera::of_file(&file).await;
        let app = app(&format!("{{kind: http, url: 'http://{}/x'}}", camera.addr)).await;
        let (mut one, mut other) = (app.watch("/stream/cam.mjpeg").await, app.watch("/stream/cam.mjpeg").await);
        if file != "no-type.txt" {
            for n in 1..3 {
                one.until(&picture(n)).await;
                other.until(&picture(n)).await;
                camera.go_on.add_permits(1);
            }
        }
        one.until(&picture(3)).await;
        other.until(&picture(3)).await;
        assert_eq!(camera.connections(), 1, "{file}: one connection for all watchers");
        let stats = app.stats("cam").await;
        let damaged = if file == "broken-off.txt" { json!(1) } else { json!(null) };
        assert_eq!(stats["damaged"]["damaged"], damaged, "{file}: {stats}");
    }
}

#[tokio::test]
async fn a_text_of_the_camera_is_reported() {
    let camera = FakeCamera::of_bytes(|_| {
        let part = "--b\r\nContent-Type: text/plain\r\n\r\nNo frame\u{7} available.\r\n--b\r\n";
        Some(
            format!("HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n{part}")
                .into_bytes(),
        )
    })
    .await;
    let app = app(&format!("{{kind: http, url: 'http://{}/'}}", camera.addr)).await;
    let _watch = app.watch("/stream/cam.mjpeg").await;
    eventually("the reason contains the text of the camera", async || {
        app.stats("cam").await["reason"]
            .as_str()
            .is_some_and(|text| text.contains("the camera says: No frame available."))
    })
    .await;
}

/// A snapshot camera whose first picture is older than the request, and which answers with entity tags.
#[tokio::test]
async fn snapshots_are_polled_and_the_outdated_first_one_is_left_out() {
    let asked = AtomicUsize::new(0);
    let camera = FakeCamera::of_bytes(move |request| {
        assert!(request.starts_with("GET /capture HTTP/1.1\r\n"), "{request}");
        let n = asked.fetch_add(1, Ordering::SeqCst) as u32;
        if request.contains("if-none-match: \"2\"") {
            return Some(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec());
        }
        let n = n.min(2);
        let jpeg = picture(n);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nETag: \"{n}\"\r\nContent-Length: {}\r\n\r\n",
            jpeg.len()
        );
        Some([head.as_bytes(), &jpeg].concat())
    })
    .await;
    let url = format!("http://{}", camera.addr);
    let app = app(&format!("{{kind: http, url: '{url}', preset: esp32-cam, mode: snapshot, interval: 50ms}}")).await;
    let mut watcher = app.watch("/stream/cam.mjpeg").await;
    let first = watcher.part().await;
    assert_ne!(first.data, picture(0), "the outdated picture is not shown");
    watcher.until(&picture(2)).await;
    eventually("the camera is polled repeatedly", async || camera.requests.lock().len() > 6).await;
    assert_eq!(app.stats("cam").await["frames"], 2, "a picture that has not changed is not a new frame");
    assert_eq!(camera.connections(), 1, "one connection for all requests");
}

#[tokio::test]
async fn a_refusal_of_the_camera_is_reported_and_retried() {
    let answer = |head: &str| format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    for (head, says, cause) in [
        ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=x", "user or password is wrong", "wrong_password"),
        ("503 Service Unavailable", "one at a time", "busy"),
        ("404 Not Found", "404", "not_found"),
        ("500 Internal Server Error", "500", "refused"),
        ("302 Found\r\nLocation: http://127.0.0.2/", "not in fetch.redirect_networks", "moved"),
        ("200 OK\r\nContent-Type: text/html", "answers with text/html", "not_a_picture"),
        ("200 OK\r\nContent-Type: image/jpeg", "no complete picture", "not_a_picture"),
    ] {
        let bytes = answer(head);
        let camera = FakeCamera::of_bytes(move |_| Some(bytes.clone())).await;
        let app = app(&format!("{{kind: http, url: 'http://eve:s3cret@{}/'}}", camera.addr)).await;
        let _watch = app.watch("/stream/cam.mjpeg").await;
        eventually(says, async || app.stats("cam").await["reason"].as_str().is_some_and(|text| text.contains(says)))
            .await;
        let shown = app.stats("cam").await;
        assert_eq!(shown["failure"]["cause"], cause, "{shown}");
        assert!(!shown.to_string().contains("s3cret"), "{shown}");
    }
}

/// The camera closes the connection in the middle of a picture, and accepts the next connection.
#[tokio::test]
async fn a_camera_that_closes_its_connection_is_connected_again() {
    let asked = AtomicUsize::new(0);
    let camera = FakeCamera::of_bytes(move |_| {
        let n = asked.fetch_add(1, Ordering::SeqCst) as u32;
        let head =
            b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\n\r\n".to_vec();
        // Half of the picture the second time.
        let jpeg = picture(n);
        let end = if n == 1 { 200 } else { jpeg.len() };
        Some([&head, &jpeg[..end], b"\r\n--b\r\nClose: x".as_slice()].concat())
    })
    .await;
    let app = TestApp::with(&format!(
        "stream_defaults: {{retry_max: 1s}}\nstreams: {{cam: {{kind: http, stale_after: 1s, url: 'http://{}/'}}}}",
        camera.addr
    ));
    let mut watcher = app.watch("/stream/cam.mjpeg").await;
    watcher.until(&picture(0)).await;
    watcher.until(&picture(2)).await;
    assert_eq!(camera.connections(), 3);
}

#[tokio::test]
async fn a_definition_is_validated_and_its_password_is_stored_but_not_shown() {
    let app = TestApp::spawn();
    let put = async |body: serde_json::Value| app.admin("PUT", "/api/v1/streams/cam", &body.to_string()).await;
    for (body, field) in [
        (json!({"kind": "http", "url": "rtsp://x/"}), "url"),
        (json!({"kind": "http", "url": "http://x/", "user": "a:b"}), "user"),
        (json!({"kind": "http", "url": "https://x/", "fingerprint": "12"}), "fingerprint"),
        (json!({"kind": "http", "url": "http://x/", "interval": "1ms"}), "interval"),
        (json!({"kind": "http", "url": "http://x/", "stale_after": "0s"}), "stale_after"),
        (json!({"kind": "http", "url": "http://x/", "warmup": "1h"}), "warmup"),
        (json!({"kind": "http", "url": "http://x/", "discard_first": 1000}), "discard_first"),
    ] {
        let refused = put(body.clone()).await;
        assert_eq!((refused.status, refused.json()["field"].as_str()), (422, Some(field)), "{body}: {refused:?}");
    }
    assert_eq!(
        put(json!({"kind": "http", "url": "http://x/", "pass": "***"})).await.status,
        422,
        "no password is stored yet"
    );
    let made = put(json!({"kind": "http", "url": "http://127.0.0.1:1/a", "user": "ann", "pass": "s3cret"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(
        (&made.json()["definition"]["user"], &made.json()["definition"]["pass"]),
        (&json!("ann"), &json!("***"))
    );
    let login_in_url = put(json!({"kind": "http", "url": "http://bob:p@ss@127.0.0.1:1/a"})).await.json();
    assert_eq!(login_in_url["definition"]["url"], "http://127.0.0.1:1/a");
    assert_eq!(
        (&login_in_url["definition"]["user"], &login_in_url["definition"]["pass"]),
        (&json!("bob"), &json!("***"))
    );
    assert_eq!(
        put(json!({"kind": "http", "url": "http://127.0.0.1:1/a", "user": "ann", "pass": "s3cret"})).await.status,
        200
    );
    // The definition as it is shown is sent back with another path, and then with another host.
    let mut shown = app.admin("GET", "/api/v1/streams/cam", "").await.json()["definition"].clone();
    shown["url"] = json!("http://127.0.0.1:1/b");
    assert_eq!(put(shown.clone()).await.status, 200);
    shown["url"] = json!("http://127.0.0.2:1/b");
    let refused = put(shown).await;
    assert_eq!((refused.status, refused.json()["field"].as_str()), (422, Some("pass")), "{refused:?}");
    let patched = app.admin("PATCH", "/api/v1/streams/cam", r#"{"interval": "2s"}"#).await;
    assert_eq!((patched.status, &patched.json()["definition"]["pass"]), (200, &json!("***")), "{patched:?}");
    // After a restart.
    let password = app.password.clone();
    let mut app = TestApp::in_folder(app.stop(), "");
    app.password = password;
    assert_eq!(app.admin("GET", "/api/v1/streams/cam", "").await.json()["definition"]["pass"], "***");
    let database = std::fs::read(app.folder().join("data/sidecar.db")).expect("reads");
    assert!(database.windows(6).any(|w| w == b"s3cret"), "the password itself is stored");
}
