//! The console in a browser: access, creating and removing objects, the layout on a phone, warnings of the browser.

use mtx_sidecar::producer::Definition;
use serde_json::{Value, json};

use crate::{
    accessibility,
    browser::Browser,
    support::{TestApp, close_to, eventually, flat_picture, mediamtx::MediaMtx},
};

pub const SECTIONS: [&str; 15] = [
    "overview",
    "streams",
    "publish",
    "media",
    "paths",
    "sessions",
    "recordings",
    "users",
    "tokens",
    "shares",
    "audit",
    "cluster",
    "events",
    "log",
    "settings",
];

async fn open(browser: &Browser, app: &TestApp, at: &str) {
    browser.client.goto("about:blank").await.expect("loads");
    browser.client.goto(&format!("http://{}/console/{at}", app.addr)).await.expect("loads");
}

/// Opens the console and signs in as the generated administrator.
pub async fn enter(browser: &Browser, app: &TestApp, at: &str) {
    open(browser, app, at).await;
    browser.click("main .empty button.primary").await;
    browser.sign_in("admin", app.password.as_deref().expect("made on the first start")).await;
    browser.find(".section h1").await;
}

pub async fn type_into(browser: &Browser, css: &str, text: &str) {
    let field = browser.find(css).await;
    field.clear().await.expect("empties");
    field.send_keys(text).await.expect("types");
}

pub async fn choose(browser: &Browser, css: &str, value: &str) {
    browser.find(css).await;
    let script = format!(
        "const s = document.querySelector({css:?}); s.value = {value:?}; s.dispatchEvent(new Event('change', {{ bubbles: true }}))"
    );
    browser.run(&script).await;
}

pub async fn count(browser: &Browser, css: &str) -> Value {
    browser.run(&format!("return document.querySelectorAll({css:?}).length")).await
}

/// Clicks a button by script, because a message may cover it for a moment.
pub async fn press(browser: &Browser, css: &str) {
    browser.find(css).await;
    browser.run(&format!("document.querySelector({css:?}).click()")).await;
}

/// Submits the dialog that is open, and waits until it is closed.
pub async fn submit(browser: &Browser) {
    browser.click("dialog[open] form button.primary").await;
    eventually("the dialog is closed", async || count(browser, "dialog[open]").await == 0).await;
}

/// Confirms the question of the page.
pub async fn confirm(browser: &Browser) {
    browser.click("dialog[open] button.danger").await;
    eventually("the dialog is closed", async || count(browser, "dialog[open]").await == 0).await;
}

#[tokio::test]
async fn only_administrators_see_the_console_and_other_users_see_why_not() {
    let app = TestApp::spawn();
    app.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    let browser = Browser::start().await;
    open(&browser, &app, "#/users").await;
    browser.says("main", "The console is for administrators. Sign in to continue.").await;
    assert_eq!(browser.run("return document.getElementById('sections').hidden").await, true);
    browser.click("main .empty button.primary").await;
    browser.sign_in("alice", "battery staple").await;
    browser.says("dialog .form-error", "Wrong user or password.").await;
    browser.sign_in("alice", "correct horse").await;
    browser.says("main", "and alice is not an administrator").await;
    assert_eq!(count(&browser, ".section").await, 0);
    assert_eq!(count(&browser, "header a[href*=console]").await, 0);
    browser.click("#account").await;
    browser.says("dialog.account", "alice").await;
    browser.click("dialog.account .sign-out").await;
    browser.click("main .empty button.primary").await;
    browser.sign_in("admin", app.password.as_deref().expect("made")).await;
    browser.says(".section-users", "alice").await;
    assert_eq!(browser.run("return document.getElementById('sections').hidden").await, false);
    assert_eq!(count(&browser, "#sections a[data-section=users][aria-current=page]").await, 1);

    // A visitor with a link is not an administrator.
    let share = app.admin("POST", "/api/v1/shares", &json!({"path": "door", "expires": "1h"}).to_string()).await.json();
    let visitor = Browser::start().await;
    visitor.client.goto(share["url"].as_str().expect("a link")).await.expect("loads");
    visitor.find("header #account").await;
    open(&visitor, &app, "").await;
    visitor.says("main", "The console is for administrators").await;
    assert_eq!(count(&visitor, ".section").await, 0);
    visitor.close().await;
    browser.close().await;
}

