//! Chromium, driven by chromedriver: what people see.

use std::path::PathBuf;

use fantoccini::{Client, ClientBuilder, Locator, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use crate::support::{Program, TestApp, close_to, eventually, flat_picture, free_port, middle_colour};

pub struct Browser {
    pub client: Client,
    _driver: Program,
    folder: tempfile::TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let port = free_port();
        let driver = Program::start("chromedriver", &[&format!("--port={port}")]);
        let folder = tempfile::tempdir().expect("a folder");
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--autoplay-policy=no-user-gesture-required",
            "--window-size=1200,800",
            &format!("--user-data-dir={}", folder.path().join("profile").display()),
        ];
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), json!({ "args": args }));
        capabilities.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
        let url = format!("http://127.0.0.1:{port}");
        let mut client = None;
        eventually("chromedriver gives a session", async || {
            client =
                ClientBuilder::new(HttpConnector::new()).capabilities(capabilities.clone()).connect(&url).await.ok();
            client.is_some()
        })
        .await;
        Browser { client: client.expect("connected"), _driver: driver, folder }
    }

    /// What the window shows, as a file.
    pub async fn screenshot(&self) -> PathBuf {
        let path = self.folder.path().join("shot.png");
        std::fs::write(&path, self.client.screenshot().await.expect("a screenshot")).expect("writes");
        path
    }

    pub async fn close(self) {
        self.client.clone().close().await.expect("closes");
    }
}

/// crbug.com/527446: without the closing boundary Chromium shows the picture before the last one. The
/// interval is an hour, so that no repeat can help.
#[tokio::test]
async fn an_img_shows_the_current_picture_and_not_the_one_before() {
    let pages = tempfile::tempdir().expect("a folder");
    let page = "<img width=1200 height=800 src=\"stream/flat.mjpeg\">";
    std::fs::write(pages.path().join("index.html"), page).expect("writes");
    let app = TestApp::with(&format!("output: {{interval: 1h}}\nhttp: {{static_dir: '{}'}}", pages.path().display()));
    let colours = [[200, 20, 20], [20, 160, 20], [20, 20, 200]];
    app.put("/api/v1/streams/flat/frame", &flat_picture(640, 480, colours[0])).await;
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/", app.addr)).await.expect("loads");
    for colour in colours {
        app.put("/api/v1/streams/flat/frame", &flat_picture(640, 480, colour)).await;
        eventually("the picture is shown", async || close_to(middle_colour(&browser.screenshot().await).await, colour))
            .await;
    }
    browser.close().await;
    eventually("the stream is let go", async || app.stats("flat").await["watchers"] == 0).await;
}

#[tokio::test]
async fn the_first_page_shows_streams_and_takes_uploads() {
    let app = TestApp::with("streams: {Yard/Card: {kind: test-card, width: 320, height: 180}}");
    let browser = Browser::start().await;
    let client = &browser.client;
    client.goto(&format!("http://{}/", app.addr)).await.expect("loads");
    client
        .wait()
        .for_element(Locator::Css("article.tile[data-name='Yard/Card'] img[src^=blob]"))
        .await
        .expect("a thumbnail");

    let colour = [230, 120, 20];
    let file = app.folder().join("orange.jpg");
    std::fs::write(&file, flat_picture(320, 180, colour)).expect("writes");
    let name = client.find(Locator::Id("name")).await.expect("the name field");
    name.clear().await.expect("clears");
    name.send_keys("My/Upload").await.expect("types");
    client
        .find(Locator::Id("file"))
        .await
        .expect("the file field")
        .send_keys(&file.to_string_lossy())
        .await
        .expect("chooses");
    client
        .wait()
        .for_element(Locator::Css("article.tile[data-name='My/Upload'] img[src^=blob]"))
        .await
        .expect("its thumbnail");
    let result = client.find(Locator::Id("result")).await.expect("the result").text().await.expect("text");
    assert_eq!(result, "My/Upload shows it: 320 × 180");

    client
        .find(Locator::Css("article.tile[data-name='My/Upload'] button"))
        .await
        .expect("a tile")
        .click()
        .await
        .expect("clicks");
    eventually("the live picture is shown", async || {
        let width = client.execute("return document.getElementById('live').naturalWidth", vec![]).await;
        width.is_ok_and(|w| w == 320)
    })
    .await;
    eventually("it is watched", async || app.stats("My/Upload").await["watchers"] == 1).await;
    client.find(Locator::Id("close")).await.expect("a button").click().await.expect("clicks");
    eventually("closing lets the stream go", async || app.stats("My/Upload").await["watchers"] == 0).await;

    std::fs::write(&file, "not a picture").expect("writes");
    client
        .find(Locator::Id("file"))
        .await
        .expect("the file field")
        .send_keys(&file.to_string_lossy())
        .await
        .expect("chooses");
    client.wait().for_element(Locator::Css("#result.bad")).await.expect("the refusal");
    let result = client.find(Locator::Id("result")).await.expect("the result").text().await.expect("text");
    assert!(result.contains("a JPEG, PNG, WebP, GIF or BMP picture is needed"), "{result}");
    browser.close().await;
}
