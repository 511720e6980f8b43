//! Watching and publishing by WebSocket.

use serde_json::json;

use crate::support::{FAR, TestApp, basic, eventually, large_picture, picture};

#[tokio::test]
async fn pictures_are_binary_messages_and_a_slow_client_skips_pictures() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/Front/Door/frame", &picture(1)).await;
    let mut client = app.ws("/ws/Front/Door?window=1&meta=1", &[]).await.expect("connects");
    assert!(!client.head.to_ascii_lowercase().contains("transfer-encoding"), "{}", client.head);
    assert_eq!(client.picture().await, picture(1));
    assert_eq!(app.stats("Front/Door").await["watchers"], 1);
    for n in 2..=10 {
        app.put("/api/v1/streams/Front/Door/frame", &picture(n)).await;
    }
    client.text(r#"{"ack":1}"#).await;
    assert_eq!(client.picture().await, picture(10), "the pictures between are skipped");
    let dropped = client.notice().await;
    assert_eq!((&dropped["type"], &dropped["frames"]), (&json!("dropped"), &json!(8)));
    drop(client);
    eventually("the stream has no watcher", async || app.stats("Front/Door").await["watchers"] == 0).await;
}

#[tokio::test]
async fn parameters_are_applied_and_variants_are_shared_with_mjpeg() {
    let app = TestApp::with("stream_defaults: {placeholder_after: 20s}");
    app.put("/api/v1/streams/cam/frame", &large_picture(1)).await;
    let mut client = app.ws("/ws/cam?w=100", &[]).await.expect("connects");
    let mut mjpeg = app.watch("/stream/cam.mjpeg?width=100").await;
    assert_eq!(client.picture().await, mjpeg.part().await.data);
    let stats = app.stats("cam").await;
    assert_eq!((&stats["watchers"], &stats["variants"][0]["watchers"]), (&json!(2), &json!(2)), "{stats}");
    for (query, field) in
        [("w=0", "w"), ("window=0", "window"), ("window=65", "window"), ("meta=x", "meta"), ("push=2", "push")]
    {
        let refused = app.ws(&format!("/ws/cam?{query}"), &[]).await.err().expect("refused");
        assert_eq!((refused.status, refused.json()["field"].as_str()), (400, Some(field)), "{query}");
    }
}

#[tokio::test]
async fn a_watcher_of_a_variant_gets_the_states_of_the_stream() {
    let app = TestApp::with("streams: {lost: {kind: file, path: gone.jpg}}");
    let mut client = app.ws("/ws/lost?w=100", &[]).await.expect("connects");
    loop {
        let notice = client.notice().await;
        if notice["state"] == "failing" {
            assert!(notice["reason"].as_str().is_some_and(|reason| reason.contains("gone.jpg")), "{notice}");
            break;
        }
    }
}

#[tokio::test]
async fn a_request_without_a_handshake_is_refused() {
    let app = TestApp::with("streams: {card: {kind: test-card}}");
    for (method, headers) in [("GET", &[][..]), ("GET", &["Upgrade: websocket", "Connection: Upgrade"])] {
        let plain = app.request(method, "/ws/card", headers, b"").await;
        assert_eq!((plain.status, plain.problem().as_str()), (426, "not_a_websocket"));
        assert_eq!(plain.header("upgrade"), Some("websocket"));
    }
    assert_eq!(app.request("POST", "/ws/card", &[], b"").await.status, 405);
    let unknown = app.ws("/ws/none", &[]).await.err().expect("refused");
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "unknown_stream"));
    assert_eq!(app.stats("card").await["state"], "idle");
}

