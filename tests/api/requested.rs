//! Streams that a request makes, and the limits on them.

use serde_json::json;

use crate::support::{FAR, TestApp, bearer, eventually, picture};

async fn reader(app: &TestApp, name: &str) -> String {
    let wanted = json!({"name": name, "permissions": [{"action": "read"}], "expires": "1h"});
    bearer(app.made("/api/v1/tokens", wanted).await["token"].as_str().expect("a token"))
}

/// Asks for a stream, reads the head of the answer, and leaves. Returns the first line.
async fn ask(app: &TestApp, name: &str, headers: &[&str]) -> String {
    use tokio::io::AsyncReadExt;
    let mut socket = app.send("GET", &format!("/mjpeg-get?name={name}"), headers, b"").await;
    let mut line = vec![0; 12];
    tokio::time::timeout(crate::support::PATIENCE, socket.read_exact(&mut line))
        .await
        .expect("in time")
        .expect("reads");
    String::from_utf8_lossy(&line).into_owned()
}

#[tokio::test]
async fn streams_that_requests_made_give_way_to_uploads_and_definitions() {
    let app = TestApp::with("limits: {streams: 8}");
    let (eve, alice) = (reader(&app, "eve").await, reader(&app, "alice").await);
    for n in 0..40 {
        assert_eq!(ask(&app, &format!("eve{n}"), &[FAR, &eve]).await, "HTTP/1.1 200", "{n}");
        eventually("the watcher has left", async || {
            app.registry.get(&format!("eve{n}")).is_none_or(|stream| stream.stats().watchers == 0)
        })
        .await;
    }
    let names = || app.registry.list().iter().map(|stream| stream.name().to_string()).collect::<Vec<_>>();
    assert_eq!(names(), ["eve38", "eve39"], "a quarter for each caller, the newest ones");
    ask(&app, "alice", &[FAR, &alice]).await;
    assert_eq!(names(), ["alice", "eve38", "eve39"]);
    // Uploads and definitions get all places.
    for n in 0..7 {
        assert_eq!(app.put(&format!("/api/v1/streams/upload{n}/frame"), &picture(1)).await.status, 200, "{n}");
    }
    let defined = app.admin("PUT", "/api/v1/streams/defined", r#"{"kind":"test-card"}"#).await;
    assert_eq!((defined.status, names().len()), (201, 8), "{defined:?}");
    assert!(names().iter().all(|name| name.starts_with("upload") || name == "defined"), "{:?}", names());
    let full = app.put("/api/v1/streams/one-more/frame", &picture(1)).await;
    assert_eq!((full.status, full.problem().as_str()), (503, "too_many_streams"));
    let asked = app.request("GET", "/mjpeg-get?name=eve", &[FAR, &eve], b"").await;
    assert_eq!((asked.status, asked.problem().as_str()), (503, "too_many_streams"), "uploads do not give way");
}

#[tokio::test]
async fn watched_streams_and_those_with_an_upload_do_not_give_way() {
    let app = TestApp::with("limits: {streams: 8}");
    let (eve, alice) = (reader(&app, "eve").await, reader(&app, "alice").await);
    let mut held = vec![];
    for name in ["eve0", "eve1"] {
        held.push(app.send("GET", &format!("/mjpeg-get?name={name}"), &[FAR, &eve], b"").await);
        eventually("it is watched", async || app.registry.get(name).is_some_and(|stream| stream.stats().watchers == 1))
            .await;
    }
    let refused = app.request("GET", "/mjpeg-get?name=eve2", &[FAR, &eve], b"").await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "too_many_streams"));
    assert!(refused.detail().contains("limits.streams"), "{refused:?}");
    assert_eq!(ask(&app, "alice0", &[FAR, &alice]).await, "HTTP/1.1 200", "another caller has a part of its own");
    // The request came before the first upload, as from MediaMTX's ffmpeg.
    assert_eq!(app.put("/mjpeg-upload?name=alice0", &picture(1)).await.status, 200);
    for n in 1..9 {
        assert_eq!(ask(&app, &format!("alice{n}"), &[FAR, &alice]).await, "HTTP/1.1 200", "{n}");
        eventually("the watcher has left", async || {
            app.registry.get(&format!("alice{n}")).is_none_or(|stream| stream.stats().watchers == 0)
        })
        .await;
    }
    assert_eq!(app.get("/snapshot/alice0.jpg").await.body, picture(1));
    assert!(app.registry.get("eve0").is_some() && app.registry.get("eve1").is_some());
}

#[tokio::test]
async fn a_page_of_another_site_embeds_streams_that_exist_and_makes_none() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let foreign = [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: http://evil.example",
        "Referer: http://evil.example/page",
    ];
    for header in foreign {
        for target in ["/mjpeg-get?name=new", "/mjpeg-get?name=127.0.0.1&type=udp"] {
            let refused = app.request("GET", target, &[header], b"").await;
            assert_eq!((refused.status, refused.problem().as_str()), (403, "cross_site"), "{target} {header}");
        }
        assert_eq!(app.registry.len(), 1, "{header}");
        let embedded = app.request("GET", "/snapshot/door.jpg", &[header], b"").await;
        assert_eq!((embedded.status, &embedded.body[..]), (200, &picture(1)[..]), "{header}");
        assert_eq!(ask(&app, "door", &[header]).await, "HTTP/1.1 200", "{header}");
    }
    let origin = format!("Origin: http://{}", app.addr);
    let referer = format!("Referer: http://{}/viewer/", app.addr);
    let own = ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none", &origin, &referer, "Accept: */*"];
    for (n, header) in own.into_iter().enumerate() {
        assert_eq!(ask(&app, &format!("own{n}"), &[header]).await, "HTTP/1.1 200", "{header}");
        assert!(app.registry.get(&format!("own{n}")).is_some(), "{header}");
    }
}
