//! Variants of another size, quality, orientation or rate, at every address with pictures.

use crate::support::{MjpegReader, TestApp, basic, eventually, flat_picture, large_picture, picture};

async fn figure(app: &TestApp, name: &str) -> f64 {
    let text = app.admin("GET", "/metrics", "").await.body;
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("mtx_sidecar_{name} ")).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

fn size_of(jpeg: &[u8]) -> (u32, u32) {
    let header = mtx_sidecar::picture::jpeg::inspect(jpeg).expect("a JPEG");
    (header.width, header.height)
}

#[tokio::test]
async fn eight_sizes_with_eight_watchers_each_need_eight_encodings_a_picture() {
    // No watcher gets the "waiting" picture, however slow this machine is.
    let app = TestApp::with("stream_defaults: {placeholder_after: 20s}");
    app.put("/api/v1/streams/cam/frame", &large_picture(0)).await;
    let mut watchers = vec![];
    for n in 1..=8 {
        for _ in 0..8 {
            watchers.push((60 * n, app.watch(&format!("/stream/cam.mjpeg?w={}&interval=3600000", 60 * n)).await));
        }
    }
    for number in 1..=3 {
        for (width, watcher) in &mut watchers {
            // The first picture is sent twice (for Safari).
            let copies = if number == 1 { 2 } else { 1 };
            for _ in 0..copies {
                assert_eq!(size_of(&watcher.part().await.data).0, *width);
            }
        }
        assert_eq!(figure(&app, "variant_encoded_total").await, 8.0 * f64::from(number));
        app.put("/api/v1/streams/cam/frame", &large_picture(number)).await;
    }
    let stats = app.stats("cam").await;
    assert_eq!(stats["watchers"], 64);
    assert_eq!(stats["variants"].as_array().map(Vec::len), Some(8));
    assert_eq!((&stats["variants"][0]["query"], &stats["variants"][0]["watchers"]), (&"w=120".into(), &8.into()));
    assert_eq!(figure(&app, "variants").await, 8.0);
    drop(watchers);
    eventually("without watchers there are no variants", async || figure(&app, "variants").await == 0.0).await;
    eventually("no variant watches the stream", async || app.stats("cam").await["watchers"] == 0).await;
}

#[tokio::test]
async fn a_snapshot_of_a_variant_is_revalidated_without_a_conversion() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &large_picture(1)).await;
    let original = app.get("/snapshot/cam.jpg").await;
    let small = app.get("/snapshot/cam.jpg?w=200&quality=60").await;
    assert_eq!((small.status, size_of(&small.body).0), (200, 200));
    for header in ["last-modified", "x-timestamp"] {
        assert_eq!(small.header(header), original.header(header), "the time of the picture, not of the conversion");
    }
    let tag = small.header("etag").expect("a tag").to_owned();
    assert_ne!(Some(&*tag), original.header("etag"));
    let before = figure(&app, "variant_encoded_total").await;
    for (query, etag, status) in [
        ("quality=60&width=200", tag.as_str(), 304),
        ("w=200&quality=60&rotate=360", &tag, 304),
        ("w=200", &tag, 200),
        ("", &tag, 200),
        // The entity tag of a variant that was never made follows from its picture.
        ("w=200&quality=60", "*", 304),
    ] {
        let again =
            app.request("GET", &format!("/snapshot/cam.jpg?{query}"), &[&format!("If-None-Match: {etag}")], b"").await;
        assert_eq!(again.status, status, "{query}");
    }
    assert_eq!(figure(&app, "variant_encoded_total").await, before + 1.0, "only w=200 is converted");

    let same = app.get("/snapshot/cam.jpg?rotate=360&flip=none&gray=0&fps=3").await;
    assert_eq!((&same.body, same.header("etag")), (&original.body, original.header("etag")));
    let turned = app.get("/snapshot/cam.jpg?rotate=90&max_age=60").await;
    let (width, height) = size_of(&original.body);
    assert_eq!(size_of(&turned.body), (height, width));
}

#[tokio::test]
async fn fifty_thumbnails_are_converted_once_for_each_picture() {
    let app = TestApp::spawn();
    for n in 0..50 {
        app.put(&format!("/api/v1/streams/wall/{n}/frame"), &flat_picture(640, 480, [n, 100, 100])).await;
    }
    for _ in 0..2 {
        let asked: Vec<_> = (0..50).map(|n| format!("/snapshot/wall/{n}.jpg?w=160&h=160")).collect();
        let all = asked.iter().map(|path| app.get(path));
        let all = futures_util::future::join_all(all).await;
        assert!(all.iter().all(|response| response.status == 200 && size_of(&response.body) == (160, 120)));
    }
    assert_eq!(figure(&app, "variant_encoded_total").await, 50.0);
    assert_eq!(figure(&app, "variant_shared_total").await, 50.0);
    assert!(figure(&app, "variant_cache_bytes").await > 10_000.0);
}

