//! Media folders on a QNAP: wiremock, or a script, answers like its File Station.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{method, path},
};

use crate::{
    media::encoded,
    support::{Program, TestApp, close_to, flat_picture, middle_colour, script::Script},
    tls::certificate,
};

const COLOUR: [u8; 3] = [20, 160, 20];

/// The content and the behaviour of the NAS. Session ids are `sid-1`, `sid-2` and so on, and only the last one is valid.
#[derive(Clone, Default)]
struct Qnap(Arc<State>);

#[derive(Default)]
struct State {
    logins: AtomicUsize,
    lists: AtomicUsize,
    entries: Vec<Value>,
    /// The answer to a sign-in, in place of a session id.
    refuses: Option<&'static str>,
    /// The status in every answer except to a sign-in.
    status: Option<u64>,
    picture: Vec<u8>,
}

impl Qnap {
    fn query(request: &Request, name: &str) -> String {
        request.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    async fn serve(self) -> MockServer {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/cgi-bin/authLogin.cgi"))
            .respond_with(Login(self.clone()))
            .mount(&server)
            .await;
        Mock::given(method("GET")).respond_with(Util(self)).mount(&server).await;
        server
    }
}

struct Login(Qnap);

impl Respond for Login {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let state = &self.0.0;
        let n = state.logins.fetch_add(1, Ordering::SeqCst) + 1;
        let form: Vec<_> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let right = field("user").as_deref() == Some("viewer") && field("pwd") == Some(STANDARD.encode("pässwörd&="));
        let inner = match (right, state.refuses) {
            (true, None) => format!("<authPassed><![CDATA[1]]></authPassed><authSid><![CDATA[sid-{n}]]></authSid>"),
            (true, Some(says)) => says.to_owned(),
            (false, _) => "<authPassed><![CDATA[0]]></authPassed><errorValue><![CDATA[-1]]></errorValue>".into(),
        };
        let xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<QDocRoot version=\"1.0\">{inner}</QDocRoot>");
        ResponseTemplate::new(200).set_body_raw(xml, "text/xml")
    }
}

struct Util(Qnap);

impl Respond for Util {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let state = &self.0.0;
        let query = |name: &str| Qnap::query(request, name);
        let status = |n: u64| ResponseTemplate::new(200).set_body_json(json!({"status": n, "success": "true"}));
        if query("sid") != format!("sid-{}", state.logins.load(Ordering::SeqCst)) {
            return status(3);
        }
        if let Some(n) = state.status {
            return status(n);
        }
        match query("func").as_str() {
            "get_list" => {
                state.lists.fetch_add(1, Ordering::SeqCst);
                assert_eq!(query("path"), "/Multimedia/My Photos");
                let number = |name: &str| query(name).parse::<usize>().expect("a number");
                let part: Vec<_> = state.entries.iter().skip(number("start")).take(number("limit")).cloned().collect();
                ResponseTemplate::new(200).set_body_json(json!({"total": state.entries.len(), "acl": 7, "datas": part}))
            }
            "get_thumb" | "get_viewer" => {
                assert!(
                    ["a & b.jpg", "clip.mp4"].contains(&query("name").as_str())
                        || query("source_path") == "/Multimedia/My Photos"
                );
                match request.headers.get("range").map(|range| range.to_str().expect("text")) {
                    Some(range) => {
                        let from: usize =
                            range.trim_start_matches("bytes=").trim_end_matches('-').parse().expect("a range");
                        let range = format!("bytes {from}-{}/{}", state.picture.len() - 1, state.picture.len());
                        ResponseTemplate::new(206)
                            .set_body_raw(&state.picture[from..], "image/jpeg")
                            .insert_header("content-range", range.as_str())
                    }
                    None => ResponseTemplate::new(200).set_body_raw(state.picture.clone(), "image/jpeg"),
                }
            }
            _ => status(20),
        }
    }
}

/// An entry as newer firmware sends it, or as older firmware does, with numbers as text.
fn file(name: &str, size: u64, as_text: bool) -> Value {
    match as_text {
        true => {
            json!({"filename": name, "isfolder": "0", "filesize": size.to_string(), "epochmt": "1336632210", "mt": "2012/05/10 06:43:30\n"})
        }
        false => json!({"filename": name, "isfolder": 0, "filesize": size, "filetype": 3, "epochmt": 1336632210}),
    }
}

