//! MediaMTX's authentication requests, replayed: the exact bodies, one after the other, each on a new connection.

use serde_json::{Value, json};

use crate::support::{TestApp, basic, eventually};

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
    assert!(response.detail().starts_with("127.0.0.1 is not in auth.webhook_networks"), "{}", response.detail());
    let hook = app.request("POST", "/api/v1/hooks/read", &[], b"{}").await;
    assert!(hook.status == 403 && hook.detail().contains("auth.webhook_networks"), "{hook:?}");
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

/// The default: this machine, and with a secret all private networks.
#[test]
fn the_networks_of_the_question_follow_from_the_secret() {
    let auth = |yaml: &str| {
        let environment = yaml.split_whitespace().filter_map(|pair| pair.split_once('='));
        let environment = environment.map(|(key, value)| (format!("SIDECAR__AUTH__{key}"), value.to_owned())).collect();
        mtx_sidecar::settings::load(None, &environment).expect("fine").settings
    };
    for (settings, lan, this_machine, warns) in [
        ("", false, true, false),
        ("WEBHOOK_SECRET=s3cret", true, true, false),
        ("WEBHOOK_NETWORKS=10.0.0.0/8", true, false, true),
        ("WEBHOOK_NETWORKS=127.0.0.1", false, true, false),
        ("WEBHOOK_NETWORKS=127.0.0.0/8,10.0.0.5", false, true, true),
        ("WEBHOOK_NETWORKS=10.0.0.0/8 WEBHOOK_SECRET=s3cret", true, false, false),
    ] {
        let found = auth(settings);
        let accepts = |ip: [u8; 4]| found.auth.webhook_senders().iter().any(|network| network.contains(ip.into()));
        assert_eq!((accepts([10, 1, 2, 3]), accepts([127, 0, 0, 1])), (lan, this_machine), "{settings}");
        let warnings = found.warnings();
        let says = |text: &str| warnings.iter().any(|warning| warning.contains(text));
        assert_eq!((says("auth.webhook_networks"), says("auth.webhook_secret")), (warns, warns), "{settings}");
    }
}

fn invented(n: u32) -> String {
    std::net::Ipv4Addr::from(0x0b00_0000 + n * 7919).to_string()
}

async fn status_of(app: &TestApp, ip: &str, user: &str, password: &str) -> u16 {
    ask(app, json!({"ip": ip, "user": user, "password": password, "token": password})).await
}

/// The reasons of the audit's denied entries about a user.
async fn denied(app: &TestApp, user: &str) -> Vec<String> {
    let found =
        app.admin("GET", &format!("/api/v1/audit?recent=1&decision=denied&limit=2000&who={user}"), "").await.json();
    let entries = found["entries"].as_array().expect("entries");
    entries.iter().map(|entry| entry["decision"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn invented_addresses_are_throttled_and_the_users_are_not() {
    let app = TestApp::spawn();
    for name in ["alice", "bob"] {
        app.user(name, json!({"pass": "correct horse", "role": "user"})).await;
    }
    assert_eq!(status_of(&app, "198.51.100.7", "alice", "correct horse").await, 204);
    for n in 0..400 {
        assert_eq!(status_of(&app, &invented(n), "alice", &format!("guess {n}")).await, 401);
    }
    eventually("most of the guesses were refused without a check", async || {
        let denied = denied(&app, "alice").await;
        let throttled = denied.iter().filter(|decision| *decision == "throttled").count();
        denied.len() == 400 && throttled > 200
    })
    .await;
    // The password that was right before, and the first one of another user, by MediaMTX.
    assert_eq!(status_of(&app, "198.51.100.7", "alice", "correct horse").await, 204);
    assert_eq!(status_of(&app, "192.0.2.1", "alice", "correct horse").await, 204, "from another address");
    assert_eq!(status_of(&app, "192.0.2.1", "bob", "correct horse").await, 204);
    // Without MediaMTX, the address is the sender's own.
    assert_eq!(app.request("GET", "/api/v1/me", &[&basic("alice", "correct horse")], b"").await.status, 200);
    let body = json!({"user": "alice", "pass": "correct horse"}).to_string();
    assert_eq!(app.request("POST", "/api/v1/login", &[], body.as_bytes()).await.status, 200);
}

/// A password of the file is compared in no time. Its guesses are throttled as those of a hashed one are: a right guess must not
/// pass where a wrong one is refused.
#[tokio::test]
async fn a_right_guess_of_a_plain_password_passes_no_throttle() {
    let app = TestApp::with(
        "auth: {failures_per_minute: 1, users: [{user: alice, pass: s3cret, permissions: [{action: read}]}]}",
    );
    for n in 0..100 {
        status_of(&app, &invented(n), "alice", &format!("guess {n}")).await;
    }
    assert_eq!(status_of(&app, "192.0.2.1", "alice", "s3cret").await, 401);
}

#[tokio::test]
async fn wrong_guesses_of_one_address_leave_the_user_s_first_sign_in_from_another() {
    let app = TestApp::with("auth: {failures_per_minute: 1}");
    app.user("alice", json!({"pass": "correct horse", "role": "user"})).await;
    for n in 0..40 {
        status_of(&app, "192.0.2.66", "alice", &format!("guess {n}")).await;
    }
    assert_eq!(status_of(&app, "192.0.2.66", "alice", "correct horse").await, 401, "its allowance is used up");
    assert_eq!(status_of(&app, "192.0.2.1", "alice", "correct horse").await, 204);
}
