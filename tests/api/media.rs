//! Media folders: listing, uploads, and channels; with the real MediaMTX where there is one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{
    FAR, Program, TestApp, bearer, close_to, eventually, flat_picture,
    mediamtx::{MediaMtx, first_frame},
    middle_colour, sized_picture,
};

pub fn encoded(name: &str) -> String {
    name.bytes().map(|b| format!("%{b:02X}")).collect()
}

async fn put(app: &TestApp, name: &str, data: &[u8]) -> u16 {
    let admin = crate::support::basic("admin", app.password.as_deref().expect("generated"));
    app.request("PUT", &format!("/api/v1/media/file?path={}", encoded(name)), &[&admin], data).await.status
}

fn with_folder(yaml: &str) -> TestApp {
    let folder = std::sync::Arc::new(tempfile::tempdir().expect("a folder"));
    std::fs::create_dir_all(folder.path().join("media/holiday")).expect("makes");
    TestApp::in_folder(folder, yaml)
}

#[tokio::test]
async fn files_are_uploaded_listed_shown_and_deleted() {
    let app = with_folder("limits: {media_size: 1M}");
    assert_eq!(put(&app, "door.jpg", &sized_picture(1920, 1080, 1)).await, 201);
    assert_eq!(put(&app, "door.jpg", b"other").await, 409, "a file is not replaced");
    assert_eq!(put(&app, "../out.jpg", b"x").await, 400);
    assert_eq!(put(&app, "large.bin", &vec![0; 1 << 21]).await, 413);
    assert_eq!(put(&app, "none/x.jpg", b"x").await, 404);
    let anonymous = app.request("PUT", "/api/v1/media/file?path=x.jpg", &[], b"x").await;
    assert_eq!(anonymous.status, 401, "permission to read is not permission to change");
    let listed = app.get("/api/v1/media?root=media").await.json();
    let names: Vec<_> = listed["entries"].as_array().expect("entries").iter().map(|e| e["name"].clone()).collect();
    assert_eq!(names, ["holiday", "door.jpg"], "a refused upload leaves no file");
    assert_eq!(
        app.get("/api/v1/media").await.json()["roots"][0],
        json!({"name": "media", "kind": "local", "available": true, "writable": true})
    );
    let small = app.get("/api/v1/media/thumbnail?path=door.jpg").await;
    assert!(small.status == 200 && small.body.starts_with(&[0xFF, 0xD8]) && small.body.len() < 60_000);
    assert_eq!(app.get("/api/v1/media/thumbnail?path=holiday").await.status, 404);
    // Permission to read is by path, as for streams.
    let token =
        json!({"name": "x", "permissions": [{"action": "read", "path": "~^media/media/holiday"}], "expires": "1h"});
    let token = bearer(app.made("/api/v1/tokens", token).await["token"].as_str().expect("a token"));
    let far = async |path: &str, header: &str| app.request("GET", path, &[FAR, header], b"").await.status;
    assert_eq!(far("/api/v1/media?path=holiday", &token).await, 200);
    for path in [
        "/api/v1/media?path=",
        "/api/v1/media",
        "/api/v1/media/thumbnail?path=door.jpg",
        "/api/v1/media/info?path=door.jpg",
    ] {
        assert_eq!((far(path, &token).await, far(path, "Accept: */*").await), (403, 401), "{path}");
    }
    // The addresses of the original program.
    let listed = app.request("POST", "/mediamtx-get-media", &[], b"").await.json();
    assert_eq!(listed["list"][0]["fname"], "door.jpg");
    assert!(listed["list"][0]["fsize"].as_u64().is_some_and(|size| size > 1000), "{listed}");
    assert_eq!(
        app.request("POST", "/mediamtx-add-media", &[], br#"{"path":"x","fname":"door.jpg"}"#).await.status,
        401
    );
    let added = app.admin("POST", "/mediamtx-add-media", r#"{"path":"hall","fname":"door.jpg"}"#).await;
    assert_eq!((added.status, added.json()), (200, json!({})));
    assert_eq!(app.get("/snapshot/hall.jpg").await.status, 200, "the channel is a stream");
    assert_eq!(app.admin("GET", "/api/v1/paths/hall", "").await.json()["kind"], "stream");
    assert_eq!(app.admin("POST", "/mediamtx-delete-media", r#"{"path":"hall"}"#).await.status, 200);
    assert_eq!(
        (app.get("/snapshot/hall.jpg").await.status, app.admin("GET", "/api/v1/paths/hall", "").await.status),
        (404, 404)
    );
    assert_eq!(app.admin("DELETE", "/api/v1/media/file?path=door.jpg", "").await.status, 204);
    assert_eq!(app.admin("DELETE", "/api/v1/media/file?path=door.jpg", "").await.status, 404);
    for body in [
        "{}",
        r#"{"path":"none.jpg","name":"x"}"#,
        r#"{"path":"../x","name":"x"}"#,
        r#"{"path":"holiday","name":"a b"}"#,
    ] {
        let refused = app.admin("POST", "/api/v1/media/channel", body).await;
        assert!(refused.status / 100 == 4, "{body}: {refused:?}");
    }
}

/// File names that a shell or ffmpeg could take as commands, options, variables or patterns.
#[tokio::test]
async fn files_with_hostile_names_become_channels_of_the_real_mediamtx() {
    let ports = MediaMtx::ports();
    let app = with_folder(&format!("mediamtx: {{api: 'http://127.0.0.1:{}'}}", ports[4]));
    let Some(_mediamtx) = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await else { return };
    let colours: [[u8; 3]; 3] = [[200, 20, 20], [20, 160, 20], [20, 20, 200]];
    let clip = async |colour: [u8; 3], to: &str| {
        let hex: String = colour.iter().map(|c| format!("{c:02x}")).collect();
        let source = format!("color=0x{hex}:s=320x180:r=10:d=2");
        let to = app.folder().join("media").join(to);
        Program::output(
            "ffmpeg",
            &[
                "-v",
                "error",
                "-y",
                "-f",
                "lavfi",
                "-i",
                &source,
                "-c:v",
                "libx264",
                "-bf",
                "0",
                "-g",
                "10",
                "-pix_fmt",
                "yuv420p",
                "-f",
                "mp4",
                &to.to_string_lossy(),
            ],
        )
        .await;
    };
    let files = ["a b';touch x;'.jpg", "-y.mp4", "$HOME %d \"q\" ü.mp4"];
    assert_eq!(put(&app, files[0], &flat_picture(320, 180, colours[0])).await, 201);
    clip(colours[1], files[1]).await;
    clip(colours[2], files[2]).await;
    for (i, file) in files.iter().enumerate() {
        let body = json!({"path": file, "name": format!("channel/{i}")}).to_string();
        let made = app.admin("POST", "/api/v1/media/channel", &body).await;
        assert_eq!(made.status, 201, "{file}: {made:?}");
        assert_eq!(made.json()["copies"], i > 0, "{file}: H.264 without B-frames is passed on");
    }
    let info = app.get(&format!("/api/v1/media/info?path={}", encoded(files[1]))).await.json();
    assert_eq!((info["video"].as_str(), info["fits_webrtc"].as_bool()), (Some("h264"), Some(true)), "{info}");
    let seen = app.folder().join("seen.png");
    for (i, colour) in colours.into_iter().enumerate() {
        eventually("the path is applied", async || {
            app.admin("GET", &format!("/api/v1/paths/channel/{i}"), "").await.json()["state"] == "applied"
        })
        .await;
        let url = format!("rtsp://127.0.0.1:{}/channel/{i}", ports[0]);
        assert!(first_frame(&url, &seen, &[]).await.success(), "{}", files[i]);
        let found = middle_colour(&seen).await;
        assert!(close_to(found, colour), "{}: {found:?} for {colour:?}", files[i]);
    }
    assert!(!app.folder().join("x").exists(), "no part of a name is executed");
}

/// The videos of a folder follow each other in a loop, in different sizes and with any names.
#[tokio::test]
async fn a_folder_of_videos_is_a_channel_of_the_real_mediamtx() {
    let ports = MediaMtx::ports();
    let app = with_folder(&format!("mediamtx: {{api: 'http://127.0.0.1:{}'}}", ports[4]));
    let folder = app.folder().join("media/holiday");
    let colours: [[u8; 3]; 2] = [[200, 20, 20], [20, 20, 200]];
    for (name, size, colour) in [("1 it's.mp4", "320x180", colours[0]), ("2 $x.mp4", "176x144", colours[1])] {
        let hex: String = colour.iter().map(|c| format!("{c:02x}")).collect();
        let source = format!("color=0x{hex}:s={size}:r=10:d=1");
        let to = folder.join(name);
        let to = to.to_string_lossy();
        Program::output(
            "ffmpeg",
            &["-v", "error", "-f", "lavfi", "-i", &source, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-f", "mp4", &to],
        )
        .await;
    }
    let make = async |body: Value| app.admin("POST", "/api/v1/media/channel", &body.to_string()).await;
    assert_eq!(put(&app, "holiday/a.jpg", &flat_picture(320, 180, colours[0])).await, 201);
    let asked = make(json!({"path": "holiday", "name": "tv"})).await;
    assert_eq!((asked.status, asked.json()["field"].as_str()), (422, Some("as")), "{asked:?}");
    let made = make(json!({"path": "holiday", "name": "tv", "as": "playlist"})).await;
    assert_eq!((made.status, made.json()), (201, json!({"name": "tv", "kind": "raw", "copies": false})));
    let Some(_mediamtx) = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await else { return };
    eventually("the path is applied", async || {
        app.admin("GET", "/api/v1/paths/tv", "").await.json()["state"] == "applied"
    })
    .await;
    // Three rounds: after the last video comes the first one.
    let seen = app.folder().join("%03d.png");
    let url = format!("rtsp://127.0.0.1:{}/tv", ports[0]);
    let args = [
        "-v",
        "error",
        "-rtsp_transport",
        "tcp",
        "-i",
        &url,
        "-vf",
        "fps=4",
        "-frames:v",
        "24",
        &seen.to_string_lossy(),
    ];
    Program::output("ffmpeg", &args).await;
    let mut shown = vec![];
    for n in 1..=24 {
        let found = middle_colour(&app.folder().join(format!("{n:03}.png"))).await;
        let which = colours.iter().position(|colour| close_to(found, *colour)).expect("one of the two");
        if shown.last() != Some(&which) {
            shown.push(which);
        }
    }
    assert!(shown.len() >= 4, "the two videos alternate: {shown:?}");
}

/// A page of this server would run with the cookies of the administrator who opens the file.
#[tokio::test]
async fn markup_in_a_media_folder_is_sent_as_a_text_file_and_never_as_a_page() {
    let app = with_folder("");
    let markup = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    for name in ["evil.svg", "evil.html", "evil.xhtml", "evil.xml", "evil.js"] {
        assert_eq!(put(&app, name, markup).await, 201, "{name}");
    }
    assert_eq!(put(&app, "door.jpg", &sized_picture(64, 48, 1)).await, 201);
    for name in ["evil.svg", "evil.html", "evil.xhtml", "evil.xml", "evil.js", "door.jpg"] {
        let id = URL_SAFE_NO_PAD.encode(format!("media\0{name}"));
        let content = app.get(&format!("/api/v1/media/content/{id}")).await;
        assert_eq!(content.status, 200, "{name}");
        assert!(
            content.header("content-security-policy").is_some_and(|policy| policy.starts_with("sandbox;")),
            "{name}"
        );
        assert_eq!(content.header("x-content-type-options"), Some("nosniff"), "{name}");
        let (kind, is_saved) = match name {
            "door.jpg" => ("image/jpeg", false),
            _ => ("text/plain; charset=utf-8", true),
        };
        assert_eq!(content.header("content-type"), Some(kind), "{name}");
        let disposition = content.header("content-disposition").unwrap_or_default();
        assert_eq!(disposition.starts_with("attachment"), is_saved, "{name}: {disposition}");
    }
}

/// Neither HTTP nor RFC 3339 has a form for times before 1970 and after 9999, which files can have.
#[tokio::test]
async fn files_of_any_time_are_listed_and_sent() {
    let app = with_folder("streams: {old: {kind: file, path: old.jpg}}");
    let now = std::time::SystemTime::now();
    let times = [
        ("old.jpg", std::time::UNIX_EPOCH - std::time::Duration::from_secs(86_400)),
        ("far.jpg", std::time::UNIX_EPOCH + std::time::Duration::from_secs(300_000_000_000)),
        ("new.jpg", now),
    ];
    let picture = sized_picture(64, 48, 1);
    for (name, at) in times {
        let path = app.folder().join("media").join(name);
        std::fs::write(&path, &picture).expect("writes");
        let file = std::fs::File::options().write(true).open(&path).expect("opens");
        // Not every file system can keep the time far ahead.
        let _ = file.set_modified(at);
    }
    for (name, _) in times {
        let id = URL_SAFE_NO_PAD.encode(format!("media\0{name}"));
        let content = app.get(&format!("/api/v1/media/content/{id}")).await;
        assert_eq!((content.status, &content.body[..]), (200, &picture[..]), "{name}");
    }
    let listed = app.get("/api/v1/media?root=media").await;
    assert_eq!((listed.status, listed.json()["total"].as_u64()), (200, Some(4)), "{listed:?}");
    let shown = app.get("/snapshot/old.jpg").await;
    assert_eq!((shown.status, &shown.body[..]), (200, &picture[..]));
    assert_eq!(app.admin("GET", "/api/v1/streams", "").await.status, 200);
}
