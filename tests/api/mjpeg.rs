use tokio::io::AsyncReadExt;

use crate::support::{TestApp, eventually, large_picture, picture};

#[tokio::test]
async fn the_head_is_that_of_mjpg_streamer() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let mut reader = app.watch("/stream/cam.mjpeg").await;
    reader.until(&picture(1)).await;
    let head = reader.head.to_ascii_lowercase();
    for line in [
        "content-type: multipart/x-mixed-replace;boundary=boundarydonotcross\r\n",
        "cache-control: no-store, no-cache, must-revalidate",
        "pragma: no-cache\r\n",
        "connection: close\r\n",
    ] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
    let raw = reader.raw();
    assert!(raw.starts_with("--boundarydonotcross\r\nContent-Type: image/jpeg\r\nContent-Length: "), "{}", &raw[..100]);
    assert!(raw.contains("\r\nX-Timestamp: 1"));
    // The boundary after the picture is sent before there is a next picture.
    assert!(raw.ends_with("\r\n--boundarydonotcross\r\n"));
}

/// crbug.com/527446; tests/api/browser.rs shows the bug in Chromium.
#[tokio::test]
async fn browsers_get_the_head_of_the_next_part_early() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let firefox = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    for (path, agent, ahead) in [
        ("/stream/cam.mjpeg", firefox, true),
        ("/mjpeg-get?name=cam", firefox, true),
        ("/stream/cam.mjpeg?advance_headers=0", firefox, false),
        ("/stream/cam.mjpeg", "User-Agent: curl/8.0", false),
        ("/stream/cam.mjpeg?advance_headers=1", "User-Agent: HomeAssistant/2026.11", true),
    ] {
        let mut reader = crate::support::MjpegReader::new(app.send("GET", path, &[agent], b"").await).await;
        reader.until(&picture(1)).await;
        app.put("/api/v1/streams/cam/frame", &picture(2)).await;
        reader.until(&picture(2)).await;
        let end = "--boundarydonotcross\r\nContent-Type: image/jpeg\r\n\r\n";
        assert_eq!(
            (reader.raw().ends_with(end), !reader.raw().contains("Content-Length")),
            (ahead, ahead),
            "{path} {agent}"
        );
        app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    }
    let response = app.get("/stream/cam.mjpeg?advance_headers=yes").await;
    assert_eq!((response.status, response.json()["field"].as_str()), (400, Some("advance_headers")));
}

#[tokio::test]
async fn head_requests_start_no_producer() {
    let app = TestApp::with("streams: {card: {kind: test-card}}");
    for path in ["/stream/card.mjpeg", "/mjpeg-get?name=unheard-of"] {
        let response = app.request("HEAD", path, &[], b"").await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("multipart/x-mixed-replace;boundary=boundarydonotcross"));
    }
    assert_eq!(app.stats("card").await["state"], "idle");
    assert!(app.registry.get("unheard-of").is_none());
    assert_eq!(app.request("HEAD", "/stream/none.mjpeg", &[], b"").await.status, 404);
    assert_eq!(app.request("HEAD", "/mjpeg-get?name=card", &[], b"").await.status, 409);
}

#[tokio::test]
async fn a_watcher_that_reads_nothing_does_not_delay_another() {
    let app = TestApp::spawn();
    let large = large_picture;
    app.put("/api/v1/streams/cam/frame", &large(0)).await;
    let idle = app.send("GET", "/stream/cam.mjpeg", &[], b"").await;
    let mut fast = app.watch("/stream/cam.mjpeg").await;
    fast.until(&large(0)).await;
    for n in 1..=40 {
        app.put("/api/v1/streams/cam/frame", &large(n)).await;
        fast.until(&large(n)).await;
    }
    // 16 MB were sent; the watcher that reads nothing holds at most one picture besides the latest.
    let held = app.registry.memory().used();
    assert!(held <= 3 * large(0).len(), "{held} bytes held");
    let stats = app.stats("cam").await;
    assert_eq!((stats["watchers"].as_u64(), stats["frames"].as_u64()), (Some(2), Some(41)));
    // When it reads, it gets the latest picture and not a queue of all pictures.
    let mut idle = crate::support::MjpegReader::new(idle).await;
    let mut parts = 0;
    while idle.part().await.data != large(40) {
        parts += 1;
        assert!(parts < 30, "it gets the pictures that it missed");
    }
    assert!(app.stats("cam").await["dropped"].as_u64() > Some(0), "the missed pictures are counted");
}

