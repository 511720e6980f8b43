//! What was acknowledged is kept: one server for each data folder, a disk without room, temporary files, modes.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use serde_json::json;

use crate::support::{
    TestApp, basic, eventually, free_port, picture, sized_picture,
    small_disk::{Answer, Mount, Namespaced, code},
};

#[tokio::test]
async fn a_second_server_on_the_data_folder_is_refused_and_names_the_first_one() {
    let app = TestApp::spawn();
    let (port, rtsp) = (free_port(), free_port());
    let second = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"))
        .arg("serve")
        .env("SIDECAR__DATA_DIR", app.folder().join("data"))
        .env("SIDECAR__HTTP__LISTEN", format!("127.0.0.1:{port}"))
        .env("SIDECAR__RTSP__LISTEN", format!("127.0.0.1:{rtsp}"))
        .current_dir(app.folder().join("data"))
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success(), "{said}");
    let holder = format!("data is in use by pid {}", std::process::id());
    assert!(said.contains(&holder) && said.contains("data_dir"), "{said}");
    // Commands that change users work beside the server.
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"));
    command.args(["user", "add", "alice", "--role", "user"]).current_dir(app.folder().join("data"));
    command.env("SIDECAR__DATA_DIR", app.folder().join("data"));
    let mut command = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("runs");
    command.stdin.take().expect("is piped").write_all(b"correct horse\n").expect("writes");
    assert!(command.wait().expect("ends").success());
    eventually("alice can sign in", async || {
        let header = basic("alice", "correct horse");
        app.request("GET", "/api/v1/me", &[&header], b"").await.status == 200
    })
    .await;
    // The lock ends with the server.
    drop(TestApp::in_folder(app.stop(), ""));
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("exists").permissions().mode() & 0o777
}

#[tokio::test]
async fn the_data_folder_is_private_also_if_it_was_not_before() {
    let app = TestApp::spawn();
    app.put("/api/v1/streams/door/frame", &picture(1)).await;
    let data = app.folder().join("data");
    let (frames, file) = (data.join("frames"), data.join("frames/door.jpg"));
    eventually("the picture is written", async || file.exists()).await;
    let folder = app.stop();
    for (path, wide) in [(&data, 0o755), (&frames, 0o755), (&file, 0o644), (&data.join("sidecar.db"), 0o644)] {
        std::fs::set_permissions(path, Permissions::from_mode(wide)).expect("sets");
    }
    let app = TestApp::in_folder(folder, "");
    assert_eq!((mode(&data), mode(&frames)), (0o700, 0o700));
    for entry in std::fs::read_dir(&data).expect("lists").flatten().filter(|entry| entry.path().is_file()) {
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
    }
    assert_eq!(mode(&file), 0o600);
    assert_eq!(app.get("/snapshot/door.jpg").await.body, picture(1));
}

#[tokio::test]
async fn temporary_files_of_a_program_that_was_killed_are_removed_at_the_start() {
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let at = |path: &str| folder.path().join(path);
    for path in ["data/frames", "media/holiday"] {
        std::fs::create_dir_all(at(path)).expect("makes");
    }
    let left = ["data/frames/,1.tmp", "data/frames/,00ff00ff00ff00ff.tmp", "media/holiday/.0123456789abcdef.part"];
    let others = ["data/frames/,note.tmp", "media/holiday/.notes.part", "media/.0123456789abcdef.parts"];
    for path in left.iter().chain(&others) {
        std::fs::write(at(path), "x").expect("writes");
    }
    let app = TestApp::in_folder(folder.clone(), "");
    eventually("they are removed", async || left.iter().all(|path| !at(path).exists())).await;
    assert!(others.iter().all(|path| at(path).exists()), "files of others are left");
    drop(app);
}

