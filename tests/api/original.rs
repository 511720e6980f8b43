//! The addresses of the original program, with the requests of its unchanged console and viewer: golden/*.json.

use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

use crate::support::{FAR, TestApp, basic, flat_picture, rtsp_client};

/// Whether the answer is the written one; a text in `<…>` stands for a type of value.
fn fits(answer: &Value, written: &Value) -> bool {
    match (answer, written) {
        (answer, Value::String(form)) if form.starts_with('<') => match form.as_str() {
            "<number>" => answer.is_number(),
            "<text>" => answer.is_string(),
            form => {
                let begin = form.trim_start_matches("<begins ").trim_end_matches('>');
                answer.as_str().is_some_and(|text| text.starts_with(begin))
            }
        },
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fits(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && b.iter().all(|(key, b)| a.get(key).is_some_and(|a| fits(a, b)))
        }
        (a, b) => a == b,
    }
}

fn golden(name: &str) -> Value {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/golden").join(name);
    serde_json::from_str(&std::fs::read_to_string(&file).expect(name)).expect(name)
}

/// A MediaMTX that answers like the real one, with fields that newer versions have, and with a password in a URL.
async fn mediamtx() -> MockServer {
    let server = MockServer::start().await;
    let mut listed = golden("get-path.json")["answer"]["list"].clone();
    listed[0]["forward"] = json!([{"url": "rtmp://user:pass@elsewhere/x"}]);
    let get = |at: &str, answer: Value| {
        Mock::given(method("GET")).and(path(at)).respond_with(ResponseTemplate::new(200).set_body_json(answer))
    };
    get("/v3/paths/list", json!({"itemCount": 1, "pageCount": 1, "items": listed})).mount(&server).await;
    get(
        "/v3/recordings/get/recording",
        json!({"name": "recording", "segments": [{"start": "2026-11-20T10:00:00.5+09:00"}]}),
    )
    .mount(&server)
    .await;
    let ranges = json!([{"start": "2026-11-20T10:00:00.5+09:00", "duration": 61.25, "url": "http://inside:9996/get?path=recording&start=x&duration=61.25"}]);
    get("/list", ranges).mount(&server).await;
    server
}

#[tokio::test]
async fn the_original_console_and_viewer_get_their_answers() {
    let server = mediamtx().await;
    let folder = std::sync::Arc::new(tempfile::tempdir().expect("a folder"));
    std::fs::create_dir_all(folder.path().join("media")).expect("makes");
    std::fs::write(folder.path().join("media/door.jpg"), flat_picture(320, 180, [9, 99, 200])).expect("writes");
    // The two users of the original program: one can read, the other can do everything.
    let user = "{user: user, pass: watch, permissions: [{action: read}, {action: playback}]}";
    let app = TestApp::in_folder(
        folder,
        &format!("mediamtx: {{api: '{0}', playback: '{0}'}}\nauth: {{users: [{user}]}}", server.uri()),
    );
    let admin = basic("admin", app.password.as_deref().expect("generated"));
    for name in ["get-path", "get-media", "add-media", "delete-media", "get-recording"] {
        let golden = golden(&format!("{name}.json"));
        let (at, body) =
            (golden["request"]["path"].as_str().expect("a path"), golden["request"]["body"].as_str().expect("a body"));
        let login = match golden["request"]["user"].as_str() {
            Some("admin") => admin.clone(),
            _ => basic("user", "watch"),
        };
        let send = async |login: &str| {
            app.request("POST", at, &[FAR, login, "Content-Type: application/json"], body.as_bytes()).await
        };
        let answer = send(&login).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(fits(&answer.json(), &golden["answer"]), "{name}: {} instead of {}", answer.json(), golden["answer"]);
        assert_eq!(send("Accept: */*").await.status, 401, "{name} needs credentials");
        assert_eq!(send(&basic("user", "wrong")).await.status, 401, "{name}");
        if golden["request"]["user"] == "admin" {
            assert_eq!(send(&basic("user", "watch")).await.status, 403, "{name}: changing is for administrators");
        }
    }
}

