//! Questions to one device, with a user and a password.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{
    SETTINGS, detail,
    fake::{Auth, Behaviour, Camera, LOGIN, Told, card_id},
    search,
};
use crate::support::{Response, TestApp, tls::tls_in_front_of};

async fn inquire(app: &TestApp, camera: &Camera, password: &str) -> Value {
    let body = json!({"address": camera.http.to_string(), "user": LOGIN.0, "pass": password});
    let response = post(app, body).await;
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    response.json()
}

async fn post(app: &TestApp, body: Value) -> Response {
    app.admin("POST", "/api/v1/discover/onvif", &body.to_string()).await
}

#[tokio::test]
async fn a_token_contains_the_time_of_the_camera_s_clock() {
    let app = TestApp::with(SETTINGS);
    for clock in [0, -86_400 * 365 * 8, 7200] {
        let camera = Camera::start(Behaviour { auth: Auth::Token, clock, ..Behaviour::of("hikvision") }).await;
        let card = inquire(&app, &camera, LOGIN.1).await;
        let offset = card["clock_offset_seconds"].as_i64().expect("a number");
        assert!((offset - clock).abs() <= 2, "{offset} should be {clock}");
        assert_eq!(card["problems"].as_array().map_or(0, Vec::len), usize::from(clock != 0), "{card}");
        assert_eq!((&card["needs_credentials"], card["profiles"].as_array().map(Vec::len)), (&json!(false), Some(2)));
        // The offered definition contains the password, because it is useless without; the rest of the report does not.
        let body = &card["offers"][1]["body"];
        assert_eq!((&body["kind"], &body["user"], &body["pass"]), (&json!("rtsp"), &json!(LOGIN.0), &json!(LOGIN.1)));
        let url = card["offers"][0]["body"]["url"].as_str().expect("a URL");
        assert!(url.starts_with("rtsp://admin:s3cret%2Dpa%26ss@127.0.0.1:554/Streaming"), "{url}");
        let offered = &card["offers"][1];
        let put = app.admin("PUT", offered["href"].as_str().expect("text"), &offered["body"].to_string()).await;
        assert!(matches!(put.status, 200 | 201), "{put:?}");
        assert!(!String::from_utf8_lossy(&put.body).contains("s3cret"), "{put:?}");
        let mut rest = card.clone();
        rest["offers"] = Value::Null;
        assert!(!rest.to_string().contains("s3cret"), "{rest}");
        assert!(!camera.all_text().contains("s3cret"), "the password itself is never sent");
    }
}

/// Cameras without a time zone tell their local time only; others tell a time by which they do not measure.
#[tokio::test]
async fn a_clock_that_is_told_wrong_or_as_local_time_does_not_make_the_password_wrong() {
    let app = TestApp::with(SETTINGS);
    for (clock, told) in [(-86_400 * 365 * 8, Told::AsLocal), (0, Told::Wrong(36_000)), (0, Told::Nothing)] {
        let camera = Camera::start(Behaviour { auth: Auth::Token, clock, told, ..Behaviour::of("hikvision") }).await;
        let card = inquire(&app, &camera, LOGIN.1).await;
        assert_eq!((&card["needs_credentials"], &card["model"]), (&json!(false), &json!("DS-2CD2143G2-I")), "{card}");
    }
    // This one measures by a clock that nothing tells.
    let camera =
        Camera::start(Behaviour { auth: Auth::Token, clock: 7200, told: Told::Nothing, ..Behaviour::of("hikvision") })
            .await;
    let card = inquire(&app, &camera, LOGIN.1).await;
    assert!(card["needs_credentials"] == true && card["problems"].to_string().contains("clock"), "{card}");
}

