//! Files of recordings in the pages, with the real MediaMTX: lengths, sizes, deleting several at once.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    support::{TestApp, eventually},
    viewer_players::start,
};

/// Waits until the path has some complete files, whose lengths and sizes are known, and gives all files.
async fn complete_files(app: &TestApp) -> Vec<Value> {
    let mut files = vec![];
    eventually("four files are known", async || {
        let found = app.admin("GET", "/api/v1/recordings/tape", "").await.json();
        files = found["segments"].as_array().cloned().unwrap_or_default();
        let known =
            files.iter().filter(|file| file["duration"].as_f64() > Some(0.5) && file["size"].as_u64() > Some(0));
        known.count() >= 4
    })
    .await;
    files
}

fn on_disk(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder.join("tape")).expect("a folder of the path");
    let mut files: Vec<_> = files.map(|entry| entry.expect("lists").path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn files_of_a_recording_have_lengths_and_sizes_and_several_are_deleted_at_once() {
    let Some((app, _mediamtx)) = start(|_| "user: ''".to_owned()).await else { return };
    let recordings = tempfile::tempdir().expect("a folder");
    let raw = json!({"kind": "raw", "fields": {
        "source": format!("rtsp://{}/door?fps=10", app.rtsp), "rtspTransport": "tcp", "record": true,
        "recordPath": format!("{}/%path/%Y-%m-%d_%H-%M-%S-%f", recordings.path().display()),
        "recordSegmentDuration": "2s", "recordPartDuration": "200ms",
    }});
    assert_eq!(app.admin("PUT", "/api/v1/paths/tape", &raw.to_string()).await.status, 201);
    let files = complete_files(&app).await;
    // The sizes are those of the files; the last one is still written to.
    let sizes: Vec<_> = files.iter().map(|file| file["size"].as_u64()).collect();
    for (path, size) in on_disk(recordings.path()).iter().zip(&sizes).take(2) {
        assert_eq!(Some(std::fs::metadata(path).expect("a file").len()), *size, "{}", path.display());
    }
    let listed = app.admin("GET", "/api/v1/recordings", "").await.json();
    assert!(listed["recordings"][0]["size"].as_u64() >= sizes.iter().copied().sum(), "{listed}");

    let browser = Browser::start().await;
    browser.client.goto(&format!("http://{}/viewer/#/recordings", app.addr)).await.expect("loads");
    browser.says(".recording-amounts", "recorded").await;
    browser.says(".recording-amounts", "KiB").await;
    browser.keep_screenshot("recordings-list-desktop").await;

    browser.client.goto(&format!("http://{}/console/#/recordings", app.addr)).await.expect("loads");
    browser.click("main .empty button.primary").await;
    browser.sign_in("admin", app.password.as_deref().expect("made on the first start")).await;
    browser.says(".section-recordings tbody", "KiB").await;
    browser.keep_screenshot("console-recordings-desktop").await;
    browser.click(".section-recordings tbody button").await;
    browser.says("dialog tbody", " s").await;
    browser.says("dialog tbody", "KiB").await;
    // Three are ticked. One of them goes by itself before it is deleted, as when MediaMTX cleans up.
    let starts: Vec<_> = files.iter().take(3).map(|file| file["start"].as_str().expect("a start")).collect();
    let tick = format!(
        "const boxes = [...document.querySelectorAll('dialog tbody input')].filter((box) => {}.includes(box.value));
        boxes.forEach((box) => box.click()); return boxes.length",
        json!(starts)
    );
    assert_eq!(browser.run(&tick).await, 3);
    browser.says("dialog .do-delete", "Delete 3 files").await;
    browser.keep_screenshot("console-recorded-files-desktop").await;
    std::fs::remove_file(&on_disk(recordings.path())[1]).expect("removes");
    browser.click("dialog .do-delete").await;
    browser.click("dialog:last-of-type button.danger:not(.do-delete)").await;
    browser.says("dialog .notice.bad", "2 of 3 files were deleted").await;
    let failed = "return document.querySelectorAll('.failed-files li').length";
    assert_eq!(browser.run(failed).await, 1, "one answer has the file that could not be deleted");
    browser.says(".failed-files li", "The file is no longer there.").await;
    browser.keep_screenshot("console-recorded-files-answer-desktop").await;
    let left = app.admin("GET", "/api/v1/recordings/tape", "").await.json();
    let left = left["segments"].as_array().expect("a list");
    assert!(left.iter().all(|file| !starts.iter().any(|start| file["start"] == *start)), "{left:?}");
    browser.close().await;
}

#[tokio::test]
async fn sizes_that_cannot_be_read_are_left_out_with_a_word() {
    let Some((app, _mediamtx)) = start(|_| "user: ''".to_owned()).await else { return };
    // MediaMTX records below its own working folder, which is not that of the tests.
    let raw = json!({"kind": "raw", "fields": {
        "source": format!("rtsp://{}/door?fps=10", app.rtsp), "rtspTransport": "tcp", "record": true, "recordPartDuration": "200ms",
    }});
    assert_eq!(app.admin("PUT", "/api/v1/paths/tape", &raw.to_string()).await.status, 201);
    let mut found = json!(null);
    eventually("there is a file", async || {
        found = app.admin("GET", "/api/v1/recordings/tape", "").await.json();
        found["segments"][0]["duration"].as_f64().is_some()
    })
    .await;
    assert_eq!(found["segments"][0]["size"], json!(null), "{found}");
    let browser = Browser::phone().await;
    browser.client.goto(&format!("http://{}/console/#/recordings", app.addr)).await.expect("loads");
    browser.click("main .empty button.primary").await;
    browser.sign_in("admin", app.password.as_deref().expect("made on the first start")).await;
    browser.says(".section-recordings", "mediamtx.recordings").await;
    browser.click(".section-recordings tbody button").await;
    browser.says("dialog .hint", "mediamtx.recordings").await;
    browser.keep_screenshot("console-recorded-files-phone").await;
    let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.run(wide).await, 0, "it scrolls sideways");
    browser.close().await;
}
