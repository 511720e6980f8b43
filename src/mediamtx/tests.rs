use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path, query_param},
};

use super::*;
use crate::policy::Principal;

fn client(server: &MockServer) -> Client {
    let settings = MediaMtxSettings { api: server.uri(), ..MediaMtxSettings::default() };
    Client::start(&settings, || Some("Bearer of-ours".into()))
}

#[tokio::test]
async fn lists_are_read_to_their_last_page_with_our_token() {
    let server = MockServer::start().await;
    for page in 0..3 {
        // Fields of the future, and deprecated twins, as MediaMTX has them.
        let items = [json!({"name": format!("cam{page}"), "available": true, "ready": true, "future": {"x": 1}})];
        let answer = json!({"itemCount": 3, "pageCount": 3, "items": items});
        Mock::given(method("GET"))
            .and(path("/v3/paths/list"))
            .and(query_param("page", page.to_string()))
            .and(header("authorization", "Bearer of-ours"))
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
async fn what_goes_wrong_is_said() {
    let server = MockServer::start().await;
    for (status, body, says) in [
        (401, json!({"status": "error", "error": "authentication error"}), "401 Unauthorized authentication error"),
        (500, json!("what?"), "500"),
        (200, json!({"no": "items"}), "not understood"),
    ] {
        server.reset().await;
        Mock::given(method("GET")).respond_with(ResponseTemplate::new(status).set_body_json(body)).mount(&server).await;
        let error = client(&server).paths().await.expect_err("refused");
        assert!(error.to_string().contains(says), "{error}");
    }
    server.reset().await;
    // The list of a server that is switched off.
    assert!(client(&server).paths().await.expect("an empty list").is_empty());
    let gone = MediaMtxSettings { api: "http://127.0.0.1:1".into(), ..MediaMtxSettings::default() };
    let error = Client::start(&gone, || None).paths().await.expect_err("nobody there");
    assert!(error.to_string().contains("mediamtx.api"), "{error}");
}

#[tokio::test]
async fn a_user_of_its_own_is_shown_instead_of_our_token() {
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
    assert!(Client::start(&settings, || None).paths().await.expect("a list").is_empty());
}

#[tokio::test]
async fn sessions_of_those_who_lost_something_are_ended_and_others_are_not() {
    let server = MockServer::start().await;
    let kick = |kind: &str, id: &str| Mock::given(method("POST")).and(path(format!("/v3/{kind}/kick/{id}")));
    let done = || ResponseTemplate::new(200).set_body_json(json!({"status": "ok"}));
    kick("webrtcsessions", "aa-11").respond_with(done()).expect(1).mount(&server).await;
    kick("rtspssessions", "bb-22").respond_with(done()).expect(1).mount(&server).await;
    kick("srtconns", "cc-33").respond_with(done()).expect(0).mount(&server).await;
    // Found by name: admitted before we were started.
    let listed = json!({"itemCount": 2, "pageCount": 1, "items": [{"id": "dd-44", "user": "alice"}, {"id": "ee-55", "user": "bob"}]});
    Mock::given(path("/v3/hlssessions/list"))
        .respond_with(ResponseTemplate::new(200).set_body_json(listed))
        .mount(&server)
        .await;
    kick("hlssessions", "dd-44").respond_with(done()).expect(1).mount(&server).await;

    let session_index = SessionIndex::default();
    let alice = || Principal::User("alice".into());
    session_index.note(&alice(), "webrtc", "aa-11");
    session_index.note(&alice(), "rtsp", "bb-22");
    session_index.note(&alice(), "webrtc", "../../config/paths/delete/x");
    session_index.note(&Principal::User("bob".into()), "srt", "cc-33");
    session_index.note(&Principal::Anonymous, "srt", "cc-33");
    assert_eq!(session_index.kick(&client(&server), &alice()).await.expect("kicked"), 3);
}

#[test]
fn addresses_of_the_control_api_are_checked() {
    let problems = |api: &str| MediaMtxSettings { api: api.into(), ..MediaMtxSettings::default() }.problems().len();
    for fine in ["http://127.0.0.1:9997", "http://mediamtx:9997/"] {
        assert_eq!(problems(fine), 0, "{fine}");
    }
    for wrong in ["", "127.0.0.1:9997", "ftp://x", "http://", "http://root:pass@x:9997", "http://x:9997/v3"] {
        assert_eq!(problems(wrong), 1, "{wrong}");
    }
}
