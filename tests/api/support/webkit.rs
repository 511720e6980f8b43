//! WebKitGTK's small browser, driven by WebKitWebDriver, on a display of its own.

use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{PATIENCE, Program, eventually, free_port};

/// The size of the display, which is that of the browser's window.
const SIZE: &str = "1024x768";

pub struct WebKit {
    client: Client,
    display_number: u32,
    // In the order in which they end.
    _driver: Program,
    _display: Program,
}

impl WebKit {
    /// Starts a display, the driver and a window.
    pub async fn start() -> Self {
        let (display, number) = display().await;
        let port = free_port();
        let display_variable = format!("DISPLAY=:{number}");
        let port_argument = format!("--port={port}");
        // Without WEBKIT_DISABLE_DMABUF_RENDERER it asks for a graphics card.
        let variables = [&*display_variable, "WEBKIT_DISABLE_DMABUF_RENDERER=1", "LANG=C.UTF-8"];
        let driver = Program::start("env", &[&variables[..], &["WebKitWebDriver", &port_argument]].concat());
        let mut capabilities = Capabilities::new();
        // An endless `<img>` keeps the page loading.
        capabilities.insert("pageLoadStrategy".into(), json!("none"));
        let url = format!("http://127.0.0.1:{port}");
        let mut client = None;
        eventually("WebKitWebDriver gives a session", async || {
            client =
                ClientBuilder::new(HttpConnector::new()).capabilities(capabilities.clone()).connect(&url).await.ok();
            client.is_some()
        })
        .await;
        WebKit { client: client.expect("connected"), display_number: number, _driver: driver, _display: display }
    }

    /// Goes to the page, and does not wait for it.
    pub async fn open(&mut self, url: &str) {
        self.client.goto(url).await.expect("goes to the page");
    }

    /// The display, as PNG. It is not asked of WebKitWebDriver 2.50, which answers no second screenshot of a page that still loads.
    pub async fn screenshot(&self) -> Vec<u8> {
        let display = format!(":{}", self.display_number);
        let grab = ["-v", "error", "-f", "x11grab", "-draw_mouse", "0", "-video_size", SIZE, "-i", &display];
        Program::output("ffmpeg", &[&grab[..], &["-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"]].concat())
            .await
    }

    /// Runs a script and returns its result.
    pub async fn run(&mut self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    pub async fn close(self) {
        tokio::time::timeout(PATIENCE, self.client.close()).await.expect("closes in time").expect("closes");
    }
}

/// An X server without a screen, and the number that it has chosen.
async fn display() -> (Program, u32) {
    let screen = format!("{SIZE}x24");
    let mut server = Program::start_piped("Xvfb", &["-displayfd", "1", "-screen", "0", &screen, "-nolisten", "tcp"]);
    let mut line = String::new();
    let output = server.0.stdout.take().expect("a pipe");
    BufReader::new(output).read_line(&mut line).await.expect("reads");
    (server, line.trim().parse().unwrap_or_else(|e| panic!("the number of a display: {e}: {line:?}")))
}
