//! The first page in a browser.

use serde_json::json;

use crate::{
    browser::Browser,
    support::{TestApp, eventually, flat_picture},
};

#[tokio::test]
async fn an_uploaded_picture_becomes_a_stream() {
    let app = TestApp::spawn();
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/", app.addr)).await.expect("loads");
    browser.says("main", "made the user admin and printed the password").await;
    browser.keep_screenshot("first-page-desktop").await;
    let file = app.folder().join("orange.jpg");
    std::fs::write(&file, flat_picture(320, 180, [230, 120, 20])).expect("writes");
    let name = browser.find("#name").await;
    name.clear().await.expect("clears");
    name.send_keys("My/Upload").await.expect("types");
    browser.find("#file").await.send_keys(&file.to_string_lossy()).await.expect("chooses");
    browser.says("#result", "My/Upload shows the picture: 320 × 180").await;
    browser.says("#result", &format!("curl -o picture.jpg http://{}/snapshot/My/Upload.jpg", app.addr)).await;
    // The picture is on the page, live.
    browser.says(".hero h2", "My/Upload").await;
    browser.find(".hero .pane.is-playing[data-kind=mjpeg]").await;
    browser.says(".hero .badge", "live").await;
    browser.keep_screenshot("first-page-hero-desktop").await;
    browser.assert_quiet("an upload").await;
    std::fs::write(&file, "not a picture").expect("writes");
    browser.find("#file").await.send_keys(&file.to_string_lossy()).await.expect("chooses");
    browser.says("#result .bad", "This is not a picture.").await;
    // A name that cannot be is explained, and the old error is gone.
    let name = browser.find("#name").await;
    name.clear().await.expect("clears");
    name.send_keys("küche").await.expect("types");
    browser.find("#file").await.send_keys(&file.to_string_lossy()).await.expect("chooses");
    let message = "return document.getElementById('name').validationMessage";
    eventually("the rule is told", async || browser.run(message).await == "Letters, digits, - _ . and /").await;
    assert_eq!(browser.run("return document.getElementById('result').innerText").await, "");
    browser.close().await;
}

/// Lines for other machines have the right in them, and the ports that MediaMTX has.
#[tokio::test]
async fn copied_lines_work_on_other_machines() {
    let app = TestApp::spawn();
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/", app.addr)).await.expect("loads");
    browser.click("#account").await;
    browser.sign_in("admin", app.password.as_deref().expect("made on the first start")).await;
    browser.find("header a[href*=console]").await;
    let file = app.folder().join("orange.jpg");
    std::fs::write(&file, flat_picture(320, 180, [230, 120, 20])).expect("writes");
    browser.find("#file").await.send_keys(&file.to_string_lossy()).await.expect("chooses");
    browser.says("#result", "rtsp://127.0.0.1:8554/pictures/hello").await;
    browser.click("#result button:not(.small)").await;
    browser.says("#result", "snapshot/hello.jpg?token=").await;
    let lines = browser.text("#result").await;
    let snapshot = lines.split("/snapshot/hello.jpg").nth(1).and_then(|rest| rest.split('\'').next()).expect("a query");
    let target = format!("/snapshot/hello.jpg{snapshot}");
    assert_eq!(app.request("GET", &target, &[crate::support::FAR], b"").await.status, 200);
    let bearer =
        lines.split("Authorization: Bearer ").nth(1).and_then(|rest| rest.split('\'').next()).expect("a token");
    let header = format!("Authorization: Bearer {bearer}");
    let picture = flat_picture(320, 180, [20, 120, 230]);
    let send = app.request("PUT", "/api/v1/streams/hello/frame", &[crate::support::FAR, &header], &picture).await;
    assert_eq!(send.status, 200, "{send:?}");
    browser.close().await;
}

#[tokio::test]
async fn an_administrator_creates_a_test_card_and_checks_a_configuration_of_mediamtx() {
    let app = TestApp::spawn();
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/", app.addr)).await.expect("loads");
    // The sign-in is required, and then the test card is created at once.
    browser.click("#make-test-card").await;
    browser.sign_in("admin", app.password.as_deref().expect("made on the first start")).await;
    browser.find("a[href*='#/watch/demo/test-card']").await;
    assert_eq!(app.stats("demo/test-card").await["kind"], "test-card");
    browser.says(".steps", "does not answer").await;
    let yaml = browser.find("#mediamtx-yml").await;
    yaml.send_keys("authMethod: internal\napi: no\n").await.expect("types");
    browser.click("section[aria-labelledby=mediamtx-title] button.primary").await;
    let fix = format!("authHTTPAddress: http://127.0.0.1:{}/mediamtx-auth", app.addr.port());
    browser.says(".finding.error .snippet", &fix).await;
    browser.says(".finding.warning .snippet", "api: yes").await;
    browser.keep_screenshot("first-page-checked-desktop").await;
    yaml.clear().await.expect("clears");
    yaml.send_keys("authMethod: [").await.expect("types");
    browser.click("section[aria-labelledby=mediamtx-title] button.primary").await;
    browser.says("section[aria-labelledby=mediamtx-title] .bad", "is not valid YAML").await;
    let from_afar = app.request("POST", "/api/v1/mediamtx/check", &[crate::support::FAR], b"a: b").await;
    assert_eq!(from_afar.status, 401);
    browser.close().await;
}

#[tokio::test]
async fn the_language_and_the_appearance_are_remembered() {
    let app = TestApp::spawn();
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/", app.addr)).await.expect("loads");
    browser.says("#account", "Sign in").await;
    for (code, word) in [("ja", "サインイン"), ("zh", "登录"), ("en", "Sign in")] {
        browser.run(&format!("const s = document.getElementById('language'); s.value = '{code}'; s.dispatchEvent(new Event('change'))")).await;
        browser.says("#account", word).await;
        browser.client.goto(&format!("http://{}/viewer/", app.addr)).await.expect("loads");
        browser.says("#account", word).await;
        assert_eq!(browser.run("return document.documentElement.lang").await, json!(code));
    }
    let ground = "return getComputedStyle(document.body).backgroundColor";
    let before = browser.run(ground).await;
    browser.click("#theme").await;
    browser.click("#theme").await;
    eventually("it is dark", async || browser.run(ground).await != before).await;
    browser.client.refresh().await.expect("loads");
    browser.find("#theme").await;
    assert_ne!(browser.run(ground).await, before);
    browser.assert_quiet("languages").await;
    browser.close().await;
}
