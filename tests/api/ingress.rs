//! Behind Home Assistant's ingress, which this test plays: Core and Supervisor in one, on an address of its own.

use std::{net::SocketAddr, process::Stdio, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, path},
};

use crate::{
    browser::Browser,
    support::{PATIENCE, TestApp, WsClient, basic, eventually, flat_picture, picture},
};

/// The path of a session, as Core makes it.
const BASE: &str = "/api/hassio_ingress/Zk3pX0-tOk_en";

/// The address from which the Supervisor connects.
const FROM: [u8; 4] = [127, 0, 0, 9];

const SETTINGS: &str = "http: {ingress: {from: ['127.0.0.9'], admins: [paula]}}
auth: {users: [{user: alice, pass: s3cret, permissions: [{action: api}, {action: read}, {action: publish}]}]}
streams: {card: {kind: test-card, width: 320, height: 180}}\n";

/// The page of Home Assistant, with the panel in a frame.
const PANEL: &str = "<!doctype html><title>Home</title><iframe width=1100 height=700 src='BASE/viewer/'></iframe>";

/// Headers that the Supervisor removes from requests of clients (supervisor/api/ingress.py).
const REMOVED: [&str; 5] =
    ["x-ingress-path", "x-remote-user-id", "x-remote-user-name", "x-remote-user-display-name", "x-hass-source"];

/// Plays Core and the Supervisor: strips the path, and says who the user is.
struct Supervisor {
    addr: SocketAddr,
    /// The name of Home Assistant's user who makes the next requests.
    user: Arc<Mutex<String>>,
}

impl Supervisor {
    async fn start(app: &TestApp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let (addr, to, user) =
            (listener.local_addr().expect("an address"), app.addr, Arc::new(Mutex::new("paula".into())));
        let name: Arc<Mutex<String>> = user.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let name = name.lock().clone();
                // A client that vanishes ends its own request.
                tokio::spawn(async move { drop(Supervisor::pass(client, to, &name).await) });
            }
        });
        Supervisor { addr, user }
    }

    async fn pass(mut client: TcpStream, to: SocketAddr, user: &str) -> std::io::Result<()> {
        let mut read = vec![];
        let end = loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if client.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default();
        let target = first.split(' ').nth(1).unwrap_or_default();
        let Some(rest) = target.strip_prefix(BASE) else {
            let page = PANEL.replace("BASE", BASE);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{page}",
                page.len()
            );
            return client.write_all(answer.as_bytes()).await;
        };
        let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
        let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map_or("", |(_, value)| *value);
        let is_upgrade = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
        let mut sent = format!("{}\r\n", first.replacen(target, rest, 1));
        for (name, value) in &headers {
            let is_kept = is_upgrade || !name.eq_ignore_ascii_case("connection");
            if is_kept && !REMOVED.contains(&name.to_ascii_lowercase().as_str()) {
                sent += &format!("{name}: {value}\r\n");
            }
        }
        sent += &format!(
            "X-Ingress-Path: {BASE}\r\nX-Hass-Source: core.ingress\r\nX-Forwarded-For: 192.168.1.77, 172.30.32.1\r\n\
             X-Forwarded-Host: {host}\r\nX-Forwarded-Proto: http\r\nX-Remote-User-Id: 5f3e0001\r\nX-Remote-User-Name: {user}\r\n\
             X-Remote-User-Display-Name: {user}\r\n"
        );
        sent += if is_upgrade { "\r\n" } else { "Connection: close\r\n\r\n" };
        let socket = TcpSocket::new_v4()?;
        socket.bind((FROM, 0).into())?;
        let mut server = socket.connect(to).await?;
        server.write_all(sent.as_bytes()).await?;
        server.write_all(&read[end + 4..]).await?;
        copy_bidirectional(&mut client, &mut server).await.map(drop)
    }
}

/// An application whose requests go through ingress.
async fn behind_ingress() -> (TestApp, Supervisor, SocketAddr) {
    let mut app = TestApp::with(SETTINGS);
    put(&app, "door", &picture(1)).await;
    let supervisor = Supervisor::start(&app).await;
    let direct = std::mem::replace(&mut app.addr, supervisor.addr);
    (app, supervisor, direct)
}

