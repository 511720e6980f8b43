//! WebKitGTK's small browser, driven by WebKitWebDriver, on a display of its own.

use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Program, eventually, free_port};

pub struct WebKit {
    client: Client,
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
        WebKit { client: client.expect("connected"), _driver: driver, _display: display }
    }

    /// Goes to the page, and does not wait for it.
    pub async fn open(&mut self, url: &str) {
        self.client.goto(url).await.expect("goes to the page");
    }

    /// The content of the window, as PNG.
    pub async fn screenshot(&mut self) -> Vec<u8> {
        self.client.screenshot().await.expect("a screenshot")
    }

    /// Runs a script and returns its result.
    pub async fn run(&mut self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    pub async fn close(self) {
        self.client.close().await.expect("closes");
    }
}

/// An X server without a screen, and the number that it has chosen.
async fn display() -> (Program, u32) {
    let args = ["-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"];
    let mut server = Program::start_piped("Xvfb", &args);
    let mut line = String::new();
    let output = server.0.stdout.take().expect("a pipe");
    BufReader::new(output).read_line(&mut line).await.expect("reads");
    (server, line.trim().parse().unwrap_or_else(|e| panic!("the number of a display: {e}: {line:?}")))
}