#[tokio::test]
async fn a_stream_of_each_kind_is_created_changed_and_removed() {
    let app = TestApp::with(
        "media: {nas: [{name: photos, url: 'http://127.0.0.1:9', user: u, folder: /x}]}\nmqtt: {url: 'mqtt://127.0.0.1:9'}",
    );
    let browser = Browser::start().await;
    enter(&browser, &app, "#/streams").await;
    for kind in Definition::KINDS {
        let name = format!("lab/{kind}");
        let fields: &[(&str, &str)] = match *kind {
            "udp-camera" => &[("address", "127.0.0.1:9")],
            "file" => &[("path", "menu.jpg")],
            "http" => &[("url", "http://127.0.0.1:9/x.mjpeg")],
            "rtsp" => &[("url", "rtsp://127.0.0.1:9/x")],
            "nas" => &[("nas", "photos")],
            "mqtt" => &[("topic", "cam/x")],
            "derived" => &[("of", "lab/upload")],
            "mosaic" => &[("tiles", r#"["lab/upload", "lab/file"]"#)],
            _ => &[],
        };
        browser.click("#new-stream").await;
        type_into(&browser, "dialog [name=name]", &name).await;
        choose(&browser, "dialog [name=kind]", kind).await;
        for (field, text) in fields {
            type_into(&browser, &format!("dialog [name={field}]"), text).await;
        }
        submit(&browser).await;
        browser.find(&format!(".stream[data-name='{name}']")).await;
        let made = app.admin("GET", &format!("/api/v1/streams/{name}"), "").await.json();
        assert_eq!(made["definition"]["kind"], *kind, "{made}");
    }
    // An error is shown at its field, and the dialog keeps its input.
    press(&browser, ".stream[data-name='lab/test-card'] button[aria-label^=Edit]").await;
    type_into(&browser, "dialog [name=width]", "7").await;
    browser.click("dialog button.primary").await;
    browser.says("dialog .field:has([name=width]) .field-error", "must be from 16 to 3840, not 7").await;
    assert_eq!(browser.run("return document.activeElement.name").await, "width");
    type_into(&browser, "dialog [name=width]", "320").await;
    submit(&browser).await;
    let changed = app.admin("GET", "/api/v1/streams/lab/test-card", "").await.json();
    assert_eq!(changed["definition"]["width"], 320, "{changed}");

    for kind in Definition::KINDS {
        press(&browser, &format!(".stream[data-name='lab/{kind}'] button[aria-label^=Delete]")).await;
        confirm(&browser).await;
        eventually("it is gone", async || count(&browser, &format!(".stream[data-name='lab/{kind}']")).await == 0)
            .await;
        assert_eq!(app.admin("GET", &format!("/api/v1/streams/lab/{kind}"), "").await.status, 404);
    }
    browser.says(".section-streams", "No streams yet").await;
    // A name that is not valid is reported before it is sent.
    browser.click("#new-stream").await;
    type_into(&browser, "dialog [name=name]", "a//b").await;
    browser.click("dialog button.primary").await;
    eventually("the error is shown", async || {
        browser
            .run("return document.querySelector('dialog .field:has([name=name]) .field-error').textContent !== ''")
            .await
            == true
    })
    .await;
    browser.close().await;
}

/// The colour in the middle of a stream's thumbnail.
async fn thumbnail(browser: &Browser, name: &str) -> [u8; 3] {
    let script = format!(
        "const i = document.querySelector('.stream[data-name=\"{name}\"].has-picture img'); if (!i?.naturalWidth) return [0, 0, 0];
         const c = document.createElement('canvas').getContext('2d'); c.drawImage(i, 0, 0, 20, 20); return [...c.getImageData(10, 10, 1, 1).data].slice(0, 3)"
    );
    serde_json::from_value(browser.run(&script).await).expect("a colour")
}

#[tokio::test]
async fn an_upload_is_seen_at_once_and_its_snippets_contain_a_token_and_no_password() {
    let app = TestApp::spawn();
    let browser = Browser::start().await;
    enter(&browser, &app, "#/streams").await;
    type_into(&browser, "#upload-name", "my/upload").await;
    for (i, colour) in [[230, 120, 20], [20, 120, 200]].into_iter().enumerate() {
        let file = app.folder().join(format!("{i}.jpg"));
        std::fs::write(&file, flat_picture(320, 180, colour)).expect("writes");
        browser.find("#upload-file").await.send_keys(&file.to_string_lossy()).await.expect("chooses");
        eventually("the thumbnail shows it", async || close_to(thumbnail(&browser, "my/upload").await, colour)).await;
    }
    browser.says("#upload-told", "my/upload shows the picture: 320 × 180").await;
    browser.assert_quiet("streams").await;
    let file = app.folder().join("no.jpg");
    std::fs::write(&file, "not a picture").expect("writes");
    browser.find("#upload-file").await.send_keys(&file.to_string_lossy()).await.expect("chooses");
    browser.says(".toast.bad", "This is not a picture.").await;
    press(&browser, ".toast.bad button").await;

    press(&browser, ".stream[data-name='my/upload'] button[aria-label^=Use]").await;
    browser.says("dialog pre", "Bearer TOKEN").await;
    browser.click("dialog .notice button").await;
    let text = "return document.querySelector('dialog pre').textContent";
    eventually("the snippet contains a token", async || {
        browser.run(text).await.as_str().is_some_and(|l| l.contains("eyJ"))
    })
    .await;
    let line = browser.run(text).await.as_str().unwrap_or_default().to_owned();
    let token = line.split("Bearer ").nth(1).and_then(|rest| rest.split('\'').next()).expect("a token").to_owned();
    assert!(!line.contains(app.password.as_deref().expect("made")));
    let bearer = format!("Authorization: Bearer {token}");
    let far = crate::support::FAR;
    let picture = flat_picture(64, 64, [1, 2, 3]);
    // The page waits for the first use of the token, and says what it was.
    browser.says("dialog .token-use.waiting", "Waiting for the first request").await;
    for (name, status, says) in [("my/upload", 200, ".good"), ("other", 403, ".bad")] {
        let path = format!("/api/v1/streams/{name}/frame");
        assert_eq!(app.request("PUT", &path, &[far, &bearer], &picture).await.status, status, "{name}");
        browser.says(&format!("dialog .token-use{says}"), "by HTTP").await;
        browser.keep_screenshot(&format!("console-use-{}-desktop", &says[1..])).await;
    }
    let tokens = app.admin("GET", "/api/v1/tokens", "").await.json();
    let last = &tokens["tokens"][0]["last_use"];
    assert_eq!((&last["allowed"], &last["action"], &last["path"]), (&json!(false), &json!("publish"), &json!("other")));
    browser.click("dialog .notice button").await;
    browser.click("dialog:last-of-type button.danger").await;
    browser.says("dialog pre", "Bearer TOKEN").await;
    let path = "/api/v1/streams/my/upload/frame";
    assert_eq!(app.request("PUT", path, &[far, &bearer], &picture).await.status, 401);
    browser.close().await;
}

#[tokio::test]
async fn a_watcher_is_listed_and_can_be_disconnected() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [9, 99, 200])).await;
    let mut reader = app.watch("/stream/door.mjpeg").await;
    reader.part().await;
    let browser = Browser::start().await;
    enter(&browser, &app, "#/sessions").await;
    let row = "tbody tr[data-key^='sidecar mjpeg']";
    browser.says(row, "door").await;
    browser.click(&format!("{row} .icon-button")).await;
    browser.says("dialog", "is disconnected").await;
    confirm(&browser).await;
    while reader.maybe_part().await.is_some() {}
    eventually("the session is not listed", async || count(&browser, row).await == 0).await;
    browser.close().await;
}

