//! Chromium, driven by chromedriver.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use fantoccini::{
    Client, ClientBuilder, Locator,
    elements::Element,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::support::{Program, TestApp, close_to, eventually, flat_picture, free_port, middle_colour};

pub struct Browser {
    pub client: Client,
    _driver: Program,
    folder: tempfile::TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        Browser::start_as(json!({})).await
    }

    /// A phone: a narrow touch screen with two device pixels per CSS pixel.
    pub async fn phone() -> Self {
        let metrics = json!({"width": 390, "height": 780, "pixelRatio": 2, "touch": true});
        Browser::start_as(json!({"mobileEmulation": {"deviceMetrics": metrics}})).await
    }

    /// A browser with a camera and a microphone, which pages can use without a question to the user.
    pub async fn with_devices() -> Self {
        let args = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"];
        Browser::start_as(json!({ "more": args })).await
    }

    /// A browser with further arguments.
    pub async fn start_with(args: &[&str]) -> Self {
        Browser::start_as(json!({ "more": args })).await
    }

    async fn start_as(mut options: Value) -> Self {
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
            "--hide-scrollbars",
            "--lang=en",
            "--autoplay-policy=no-user-gesture-required",
            "--window-size=1200,800",
            &format!("--user-data-dir={}", folder.path().join("profile").display()),
        ];
        let mut capabilities = Capabilities::new();
        let mut args: Vec<Value> = args.iter().map(|arg| json!(arg)).collect();
        if let Some(Value::Array(more)) = options.as_object_mut().and_then(|options| options.remove("more")) {
            args.extend(more);
        }
        let mut chrome = json!({ "args": args });
        chrome.as_object_mut().expect("made as one").extend(options.as_object().expect("an object").clone());
        capabilities.insert("goog:chromeOptions".into(), chrome);
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

    /// The content of the window, as a file.
    pub async fn screenshot(&self) -> PathBuf {
        let path = self.folder.path().join("shot.png");
        std::fs::write(&path, self.client.screenshot().await.expect("a screenshot")).expect("writes");
        path
    }

    /// Keeps a screenshot as target/screenshots/NAME.png.
    pub async fn keep_screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).expect("a folder");
        let data = self.client.screenshot().await.expect("a screenshot");
        std::fs::write(folder.join(format!("{name}.png")), data).expect("writes");
    }

    /// The same of the whole page, also of what is outside of the window.
    pub async fn keep_whole_page(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).expect("a folder");
        let shot =
            self.devtools("Page.captureScreenshot", json!({"captureBeyondViewport": true, "format": "png"})).await;
        let data = BASE64.decode(shot["data"].as_str().expect("a picture")).expect("base64");
        std::fs::write(folder.join(format!("{name}.png")), data).expect("writes");
    }

    /// Calls a method of the DevTools protocol.
    pub async fn devtools(&self, method: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(DevTools { method, parameters }).await.unwrap_or_else(|e| panic!("{method}: {e}"))
    }

    /// Waits for the element.
    pub async fn find(&self, css: &str) -> Element {
        match self.client.wait().for_element(Locator::Css(css)).await {
            Ok(found) => found,
            Err(e) => {
                let seen = self.run("return location.href + '\\n' + document.body.innerText").await;
                panic!("{css} is not there: {e}\n{}\n{:#?}", seen.as_str().unwrap_or_default(), self.complaints().await)
            }
        }
    }

    /// Clicks the element, or the one that has replaced it in the meantime.
    pub async fn click(&self, css: &str) {
        match self.find(css).await.click().await {
            Err(e) if e.is_stale_element_reference() => self.find(css).await.click().await,
            clicked => clicked,
        }
        .unwrap_or_else(|e| panic!("{css} cannot be clicked: {e}"));
    }

    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.expect("a text")
    }

    /// Runs a script and returns its result.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    /// Waits until the text of the element contains this part.
    pub async fn says(&self, css: &str, part: &str) {
        eventually(&format!("{css} says {part:?}"), async || {
            let seen = self.run(&format!("return document.querySelector({css:?})?.innerText ?? ''")).await;
            seen.as_str().is_some_and(|seen| seen.contains(part))
        })
        .await;
    }

    /// Signs in with the dialog that is open.
    pub async fn sign_in(&self, user: &str, password: &str) {
        for (field, text) in [("user", user), ("password", password)] {
            let field = self.find(&format!("dialog.sign-in [name={field}]")).await;
            field.clear().await.expect("empties");
            field.send_keys(text).await.expect("types");
        }
        self.click("dialog.sign-in button.primary").await;
    }

    /// Warnings and errors of the browser since the last call: of scripts, of the content security policy, of requests.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.client.issue_cmd(BrowserLog).await.expect("a log");
        let lines = log.as_array().cloned().unwrap_or_default();
        let problems = lines.iter().filter(|line| line["level"] != "INFO" && line["level"] != "DEBUG");
        problems.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Cuts the network of the page, or connects it again.
    pub async fn cut_network(&self, is_cut: bool) {
        self.client.issue_cmd(NetworkConditions { is_cut }).await.expect("chromedriver does that");
    }

    /// Fails if the browser has logged a warning or an error, or if the page has sent a request to another host.
    pub async fn assert_quiet(&self, what: &str) {
        assert_eq!(self.complaints().await, Vec::<String>::new(), "{what}");
        let hosts = "return [...new Set(performance.getEntriesByType('resource').map((r) => new URL(r.name))
            .filter((u) => u.protocol !== 'blob:' && u.hostname !== location.hostname).map((u) => u.href))]";
        assert_eq!(self.run(hosts).await, json!([]), "{what}: other hosts");
    }

    /// Kills the processes of the browser, which say no farewell to any server.
    pub async fn kill(self) {
        assert!(self.kill_processes() > 0, "no process has the profile");
    }

    /// Kills all processes with the profile of this browser, and returns their number.
    fn kill_processes(&self) -> usize {
        let profile = format!("--user-data-dir={}", self.folder.path().join("profile").display());
        let is_ours = |pid: &str| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            // The renderers write their arguments as one line.
            line.split(|byte| matches!(byte, 0 | b' ')).any(|argument| argument == profile.as_bytes())
        };
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
        let pids: Vec<_> = pids.filter(|name| name.parse::<u32>().is_ok() && is_ours(name)).collect();
        if !pids.is_empty() {
            // Some have ended with the first of them.
            let mut command = std::process::Command::new("kill");
            let _ = command.arg("-KILL").args(&pids).stderr(std::process::Stdio::null()).status();
        }
        pids.len()
    }

    pub async fn close(self) {
        self.client.clone().close().await.expect("closes");
    }
}

