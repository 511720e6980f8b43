//! Addresses of other programs, with the requests that their clients send.

use crate::support::{
    FAR, MjpegReader, PATIENCE, Program, TestApp, basic, close_to, flat_picture, large_picture, picture,
};

const WEBCAMS: &str = "aliases: {webcams: [Printer/Bed, nozzle]}";

async fn printers() -> TestApp {
    let app = TestApp::with(WEBCAMS);
    app.put("/api/v1/streams/Printer/Bed/frame", &picture(1)).await;
    app.put("/api/v1/streams/nozzle/frame", &picture(2)).await;
    app
}

#[tokio::test]
async fn every_alias_gives_the_picture_of_its_stream() {
    let app = printers().await;
    for (path, number) in [
        ("/?action=snapshot", 1),
        ("/?action=snapshot_0&n=1", 1),
        ("/?action=snapshot_1", 2),
        ("/?action=snapshot&name=nozzle", 2),
        ("/?action=snapshot?1699", 1),
        ("/webcam/?action=snapshot?t=123", 1),
        ("/webcam/?action=snapshot", 1),
        ("/webcam?action=snapshot&cacheBust=17", 1),
        ("/webcam1/?action=snapshot", 1),
        ("/webcam2/?action=snapshot", 2),
        ("/webcam/snapshot", 1),
        ("/webcam2/snapshot", 2),
        ("/snapshot", 1),
        ("/capture", 1),
        ("/ustreamer/Printer/Bed/snapshot", 1),
        ("/ustreamer/nozzle/snapshot", 2),
        ("/api/frame.jpeg?src=Printer/Bed", 1),
        ("/api/frame.jpeg?src=Printer%2FBed&cache=10s", 1),
        ("/api/nozzle/latest.jpg", 2),
        ("/api/nozzle/latest.jpeg?bbox=1&timestamp=0", 2),
    ] {
        let response = app.get(path).await;
        assert_eq!((response.status, &response.body[..]), (200, &picture(number)[..]), "{path}");
        assert_eq!(response.header("content-type"), Some("image/jpeg"), "{path}");
        assert!(response.header("content-length").is_some(), "{path}");
        let head = app.request("HEAD", path, &[], b"").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    for (path, number) in [
        ("/?action=stream", 1),
        ("/?action=stream_1", 2),
        ("/webcam/?action=stream&1637502", 1),
        ("/webcam2/?action=stream", 2),
        ("/?action=stream?dummy=param.mjpg", 1),
        ("/?action=stream&dummy=param.mjpg", 1),
        ("/webcam/stream", 1),
        ("/stream", 1),
        ("/stream?key=0.123&extra_headers=1&dual_final_frames=1", 1),
        ("/ustreamer/nozzle/stream?advance_headers=1", 2),
        ("/api/stream.mjpeg?src=nozzle", 2),
        ("/api/nozzle?fps=5&h=4000", 2),
    ] {
        let mut reader = app.watch(path).await;
        assert_eq!(reader.part().await.data, picture(number), "{path}");
        let head = app.request("HEAD", path, &[], b"").await;
        assert_eq!(
            head.header("content-type"),
            Some("multipart/x-mixed-replace;boundary=boundarydonotcross"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn aliases_have_the_parameters_of_the_sidecar_s_own_addresses() {
    let app = TestApp::with(WEBCAMS);
    app.put("/api/v1/streams/Printer/Bed/frame", &large_picture(1)).await;
    app.put("/api/v1/streams/yard/frame", &large_picture(1)).await;
    for (path, side) in [
        ("/?action=snapshot&w=100", (Some(100), None)),
        ("/capture?width=120", (Some(120), None)),
        ("/api/frame.jpeg?src=yard&w=130&rotate=0&cache=10s", (Some(130), None)),
        ("/api/frame.jpeg?src=yard&h=90&rotate=90", (None, Some(90))),
        ("/api/yard/latest.jpg?height=80&quality=70", (None, Some(80))),
        ("/api/yard/latest.jpg?h=70", (None, Some(70))),
    ] {
        let header = mtx_sidecar::picture::jpeg::inspect(&app.get(path).await.body).expect("a JPEG");
        assert!(side.0.is_none_or(|width| width == header.width), "{path}: {header:?}");
        assert!(side.1.is_none_or(|height| height == header.height), "{path}: {header:?}");
    }
    for (path, field) in [
        ("/?action=command", "action"),
        ("/?action=", "action"),
        ("/?action=stream_x", "action"),
        ("/webcam/", "action"),
        ("/?action=snapshot&w=0", "w"),
        ("/stream?extra_headers=2", "extra_headers"),
        ("/api/frame.jpeg", "src"),
        ("/api/frame.jpeg?src=", "src"),
        ("/api/frame.jpeg?src=yard&cache=soon", "cache"),
        ("/api/stream.mjpeg", "src"),
    ] {
        let response = app.get(path).await;
        assert_eq!((response.status, response.json()["field"].as_str()), (400, Some(field)), "{path}");
    }
    for path in [
        "/webcam2/?action=snapshot",
        "/webcam2/snapshot",
        "/webcam9/stream",
        "/api/none/latest.jpg",
        "/api/v1/latest.jpg",
    ] {
        let response = app.get(path).await;
        assert_eq!(response.status, 404, "{path}");
    }
}

#[tokio::test]
async fn without_webcams_the_first_page_stays_and_aliases_name_the_missing_setting() {
    let app = TestApp::spawn();
    for path in ["/", "/?name=x", "/?reaction=stream"] {
        let page = app.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path}");
    }
    for path in ["/?action=stream", "/stream", "/snapshot", "/capture", "/state", "/webcam/?action=snapshot"] {
        let response = app.get(path).await;
        assert_eq!((response.status, response.problem().as_str()), (404, "unknown_stream"), "{path}");
        assert!(response.detail().contains("aliases.webcams"), "{path}: {}", response.detail());
    }
}

#[tokio::test]
async fn every_alias_requires_the_permission_of_its_stream() {
    let app = printers().await;
    let nothing = app.far("GET", "/snapshot/nozzle.jpg", "Accept: */*", "").await;
    assert_eq!(nothing.status, 401);
    let admin = basic("admin", app.password.as_deref().expect("generated"));
    for path in [
        "/?action=snapshot",
        "/?action=stream",
        "/?action=snapshot&name=nozzle",
        "/webcam/?action=stream",
        "/webcam2/?action=snapshot",
        "/webcam/stream",
        "/webcam/state",
        "/stream",
        "/snapshot",
        "/capture",
        "/state",
        "/ustreamer/nozzle/stream",
        "/ustreamer/nozzle/snapshot",
        "/ustreamer/nozzle/state",
        "/api/stream.mjpeg?src=nozzle",
        "/api/frame.jpeg?src=nozzle",
        "/api/nozzle/latest.jpg",
        "/api/nozzle",
    ] {
        let refused = app.far("GET", path, "Accept: */*", "").await;
        assert_eq!((refused.status, refused.problem().as_str()), (401, "unauthenticated"), "{path}");
        let wrong = app.far("GET", path, &basic("admin", "wrong"), "").await;
        assert!(matches!(wrong.status, 401 | 429), "{path}: {wrong:?}");
    }
    let right = app.far("GET", "/api/nozzle/latest.jpg", &admin, "").await;
    assert_eq!(right.status, 200);
    let push = app.far("POST", "/api/stream.mjpeg?dst=nozzle", "Accept: */*", "x").await;
    assert_eq!(push.status, 401);
}

/// The flags of ustreamer; its answers are in its src/ustreamer/http/server.c.
#[tokio::test]
async fn the_flags_and_the_state_of_ustreamer_are_answered_as_ustreamer_does() {
    let app = printers().await;
    let mut reader = app.watch("/stream?extra_headers=1").await;
    reader.part().await;
    let raw = reader.raw();
    let (width, height) = {
        let header = mtx_sidecar::picture::jpeg::inspect(&picture(1)).expect("a JPEG");
        (header.width, header.height)
    };
    for line in [
        "X-UStreamer-Online: true\r\n".to_owned(),
        "X-UStreamer-Dropped: 0\r\n".into(),
        format!("X-UStreamer-Width: {width}\r\n"),
        format!("X-UStreamer-Height: {height}\r\n"),
        "X-UStreamer-Client-FPS: ".into(),
        "X-UStreamer-Grab-Begin-Time: 1".into(),
        "X-UStreamer-Send-Time: 1".into(),
        "X-UStreamer-Latency: 0.".into(),
        format!("Content-Length: {}\r\n", picture(1).len()),
    ] {
        assert!(raw.contains(&line), "{line:?} in {}", &raw[..900]);
    }
    let mut empty = MjpegReader::new(app.send("GET", "/stream?zero_data=1&interval=40", &[], b"").await).await;
    crate::support::eventually("parts without pictures", async || {
        use tokio::io::AsyncReadExt;
        let mut data = [0; 4096];
        let n = empty.socket.read(&mut data).await.expect("reads");
        String::from_utf8_lossy(&data[..n]).contains("Content-Length: 0\r\n")
    })
    .await;
    let plain = app.get("/snapshot").await;
    assert!(plain.header("x-ustreamer-online").is_none(), "only on request");
    let snapshot = app.get("/ustreamer/nozzle/snapshot?extra_headers=1").await;
    assert_eq!(snapshot.header("x-ustreamer-online"), Some("true"));
    assert_eq!(snapshot.header("x-ustreamer-width"), Some(&*width.to_string()));
    assert!(snapshot.header("x-ustreamer-grab-begin-timestamp").is_some_and(|t| t.parse::<f64>().is_ok()));

    let _watcher = app.watch("/ustreamer/nozzle/stream").await;
    // A watched upload is `starting` until its producer has confirmed the stored picture.
    crate::support::eventually("the stream is live", async || app.stats("nozzle").await["state"] == "live").await;
    for path in ["/ustreamer/nozzle/state", "/webcam2/state"] {
        let state = app.get(path).await.json();
        assert_eq!((&state["ok"], &state["result"]["source"]["online"]), (&true.into(), &true.into()), "{state}");
        assert_eq!(state["result"]["source"]["resolution"], serde_json::json!({"width": width, "height": height}));
        assert_eq!(state["result"]["stream"]["clients"], 1, "{state}");
        assert!(
            state["result"]["encoder"]["quality"].is_u64() && state["result"]["stream"]["clients_stat"].is_object()
        );
    }
}

/// OctoPrint's timelapse sends its snapshot requests with Python's `requests`, and takes each answer with status 200.
#[tokio::test]
async fn octoprint_gets_its_snapshots() {
    let app = printers().await;
    let headers = [
        "User-Agent: python-requests/2.32.3",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
    ];
    let mut socket = app.send("GET", "/webcam/?action=snapshot", &headers, b"").await;
    use tokio::io::AsyncReadExt;
    let mut data = vec![];
    while !data.ends_with(&picture(1)) {
        assert!(socket.read_buf(&mut data).await.expect("reads") > 0, "closed too early");
    }
    let head = String::from_utf8_lossy(&data[..data.len() - picture(1).len()]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200") && !head.contains("content-encoding"), "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", picture(1).len())), "{head}");
}

/// moonraker-timelapse runs `wget URL -O FILE` and ends it after two seconds: an answer must not wait for anything. Here
/// each thing that it could wait for takes an hour.
#[tokio::test]
async fn moonraker_timelapse_s_wget_is_answered_at_once() {
    const HOURS: &str = "output: {snapshot_timeout: 1h, interval: 1h}\nstream_defaults: {start_timeout: 1h}";
    let app = TestApp::with(&format!("{HOURS}\n{WEBCAMS}"));
    app.put("/api/v1/streams/nozzle/frame", &picture(2)).await;
    let file = app.folder().join("frame000001.jpg");
    let url = format!("http://{}/webcam2/?action=snapshot", app.addr);
    Program::output("wget", &[&url, "-O", &file.to_string_lossy()]).await;
    assert_eq!(std::fs::read(&file).expect("written"), picture(2));
    // A camera without a picture: an error, and not an empty frame.
    let lost = "streams: {lost: {kind: file, path: gone.jpg}}\naliases: {webcams: [lost]}";
    let app = TestApp::with(&format!("{HOURS}\n{lost}"));
    let url = format!("http://{}/webcam/?action=snapshot", app.addr);
    // wget repeats a request that is answered with 504, up to 20 times by default.
    let mut wget = tokio::process::Command::new("wget");
    let wget = wget.args(["-q", "--tries=1", &url, "-O", "-"]).kill_on_drop(true).output();
    let ended = tokio::time::timeout(PATIENCE, wget).await.expect("in time").expect("runs");
    assert!(!ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
}

/// Home Assistant's MJPEG camera reads a still from the stream with aiohttp, up to the end of the first JPEG, and relays the
/// stream with its head to browsers; its generic camera requests stills with httpx.
#[tokio::test]
async fn home_assistant_reads_stills_and_the_stream() {
    let app = printers().await;
    let agent = "User-Agent: HomeAssistant/2026.11.1 aiohttp/3.13.2 Python/3.13";
    let headers = [agent, "Accept: */*", "Accept-Encoding: gzip, deflate, br, zstd"];
    let mut socket = app.send("GET", "/stream/nozzle.mjpeg", &headers, b"").await;
    use tokio::io::AsyncReadExt;
    let mut data = vec![];
    let still = loop {
        assert!(socket.read_buf(&mut data).await.expect("reads") > 0, "closed too early");
        let find = |what: &[u8]| data.windows(2).position(|w| w == what);
        if let (Some(from), Some(to)) = (find(b"\xff\xd8"), find(b"\xff\xd9")) {
            break &data[from..to + 2];
        }
    };
    assert_eq!(still, picture(2));
    let generic =
        ["User-Agent: HomeAssistant/2026.11.1 httpx/0.28.1 Python/3.13", "Accept: */*", "Connection: keep-alive"];
    let mut socket = app.send("GET", "/snapshot/nozzle.jpg?w=640", &generic, b"").await;
    let mut data = vec![];
    while !data.ends_with(&picture(2)) {
        assert!(socket.read_buf(&mut data).await.expect("reads") > 0, "closed too early");
    }
}

/// Programs that push to go2rtc can push to the same addresses here.
#[tokio::test]
async fn clients_of_go2rtc_can_push() {
    let app = TestApp::spawn();
    let body = [
        b"--frame\r\nContent-Type: image/jpeg\r\n\r\n".as_slice(),
        &picture(1),
        b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n",
        &picture(2),
        b"\r\n--frame--\r\n",
    ]
    .concat();
    let kind = "Content-Type: multipart/x-mixed-replace; boundary=frame";
    let pushed =
        app.request("POST", "/api/stream.mjpeg?dst=pushed", &["User-Agent: Go-http-client/1.1", kind], &body).await;
    assert_eq!((pushed.status, pushed.json()["frames"].as_u64()), (200, Some(2)), "{pushed:?}");
    assert_eq!(app.get("/api/frame.jpeg?src=pushed").await.body, picture(2));
    // A page of another site must not push.
    let foreign =
        app.request("POST", "/api/stream.mjpeg?dst=pushed", &["Origin: http://evil.example", kind], &body).await;
    assert_eq!(foreign.problem(), "cross_site");
    let missing = app.request("POST", "/api/stream.mjpeg", &[kind], &body).await;
    assert_eq!((missing.status, missing.json()["field"].as_str()), (400, Some("dst")));
    // The token in the URL, where go2rtc's users put it.
    let permissions = serde_json::json!([{"action": "read", "path": "pushed"}]);
    let made =
        app.made("/api/v1/tokens", serde_json::json!({"name": "t", "permissions": permissions, "expires": "1h"})).await;
    let path = format!("/api/frame.jpeg?src=pushed&token={}", made["token"].as_str().expect("a token"));
    assert_eq!(app.far("GET", &path, FAR, "").await.status, 200);
}

/// Frigate and many other programs read cameras with ffmpeg.
#[tokio::test]
async fn ffmpeg_reads_the_aliases_as_cameras() {
    let app = TestApp::with(WEBCAMS);
    app.put("/api/v1/streams/Printer/Bed/frame", &flat_picture(640, 480, [200, 30, 30])).await;
    for path in ["/?action=stream&w=320", "/stream?fps=5", "/api/stream.mjpeg?src=Printer/Bed&rotate=90"] {
        let url = format!("http://{}{path}", app.addr);
        let args = ["-v", "error", "-fflags", "nobuffer", "-flags", "low_delay", "-i", &url];
        let take = ["-frames:v", "1", "-vf", "scale=1:1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"];
        let pixel = Program::output("ffmpeg", &[&args[..], &take[..]].concat()).await;
        assert!(close_to([pixel[0], pixel[1], pixel[2]], [200, 30, 30]), "{path}: {pixel:?}");
    }
}

/// mjpg-streamer's input_http sends the NUL at the end of its string along with its request.
#[tokio::test]
async fn bytes_behind_the_request_of_a_stream_are_ignored() {
    use tokio::io::AsyncWriteExt;
    let app = printers().await;
    let mut socket = tokio::net::TcpStream::connect(app.addr).await.expect("connects");
    socket.write_all(b"GET /?action=stream HTTP/1.1\r\nHost: localhost\r\n\r\n\0").await.expect("sends");
    let mut reader = MjpegReader::new(socket).await;
    assert_eq!(reader.part().await.data, picture(1));
    app.put("/api/v1/streams/Printer/Bed/frame", &picture(3)).await;
    reader.until(&picture(3)).await;
}

/// The workers of Mainsail and Fluidd read by `fetch`, and need lengths; an `<img>` needs the head of the next part.
#[tokio::test]
async fn scripts_get_lengths_and_images_get_the_next_head() {
    let app = printers().await;
    let chrome =
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36";
    for (accept, has_lengths) in [
        ("Accept: */*", true),
        ("Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", false),
        ("Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", false),
    ] {
        let mut reader =
            MjpegReader::new(app.send("GET", "/webcam/?action=stream", &[chrome, accept], b"").await).await;
        reader.until(&picture(1)).await;
        assert_eq!(reader.raw().contains("Content-Length: "), has_lengths, "{accept}");
    }
}

#[tokio::test]
async fn pages_of_every_site_can_read_with_a_token_in_the_address() {
    let app = printers().await;
    let permissions = serde_json::json!([{"action": "read", "path": "nozzle"}]);
    let body = serde_json::json!({"name": "wall", "permissions": permissions, "expires": "1day"});
    let made = app.made("/api/v1/tokens", body).await;
    let token = made["token"].as_str().expect("a token");
    let from_a_page = "Origin: http://mainsail.local";
    let with_token = app.request("GET", &format!("/webcam2/?action=snapshot&token={token}"), &[from_a_page], b"").await;
    assert_eq!((with_token.status, with_token.header("access-control-allow-origin")), (200, Some("*")));
    let without = app.request("GET", "/webcam2/?action=snapshot", &[from_a_page], b"").await;
    assert_eq!((without.status, without.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn rates_in_the_state_are_integers() {
    let app = printers().await;
    let state = app.get("/ustreamer/nozzle/state").await.json();
    assert!(state["result"]["source"]["captured_fps"].is_u64(), "{state}");
    assert!(state["result"]["stream"]["queued_fps"].is_u64(), "{state}");
}