#[tokio::test]
async fn with_ack_an_upload_is_answered_when_its_picture_is_on_the_disk() {
    let app = TestApp::with("uploads: {durability: ack}");
    let file = app.folder().join("data/frames/door.jpg");
    for n in 1..=3 {
        assert_eq!(app.put("/api/v1/streams/door/frame", &picture(n)).await.status, 200);
        assert_eq!(std::fs::read(&file).expect("it is there"), picture(n));
    }
    // A folder in the place of the file stands for a disk that refuses the write.
    std::fs::create_dir_all(app.folder().join("data/frames/yard.jpg")).expect("makes");
    let refused = app.put("/api/v1/streams/yard/frame", &picture(1)).await;
    assert_eq!((refused.status, refused.problem().as_str()), (500, "internal"), "{refused:?}");
    assert_eq!(app.get("/snapshot/yard.jpg").await.status, 200, "it is shown nevertheless");
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let text = String::from_utf8_lossy(&ready.body).into_owned();
    assert!(text.contains("degraded: the pictures of 1 streams are not written"), "{text}");
    let metrics = app.admin("GET", "/metrics", "").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.lines().any(|line| line == "mtx_sidecar_upload_unwritten_streams 1.0"), "{metrics}");
    std::fs::remove_dir(app.folder().join("data/frames/yard.jpg")).expect("removes");
    eventually("it is written now", async || app.get("/readyz").await.body == "ready\n").await;
}

/// Writes to a file until its disk has no room for a single byte.
fn fill(path: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("opens");
    for size in [1 << 16, 1 << 12, 1] {
        loop {
            match file.write_all(&vec![0; size]) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::StorageFull => break,
                Err(e) => panic!("{e}"),
            }
        }
    }
}

async fn sign_in(program: &Namespaced, user: &str, pass: &str) -> u16 {
    let body = json!({"user": user, "pass": pass}).to_string();
    program.request("POST", "/api/v1/login", &["Content-Type: application/json"], body.as_bytes()).await.0
}

/// MediaMTX's question.
async fn question(program: &Namespaced, user: &str, pass: &str) -> u16 {
    let body = json!({
        "user": user, "password": pass, "ip": "127.0.0.1", "action": "read", "path": "door", "protocol": "rtsp", "query": "", "id": "x",
    });
    program.request("POST", "/mediamtx-auth", &[], body.to_string().as_bytes()).await.0
}

async fn upload(program: &Namespaced, name: &str, data: &[u8]) -> Answer {
    program.admin("PUT", &format!("/api/v1/streams/{name}/frame"), data).await
}

fn is_full() -> (u16, String) {
    (507, "storage_full".into())
}

const ALICE: (&str, &str) = ("alice", "correct horse");

#[tokio::test]
async fn on_a_full_disk_reads_sign_ins_and_the_question_go_on_also_after_a_restart() {
    let Some(mut program) = Namespaced::new(&Mount::Disk("2m"), "").await else { return };
    program.start().await;
    let user = br#"{"pass":"correct horse","role":"user"}"#;
    assert_eq!(program.admin("PUT", "/api/v1/users/alice", user).await.0, 201);
    assert_eq!(upload(&program, "door", &picture(1)).await.0, 200);
    let kept = program.inside("data/frames/door.jpg");
    eventually("the picture is kept", async || kept.exists()).await;

    fill(&program.inside("data/filler"));
    let goes_on = async |program: &Namespaced| {
        assert_eq!(program.admin("GET", "/snapshot/door.jpg", b"").await.0, 200);
        assert_eq!(sign_in(program, ALICE.0, ALICE.1).await, 200);
        assert_eq!(sign_in(program, ALICE.0, "wrong").await, 401);
        assert!(matches!(question(program, ALICE.0, ALICE.1).await, 200 | 204));
        assert_eq!(question(program, ALICE.0, "wrong").await, 401);
        assert_eq!(code(&program.admin("PUT", "/api/v1/users/bob", user).await), is_full());
        let definition = program.admin("PUT", "/api/v1/streams/card", br#"{"kind":"test-card"}"#).await;
        assert_eq!(code(&definition), is_full());
        assert_eq!(program.admin("GET", "/api/v1/streams/card", b"").await.0, 404, "a refused definition is not live");
    };
    goes_on(&program).await;
    // A large picture is shown, is not kept, and leaves nothing that keeps the disk full.
    let large = sized_picture(1600, 1200, 1);
    assert_eq!(upload(&program, "yard", &large).await.0, 200);
    eventually("the fault is told", async || {
        let (status, text) = program.get("/readyz").await;
        status == 200
            && text.contains("degraded: the pictures of 1 streams are not written")
            && text.contains("no room")
    })
    .await;
    let frames = std::fs::read_dir(program.inside("data/frames")).expect("lists").flatten();
    let names: Vec<_> = frames.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().all(|name| !name.ends_with(".tmp")), "{names:?}");

    // After `kill -9`, and after an end in order, after which SQLite makes its shared memory anew.
    program.kill().await;
    fill(&program.inside("data/filler"));
    program.start().await;
    goes_on(&program).await;
    program.stop().await;
    fill(&program.inside("data/filler"));
    program.start().await;
    goes_on(&program).await;

    std::fs::remove_file(program.inside("data/filler")).expect("removes");
    eventually("changes are taken again", async || program.admin("PUT", "/api/v1/users/bob", user).await.0 / 100 == 2)
        .await;
    program.kill().await;
    program.start().await;
    assert_eq!(sign_in(&program, "bob", "correct horse").await, 200);
    assert_eq!(program.get("/readyz").await.1, "ready\n");
}

