use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Response, TestApp, basic, eventually, picture, sized_picture};

#[tokio::test]
async fn an_upload_to_either_address_is_shown_unchanged() {
    let app = TestApp::spawn();
    let response = app.put("/mjpeg-upload?name=Front/Door", &picture(1)).await;
    assert_eq!((response.status, &response.body[..]), (200, &b"{}"[..]), "the answer of the original program");
    let response =
        app.request("POST", "/api/v1/streams/Front/Door/frame", &["Content-Type: image/jpeg"], &picture(2)).await;
    assert_eq!(
        response.json(),
        serde_json::json!({"stream": "Front/Door", "seq": 2, "width": 64, "height": 48, "bytes": picture(2).len()})
    );
    assert_eq!(app.get("/snapshot/Front/Door.jpg").await.body, picture(2));
}

#[tokio::test]
async fn uploads_reach_every_watcher_in_order_and_before_the_next_repetition() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(0)).await;
    let (mut one, mut two) =
        (app.watch("/stream/cam.mjpeg").await, app.watch("/mjpeg-get?name=cam&interval=60000").await);
    one.until(&picture(0)).await;
    two.until(&picture(0)).await;
    for n in 1..=5 {
        app.put("/api/v1/streams/cam/frame", &picture(n)).await;
        // The interval of the second watcher is longer than the bound of the test.
        one.until(&picture(n)).await;
        two.until(&picture(n)).await;
    }
}

#[tokio::test]
async fn forms_and_other_formats_become_pictures() {
    let app = TestApp::spawn();
    let form = |name: &str, data: &[u8]| {
        let head = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: image/jpeg\r\n\r\n"
        );
        [head.as_bytes(), data, b"\r\n--XX--\r\n"].concat()
    };
    let headers = ["Content-Type: multipart/form-data; boundary=XX"];
    let response = app.request("POST", "/api/v1/streams/form/frame", &headers, &form("a.jpg", &picture(1))).await;
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(app.get("/snapshot/form.jpg").await.body, picture(1));

    let empty = b"--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--XX--\r\n";
    let response = app.request("POST", "/api/v1/streams/form/frame", &headers, empty).await;
    assert_eq!((response.status, response.problem().as_str()), (400, "empty_body"));

    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";
    let response = app.put("/api/v1/streams/png/frame", png).await;
    assert_eq!(response.status, 200, "{response:?}");
    let jpeg = app.get("/snapshot/png.jpg").await;
    assert_eq!(jpeg.header("content-type"), Some("image/jpeg"));
    assert!(jpeg.body.starts_with(&[0xFF, 0xD8]), "converted to JPEG at the upload");
}

#[tokio::test]
async fn one_request_can_contain_pictures_without_end() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(0)).await;
    let mut watcher = app.watch("/stream/cam.mjpeg").await;
    watcher.until(&picture(0)).await;
    let headers = ["Content-Type: multipart/x-mixed-replace; boundary=frame", "Transfer-Encoding: chunked"];
    let mut socket = app.send("POST", "/api/v1/streams/cam/frames", &headers, b"").await;
    for n in 1..=3 {
        let part =
            [format!("--frame\r\nContent-Length: {}\r\n\r\n", picture(n).len()).as_bytes(), &picture(n), b"\r\n"]
                .concat();
        for piece in part.chunks(700) {
            socket.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.expect("writes");
            socket.write_all(piece).await.expect("writes");
            socket.write_all(b"\r\n").await.expect("writes");
        }
        watcher.until(&picture(n)).await;
    }
    socket.write_all(b"0\r\n\r\n").await.expect("writes");
    let mut answer = vec![];
    socket.read_to_end(&mut answer).await.expect("an answer");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("\"frames\":3,\"skipped\":0"), "{text}");

    let back_to_back = [picture(4), b"noise".to_vec(), picture(5)].concat();
    let response =
        app.request("POST", "/api/v1/streams/cam/frames", &["Content-Type: image/jpeg"], &back_to_back).await;
    assert_eq!(response.json()["frames"], 2);
    watcher.until(&picture(5)).await;
}

