//! The browsers' engines beside Chromium's: Gecko (Firefox) and WebKit (Safari, here WebKitGTK), by the colours in their windows.

use serde_json::Value;

use crate::{
    browser::Browser,
    support::{TestApp, close_to, eventually, flat_picture, marionette::Firefox, middle_colour, skip, webkit::WebKit},
};

/// A browser's window.
pub enum Window {
    Chromium(Browser),
    Firefox(Firefox),
    WebKit(WebKit),
}

impl Window {
    pub async fn chromium() -> Self {
        Window::Chromium(Browser::start().await)
    }

    /// Firefox, under Debian's name or its own; none if there is none.
    pub async fn firefox() -> Option<Self> {
        let program = if skip::is_there("firefox") { "firefox" } else { "firefox-esr" };
        if !skip::has(program) {
            return None;
        }
        Some(Window::Firefox(Firefox::start(program).await))
    }

    pub async fn webkit() -> Option<Self> {
        if !skip::has("WebKitWebDriver") || !skip::has("Xvfb") {
            return None;
        }
        Some(Window::WebKit(WebKit::start().await))
    }

    pub async fn open(&mut self, url: &str) {
        match self {
            Window::Chromium(browser) => browser.client.goto(url).await.expect("loads"),
            Window::Firefox(browser) => browser.open(url).await,
            Window::WebKit(browser) => browser.open(url).await,
        }
    }

    /// Runs a script and returns its result.
    pub async fn run(&mut self, script: &str) -> Value {
        match self {
            Window::Chromium(browser) => browser.run(script).await,
            Window::Firefox(browser) => browser.run(script).await,
            Window::WebKit(browser) => browser.run(script).await,
        }
    }

    /// Waits until the middle of the window has the colour.
    pub async fn shows(&mut self, colour: [u8; 3]) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("shot.png");
        eventually(&format!("the window shows {colour:?}"), async || {
            let shot = match self {
                Window::Chromium(browser) => Some(browser.client.screenshot().await.expect("a screenshot")),
                Window::Firefox(browser) => browser.screenshot().await,
                Window::WebKit(browser) => Some(browser.screenshot().await),
            };
            let Some(shot) = shot else { return false };
            std::fs::write(&file, shot).expect("writes");
            close_to(middle_colour(&file).await, colour)
        })
        .await;
    }

    pub async fn close(self) {
        match self {
            Window::Chromium(browser) => browser.close().await,
            Window::Firefox(_) => {}
            Window::WebKit(browser) => browser.close().await,
        }
    }
}

const COLOURS: [[u8; 3]; 4] = [[200, 40, 40], [40, 160, 60], [40, 60, 200], [210, 200, 60]];

/// The page shows the stored picture at once, and each upload. Nothing is repeated within the test (`interval: 1h`), so that
/// no repetition replaces a picture that the browser holds back.
async fn an_img_shows_each_picture(mut window: Window) {
    let pages = tempfile::tempdir().expect("a folder");
    let page = "<body style=\"margin:0\"><img style=\"width:100vw;height:100vh\" src=\"mjpeg-get?name=still\">";
    std::fs::write(pages.path().join("still.html"), page).expect("writes");
    let app = TestApp::with(&format!("output: {{interval: 1h}}\nhttp: {{static_dir: '{}'}}", pages.path().display()));
    let upload = async |colour| app.put("/mjpeg-upload?name=still", &flat_picture(640, 480, colour)).await;
    upload(COLOURS[3]).await;
    window.open(&format!("http://{}/still.html", app.addr)).await;
    window.shows(COLOURS[3]).await;
    for colour in COLOURS {
        upload(colour).await;
        window.shows(colour).await;
    }
    window.close().await;
    eventually("the stream has no watcher", async || app.stats("still").await["watchers"] == 0).await;
}

#[tokio::test]
async fn an_img_in_chromium_shows_each_picture_at_once() {
    an_img_shows_each_picture(Window::chromium().await).await;
}

#[tokio::test]
async fn an_img_in_firefox_shows_each_picture_at_once() {
    let Some(window) = Window::firefox().await else { return };
    an_img_shows_each_picture(window).await;
}

/// WebKit shows a part when the next one is complete, so it gets each picture twice.
#[tokio::test]
async fn an_img_in_webkit_shows_each_picture_at_once() {
    let Some(window) = Window::webkit().await else { return };
    an_img_shows_each_picture(window).await;
}