async fn app(url: &str) -> TestApp {
    TestApp::with(&format!(
        "media: {{roots: [], nas: [{{name: photos, url: '{url}', user: viewer, pass: 'pässwörd&=', folder: '/Multimedia/My Photos/'}}]}}"
    ))
}

#[tokio::test]
async fn a_folder_is_listed_and_becomes_a_channel() {
    let folder = json!({"filename": "Summer", "isfolder": 1, "filesize": "4096", "epochmt": 1336632210});
    let dots = json!({"filename": "..", "isfolder": 1});
    let entries =
        vec![dots, folder, file("a & b.jpg", 137_595_818, true), file("b.jpg", 5, false), file("x.txt", 6, false)];
    let picture = flat_picture(640, 360, COLOUR);
    let qnap = Qnap(Arc::new(State { entries, picture: picture.clone(), ..State::default() }));
    let server = qnap.clone().serve().await;
    let app = app(&server.uri()).await;
    let roots = app.get("/api/v1/media").await.json();
    assert_eq!(roots["roots"][0]["kind"], "nas");
    assert_eq!((&roots["roots"][0]["available"], &roots["roots"][0]["writable"]), (&json!(true), &json!(false)));
    assert!(roots["roots"][0]["problem"].as_str().is_some_and(|text| text.contains("https://")), "{roots}");
    let listed = app.get("/api/v1/media?root=photos").await.json();
    assert_eq!(
        listed["entries"].as_array().expect("entries")[..2],
        [
            json!({"name": "Summer", "kind": "folder", "size": 0, "modified": "2012-05-10T06:43:30Z"}),
            json!({"name": "a & b.jpg", "kind": "picture", "size": 137_595_818, "modified": "2012-05-10T06:43:30Z"}),
        ]
    );
    let pictures = app.get("/api/v1/media?root=photos&type=picture&start=1&limit=1").await.json();
    assert_eq!((&pictures["total"], &pictures["entries"][0]["name"]), (&json!(3), &json!("a & b.jpg")));
    assert_eq!(qnap.0.logins.load(Ordering::SeqCst), 1, "one session for all requests");

    let target = format!("root=photos&path={}", encoded("a & b.jpg"));
    assert_eq!(app.get(&format!("/api/v1/media/thumbnail?{target}")).await.body, picture);
    let made = json!({"root": "photos", "path": "a & b.jpg", "name": "wall"}).to_string();
    assert_eq!(app.admin("POST", "/api/v1/media/channel", &made).await.status, 201);
    assert_eq!(app.admin("GET", "/api/v1/streams/wall", "").await.json()["definition"]["kind"], "nas");
    // The session expires while it is used: one more sign-in, and the request succeeds.
    qnap.0.logins.fetch_add(1, Ordering::SeqCst);
    let shown = app.get("/snapshot/wall.jpg").await;
    assert_eq!(shown.status, 200, "{shown:?}");
    let seen = app.folder().join("seen.jpg");
    std::fs::write(&seen, &shown.body).expect("writes");
    let found = middle_colour(&seen).await;
    assert!(close_to(found, COLOUR), "{found:?}");
    assert_eq!(qnap.0.logins.load(Ordering::SeqCst), 3, "the sign-in that made the session expire, and one more");

    // Players send requests for ranges.
    let place = URL_SAFE_NO_PAD.encode("photos\0a & b.jpg");
    let part = app.request("GET", &format!("/api/v1/media/content/{place}"), &["Range: bytes=100-"], b"").await;
    assert_eq!((part.status, &part.body[..]), (206, &picture[100..]));
    assert_eq!(
        part.header("content-range"),
        Some(format!("bytes 100-{}/{}", picture.len() - 1, picture.len()).as_str())
    );
    for (method, query) in [("PUT", "path=new.jpg"), ("DELETE", "path=b.jpg")] {
        let refused = app.admin(method, &format!("/api/v1/media/file?root=photos&{query}"), "x").await;
        assert_eq!((refused.status, refused.detail().contains("on a NAS")), (403, true), "{refused:?}");
    }
    assert_eq!(app.get("/api/v1/media?root=photos&path=..%2Fother").await.status, 400);
    // The original program's addresses make and remove the same channel, with its stream.
    for (at, status) in [("/mediamtx-add-media", 200), ("/mediamtx-delete-media", 404)] {
        let body = json!({"path": "hall", "fname": "a & b.jpg"}).to_string();
        assert_eq!(app.admin("POST", at, &body).await.status, 200, "{at}");
        assert_eq!(app.get("/api/v1/streams/hall").await.status, status, "after {at}");
    }
    for request in server.received_requests().await.expect("recorded") {
        let all = format!("{} {:?}", request.url, request.headers);
        assert!(
            !all.contains(&STANDARD.encode("pässwörd&=")) && !all.contains("sswörd"),
            "the password is in bodies only: {all}"
        );
    }
}

