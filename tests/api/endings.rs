//! What runs by a token ends with the token: at its expiry, at sign-out and at revocation, on every output.

use mtx_sidecar::policy::Principal;
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::support::{
    FAR, MjpegReader, PATIENCE, Response, TestApp, bearer, eventually, picture, rtsp_client::Client, sized_picture,
};

/// Everything that can run without an end, begun with the same credentials.
struct Running {
    sockets: Vec<(&'static str, TcpStream)>,
    rtsp: Client,
}

/// The sessions that [`Running::begin`] makes: MJPEG, SSE, three WebSockets, an upload, MP4, RTSP.
const SESSIONS: usize = 8;

impl Running {
    async fn begin(app: &TestApp, header: &str, who: &Principal) -> Self {
        let handshake = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let mut sockets = vec![];
        for (what, method, path, more) in [
            ("MJPEG", "GET", "/stream/door.mjpeg", &[][..]),
            ("events", "GET", "/api/v1/events", &[]),
            ("WebSocket", "GET", "/ws/door", &handshake),
            ("WebSocket that publishes", "GET", "/ws/yard?push=1", &handshake),
            ("MP4", "GET", "/stream/door.mp4", &[][..]),
            ("video by WebSocket", "GET", "/ws/door?video=1", &handshake),
            ("upload", "POST", "/api/v1/streams/gate/frames", &["Content-Length: 1000000"]),
        ] {
            let headers: Vec<_> = [FAR, header].into_iter().chain(more.iter().copied()).collect();
            let body = if method == "POST" { picture(1) } else { vec![] };
            sockets.push((what, app.send(method, path, &headers, &body).await));
        }
        let mut rtsp = Client::connect(app, "door").await;
        assert_eq!(rtsp.ask("DESCRIBE", "", &[header]).await.status, 200);
        let running = Running { sockets, rtsp };
        eventually("all sessions are listed", async || sessions(app, who).await == SESSIONS).await;
        running
    }

    /// Waits until the server has closed each connection.
    async fn end(self) {
        for (what, mut socket) in self.sockets {
            let mut rest = vec![];
            // A reset is an end, too.
            let ended = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "{what} goes on");
            assert!(!rest.starts_with(b"HTTP/1.1 4"), "{what} was refused: {}", String::from_utf8_lossy(&rest));
        }
        let mut rtsp = self.rtsp;
        rtsp.closed().await;
    }
}

async fn sessions(app: &TestApp, who: &Principal) -> usize {
    let listed = app.admin("GET", "/api/v1/sessions", "").await.json();
    let listed = listed["sessions"].as_array().expect("a list");
    listed.iter().filter(|session| session["user"] == who.to_string()).count()
}

async fn app() -> TestApp {
    let app = TestApp::with("http: {upload_timeout: 60s}");
    app.put("/api/v1/streams/door/frame", &sized_picture(64, 48, 1)).await;
    app
}

const EVERYTHING: &str = r#"[{"action": "read"}, {"action": "publish"}]"#;

async fn token(app: &TestApp, expires: &str) -> (String, Principal) {
    let permissions: Value = serde_json::from_str(EVERYTHING).expect("permissions");
    let made = app.made("/api/v1/tokens", json!({"name": "t", "permissions": permissions, "expires": expires})).await;
    let text = |key: &str| made[key].as_str().expect("a text").to_owned();
    (text("token"), Principal::Token(text("id").into()))
}

async fn sign_in(app: &TestApp) -> Response {
    let body = json!({"user": "alice", "pass": "correct horse"}).to_string();
    let signed_in = app.request("POST", "/api/v1/login", &[FAR], body.as_bytes()).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    signed_in
}

fn access(signed_in: &Response) -> String {
    bearer(signed_in.json()["access_token"].as_str().expect("a token"))
}

fn cookie(response: &Response) -> String {
    format!("Cookie: {}", response.header("set-cookie").unwrap_or_default().split(';').next().unwrap_or_default())
}