async fn put(app: &TestApp, stream: &str, picture: &[u8]) {
    let path = format!("/api/v1/streams/{stream}/frame");
    let answer = app.request("PUT", &path, &[&basic("alice", "s3cret")], picture).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn at(path: &str) -> String {
    format!("{BASE}{path}")
}

/// The token that a page gets.
async fn token(app: &TestApp) -> Value {
    let origin = format!("Origin: http://{}", app.addr);
    let answer = app.request("POST", &at("/api/v1/login/refresh"), &[&origin], b"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "the proxy signs in, and not a cookie");
    answer.json()
}

#[tokio::test]
async fn users_of_home_assistant_are_signed_in_with_their_permissions() {
    let (app, supervisor, _) = behind_ingress().await;
    assert_eq!(app.request("GET", &at("/snapshot/door.jpg"), &[], b"").await.status, 401, "no rule for addresses");
    let paula = token(&app).await;
    assert_eq!(paula["user"], "paula");
    let bearer = format!("Authorization: Bearer {}", paula["access_token"].as_str().expect("a token"));
    assert_eq!(app.request("GET", &at("/api/v1/users"), &[&bearer], b"").await.status, 200, "an administrator");
    let me = app.request("GET", &at("/api/v1/me"), &[&bearer], b"").await.json();
    assert_eq!(me["who"], "user paula@ingress");
    *supervisor.user.lock() = "otto".into();
    let otto = token(&app).await;
    let bearer = format!("Authorization: Bearer {}", otto["access_token"].as_str().expect("a token"));
    assert_eq!(app.request("GET", &at("/snapshot/door.jpg"), &[&bearer], b"").await.body, picture(1));
    assert_eq!(app.request("GET", &at("/api/v1/users"), &[&bearer], b"").await.status, 403);
    let put = app.request("PUT", &at("/api/v1/streams/door/frame"), &[&bearer], &picture(2)).await;
    assert_eq!(put.status, 403, "no publisher");
    let audit = "/api/v1/audit";
    let paula = format!("Authorization: Bearer {}", paula["access_token"].as_str().expect("a token"));
    eventually("the audit has both sign-ins", async || {
        let audit = app.request("GET", &at(audit), &[&paula], b"").await.json().to_string();
        audit.contains("paula@ingress") && audit.contains("otto@ingress") && audit.contains("sign in by ingress")
    })
    .await;
}

#[tokio::test]
async fn the_headers_count_from_the_supervisor_only() {
    let (mut app, _supervisor, direct) = behind_ingress().await;
    let forged = ["X-Ingress-Path: /x", "X-Remote-User-Id: 1", "X-Remote-User-Name: paula"];
    // A client of Home Assistant cannot choose its name: the Supervisor removes these.
    let answer = app.request("POST", &at("/api/v1/login/refresh"), &["X-Remote-User-Name: otto"], b"").await;
    assert_eq!(answer.json()["user"], "paula");
    let page = app.request("GET", &at("/viewer/"), &[], b"").await;
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("frame-ancestors 'self'"), "{policy}");
    assert_eq!(page.header("x-frame-options"), Some("SAMEORIGIN"));
    // Another program, at the port itself.
    app.addr = direct;
    assert_eq!(app.request("POST", "/api/v1/login/refresh", &forged, b"").await.status, 204);
    let page = app.request("GET", "/viewer/", &forged, b"").await;
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("frame-ancestors 'none'")));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
}

