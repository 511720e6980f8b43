//! Pictures from topics of a real broker, and the connection to it.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::support::{
    Program, TestApp, basic, eventually, free_port, mosquitto::Mosquitto, noise, picture, sized_picture, tls::Authority,
};

/// A sidecar with this broker, these further settings of the section `mqtt`, and these further sections.
fn sidecar(broker: &Mosquitto, settings: &str, sections: &str) -> TestApp {
    TestApp::with(&format!("mqtt: {{{}{settings}}}\n{sections}", broker.settings()))
}

async fn connection(app: &TestApp) -> Value {
    app.admin("GET", "/api/v1/mqtt", "").await.json()
}

async fn is_connected(app: &TestApp) {
    eventually("the sidecar is connected", async || connection(app).await["state"] == "connected").await;
}

/// Publishes a message until the stream shows this picture: the broker may not have the subscription yet.
async fn shows(app: &TestApp, broker: &Mosquitto, (name, topic): (&str, &str), payload: &[u8], expected: &[u8]) {
    eventually("the picture is shown", async || {
        broker.publish(topic, payload, &[]).await;
        app.get(&format!("/snapshot/{name}.jpg")).await.body == expected
    })
    .await;
}

const DOOR: (&str, &str) = ("door", "cam/door");

#[tokio::test]
async fn a_picture_is_taken_from_every_form_of_message() {
    let broker = Mosquitto::start().await;
    let app = sidecar(
        &broker,
        "",
        "streams: {door: {kind: mqtt, topic: cam/door}, yard: {kind: mqtt, topic: cam/yard, pointer: /event/picture}}",
    );
    is_connected(&app).await;
    let _watching = (app.watch("/stream/door.mjpeg").await, app.watch("/stream/yard.mjpeg").await);
    let base64 = |n: u32| BASE64_STANDARD.encode(picture(n));
    for (n, payload) in [
        (1, picture(1)),
        (2, base64(2).into_bytes()),
        (3, format!("data:image/jpeg;base64,{}", base64(3)).into_bytes()),
        (4, json!({ "message": "motion", "imagebase64": base64(4) }).to_string().into_bytes()),
    ] {
        shows(&app, &broker, DOOR, &payload, &picture(n)).await;
    }
    let nested = json!({ "event": { "picture": base64(5) } }).to_string();
    shows(&app, &broker, ("yard", "cam/yard"), nested.as_bytes(), &picture(5)).await;

    // What is no picture is named, and the last picture stays.
    for (payload, says) in [
        (&b"ON"[..], "base64"),
        (b"motion detected!", "neither a picture nor JSON nor base64"),
        (b"{\"state\": 1}", "/image, /imagebase64, /data, /snapshot"),
        (b"\xff\xd8\xff\xe0 cut off", "JPEG"),
    ] {
        eventually(says, async || {
            broker.publish("cam/door", payload, &[]).await;
            let stats = app.stats("door").await;
            stats["reason"].as_str().is_some_and(|reason| reason.contains(says)) && stats["damaged"]["mqtt"] != 0
        })
        .await;
        assert_eq!(app.get("/snapshot/door.jpg").await.body, picture(4));
    }
    broker.publish("cam/yard", json!({ "event": {} }).to_string().as_bytes(), &[]).await;
    eventually("the pointer is named", async || {
        app.stats("yard").await["reason"].as_str().is_some_and(|reason| reason.contains("/event/picture"))
    })
    .await;
}

#[tokio::test]
async fn a_kept_picture_is_shown_and_never_counts_as_fresh() {
    let broker = Mosquitto::start().await;
    broker.publish("cam/door", &picture(1), &["-r"]).await;
    let app = sidecar(&broker, "", "streams: {door: {kind: mqtt, topic: cam/door}}");
    is_connected(&app).await;
    let mut watching = app.watch("/stream/door.mjpeg").await;
    watching.until(&picture(1)).await;
    assert_eq!(app.get("/snapshot/door.jpg").await.body, picture(1));
    let fresh = app.get("/snapshot/door.jpg?max_age=1h").await;
    assert_eq!(fresh.status, 504, "{}", fresh.detail());
    let age = app.stats("door").await["picture"]["age_seconds"].as_f64().expect("an age");
    assert!(age > 1e9, "unknown, so as old as can be: {age}");
    broker.publish("cam/door", &picture(2), &[]).await;
    watching.until(&picture(2)).await;
    assert_eq!(app.get("/snapshot/door.jpg?max_age=1h").await.body, picture(2));
}