/// RFC 6455, section 10.2.
#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let app = TestApp::with("http: {cors_origins: ['https://home.example']}\nstreams: {card: {kind: test-card}}");
    let ours = format!("Origin: http://{}", app.addr);
    for (origin, may) in [
        ("Origin: http://evil.example", false),
        ("Origin: null", false),
        (&ours, true),
        ("Origin: https://home.example", true),
    ] {
        for path in ["/ws/card", "/ws/up?push=1", "/api/ws?src=card"] {
            match app.ws(path, &[origin]).await {
                Ok(_) => assert!(may, "{origin} {path}"),
                Err(refused) => {
                    assert_eq!((refused.status, refused.problem().as_str()), (403, "cross_site"), "{origin} {path}");
                    assert!(!may, "{origin} {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn credentials_are_a_header_a_parameter_or_a_subprotocol() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let permissions = json!([{"action": "read", "path": "door"}]);
    let made = app.made("/api/v1/tokens", json!({"name": "wall", "permissions": permissions, "expires": "1day"})).await;
    let token = made["token"].as_str().expect("a token");
    let share = app.made("/api/v1/shares", json!({"path": "door", "expires": "1h"})).await;
    let code = share["code"].as_str().expect("a code");
    let refused = async |path: &str, header: &str| app.ws(path, &[FAR, header]).await.err().map(|r| r.status);

    assert_eq!(refused("/ws/door", "Accept: */*").await, Some(401));
    assert_eq!(refused("/ws/door", &basic("admin", app.password.as_deref().expect("generated"))).await, None);
    assert_eq!(refused("/ws/door", &format!("Authorization: Bearer {token}")).await, None);
    assert_eq!(refused(&format!("/ws/door?token={token}"), "Accept: */*").await, None);
    assert_eq!(refused(&format!("/api/ws?src=door&token={token}"), "Accept: */*").await, None);
    for shown in [token, code] {
        let header = format!("Sec-WebSocket-Protocol: mtx.jpeg, bearer.{shown}");
        let client = app.ws("/ws/door", &[FAR, &header]).await.expect("permitted");
        let head = client.head.to_ascii_lowercase();
        assert!(head.contains("sec-websocket-protocol: mtx.jpeg\r\n") && !head.contains("bearer"), "{head}");
    }
    for wrong in ["bearer.nonsense", &format!("bearer.{token}, bearer.{code}"), "bearer."] {
        let header = format!("Sec-WebSocket-Protocol: mtx.jpeg, {wrong}");
        assert_eq!(refused("/ws/door", &header).await, Some(401), "{wrong}");
    }
    let header = format!("Sec-WebSocket-Protocol: mtx.jpeg, bearer.{token}");
    assert_eq!(refused("/ws/other", &header).await, Some(403));
    assert_eq!(refused("/ws/door?push=1", &header).await, Some(403), "permission to read is not permission to publish");

    let mut client = app.ws("/ws/door", &[FAR, &header]).await.expect("permitted");
    client.picture().await;
    app.admin("DELETE", &format!("/api/v1/tokens/{}", made["id"].as_str().expect("an id")), "").await;
    assert_eq!(client.close_code().await, (1008, "permission lost".into()));
}

#[tokio::test]
async fn the_end_of_the_stream_and_of_the_program_closes_with_a_code() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    app.put("/api/v1/streams/other/frame", &picture(1)).await;
    let mut client = app.ws("/ws/cam?w=20", &[]).await.expect("connects");
    client.picture().await;
    let mut other = app.ws("/ws/other", &[]).await.expect("connects");
    other.picture().await;
    assert_eq!(app.admin("DELETE", "/api/v1/streams/cam", "").await.status, 204);
    assert_eq!(client.close_code().await.0, 1001);
    app.ask_to_end();
    assert_eq!(other.close_code().await, (1001, "the server is shutting down".into()));
}

#[tokio::test]
async fn each_pushed_picture_is_answered() {
    let app = TestApp::with("limits: {frame_size: 100K}\nstreams: {card: {kind: test-card}}");
    let mut client = app.ws("/ws/Yard/Cam?push=1", &[]).await.expect("connects");
    let mut watcher = None;
    for n in 1..=3 {
        client.binary(picture(n)).await;
        let answer = client.notice().await;
        assert_eq!((&answer["type"], &answer["seq"]), (&json!("taken"), &json!(n)), "{answer}");
        let watcher = match &mut watcher {
            Some(watcher) => watcher,
            none => none.insert(app.watch("/stream/Yard/Cam.mjpeg").await),
        };
        watcher.until(&picture(n)).await;
    }
    client.binary(b"GIF, perhaps".to_vec()).await;
    let answer = client.notice().await;
    assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("not_a_picture")), "{answer}");
    client.text("hello").await;
    assert_eq!(client.notice().await["code"], "invalid_body");
    // The connection stays open after an error.
    client.binary(picture(4)).await;
    assert_eq!(client.notice().await["seq"], 4);
    client.binary(vec![0; 101 << 10]).await;
    assert_eq!(client.close_code().await.0, 1009);

    let other_kind = app.ws("/ws/card?push=1", &[]).await.err().expect("refused");
    assert_eq!((other_kind.status, other_kind.problem().as_str()), (409, "kind_conflict"));
}

#[tokio::test]
async fn watchers_by_websocket_count_for_the_limit() {
    let app = TestApp::with("limits: {watchers: 1}");
    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let mut client = app.ws("/ws/cam", &[]).await.expect("connects");
    client.picture().await;
    let refused = app.ws("/ws/cam", &[]).await.err().expect("refused");
    assert_eq!((refused.status, refused.problem().as_str()), (503, "too_many_watchers"));
    drop(client);
    eventually("the permit is free", async || app.ws("/ws/cam", &[]).await.is_ok()).await;
}

/// The messages of go2rtc's page (www/video-rtc.js), and the answers that clients of go2rtc expect.
#[tokio::test]
async fn clients_of_go2rtc_get_video_and_mjpeg() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/cam/frame", &large_picture(1)).await;
    let mut client = app.ws("/api/ws?src=cam&w=100", &[]).await.expect("connects");
    client.text(r#"{"type":"webrtc/offer","value":"v=0"}"#).await;
    let refused = client.notice().await;
    assert_eq!(refused["type"], "error");
    assert!(refused["value"].as_str().is_some_and(|value| value.starts_with("webrtc/offer: ")), "{refused}");
    client.text(r#"{"type":"mse","value":"avc1.640029,mp4a.40.2"}"#).await;
    let begun = client.notice().await;
    assert_eq!(begun["type"], "mse", "{begun}");
    assert_eq!(client.picture().await[4..8], *b"ftyp");
    assert_eq!(client.picture().await[4..8], *b"moof");
    client.text(r#"{"type":"mjpeg"}"#).await;
    assert_eq!(client.notice().await, json!({"type": "mjpeg"}));
    let jpeg = loop {
        if let Ok(jpeg) = mtx_sidecar::picture::jpeg::inspect(&client.picture().await) {
            break jpeg;
        }
    };
    assert_eq!(jpeg.width, 100);
    let missing = app.ws("/api/ws", &[]).await.err().expect("refused");
    assert_eq!((missing.status, missing.json()["field"].as_str()), (400, Some("src")));
}
