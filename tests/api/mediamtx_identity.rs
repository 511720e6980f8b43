//! Users, tokens and shares at the real MediaMTX: with its authentication requests, and with its own verification of tokens.

use serde_json::json;

use crate::support::{
    FAR, Program, TestApp, basic, bearer, eventually, flat_picture,
    mediamtx::{MediaMtx, first_frame},
    rtsp_client::Client,
};

/// Without permissions for this machine, so that MediaMTX's clients, which run here, need credentials.
fn settings(ports: [u16; 6]) -> String {
    format!(
        "mediamtx: {{api: 'http://127.0.0.1:{}'}}\nauth: {{users: [{{user: root, pass: r00t-pass, permissions: [{{action: api}}, {{action: publish}}]}}, {{user: any, ips: [127.0.0.1], permissions: [{{action: read, path: lobby}}]}}]}}",
        ports[4]
    )
}

async fn root(app: &TestApp, method: &str, path: &str, body: serde_json::Value) -> serde_json::Value {
    let response = app.request(method, path, &[&basic("root", "r00t-pass")], body.to_string().as_bytes()).await;
    assert!(response.status < 300, "{method} {path}: {response:?}");
    if response.body.is_empty() { json!(null) } else { response.json() }
}

/// The configuration with a token in the URL from which MediaMTX pulls.
async fn with_source(app: &TestApp, text: &str) -> String {
    let wanted = json!({"name": "mediamtx", "permissions": [{"action": "read"}], "expires": "1h"});
    let made = root(app, "POST", "/api/v1/tokens", wanted).await;
    text.replace("9554/$G1", &format!("9554/$G1?token={}", made["token"].as_str().expect("a token")))
}

async fn reads(mediamtx: &MediaMtx, credentials: &str, query: &str, app: &TestApp) -> bool {
    let url = format!("rtsp://{credentials}127.0.0.1:{}/pictures/door{query}", mediamtx.rtsp);
    first_frame(&url, &app.folder().join("seen.png"), &[]).await.success()
}

/// The status of an HLS playlist. (ffmpeg truncates the password of a URL after some 120 characters, so it can send a token only
/// in the query.)
async fn hls(mediamtx: &MediaMtx, shown: &[&str]) -> String {
    let url = format!("http://127.0.0.1:{}/pictures/door/index.m3u8", mediamtx.hls);
    let args = ["-sL", "-b", "", "-o", "/dev/null", "-w", "%{http_code}", &url];
    String::from_utf8(Program::output("curl", &[&args[..], shown].concat()).await).expect("a status")
}

/// An RTSP session at MediaMTX that plays until it is ended.
async fn session(mediamtx: &MediaMtx, query: &str) -> Client {
    let mut client = Client::connect_to(mediamtx.rtsp, &format!("pictures/door{query}")).await;
    client.play().await;
    client.picture().await;
    client
}

async fn is_ended(mut client: Client) {
    let ended = async { while client.try_picture().await.is_some() {} };
    tokio::time::timeout(crate::support::PATIENCE, ended).await.expect("the session is ended");
}

#[tokio::test]
async fn credentials_are_valid_at_mediamtx_and_their_revocation_ends_its_sessions() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&settings(ports));
    let text = with_source(&app, mtx_sidecar::settings::MEDIAMTX_YML).await;
    let Some(mediamtx) = MediaMtx::start_with(&app, &text, &ports).await else { return };
    let upload = app
        .request(
            "PUT",
            "/api/v1/streams/door/frame",
            &[&basic("root", "r00t-pass")],
            &flat_picture(320, 180, [9, 99, 200]),
        )
        .await;
    assert_eq!(upload.status, 200);
    root(
        &app,
        "PUT",
        "/api/v1/users/alice",
        json!({"pass": "correct-horse", "permissions": [{"action": "read", "path": "~^pictures/"}]}),
    )
    .await;
    let token = json!({"name": "wall", "permissions": [{"action": "read", "path": "pictures/door"}], "expires": "1h"});
    let token = root(&app, "POST", "/api/v1/tokens", token).await;
    let share = root(&app, "POST", "/api/v1/shares", json!({"path": "pictures/door", "expires": "1h"})).await;
    let text = |of: &serde_json::Value, key: &str| of[key].as_str().expect("a text").to_owned();

    assert!(reads(&mediamtx, "alice:correct-horse@", "", &app).await, "user and password");
    assert_eq!(
        hls(&mediamtx, &["-u", &format!("x:{}", text(&token, "token"))]).await,
        "200",
        "a token as the password"
    );
    assert_eq!(hls(&mediamtx, &["-H", &bearer(&text(&token, "token"))]).await, "200", "a token as a bearer token");
    assert!(reads(&mediamtx, "", &format!("?token={}", text(&share, "code")), &app).await, "a share in the URL");
    for (credentials, query) in [("", ""), ("alice:wrong@", ""), ("", "?token=mtxs_nonsense")] {
        assert!(!reads(&mediamtx, credentials, query, &app).await, "{credentials} {query}");
    }
    // The list of the original program shows readable paths only.
    let listed = app.request("POST", "/mediamtx-get-path", &[FAR, &bearer(&text(&token, "token"))], b"").await;
    let names: Vec<_> = listed.json()["list"].as_array().expect("a list").iter().map(|p| p["name"].clone()).collect();
    assert!(names.iter().all(|name| name == "pictures/door"), "{names:?}");
    assert_eq!(app.request("POST", "/mediamtx-get-path", &[FAR], b"").await.status, 401);

    let by_token = session(&mediamtx, &format!("?token={}", text(&token, "token"))).await;
    let by_share = session(&mediamtx, &format!("?token={}", text(&share, "code"))).await;
    let by_login =
        app.request("POST", "/api/v1/login", &[FAR], br#"{"user":"alice","password":"correct-horse"}"#).await;
    let by_user = session(&mediamtx, &format!("?token={}", text(&by_login.json(), "access_token"))).await;
    root(&app, "DELETE", &format!("/api/v1/tokens/{}", text(&token, "id")), json!(null)).await;
    is_ended(by_token).await;
    root(&app, "DELETE", &format!("/api/v1/shares/{}", text(&share, "id")), json!(null)).await;
    is_ended(by_share).await;
    root(&app, "PATCH", "/api/v1/users/alice", json!({"disabled": true})).await;
    is_ended(by_user).await;
    assert!(!reads(&mediamtx, "alice:correct-horse@", "", &app).await, "a disabled user cannot read again");
}