#[tokio::test]
async fn broken_pictures_of_a_long_upload_are_skipped_and_counted() {
    let app = TestApp::spawn();
    let cut = &sized_picture(320, 240, 1)[..2000];
    let body = [
        b"--frame\r\nContent-Type: image/jpeg\r\n\r\n".to_vec(),
        cut.to_vec(),
        b"\r\n--frame\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbusy\r\n--frame\r\n\r\n".to_vec(),
        picture(1),
        b"\r\n--frame--\r\n".to_vec(),
    ]
    .concat();
    let headers = ["Content-Type: multipart/x-mixed-replace; boundary=frame"];
    let response = app.request("POST", "/api/v1/streams/cam/frames", &headers, &body).await;
    let json = response.json();
    assert_eq!((json["frames"].as_u64(), json["skipped"].as_u64() > Some(0)), (Some(1), true), "{json}");
    assert_eq!(app.get("/snapshot/cam.jpg").await.body, picture(1));

    let response =
        app.request("POST", "/api/v1/streams/cam/frames", &headers, b"--frame\r\n\r\nnothing\r\n--frame--\r\n").await;
    assert_eq!((response.status, response.problem().as_str()), (400, "invalid_body"));
    let response = app.request("POST", "/api/v1/streams/cam/frames", &headers, b"").await;
    assert_eq!((response.status, response.problem().as_str()), (400, "empty_body"));
}

#[tokio::test]
async fn a_name_in_use_by_another_kind_is_refused_before_the_body_is_sent() {
    let app = TestApp::with("streams: {card: {kind: test-card}}");
    for (method, path) in [
        ("PUT", "/mjpeg-upload?name=card"),
        ("PUT", "/api/v1/streams/card/frame"),
        ("POST", "/api/v1/streams/card/frames"),
    ] {
        // A large body is announced and never sent.
        let mut socket = app.send(method, path, &["Content-Length: 1000000"], b"").await;
        let mut answer = vec![];
        socket.read_to_end(&mut answer).await.expect("an answer");
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.starts_with("HTTP/1.1 409"), "{text}");
        assert!(text.contains("stream card is of kind test-card, and this needs one of kind upload"), "{text}");
    }
    let response = app.get("/mjpeg-get?name=card&type=udp").await;
    assert_eq!((response.status, response.problem().as_str()), (409, "kind_conflict"));
}

#[tokio::test]
async fn refused_uploads_do_not_change_the_stream() {
    let app = TestApp::with("limits: {frame_size: 100K, frame_pixels: 1000000}");
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let mut watcher = app.watch("/stream/cam.mjpeg").await;
    watcher.until(&picture(1)).await;
    let large = [picture(2), vec![0; 100 << 10]].concat();
    let bomb = sized_picture(1200, 1000, 1);
    assert!(bomb.len() < 100 << 10);
    let whole = sized_picture(320, 240, 1);
    for (what, body, status, code, says) in [
        ("empty", &b""[..], 400, "empty_body", "empty"),
        ("text", b"hello", 415, "not_a_picture", "a JPEG, PNG, WebP, GIF or BMP picture is needed"),
        ("cut", &whole[..whole.len() / 2], 422, "broken_picture", "cut off"),
        ("too many bytes", &large, 413, "frame_too_large", "limits.frame_size"),
        ("too many pixels", &bomb, 413, "frame_too_large", "limits.frame_pixels"),
    ] {
        for (method, path) in [("PUT", "/api/v1/streams/cam/frame"), ("POST", "/mjpeg-upload?name=cam")] {
            let response: Response = app.request(method, path, &[], body).await;
            assert_eq!((response.status, response.problem().as_str()), (status, code), "{what}");
            assert!(response.detail().contains(says), "{what}: {}", response.detail());
        }
    }
    // The client closes the connection in the middle of the body.
    let mut socket = app.send("PUT", "/api/v1/streams/cam/frame", &["Content-Length: 5000"], &picture(3)[..200]).await;
    socket.shutdown().await.expect("closes");
    // Another one stops sending, and gets an answer after http.upload_timeout.
    let mut silent = app.send("PUT", "/api/v1/streams/cam/frame", &["Content-Length: 5000"], &picture(3)[..200]).await;
    let mut answer = vec![];
    silent.read_to_end(&mut answer).await.expect("an answer");
    assert!(String::from_utf8_lossy(&answer).contains("http.upload_timeout"));

    let stats = app.stats("cam").await;
    assert_eq!((stats["frames"].as_u64(), stats["watchers"].as_u64()), (Some(1), Some(1)), "{stats}");
    app.put("/api/v1/streams/cam/frame", &picture(4)).await;
    watcher.until(&picture(4)).await;
}

