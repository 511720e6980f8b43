//! axe-core on every page, light and dark. The test downloads it from the npm registry; without it the test is skipped.

use std::path::PathBuf;

use serde_json::json;

use crate::{
    browser::Browser,
    support::{TestApp, flat_picture, skip},
};

const VERSION: &str = "4.14.1";

/// The script; none where it cannot be downloaded.
pub async fn axe() -> Option<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/axe-core");
    let script = folder.join(format!("axe-{VERSION}.js"));
    if !script.is_file() {
        std::fs::create_dir_all(&folder).expect("a folder");
        let fetched = tokio::process::Command::new("npm")
            .args(["pack", "--silent", &format!("axe-core@{VERSION}"), "--pack-destination"])
            .arg(&folder)
            .output()
            .await;
        if fetched.is_ok_and(|output| output.status.success()) {
            let archive = folder.join(format!("axe-core-{VERSION}.tgz"));
            let unpacked = tokio::process::Command::new("tar")
                .arg("-xzOf")
                .arg(archive)
                .arg("package/axe.min.js")
                .output()
                .await
                .expect("tar");
            std::fs::write(&script, unpacked.stdout).expect("writes");
        }
    }
    let text = std::fs::read_to_string(&script).ok().filter(|text| text.contains("axe"));
    if text.is_none() {
        skip::skip("axe-core is not in target/axe-core, and `npm pack axe-core` does not fetch it");
    }
    text
}

/// The violations that axe finds, one line for each rule.
pub async fn violations(browser: &Browser, axe: &str) -> Vec<String> {
    browser.run(axe).await;
    let look = "const done = arguments[0];
        axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(violations.map((v) =>
            `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? '')).join(' | ')}`)),
            (error) => done([String(error)]))";
    let found = browser.client.execute_async(look, vec![]).await.expect("axe runs");
    serde_json::from_value(found).expect("lines")
}

#[tokio::test]
async fn pages_have_no_violations_of_accessibility() {
    let Some(axe) = axe().await else { return };
    let app = TestApp::with("streams: {Yard/Card: {kind: test-card, width: 320, height: 180}}");
    app.put("/api/v1/streams/door/frame", &flat_picture(640, 360, [20, 90, 160])).await;
    let browser = Browser::start().await;
    let password = app.password.clone().expect("made on the first start");
    for signed_in in [false, true] {
        if signed_in {
            browser.click("#account").await;
            browser.sign_in("admin", &password).await;
            browser.find("header a[href*=console]").await;
        }
        for theme in ["light", "dark"] {
            for (page, ready) in [
                ("", ".steps .card"),
                ("viewer/", ".tile.has-picture"),
                ("viewer/#/watch/Yard/Card", ".screen.is-playing"),
                ("viewer/#/recordings", "main .notice"),
            ] {
                browser.client.goto("about:blank").await.expect("loads");
                browser.client.goto(&format!("http://{}/{page}", app.addr)).await.expect("loads");
                let set = format!(
                    "localStorage.setItem('theme', '{theme}'); document.documentElement.dataset.theme = '{theme}'"
                );
                browser.run(&set).await;
                browser.find(ready).await;
                if page.is_empty() && signed_in {
                    browser.find("#mediamtx-yml").await;
                }
                if page == "viewer/" {
                    browser.keep_screenshot(&format!("wall-{theme}-desktop")).await;
                    browser.click(".wall-bar .row > .icon-button").await;
                }
                assert_eq!(violations(&browser, &axe).await, Vec::<String>::new(), "{page} {theme} {signed_in}");
                if page.contains("watch") {
                    browser.click(".stage-head button").await;
                    browser.find("dialog[open]").await;
                    assert_eq!(violations(&browser, &axe).await, Vec::<String>::new(), "the dialog, {theme}");
                }
            }
        }
        browser.client.goto(&format!("http://{}/", app.addr)).await.expect("loads");
        assert_eq!(browser.run("return document.title").await, json!("mtx-sidecar"));
    }
    browser.close().await;
}
