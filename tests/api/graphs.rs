//! Numbers in by every way, and the picture that is made of them.

use std::io::Write;

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use super::support::{FAR, Program, TestApp, basic, eventually, free_port, mosquitto::Mosquitto, picture, skip::skip};

/// The picture of a graph, as RGB with its width.
async fn shown(app: &TestApp, name: &str) -> (u32, Vec<u8>) {
    let answer = app.get(&format!("/snapshot/{name}.jpg?max_age=0")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let picture = image(&answer.body);
    (picture.width as u32, picture.pixels)
}

fn image(jpeg: &[u8]) -> turbojpeg::Image<Vec<u8>> {
    turbojpeg::decompress(jpeg, turbojpeg::PixelFormat::RGB).expect("a JPEG")
}

/// Whether the picture has more than a few pixels of about this colour.
async fn has(app: &TestApp, name: &str, colour: [u8; 3]) -> bool {
    let (_, rgb) = shown(app, name).await;
    let near = |pixel: &&[u8]| pixel.iter().zip(colour).all(|(seen, meant)| seen.abs_diff(meant) < 60);
    rgb.chunks_exact(3).filter(near).count() > 20
}

const RED: [u8; 3] = [255, 0, 0];

/// The last number of the series `a` in large red digits.
const GRAPH: &str = r##"{"kind": "graph", "width": 320, "height": 180, "fps": 30, "window": "1m", "view": "stat", "series": [{"name": "a", "colour": "#ff0000"}]}"##;

async fn with_graph(yaml: &str, name: &str, definition: &str) -> TestApp {
    let app = TestApp::with(yaml);
    let defined = app.admin("PUT", &format!("/api/v1/streams/{name}"), definition).await;
    assert_eq!(defined.status, 201, "{defined:?}");
    app
}

async fn post(app: &TestApp, to: &str, kind: &str, body: &str) -> Value {
    let answer = app.request("POST", to, &[&format!("Content-Type: {kind}")], body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn points_by_http_become_a_picture() {
    let app = with_graph("", "Pi/cpu", GRAPH).await;
    assert!(!has(&app, "Pi/cpu", RED).await, "no data");
    let to = "/api/v1/streams/Pi/cpu/points";
    let form = "application/x-www-form-urlencoded";
    assert_eq!(post(&app, to, "application/json", r#"{"a": 1, "b": 2}"#).await["points"], 1);
    let many = post(&app, to, "application/json", r#"[{"a": 3}, {"t": 17, "a": 4}]"#).await;
    assert_eq!((&many["points"], &many["skipped"]), (&json!(1), &json!(1)), "{many}");
    assert!(many["reason"].as_str().is_some_and(|reason| reason.contains("older than the window")), "{many}");
    assert_eq!(post(&app, to, "text/csv", "a\n5\n").await["points"], 1);
    assert_eq!(post(&app, &format!("{to}?series=a"), form, "6.5").await["points"], 1);
    eventually("the number is drawn", async || has(&app, "Pi/cpu", RED).await).await;

    let mut watcher = app.watch("/stream/Pi/cpu.mjpeg").await;
    let (first, _) = (watcher.part().await, post(&app, to, form, r#"{"a": 70}"#).await);
    eventually("a new point makes a new picture", async || watcher.part().await.data != first.data).await;
}

#[tokio::test]
async fn a_free_name_becomes_a_graph_that_survives_a_restart() {
    let app = TestApp::spawn();
    post(&app, "/api/v1/streams/new/one/points", "", "41.5").await;
    assert_eq!(app.stats("new/one").await["kind"], "graph");
    let app = TestApp::in_folder(app.stop(), "");
    assert_eq!(app.stats("new/one").await["kind"], "graph");
    let file = app.folder().join("data/points/new,one.points");
    assert!(std::fs::read(&file).is_ok_and(|data| data.windows(5).any(|at| at == b"value")));
    // The points are there: a legend has the number, in a picture of the size of the default.
    assert_eq!(shown(&app, "new/one").await.0, 1280);
    assert_eq!(app.get("/api/v1/streams/new/one").await.status, 200);

    app.put("/api/v1/streams/cam/frame", &picture(1)).await;
    let png = app.get("/api/v1/streams/new/one/graph.png").await;
    assert_eq!((png.status, png.header("content-type")), (200, Some("image/png")));
    assert_eq!(app.get("/api/v1/streams/cam/graph.png").await.problem(), "kind_conflict");
    for (method, at, body) in
        [("POST", "/api/v1/streams/cam/points", "1"), ("PUT", "/api/v1/streams/new/one/frame", "x")]
    {
        let refused = app.request(method, at, &[], body.as_bytes()).await;
        assert_eq!((refused.status, refused.problem().as_str()), (409, "kind_conflict"), "{at}");
    }
}

#[tokio::test]
async fn a_wrong_body_is_named_and_makes_nothing() {
    let app = TestApp::spawn();
    let huge = "1\n".repeat(3 << 20);
    for (to, body, status, code, says) in [
        ("/api/v1/streams/x/points", "", 400, "empty_body", "empty"),
        ("/api/v1/streams/x/points", "{\"a\":", 400, "invalid_body", "not JSON"),
        ("/api/v1/streams/x/points", "{\"a\":[1]}", 400, "invalid_body", "a: must be a number"),
        ("/api/v1/streams/x/points", huge.as_str(), 413, "body_too_large", "larger"),
        ("/api/v1/streams/../points", "1", 400, "invalid_name", "name"),
        ("/write", "m f=1", 400, "invalid_parameter", "db: is required"),
        ("/write?db=x&precision=days", "m f=1", 400, "invalid_parameter", "precision: must be ns"),
        ("/write?db=x", "m", 400, "invalid_body", "line 1: has no fields"),
        ("/api/v2/write", "m f=1", 400, "invalid_parameter", "bucket: is required"),
        ("/query?q=DROP+DATABASE+x", "", 400, "invalid_parameter", "only CREATE DATABASE"),
    ] {
        let refused = app.request("POST", to, &[], body.as_bytes()).await;
        assert_eq!((refused.status, refused.problem().as_str()), (status, code), "{to} {}", refused.detail());
        assert!(refused.detail().contains(says), "{to}: {}", refused.detail());
    }
    assert_eq!(app.get("/api/v1/streams/x").await.status, 404, "no stream is made");
}

#[tokio::test]
async fn clients_of_influxdb_write_with_gzip_and_their_own_credentials() {
    let definition = json!({"kind": "graph", "width": 320, "height": 180, "view": "stat", "series": [{"name": "cpu.usage_idle{cpu=cpu-total}", "colour": "#ff0000"}]});
    let app = with_graph("", "telegraf", &definition.to_string()).await;
    let made = app.made("/api/v1/tokens", json!({"name": "pi", "publish_to": "telegraf", "expires": "1day"})).await;
    let token = made["token"].as_str().expect("a token");
    app.user("pi", json!({"pass": "a long password", "permissions": [{"action": "publish", "path": "telegraf"}]}))
        .await;
    let line = "cpu,cpu=cpu-total,host=pi usage_user=2.25,usage_idle=96.5\ncpu,cpu=cpu0,host=pi usage_idle=95\n";
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    packed.write_all(line.as_bytes()).expect("memory");
    let packed = packed.finish().expect("memory");
    let write = async |to: &str, headers: &[&str], body: &[u8]| {
        let headers = [&[FAR], headers].concat();
        app.request("POST", to, &headers, body).await
    };
    for (to, headers, body) in [
        ("/write?db=telegraf", vec![basic("pi", "a long password")], line.as_bytes()),
        ("/write?db=telegraf&u=pi&p=a%20long%20password", vec![], line.as_bytes()),
        (
            "/api/v2/write?bucket=telegraf&org=home&precision=s",
            vec![format!("Authorization: Token {token}")],
            line.as_bytes(),
        ),
        (
            "/api/v2/write?bucket=telegraf",
            vec![format!("Authorization: Token {token}"), "Content-Encoding: gzip".into()],
            &packed[..],
        ),
    ] {
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let answer = write(to, &headers, body).await;
        assert_eq!(
            (answer.status, answer.header("x-points"), answer.body.len()),
            (204, Some("1"), 0),
            "{to} {answer:?}"
        );
    }
    for to in ["/write?db=telegraf", "/write?db=telegraf&u=pi&p=wrong", "/api/v2/write?bucket=other"] {
        let refused = write(to, &[], line.as_bytes()).await;
        assert_eq!(refused.status, 401, "{to}");
    }
    let wrong = write(
        "/api/v2/write?bucket=telegraf",
        &[&format!("Authorization: Token {token}"), "Content-Encoding: br"],
        b"x",
    )
    .await;
    assert!(wrong.status == 400 && wrong.detail().contains("Content-Encoding: must be gzip"), "{}", wrong.detail());
    assert_eq!(app.get("/ping").await.status, 204);
    let statement = app.request("POST", "/query?q=CREATE%20DATABASE%20%22telegraf%22", &[], b"").await;
    assert_eq!((statement.status, statement.json()), (200, json!({"results": [{"statement_id": 0}]})));
    eventually("the number is drawn", async || has(&app, "telegraf", RED).await).await;
    let partial = app.request("POST", "/write?db=telegraf", &[], b"cpu,cpu=cpu-total usage_idle=1\nwrong\n").await;
    assert!(partial.status == 400 && partial.detail().contains("partial write: line 2"), "{}", partial.detail());
}

/// Telegraf itself, if it is installed.
#[tokio::test]
async fn telegraf_writes_unmodified() {
    if std::process::Command::new("telegraf").arg("--version").output().is_err() {
        return skip("telegraf is not installed");
    }
    let definition = json!({"kind": "graph", "width": 320, "height": 180, "view": "stat", "series": [{"name": "mem.used_percent", "colour": "#ff0000"}]});
    let app = with_graph("", "telegraf", &definition.to_string()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("telegraf.conf");
    let config = format!(
        "[agent]\n interval = \"1s\"\n flush_interval = \"1s\"\n[[inputs.mem]]\n[[outputs.influxdb]]\n urls = [\"http://{0}\"]\n\
         [[outputs.influxdb_v2]]\n urls = [\"http://{0}\"]\n bucket = \"telegraf\"\n",
        app.addr
    );
    std::fs::write(&file, config).expect("writes");
    let _telegraf = Program::start("telegraf", &["--config", &file.to_string_lossy()]);
    eventually("the number is drawn", async || has(&app, "telegraf", RED).await).await;
}

#[tokio::test]
async fn numbers_by_websocket_are_answered() {
    let app = with_graph("", "graph", GRAPH).await;
    for name in ["graph", "made"] {
        let mut client = app.ws(&format!("/ws/{name}?push=1"), &[]).await.expect("connects");
        client.text(r#"{"a": 41.5}"#).await;
        assert_eq!(client.notice().await, json!({"type": "taken", "points": 1}));
        client.text("hello").await;
        let refused = client.notice().await;
        assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("invalid_body")), "{refused}");
        client.binary(picture(1)).await;
        assert_eq!(client.notice().await["code"], "kind_conflict");
    }
    assert_eq!(app.stats("made").await["kind"], "graph");
    eventually("the number is drawn", async || has(&app, "graph", RED).await).await;
}

#[tokio::test]
async fn topics_of_mqtt_are_series() {
    let broker = Mosquitto::start().await;
    let app = TestApp::with(&format!("mqtt: {{{}, topics: ['bed/#', 'home/+/temp']}}", broker.settings()));
    let definition = json!({
        "kind": "graph", "width": 320, "height": 180, "fps": 30,
        "series": [{"name": "bed", "topic": "bed/state", "pointer": "/temperature", "colour": "#ff0000", "line_width": 4}, {"name": "home/kitchen/temp", "colour": "#00ff00", "line_width": 4}],
        "topics": ["home/+/temp"],
    });
    let defined = app.admin("PUT", "/api/v1/streams/heat", &definition.to_string()).await;
    assert_eq!(defined.status, 201, "{defined:?}");
    eventually("both lines are drawn", async || {
        // Nothing watches the stream while the messages come.
        broker.publish("bed/state", br#"{"temperature": 60.5, "target": 60}"#, &[]).await;
        broker.publish("home/kitchen/temp", b"21.5", &[]).await;
        has(&app, "heat", RED).await && has(&app, "heat", [0, 255, 0]).await
    })
    .await;
    let _watching = app.watch("/stream/heat.mjpeg").await;
    let names_bed =
        async || app.stats("heat").await["reason"].as_str().is_some_and(|reason| reason.contains("topic bed/state"));
    broker.publish("bed/state", b"ON", &[]).await;
    eventually("a wrong message is named", &names_bed).await;
    broker.publish("bed/state", br#"{"temperature": 61}"#, &[]).await;
    eventually("a right message ends it", async || !names_bed().await).await;
    for (changed, says) in [
        (json!({"kind": "graph", "topics": ["other/#"]}), "topics: other/# is in none of the topics of mqtt.topics"),
        (json!({"kind": "graph", "topics": ["a#"]}), "must be a whole level"),
        (json!({"kind": "graph", "series": [{"name": "a", "topic": "bed/#"}]}), "entry 0"),
    ] {
        let refused = app.admin("PUT", "/api/v1/streams/heat", &changed.to_string()).await;
        assert!(refused.status == 422 && refused.detail().contains(says), "{changed}: {}", refused.detail());
    }
}

#[tokio::test]
async fn a_page_of_metrics_is_read_while_it_is_watched() {
    let server = MockServer::start().await;
    let page = "# TYPE node_load1 gauge\nnode_load1 0.5\nother 3\n";
    Mock::given(path("/metrics")).respond_with(ResponseTemplate::new(200).set_body_string(page)).mount(&server).await;
    let url = format!("{}/metrics", server.uri());
    let definition = |keep: bool| json!({"kind": "graph", "url": url, "interval": "1s", "keep": keep, "width": 320, "height": 180, "series": [{"name": "node_load1", "colour": "#ff0000", "line_width": 4}]});
    let app = with_graph("", "load", &definition(false).to_string()).await;
    assert_eq!(server.received_requests().await.map(|all| all.len()), Some(0), "nothing is asked without a watcher");
    eventually("the line is drawn", async || has(&app, "load", RED).await).await;

    let kept = with_graph("", "kept", &definition(true).to_string()).await;
    let before = server.received_requests().await.map_or(0, |all| all.len());
    eventually("it is asked without a watcher", async || {
        server.received_requests().await.is_some_and(|all| all.len() > before)
    })
    .await;
    drop(kept);
    for (changed, says) in [
        (json!({"kind": "graph", "url": "ftp://a/b", "series": [{"name": "a"}]}), "url"),
        (json!({"kind": "graph", "url": url}), "series: needs the names of metrics"),
    ] {
        let refused = app.admin("PUT", "/api/v1/streams/load", &changed.to_string()).await;
        assert!(refused.status == 422 && refused.detail().contains(says), "{changed}: {}", refused.detail());
    }
    let nowhere = format!("http://127.0.0.1:{}/metrics", free_port());
    let changed = json!({"kind": "graph", "url": nowhere, "series": [{"name": "node_load1"}]});
    assert_eq!(app.admin("PUT", "/api/v1/streams/load", &changed.to_string()).await.status, 200);
    let _watching = app.watch("/stream/load.mjpeg").await;
    eventually("the reason is told", async || {
        app.stats("load").await["reason"].as_str().is_some_and(|reason| reason.contains("127.0.0.1"))
    })
    .await;
}

#[tokio::test]
async fn a_definition_is_previewed_before_it_is_stored() {
    let app = with_graph("", "graph", GRAPH).await;
    let preview = async |at: &str, body: &str| app.admin("POST", at, body).await;
    let drawn = preview("/api/v1/graph-preview", GRAPH).await;
    assert_eq!((drawn.status, drawn.header("content-type")), (200, Some("image/jpeg")));
    assert_eq!(image(&drawn.body).width, 320);
    assert_eq!(preview("/api/v1/graph-preview?name=graph", GRAPH).await.status, 200);
    for (body, says) in [
        (r#"{"kind":"graph","width":33}"#, "width: must be an even number"),
        (r#"{"kind":"upload"}"#, "kind: must be graph"),
        (r#"{"kind":"graph","windw":"1m"}"#, "unknown field `windw`"),
    ] {
        let refused = preview("/api/v1/graph-preview", body).await;
        assert!(refused.status == 422 && refused.detail().contains(says), "{body}: {}", refused.detail());
    }
    assert_eq!(app.far("POST", "/api/v1/graph-preview", "Accept: */*", GRAPH).await.status, 401);
}
