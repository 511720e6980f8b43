//! Users, tokens, shares and the audit, with the API and the command line.

use serde_json::{Value, json};

use crate::support::{FAR, MjpegReader, Program, TestApp, basic, bearer, eventually, picture};

#[tokio::test]
async fn only_administrators_manage_users() {
    let app = TestApp::spawn();
    let body = json!({"pass": "correct horse", "permissions": [{"action": "read", "path": "door"}]}).to_string();
    let made = app.admin("PUT", "/api/v1/users/alice", &body).await;
    assert_eq!((made.status, made.json()["origin"].as_str()), (201, Some("database")), "{made:?}");
    assert!(!format!("{made:?}").contains("horse") && !format!("{made:?}").contains("argon2"), "{made:?}");
    let alice = basic("alice", "correct horse");
    for (method, path) in [
        ("GET", "/api/v1/users"),
        ("GET", "/api/v1/users/alice"),
        ("PUT", "/api/v1/users/bob"),
        ("PATCH", "/api/v1/users/alice"),
        ("DELETE", "/api/v1/users/alice"),
        ("GET", "/api/v1/tokens"),
        ("POST", "/api/v1/tokens"),
        ("DELETE", "/api/v1/tokens/x"),
        ("GET", "/api/v1/shares"),
        ("POST", "/api/v1/shares"),
        ("DELETE", "/api/v1/shares/x"),
        ("POST", "/api/v1/keys/rotate"),
        ("GET", "/api/v1/audit"),
    ] {
        let anonymous = app.far(method, path, "Accept: */*", "{}").await;
        assert_eq!(anonymous.status, 401, "{method} {path}");
        assert!(anonymous.header("www-authenticate").is_some_and(|h| h.starts_with("Basic")), "{method} {path}");
        assert_eq!(app.far(method, path, &alice, "{}").await.status, 403, "{method} {path}");
    }
    let listed = app.admin("GET", "/api/v1/users", "").await.json();
    let names: Vec<_> = listed["users"].as_array().expect("users").iter().map(|u| u["name"].as_str()).collect();
    assert_eq!(names, [Some("admin"), Some("alice")]);
    for (method, path, body, status, says) in [
        ("PUT", "/api/v1/users/any", r#"{"pass":"long enough"}"#, 422, "every client"),
        ("PUT", "/api/v1/users/bob", r#"{"pass":"short"}"#, 422, "at least 8"),
        ("PUT", "/api/v1/users/bob", r#"{"pasword":"long enough"}"#, 422, "pasword"),
        ("PUT", "/api/v1/users/bob", r#"{"pass":"long enough","role":"king"}"#, 422, "king"),
        ("PUT", "/api/v1/users/bob", r#"{"pass":"long enough","ips":["home"]}"#, 422, "home"),
        ("PATCH", "/api/v1/users/unknown", "{}", 404, "unknown"),
        ("DELETE", "/api/v1/users/unknown", "", 404, "unknown"),
        ("POST", "/api/v1/shares", r#"{"path":"x","expires":"1h","actions":["api"]}"#, 422, "actions"),
        ("POST", "/api/v1/shares", r#"{"path":"~(","expires":"1h"}"#, 422, "regular expression"),
        ("POST", "/api/v1/tokens", r#"{"name":"x","publish_to":"a/../b","expires":"1h"}"#, 422, ". or .."),
        ("GET", "/api/v1/audit?limit=0", "", 400, "limit"),
        ("GET", "/api/v1/audit?decision=perhaps", "", 400, "perhaps"),
    ] {
        let response = app.admin(method, path, body).await;
        assert_eq!(response.status, status, "{method} {path} {body}: {response:?}");
        assert!(response.detail().contains(says), "{method} {path} {body}: {}", response.detail());
    }
}

/// The watcher is disconnected as soon as the permission is lost.
#[tokio::test]
async fn a_disabled_user_is_disconnected_and_other_users_are_not() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    for name in ["alice", "bob"] {
        app.user(name, json!({"pass": "correct horse", "role": "user"})).await;
    }
    let mut watching = vec![];
    for name in ["alice", "bob"] {
        let socket = app.send("GET", "/stream/door.mjpeg", &[FAR, &basic(name, "correct horse")], b"").await;
        let mut reader = MjpegReader::new(socket).await;
        reader.until(&picture(1)).await;
        watching.push(reader);
    }
    app.admin("PATCH", "/api/v1/users/alice", r#"{"disabled":true}"#).await;
    while watching[0].maybe_part().await.is_some() {}
    app.put("/api/v1/streams/door/frame", &picture(2)).await;
    watching[1].until(&picture(2)).await;
    assert_eq!(app.far("GET", "/snapshot/door.jpg", &basic("alice", "correct horse"), "").await.status, 401);
}

#[tokio::test]
async fn a_token_is_accepted_in_place_of_a_password() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let permissions = json!([{"action": "read", "path": "door"}]);
    let made = app.made("/api/v1/tokens", json!({"name": "wall", "permissions": permissions, "expires": "1day"})).await;
    let token = made["token"].as_str().expect("a token");
    let none = "Accept: */*";
    for (path, header, status) in [
        ("/snapshot/door.jpg".to_owned(), none.to_owned(), 401),
        ("/snapshot/door.jpg".into(), bearer(token), 200),
        ("/snapshot/door.jpg".into(), basic("any-name", token), 200),
        (format!("/snapshot/door.jpg?token={token}"), none.into(), 200),
        (format!("/snapshot/door.jpg?max_age=100&jwt={token}"), none.into(), 200),
        (format!("/snapshot/door.jpg?token={token}&token={token}"), none.into(), 401),
        (format!("/api/v1/streams?token={token}"), none.into(), 401),
        ("/api/v1/streams".into(), bearer(token), 200),
        ("/api/v1/users".into(), bearer(token), 403),
        ("/snapshot/other.jpg".into(), bearer(token), 403),
        ("/snapshot/door.jpg".into(), bearer(&format!("{token}x")), 401),
    ] {
        assert_eq!(app.far("GET", &path, &header, "").await.status, status, "{path} {header}");
    }
    // A camera's token in the URL, the only place where some firmware can put one.
    let camera = app.made("/api/v1/tokens", json!({"name": "cam", "publish_to": "yard", "expires": "1day"})).await;
    let camera = camera["token"].as_str().expect("a token");
    let upload = async |stream: &str| {
        let path = format!("/api/v1/streams/{stream}/frame?token={camera}");
        app.request("PUT", &path, &[FAR], &picture(3)).await.status
    };
    assert_eq!((upload("yard").await, upload("door").await), (200, 403));

    let listed = app.admin("GET", "/api/v1/tokens", "").await;
    assert!(!format!("{listed:?}").contains(token), "a list contains no token");
    let id = made["id"].as_str().expect("an id");
    assert_eq!(app.admin("DELETE", &format!("/api/v1/tokens/{id}"), "").await.status, 204);
    let revoked = app.far("GET", "/snapshot/door.jpg", &bearer(token), "").await;
    assert_eq!((revoked.status, revoked.detail().as_str()), (401, "the token was revoked"));
}

#[tokio::test]
async fn the_audit_names_the_caller_and_the_decision_and_contains_no_secret() {
    let app = TestApp::with("auth: {users: [{user: alice, pass: s3cret, permissions: [{action: read, path: door}]}]}");
    app.far("GET", "/snapshot/door.jpg", &basic("alice", "gue55"), "").await;
    app.far("GET", "/snapshot/gate.jpg", &basic("alice", "s3cret"), "").await;
    let question = json!({
        "ip": "198.51.100.7", "user": "alice", "password": "s3cret", "action": "read", "path": "door", "protocol": "webrtc",
        "id": "3f1c2f0e-8f3e-4d6b-9a53-0c1e7d7b9d11", "query": "", "userAgent": "",
    });
    assert_eq!(app.request("POST", "/mediamtx-auth", &[], question.to_string().as_bytes()).await.status, 204);
    let mut found = Value::Null;
    eventually("three entries", async || {
        found = app.admin("GET", "/api/v1/audit?recent=1&who=alice", "").await.json();
        found["entries"].as_array().is_some_and(|entries| entries.len() == 3)
    })
    .await;
    let field = |i: usize, key: &str| found["entries"][i][key].as_str().unwrap_or_default().to_owned();
    for (i, decision, who, path, protocol) in [
        (0, "allowed", "user alice", "door", "webrtc"),
        (1, "not_permitted", "user alice", "gate", "http"),
        (2, "wrong_credentials", "anonymous", "door", "http"),
    ] {
        let entry = (field(i, "decision"), field(i, "who"), field(i, "path"), field(i, "protocol"));
        assert_eq!(entry, (decision.into(), who.into(), path.into(), protocol.into()));
    }
    assert_eq!((field(0, "session").len(), field(0, "ip")), (36, "198.51.100.7".into()));
    let text = found.to_string();
    assert!(!text.contains("s3cret") && !text.contains("gue55"), "{text}");
    let denied = app.admin("GET", "/api/v1/audit?who=alice&decision=denied&limit=1", "").await.json();
    assert_eq!(denied["entries"].as_array().map(Vec::len), Some(1));
}

/// The entries of the audit for which the closure holds, newest first.
async fn audited(app: &TestApp, holds: impl Fn(&Value) -> bool) -> Vec<Value> {
    let found = app.admin("GET", "/api/v1/audit?recent=1&limit=2000", "").await.json();
    found["entries"].as_array().expect("entries").iter().filter(|entry| holds(entry)).cloned().collect()
}

#[tokio::test]
async fn the_audit_has_sign_ins_refreshes_sign_outs_and_opened_shares() {
    let app = TestApp::spawn();
    app.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    let post = async |path: &str, header: &str, body: Value| {
        app.request("POST", path, &[FAR, header], body.to_string().as_bytes()).await
    };
    let none = "Accept: */*";
    let login = async |pass: &str| post("/api/v1/login", none, json!({"user": "alice", "pass": pass})).await;
    for n in 0..3 {
        assert_eq!(login(&format!("guess {n}")).await.status, 401);
    }
    let signed_in = login("correct horse").await;
    let set = signed_in.header("set-cookie").expect("a cookie").split(';').next().expect("a value").to_owned();
    let cookie = format!("Cookie: {set}");
    let refreshed = post("/api/v1/login/refresh", &cookie, json!({})).await;
    assert_eq!(refreshed.status, 200);
    assert_eq!(post("/api/v1/login/refresh", "Cookie: mtx_sidecar_refresh=x.y", json!({})).await.status, 401);
    assert_eq!(post("/api/v1/logout", &cookie, json!({})).await.status, 204);
    let share = app.made("/api/v1/shares", json!({"path": "door", "expires": "1h"})).await;
    assert_eq!(post("/api/v1/shares/open", none, json!({"code": share["code"]})).await.status, 200);
    assert_eq!(post("/api/v1/shares/open", none, json!({"code": "mtxs_nonsense"})).await.status, 401);
    let bearer = bearer(login("correct horse").await.json()["access_token"].as_str().expect("a token"));
    let change = json!({"present": "wrong horse", "new": "battery staple"});
    assert_eq!(post("/api/v1/me/password", &bearer, change).await.status, 401);
    assert_eq!(app.far("GET", "/api/v1/me", &basic("alice", "another guess"), "").await.status, 401);
    assert_eq!(app.far("GET", "/api/v1/events", &basic("alice", "third guess"), "").await.status, 401);

    let share = format!("share {}", share["id"].as_str().expect("an id"));
    let expected = [
        ("sign in", "wrong_credentials", "anonymous", 3),
        ("sign in", "allowed", "user alice", 2),
        ("refresh", "allowed", "user alice", 1),
        ("refresh", "wrong_credentials", "anonymous", 1),
        ("sign out", "allowed", "user alice", 1),
        ("open share", "allowed", share.as_str(), 1),
        ("open share", "wrong_credentials", "anonymous", 1),
        ("change password", "wrong_credentials", "anonymous", 1),
        ("me", "wrong_credentials", "anonymous", 1),
    ];
    for (action, decision, who, count) in expected {
        eventually(&format!("{action} {decision}"), async || {
            let matches =
                |entry: &Value| entry["action"] == action && entry["decision"] == decision && entry["who"] == who;
            audited(&app, matches).await.len() == count
        })
        .await;
    }
    eventually("the wrong credentials at the events", async || {
        audited(&app, |entry| entry["user"] == "alice" && entry["protocol"] == "events").await.len() == 1
    })
    .await;
}

#[tokio::test]
async fn the_audit_says_what_an_administrator_has_changed() {
    let app = TestApp::spawn();
    app.user("newadmin", json!({"pass": "correct horse", "role": "admin"})).await;
    app.admin("PUT", "/api/v1/streams/front/door", r#"{"kind": "test-card"}"#).await;
    app.admin("DELETE", "/api/v1/users/newadmin", "").await;
    assert_eq!(app.far("DELETE", "/api/v1/users/admin", "Accept: */*", "").await.status, 401);
    // Pages ask all the time. Their requests do not displace what was changed.
    for (decision, request) in [
        ("allowed", "PUT users/newadmin"),
        ("allowed", "PUT streams/front/door"),
        ("allowed", "DELETE users/newadmin"),
        ("ask", "DELETE users/admin"),
    ] {
        eventually(request, async || {
            audited(&app, |entry| entry["request"] == request && entry["decision"] == decision).await.len() == 1
        })
        .await;
    }
}

#[tokio::test]
async fn names_of_strangers_are_cut_and_escaped_in_the_audit() {
    let app = TestApp::spawn();
    let name = format!("eve\nINFO forged \u{1b}[2J{}", "x".repeat(20_000));
    assert_eq!(app.far("GET", "/snapshot/door.jpg", &basic(&name, "guess"), "").await.status, 401);
    let question = json!({"ip": "192.0.2.1", "user": name, "password": "x", "action": name, "path": name, "protocol": name, "id": name});
    app.request("POST", "/mediamtx-auth", &[], question.to_string().as_bytes()).await;
    let mut entries = vec![];
    eventually("both are listed", async || {
        entries = audited(&app, |entry| entry["user"].as_str().is_some_and(|user| user.starts_with("eve"))).await;
        entries.len() == 2
    })
    .await;
    let text = Value::from(entries).to_string();
    assert!(text.len() < 5000, "{} bytes", text.len());
    assert!(text.contains("eve\\\\nINFO forged \\\\u{1b}[2J") && text.contains("cut, 20"), "{text}");
}

/// The command line changes the database while the program runs, and the program loads the change.
#[tokio::test]
async fn the_command_line_manages_users_of_a_running_sidecar() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let config = app.folder().join("cli.yml");
    std::fs::write(&config, format!("data_dir: '{}'", app.folder().join("data").display())).expect("writes");
    let run = async |args: &[&str], password: &str| {
        use tokio::io::AsyncWriteExt;
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
        command.arg("--config").arg(&config).arg("user").args(args);
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = Program(command.spawn().expect("starts"));
        let mut stdin = child.0.stdin.take().expect("piped");
        let _ = stdin.write_all(format!("{password}\n").as_bytes()).await;
        drop(stdin);
        let mut text = String::new();
        use tokio::io::AsyncReadExt;
        child.0.stdout.take().expect("piped").read_to_string(&mut text).await.expect("text");
        child.0.stderr.take().expect("piped").read_to_string(&mut text).await.expect("text");
        (child.0.wait().await.expect("ends").success(), text)
    };
    let status =
        async |password: &str| app.far("GET", "/snapshot/door.jpg", &basic("carol", password), "").await.status;
    for (args, password, ok, says) in [
        (&["add", "carol"][..], "correct horse", false, "--role or --allow"),
        (&["add", "carol", "--role", "user"], "short", false, "at least 8"),
        (&["add", "any", "--role", "user"], "correct horse", false, "every client"),
        (&["add", "carol", "--allow", "read:door"], "correct horse", true, "was made"),
        (&["add", "carol", "--role", "user"], "correct horse", false, "already"),
        (&["list"], "", true, "carol\tenabled\tread:door"),
        (&["remove", "unknown"], "", false, "no user unknown"),
    ] {
        let (success, text) = run(args, password).await;
        assert!(success == ok && text.contains(says), "{args:?}: {text}");
    }
    eventually("carol can watch", async || status("correct horse").await == 200).await;
    assert!(run(&["set-password", "carol"], "battery staple").await.0);
    eventually("the new password is accepted", async || status("battery staple").await == 200).await;
    assert!(run(&["disable", "carol"], "").await.0);
    eventually("carol cannot watch", async || status("battery staple").await != 200).await;
    assert!(run(&["enable", "carol"], "").await.0);
    eventually("carol can watch again", async || status("battery staple").await == 200).await;
    assert!(run(&["remove", "carol"], "").await.0);
    eventually("carol is removed", async || status("battery staple").await != 200).await;
}

/// A list contains a name only if the caller has the permission to read it.
#[tokio::test]
async fn lists_contain_the_readable_streams_only() {
    let app = TestApp::spawn();
    let names = ["door", "door2", "hall/1", "hall/2", "Hall/3", "yard/a/b", "x-1", "x_1"];
    for name in names {
        app.put(&format!("/api/v1/streams/{name}/frame"), &picture(1)).await;
    }
    let rules = ["door", "~^hall/", "~hall", "~(?i)hall", "~^(x.1|yard/)", "~2$", "nothing", ""];
    for (i, rule) in rules.into_iter().enumerate() {
        let permissions = json!([{"action": "read", "path": rule}, {"action": "publish", "path": ""}]);
        let made = app.made("/api/v1/tokens", json!({"name": "t", "permissions": permissions, "expires": "1h"})).await;
        let header = bearer(made["token"].as_str().expect("a token"));
        let listed = app.far("GET", "/api/v1/streams", &header, "").await.json();
        let listed: Vec<_> = listed["streams"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|s| s["name"].as_str().expect("a name").to_owned())
            .collect();
        let anonymous = app.far("GET", "/api/v1/streams", "Accept: */*", "").await;
        let body = String::from_utf8_lossy(&anonymous.body).into_owned();
        assert!(anonymous.status == 401 && !names.iter().any(|name| body.contains(name)), "{body}");
        for name in names {
            let readable = app.far("GET", &format!("/snapshot/{name}.jpg"), &header, "").await.status == 200;
            assert_eq!(listed.iter().any(|l| l == name), readable, "{rule} ({i}): {name}");
        }
    }
}

/// Without credentials, requests from this machine can read and publish. A request with a token has only the permissions of
/// the token.
#[tokio::test]
async fn a_token_has_the_same_permissions_on_this_machine_as_elsewhere() {
    let app = TestApp::spawn();
    for name in ["door", "gate"] {
        app.put(&format!("/api/v1/streams/{name}/frame"), &picture(1)).await;
    }
    let share = app.made("/api/v1/shares", json!({"path": "door", "expires": "1h"})).await;
    let code = share["code"].as_str().expect("a code");
    let opened = app.request("POST", "/api/v1/shares/open", &[], json!({ "code": code }).to_string().as_bytes()).await;
    let opened = opened.json()["access_token"].as_str().expect("a token").to_owned();
    let status = async |path: &str, header: &str| app.request("GET", path, &[header], b"").await.status;
    for header in [bearer(code), bearer(&opened)] {
        assert_eq!(
            (status("/snapshot/door.jpg", &header).await, status("/snapshot/gate.jpg", &header).await),
            (200, 403)
        );
        let listed = app.request("GET", "/api/v1/streams", &[&header], b"").await.json();
        let names: Vec<_> = listed["streams"].as_array().expect("a list").iter().map(|s| s["name"].clone()).collect();
        assert_eq!(names, ["door"]);
    }
    let id = share["id"].as_str().expect("an id");
    app.admin("DELETE", &format!("/api/v1/shares/{id}"), "").await;
    for header in [bearer(code), bearer(&opened)] {
        assert_eq!(status("/snapshot/door.jpg", &header).await, 401, "revoked");
    }
    // A foreign token, which a page of another program may send, counts as no token.
    let foreign = bearer("eyJhbGciOiJFZERTQSIsImtpZCI6IngifQ.e30.AAAA");
    assert_eq!((status("/snapshot/door.jpg", &foreign).await, status("/api/v1/users", &foreign).await), (200, 401));
    assert_eq!(status("/snapshot/door.jpg", "Accept: */*").await, 200);
}