/// The session id is used until the NAS reports status 3, and then replaced by one sign-in.
#[tokio::test]
async fn a_session_that_has_expired_is_replaced_by_one_sign_in() {
    const UTIL: &str = "/cgi-bin/filemanager/utilRequest.cgi";
    let login = "POST /cgi-bin/authLogin.cgi HTTP/1.1\nuser=viewer&pwd=*&serviceKey=1";
    let signed_in = |sid: &str| {
        format!(
            "HTTP/1.1 200 OK\nContent-Type: text/xml\n\n<QDocRoot version=\"1.0\">\
             <authPassed><![CDATA[1]]></authPassed><authSid><![CDATA[{sid}]]></authSid></QDocRoot>"
        )
    };
    let download = |sid: &str| {
        let target = "func=get_viewer&source_path=%2FMultimedia%2FMy+Photos&source_file=door.jpg";
        format!("GET {UTIL}/door.jpg?{target}&sid={sid} HTTP/1.1")
    };
    let json = |body: Value| format!("HTTP/1.1 200 OK\nContent-Type: application/json\n\n{body}");
    let (jpeg, picture) = ("HTTP/1.1 200 OK\nContent-Type: image/jpeg", flat_picture(64, 48, COLOUR));
    let nas = Script::bind()
        .await
        .expect(login)
        .answer(&signed_in("first"))
        .expect(&format!("GET {UTIL}?func=get_list&*path=%2FMultimedia%2FMy+Photos&*&sid=first HTTP/1.1"))
        .answer(&json(json!({"total": 1, "datas": [file("door.jpg", 700, false)]})))
        .expect(&download("first"))
        .answer_with(jpeg, picture.clone())
        .expect(&download("first"))
        .answer(&json(json!({"status": 3})))
        .expect(login)
        .answer(&signed_in("second"))
        .expect(&download("second"))
        .answer_with(jpeg, picture.clone());
    let app = app(&format!("http://{}", nas.addr())).await;
    let content = format!("/api/v1/media/content/{}", URL_SAFE_NO_PAD.encode("photos\0door.jpg"));
    let client = async {
        let listed = app.get("/api/v1/media?root=photos").await.json();
        assert_eq!(listed["entries"][0]["name"], "door.jpg", "{listed}");
        for _ in 0..2 {
            assert_eq!(app.get(&content).await.body, picture);
        }
    };
    tokio::join!(client, nas.play());
}

#[tokio::test]
async fn a_refusal_of_the_nas_is_reported() {
    for (refuses, status, code, says) in [
        (
            Some("<authPassed><![CDATA[0]]></authPassed><need_2sv><![CDATA[1]]></need_2sv>"),
            None,
            502,
            "2-step verification",
        ),
        (
            Some("<authPassed><![CDATA[0]]></authPassed><errorValue><![CDATA[-1]]></errorValue>"),
            None,
            502,
            "user or password is wrong",
        ),
        (Some("<ready/>"), None, 502, "its answer is not that of a QNAP"),
        (None, Some(4), 502, "the user does not have this permission (status 4)"),
        (None, Some(5), 404, "no such file or folder"),
        (None, Some(8), 502, "File Station is switched off"),
        (None, Some(27), 502, "encrypted and locked"),
        (None, Some(3), 502, "the session has ended"),
    ] {
        let qnap = Qnap(Arc::new(State { refuses, status, ..State::default() }));
        let server = qnap.clone().serve().await;
        let app = app(&server.uri()).await;
        let refused = app.get("/api/v1/media?root=photos").await;
        assert!(refused.status == code && refused.detail().contains(says), "{says}: {refused:?}");
        let roots = app.get("/api/v1/media").await.json();
        assert_eq!(roots["roots"][0]["available"], false);
        assert!(roots["roots"][0]["problem"].as_str().is_some_and(|text| text.contains(says)), "{roots}");
        let most = if status == Some(3) { 4 } else { 2 };
        assert!(qnap.0.logins.load(Ordering::SeqCst) <= most, "the sign-in is not repeated");
    }
}