#[tokio::test]
async fn users_tokens_and_links_are_created_and_revoked() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [9, 99, 200])).await;
    let browser = Browser::start().await;
    enter(&browser, &app, "#/users").await;
    browser.click(".page-head button.primary").await;
    type_into(&browser, "dialog [name=name]", "carol").await;
    type_into(&browser, "dialog [name=pass]", "short").await;
    browser.click("dialog form button.primary").await;
    assert_eq!(count(&browser, "dialog [name=pass][aria-invalid=true]").await, 1);
    type_into(&browser, "dialog [name=pass]", "correct horse").await;
    // A stream is ticked; what no box stands for is a row.
    browser.click("dialog .tick-row[data-name=door] .tick-name input").await;
    browser.click("dialog .permission-rows summary").await;
    browser.click("dialog .permission-rows .add").await;
    choose(&browser, "dialog .permission-row select", "publish").await;
    type_into(&browser, "dialog .permission-row input", "~^hall/").await;
    submit(&browser).await;
    browser.says("tr[data-key='database carol']", "publish").await;
    let carol = app.admin("GET", "/api/v1/users/carol", "").await.json();
    // WebRTC and HLS play MediaMTX's path of the stream, which is a part of the same permission.
    let expected = json!([{"action": "read", "path": "~^(pictures/)?door$"}, {"action": "publish", "path": "~^hall/"}]);
    assert_eq!(carol["permissions"], expected, "{carol}");
    press(&browser, "tr[data-key='database carol'] button[aria-label^=Edit]").await;
    let ticks =
        "return [...document.querySelectorAll('dialog .tick-row[data-name=door] input')].map((box) => box.checked)";
    eventually("the form has the ticks", async || browser.run(ticks).await == json!([true, true, false, false])).await;
    press(&browser, "dialog .dialog-head button").await;
    press(&browser, "tr[data-key='database carol'] button[aria-label^=Disable]").await;
    browser.says("tr[data-key='database carol']", "disabled").await;
    press(&browser, "tr[data-key='database carol'] button[aria-label^=Delete]").await;
    confirm(&browser).await;
    eventually("carol is removed", async || app.admin("GET", "/api/v1/users/carol", "").await.status == 404).await;

    browser.click("#sections [data-section=tokens]").await;
    browser.click(".section-tokens .page-head button.primary").await;
    type_into(&browser, "dialog [name=name]", "cam 1").await;
    type_into(&browser, "dialog [name=publish_to]", "yard").await;
    browser.click("dialog form button.primary").await;
    let token = browser.text("dialog .snippet code").await;
    assert!(token.starts_with("eyJ"), "{token}");
    browser.click("dialog .icon-button").await;
    browser.says(".section-tokens tbody", "cam 1").await;
    press(&browser, ".section-tokens tbody .icon-button").await;
    confirm(&browser).await;
    browser.says(".section-tokens tbody", "revoked").await;

    browser.click("#sections [data-section=shares]").await;
    browser.click(".section-shares .page-head button.primary").await;
    type_into(&browser, "dialog [name=path]", "door").await;
    browser.click("dialog form button.primary").await;
    let link = browser.text("dialog .snippet code").await;
    eventually("the QR code is shown", async || {
        browser.run("return document.querySelector('dialog img.qr').naturalWidth > 100").await == true
    })
    .await;
    browser.keep_screenshot("console-share-desktop").await;
    let visitor = Browser::start().await;
    visitor.client.goto(&link).await.expect("loads");
    visitor.says("main", "door").await;
    visitor.close().await;
    browser.close().await;
}