#[tokio::test]
async fn everything_ends_when_the_token_expires() {
    let app = app().await;
    let (token, who) = token(&app, "6s").await;
    Running::begin(&app, &bearer(&token), &who).await.end().await;
    assert_eq!(app.far("GET", "/snapshot/door.jpg", &bearer(&token), "").await.status, 401);
}

#[tokio::test]
async fn everything_ends_when_the_token_is_revoked() {
    let app = app().await;
    let (token, who) = token(&app, "1h").await;
    let running = Running::begin(&app, &bearer(&token), &who).await;
    let Principal::Token(id) = &who else { panic!("not a token") };
    assert_eq!(app.admin("DELETE", &format!("/api/v1/tokens/{id}"), "").await.status, 204);
    running.end().await;
}

#[tokio::test]
async fn everything_ends_when_all_tokens_are_dropped() {
    let app = app().await;
    let (token, who) = token(&app, "1h").await;
    let running = Running::begin(&app, &bearer(&token), &who).await;
    assert_eq!(app.admin("POST", "/api/v1/keys/rotate", r#"{"drop_old": true}"#).await.status, 204);
    running.end().await;
}

/// A page that was renewed many times has watched by its first access token: the sign-in counts. Another browser of the same
/// user stays.
#[tokio::test]
async fn everything_of_a_sign_in_ends_when_it_signs_out_and_another_sign_in_goes_on() {
    let app = app().await;
    let permissions: Value = serde_json::from_str(EVERYTHING).expect("permissions");
    app.user("alice", json!({"pass": "correct horse", "permissions": permissions})).await;
    let (first, second) = (sign_in(&app).await, sign_in(&app).await);
    let alice = Principal::User("alice".into());
    let running = Running::begin(&app, &access(&first), &alice).await;
    let refreshed = app.far("POST", "/api/v1/login/refresh", &cookie(&first), "").await;
    assert_eq!(refreshed.status, 200);
    let mut other = MjpegReader::new(app.send("GET", "/stream/door.mjpeg", &[FAR, &access(&second)], b"").await).await;
    other.part().await;
    assert_eq!(app.far("POST", "/api/v1/logout", &cookie(&refreshed), "").await.status, 204);
    running.end().await;
    assert_eq!(sessions(&app, &alice).await, 1);
    app.put("/api/v1/streams/door/frame", &picture(2)).await;
    other.until(&picture(2)).await;
}

#[tokio::test]
async fn a_visitor_s_stream_ends_with_the_share_and_with_the_visitor_s_sign_out() {
    let app = app().await;
    let share = app.made("/api/v1/shares", json!({"path": "door", "expires": "5s"})).await;
    let code = share["code"].as_str().expect("a code").to_owned();
    let open = async || {
        let body = json!({ "code": code }).to_string();
        app.request("POST", "/api/v1/shares/open", &[FAR], body.as_bytes()).await
    };
    let watch = async |header: &str| {
        let mut watching = MjpegReader::new(app.send("GET", "/stream/door.mjpeg", &[FAR, header], b"").await).await;
        watching.part().await;
        watching
    };
    let (leaving, staying) = (open().await, open().await);
    let (mut left, mut by_code, mut stays) =
        (watch(&access(&leaving)).await, watch(&bearer(&code)).await, watch(&access(&staying)).await);
    assert_eq!(app.far("POST", "/api/v1/logout", &cookie(&leaving), "").await.status, 204);
    while left.maybe_part().await.is_some() {}
    assert_eq!(app.far("GET", "/snapshot/door.jpg", &access(&leaving), "").await.status, 401);
    // The others until the share expires.
    while by_code.maybe_part().await.is_some() {}
    while stays.maybe_part().await.is_some() {}
    assert_eq!(app.far("GET", "/snapshot/door.jpg", &bearer(&code), "").await.status, 401);
}
