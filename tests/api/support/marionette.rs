//! Firefox, driven over Marionette, the protocol of its WebDriver: `LENGTH:JSON` over TCP, in which a command is
//! `[0, id, name, parameters]` and its answer `[1, id, error, result]`. It needs no geckodriver, which Debian does not have.
//! <https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html>

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{PATIENCE, Program, eventually};

/// Preferences of the profile: Marionette at a port that the system chooses, no requests by the browser itself, and WebRTC with a
/// MediaMTX that has no other address than 127.0.0.1.
const PREFERENCES: &str = r#"
user_pref("marionette.port", 0);
user_pref("app.update.auto", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("media.peerconnection.ice.loopback", true);
user_pref("media.peerconnection.ice.obfuscate_host_addresses", false);
"#;

pub struct Firefox {
    socket: TcpStream,
    last_id: u64,
    _program: Program,
    /// The profile, which the browser writes to until it has ended.
    _folder: tempfile::TempDir,
}

impl Firefox {
    /// Starts the browser with a profile of its own.
    pub async fn start(program: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let profile = folder.path().join("profile");
        std::fs::create_dir(&profile).expect("makes");
        std::fs::write(profile.join("user.js"), PREFERENCES).expect("writes");
        // Firefox also writes to HOME, and refuses to start if that belongs to another user.
        let home = format!("HOME={}", folder.path().display());
        let args = ["--headless", "--no-remote", "--marionette", "--width=1200", "--height=800", "--profile"];
        let program = Program::start("env", &[&[&*home, program][..], &args, &[&profile.to_string_lossy()]].concat());
        let socket = connect(&profile).await;
        let mut firefox = Firefox { socket, last_id: 0, _program: program, _folder: folder };
        let greeting = firefox.message().await;
        assert_eq!(greeting["marionetteProtocol"], 3, "{greeting}");
        firefox.command("WebDriver:NewSession", json!({"pageLoadStrategy": "none"})).await;
        firefox
    }

    /// Goes to the page, and does not wait for it: an endless `<img>` keeps some browsers loading.
    pub async fn open(&mut self, url: &str) {
        self.command("WebDriver:Navigate", json!({ "url": url })).await;
    }

    /// The content of the window, as PNG; none while one page replaces another ("Unable to capture screenshot").
    pub async fn screenshot(&mut self) -> Option<Vec<u8>> {
        let answer = self.ask("WebDriver:TakeScreenshot", json!({"full": false})).await.ok()?;
        Some(BASE64_STANDARD.decode(answer["value"].as_str().expect("a picture")).expect("base64"))
    }

    /// Runs a script and returns its result.
    pub async fn run(&mut self, script: &str) -> Value {
        self.command("WebDriver:ExecuteScript", json!({"script": script, "args": []})).await["value"].take()
    }

    async fn command(&mut self, name: &str, parameters: Value) -> Value {
        self.ask(name, parameters).await.unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Sends a command; the result is the browser's, or its error.
    async fn ask(&mut self, name: &str, parameters: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let text = json!([0, self.last_id, name, parameters]).to_string();
        self.socket.write_all(format!("{}:{text}", text.len()).as_bytes()).await.expect("writes");
        let mut answer = self.message().await;
        assert_eq!(answer[1], self.last_id, "{name}: {answer}");
        if answer[2].is_null() { Ok(answer[3].take()) } else { Err(answer[2].take()) }
    }

    async fn message(&mut self) -> Value {
        let mut length = 0;
        loop {
            let byte = timeout(3 * PATIENCE, self.socket.read_u8()).await.expect("in time").expect("reads");
            match byte {
                b':' => break,
                digit => length = 10 * length + usize::from(digit - b'0'),
            }
        }
        let mut text = vec![0; length];
        timeout(3 * PATIENCE, self.socket.read_exact(&mut text)).await.expect("in time").expect("reads");
        serde_json::from_slice(&text).expect("JSON")
    }
}

/// Connects to the port that the browser writes into its profile.
async fn connect(profile: &Path) -> TcpStream {
    let mut socket = None;
    eventually("Firefox listens", async || {
        let port = std::fs::read_to_string(profile.join("MarionetteActivePort")).unwrap_or_default();
        if let Ok(port) = port.trim().parse::<u16>() {
            socket = TcpStream::connect(("127.0.0.1", port)).await.ok();
        }
        socket.is_some()
    })
    .await;
    socket.expect("connected")
}
