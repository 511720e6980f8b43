//! What the console says while things are away, and its log.

use serde_json::json;

use crate::{
    browser::Browser,
    console::{choose, count, enter, press},
    support::{Program, TestApp, basic, eventually, flat_picture, free_port, mediamtx::MediaMtx},
};

#[tokio::test]
async fn the_console_says_that_the_server_is_away_and_goes_on_by_itself() {
    let settings = format!("http: {{listen: '127.0.0.1:{}'}}", free_port());
    let app = TestApp::with(&settings);
    let password = app.password.clone().expect("made");
    let browser = Browser::start().await;
    enter(&browser, &app, "#/users").await;
    browser.says(".section-users tbody", "admin").await;
    let folder = app.stop();
    browser.says(".server-away:not([hidden])", "The server does not answer").await;
    browser.keep_screenshot("console-away-desktop").await;
    // A section whose script cannot be loaded says the same, in words.
    browser.run("location.hash = '#/tokens'").await;
    browser.says("main [role=alert]", "The server does not answer.").await;
    assert!(!browser.text("main").await.contains("import"), "no words of the browser");
    let width = "return document.querySelector('main [role=alert] button').offsetWidth < innerWidth / 3";
    assert_eq!(browser.run(width).await, true, "the button is as wide as its words");
    assert_eq!(count(&browser, "main .table:not([hidden])").await, 0, "no empty table below");
    let mut app = TestApp::in_folder(folder, &settings);
    app.password = Some(password);
    browser.says(".section-tokens h1", "Tokens").await;
    eventually("the banner is gone", async || count(&browser, ".server-away:not([hidden])").await == 0).await;
    browser.says("#account", "admin").await;
    browser.close().await;
}

#[tokio::test]
async fn events_that_are_worth_a_line_are_told_in_words() {
    let app = TestApp::with(
        "streams: {card: {kind: test-card}, gate: {kind: http, url: 'http://127.0.0.1:9/x'}}\nfetch: {networks: [127.0.0.1]}",
    );
    let browser = Browser::start().await;
    enter(&browser, &app, "#/events").await;
    browser.says(".section-events", "connected").await;
    // A stream that starts and stops with its watcher is none; a camera that fails is one.
    assert_eq!(app.get("/snapshot/card.jpg").await.status, 200);
    eventually("it has stopped", async || app.stats("card").await["state"] == "idle").await;
    assert_eq!(app.get("/snapshot/gate.jpg").await.status, 504);
    browser.says(".events", "failing · The camera cannot be reached").await;
    let names = "return [...new Set([...document.querySelectorAll('.event b')].map((name) => name.innerText))]";
    assert_eq!(browser.run(names).await, json!(["gate"]));
    press(&browser, ".section-events label.tick input").await;
    eventually("all are shown", async || browser.run(names).await.to_string().contains("card")).await;
    app.far("GET", "/api/v1/users", &basic("mallory", "guess"), "").await;
    browser.says(".events", "Wrong password").await;
    browser.says(".events", "mallory").await;
    browser.close().await;
}

