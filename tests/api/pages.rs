use crate::support::TestApp;

#[tokio::test]
async fn pages_are_built_into_the_program_and_a_folder_replaces_them() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("index.html"), "<title>mine</title>").expect("writes");
    std::fs::write(folder.path().join("app.js"), "1").expect("writes");
    for (yaml, title) in [
        (String::new(), "<title>mtx-sidecar</title>"),
        (format!("http: {{static_dir: '{}'}}", folder.path().display()), "<title>mine</title>"),
    ] {
        let app = TestApp::with(&yaml);
        let page = app.get("/").await;
        assert_eq!(page.status, 200);
        assert!(String::from_utf8_lossy(&page.body).contains(title), "{page:?}");
        assert!(page.header("content-type").is_some_and(|t| t.starts_with("text/html")), "{page:?}");
        assert_eq!(app.get("/../Cargo.toml").await.status, 404);
        assert_eq!(app.get("/%2e%2e/Cargo.toml").await.status / 100, 4);
        assert_eq!(app.get("/nothing.js").await.status, 404);
        for (alias, page) in [("/mediamtx_viewer/?x=1", "../viewer/?x=1"), ("/mediamtx_console", "console/")] {
            let moved = app.get(alias).await;
            assert_eq!((moved.status, moved.header("location")), (308, Some(page)), "{alias}");
        }
    }
}

#[tokio::test]
async fn players_have_a_stable_address_for_pages_of_other_sites() {
    let app = TestApp::spawn();
    let player = app.get("/players/websocket.js").await;
    assert_eq!((player.status, player.header("cache-control")), (200, Some("no-cache")));
    assert!(player.header("content-type").is_some_and(|kind| kind.starts_with("text/javascript")), "{player:?}");
    assert!(String::from_utf8_lossy(&player.body).contains("export class WebSocketPlayer"));
    assert_eq!(app.get("/players/none.js").await.status, 404);
}

/// The URL of the style sheet, which contains the version.
async fn style_sheet(app: &TestApp) -> String {
    let page = app.get("/").await;
    assert_eq!(page.header("cache-control"), Some("no-cache"), "a page is requested each time");
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let link = text.split("href=\"").find(|rest| rest.starts_with("static/") && rest.contains("style.css"));
    format!("/{}", link.and_then(|rest| rest.split('"').next()).expect("a style sheet"))
}

#[tokio::test]
async fn files_of_pages_are_compressed_at_build_time_and_cached_without_end() {
    let app = TestApp::spawn();
    let path = style_sheet(&app).await;
    assert!(!path.contains("/dev/"), "{path}");
    let plain = app.get(&path).await;
    assert_eq!(plain.header("content-encoding"), None);
    assert!(plain.header("content-type").is_some_and(|kind| kind.starts_with("text/css")), "{plain:?}");
    let mut tags = vec![plain.header("etag").map(str::to_owned)];
    for (accepts, encoding) in [
        ("br", Some("br")),
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip, deflate", Some("gzip")),
        ("br;q=0, gzip", Some("gzip")),
        ("identity", None),
        ("zstd", None),
    ] {
        let answer = app.request("GET", &path, &[&format!("Accept-Encoding: {accepts}")], b"").await;
        assert_eq!(answer.header("content-encoding"), encoding, "{accepts}");
        assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        assert!(encoding.is_none() || answer.body.len() * 2 < plain.body.len(), "{accepts}: {}", answer.body.len());
        let tag = answer.header("etag").expect("a tag").to_owned();
        let known = [&*format!("Accept-Encoding: {accepts}"), &*format!("If-None-Match: {tag}")];
        let again = app.request("GET", &path, &known, b"").await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{accepts}");
        tags.push(Some(tag));
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "each encoding has another tag: {tags:?}");
    // A page that was opened before an update.
    let version = path.split('/').nth(2).expect("a version");
    let old = app.get(&path.replace(version, "0000000000000000")).await;
    assert_eq!((old.status, old.header("cache-control")), (200, Some("no-store")));
    assert_eq!(app.get(&format!("/static/{version}/../Cargo.toml")).await.status, 404);
    assert_eq!(app.put(&path, b"x").await.status, 405);
}

#[tokio::test]
async fn browsers_get_the_addresses_of_mediamtx_and_can_connect_to_them() {
    let usual = TestApp::spawn();
    let addresses = usual.request("GET", "/api/v1/addresses", &["Host: camera-pi:9995"], b"").await.json();
    assert_eq!(addresses["webrtc"], "http://camera-pi:8889");
    assert_eq!((&addresses["hls"], &addresses["path_prefix"]), (&"http://camera-pi:8888".into(), &"pictures".into()));
    let policy = async |app: &TestApp, host: &str| {
        let page = app.request("GET", "/viewer/", &[&format!("Host: {host}")], b"").await;
        page.header("content-security-policy").unwrap_or_default().to_owned()
    };
    let found = policy(&usual, "camera-pi:9995").await;
    assert!(found.contains("connect-src 'self' http://camera-pi:8888 http://camera-pi:8889"), "{found}");
    let evil = policy(&usual, "x;script-src").await;
    assert!(!evil.contains("script-src"), "a host must be a name: {evil}");
    let set = TestApp::with(
        "mediamtx: {webrtc_url: 'https://home.example/webrtc', hls_url: 'https://home.example/hls', playback_url: 'https://home.example/playback', path_prefix: ''}",
    );
    let addresses = set.get("/api/v1/addresses").await.json();
    assert_eq!(addresses["webrtc"], "https://home.example/webrtc");
    let found = policy(&set, "camera-pi").await;
    assert!(found.contains("connect-src 'self' https://home.example; "), "{found}");
    assert!(!found.contains("unsafe"), "{found}");
}

#[tokio::test]
async fn pages_preload_all_modules_that_they_import() {
    let app = TestApp::spawn();
    for page in ["/", "/viewer/"] {
        let text = String::from_utf8_lossy(&app.get(page).await.body).into_owned();
        let links: Vec<_> =
            text.split("rel=\"modulepreload\" href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(links.len() > 5, "{page}: {links:?}");
        assert!(links.iter().any(|link| link.ends_with("/lib/dom.js")), "modules that modules import: {links:?}");
        for link in links {
            let answer = app.get(&format!("/{}", link.trim_start_matches("../"))).await;
            let kept = answer.header("cache-control").is_some_and(|value| value.contains("immutable"));
            assert!(answer.status == 200 && kept, "{page} names {link}");
        }
    }
}
