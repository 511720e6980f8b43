//! MediaMTX's authentication requests, replayed: the exact bodies, one after the other, each on a new connection.

use serde_json::{Value, json};

use crate::support::TestApp;

/// The body of a request; MediaMTX always sends all ten keys.
fn question(changes: Value) -> String {
    let mut body = json!({
        "ip": "198.51.100.7", "user": "", "password": "", "token": "", "action": "read", "path": "cam1",
        "protocol": "rtsp", "id": null, "query": "", "userAgent": "",
    });
    body.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
    body.to_string()
}

async fn ask(app: &TestApp, changes: Value) -> u16 {
    let headers = ["User-Agent: Go-http-client/1.1", "Content-Type: application/json"];
    app.request("POST", "/mediamtx-auth", &headers, question(changes).as_bytes()).await.status
}

fn with_user(yaml_pass: &str) -> TestApp {
    TestApp::with(&format!(
        "auth: {{users: [{{user: any, ips: [127.0.0.1], permissions: [{{action: publish}}, {{action: read}}]}}, {{user: alice, pass: '{yaml_pass}', permissions: [{{action: read}}, {{action: publish, path: obs}}, {{action: playback}}, {{action: api}}]}}]}}"
    ))
}

#[tokio::test]
async fn requests_of_real_clients_are_answered() {
    let app = with_user("s3cret");
    let id = "3f1c2f0e-8f3e-4d6b-9a53-0c1e7d7b9d11";
    let shown = json!({"user": "alice", "password": "s3cret", "token": "s3cret"});
    let and = |mut a: Value, b: Value| {
        a.as_object_mut().expect("an object").extend(b.as_object().expect("an object").clone());
        a
    };
    // MediaMTX's WebRTC page: without credentials, then with Basic; OPTIONS; POST with the id of the session.
    let page = json!({"protocol": "webrtc", "userAgent": "Mozilla/5.0"});
    assert_eq!(ask(&app, page.clone()).await, 401);
    assert_eq!(ask(&app, and(page.clone(), shown.clone())).await, 204);
    assert_eq!(ask(&app, and(and(page.clone(), shown.clone()), json!({"id": id}))).await, 204);
    // The same with "user:password" as a bearer token, which MediaMTX did not split, and in a query.
    assert_eq!(ask(&app, and(page.clone(), json!({"token": "alice:s3cret"}))).await, 204);
    assert_eq!(ask(&app, json!({"protocol": "hls", "query": "token=alice%3As3cret"})).await, 204);
    // ffplay rtsp://u:p@host/cam1: DESCRIBE without credentials, DESCRIBE with Basic, SETUP with the id of the session.
    assert_eq!(ask(&app, json!({"id": id})).await, 401);
    assert_eq!(ask(&app, and(shown.clone(), json!({"id": id}))).await, 204);
    // OBS: RTMP with credentials in the query, which MediaMTX sends both in the query and in `user` and `password`.
    let obs = json!({"action": "publish", "protocol": "rtmp", "path": "obs", "query": "user=alice&pass=s3cret"});
    assert_eq!(ask(&app, and(obs.clone(), shown.clone())).await, 204);
    assert_eq!(ask(&app, and(and(obs, shown.clone()), json!({"path": "other"}))).await, 401);
    // The ffmpeg of runOnDemand on this machine publishes without credentials.
    assert_eq!(ask(&app, json!({"ip": "127.0.0.1", "action": "publish", "path": "imagefile"})).await, 204);
    // The control API, whose requests have no path, and playback.
    let api = json!({"ip": "127.0.0.1", "action": "api", "path": "", "protocol": ""});
    assert_eq!(ask(&app, api.clone()).await, 401);
    assert_eq!(ask(&app, and(api, shown.clone())).await, 204);
    assert_eq!(ask(&app, and(json!({"action": "playback", "protocol": ""}), shown.clone())).await, 204);
    // An unknown address, protocols and actions of future versions, a key of the configuration as the path.
    assert_eq!(ask(&app, json!({"ip": "<nil>"})).await, 401);
    assert_eq!(ask(&app, and(json!({"protocol": "moq", "path": "~^cam(.+)$"}), shown.clone())).await, 204);
    assert_eq!(ask(&app, and(json!({"action": "teleport"}), shown.clone())).await, 401);
    assert_eq!(ask(&app, json!({"user": "alice", "password": "wrong", "token": "wrong"})).await, 401);
    assert_eq!(ask(&app, json!({"user": "alice", "password": "", "token": ""})).await, 401);
}