/// What MediaMTX has admitted by a token ends with it, although MediaMTX asks only once.
#[tokio::test]
async fn sessions_at_mediamtx_end_with_their_token_and_with_their_sign_in() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&settings(ports));
    let text = with_source(&app, mtx_sidecar::settings::MEDIAMTX_YML).await;
    let Some(mediamtx) = MediaMtx::start_with(&app, &text, &ports).await else { return };
    let door = flat_picture(320, 180, [9, 99, 200]);
    app.request("PUT", "/api/v1/streams/door/frame", &[&basic("root", "r00t-pass")], &door).await;
    root(&app, "PUT", "/api/v1/users/alice", json!({"pass": "correct-horse", "role": "user"})).await;
    let login = async || {
        let body = br#"{"user":"alice","pass":"correct-horse"}"#;
        let signed_in = app.request("POST", "/api/v1/login", &[FAR], body).await;
        let cookie = signed_in.header("set-cookie").and_then(|set| set.split(';').next()).expect("a cookie").to_owned();
        (signed_in.json()["access_token"].as_str().expect("a token").to_owned(), cookie)
    };
    let ((leaving, cookie), (staying, _)) = (login().await, login().await);
    let leaves = session(&mediamtx, &format!("?token={leaving}")).await;
    let mut stays = session(&mediamtx, &format!("?token={staying}")).await;
    assert_eq!(app.far("POST", "/api/v1/logout", &format!("Cookie: {cookie}"), "").await.status, 204);
    is_ended(leaves).await;
    let wanted = json!({"name": "wall", "permissions": [{"action": "read"}], "expires": "6s"});
    let token = root(&app, "POST", "/api/v1/tokens", wanted).await;
    let expires = session(&mediamtx, &format!("?token={}", token["token"].as_str().expect("a token"))).await;
    is_ended(expires).await;
    assert!(stays.try_picture().await.is_some(), "another sign-in of the user goes on");
}

#[tokio::test]
async fn tokens_are_valid_where_mediamtx_verifies_them_itself() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&settings(ports));
    let text = with_source(&app, include_str!("../../mediamtx.jwt.yml")).await;
    let Some(mediamtx) = MediaMtx::start_with(&app, &text, &ports).await else { return };
    app.request(
        "PUT",
        "/api/v1/streams/door/frame",
        &[&basic("root", "r00t-pass")],
        &flat_picture(320, 180, [9, 99, 200]),
    )
    .await;
    let make = async |permissions: serde_json::Value| {
        let wanted = json!({"name": "wall", "permissions": permissions, "expires": "1h"});
        root(&app, "POST", "/api/v1/tokens", wanted).await["token"].as_str().expect("a token").to_owned()
    };
    let right =
        make(json!([{"action": "read", "path": "pictures/door"}, {"action": "playback", "path": "~^pictures/"}])).await;
    let wrong = make(json!([{"action": "publish"}, {"action": "read", "path": "pictures/gate"}])).await;
    assert!(reads(&mediamtx, "", &format!("?jwt={right}"), &app).await, "a token in the URL");
    assert!(!reads(&mediamtx, "", &format!("?jwt={wrong}"), &app).await, "a token for another path");
    assert!(!reads(&mediamtx, "", "", &app).await, "no credentials");
    assert_eq!(hls(&mediamtx, &["-H", &bearer(&right)]).await, "200", "a bearer token");
    assert_eq!(hls(&mediamtx, &["-u", &format!("x:{right}")]).await, "200", "a token as the password");
    assert_eq!(hls(&mediamtx, &["-H", &bearer(&wrong)]).await, "401", "a bearer token for another path");

    // A signed-in user: the session at MediaMTX has the name of the user, by which it is ended.
    root(&app, "PUT", "/api/v1/users/alice", json!({"pass": "correct-horse", "role": "user"})).await;
    let signed_in =
        app.request("POST", "/api/v1/login", &[FAR], br#"{"user":"alice","password":"correct-horse"}"#).await.json();
    let by_user = session(&mediamtx, &format!("?jwt={}", signed_in["access_token"].as_str().expect("a token"))).await;
    root(&app, "PATCH", "/api/v1/users/alice", json!({"disabled": true})).await;
    is_ended(by_user).await;

    // MediaMTX already has the next key, so a token that is signed with it is valid at once.
    root(&app, "POST", "/api/v1/keys/rotate", json!({})).await;
    let rotated = make(json!([{"action": "read"}])).await;
    assert!(reads(&mediamtx, "", &format!("?jwt={rotated}"), &app).await, "a token of the new key");
    assert!(reads(&mediamtx, "", &format!("?jwt={right}"), &app).await, "a token of the earlier key");
    eventually("MediaMTX accepts the sidecar's own token", async || {
        app.request("POST", "/mediamtx-get-path", &[&basic("root", "r00t-pass")], b"").await.status == 200
    })
    .await;
}
