//! HTTP cameras whose heads and lengths are wrong: what the body is decides.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::support::{TestApp, eventually, fake_camera::FakeCamera, picture};

const MULTIPART: &str = "multipart/x-mixed-replace;boundary=frame";

async fn app(camera: &FakeCamera, more: &str) -> TestApp {
    let url = format!("http://{}/x", camera.addr);
    TestApp::with(&format!("streams: {{cam: {{kind: http, url: '{url}'{more}}}}}"))
}

/// A camera that answers each request with the next picture, below this head. `{n}` in it is the length.
async fn stills(head: &'static str, tail: &'static [u8], cut: usize) -> FakeCamera {
    let asked = AtomicUsize::new(0);
    FakeCamera::of_bytes(move |_| {
        let jpeg = picture(asked.fetch_add(1, Ordering::SeqCst) as u32);
        let jpeg = &jpeg[..jpeg.len() - cut];
        let head = head.replace("{n}", &(jpeg.len() + tail.len()).to_string());
        Some([head.as_bytes(), jpeg, tail].concat())
    })
    .await
}

#[tokio::test]
async fn a_body_that_is_one_picture_is_polled_whatever_its_head_says() {
    for (what, head, more, keeps) in [
        (
            "multipart",
            "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=x\r\nContent-Length: {n}\r\n\r\n",
            "",
            true,
        ),
        (
            "multipart, mode snapshot",
            "HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed;boundary=x\r\nContent-Length: {n}\r\n\r\n",
            ", mode: snapshot",
            true,
        ),
        (
            "mode mjpeg",
            "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {n}\r\n\r\n",
            ", mode: mjpeg",
            true,
        ),
        ("HTML", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {n}\r\n\r\n", "", true),
        (
            "JSON, mode snapshot",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {n}\r\n\r\n",
            ", mode: snapshot",
            true,
        ),
        (
            "any data",
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {n}\r\n\r\n",
            "",
            true,
        ),
        ("no type", "HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n", "", true),
        ("text, up to the end", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n", "", false),
        ("no head at all", "", "", false),
        ("ICY", "ICY 200 OK\r\nContent-Type: image/jpeg\r\nConnection: close\r\n\r\n", "", false),
        (
            "a line without a name",
            "HTTP/1.1 200 OK\r\nTue, 12 Jun 2012 01:56:34 GMT\r\nContent-Length:{n}\r\n\r\n",
            "",
            true,
        ),
        ("a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\nConnection: close\r\n\r\n", "", false),
        (
            "chunked that is not",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            "",
            false,
        ),
    ] {
        let camera = stills(head, b"", 0).await;
        let app = app(&camera, &format!(", interval: 50ms{more}")).await;
        let mut watcher = app.watch("/stream/cam.mjpeg").await;
        for n in 0..3 {
            tokio::time::timeout(crate::support::PATIENCE, watcher.until(&picture(n)))
                .await
                .unwrap_or_else(|_| panic!("{what}"));
        }
        assert_eq!(app.stats("cam").await["state"], "live", "{what}");
        assert!(!keeps || camera.connections() == 1, "{what}: {} connections", camera.connections());
    }
}

#[tokio::test]
async fn a_still_of_which_only_the_end_is_wrong_is_shown_whole() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {n}\r\n\r\n";
    for (what, tail, cut) in [("no end-of-image marker", &b""[..], 2), ("bytes behind it", b"\0\0\0\0", 0)] {
        let camera = stills(head, tail, cut).await;
        let app = app(&camera, ", interval: 50ms").await;
        let mut watcher = app.watch("/stream/cam.mjpeg").await;
        for n in 0..2 {
            tokio::time::timeout(crate::support::PATIENCE, watcher.until(&picture(n)))
                .await
                .unwrap_or_else(|_| panic!("{what}"));
        }
    }
}

/// A stream of three pictures whose parts `part` writes, below this head.
async fn stream(head: &str, part: impl Fn(&[u8]) -> Vec<u8>) -> FakeCamera {
    let parts: Vec<_> = (1..=3).map(|n| part(&picture(n))).collect();
    let answer = [head.as_bytes(), &parts.concat(), b"--frame\r\n"].concat();
    FakeCamera::of_bytes(move |_| Some(answer.clone())).await
}

fn part(boundary: &str, length: usize, jpeg: &[u8]) -> Vec<u8> {
    let head = format!("--{boundary}\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), jpeg, b"\r\n"].concat()
}

#[tokio::test]
async fn headers_and_lengths_that_a_stream_does_not_need_do_no_harm() {
    let right = |jpeg: &[u8]| part("frame", jpeg.len(), jpeg);
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}Content-Type: {MULTIPART}\r\n\r\n");
    type Part = Box<dyn Fn(&[u8]) -> Vec<u8>>;
    let cases: Vec<(&str, String, Part)> = vec![
        ("a length of -1", head("Content-Length: -1\r\n"), Box::new(right)),
        ("a length of 0", head("Content-Length: 0\r\nConnection: keep-alive\r\n"), Box::new(right)),
        ("a length without end", head("Content-Length: 99999999999999999999\r\n"), Box::new(right)),
        ("a length that ends within a picture", head("Content-Length: 900\r\n"), Box::new(right)),
        ("folded headers", head("X: a\r\n  b\r\nX : c\r\n=\r\n"), Box::new(right)),
        ("another type", head("").replace(MULTIPART, "text/html"), Box::new(right)),
        ("another boundary", head("").replace("=frame", "=other"), Box::new(right)),
        ("no boundary", head("").replace(";boundary=frame", ""), Box::new(right)),
        ("parts that are said to be longer", head(""), Box::new(|jpeg| part("frame", jpeg.len() + 9, jpeg))),
        ("parts that are said to be much longer", head(""), Box::new(|jpeg| part("frame", jpeg.len() + 600, jpeg))),
        ("parts that are said to be shorter", head(""), Box::new(|jpeg| part("frame", jpeg.len() - 5, jpeg))),
        ("no end-of-image marker", head(""), Box::new(|jpeg| part("frame", jpeg.len() - 2, &jpeg[..jpeg.len() - 2]))),
    ];
    for (what, head, part) in cases {
        let camera = stream(&head, part).await;
        let app = app(&camera, "").await;
        let mut watcher = app.watch("/stream/cam.mjpeg").await;
        tokio::time::timeout(crate::support::PATIENCE, watcher.until(&picture(3)))
            .await
            .unwrap_or_else(|_| panic!("{what}"));
        let stats = app.stats("cam").await;
        assert_eq!((&stats["frames"], &stats["state"]), (&json!(3), &json!("live")), "{what}: {stats}");
        assert_eq!(camera.connections(), 1, "{what}");
    }
}

#[tokio::test]
async fn what_stays_refused_says_why() {
    let oversize = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", "X: y\r\n".repeat(20_000));
    for (answer, says) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n1234567",
            "two different values of Content-Length",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
        (oversize.as_str(), "64 KiB"),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbusy", "answers with text/plain"),
    ] {
        let answer = answer.as_bytes().to_vec();
        let camera = FakeCamera::of_bytes(move |_| Some(answer.clone())).await;
        let app = app(&camera, "").await;
        let _watch = app.watch("/stream/cam.mjpeg").await;
        eventually(says, async || app.stats("cam").await["reason"].as_str().is_some_and(|text| text.contains(says)))
            .await;
    }
    let limited = "limits: {frame_size: 1K}\n";
    let camera =
        stills("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {n}\r\n\r\n", &[0; 4096], 0).await;
    let url = format!("http://{}/x", camera.addr);
    let app = TestApp::with(&format!("{limited}streams: {{cam: {{kind: http, url: '{url}'}}}}"));
    let _watch = app.watch("/stream/cam.mjpeg").await;
    eventually("the limit is named", async || {
        app.stats("cam").await["reason"].as_str().is_some_and(|text| text.contains("limits.frame_size"))
    })
    .await;
}