#[tokio::test]
async fn a_requested_stream_is_created_and_waits_for_a_picture() {
    let app = TestApp::with("stream_defaults: {placeholder_after: 50ms}");
    let mut reader = app.watch("/mjpeg-get?name=later&type=file&interval=1000").await;
    let first = reader.part().await;
    assert!(first.is_jpeg() && reader.raw().contains("X-Mtx-Placeholder: waiting"));
    assert_eq!(app.stats("later").await["origin"], "pull");
    app.put("/mjpeg-upload?name=later", &picture(1)).await;
    reader.until(&picture(1)).await;

    let response = app.get("/stream/never.mjpeg").await;
    assert_eq!((response.status, response.problem().as_str()), (404, "unknown_stream"));
}

#[tokio::test]
async fn the_removal_of_a_stream_ends_its_responses() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let mut reader = app.watch("/stream/cam.mjpeg").await;
    reader.until(&picture(1)).await;
    assert_eq!(app.admin("DELETE", "/api/v1/streams/cam", "").await.status, 204);
    while reader.maybe_part().await.is_some() {}
}

#[tokio::test]
async fn shutdown_ends_endless_responses_at_once_and_between_two_pictures() {
    // Waiting for a watcher to leave would take an hour.
    let app = TestApp::with("http: {shutdown_timeout: 1h}\noutput: {stall_timeout: 1h}");
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let mut readers = vec![];
    for _ in 0..5 {
        let mut reader = app.watch("/stream/cam.mjpeg").await;
        reader.until(&picture(1)).await;
        readers.push(reader);
    }
    app.ask_to_end();
    for mut reader in readers {
        while reader.maybe_part().await.is_some() {}
        assert!(reader.raw().ends_with("--boundarydonotcross\r\n"), "ended between two pictures");
    }
    app.stop();
}

#[tokio::test]
async fn the_number_of_watchers_is_limited() {
    let app = TestApp::with("limits: {watchers: 2}");
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let one = app.watch("/stream/cam.mjpeg").await;
    let _two = app.watch("/stream/cam.mjpeg").await;
    let response = app.get("/stream/cam.mjpeg").await;
    assert_eq!((response.status, response.problem().as_str()), (503, "too_many_watchers"));
    drop(one);
    eventually("a permit is free again", async || {
        let mut socket = app.send("GET", "/stream/cam.mjpeg", &[], b"").await;
        let mut start = [0; 12];
        socket.read_exact(&mut start).await.is_ok() && &start[9..] == b"200"
    })
    .await;
}

#[tokio::test]
async fn invalid_intervals_are_refused() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    for interval in ["0", "-1", "1e12", "1000000000000", "39", "", "abc", "3600001"] {
        for path in
            [format!("/stream/cam.mjpeg?interval={interval}"), format!("/mjpeg-get?name=cam&interval={interval}")]
        {
            let response = app.get(&path).await;
            assert_eq!((response.status, response.problem().as_str()), (400, "invalid_parameter"), "{path}");
            assert_eq!(response.json()["field"], "interval");
            assert!(response.detail().contains("from 40 to 3600000"), "{}", response.detail());
        }
    }
}

/// Home Assistant's MJPEG camera without a still URL (homeassistant/components/mjpeg/camera.py): it reads 102400 bytes, and
/// then looks for the first picture in them, within ten seconds.
#[tokio::test]
async fn home_assistant_finds_a_picture_in_the_first_bytes_that_it_reads() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let agent = "User-Agent: HomeAssistant/2026.11.0 httpx/0.28.1 Python/3.13";
    let mut socket = app.send("GET", "/stream/cam.mjpeg?interval=3600000", &[agent], b"").await;
    let mut data = vec![];
    let head = loop {
        data.push(socket.read_u8().await.expect("a head"));
        if data.ends_with(b"\r\n\r\n") {
            break data;
        }
    };
    assert!(head.starts_with(b"HTTP/1.1 200"));
    let mut chunk = vec![0; 102_400];
    let read = tokio::time::timeout(crate::support::PATIENCE, socket.read_exact(&mut chunk)).await;
    read.expect("so many bytes come at once").expect("and the connection lasts");
    let find = |wanted: &[u8]| chunk.windows(2).position(|two| two == wanted).expect("there");
    assert_eq!(chunk[find(b"\xFF\xD8")..find(b"\xFF\xD9") + 2], picture(1));
}
