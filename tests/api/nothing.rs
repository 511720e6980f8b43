//! A caller who may see nothing gets nothing: no list, no events, and no request to MediaMTX on its behalf.

use serde_json::json;
use tokio::io::AsyncReadExt;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{path, path_regex},
};

use crate::support::{FAR, TestApp, basic, bearer, eventually, picture};

/// Everything that lists something, with the method that asks for it.
const LISTS: [(&str, &str); 17] = [
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/streams"),
    ("GET", "/api/v1/wall"),
    ("GET", "/api/v1/recordings"),
    ("GET", "/api/v1/recordings/door"),
    ("GET", "/api/v1/recordings/door/timeline?day=2026-01-01"),
    ("POST", "/mediamtx-get-path"),
    ("POST", "/mediamtx-get-media"),
    ("POST", "/mediamtx-get-recording"),
    ("GET", "/api/v1/media"),
    ("GET", "/api/v1/overview"),
    ("GET", "/api/v1/log"),
    ("GET", "/api/v1/paths"),
    ("GET", "/api/v1/sessions"),
    ("GET", "/api/v1/uv4l"),
    ("GET", "/api/v1/mediamtx"),
    ("GET", "/metrics"),
];

/// A MediaMTX with one recorded path.
async fn mediamtx() -> MockServer {
    let server = MockServer::start().await;
    let answer = |items| ResponseTemplate::new(200).set_body_json(json!({"pageCount": 1, "items": items}));
    let recorded = json!([{"name": "hidden", "segments": [{"start": "2026-01-01T00:00:00Z"}]}]);
    Mock::given(path("/v3/recordings/list")).respond_with(answer(recorded)).mount(&server).await;
    let paths = json!([{"name": "hidden", "available": true}]);
    Mock::given(path("/v3/paths/list")).respond_with(answer(paths)).mount(&server).await;
    server
}

async fn token(app: &TestApp, permissions: serde_json::Value) -> String {
    let made = app.made("/api/v1/tokens", json!({"name": "x", "permissions": permissions, "expires": "1h"})).await;
    bearer(made["token"].as_str().expect("a token"))
}

#[tokio::test]
async fn strangers_are_asked_for_credentials_and_those_without_a_permission_are_refused() {
    let server = mediamtx().await;
    let app = TestApp::with(&format!("mediamtx: {{api: '{0}', playback: '{0}'}}", server.uri()));
    let publisher = token(&app, json!([{"action": "publish"}])).await;
    // Without a stream, and with one that the callers cannot read.
    for round in 0..2 {
        for (method, at) in LISTS {
            for (header, status) in
                [("Accept: */*", 401), (&*basic("eve", &format!("guess{round}")), 401), (&publisher, 403)]
            {
                let answer = app.request(method, at, &[FAR, header], b"").await;
                // The third guess in a minute and all after it may be refused without a check.
                let is_refused = answer.status == status || (status == 401 && answer.status == 429);
                assert!(is_refused, "{method} {at} {header}: {answer:?}");
                assert!(!String::from_utf8_lossy(&answer.body).contains("hidden"), "{answer:?}");
            }
        }
        app.put("/api/v1/streams/hidden/frame", &picture(1)).await;
    }
    assert_eq!(app.admin("GET", "/api/v1/overview", "").await.json()["watchers"], 0, "no permit was taken");
    // A caller who may see something gets that, and an empty list if there is nothing of it.
    let elsewhere =
        token(&app, json!([{"action": "read", "path": "hall"}, {"action": "playback", "path": "hall"}])).await;
    let all = token(&app, json!([{"action": "read"}, {"action": "playback"}])).await;
    for (at, key) in [("/api/v1/streams", "streams"), ("/api/v1/wall", "items"), ("/api/v1/recordings", "recordings")] {
        for (header, count) in [(&elsewhere, 0), (&all, 1)] {
            let list = app.request("GET", at, &[FAR, header], b"").await;
            assert_eq!((list.status, list.json()[key].as_array().map(Vec::len)), (200, Some(count)), "{at}");
        }
    }
    // An administrator who cannot watch is no stranger.
    let administrator = token(&app, json!([{"action": "api"}])).await;
    let list = app.request("GET", "/api/v1/streams", &[FAR, &administrator], b"").await;
    assert_eq!((list.status, list.json()), (200, json!({"streams": []})));
}