#[tokio::test]
async fn paths_of_the_supervisor_are_checked() {
    let (mut app, _supervisor, direct) = behind_ingress().await;
    app.addr = direct;
    // From the Supervisor's address, without its proxy.
    let ask = async |headers: &str| {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((FROM, 0).into()).expect("binds");
        let mut server = socket.connect(direct).await.expect("connects");
        let request = format!("POST /api/v1/login/refresh HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        server.write_all(request.as_bytes()).await.expect("writes");
        let mut answer = String::new();
        server.read_to_string(&mut answer).await.expect("reads");
        answer.split(' ').nth(1).expect("a status").to_owned()
    };
    let user = "X-Remote-User-Id: 1\r\nX-Remote-User-Name: paula\r\n";
    assert_eq!(ask(&format!("X-Ingress-Path: /api/x\r\n{user}")).await, "200");
    for headers in [
        user.to_owned(),
        "X-Ingress-Path: /api/x\r\n".into(),
        format!("X-Ingress-Path: /a; Domain=evil\r\n{user}"),
        format!("X-Ingress-Path: http://evil\r\n{user}"),
        format!("X-Ingress-Path: /{}\r\n{user}", "x".repeat(300)),
        format!("X-Ingress-Path: /a\r\nX-Ingress-Path: /b\r\n{user}"),
        format!("X-Ingress-Path: /a\r\nX-Remote-User-Id: 1\r\n{user}"),
    ] {
        assert_eq!(ask(&headers).await, "204", "{headers}");
    }
}

#[tokio::test]
async fn streams_pass_and_passwords_and_links_have_the_right_path() {
    let (app, _supervisor, direct) = behind_ingress().await;
    let token = token(&app).await["access_token"].as_str().expect("a token").to_owned();
    let bearer = format!("Authorization: Bearer {token}");
    // WebSocket.
    let mut watching = WsClient::connect(&app, &at("/ws/door"), &[&bearer]).await.expect("pictures");
    assert_eq!(watching.picture().await, picture(1));
    // Server-sent events.
    let mut lines = BufReader::new(app.send("GET", &at("/api/v1/events"), &[&bearer], b"").await).lines();
    let first = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("reads").expect("a line");
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    // MJPEG, to <img> with the token in the address.
    let mut stream = app.send("GET", &at(&format!("/stream/door.mjpeg?token={token}")), &[], b"").await;
    let mut read = vec![];
    let find = async {
        while !read.windows(picture(1).len()).any(|window| window == picture(1)) {
            assert!(stream.read_buf(&mut read).await.expect("reads") > 0, "the stream has ended");
        }
    };
    timeout(PATIENCE, find).await.expect("the picture is not held back");
    // A user of the sidecar, whose cookie goes to this panel only.
    let body = json!({"user": "alice", "pass": "s3cret"}).to_string();
    let signed_in = app.request("POST", &at("/api/v1/login"), &[], body.as_bytes()).await;
    let cookie = signed_in.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.contains(&format!("Path={BASE}/api/v1;")), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap_or_default());
    let refreshed = app.request("POST", &at("/api/v1/login/refresh"), &[&cookie], b"").await;
    assert_eq!(refreshed.json()["user"], "alice", "the sign-in with a password has precedence");
    // A link is good for longer than the session.
    let share = app.request("POST", &at("/api/v1/shares"), &[&bearer], br#"{"path": "door", "expires": "1h"}"#).await;
    let url = share.json()["url"].as_str().expect("a URL").to_owned();
    assert!(url.starts_with(&format!("http://127.0.0.1:{}/viewer/#share=", direct.port())), "{url}");
    // Pages of other sites.
    let evil = ["Origin: https://evil.example", &*cookie];
    assert_eq!(app.request("POST", &at("/api/v1/login/refresh"), &evil, b"").await.status, 403);
    assert_eq!(app.request("POST", &at("/mediamtx-auth"), &[], b"{}").await.status, 403);
}

#[tokio::test]
async fn the_panel_works_in_a_frame_of_home_assistant() {
    let (mut app, supervisor, direct) = behind_ingress().await;
    app.addr = direct;
    put(&app, "wall", &flat_picture(640, 360, [20, 90, 160])).await;
    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/panel", supervisor.addr)).await.expect("loads");
    browser.find("iframe").await;
    browser.client.clone().enter_frame(0).await.expect("the frame is there");
    for name in ["card", "wall"] {
        browser.find(&format!(".tile.has-picture[data-key='{name}']")).await;
    }
    browser.click(".tile[data-key='card'] .tile-open").await;
    browser.says(".stage-how", "Playing over").await;
    browser.find("header a[href*=console]").await;
    let console = format!("location.href = '{BASE}/console/'; return true");
    browser.run(&console).await;
    browser.find("main").await;
    browser.says("main", env!("CARGO_PKG_VERSION")).await;
    browser.close().await;
}

/// `mtx-sidecar home-assistant` with options and a Supervisor.
#[tokio::test]
async fn the_app_takes_options_and_the_broker_of_the_supervisor() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = folder.path().join("options.json");
    std::fs::write(&options, r#"{"log_level": "debug", "admins": ["paula"], "mqtt": true, "webhook_secret": "hush"}"#)
        .expect("writes");
    let supervisor = MockServer::start().await;
    let broker = json!({"result": "ok", "data": {"host": "core-mosquitto", "port": 1883, "ssl": false, "username": "addons", "password": "hidden", "protocol": "3.1.1"}});
    Mock::given(path("/services/mqtt"))
        .and(header("authorization", "Bearer supervisor-token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(broker))
        .mount(&supervisor)
        .await;
    let run = async |supervisor: &str| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
        command.args(["home-assistant", "--print", "--supervisor", supervisor, "--options"]).arg(&options);
        command.env("SUPERVISOR_TOKEN", "supervisor-token").current_dir(folder.path()).stdin(Stdio::null());
        let output = command.output().await.expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let printed = run(&supervisor.uri()).await;
    for line in [
        "data_dir: /data",
        "http.ingress.admins: paula",
        "http.ingress.from: 172.30.32.2",
        "log.level: debug",
        "media.roots: /media,/share",
        "mqtt.url: mqtt://core-mosquitto:1883",
        "mqtt.user: addons",
        "mqtt.pass: ***",
        "auth.webhook_secret: ***",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "no {line:?} in\n{printed}");
    }
    // The administrator's own file counts.
    std::fs::write(folder.path().join("sidecar.yml"), "mqtt: {url: 'mqtt://192.168.1.5:1883'}\n").expect("writes");
    let printed = run(&supervisor.uri()).await;
    assert!(!printed.contains("core-mosquitto") && printed.contains("log.level: debug"), "{printed}");
    std::fs::remove_file(folder.path().join("sidecar.yml")).expect("removes");
    // Without the service, and without a Supervisor, it goes on.
    for away in [MockServer::start().await.uri(), "http://127.0.0.1:1".into()] {
        assert!(!run(&away).await.contains("mqtt.url"));
    }
}