/// Every section at two sizes: in the texts of the catalogue, and without a warning of the browser. Sections of MediaMTX only
/// where there is one.
#[tokio::test]
async fn every_section_fits_a_phone_and_logs_no_warning() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "streams: {{Yard/Card: {{kind: test-card, width: 640, height: 360}}}}\nmediamtx: {{api: 'http://127.0.0.1:{}', playback: 'http://127.0.0.1:{}'}}",
        ports[4], ports[5]
    ));
    let mediamtx = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await;
    std::fs::create_dir_all(app.folder().join("media")).expect("a folder");
    for (name, colour) in [("front/door", [20, 90, 160]), ("hall", [120, 60, 20]), ("shop", [40, 120, 60])] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &flat_picture(640, 360, colour)).await;
    }
    app.user("alice", json!({"pass": "correct horse", "permissions": [{"action": "read", "path": "~^hall/"}]})).await;
    app.admin("PUT", "/api/v1/paths/kept/door", r#"{"kind": "stream", "stream": "front/door", "note": "entrance"}"#)
        .await;
    app.made("/api/v1/tokens", json!({"name": "wall display", "permissions": [{"action": "read"}], "expires": "1h"}))
        .await;
    for phone in [false, true] {
        let browser = if phone { Browser::phone().await } else { Browser::start().await };
        enter(&browser, &app, "").await;
        for section in SECTIONS {
            if mediamtx.is_none() && matches!(section, "recordings" | "overview") {
                continue;
            }
            browser.run(&format!("location.hash = '#/{section}'")).await;
            browser.find(&format!(".section-{section} h1")).await;
            eventually("no error is shown", async || count(&browser, "main [role=alert]:not(:empty)").await == 0).await;
            if section == "streams" {
                // The third one can be below the window of a phone, where it is not requested.
                browser.find(".stream.has-picture[data-name='front/door']").await;
            }
            let wide =
                browser.run("return document.documentElement.scrollWidth - Math.min(innerWidth, outerWidth)").await;
            assert!(wide.as_i64() <= Some(0), "{section} is {wide} pixels too wide");
            let untold =
                browser.run("return document.body.innerText.match(/console\\.[a-z_]+|undefined|\\[object/)?.[0] ?? ''");
            assert_eq!(untold.await, "", "{section}");
            let size = if phone { "phone" } else { "desktop" };
            browser.keep_screenshot(&format!("console-{section}-{size}")).await;
        }
        browser.assert_quiet("the console").await;
        if !phone {
            press(&browser, "header .skip").await;
            let place = browser.run("return [location.hash, document.activeElement.id]").await;
            assert_eq!(place, json!(["#/settings", "main"]), "the link skips the header and stays in its section");
            choose(&browser, "#language", "ja").await;
            browser.says(".section h1", "設定").await;
            browser.run("location.hash = '#/streams'").await;
            browser.says(".section h1", "ストリーム").await;
            choose(&browser, "#language", "zh").await;
            browser.says("#sections", "概览").await;
            browser.assert_quiet("other languages").await;
        }
        browser.close().await;
    }
}

