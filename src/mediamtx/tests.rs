use std::path::Path;

use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path, query_param},
};

use super::*;
use crate::{
    hosts::Hosts,
    policy::{Principal, Revoked},
    secret::Secret,
};

fn start(settings: &MediaMtxSettings) -> Client {
    let hosts = Hosts::new(Path::new("")).expect("TLS");
    Client::start(settings, &hosts, || Some("Bearer of-the-sidecar".into())).expect("a thread")
}

fn client(server: &MockServer) -> Client {
    start(&MediaMtxSettings { api: server.uri(), ..MediaMtxSettings::default() })
}

#[tokio::test]
async fn lists_are_read_to_their_last_page_with_the_sidecar_s_token() {
    let server = MockServer::start().await;
    for page in 0..3 {
        // With deprecated fields, which MediaMTX has, and fields of a later version.
        let items = [json!({"name": format!("cam{page}"), "available": true, "ready": true, "future": {"x": 1}})];
        let answer = json!({"itemCount": 3, "pageCount": 3, "items": items});
        Mock::given(method("GET"))
            .and(path("/v3/paths/list"))
            .and(query_param("page", page.to_string()))
            .and(header("authorization", "Bearer of-the-sidecar"))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .expect(1)
            .mount(&server)
            .await;
    }
    let paths = client(&server).paths().await.expect("a list");
    let names: Vec<_> = paths.iter().map(|path| path["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["cam0", "cam1", "cam2"]);
}

#[tokio::test]
async fn errors_name_their_reason() {
    let server = MockServer::start().await;
    for (status, body, says) in [
        (401, json!({"status": "error", "error": "authentication error"}), "401 Unauthorized authentication error"),
        (500, json!("text"), "500"),
        (200, json!({"no": "items"}), "not understood"),
    ] {
        server.reset().await;
        Mock::given(method("GET")).respond_with(ResponseTemplate::new(status).set_body_json(body)).mount(&server).await;
        let error = client(&server).paths().await.expect_err("refused");
        assert!(error.to_string().contains(says), "{error}");
    }
    server.reset().await;
    // 404: the server of the list is switched off.
    assert!(client(&server).paths().await.expect("an empty list").is_empty());
    let gone = MediaMtxSettings { api: "http://127.0.0.1:1".into(), ..MediaMtxSettings::default() };
    let error = start(&gone).paths().await.expect_err("no server");
    assert!(error.to_string().contains("mediamtx.api"), "{error}");
    assert!(error.chain().contains("refused"), "{}", error.chain());
}

#[tokio::test]
async fn a_configured_user_takes_the_place_of_the_token() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Basic cm9vdDpwYXNz"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"itemCount": 0, "pageCount": 0, "items": []})))
        .expect(1)
        .mount(&server)
        .await;
    let settings = MediaMtxSettings {
        api: format!("{}/", server.uri()),
        user: "root".into(),
        pass: Secret::new("pass"),
        ..MediaMtxSettings::default()
    };
    assert!(start(&settings).paths().await.expect("a list").is_empty());
}

#[tokio::test]
async fn sessions_of_a_revoked_principal_are_ended_and_others_are_not() {
    let server = MockServer::start().await;
    let kick = |kind: &str, id: &str| Mock::given(method("POST")).and(path(format!("/v3/{kind}/kick/{id}")));
    let done = || ResponseTemplate::new(200).set_body_json(json!({"status": "ok"}));
    kick("webrtcsessions", "aa-11").respond_with(done()).expect(1).mount(&server).await;
    kick("rtspssessions", "bb-22").respond_with(done()).expect(1).mount(&server).await;
    kick("srtconns", "cc-33").respond_with(done()).expect(0).mount(&server).await;
    // Found by the user name: allowed before the sidecar was started.
    let listed = json!({"itemCount": 2, "pageCount": 1, "items": [{"id": "dd-44", "user": "alice"}, {"id": "ee-55", "user": "bob"}]});
    Mock::given(path("/v3/hlssessions/list"))
        .respond_with(ResponseTemplate::new(200).set_body_json(listed))
        .mount(&server)
        .await;
    kick("hlssessions", "dd-44").respond_with(done()).expect(1).mount(&server).await;

    let session_index = SessionIndex::default();
    let alice = || Principal::User("alice".into());
    session_index.note(&alice().into(), "webrtc", "aa-11");
    session_index.note(&alice().into(), "rtsp", "bb-22");
    session_index.note(&alice().into(), "webrtc", "../../config/paths/delete/x");
    session_index.note(&Principal::User("bob".into()).into(), "srt", "cc-33");
    session_index.note(&Principal::Anonymous.into(), "srt", "cc-33");
    assert_eq!(session_index.kick(&client(&server), &Revoked::Principal(alice())).await.expect("kicked"), 3);
}

/// An entry that is not understood is an error: a list without it would look complete.
#[tokio::test]
async fn an_entry_that_is_not_understood_is_an_error() {
    let server = MockServer::start().await;
    let list = |items: serde_json::Value| json!({"itemCount": 1, "pageCount": 1, "items": items});
    for (name, items) in [
        ("recordings", json!([{"name": "door", "segments": []}, {"segments": "none"}])),
        ("config/paths", json!([{"name": "door"}, "yard"])),
        ("hlssessions", json!([{"user": "alice"}])),
    ] {
        Mock::given(path(format!("/v3/{name}/list")))
            .respond_with(ResponseTemplate::new(200).set_body_json(list(items)))
            .mount(&server)
            .await;
    }
    let client = client(&server);
    let hls = SessionKind::named("hls").expect("a protocol");
    let errors = [
        client.recordings().await.map(|all| all.len()),
        client.configured_paths().await.map(|all| all.len()),
        client.sessions_of(hls, "alice").await.map(|all| all.len()),
    ];
    for error in errors {
        assert!(error.expect_err("not understood").to_string().contains("not understood"));
    }
}

#[tokio::test]
async fn equal_questions_share_a_request_and_one_after_a_change_begins_anew() {
    let server = MockServer::start().await;
    let answer =
        |name: &str| ResponseTemplate::new(200).set_body_json(json!({"pageCount": 1, "items": [{"name": name}]}));
    let first = answer("before").set_delay(std::time::Duration::from_secs(1));
    Mock::given(method("GET")).respond_with(first).up_to_n_times(1).mount(&server).await;
    Mock::given(method("GET")).respond_with(answer("after")).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let client = client(&server);
    let ask = async || {
        let paths = client.configured_paths().await.expect("a list");
        paths[0]["name"].as_str().expect("a name").to_owned()
    };
    let change = async {
        while server.received_requests().await.is_none_or(|all| all.is_empty()) {
            tokio::task::yield_now().await;
        }
        client.add_path("cam", &Fields::new()).await.expect("added");
        ask().await
    };
    let (one, same, later) = tokio::join!(ask(), ask(), change);
    assert_eq!([&*one, &*same, &*later], ["before", "before", "after"]);
    let asked = server.received_requests().await.expect("recorded");
    assert_eq!(asked.iter().filter(|request| request.method.as_str() == "GET").count(), 2);
}