/// chromedriver, which is killed, leaves its browser running, with a dozen processes: after a test that has failed, or that did not wait
/// for the end of the session.
impl Drop for Browser {
    fn drop(&mut self) {
        self.kill_processes();
    }
}

/// chromedriver's command for the log (`goog:loggingPrefs`).
#[derive(Debug)]
struct BrowserLog;

impl WebDriverCompatibleCommand for BrowserLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"type": "browser"}).to_string()))
    }
}

/// chromedriver's command for the DevTools protocol.
#[derive(Debug)]
struct DevTools {
    method: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "cmd": self.method, "params": self.parameters }).to_string()))
    }
}

/// chromedriver's command for the emulation of a network.
#[derive(Debug)]
struct NetworkConditions {
    is_cut: bool,
}

impl WebDriverCompatibleCommand for NetworkConditions {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/chromium/network_conditions", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        let conditions =
            json!({"offline": self.is_cut, "latency": 0, "download_throughput": -1, "upload_throughput": -1});
        (http::Method::POST, Some(json!({ "network_conditions": conditions }).to_string()))
    }
}

/// crbug.com/527446: without the closing boundary Chromium shows the picture before the last one. The interval is an hour,
/// so a repeated picture cannot hide that.
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
    eventually("the stream has no watcher", async || app.stats("flat").await["watchers"] == 0).await;
}
