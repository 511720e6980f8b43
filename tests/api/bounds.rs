//! Work is bounded before it begins: documents that expand, pictures that decode to gigabytes, files that never answer.

use std::process::{Command, Stdio};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{
    FAR, TestApp, basic, flat_picture, picture,
    small_disk::{Mount, Namespaced, code},
};

/// Aliases of aliases: each line has ten times the values of the one before.
fn laughs() -> String {
    (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "))
    })
}

#[tokio::test]
async fn a_document_that_expands_to_gigabytes_is_refused() {
    let app = TestApp::spawn();
    for document in [laughs(), format!("a: {}", "[".repeat(100_000)), format!("a: {}", "{b: ".repeat(100_000))] {
        let answer = app.admin("POST", "/api/v1/mediamtx/check", &document).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid_body"), "{answer:?}");
        assert!(answer.detail().len() < 1000, "{}", answer.detail());
    }
    assert_eq!(app.admin("POST", "/api/v1/mediamtx/check", "paths: {}\n").await.status, 200);
}

/// The address space of the process is the bound: beyond it, Rust ends a process with SIGABRT.
#[test]
fn a_document_that_expands_to_gigabytes_is_refused_within_little_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mediamtx.yml");
    std::fs::write(&file, laughs()).expect("writes");
    for arguments in [vec!["check", "mediamtx.yml"], vec!["--config", "mediamtx.yml", "check"]] {
        // 600 MB, of which the program's own text and libraries take a part.
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 600000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_mtx-sidecar")])
            .args(&arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("is not valid YAML"), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn pictures_that_need_too_much_memory_or_have_no_pixels_are_refused() {
    let app = TestApp::spawn();
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend_from_slice(&[8000_u32.to_be_bytes(), 8000_u32.to_be_bytes()].concat());
    png.extend_from_slice(&[16, 6, 0, 0, 0]);
    for (what, body, expected, says) in [
        ("64 MP with 16 bits", png, (413, "frame_too_large"), "limits.conversion_memory"),
        ("GIF of 128 × 0", b"GIF89a\x80\0\0\0\0\0\0;".to_vec(), (422, "broken_picture"), "128 × 0"),
        ("GIF without a size", b"GIF89a\x80".to_vec(), (422, "broken_picture"), "header"),
    ] {
        let answer = app.put("/api/v1/streams/cam/frame", &body).await;
        assert_eq!((answer.status, answer.problem().as_str()), expected, "{what}: {answer:?}");
        assert!(answer.detail().contains(says), "{what}: {}", answer.detail());
    }
    assert!(app.registry.get("cam").is_none(), "no stream is made");
}

fn content(root: &str, path: &str) -> String {
    format!("/api/v1/media/content/{}", URL_SAFE_NO_PAD.encode(format!("{root}\0{path}")))
}

#[tokio::test]
async fn fifos_and_sockets_of_media_folders_are_refused_by_name_everywhere() {
    let app = TestApp::with("streams: {fifo: {kind: file, path: fifo.jpg}}");
    let media = app.folder().join("media");
    std::fs::create_dir_all(&media).expect("makes");
    mknodat(CWD, media.join("fifo.jpg"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("makes a FIFO");
    let _socket = std::os::unix::net::UnixListener::bind(media.join("socket.jpg")).expect("binds");
    std::fs::write(media.join("real.jpg"), picture(1)).expect("writes");
    for (name, kind) in [("fifo.jpg", "a FIFO"), ("socket.jpg", "a socket")] {
        for address in [
            content("media", name),
            format!("/api/v1/media/thumbnail?path={name}"),
            format!("/api/v1/media/info?path={name}"),
        ] {
            let answer = app.get(&address).await;
            assert_eq!((answer.status, answer.problem().as_str()), (404, "unknown_file"), "{address}: {answer:?}");
            assert!(answer.detail().contains(name) && answer.detail().contains(kind), "{}", answer.detail());
        }
    }
    let snapshot = app.admin("GET", "/snapshot/fifo.jpg", "").await;
    assert_eq!(snapshot.status, 504);
    assert!(snapshot.detail().contains("a FIFO"), "{}", snapshot.detail());
    let listed = app.get("/api/v1/media?path=").await.json();
    assert_eq!(listed["total"], 1, "{listed}");
    // With the range of a part, as ffmpeg and browsers ask for it.
    let whole = app.get(&content("media", "real.jpg")).await;
    assert_eq!((whole.status, &whole.body[..]), (200, &picture(1)[..]));
    for (range, from, to) in
        [("bytes=3-9", 3, 10), ("bytes=5-", 5, picture(1).len()), ("bytes=-4", picture(1).len() - 4, picture(1).len())]
    {
        let part = app.request("GET", &content("media", "real.jpg"), &[&format!("Range: {range}")], b"").await;
        assert_eq!((part.status, &part.body[..]), (206, &picture(1)[from..to]), "{range}");
    }
    let head = app.request("HEAD", &content("media", "real.jpg"), &[], b"").await;
    assert_eq!(head.header("content-length"), Some(picture(1).len().to_string().as_str()));
    assert_eq!(app.request("GET", &content("media", "real.jpg"), &[FAR], b"").await.status, 401);
}

/// A network mount whose server has gone: each call to the system waits without end.
#[tokio::test]
async fn a_mount_that_hangs_costs_its_own_files_and_nothing_else() {
    let streams = "streams: {wall: {kind: file, path: wall.jpg}}";
    let Some(mut program) = Namespaced::new(&Mount::Hung, streams).await else { return };
    program.start().await;
    std::fs::write(program.inside("good/real.jpg"), picture(1)).expect("writes");
    let program = std::sync::Arc::new(program);
    let hung: Vec<_> = (0..60)
        .map(|n| {
            let program = program.clone();
            let address = match n % 3 {
                0 => content("hung", "clip.mp4"),
                1 => "/api/v1/media?root=hung&path=".to_owned(),
                _ => "/snapshot/wall.jpg".to_owned(),
            };
            tokio::spawn(async move { (address.clone(), program.admin("GET", &address, b"").await) })
        })
        .collect();
    let login = br#"{"user":"admin","pass":"secret"}"#;
    let mut png = std::io::Cursor::new(vec![]);
    image::DynamicImage::new_rgb8(64, 48).write_to(&mut png, image::ImageFormat::Png).expect("encodes");
    let (user, png) = (br#"{"pass":"correct horse","role":"user"}"#, png.into_inner());
    // Three rounds while the others wait.
    for n in 0..3 {
        assert_eq!(program.get("/readyz").await.1, "ready\n");
        let json = ["Content-Type: application/json"];
        assert_eq!(program.request("POST", "/api/v1/login", &json, login).await.0, 200);
        assert_eq!(program.admin("PUT", &format!("/api/v1/users/u{n}"), user).await.0, 201);
        for body in [&png, &flat_picture(64, 48, [9, 9, 9])] {
            assert_eq!(program.admin("PUT", "/api/v1/streams/door/frame", body).await.0, 200);
        }
        assert_eq!(program.admin("GET", "/api/v1/media?root=good&path=", b"").await.0, 200);
        assert_eq!(program.admin("GET", &content("good", "real.jpg"), b"").await.0, 200);
    }
    for answer in hung {
        let (address, answer) = answer.await.expect("no panic");
        let expected = if address.starts_with("/snapshot") { "no_picture" } else { "storage_timeout" };
        assert_eq!(code(&answer), (504, expected.into()), "{address}: {answer:?}");
    }
    let header = basic("u2", "correct horse");
    assert_eq!(program.request("GET", "/api/v1/me", &[&header], b"").await.0, 200);
}