/// The log of the program itself; the application of other tests has none.
#[tokio::test]
async fn administrators_read_the_log_and_change_its_level() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, rtsp) = (free_port(), free_port());
    let config = folder.path().join("sidecar.yml");
    std::fs::write(
        &config,
        format!(
            "data_dir: '{}'\nhttp: {{listen: '127.0.0.1:{port}'}}\nrtsp: {{listen: '127.0.0.1:{rtsp}'}}\nudp: {{listen: '127.0.0.1:0'}}\n\
             auth: {{users: [{{user: boss, pass: s3cret horse, permissions: [{{action: api}}]}}]}}\n",
            folder.path().join("data").display()
        ),
    )
    .expect("writes");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.arg("--config").arg(&config).arg("serve").env_remove("RUST_LOG");
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).kill_on_drop(true);
    let _program = Program(command.spawn().expect("starts"));
    let url = format!("http://127.0.0.1:{port}/api/v1/log");
    let ask = async |more: &[&str]| {
        let arguments = [&["-sS", "-u", "boss:s3cret horse", &*url][..], more].concat();
        let output = tokio::process::Command::new("curl").args(arguments).output().await.expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    eventually("the log has its first line", async || ask(&[]).await.contains("listens on http://")).await;
    let log: serde_json::Value = serde_json::from_str(&ask(&[]).await).expect("JSON");
    assert_eq!((&log["level"], &log["first"]), (&json!("info"), &json!(0)), "{log}");
    assert_eq!(ask(&["-X", "PUT", "-d", r#"{"level": "debug"}"#]).await, "");
    eventually("the requests are in the log", async || ask(&[]).await.contains("DEBUG")).await;
    let log: serde_json::Value = serde_json::from_str(&ask(&[]).await).expect("JSON");
    assert_eq!(log["level"], "debug", "{log}");
    for wrong in ["loud", "", "mtx_sidecar=loud"] {
        let refused = ask(&["-X", "PUT", "-d", &json!({ "level": wrong }).to_string()]).await;
        assert!(refused.contains("invalid_parameter") && refused.contains("level"), "{wrong}: {refused}");
    }
    let text = ask(&["-G", "-d", "format=text"]).await;
    assert!(text.lines().count() > 1 && text.contains("listens on") && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn all_paths_of_mediamtx_are_listed_kept_and_recorded() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!("mediamtx: {{api: 'http://127.0.0.1:{}'}}", ports[4]));
    let text = format!("{}\n  gate: {{source: publisher}}\n", mtx_sidecar::settings::MEDIAMTX_YML);
    let Some(mediamtx) = MediaMtx::start_with(&app, &text, &ports).await else { return };
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [9, 99, 200])).await;
    app.admin("PUT", "/api/v1/paths/kept", r#"{"kind": "stream", "stream": "door", "title": "玄関"}"#).await;
    let admin = basic("admin", app.password.as_deref().expect("made"));
    let login = format!("admin:{}", app.password.as_deref().expect("made"));
    let to = format!("rtsp://{login}@127.0.0.1:{}/gate", mediamtx.rtsp);
    let source =
        ["-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=10", "-c:v", "libx264", "-preset", "ultrafast"];
    let arguments =
        [&["-v", "error"][..], &source, &["-g", "10", "-f", "rtsp", "-rtsp_transport", "tcp", &to]].concat();
    let publisher = Program::start("ffmpeg", &arguments);
    let path = async |name: &str| {
        let found = app.request("GET", "/api/v1/mediamtx/paths", &[&admin], b"").await.json();
        let paths = found["paths"].as_array().cloned().unwrap_or_default();
        paths.into_iter().find(|path| path["name"] == name).unwrap_or_default()
    };
    eventually("the publisher is listed", async || {
        let gate = path("gate").await;
        gate["available"] == true && gate["tracks"][0]["codec"] == "H264" && gate["inbound_bytes"].as_u64() > Some(0)
    })
    .await;
    let gate = path("gate").await;
    assert_eq!(
        (&gate["kept"], &gate["configured_as"], &gate["record"]),
        (&json!(false), &json!("gate"), &json!(false))
    );
    assert_eq!((&gate["source"]["protocol"], &gate["tracks"][0]["width"]), (&json!("rtsp"), &json!(320)), "{gate}");
    eventually("the kept path is there", async || path("kept").await["state"] == "applied").await;

    let browser = Browser::start().await;
    enter(&browser, &app, "#/paths").await;
    browser.says("tr[data-key=gate]", "H264 320 × 180").await;
    browser.says("tr[data-key=kept] b", "玄関").await;
    browser.keep_screenshot("console-all-paths-desktop").await;
    press(&browser, "tr[data-key=gate] [role=switch][aria-label^=Record]").await;
    eventually("it is recorded", async || path("gate").await["record"] == true).await;
    browser.says(".toasts", "lasts until MediaMTX starts again").await;

    // Storing paths: a list with ticks, of which nothing is taken without one.
    press(&browser, ".page-head button:nth-of-type(1)").await;
    browser.says("dialog .ticks", "gate").await;
    browser.keep_screenshot("console-import-desktop").await;
    browser.run("for (const box of document.querySelectorAll('dialog .ticks input')) if (box.value !== 'gate') box.checked = false").await;
    browser.click("dialog form button.primary").await;
    eventually("the dialog is closed", async || count(&browser, "dialog[open]").await == 0).await;
    eventually("it is kept", async || path("gate").await["kept"] == true).await;
    let all = app.admin("GET", "/api/v1/paths", "").await.json();
    let names: Vec<_> = all["paths"].as_array().expect("paths").iter().map(|path| path["name"].clone()).collect();
    assert_eq!(names, ["gate", "kept"], "nothing else was taken");
    assert_eq!(path("gate").await["record"], true);
    press(&browser, "tr[data-key=gate] [role=switch][aria-label^=Record]").await;
    eventually("it is not recorded", async || path("gate").await["record"] == false).await;

    press(&browser, "tr[data-key=gate] button[aria-label^=Disconnect]").await;
    browser.click("dialog[open] button.danger").await;
    eventually("the publisher is gone", async || path("gate").await["available"] == false).await;
    drop(publisher);
    choose(&browser, ".page-head select", "kept").await;
    eventually("only kept paths are shown", async || count(&browser, "tbody tr").await == 2).await;
    browser.assert_quiet("paths").await;
    browser.close().await;
}
