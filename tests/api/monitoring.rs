//! The files of deploy/monitoring with the real Prometheus: its rules hold, and it reads our metrics as the dashboard asks for them.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    documents::root,
    support::{Program, TestApp, eventually, free_port, picture, skip},
};

fn shipped(name: &str) -> PathBuf {
    root().join("deploy/monitoring").join(name)
}

fn has(program: &str) -> bool {
    let is_there = skip::is_there(program);
    if !is_there {
        skip::skip(&format!("there is no {program} (Debian's package prometheus)"));
    }
    is_there
}

/// The expressions of the dashboard, with its variables replaced.
fn expressions() -> Vec<String> {
    let text = std::fs::read_to_string(shipped("grafana.json")).expect("reads");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let targets =
        dashboard["panels"].as_array().expect("panels").iter().filter_map(|panel| panel["targets"].as_array());
    let text = |target: &Value| target["expr"].as_str().expect("an expression").to_owned();
    let fill = |text: String| text.replace("$instance", ".*").replace("$__rate_interval", "1m");
    targets.flatten().map(text).map(fill).collect()
}

#[test]
fn panels_of_the_dashboard_have_places_and_numbers_of_their_own() {
    let text = std::fs::read_to_string(shipped("grafana.json")).expect("reads");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        let at = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
        assert!(at("x") + at("w") <= 24, "{panel}");
        for cell in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{} lies on another panel", panel["title"]);
        }
    }
    assert!(ids.len() > 20);
}

#[tokio::test]
async fn the_alert_rules_fire_as_their_tests_say() {
    if !has("promtool") {
        return;
    }
    let rules = shipped("alerts.yml");
    Program::output("promtool", &["check", "rules", rules.to_str().expect("text")]).await;
    let tests = shipped("alerts_test.yml");
    Program::output("promtool", &["test", "rules", tests.to_str().expect("text")]).await;
}

#[tokio::test]
async fn prometheus_reads_the_metrics_that_the_dashboard_shows() {
    if !has("prometheus") {
        return;
    }
    let app = TestApp::spawn();
    assert_eq!(app.put("/api/v1/streams/door/frame", &picture(1)).await.status, 200);
    let wanted = json!({"name": "prometheus", "permissions": [{"action": "metrics"}], "expires": "1h"});
    let token = app.made("/api/v1/tokens", wanted).await;
    std::fs::write(app.folder().join("mtx-sidecar.token"), token["token"].as_str().expect("a token")).expect("writes");
    let config = std::fs::read_to_string(shipped("prometheus.yml")).expect("reads");
    let config = config.replace("127.0.0.1:9995", &app.addr.to_string()).replace("15s", "1s");
    std::fs::copy(shipped("alerts.yml"), app.folder().join("alerts.yml")).expect("copies");
    let file = app.folder().join("prometheus.yml");
    std::fs::write(&file, config).expect("writes");
    let listen = format!("127.0.0.1:{}", free_port());
    let _prometheus = Program::start(
        "prometheus",
        &[
            &format!("--config.file={}", file.display()),
            &format!("--storage.tsdb.path={}", app.folder().join("tsdb").display()),
            &format!("--web.listen-address={listen}"),
        ],
    );
    let query = async |expression: &str| {
        let mut curl = tokio::process::Command::new("curl");
        let asked = format!("query={expression}");
        curl.args(["-sS", "-G", &format!("http://{listen}/api/v1/query"), "--data-urlencode", &asked]);
        let output = curl.output().await.expect("curl runs");
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
    };
    eventually("Prometheus has read the metrics twice", async || {
        let age = query("count_over_time(mtx_sidecar_stream_frames_total{stream='door'}[1m])").await;
        age["data"]["result"][0]["value"][1].as_str().and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n >= 2)
    })
    .await;
    assert_eq!(query("up{job='mtx-sidecar'}").await["data"]["result"][0]["value"][1], "1");
    let expressions = expressions();
    let (mut answered, all) = (vec![], expressions.len());
    for expression in expressions {
        let answer = query(&expression).await;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        if answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty()) {
            answered.push(expression);
        }
    }
    // Without a broker, RTSP clients and panics, some have no samples.
    assert!(answered.len() * 2 > all, "only {} of {all} have samples: {answered:?}", answered.len());
    let rules = Program::output("curl", &["-sS", &format!("http://{listen}/api/v1/rules")]).await;
    let rules: Value = serde_json::from_slice(&rules).expect("JSON");
    assert_eq!(rules["data"]["groups"][0]["name"], "mtx-sidecar", "{rules}");
}
