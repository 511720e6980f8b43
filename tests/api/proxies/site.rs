//! The application behind a proxy, and its clients.

use std::net::{IpAddr, SocketAddr};

use mtx_sidecar::multipart::Splitter;
use serde_json::json;
use tokio::{io::AsyncReadExt, process::ChildStdout, time::timeout};

use super::proxy::{AFAR, HOST, Kind, Proxy};
use crate::support::{PATIENCE, Program, Response, TestApp, WsClient, basic, picture};

/// A proxy on this machine is trusted, programs on this machine can read and publish, and alice can do everything.
pub const BEHIND_A_PROXY: &str = "http: {trusted_proxies: ['127.0.0.1']}\n";
pub const USERS: &str = "
auth:
  users:
    - {user: any, ips: ['127.0.0.1', '::1'], permissions: [{action: read}, {action: publish}]}
    - {user: alice, pass: s3cret, permissions: [{action: api}, {action: read}, {action: publish}]}
";

pub const ORIGIN: &str = "Origin: https://cameras.example";

/// The application behind a proxy, asked as a browser asks it.
pub struct Site {
    pub app: TestApp,
    /// The address of the application itself.
    pub direct: SocketAddr,
    proxy: Proxy,
}

impl Site {
    /// Starts both, with a picture of the stream `door`. The client is not on this machine.
    pub async fn open(kind: Kind, configuration: &str, settings: &str) -> Option<Self> {
        let mut app = TestApp::with(&format!("{settings}{USERS}"));
        assert_eq!(app.put("/api/v1/streams/door/frame", &picture(1)).await.status, 200);
        let direct = app.addr;
        let mut proxy = Proxy::start(kind, configuration, direct).await?;
        app.addr = proxy.client(AFAR).await;
        Some(Site { app, direct, proxy })
    }

    pub async fn documented(kind: Kind) -> Option<Self> {
        Site::open(kind, &kind.at_a_host(), BEHIND_A_PROXY).await
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Response {
        self.app.request(method, path, &[&[&*host()], headers].concat(), body).await
    }

    pub async fn get_as_alice(&self, path: &str) -> Response {
        self.ask("GET", path, &[&alice()], b"").await
    }

    pub async fn upload(&self, stream: &str, picture: &[u8]) {
        let answer = self.ask("PUT", &format!("/api/v1/streams/{stream}/frame"), &[&alice()], picture).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub async fn sign_in(&self, path: &str, origin: &str) -> Response {
        let body = json!({"user": "alice", "pass": "s3cret"}).to_string();
        self.ask("POST", path, &[origin], body.as_bytes()).await
    }

    /// The URL of a new share link.
    pub async fn link(&self, path: &str, headers: &[&str]) -> String {
        let body = json!({"path": "door", "expires": "1h"}).to_string();
        let made = self.ask("POST", path, &[&[&*alice()], headers].concat(), body.as_bytes()).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["url"].as_str().expect("a URL").to_owned()
    }

    /// The same over HTTP/2, where the host is no header line, and with the port of the proxy. Also gives the origin of the request.
    pub async fn link_by_http2(&self) -> (String, String) {
        let body = json!({"path": "door", "expires": "1h"}).to_string();
        let mut curl = self.proxy.curl("/api/v1/shares", &["-u", "alice:s3cret", "--http2", "-d", &body]);
        let answer = curl.output().await.expect("curl runs").stdout;
        let made: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        (made["url"].as_str().expect("a URL").to_owned(), self.proxy.origin())
    }

    pub async fn watchers(&self) -> u64 {
        self.get_as_alice("/api/v1/streams/door").await.json()["watchers"].as_u64().expect("a number")
    }

    /// Watches MJPEG as alice.
    pub fn watch(&self, path: &str) -> Watching {
        let mut curl = Program(self.proxy.curl(path, &["-u", "alice:s3cret"]).spawn().expect("curl starts"));
        let body = curl.0.stdout.take().expect("piped");
        let splitter = Splitter::new(Some("multipart/x-mixed-replace;boundary=boundarydonotcross"), 1 << 20);
        Watching { body, splitter, _curl: curl }
    }

    pub async fn ws(&self, path: &str) -> Result<WsClient, Response> {
        self.app.ws(path, &[&host(), ORIGIN, &alice()]).await
    }

    /// The next requests come to the proxy from this address.
    pub async fn come_from(&mut self, source: IpAddr) {
        self.app.addr = self.proxy.client(source).await;
    }
}

/// An MJPEG response without its transfer coding: proxies send it in chunks, or in frames of HTTP/2.
pub struct Watching {
    body: ChildStdout,
    splitter: Splitter,
    _curl: Program,
}

impl Watching {
    /// Reads until a part is this picture.
    pub async fn until(&mut self, jpeg: &[u8]) {
        let mut data = vec![0; 1 << 16];
        loop {
            while let Some(part) = self.splitter.next_part().expect("well-formed") {
                if part.data == jpeg {
                    return;
                }
            }
            let n =
                timeout(PATIENCE, self.body.read(&mut data)).await.expect("no picture is held back").expect("reads");
            assert!(n > 0, "the stream has ended");
            self.splitter.feed(&data[..n]);
        }
    }
}

pub fn host() -> String {
    format!("Host: {HOST}")
}

pub fn alice() -> String {
    basic("alice", "s3cret")
}

/// MediaMTX's question about alice with her right password.
pub fn question() -> String {
    json!({
        "ip": "198.51.100.7", "user": "alice", "password": "s3cret", "token": "s3cret", "action": "read", "path": "door",
        "protocol": "rtsp", "id": null, "query": "", "userAgent": "",
    })
    .to_string()
}