#[tokio::test]
async fn every_section_has_no_violations_of_accessibility() {
    let Some(axe) = accessibility::axe().await else { return };
    let app = TestApp::with("mediamtx: {api: 'http://127.0.0.1:9'}");
    app.put("/api/v1/streams/door/frame", &flat_picture(640, 360, [20, 90, 160])).await;
    app.admin("PUT", "/api/v1/paths/yard", r#"{"kind": "stream", "stream": "door", "note": "entrance"}"#).await;
    app.made(
        "/api/v1/tokens",
        json!({"name": "wall", "permissions": [{"action": "read", "path": "x"}], "expires": "1h"}),
    )
    .await;
    let browser = Browser::start().await;
    enter(&browser, &app, "").await;
    let mut found = vec![];
    for theme in ["light", "dark"] {
        browser.run(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
        for section in SECTIONS {
            browser.run(&format!("location.hash = '#/{section}'")).await;
            browser.find(&format!(".section-{section} h1")).await;
            let ready = match section {
                "overview" => ".figure-card",
                "streams" => ".stream",
                "settings" => ".setting",
                "paths" | "users" | "tokens" | "audit" | "sessions" => "tbody tr",
                _ => "h1",
            };
            browser.find(&format!(".section-{section} {ready}")).await;
            let mut note = async |what: &str| {
                let violations = accessibility::violations(&browser, &axe).await;
                found.extend(violations.into_iter().map(|violation| format!("{what}, {theme}: {violation}")));
            };
            note(section).await;
            if matches!(section, "streams" | "paths" | "users" | "tokens" | "shares") {
                browser.click(".page-head button.primary").await;
                browser.find("dialog[open] form").await;
                note(&format!("the dialog of {section}")).await;
                browser.keep_screenshot(&format!("console-{section}-dialog-{theme}-desktop")).await;
                press(&browser, "dialog[open] .dialog-head button").await;
            }
        }
    }
    assert_eq!(found, Vec::<String>::new(), "{}", found.join("\n"));
    browser.close().await;
}