#[tokio::test]
async fn a_topic_is_subscribed_while_it_is_watched_and_with_keep_all_the_time() {
    let broker = Mosquitto::start().await;
    let streams = "streams: {kept: {kind: mqtt, topic: a/kept, keep: yes}, lazy: {kind: mqtt, topic: a/lazy}}";
    let app = sidecar(&broker, "", streams);
    is_connected(&app).await;
    let topics = async || -> Vec<String> {
        let known = connection(&app).await["subscriptions"].as_array().cloned().unwrap_or_default();
        let topics = known.iter().filter_map(|one| one["topic"].as_str());
        topics.filter(|topic| topic.starts_with("a/")).map(str::to_owned).collect()
    };
    assert_eq!(topics().await, ["a/kept"]);
    eventually("the kept picture has arrived", async || {
        broker.publish("a/kept", &picture(7), &[]).await;
        connection(&app).await["subscriptions"][0]["messages"].as_u64() > Some(0)
    })
    .await;
    assert_eq!(app.get("/snapshot/kept.jpg").await.body, picture(7), "it had arrived before anyone watched");
    let watching = app.watch("/stream/lazy.mjpeg").await;
    eventually("subscribed", async || topics().await == ["a/kept", "a/lazy"]).await;
    drop(watching);
    eventually("no longer subscribed", async || topics().await == ["a/kept"]).await;
}

#[tokio::test]
async fn a_broker_that_was_killed_is_found_again_and_its_topics_are_subscribed_again() {
    let mut broker = Mosquitto::start().await;
    let app = sidecar(&broker, "", "streams: {door: {kind: mqtt, topic: cam/door}}");
    is_connected(&app).await;
    let _watching = app.watch("/stream/door.mjpeg").await;
    shows(&app, &broker, DOOR, &picture(1), &picture(1)).await;
    assert_eq!(broker.next("mtx/available").await, b"online");
    broker.kill().await;
    eventually("the stream says why", async || {
        let known = connection(&app).await;
        let reason = app.stats("door").await["reason"].as_str().unwrap_or_default().to_owned();
        known["state"] == "waiting" && reason.contains("the next attempt")
    })
    .await;
    broker.run().await;
    shows(&app, &broker, DOOR, &picture(2), &picture(2)).await;
    assert_eq!(broker.next("mtx/available").await, b"online");
    app.stop();
    assert_eq!(broker.next("mtx/available").await, b"offline");
}