#[tokio::test]
async fn an_argon2_password_is_accepted_and_a_wrong_one_is_refused() {
    let hash = mtx_sidecar::policy::hash_password("s3cret").expect("hashes");
    let app = with_user(&hash);
    let shown = json!({"user": "alice", "password": "s3cret", "token": "s3cret"});
    for _ in 0..20 {
        assert_eq!(ask(&app, shown.clone()).await, 204);
    }
    let wrong = json!({"user": "alice", "password": "guess", "token": "guess"});
    assert_eq!(ask(&app, wrong).await, 401);
}

#[tokio::test]
async fn the_environment_variables_of_the_original_program_make_its_users() {
    let folder = tempfile::tempdir().expect("a folder");
    let environment =
        [("ADMIN_USER", "root"), ("ADMIN_PASSWORD", "toor"), ("USER_USER", "joe"), ("USER_PASSWORD", "eoj")];
    let environment = environment.map(|(k, v)| (format!("MEDIAMTX_{k}"), v.to_owned())).into_iter().collect();
    let mut settings = mtx_sidecar::settings::load(None, &environment).expect("fine").settings;
    settings.data_dir = folder.path().into();
    let policy = mtx_sidecar::policy::Policy::new(&settings.auth).expect("compiles");
    for (user, password, action, allowed) in [
        ("root", "toor", "api", true),
        ("root", "toor", "read", true),
        ("joe", "eoj", "api", false),
        ("joe", "eoj", "publish", true),
        ("joe", "eoj", "playback", true),
        ("joe", "toor", "read", false),
    ] {
        let body = question(json!({"user": user, "password": password, "action": action}));
        let question = mtx_sidecar::policy::webhook::Question::parse(body.as_bytes()).expect("reads");
        let decision = policy.decide(&question.caller(), question.action().expect("known"), "any/path").await;
        assert_eq!(decision.decision.is_allowed(), allowed, "{user} {action}");
    }
}

#[tokio::test]
async fn requests_of_other_hosts_and_other_bodies_are_refused() {
    let app = TestApp::with("auth: {webhook_networks: [10.0.0.0/8]}");
    let response = app.request("POST", "/mediamtx-auth", &[], question(json!({})).as_bytes()).await;
    assert_eq!((response.status, response.problem().as_str()), (403, "forbidden"));
    // A header of a proxy that is not trusted does not change the address.
    let spoofed =
        app.request("POST", "/mediamtx-auth", &["X-Forwarded-For: 10.0.0.1"], question(json!({})).as_bytes()).await;
    assert_eq!(spoofed.status, 403);

    let app = TestApp::spawn();
    for body in ["", "[]", "{", "null", "{\"ip\": 7}"] {
        let response = app.request("POST", "/mediamtx-auth", &[], body.as_bytes()).await;
        assert_eq!((response.status, response.problem().as_str()), (400, "invalid_body"), "{body:?}");
    }
    let large = format!("{{\"query\": \"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(app.request("POST", "/mediamtx-auth", &[], large.as_bytes()).await.status / 100, 4);
}

#[tokio::test]
async fn a_configured_secret_is_required() {
    let app = TestApp::with("auth: {webhook_secret: s3cret}");
    let body = question(json!({"ip": "127.0.0.1"}));
    let ask = async |path: &str, header: &str| app.request("POST", path, &[header], body.as_bytes()).await;
    for (path, header, status) in [
        ("/mediamtx-auth", "Accept: */*".to_owned(), 403),
        ("/mediamtx-auth?secret=guess", "Accept: */*".into(), 403),
        ("/mediamtx-auth?secret=", "Accept: */*".into(), 403),
        ("/mediamtx-auth", crate::support::basic("mediamtx", "guess"), 403),
        ("/mediamtx-auth?secret=s3cret", "Accept: */*".into(), 204),
        ("/mediamtx-auth?x=1&secret=s3cre%74", "Accept: */*".into(), 204),
        ("/mediamtx-auth", crate::support::basic("mediamtx", "s3cret"), 204),
    ] {
        let answer = ask(path, &header).await;
        assert_eq!(answer.status, status, "{path} {header}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("s3cret"));
    }
}
