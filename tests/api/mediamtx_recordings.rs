//! Recordings of the real MediaMTX: lists, playback, the timeline of a day, deletion.

use serde_json::json;

use crate::support::{FAR, Program, TestApp, eventually, flat_picture, mediamtx::MediaMtx};

#[tokio::test]
async fn recordings_are_listed_played_and_deleted() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "mediamtx: {{api: 'http://127.0.0.1:{}', playback: 'http://127.0.0.1:{}'}}",
        ports[4], ports[5]
    ));
    let Some(_mediamtx) = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await else { return };
    app.put("/api/v1/streams/door/frame", &flat_picture(320, 180, [9, 99, 200])).await;
    // The path of the original program. It is always pulled, because MediaMTX records only what is pulled.
    let raw = json!({"kind": "raw", "fields": {
        "source": format!("rtsp://{}/door?fps=10", app.rtsp), "rtspTransport": "tcp", "record": true, "recordSegmentDuration": "2s", "recordPartDuration": "200ms",
    }});
    assert_eq!(app.admin("PUT", "/api/v1/paths/recording", &raw.to_string()).await.status, 201);
    let mut found = json!(null);
    eventually("there are three segments and a range to play", async || {
        found = app.admin("GET", "/api/v1/recordings/recording", "").await.json();
        let count = |key: &str| found[key].as_array().map_or(0, Vec::len);
        count("segments") >= 3 && count("ranges") >= 1
    })
    .await;
    let listed = app.admin("GET", "/api/v1/recordings", "").await.json();
    assert_eq!(listed["recordings"][0]["path"], "recording", "{listed}");
    // The URL is for a browser, which sends no header: it contains the token.
    let url = found["ranges"][0]["url"].as_str().expect("an address");
    assert!(url.starts_with(&format!("http://127.0.0.1:{}/get?path=recording&start=", ports[5])), "{url}");
    let file = app.folder().join("played.mp4");
    // The file comes from our own address, with a name, and the token in the address is enough.
    let download = found["ranges"][0]["download_url"].as_str().expect("an address");
    let (_, target) = download.split_once(&app.addr.to_string()).expect("our own address");
    let head = app.folder().join("head.txt").to_string_lossy().into_owned();
    Program::output("curl", &["-sS", "--fail", "-D", &head, "-o", &file.to_string_lossy(), download]).await;
    let head = std::fs::read_to_string(&head).expect("headers").to_ascii_lowercase();
    assert!(head.contains("content-disposition: attachment; filename=\"recording_20"), "{head}");
    assert!(head.contains("content-type: video/mp4"), "{head}");
    assert_eq!(app.request("GET", target, &[FAR], b"").await.status, 200, "for another machine, too");
    let other = target.replace("/recording/download", "/elsewhere/download");
    assert_eq!(app.request("GET", &other, &[FAR], b"").await.status, 403, "and for no other path");
    let plain = target.split_once("&token").expect("a token").0;
    assert_eq!(app.request("GET", plain, &[FAR], b"").await.status, 401);
    let base = "/api/v1/recordings/recording/download";
    for (query, status) in [("?start=yesterday&duration=1", 400), ("?start=2001-01-01T00:00:00Z&duration=-1", 400)] {
        assert_eq!(app.admin("GET", &format!("{base}{query}"), "").await.status, status, "{query}");
    }
    assert_eq!(app.admin("GET", &format!("{base}?start=2001-01-01T00:00:00Z&duration=1"), "").await.status, 404);
    let seen = Program::output(
        "ffprobe",
        &["-v", "error", "-show_entries", "stream=codec_name,width", "-of", "csv", &file.to_string_lossy()],
    )
    .await;
    assert!(String::from_utf8_lossy(&seen).contains("h264,320"), "{}", String::from_utf8_lossy(&seen));

    let start = found["segments"][0]["start"].as_str().expect("a start").to_owned();
    let (day, offset) = (&start[..10], if start.ends_with('Z') { "Z" } else { &start[start.len() - 6..] });
    let target = format!("/api/v1/recordings/recording/timeline?day={day}&offset={}", offset.replace('+', "%2B"));
    let timeline = app.admin("GET", &target, "").await.json();
    assert!(timeline["recorded"].as_f64().is_some_and(|seconds| seconds > 2.0), "{timeline}");

    let original = app.admin("POST", "/mediamtx-get-recording", "").await.json();
    assert!(original["list"][0]["url_view"].as_str().is_some_and(|u| u.contains("/get?path=recording")), "{original}");
    for (method, path) in
        [("GET", "/api/v1/recordings"), ("GET", "/api/v1/recordings/recording"), ("POST", "/mediamtx-get-recording")]
    {
        assert_eq!(app.request(method, path, &[FAR], b"").await.status, 401, "{method} {path}");
    }
    let delete = |start: &str| format!("/api/v1/recordings/recording?start={}", start.replace('+', "%2B"));
    assert_eq!(
        app.request("DELETE", &delete(&start), &[], b"").await.status,
        401,
        "permission to read is not permission to delete"
    );
    assert_eq!(app.admin("DELETE", &delete("2001-01-01T00:00:00Z"), "").await.status, 404);
    assert_eq!(app.admin("DELETE", &delete("yesterday"), "").await.status, 400);
    let deleted = app.admin("DELETE", &delete(&start), "").await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    let after = app.admin("GET", "/api/v1/recordings/recording", "").await.json();
    assert!(
        after["segments"].as_array().is_some_and(|s| !s.is_empty() && s.iter().all(|s| s["start"] != start.as_str())),
        "{after}"
    );
}
