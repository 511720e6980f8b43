//! Video over MQTT at our own endpoint, with a client that keeps the order of messages of mqtt-video's page.

use actix_http::ws::Frame;
use rumqttc::{
    QoS,
    mqttbytes::v4::{Connect, ConnectReturnCode, Packet, PubAck, PubRel, Publish, Subscribe},
};
use serde_json::{Value, json};

use super::support::{
    FAR, TestApp, basic, eventually, flat_picture,
    mqtt_client::{MQTT, MqttClient, ask, bytes_of},
    picture,
};

const PUBLIC: &str = "mqtt_video: {public: [door], urls: [{url: 'http://cam.example/live', name: door}]}";

/// A sidecar with a picture in `door`, which is public, and one in `yard`.
async fn sidecar(settings: &str) -> TestApp {
    let app = TestApp::with(settings);
    for name in ["door", "yard"] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &flat_picture(320, 180, [200, 40, 40])).await;
    }
    app
}

/// The sessions of this protocol: user and path.
async fn sessions(app: &TestApp) -> Vec<(String, String)> {
    let listed = app.admin("GET", "/api/v1/sessions", "").await.json();
    let of = |session: &Value, key: &str| session[key].as_str().unwrap_or_default().to_owned();
    let listed = listed["sessions"].as_array().cloned().unwrap_or_default();
    let own = listed.iter().filter(|session| session["protocol"] == "mqtt-video");
    own.map(|session| (of(session, "user"), of(session, "path"))).collect()
}

async fn has_no_viewer(app: &TestApp) {
    eventually("the video ends", async || sessions(app).await.is_empty() && app.stats("door").await["watchers"] == 0)
        .await;
}

fn count(data: &[u8], word: &[u8]) -> usize {
    data.windows(word.len()).filter(|window| *window == word).count()
}

#[tokio::test]
async fn a_page_gets_the_codec_and_then_whole_groups_until_it_stops() {
    let app = sidecar(PUBLIC).await;
    let mut client = MqttClient::connect(&app).await;
    client.publish("client/register", &json!({"clientId": "id_0"})).await;
    let described = client.describe("door").await;
    let codec = described["mimeCodec"].as_str().expect("a media type").to_owned();
    assert!(codec.starts_with("video/mp4; codecs=\"avc1.42") && described["error"].is_null(), "{described}");
    client.play("door", "video_1").await;
    let first = client.message("video_1").await;
    assert_eq!((&first[4..8], count(&first, b"moov")), (&b"ftyp"[..], 1));
    assert!(count(&first, b"moof") > 0 && first.windows(6).any(|codec| codec == b"avc1\0\0"), "init segment and media");
    let second = client.message("video_1").await;
    assert_eq!((&second[4..8], count(&second, b"ftyp")), (&b"moof"[..], 0));
    assert!(count(&second, b"moof") > 1, "a group has several frames");
    assert_eq!(sessions(&app).await, [(String::new(), "door".to_owned())]);
    assert_eq!(app.stats("door").await["watchers"], 1);
    client.publish("client/stop", &json!({"url": "door"})).await;
    has_no_viewer(&app).await;
    // Start again, at the topics of the README, by another name of the stream.
    client.subscribe("video_2", QoS::AtMostOnce).await;
    client.publish("video/play", &json!({"url": "rtsp://any.host/door", "reply_topic": "video_2"})).await;
    assert_eq!(&client.message("video_2").await[4..8], b"ftyp");
    drop(client);
    has_no_viewer(&app).await;
    let metrics = String::from_utf8_lossy(&app.admin("GET", "/metrics", "").await.body).into_owned();
    assert!(metrics.contains("mtx_sidecar_watchers_left_total{output=\"mqtt-video\""), "{metrics}");
    assert!(metrics.contains("mtx_sidecar_mqtt_video_requests_total 5"), "{metrics}");
}