#[tokio::test]
async fn mediamtx_is_asked_only_for_callers_who_may_see_its_answer() {
    let server = mediamtx().await;
    let app = TestApp::with(&format!("mediamtx: {{api: '{0}', playback: '{0}'}}", server.uri()));
    let publisher = token(&app, json!([{"action": "publish"}])).await;
    let asked = async || {
        // The program itself asks for the version and for its paths.
        let all = server.received_requests().await.expect("recorded");
        all.iter().filter(|request| !matches!(request.url.path(), "/v3/info" | "/v3/paths/list")).count()
    };
    // The program also asks for recordings and the configuration, every ten seconds: between those, nothing is asked.
    eventually("MediaMTX is not asked for callers that are refused", async || {
        let before = asked().await;
        for (method, at) in LISTS.into_iter().chain([("GET", "/snapshot/none.jpg"), ("HEAD", "/stream/none.mjpeg")]) {
            for header in ["Accept: */*", &publisher] {
                assert!(app.request(method, at, &[FAR, header], b"").await.status >= 401, "{method} {at}");
            }
        }
        asked().await == before
    })
    .await;
    let before = asked().await;
    let reader = token(&app, json!([{"action": "playback"}])).await;
    assert_eq!(app.request("GET", "/api/v1/recordings", &[FAR, &reader], b"").await.status, 200);
    assert!(asked().await > before);
}

#[tokio::test]
async fn a_crowd_with_one_question_costs_one_request() {
    let server = MockServer::start().await;
    let recorded = json!({"pageCount": 1, "items": [{"name": "door", "segments": []}]});
    let slow = ResponseTemplate::new(200).set_body_json(recorded).set_delay(std::time::Duration::from_secs(2));
    Mock::given(path("/v3/recordings/list")).respond_with(slow).mount(&server).await;
    let app = TestApp::with(&format!("mediamtx: {{api: '{}'}}", server.uri()));
    let crowd = (0..100).map(|_| app.get("/api/v1/recordings"));
    for answer in futures_util::future::join_all(crowd).await {
        assert_eq!((answer.status, &answer.json()["recordings"][0]["path"]), (200, &json!("door")), "{answer:?}");
    }
    let asked = server.received_requests().await.expect("recorded");
    let asked = asked.iter().filter(|request| request.url.path() == "/v3/recordings/list").count();
    // Those that come while the answer is written begin a second one.
    assert!((1..=10).contains(&asked), "{asked} requests for 100 callers");
}

#[tokio::test]
async fn questions_of_readers_that_hang_do_not_hold_up_an_administrator() {
    let server = MockServer::start().await;
    let never = ResponseTemplate::new(200).set_delay(std::time::Duration::from_secs(3600));
    Mock::given(path_regex("^/v3/recordings/get/")).respond_with(never).mount(&server).await;
    let info = json!({"version": "v1.20.1", "started": "2026-01-01T00:00:00Z"});
    Mock::given(path("/v3/info")).respond_with(ResponseTemplate::new(200).set_body_json(info)).mount(&server).await;
    let app = TestApp::with(&format!("mediamtx: {{api: '{0}', playback: '{0}'}}", server.uri()));
    // More than can wait: the last ones are refused at once.
    let mut waiting = vec![];
    for n in 0..300 {
        waiting.push(app.send("GET", &format!("/api/v1/recordings/door{n}"), &[], b"").await);
    }
    let mut refused = String::new();
    let mut last = waiting.pop().expect("the last one");
    last.read_to_string(&mut refused).await.expect("an answer");
    // Because too many wait, or because those before it were not answered in time.
    assert!(refused.contains("\"code\":\"mediamtx_away\""), "{refused}");
    let answer = app.admin("GET", "/api/v1/mediamtx", "").await;
    assert_eq!(answer.json()["reachable"], true, "{answer:?}");
    drop(waiting);
    eventually("places are free when the readers have left", async || {
        let reader = app.get("/api/v1/recordings/other/timeline?day=2026-01-01").await;
        !reader.detail().contains("too many requests")
    })
    .await;
}
