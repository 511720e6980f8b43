//! Topics with wildcards at a real broker: each topic that sends pictures is a stream.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::{TestApp, eventually, mosquitto::Mosquitto, noise, picture};

fn sidecar(broker: &Mosquitto, settings: &str, stream: &str) -> TestApp {
    TestApp::with(&format!("mqtt: {{{}{settings}}}\nstreams: {{yard: {{kind: mqtt, {stream}}}}}", broker.settings()))
}

/// The names of the streams that topics made.
async fn made(app: &TestApp) -> BTreeSet<String> {
    let all = app.admin("GET", "/api/v1/streams", "").await.json();
    let all = all["streams"].as_array().cloned().unwrap_or_default();
    let made = all.into_iter().filter(|stream| stream["origin"] == "topic");
    made.map(|stream| stream["name"].as_str().expect("a name").to_owned()).collect()
}

/// Publishes pictures until their topics have these streams: the broker may not have the subscription yet.
async fn publish_until(app: &TestApp, broker: &Mosquitto, topics: &[&str], expected: &[&str]) {
    let expected: BTreeSet<_> = expected.iter().map(|name| (*name).to_owned()).collect();
    eventually("the topics have streams", async || {
        for (n, topic) in (1..).zip(topics) {
            broker.publish(topic, &picture(n), &[]).await;
        }
        made(app).await == expected
    })
    .await;
}

async fn group(app: &TestApp) -> Value {
    app.admin("GET", "/api/v1/mqtt", "").await.json()["groups"][0].clone()
}