#[tokio::test]
async fn two_clients_with_the_same_identifier_play_at_once() {
    let app = sidecar(PUBLIC).await;
    let (mut one, mut two) = (MqttClient::connect(&app).await, MqttClient::connect(&app).await);
    for client in [&mut one, &mut two] {
        client.play("door", "video_1").await;
        assert_eq!(&client.message("video_1").await[4..8], b"ftyp");
    }
    assert_eq!(sessions(&app).await.len(), 2);
    two.publish("client/unregister", &json!({"clientId": "id_0"})).await;
    eventually("one has ended", async || sessions(&app).await.len() == 1).await;
    assert_eq!(&one.message("video_1").await[4..8], b"moof");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_answer_with_a_reason() {
    let app = sidecar(PUBLIC).await;
    app.user("alice", json!({"pass": "correct horse", "permissions": [{"action": "read", "path": "yard"}]})).await;
    let mut stranger = MqttClient::connect(&app).await;
    for (url, says) in [
        ("yard", "are required in CONNECT"),
        ("barn", "not in mqtt_video.public"),
        ("http://192.0.2.1/door", "mqtt_video.urls"),
        ("file:///etc/passwd", "no other address is opened"),
        ("a b", "name"),
        ("", "is empty"),
    ] {
        let refused = stranger.describe(url).await;
        let why = refused["error"].as_str().unwrap_or_default();
        assert!(refused["mimeCodec"] == "" && why.contains(says), "{url}: {refused}");
    }
    assert!(stranger.describe("http://cam.example/live").await["error"].is_null(), "an alias");
    stranger.play("yard", "video_1").await;
    let refused: Value = serde_json::from_slice(&stranger.message("video_1").await).expect("JSON");
    assert!(refused["error"].as_str().is_some_and(|why| why.contains("required")), "{refused}");

    let mut alice = MqttClient::open(&app, "/mqtt", &[FAR]).await.expect("opens");
    assert_eq!(alice.sign_in("alice", "correct horse").await, ConnectReturnCode::Success);
    assert!(alice.describe("yard").await["error"].is_null());
    assert!(alice.describe("door").await["error"].is_null(), "public");
    let refused = alice.describe("barn").await;
    assert!(refused["error"].as_str().is_some_and(|why| why.contains("user alice is not permitted")), "{refused}");
    let token =
        app.made("/api/v1/tokens", json!({"name": "t", "permissions": [{"action": "read"}], "expires": "1h"})).await;
    let token = token["token"].as_str().expect("a token").to_owned();
    let mut program = MqttClient::open(&app, "/mqtt", &[FAR]).await.expect("opens");
    assert_eq!(program.sign_in("", &token).await, ConnectReturnCode::Success);
    assert!(program.describe("yard").await["error"].is_null());
    let refused = program.describe("barn").await;
    assert!(refused["error"].as_str().is_some_and(|why| why.contains("no stream barn")), "{refused}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_counted() {
    let app = sidecar("auth: {failures_per_minute: 2}\nmqtt_video: {public: [door]}").await;
    let mut codes = vec![];
    for n in 0..4 {
        let mut client = MqttClient::open(&app, "/mqtt", &[]).await.expect("opens");
        codes.push(client.sign_in("admin", &format!("wrong {n}")).await);
        let (code, why) = client.ws.close_code().await;
        assert!(code == 1008 && why.contains("wrong"), "{code} {why}");
    }
    assert_eq!(codes[0], ConnectReturnCode::BadUserNamePassword);
    assert_eq!(codes[3], ConnectReturnCode::NotAuthorized, "further ones are not verified");
}

#[tokio::test]
async fn a_page_of_another_site_has_no_rights_of_the_browser() {
    let app = sidecar(PUBLIC).await;
    let stored = basic("admin", app.password.as_deref().expect("generated"));
    let origin = "Origin: http://page.example:8000";
    let mut page = MqttClient::open(&app, "/mqtt", &[origin, &stored]).await.expect("opens");
    assert_eq!(page.sign_in("", "").await, ConnectReturnCode::Success);
    assert!(page.describe("door").await["error"].is_null());
    assert!(page.describe("yard").await["error"].is_string());
    let mut program = MqttClient::open(&app, "/mqtt", &[&stored]).await.expect("opens");
    assert_eq!(program.sign_in("", "").await, ConnectReturnCode::Success);
    assert!(program.describe("yard").await["error"].is_null(), "credentials of the handshake");
    let token =
        app.made("/api/v1/tokens", json!({"name": "t", "permissions": [{"action": "read"}], "expires": "1h"})).await;
    let at = format!("/mqtt?token={}", token["token"].as_str().expect("a token"));
    let mut page = MqttClient::open(&app, &at, &[origin]).await.expect("opens");
    assert_eq!(page.sign_in("", "").await, ConnectReturnCode::Success);
    assert!(page.describe("yard").await["error"].is_null(), "a token in the address");
}

#[tokio::test]
async fn a_video_ends_when_its_user_is_removed_and_the_last_message_says_why() {
    let app = sidecar(PUBLIC).await;
    app.user("alice", json!({"pass": "correct horse", "permissions": [{"action": "read"}]})).await;
    let mut client = MqttClient::open(&app, "/mqtt", &[FAR]).await.expect("opens");
    assert_eq!(client.sign_in("alice", "correct horse").await, ConnectReturnCode::Success);
    client.play("yard", "video_1").await;
    assert_eq!(&client.message("video_1").await[4..8], b"ftyp");
    assert_eq!(sessions(&app).await, [("user alice".to_owned(), "yard".to_owned())]);
    assert_eq!(app.admin("DELETE", "/api/v1/users/alice", "").await.status, 204);
    let why: Value = loop {
        let message = client.message("video_1").await;
        if message.starts_with(b"{") {
            break serde_json::from_slice(&message).expect("JSON");
        }
    };
    assert!(why["error"].as_str().is_some_and(|why| why.contains("permission")), "{why}");
    assert_eq!(sessions(&app).await, []);
    assert!(client.describe("yard").await["error"].is_string());
    assert!(client.describe("door").await["error"].is_null(), "the connection goes on, for public names");
}

#[tokio::test]
async fn packets_can_be_cut_and_joined_and_each_qos_is_answered() {
    let app = sidecar(PUBLIC).await;
    let mut client = MqttClient::open(&app, "/mqtt", &[]).await.expect("opens");
    let mut subscribe = Subscribe::new("client/describe/+", QoS::AtLeastOnce);
    subscribe.pkid = 9;
    let mut describe = Publish::new("client/describe", QoS::ExactlyOnce, ask("door", "client/describe/x").to_string());
    describe.pkid = 3;
    let all = bytes_of(&[
        Packet::Connect(Connect::new("")),
        Packet::Subscribe(subscribe),
        Packet::PingReq,
        Packet::Publish(describe.clone()),
    ]);
    for part in all.chunks(11) {
        client.ws.binary(part.to_vec()).await;
    }
    let mut kinds = vec![];
    let answer = loop {
        match client.packet().await {
            Packet::Publish(answer) => break answer,
            other => kinds.push(other.packet_type()),
        }
    };
    use rumqttc::mqttbytes::PacketType::{ConnAck, PingResp, PubRec, SubAck};
    assert_eq!(kinds, [ConnAck, SubAck, PingResp, PubRec]);
    assert_eq!((&answer.topic[..], answer.qos), (&b"client/describe/x"[..], QoS::AtLeastOnce));
    client.send(&[Packet::PubAck(PubAck::new(answer.pkid)), Packet::PubRel(PubRel::new(3))]).await;
    assert!(matches!(client.packet().await, Packet::PubComp(done) if done.pkid == 3));
    describe.qos = QoS::AtLeastOnce;
    client.send(&[Packet::Publish(describe)]).await;
    assert!(matches!(client.packet().await, Packet::PubAck(done) if done.pkid == 3));
}

#[tokio::test]
async fn mqtt_3_1_is_spoken_and_other_versions_are_refused() {
    let app = sidecar(PUBLIC).await;
    let mut old = app.ws("/mqtt", &["Sec-WebSocket-Protocol: mqttv3.1"]).await.expect("opens");
    assert!(old.head.contains("mqttv3.1"), "{}", old.head);
    old.binary(b"\x10\x12\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x04id_0".to_vec()).await;
    assert_eq!(old.next().await, Frame::Binary((&b"\x20\x02\x00\x00"[..]).into()));
    let mut new = app.ws("/mqtt", &[MQTT]).await.expect("opens");
    new.binary(b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02id".to_vec()).await;
    assert_eq!(new.next().await, Frame::Binary((&b"\x20\x02\x00\x01"[..]).into()));
    assert_eq!(new.close_code().await.0, 1008);
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_disconnected_with_the_rule_and_others_go_on() {
    let app = sidecar(PUBLIC).await;
    let mut other = MqttClient::connect(&app).await;
    other.play("door", "video_1").await;
    let connect = bytes_of(&[Packet::Connect(Connect::new("x"))]);
    for (sent, code, says) in [
        (b"GET / HTTP/1.1\r\n\r\n".repeat(8), 1002, "flags"),
        (bytes_of(&[Packet::PingReq]), 1002, "not CONNECT"),
        ([&connect[..], &connect].concat(), 1002, "second CONNECT"),
        ([&connect[..], b"\x30\xff\xff\xff\x7f"].concat(), 1009, "too large"),
        ([&connect[..], b"\x32\x05\x00\x01a\x00\x00"].concat(), 1002, "identifier"),
        (vec![0; 100_000], 1009, "too large"),
    ] {
        let mut client = app.ws("/mqtt", &[MQTT]).await.expect("opens");
        client.binary(sent).await;
        let (closed, why) = client.close_code().await;
        assert!(closed == code && why.contains(says), "{says}: {closed} {why}");
    }
    let mut client = app.ws("/mqtt", &[MQTT]).await.expect("opens");
    client.text("hello").await;
    assert_eq!(client.close_code().await.0, 1003);
    // Nothing is sent to a topic that the client has not subscribed.
    let mut client = MqttClient::connect(&app).await;
    client.publish("client/play", &ask("door", "video_7")).await;
    eventually("a video without a subscription ends", async || {
        let metrics = String::from_utf8_lossy(&app.admin("GET", "/metrics", "").await.body).into_owned();
        metrics.contains("mtx_sidecar_watchers_left_total{output=\"mqtt-video\",reason=\"connection closed\"} 1")
    })
    .await;
    assert_eq!(sessions(&app).await.len(), 1);
    assert_eq!(&other.message("video_1").await[4..8], b"ftyp");
    // The client says nothing more than it has promised.
    let mut silent = MqttClient::open(&app, "/mqtt", &[]).await.expect("opens");
    let mut connect = Connect::new("x");
    connect.keep_alive = 1;
    silent.send(&[Packet::Connect(connect)]).await;
    let (code, why) = silent.ws.close_code().await;
    assert!(code == 1002 && why.contains("keep-alive"), "{code} {why}");
}

#[tokio::test]
async fn a_port_of_its_own_has_the_endpoint_at_every_path_and_nothing_else() {
    let mut app = sidecar("mqtt_video: {listen: '127.0.0.1:0', public: [door]}").await;
    app.addr = app.mqtt.expect("the settings have it");
    for path in ["/mqtt", "/", "/api/v1/streams", "/snapshot/door.jpg"] {
        let plain = app.get(path).await;
        assert_eq!((plain.status, plain.problem().as_str()), (426, "not_a_websocket"), "{path}");
    }
    let mut client = MqttClient::open(&app, "/anything", &[]).await.expect("opens");
    assert_eq!(client.sign_in("", "").await, ConnectReturnCode::Success);
    client.play("door", "video_1").await;
    assert_eq!(&client.message("video_1").await[4..8], b"ftyp");
    let off = sidecar("mqtt_video: {enabled: no}").await;
    assert_eq!(off.get("/mqtt").await.problem(), "not_found");
}

#[tokio::test]
async fn videos_are_bounded_and_the_end_of_a_stream_is_told() {
    let app = sidecar("mqtt_video: {public: [door], max_viewers: 1}").await;
    let (mut one, mut two) = (MqttClient::connect(&app).await, MqttClient::connect(&app).await);
    one.play("door", "video_1").await;
    assert_eq!(&one.message("video_1").await[4..8], b"ftyp");
    let refused = two.describe("door").await;
    assert!(refused["error"].as_str().is_some_and(|why| why.contains("mqtt_video.max_viewers")), "{refused}");
    app.admin("DELETE", "/api/v1/streams/door", "").await;
    let last: Value = loop {
        let message = one.message("video_1").await;
        if message.starts_with(b"{") {
            break serde_json::from_slice(&message).expect("JSON");
        }
    };
    assert!(last["error"].as_str().is_some_and(|why| !why.is_empty()), "{last}");
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    eventually("the place is free", async || two.describe("door").await["error"].is_null()).await;
}
