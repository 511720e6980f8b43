use crate::support::TestApp;

#[tokio::test]
async fn the_program_carries_its_pages_inside() {
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
    }
}
