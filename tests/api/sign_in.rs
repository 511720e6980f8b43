//! The sign-in of pages, share links, other origins, and a base path.

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    support::{FAR, Response, TestApp, bearer, close_to, flat_picture, middle_colour, picture},
};

/// The header line that sends back the cookie of an answer.
fn cookie(response: &Response) -> String {
    let cookie = response.header("set-cookie").unwrap_or_default();
    format!("Cookie: {}", cookie.split(';').next().unwrap_or_default())
}

async fn sign_in(app: &TestApp, password: &str) -> Response {
    let body = json!({"user": "alice", "password": password}).to_string();
    app.request("POST", "/api/v1/login", &[FAR], body.as_bytes()).await
}

async fn with_alice(yaml: &str) -> TestApp {
    let app = TestApp::with(yaml);
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    app.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    app
}

#[tokio::test]
async fn pages_sign_in_refresh_and_sign_out() {
    let app = with_alice("").await;
    let wrong = sign_in(&app, "battery staple").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let signed_in = sign_in(&app, "correct horse").await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let set = signed_in.header("set-cookie").expect("a cookie");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/api/v1", "Max-Age="] {
        assert!(set.contains(attribute), "{set}");
    }
    let token = signed_in.json()["access_token"].as_str().expect("a token").to_owned();
    let me = app.far("GET", "/api/v1/me", &bearer(&token), "").await.json();
    assert_eq!((me["who"].as_str(), me["user"].as_str()), (Some("user alice"), Some("alice")));
    assert_eq!(app.far("GET", "/snapshot/door.jpg", &bearer(&token), "").await.status, 200);
    // The cookie alone gives no permission, because pages of other sites can make a browser send it.
    assert_eq!(app.far("GET", "/snapshot/door.jpg", &cookie(&signed_in), "").await.status, 401);

    let refreshed = app.far("POST", "/api/v1/login/refresh", &cookie(&signed_in), "").await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert_ne!(cookie(&refreshed), cookie(&signed_in));
    let again = app.far("POST", "/api/v1/login/refresh", &cookie(&refreshed), "").await;
    // The first cookie a second time, as a thief would send it.
    let stolen = app.far("POST", "/api/v1/login/refresh", &cookie(&signed_in), "").await;
    assert_eq!(stolen.status, 401);
    assert!(stolen.header("set-cookie").is_some_and(|c| c.contains("Max-Age=0")), "{stolen:?}");
    assert_eq!(app.far("POST", "/api/v1/login/refresh", &cookie(&again), "").await.status, 401);
    let token = again.json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(app.far("GET", "/snapshot/door.jpg", &bearer(&token), "").await.status, 401);

    let signed_in = sign_in(&app, "correct horse").await;
    assert_eq!(app.far("POST", "/api/v1/logout", &cookie(&signed_in), "").await.status, 204);
    assert_eq!(app.far("POST", "/api/v1/login/refresh", &cookie(&signed_in), "").await.status, 401);
    let new = json!({"present": "correct horse", "new": "battery staple"}).to_string();
    let token = sign_in(&app, "correct horse").await.json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(app.far("POST", "/api/v1/me/password", &bearer(&token), &new).await.status, 204);
    assert_eq!(
        app.far("POST", "/api/v1/me/password", &bearer(&token), &new).await.status,
        401,
        "the change has revoked the token"
    );
    assert_eq!((sign_in(&app, "correct horse").await.status, sign_in(&app, "battery staple").await.status), (401, 200));
}

#[tokio::test]
async fn repeated_wrong_sign_ins_are_refused_for_their_sender_only() {
    let app = with_alice("auth: {failures_per_minute: 1}").await;
    let mut refused = 0;
    for n in 0..20 {
        match sign_in(&app, &format!("guess {n:03}")).await.status {
            429 => refused += 1,
            status => assert_eq!(status, 401),
        }
    }
    // One guess a minute is allowed: this leaves ten minutes for twenty guesses.
    assert!(refused >= 8, "{refused} of 20");
    // From another address: this machine itself.
    let body = json!({"user": "alice", "password": "correct horse"}).to_string();
    assert_eq!(app.request("POST", "/api/v1/login", &[], body.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn other_sites_can_read_only_if_their_origin_is_configured() {
    let app = TestApp::with("http: {cors_origins: ['https://home.example:8123']}");
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let from = |origin: &str| format!("Origin: {origin}");
    let ask = async |method: &str, path: &str, origin: &str, more: &str| {
        app.request(method, path, &[&from(origin), more], b"{}").await
    };
    let home = ask("GET", "/snapshot/door.jpg", "https://home.example:8123", "Accept: */*").await;
    assert_eq!((home.status, home.header("access-control-allow-origin")), (200, Some("https://home.example:8123")));
    let preflight = "Access-Control-Request-Method: PUT";
    let asked = ask("OPTIONS", "/api/v1/streams/x/frame", "https://home.example:8123", preflight).await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, Some("https://home.example:8123")));
    let evil = ask("GET", "/snapshot/door.jpg", "https://evil.example", "Accept: */*").await;
    assert_eq!(evil.header("access-control-allow-origin"), None);
    for path in ["/api/v1/login", "/api/v1/login/refresh", "/api/v1/logout", "/api/v1/shares", "/mjpeg-upload?name=x"] {
        let answer = ask("POST", path, "https://evil.example", "Accept: */*").await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "cross_site"), "{path}");
        let answer = app.request("POST", path, &["Sec-Fetch-Site: cross-site"], b"{}").await;
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_ne!(ask("POST", "/api/v1/logout", "https://home.example:8123", "Accept: */*").await.status, 403);
}