#[tokio::test]
async fn a_challenge_for_digest_is_answered_and_one_for_basic_is_not() {
    let app = TestApp::with(SETTINGS);
    for once in [false, true] {
        let camera = Camera::start(Behaviour { auth: Auth::Digest { once }, ..Behaviour::of("axis") }).await;
        let card = inquire(&app, &camera, LOGIN.1).await;
        assert_eq!((&card["model"], &card["needs_credentials"]), (&json!("M1065-L"), &json!(false)), "{card}");
        assert!(card["profiles"][0]["snapshot_uri"].is_string(), "{card}");
        let text = camera.all_text().to_lowercase();
        assert!(text.contains("authorization: digest") && !text.contains("authorization: basic"), "{text}");
    }
    let camera = Camera::start(Behaviour { auth: Auth::Basic, ..Behaviour::of("hikvision") }).await;
    let card = inquire(&app, &camera, LOGIN.1).await;
    assert_eq!(card["needs_credentials"], true, "{card}");
    assert!(!camera.all_text().to_lowercase().contains("authorization: basic"));
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_for_each_method() {
    let app = TestApp::with(SETTINGS);
    for (maker, auth) in [("hikvision", Auth::Token), ("axis", Auth::Digest { once: false })] {
        let camera = Camera::start(Behaviour { auth, ..Behaviour::of(maker) }).await;
        let card = inquire(&app, &camera, "wrong").await;
        assert_eq!(
            (&card["needs_credentials"], card["offers"].as_array().map(Vec::len)),
            (&json!(true), Some(0)),
            "{card}"
        );
        assert!(card["problems"][0].as_str().is_some_and(|text| text.contains("does not accept")), "{card}");
        let seen = camera.seen.lock().clone();
        let shown = seen.iter().filter(|s| s.text.contains("UsernameToken") || s.text.contains("uthorization: Digest"));
        let shown: Vec<_> = shown.map(|seen| seen.operation.as_str()).collect();
        assert!(shown.len() <= 2 && shown.iter().all(|operation| *operation == "GetDeviceInformation"), "{shown:?}");
    }
}

#[tokio::test]
async fn a_device_without_credentials_is_reported_as_needing_them() {
    let app = TestApp::with(SETTINGS);
    let camera = Camera::start(Behaviour { auth: Auth::Token, ..Behaviour::of("hikvision") }).await;
    let events = search(&app, &format!("address={}", camera.udp)).await;
    let card = detail(&events, &card_id(&camera));
    assert_eq!((&card["needs_credentials"], &card["name"]), (&json!(true), &json!("hikvision Front Door")), "{card}");
    assert!(!camera.all_text().contains("UsernameToken"));
}

#[tokio::test]
async fn a_wrong_question_is_answered_with_the_reason() {
    let app = TestApp::with(SETTINGS);
    let camera = Camera::start(Behaviour::of("hikvision")).await;
    for address in [
        camera.http.to_string(),
        format!("http://{}/onvif/device_service", camera.http),
        format!("localhost:{}", camera.http.port()),
    ] {
        let response = post(&app, json!({"address": address})).await;
        assert_eq!((response.status, &response.json()["model"]), (200, &json!("DS-2CD2143G2-I")), "{address}");
    }
    for (body, status, says) in [
        (json!({}), 400, "missing field `address`"),
        (json!({"address": "x", "pasword": "y"}), 400, "unknown field `pasword`"),
        (json!({"address": "ftp://127.0.0.1/"}), 400, "address: must be"),
        (json!({"address": "http://admin:secret@127.0.0.1/"}), 400, "address: must be"),
        (json!({"address": "8.8.8.8"}), 400, "not in discovery.networks"),
        (json!({"address": "127.0.0.1", "pass": "x"}), 400, "user: is required"),
        (json!({"address": "127.0.0.1", "user": "x".repeat(501)}), 400, "user: must not have more than 500 bytes"),
        (json!({"address": "127.0.0.1", "consent": ["x"]}), 400, "consent: \"x\""),
        (json!({"address": "127.0.0.1", "fingerprint": "AB"}), 400, "fingerprint: must be"),
        (json!({"address": "127.0.0.1:1"}), 502, "no ONVIF device answers at port 1"),
        (json!({"address": app.addr.to_string()}), 502, "not that of an ONVIF device: HTTP status 40"),
        (json!({"address": "nonesuch.invalid"}), 502, "its address is not found"),
    ] {
        let refused = post(&app, body.clone()).await;
        assert!(refused.status == status && refused.detail().contains(says), "{body}: {refused:?}");
    }
}

/// TLS in front of a camera, with a self-signed certificate.
async fn with_tls(camera: &Camera) -> SocketAddr {
    let folder = tempfile::tempdir().expect("a folder");
    crate::tls::certificate(folder.path(), "a camera").await;
    tls_in_front_of(camera.http, &folder.path().join("cert.pem"), &folder.path().join("key.pem")).await
}

#[tokio::test]
async fn a_self_signed_certificate_of_a_camera_is_accepted_by_its_fingerprint() {
    let app = TestApp::with(SETTINGS);
    let camera = Camera::start(Behaviour { auth: Auth::Digest { once: false }, ..Behaviour::of("axis") }).await;
    let addr = with_tls(&camera).await;
    let address = format!("https://{addr}/onvif/device_service");
    let mut body = json!({"address": address, "user": LOGIN.0, "pass": LOGIN.1});
    let refused = post(&app, body.clone()).await;
    assert_eq!((refused.status, camera.all_text().as_str()), (502, ""), "{refused:?}");
    let detail = refused.detail();
    let fingerprint = detail.split(|c: char| !c.is_ascii_hexdigit() && c != ':').find(|word| word.len() == 95);
    body["fingerprint"] = json!(fingerprint.unwrap_or_else(|| panic!("no fingerprint in {detail}")));
    let card = post(&app, body.clone()).await.json();
    assert_eq!((&card["model"], &card["device_service"]), (&json!("M1065-L"), &json!(address)), "{card}");
    assert!(card["profiles"][0]["stream_uri"].is_string(), "the media service is without TLS: {card}");
    body["fingerprint"] = json!("AB".repeat(32));
    let other = post(&app, body).await;
    assert!(other.status == 502 && other.detail().contains("does not have the configured fingerprint"), "{other:?}");
}