#[tokio::test]
async fn each_topic_that_sends_pictures_is_a_stream() {
    let broker = Mosquitto::start().await;
    // Kept at the broker since before the start.
    broker.publish("cam/hall/image", &picture(9), &["-r"]).await;
    let app = sidecar(&broker, ", topics: [cam/#]", "topic: cam/+/image");
    eventually("the kept picture has a stream", async || made(&app).await.contains("yard/hall")).await;
    assert_eq!(app.get("/snapshot/yard/hall.jpg").await.body, picture(9));
    assert_eq!(app.get("/snapshot/yard/hall.jpg?max_age=1h").await.status, 504, "its age is unknown");

    for topic in ["cam/state/image", "cam/gate/other"] {
        broker.publish(topic, b"ON", &[]).await;
    }
    let topics = ["cam/gate/image", "cam/Front door/image"];
    eventually("the topics have streams", async || {
        for (n, topic) in (1..).zip(topics) {
            broker.publish(topic, &picture(n), &[]).await;
        }
        made(&app).await.len() == 3
    })
    .await;
    let names = made(&app).await.into_iter().collect::<Vec<_>>().join(" ");
    // A space is no character of a name.
    assert!(names.starts_with("yard/Front_door_") && names.ends_with(" yard/gate yard/hall"), "{names}");
    assert_eq!(app.get("/snapshot/yard/gate.jpg?max_age=1h").await.body, picture(1), "it waited for a watcher");
    let mut watching = app.watch("/stream/yard/gate.mjpeg").await;
    broker.publish("cam/gate/image", &picture(5), &[]).await;
    watching.until(&picture(5)).await;
    // The definition's own stream has the newest of all.
    let mut all = app.watch("/stream/yard.mjpeg").await;
    for (n, topic) in [(6, "cam/gate/image"), (7, "cam/hall/image")] {
        broker.publish(topic, &picture(n), &[]).await;
        all.until(&picture(n)).await;
    }
    eventually("what is no picture is counted", async || group(&app).await["left_out"].as_u64() >= Some(1)).await;
    let known = group(&app).await;
    assert_eq!((&known["name"], &known["streams"]), (&json!("yard"), &json!(3)), "{known}");
    assert!(known["problem"].as_str().is_some_and(|why| why.contains("cam/state/image sends no pictures")), "{known}");
    let metrics = app.admin("GET", "/metrics", "").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in ["mtx_sidecar_mqtt_connected 1", "mtx_sidecar_mqtt_topic_streams 3"] {
        assert!(metrics.lines().any(|other| other.starts_with(line)), "{line}: {metrics}");
    }
    assert!(metrics.contains(r#"mqtt_left_out_messages_total{reason="not_a_stream"}"#), "{metrics}");
}

#[tokio::test]
async fn streams_of_topics_follow_the_definition_and_end_when_the_topic_is_silent() {
    let broker = Mosquitto::start().await;
    let app = TestApp::with(&format!("mqtt: {{{}}}", broker.settings()));
    let put = async |body: Value| app.admin("PUT", "/api/v1/streams/yard", &body.to_string()).await;
    assert_eq!(put(json!({ "kind": "mqtt", "topic": "cam/+", "max_streams": 2 })).await.status, 201);
    eventually("the broker has the subscription", async || {
        broker.publish("cam/probe", b"ON", &[]).await;
        group(&app).await["left_out"].as_u64() >= Some(1)
    })
    .await;
    publish_until(&app, &broker, &["cam/a", "cam/b", "cam/c"], &["yard/a", "yard/b"]).await;
    eventually("the third one is said", async || {
        group(&app).await["problem"].as_str().is_some_and(|why| why.contains("max_streams"))
    })
    .await;
    // The definition changes while a stream is watched.
    let mut watching = app.watch("/stream/yard/a.mjpeg").await;
    watching.until(&picture(1)).await;
    assert_eq!(put(json!({ "kind": "mqtt", "topic": "cam/#", "expire": "1s" })).await.status, 200);
    eventually("unwatched streams end when their topics are silent", async || made(&app).await.len() == 1).await;
    broker.publish("cam/a", &picture(20), &[]).await;
    watching.until(&picture(20)).await;
    drop(watching);
    eventually("and ends, too", async || made(&app).await.is_empty()).await;

    assert_eq!(put(json!({ "kind": "mqtt", "topic": "cam/#" })).await.status, 200);
    // A name that is taken stays what it is, and the other topics go on.
    app.put("/api/v1/streams/yard/d/frame", &picture(8)).await;
    publish_until(&app, &broker, &["cam/d", "cam/e/f"], &["yard/e/f"]).await;
    assert_eq!(app.get("/snapshot/yard/d.jpg").await.body, picture(8));
    let mut watching = app.watch("/stream/yard/e/f.mjpeg").await;
    watching.until(&picture(2)).await;
    assert_eq!(app.admin("DELETE", "/api/v1/streams/yard", "").await.status, 204);
    eventually("they end with the definition", async || made(&app).await.is_empty()).await;
    while watching.maybe_part().await.is_some() {}
    let known = app.admin("GET", "/api/v1/mqtt", "").await.json();
    assert_eq!(known["groups"], json!([]), "{known}");
}

#[tokio::test]
async fn a_topic_of_several_streams_arrives_once_in_each() {
    let broker = Mosquitto::start().await;
    let app = TestApp::with(&format!(
        "mqtt: {{{}}}\nstreams: {{all: {{kind: mqtt, topic: 'cam/#'}}, one: {{kind: mqtt, topic: cam/a, keep: yes}}}}",
        broker.settings()
    ));
    publish_until(&app, &broker, &["cam/a"], &["all/a"]).await;
    let mut watching = (app.watch("/stream/all/a.mjpeg").await, app.watch("/stream/one.mjpeg").await);
    for n in 2..6 {
        broker.publish("cam/a", &picture(n), &[]).await;
        watching.0.until(&picture(n)).await;
        watching.1.until(&picture(n)).await;
    }
    // Mosquitto sends a message once for each filter.
    let frames = async |name| app.stats(name).await["frames"].as_u64().expect("a number");
    let (all, one) = (frames("all/a").await, frames("one").await);
    assert!((4..=6).contains(&all) && (4..=6).contains(&one), "{all} and {one} pictures");
}

#[tokio::test]
async fn a_message_of_many_topics_that_is_too_large_is_named() {
    let broker = Mosquitto::start().await;
    let settings = format!("limits: {{frame_size: 30K}}\nmqtt: {{{}}}", broker.settings());
    let app = TestApp::with(&format!("{settings}\nstreams: {{yard: {{kind: mqtt, topic: cam/+}}}}"));
    broker.publish("cam/large", &noise(400, 1), &["-r"]).await;
    eventually("it is named", async || {
        group(&app).await["problem"].as_str().is_some_and(|why| why.contains("limits.frame_size"))
    })
    .await;
    publish_until(&app, &broker, &["cam/a"], &["yard/a"]).await;
}

#[tokio::test]
async fn an_error_in_a_definition_with_wildcards_names_the_field_and_the_rule() {
    let broker = Mosquitto::start().await;
    let app = TestApp::with(&format!("mqtt: {{{}, topics: [cam/#, '+/image']}}", broker.settings()));
    for (members, field, says) in [
        (json!({ "topic": "#" }), "topic", "mqtt.topics"),
        (json!({ "topic": "+/cam" }), "topic", "selects more than the topics of mqtt.topics"),
        (json!({ "topic": "cam/a+" }), "topic", "whole level"),
        (json!({ "topic": "cam/#/x" }), "topic", "last level"),
        (json!({ "topic": "$share/x/cam/#" }), "topic", "shared"),
        (json!({ "topic": "cam/+", "max_streams": 0 }), "max_streams", "from 1 to 1000"),
        (json!({ "topic": "cam/+", "expire": "10ms" }), "expire", "from 1s"),
        (json!({ "topic": "cam/a", "expire": "1h" }), "expire", "wildcards"),
        (json!({ "topic": "cam/a", "max_streams": 5 }), "max_streams", "wildcards"),
    ] {
        let mut body = members;
        body["kind"] = "mqtt".into();
        let answer = app.admin("PUT", "/api/v1/streams/x", &body.to_string()).await;
        let text = answer.detail();
        assert!(answer.status == 422 && text.contains(says) && answer.json()["field"] == field, "{body}: {text}");
    }
    let app = TestApp::with(&format!("mqtt: {{{}}}", broker.settings()));
    let own = app.admin("PUT", "/api/v1/streams/x", r#"{"kind":"mqtt","topic":"mtx/#"}"#).await;
    assert!(own.status == 422 && own.detail().contains("mqtt.prefix"), "{}", own.detail());
}