/// The folder `public` of the original program, as far as its pages need it.
fn original_pages() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for page in ["mediamtx_console", "mediamtx_viewer"] {
        std::fs::create_dir_all(folder.path().join(page).join("js")).expect("makes");
        let html = "<script src=\"https://cdn.jsdelivr.net/npm/vue@2.x/dist/vue.min.js\"></script><script src=\"js/start.js\"></script>";
        std::fs::write(folder.path().join(page).join("index.html"), format!("<title>{page}</title>{html}"))
            .expect("writes");
        std::fs::write(folder.path().join(page).join("js/start.js"), "new Vue({});").expect("writes");
    }
    // Its first page is an empty template with the same scripts.
    std::fs::write(folder.path().join("index.html"), "<title>Template</title>").expect("writes");
    folder
}

#[tokio::test]
async fn the_original_pages_are_served_with_their_scripts_and_ours_stay_strict() {
    let folder = original_pages();
    let app = TestApp::with(&format!("http: {{static_dir: '{}'}}", folder.path().display()));
    for page in ["mediamtx_console", "mediamtx_viewer"] {
        let moved = app.get(&format!("/{page}?x=1")).await;
        assert_eq!((moved.status, moved.header("location")), (308, Some(&*format!("{page}/"))), "{moved:?}");
        let answer = app.get(&format!("/{page}/")).await;
        assert!(String::from_utf8_lossy(&answer.body).contains(&format!("<title>{page}</title>")), "{answer:?}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for needed in ["https:", "'unsafe-eval'", "'unsafe-inline'", "frame-ancestors 'none'"] {
            assert!(policy.contains(needed), "{needed}: {policy}");
        }
        assert_eq!(app.get(&format!("/{page}/js/start.js")).await.body, &b"new Vue({});"[..]);
    }
    let is_strict = async |at: &str| {
        let page = app.get(at).await;
        assert_eq!(page.status, 200, "{at}: {page:?}");
        let policy = page.header("content-security-policy").unwrap_or_default();
        policy.contains("'self'") && !policy.contains("unsafe")
    };
    for ours in ["/viewer/", "/console/"] {
        assert!(is_strict(ours).await, "{ours}");
    }
    // A page of the folder that takes the place of ours is not ours, and without it ours is there again.
    assert!(!is_strict("/").await && !is_strict("/index.html").await);
    std::fs::remove_file(folder.path().join("index.html")).expect("removes");
    assert!(is_strict("/").await);
}

#[tokio::test]
async fn our_own_pages_stay_strict_during_their_development() {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/static");
    let app = TestApp::with(&format!("http: {{static_dir: '{ours}'}}"));
    for at in ["/", "/viewer/", "/console/"] {
        let page = app.get(at).await;
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(page.status == 200 && !policy.contains("unsafe"), "{at}: {page:?}");
    }
}

/// The block of settings in docs/original.md: MediaMTX reads by RTSP, and the console uploads from the network of its users only.
#[tokio::test]
async fn the_settings_of_the_document_let_mediamtx_read_and_the_console_upload() {
    let folder = original_pages();
    let document = include_str!("../../docs/original.md");
    let block = document.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let yaml = block
        .replace("/srv/original/public", &format!("{}\n  trusted_proxies: [127.0.0.1]", folder.path().display()))
        .replace("/srv/original/media", &folder.path().display().to_string());
    let app = TestApp::with(&yaml);
    let upload = async |from: &str| {
        let from = format!("X-Forwarded-For: {from}");
        app.request("PUT", "/mjpeg-upload?name=imagefile", &[&from], &flat_picture(64, 48, [9, 99, 200])).await.status
    };
    assert_eq!((upload("192.168.1.20").await, upload("192.168.2.20").await), (200, 401));
    let mut mediamtx = rtsp_client::Client::connect(&app, "imagefile?type=file").await;
    assert_eq!(mediamtx.ask("DESCRIBE", "", &["Accept: application/sdp"]).await.status, 200);
    let paths = async |login: &str| {
        let headers = ["X-Forwarded-For: 192.168.2.20", login, "Content-Type: application/json"];
        app.request("POST", "/mediamtx-get-media", &headers, b"{}").await.status
    };
    assert_eq!(paths(&basic("admin", "change-this-too")).await, 200);
    assert_eq!(paths(&basic("user", "wrong")).await, 401);
}