#[tokio::test]
async fn invalid_parameters_are_refused_before_a_producer_starts() {
    let app = TestApp::with("streams: {card: {kind: test-card}}");
    for path in ["/stream/card.mjpeg", "/snapshot/card.jpg", "/mjpeg-get?name=unheard-of"] {
        for (query, field) in [
            ("w=0", "w"),
            ("w=-1", "w"),
            ("h=99999999999", "h"),
            ("quality=NaN", "quality"),
            ("w=9&width=9", "w"),
            ("rotate=45", "rotate"),
            ("fit=cover", "fit"),
            ("fps=0", "fps"),
            ("flip=x", "flip"),
            ("gray=7", "gray"),
        ] {
            let joint = if path.contains('?') { '&' } else { '?' };
            let response = app.get(&format!("{path}{joint}{query}")).await;
            assert_eq!((response.status, response.json()["field"].as_str()), (400, Some(field)), "{path} {query}");
        }
    }
    assert_eq!(app.stats("card").await["state"], "idle");
    assert!(app.registry.get("unheard-of").is_none());
    let head = app.request("HEAD", "/stream/card.mjpeg?w=0", &[], b"").await;
    assert_eq!(head.status, 400);
}

#[tokio::test]
async fn too_many_variants_are_refused_with_a_time_to_retry() {
    let may = "permissions: [{action: read}, {action: publish}, {action: metrics}]";
    let app = TestApp::with(&format!(
        "variants: {{max: 3, max_per_caller: 2}}\nauth: {{users: [{{user: a, pass: a, {may}}}, {{user: b, pass: b, {may}}}]}}"
    ));
    let (a, b) = (basic("a", "a"), basic("b", "b"));
    app.request("PUT", "/api/v1/streams/cam/frame", &[&a], &large_picture(1)).await;
    let mut watchers = vec![];
    for width in [100, 200] {
        let socket = app.send("GET", &format!("/stream/cam.mjpeg?w={width}"), &[&a], b"").await;
        let mut watcher = MjpegReader::new(socket).await;
        watcher.part().await;
        watchers.push(watcher);
    }
    let as_ = async |who: &str, path: &str| app.request("GET", path, &[who], b"").await;
    for path in ["/stream/cam.mjpeg?w=300", "/snapshot/cam.jpg?w=300"] {
        let refused = as_(&a, path).await;
        assert_eq!((refused.status, refused.problem().as_str()), (503, "too_many_transcodes"));
        assert_eq!(refused.header("retry-after"), Some("5"));
        assert!(refused.detail().contains("variants.max_per_caller"), "{}", refused.detail());
    }
    assert_eq!(as_(&b, "/snapshot/cam.jpg?w=300").await.status, 200, "the quota is for each caller");
    // A variant that exists already does not count.
    assert_eq!(as_(&a, "/snapshot/cam.jpg?w=100").await.status, 200);
    assert_eq!(as_(&a, "/snapshot/cam.jpg?w=300").await.status, 200);
    let metrics = String::from_utf8_lossy(&as_(&a, "/metrics").await.body).into_owned();
    assert!(metrics.contains("mtx_sidecar_variant_refused_total 2.0"), "{metrics}");
    drop(watchers);
    eventually("the quota is free again", async || as_(&a, "/snapshot/cam.jpg?w=400").await.status == 200).await;
}

#[tokio::test]
async fn placeholders_and_failures_reach_the_watchers_of_a_variant() {
    let app = TestApp::with(
        "streams: {lost: {kind: file, path: gone.jpg}, empty: {kind: upload}}\nstream_defaults: {placeholder_after: 100ms}",
    );
    let waiting = app.get("/snapshot/empty.jpg?w=100").await;
    assert_eq!((waiting.status, waiting.header("x-mtx-placeholder")), (200, Some("waiting")));
    let lost = app.admin("GET", "/snapshot/lost.jpg?w=100", "").await;
    assert_eq!((lost.status, lost.problem().as_str()), (504, "no_picture"));
    assert!(lost.detail().contains("gone.jpg cannot be read"), "{}", lost.detail());

    let mut watcher = app.watch("/stream/empty.mjpeg?w=100&interval=40").await;
    watcher.part().await;
    assert!(watcher.raw().contains("X-Mtx-Placeholder: waiting"), "{}", watcher.raw());
    app.put("/api/v1/streams/empty/frame", &picture(1)).await;
    let (width, height) = size_of(&picture(1));
    while size_of(&watcher.part().await.data) != (100.min(width), 100.min(width) * height / width) {}
}

/// A watcher with one picture in a hundred seconds, and a watcher that gets every picture. The times at which pictures are due
/// are tested on a paused clock, in src/output/variants/tests.rs.
#[tokio::test]
async fn a_watcher_gets_no_more_pictures_than_the_rate_it_asks_for() {
    let app = TestApp::with("stream_defaults: {placeholder_after: 20s}");
    app.put("/api/v1/streams/cam/frame", &picture(0)).await;
    let mut slow = app.watch("/stream/cam.mjpeg?fps=0.01&interval=3600000").await;
    // The first picture is sent twice (for Safari).
    for _ in 0..2 {
        assert_eq!(slow.part().await.data, picture(0));
    }
    let mut every = app.watch("/stream/cam.mjpeg?interval=3600000").await;
    for n in 1..=6 {
        app.put("/api/v1/streams/cam/frame", &picture(n)).await;
        every.until(&picture(n)).await;
    }
    // The slow watcher reads to the end of the stream.
    assert_eq!(app.admin("DELETE", "/api/v1/streams/cam", "").await.status, 204);
    while every.maybe_part().await.is_some() {}
    assert!(slow.maybe_part().await.is_none(), "another picture was sent");
}
