//! Managed paths at the real MediaMTX: they are created, and restored after a restart and a reload.

use serde_json::{Value, json};

use crate::support::{
    TestApp, eventually, flat_picture,
    mediamtx::{MediaMtx, first_frame},
};

async fn put(app: &TestApp, name: &str, body: Value) -> Value {
    let response = app.admin("PUT", &format!("/api/v1/paths/{name}"), &body.to_string()).await;
    assert!(matches!(response.status, 200 | 201), "{response:?}");
    response.json()
}

async fn state(app: &TestApp, name: &str) -> String {
    let status = app.admin("GET", &format!("/api/v1/paths/{name}"), "").await.json();
    status["state"].as_str().unwrap_or_default().to_owned()
}

async fn becomes(app: &TestApp, name: &str, wanted: &str) {
    eventually(&format!("{name} is {wanted}"), async || state(app, name).await == wanted).await;
}

#[tokio::test]
async fn managed_paths_are_restored_after_a_restart_and_after_a_reload() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!("mediamtx: {{api: 'http://127.0.0.1:{}'}}", ports[4]));
    let text = mtx_sidecar::settings::MEDIAMTX_YML;
    let Some(mediamtx) = MediaMtx::start_with(&app, text, &ports).await else { return };
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [9, 99, 200])).await;
    put(&app, "kept/door", json!({"kind": "stream", "stream": "door"})).await;
    put(&app, "imagefile", json!({"kind": "camera", "url": "rtsp://127.0.0.1:1/x"})).await;
    put(&app, "wrong", json!({"kind": "raw", "fields": {"sourc": "x"}})).await;
    becomes(&app, "kept/door", "applied").await;
    // The shipped file has a path of this name.
    becomes(&app, "imagefile", "conflict").await;
    becomes(&app, "wrong", "refused").await;
    let path = app.admin("GET", "/api/v1/paths/wrong", "").await.json();
    assert!(path["error"].as_str().is_some_and(|e| e.contains("sourc")), "{path}");
    let reads = async || {
        let url = format!("rtsp://127.0.0.1:{}/kept/door", ports[0]);
        first_frame(&url, &app.folder().join("seen.png"), &[]).await.success()
    };
    assert!(reads().await);

    // MediaMTX reloads its file and loses the paths that were created by API.
    let file = app.folder().join("mediamtx.yml");
    let new = app.folder().join("new.yml");
    std::fs::write(&new, format!("{}\n  another: {{}}\n", std::fs::read_to_string(&file).expect("reads")))
        .expect("writes");
    std::fs::rename(new, &file).expect("replaces");
    eventually("the path is in the list of MediaMTX again", async || {
        let listed = app.request("POST", "/mediamtx-get-path", &[], b"").await;
        listed.status == 200
            && listed.json()["list"].as_array().is_some_and(|list| {
                let has = |name: &str| list.iter().any(|path| path["name"] == name);
                has("another") && has("kept/door")
            })
    })
    .await;
    becomes(&app, "kept/door", "applied").await;

    drop(mediamtx);
    eventually("MediaMTX is not reachable", async || {
        app.admin("GET", "/api/v1/paths", "").await.json()["mediamtx"]["reachable"] == false
    })
    .await;
    let _again = MediaMtx::start_with(&app, text, &ports).await.expect("it has been started before");
    eventually("the path can be read again", async || reads().await).await;
    assert_eq!(app.admin("DELETE", "/api/v1/paths/kept%2Fdoor", "").await.status, 204);
    eventually("the path is removed", async || !reads().await).await;
}