#[tokio::test]
async fn a_picture_that_was_not_kept_is_written_when_the_disk_has_room() {
    let Some(mut program) = Namespaced::new(&Mount::Disk("2m"), "uploads: {durability: ack}").await else { return };
    program.start().await;
    let filler = program.inside("data/filler");
    fill(&filler);
    assert_eq!(code(&upload(&program, "door", &sized_picture(640, 480, 1)).await), is_full());
    assert_eq!(program.admin("GET", "/snapshot/door.jpg", b"").await.0, 200, "it is shown nevertheless");
    std::fs::remove_file(filler).expect("removes");
    let kept = program.inside("data/frames/door.jpg");
    eventually("it is kept", async || std::fs::read(&kept).is_ok_and(|data| data == sized_picture(640, 480, 1))).await;
    assert_eq!(upload(&program, "door", &picture(2)).await.0, 200);
    assert_eq!(std::fs::read(&kept).expect("it is there"), picture(2));
}

#[tokio::test]
async fn a_first_start_on_a_full_disk_serves_what_the_file_says_and_keeps_nothing() {
    let Some(mut program) = Namespaced::new(&Mount::Disk("256k"), "").await else { return };
    fill(&program.inside("data/filler"));
    program.start().await;
    assert!(matches!(question(&program, "admin", "secret").await, 200 | 204));
    assert_eq!(question(&program, "admin", "wrong").await, 401);
    assert_eq!(sign_in(&program, "admin", "secret").await, 200);
    assert_eq!(upload(&program, "door", &picture(1)).await.0, 200);
    assert_eq!(program.admin("GET", "/snapshot/door.jpg", b"").await.0, 200);
    let user = br#"{"pass":"correct horse","role":"user"}"#;
    assert_eq!(code(&program.admin("PUT", "/api/v1/users/bob", user).await), is_full());
    let (status, text) = program.get("/readyz").await;
    assert!(status == 200 && text.contains("degraded: the disk had no room for the database"), "{text}");

    std::fs::remove_file(program.inside("data/filler")).expect("removes");
    program.kill().await;
    program.start().await;
    assert_eq!(program.admin("PUT", "/api/v1/users/bob", user).await.0, 201);
}

/// A definition that does not take effect would do so at the next start.
#[tokio::test]
async fn a_definition_that_is_refused_is_not_stored() {
    let app = TestApp::with("limits: {streams: 1}");
    let card = r#"{"kind":"test-card","width":64,"height":48}"#;
    assert_eq!(app.admin("PUT", "/api/v1/streams/one", card).await.status, 201);
    let refused = app.admin("PUT", "/api/v1/streams/two", card).await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "too_many_streams"), "{refused:?}");
    let app = TestApp::in_folder(app.stop(), "");
    assert!(app.registry.get("one").is_some() && app.registry.get("two").is_none());
}

#[test]
fn an_empty_database_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a folder");
    File::create(folder.path().join("sidecar.db")).expect("makes");
    let run = Command::new(env!("CARGO_BIN_EXE_mtx-sidecar"))
        .arg("serve")
        .env("SIDECAR__DATA_DIR", folder.path())
        .env("SIDECAR__HTTP__LISTEN", "127.0.0.1:0")
        .env("SIDECAR__RTSP__LISTEN", "127.0.0.1:0")
        .current_dir(folder.path())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && said.contains("sidecar.db is empty"), "{said}");
    assert!(said.contains("Restore a backup") && said.contains("move the file away"), "{said}");
}