#[tokio::test]
async fn all_addresses_work_below_a_base_path() {
    let app = TestApp::with("http: {base_path: /cameras, public_url: 'https://home.example/cameras'}");
    app.put("/cameras/api/v1/streams/door/frame", &picture(1)).await;
    for path in [
        "/snapshot/door.jpg",
        "/cameras/snapshot/door.jpg",
        "/cameras/",
        "/cameras",
        "/cameras/viewer/",
        "/cameras?x=1",
    ] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    for path in ["/camerasnapshot/door.jpg", "/cameras/cameras/snapshot/door.jpg"] {
        assert_eq!(app.get(path).await.status, 404, "{path}");
    }
    let moved = app.get("/cameras/viewer").await;
    assert!(moved.status / 100 == 3 && moved.header("location").is_some_and(|l| l.ends_with("viewer/")), "{moved:?}");
    app.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    let set = sign_in(&app, "correct horse").await;
    let set = set.header("set-cookie").expect("a cookie");
    assert!(set.contains("Path=/cameras/api/v1") && set.contains("Secure"), "{set}");
    let share = app.made("/cameras/api/v1/shares", json!({"path": "door", "expires": "1h"})).await;
    assert!(
        share["url"].as_str().is_some_and(|u| u.starts_with("https://home.example/cameras/viewer/#share=mtxs_")),
        "{share}"
    );
}

#[tokio::test]
async fn pages_have_a_content_security_policy_and_scripts_get_no_basic_challenge() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("index.html"), "<title>mine</title>").expect("writes");
    for yaml in [String::new(), format!("http: {{static_dir: '{}'}}", folder.path().display())] {
        let app = TestApp::with(&yaml);
        let page = app.get("/").await;
        let policy = page.header("content-security-policy").unwrap_or_default();
        // A page of the administrator's folder can load scripts of other hosts.
        assert!(policy.starts_with("default-src 'self'"), "{policy}");
        assert_eq!(policy.contains("unsafe"), !yaml.is_empty(), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        for list in ["/api/v1/streams", "/api/v1/users"] {
            let scripted = app.request("GET", list, &[FAR, "Sec-Fetch-Dest: empty"], b"").await;
            assert_eq!(scripted.header("www-authenticate"), Some("Bearer realm=\"mtx-sidecar\""), "{list}");
        }
    }
}

/// In a browser: without a link the page requires a sign-in; a link shows its stream and no other.
#[tokio::test]
async fn a_share_link_shows_its_stream_until_it_is_revoked() {
    let app = TestApp::with(
        "auth: {users: [{user: admin, pass: s3cret, permissions: [{action: api}, {action: read}, {action: publish}]}]}",
    );
    let admin = crate::support::basic("admin", "s3cret");
    let colour = [20, 160, 20];
    for name in ["door", "secret"] {
        let path = format!("/api/v1/streams/{name}/frame");
        app.request("PUT", &path, &[&admin], &flat_picture(640, 360, colour)).await;
    }
    let body = json!({"path": "door", "label": "for the neighbours", "expires": "1h"}).to_string();
    let share = app.request("POST", "/api/v1/shares", &[&admin], body.as_bytes()).await.json();
    let browser = Browser::start().await;
    browser.client.goto(share["url"].as_str().expect("a link")).await.expect("loads");
    browser.says(".stage h1", "door").await;
    let names = browser.run("return [...document.querySelectorAll('.tile')].map((tile) => tile.dataset.key)").await;
    assert_eq!(names, json!(["door"]));
    crate::support::eventually("the picture is shown", async || {
        close_to(middle_colour(&browser.screenshot().await).await, colour)
    })
    .await;
    assert_eq!(
        browser.run("return document.querySelector('a[href*=console]')").await,
        json!(null),
        "the console is for administrators"
    );
    browser.keep_screenshot("share-desktop").await;
    let address = browser.client.current_url().await.expect("an address");
    assert_eq!((address.fragment(), address.query()), (None, None), "the code is removed from the address");
    // After a reload the cookie is used.
    browser.client.refresh().await.expect("loads");
    browser.says(".stage h1", "door").await;
    browser.assert_quiet("a visitor").await;

    let id = share["id"].as_str().expect("an id");
    app.request("DELETE", &format!("/api/v1/shares/{id}"), &[&admin], b"").await;
    crate::support::eventually("the stream has no watcher", async || {
        app.stats_as("door", &admin).await["watchers"] == 0
    })
    .await;
    browser.client.goto("about:blank").await.expect("loads");
    browser.client.goto(share["url"].as_str().expect("a link")).await.expect("loads");
    browser.says(".empty", "revoked").await;

    // Without a link the same page requires a sign-in.
    browser.client.goto("about:blank").await.expect("loads");
    browser.client.goto(&format!("http://{}/viewer/", app.addr)).await.expect("loads");
    browser.find("dialog.sign-in[open] form").await;
    browser.keep_screenshot("sign-in-desktop").await;
    browser.sign_in("admin", "wrong").await;
    browser.says("dialog.sign-in [role=alert]", "Wrong user or password").await;
    browser.sign_in("admin", "s3cret").await;
    browser.find(".tile.has-picture[data-key=secret]").await;
    browser.find("header a[href*=console]").await;
    let log: Value = json!(browser.client.execute("return document.cookie", vec![]).await.expect("cookies"));
    assert_eq!(log, json!(""), "scripts cannot read the refresh token");
    browser.close().await;
}