#[tokio::test]
async fn streams_names_and_picture_memory_have_limits() {
    let app = TestApp::with("limits: {streams: 2, frame_size: 4K, frame_memory: 4K, name_length: 10}");
    let path = |name: &str| format!("/api/v1/streams/{name}/frame");
    assert_eq!(app.put(&path("a"), &picture(1)).await.status, 200);
    assert_eq!(app.put(&path("b"), &picture(1)).await.status, 200);
    let response = app.put(&path("c"), &picture(1)).await;
    assert_eq!((response.status, response.problem().as_str()), (503, "too_many_streams"));
    assert_eq!(response.header("retry-after"), Some("5"));
    let response = app.put(&path("elevenchars"), &picture(1)).await;
    assert_eq!((response.status, response.problem().as_str()), (400, "invalid_name"));

    // Watched pictures are not dropped to free memory. Each is about 1.2 KB, so a new picture of 2.5 KB has no room.
    let mut watchers = vec![];
    for name in ["a", "b"] {
        watchers.push(app.watch(&format!("/stream/{name}.mjpeg")).await);
    }
    let large = [sized_picture(64, 48, 9), vec![0; 2500]].concat();
    eventually("the upload is refused", async || app.put(&path("a"), &large).await.status == 507).await;
    assert_eq!(app.stats("b").await["picture"]["seq"], 1);
}

#[tokio::test]
async fn uploads_need_permission_to_publish() {
    let app = TestApp::with(
        "auth: {users: [{user: cam, pass: secret, permissions: [{action: publish, path: '~^yard/'}]}], generate_admin: no}",
    );
    let upload = async |name: &str, headers: &[&str]| {
        let response = app.request("PUT", &format!("/api/v1/streams/{name}/frame"), headers, &picture(1)).await;
        (response.status, response.header("www-authenticate").map(str::to_owned))
    };
    let right = basic("cam", "secret");
    assert_eq!(upload("yard/1", &[&right]).await.0, 200);
    assert_eq!(upload("yard/1", &[]).await, (401, Some("Basic realm=\"mtx-sidecar\", charset=\"UTF-8\"".into())));
    assert_eq!(upload("yard/1", &[&basic("cam", "wrong")]).await.0, 401);
    assert_eq!(upload("house/1", &[&right]).await, (403, None));
    assert!(app.registry.get("house/1").is_none());
}

/// Some encoders leave the marker out; ffmpeg and browsers show such a picture.
#[tokio::test]
async fn a_picture_that_lacks_nothing_but_its_end_of_image_marker_is_accepted() {
    let app = TestApp::spawn();
    let whole = sized_picture(320, 240, 1);
    let cut = &whole[..whole.len() - 2];
    assert_eq!(app.put("/api/v1/streams/cam/frame", cut).await.status, 200);
    assert_eq!(app.get("/snapshot/cam.jpg").await.body, whole);
    let other = sized_picture(320, 240, 2);
    let parts = [
        b"--frame\r\n\r\n",
        &other[..other.len() - 2],
        b"\r\n--frame\r\n\r\n",
        &whole[..whole.len() / 2],
        b"\r\n--frame--",
    ];
    let headers = ["Content-Type: multipart/x-mixed-replace; boundary=frame"];
    let many = app.request("POST", "/api/v1/streams/cam/frames", &headers, &parts.concat()).await.json();
    assert_eq!((many["frames"].as_u64(), many["skipped"].as_u64()), (Some(1), Some(1)), "{many}");
    assert_eq!(app.get("/snapshot/cam.jpg").await.body, other);
}

#[tokio::test]
async fn the_first_field_of_a_form_that_is_a_picture_counts() {
    let app = TestApp::spawn();
    let field = |disposition: &str, kind: &str, data: &[u8]| {
        let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
        let head = format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n{kind}\r\n");
        [head.as_bytes(), data, b"\r\n"].concat()
    };
    let send = async |fields: &[Vec<u8>]| {
        let body = [fields.concat(), b"--b--\r\n".to_vec()].concat();
        app.request("POST", "/api/v1/streams/alarm/frame", &["Content-Type: multipart/form-data; boundary=b"], &body)
            .await
    };
    let xml = field("name=\"a.xml\"; filename=\"a.xml\"", "application/xml", b"<EventNotificationAlert/>");
    let named = field("name=\"p\"; filename=\"detection.jpg\"", "image/jpeg", &picture(1));
    let bare = field("name=\"image\"", "", &picture(2));
    let typed = field("name=\"image\"", "image/jpeg", &picture(3));
    let text = field("name=\"comment\"", "", b"at the door");
    for (fields, number) in [
        (vec![named.clone(), xml.clone()], 1),
        (vec![xml.clone(), named], 1),
        (vec![bare.clone()], 2),
        (vec![text.clone(), xml.clone(), bare], 2),
        (vec![typed], 3),
    ] {
        let answer = send(&fields).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(app.get("/snapshot/alarm.jpg").await.body, picture(number));
    }
    let refused = send(&[text.clone(), xml]).await;
    assert_eq!((refused.status, refused.problem().as_str()), (415, "not_a_picture"), "{refused:?}");
    let empty = send(&[text]).await;
    assert_eq!((empty.status, empty.json()["field"].as_str()), (400, Some("file")), "{empty:?}");
}
