//! The examples against the running sidecar, as far as a PC can run them.

use std::path::{Path, PathBuf};

use crate::support::{Program, TestApp, eventually, free_port, picture, sized_picture};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compiles a sketch with the replacements of Arduino's libraries in tests/arduino.
async fn compile(sketch: &str, folder: &Path) -> PathBuf {
    let source = root().join("examples/esp32").join(sketch).join(format!("{sketch}.ino"));
    let program = folder.join(sketch);
    let define = format!("-DSKETCH=\"{}\"", source.display());
    let libraries = root().join("tests/arduino");
    let (include, main) = (libraries.to_string_lossy(), libraries.join("run.cpp"));
    let (main, out) = (main.to_string_lossy(), program.to_string_lossy());
    let args = ["-std=c++17", "-Wall", "-Werror", "-I", &include, &define, "-o", &out, &main];
    Program::output("g++", &args).await;
    program
}

fn start(program: &Path, environment: &[(&str, &str)]) -> Program {
    let mut command = tokio::process::Command::new(program);
    command
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true);
    Program(command.spawn().expect("the sketch starts"))
}

#[tokio::test]
async fn the_udp_sketch_works_as_a_udp_camera() {
    let port = free_port();
    let app = TestApp::with(&format!("streams: {{esp: {{kind: udp-camera, address: '127.0.0.10:{port}'}}}}"));
    let jpeg = sized_picture(640, 480, 1);
    let file = app.folder().join("camera.jpg");
    std::fs::write(&file, &jpeg).expect("writes");
    let program = compile("udp_camera", app.folder()).await;
    let environment =
        [("CAMERA_IP", "127.0.0.10"), ("CAMERA_PORT", &port.to_string()), ("CAMERA_PICTURE", &file.to_string_lossy())];
    let _camera = start(&program, &environment);
    let mut reader = app.watch("/stream/esp.mjpeg").await;
    reader.until(&jpeg).await;
}

#[tokio::test]
async fn the_http_sketch_uploads_a_picture() {
    let app = TestApp::with(
        "auth: {users: [{user: any, permissions: [{action: read}]}, {user: cam1, pass: its password, permissions: [{action: publish, path: yard/cam1}]}], generate_admin: no}",
    );
    let file = app.folder().join("camera.jpg");
    std::fs::write(&file, picture(1)).expect("writes");
    let program = compile("http_put", app.folder()).await;
    let url = format!("http://{}/api/v1/streams/yard/cam1/frame", app.addr);
    let _camera = start(&program, &[("SIDECAR_FRAME_URL", &url), ("CAMERA_PICTURE", &file.to_string_lossy())]);
    eventually("its picture is the snapshot", async || app.get("/snapshot/yard/cam1.jpg").await.body == picture(1))
        .await;
}

#[tokio::test]
async fn the_graph_script_pushes_pictures() {
    let app = TestApp::spawn();
    let script = root().join("examples/push/graph.py");
    let url = format!("http://{}", app.addr);
    let mut command = tokio::process::Command::new("/usr/bin/python3");
    command.arg(script).args(["Lab/graph", &url]).env("PICTURES", "2").kill_on_drop(true);
    let output = command.output().await.expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stats = app.stats("Lab/graph").await;
    assert_eq!((stats["frames"].as_u64(), stats["picture"]["width"].as_u64()), (Some(2), Some(800)));
}

#[tokio::test]
async fn the_shell_script_pushes_a_picture_and_a_video() {
    let app = TestApp::spawn();
    let script = root().join("examples/push/push.sh").to_string_lossy().into_owned();
    let url = format!("http://{}", app.addr);
    let file = app.folder().join("one.jpg");
    std::fs::write(&file, picture(1)).expect("writes");
    let video = app.folder().join("video.mp4");
    Program::output(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x120:r=10:d=1",
            "-pix_fmt",
            "yuv420p",
            &video.to_string_lossy(),
        ],
    )
    .await;
    let ours = Path::new(env!("CARGO_BIN_EXE_mtx-sidecar")).parent().expect("a folder").to_string_lossy().into_owned();
    let path = format!("{ours}:{}", std::env::var("PATH").unwrap_or_default());
    for args in
        [vec!["picture", &*file.to_string_lossy(), "sh/one"], vec!["video", &*video.to_string_lossy(), "sh/video"]]
    {
        let mut command = tokio::process::Command::new("sh");
        command
            .arg(&script)
            .args(&args)
            .env("SIDECAR_URL", &url)
            .env("PATH", &path)
            .env("LOOPS", "0")
            .kill_on_drop(true);
        let output = command.output().await.expect("sh runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(app.get("/snapshot/sh/one.jpg").await.body, picture(1));
    assert_eq!(app.stats("sh/video").await["picture"]["width"], 160);
}