#[tokio::test]
async fn the_broker_tells_of_a_sidecar_that_was_killed() {
    let broker = Mosquitto::start().await;
    let (folder, ports) = (tempfile::tempdir().expect("a folder"), [free_port(), free_port()]);
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.arg("serve").current_dir(folder.path()).kill_on_drop(true);
    for (key, value) in [
        ("HTTP__LISTEN", format!("127.0.0.1:{}", ports[0])),
        ("RTSP__LISTEN", format!("127.0.0.1:{}", ports[1])),
        ("MQTT__URL", format!("mqtt://127.0.0.1:{}", broker.port)),
        ("MQTT__PREFIX", "mtx".into()),
    ] {
        command.env(format!("SIDECAR__{key}"), value);
    }
    let mut available = broker.follow("mtx/available");
    let mut sidecar = command.stdout(std::process::Stdio::null()).spawn().expect("starts");
    available.line("mtx/available online").await;
    assert_eq!(broker.kept("mtx/available").await.as_deref(), Some(&b"online"[..]));
    sidecar.kill().await.expect("is killed");
    available.line("mtx/available offline").await;
    assert_eq!(broker.kept("mtx/available").await.as_deref(), Some(&b"offline"[..]), "the last will is kept, too");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_left_out_and_the_connection_stays() {
    let broker = Mosquitto::start().await;
    let (large, small) = (noise(400, 1), sized_picture(64, 48, 1));
    assert!(large.len() > 110 << 10, "{} bytes", large.len());
    broker.publish("cam/door", &large, &["-r"]).await;
    let app = sidecar(&broker, "", "limits: {frame_size: 30K}\nstreams: {door: {kind: mqtt, topic: cam/door}}");
    is_connected(&app).await;
    let _watching = app.watch("/stream/door.mjpeg").await;
    eventually("the stream says why", async || {
        app.stats("door").await["reason"].as_str().is_some_and(|reason| reason.contains("limits.frame_size"))
    })
    .await;
    shows(&app, &broker, DOOR, &small, &small).await;
    let known = connection(&app).await;
    assert_eq!((&known["connections"], &known["counters"]["oversize"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_wrong_password_is_said_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let passwords = folder.path().join("passwords").to_string_lossy().into_owned();
    Program::output("mosquitto_passwd", &["-c", "-b", &passwords, "cam", "right"]).await;
    let passwords = std::fs::read_to_string(&passwords).expect("reads");
    let config = "allow_anonymous false\npassword_file FOLDER/passwords\nacl_file FOLDER/acl\n";
    let files =
        [("passwords", passwords.as_str()), ("acl", "user cam\ntopic readwrite cam/#\ntopic readwrite mtx/#\n")];
    let broker = Mosquitto::with_files(config, &files, &["-u", "cam", "-P", "right"]).await;
    for (login, says) in [
        (", user: cam, pass: hunter2", "the broker refuses the user cam"),
        ("", "the broker wants a user and a password"),
    ] {
        let app = sidecar(&broker, login, "streams: {door: {kind: mqtt, topic: cam/door}}");
        eventually("the broker refuses", async || connection(&app).await["state"] == "refused").await;
        let known = connection(&app).await.to_string();
        assert!(known.contains(says) && !known.contains("hunter2"), "{known}");
        // Brokers count failed sign-ins.
        let pause = known.split("the next attempt follows in ").nth(1).and_then(|rest| rest.split(' ').next());
        assert!(pause.and_then(|seconds| seconds.parse().ok()) >= Some(20), "{known}");
        let _watching = app.watch("/stream/door.mjpeg").await;
        eventually("the stream says why", async || {
            app.stats("door").await["reason"].as_str().is_some_and(|reason| reason.contains(says))
        })
        .await;
        let settings = app.admin("GET", "/api/v1/settings", "").await;
        assert!(!String::from_utf8_lossy(&settings.body).contains("hunter2"));
    }
    let streams = "streams: {door: {kind: mqtt, topic: cam/door}, other: {kind: mqtt, topic: secret/x, keep: yes}}";
    let app = sidecar(&broker, ", user: cam, pass: right", streams);
    is_connected(&app).await;
    let _watching = app.watch("/stream/door.mjpeg").await;
    shows(&app, &broker, DOOR, &picture(1), &picture(1)).await;
    let other = connection(&app).await["subscriptions"].to_string();
    // Mosquitto 2.0 accepts a subscription that its list does not permit, and sends nothing.
    assert!(other.contains("secret/x"), "{other}");
}

#[tokio::test]
async fn tls_needs_a_known_authority_or_the_fingerprint_and_a_broker_can_ask_for_a_certificate() {
    let authority = Authority::new().await;
    let (server, client) = (authority.sign("localhost").await, authority.sign("camera").await);
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("reads");
    let (ca, certificate, key) =
        (std::fs::read_to_string(authority.file()).expect("reads"), read(&server.certificate), read(&server.key));
    let port = free_port();
    let config = format!(
        "allow_anonymous true\nlistener {port} 127.0.0.1\ncafile FOLDER/ca.pem\ncertfile FOLDER/server.pem\n\
         keyfile FOLDER/key.pem\nrequire_certificate true\n"
    );
    let files = [("ca.pem", ca.as_str()), ("server.pem", &certificate), ("key.pem", &key)];
    let _broker = Mosquitto::with_files(&config, &files, &[]).await;
    let shown = format!("certificate: {}, key: {}", client.certificate.display(), client.key.display());
    let with = |settings: &str, ca: &str| {
        let url = format!("url: 'mqtts://localhost:{port}'");
        TestApp::with(&format!("fetch: {{ca_file: '{ca}'}}\nmqtt: {{{url}, {settings}}}\n"))
    };
    is_connected(&with(&shown, &authority.file())).await;
    let untrusted = with(&shown, "");
    let mut reason = String::new();
    eventually("it is not trusted", async || {
        let known = connection(&untrusted).await;
        reason = known["reason"].as_str().unwrap_or_default().to_owned();
        known["state"] == "waiting" && reason.contains("set its fingerprint ")
    })
    .await;
    let fingerprint = reason.split("fingerprint ").nth(1).and_then(|rest| rest.split(';').next()).expect("shown");
    is_connected(&with(&format!("{shown}, fingerprint: '{fingerprint}'"), "")).await;
    let without = with(&format!("fingerprint: '{fingerprint}'"), "");
    eventually("a certificate is missing", async || connection(&without).await["state"] == "waiting").await;
}

#[tokio::test]
async fn an_error_in_a_definition_names_the_field_and_the_rule() {
    let broker = Mosquitto::start().await;
    let app = sidecar(&broker, ", topics: [cam/#, '+/image']", "");
    let put = async |body: Value| app.admin("PUT", "/api/v1/streams/x", &body.to_string()).await;
    for (members, field, says) in [
        (json!({ "topic": "cam/+x" }), "topic", "wildcard"),
        (json!({ "topic": "" }), "topic", "1 to 1024 bytes"),
        (json!({ "topic": "house/alarm" }), "topic", "mqtt.topics"),
        (json!({ "topic": "cam/a", "pointer": "image" }), "pointer", "RFC 6901"),
        (json!({ "topic": "cam/a", "encoding": "raw", "pointer": "/image" }), "pointer", "json or auto"),
    ] {
        let mut body = members;
        body["kind"] = "mqtt".into();
        let answer = put(body.clone()).await;
        let text = answer.detail();
        assert!(answer.status == 422 && text.contains(says) && answer.json()["field"] == field, "{body}: {text}");
    }
    let good = json!({ "kind": "mqtt", "topic": "door/image", "keep": true });
    assert_eq!(put(good).await.status, 201);
    let off = TestApp::spawn();
    let refused = off.admin("PUT", "/api/v1/streams/x", r#"{"kind":"mqtt","topic":"a"}"#).await;
    assert!(refused.detail().contains("mqtt.url"), "{}", refused.problem());
    assert_eq!(connection(&off).await["state"], "off");
    let stranger = app.request("GET", "/api/v1/mqtt", &[&basic("x", "y")], b"").await;
    assert_eq!(stranger.status, 401);
}