#[tokio::test]
async fn ten_thousand_files_are_listed_in_parts() {
    let entries = (0..10_000)
        .map(|n| file(&format!("{n:05}.{}", if n % 4 == 0 { "mp4" } else { "jpg" }), n, n % 2 == 0))
        .collect();
    let qnap = Qnap(Arc::new(State { entries, ..State::default() }));
    let server = qnap.clone().serve().await;
    let app = app(&server.uri()).await;
    let lists = || qnap.0.lists.swap(0, Ordering::SeqCst);
    let page = app.get("/api/v1/media?root=photos&start=9990&limit=100").await.json();
    assert_eq!(
        (page["total"].as_u64(), page["entries"].as_array().expect("entries").len(), lists()),
        (Some(10_000), 10, 1)
    );
    let page = app.get("/api/v1/media?root=photos&type=video&start=2400&limit=1000").await.json();
    assert_eq!(
        (page["total"].as_u64(), page["entries"].as_array().expect("entries").len(), lists()),
        (Some(2500), 100, 10)
    );
    assert_eq!(page["entries"][99]["name"], "09996.mp4");
    let all = app.request("POST", "/mediamtx-get-media", &[], b"").await.json();
    assert_eq!(
        (all["list"].as_array().expect("a list").len(), lists()),
        (10_000, 10),
        "the list of the original program is complete"
    );
}

/// HTTPS with a self-signed certificate; another sidecar is the server.
#[tokio::test]
async fn a_self_signed_certificate_is_accepted_by_its_fingerprint_only() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path(), "nas").await;
    let at = folder.path().display();
    let server = TestApp::with(&format!(
        "http: {{listen: 127.0.0.1:0, tls: {{listen: '127.0.0.1:0', certificate: '{at}/cert.pem', key: '{at}/key.pem'}}}}"
    ));
    let port = server.tls.expect("HTTPS").port();
    let file = format!("{at}/cert.pem");
    let shown = Program::output("openssl", &["x509", "-noout", "-fingerprint", "-sha256", "-in", &file]).await;
    let shown = String::from_utf8_lossy(&shown).trim().rsplit('=').next().expect("a fingerprint").to_owned();
    // After a successful handshake the answer is not that of a NAS.
    let other = "its answer is not that of a QNAP".to_owned();
    let no_authority =
        format!("no known authority has signed it); to trust a self-signed certificate, set its fingerprint {shown}");
    for (host, fingerprint, ca_file, says) in [
        ("localhost", "", "", &no_authority),
        ("localhost", &*"AB".repeat(32), "", &format!("but the fingerprint {shown}")),
        ("127.0.0.1", &shown, "", &other),
        ("localhost", "", &file, &other),
        ("127.0.0.1", "", &file, &"it is for another host name".to_owned()),
    ] {
        let app = TestApp::with(&format!(
            "fetch: {{ca_file: '{ca_file}'}}\nmedia: {{nas: [{{name: photos, url: 'https://{host}:{port}', user: viewer, pass: x, folder: /x, fingerprint: '{fingerprint}'}}]}}"
        ));
        let refused = app.get("/api/v1/media?root=photos").await;
        assert!(refused.status == 502 && refused.detail().contains(says), "{says}: {refused:?}");
    }
}

/// An address of another web server, or of the NAS without encryption, which it redirects.
#[tokio::test]
async fn an_answer_that_is_no_sign_in_is_told_as_it_is() {
    for (status, location, says) in [
        (302, Some("https://127.0.0.1:5001/cgi-bin/"), "it leads to https://127.0.0.1:5001; set that as url"),
        (301, Some("/elsewhere"), "it leads to http://127.0.0.1"),
        (404, None, "its answer is not that of a QNAP, but HTTP status 404 Not Found"),
        (503, None, "its answer is not that of a QNAP, but HTTP status 503 Service Unavailable"),
    ] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status);
        let answer = location.into_iter().fold(answer, |answer, to| answer.insert_header("location", to));
        Mock::given(method("POST")).respond_with(answer).mount(&server).await;
        let nas = format!("{{name: photos, url: '{}', user: viewer, pass: x, folder: /Photos}}", server.uri());
        let app = TestApp::with(&format!("media: {{nas: [{nas}]}}\nstreams: {{n: {{kind: nas, nas: photos}}}}"));
        let refused = app.admin("GET", "/snapshot/n.jpg", "").await;
        assert!(refused.status == 504 && refused.detail().contains(says), "{says}: {refused:?}");
    }
}
