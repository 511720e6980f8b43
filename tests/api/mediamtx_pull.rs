//! Paths of the real MediaMTX as pictures: ffmpeg publishes the formats that cameras have.

use std::path::{Path, PathBuf};

use crate::{
    rtsp_camera::figure,
    support::{Program, TestApp, basic, eventually, flat_picture, mediamtx::MediaMtx},
};

/// Every path can be published; the paths below `pictures` are pulled from the sidecar, as in the shipped configuration.
const CONFIG: &str = "
authMethod: http
authHTTPAddress: http://127.0.0.1:9995/mediamtx-auth
api: yes
moq: no
paths:
  '~^pictures/(.+)$': {source: 'rtsp://127.0.0.1:9554/$G1', rtspTransport: tcp, sourceOnDemand: yes}
  recipe: {runOnDemand: 'ffmpeg -i http://127.0.0.1:9995/mjpeg-get?name=$MTX_PATH&type=file -f rtsp rtsp://127.0.0.1:$RTSP_PORT/$MTX_PATH'}
  all_others:
";

/// A sidecar with these settings, and a MediaMTX, each with the address of the other.
async fn pair(settings: &str) -> Option<(TestApp, MediaMtx)> {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "mediamtx: {{api: 'http://127.0.0.1:{}', rtsp: 'rtsp://127.0.0.1:{}'}}\n{settings}",
        ports[4], ports[0]
    ));
    let mediamtx = MediaMtx::start_with(&app, CONFIG, &ports).await?;
    Some((app, mediamtx))
}

/// Colour bars as a PNG.
async fn bars(folder: &Path, size: &str) -> PathBuf {
    let file = folder.join(format!("bars-{size}.png"));
    let source = format!("smptehdbars=s={size}");
    Program::output(
        "ffmpeg",
        &["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-frames:v", "1", &file.to_string_lossy()],
    )
    .await;
    file
}

/// Publishes a still with these filters and options until it is dropped.
async fn publish(
    (app, mediamtx): (&TestApp, &MediaMtx),
    path: &str,
    png: &Path,
    rate: &str,
    filter: &str,
    options: &str,
) -> Program {
    let url = format!("rtsp://127.0.0.1:{}/{path}", mediamtx.rtsp);
    let png = png.to_string_lossy();
    let mut args = vec!["-v", "error", "-re", "-loop", "1", "-r", rate, "-i", &png, "-vf", filter];
    args.extend(options.split(' '));
    args.extend(["-f", "rtsp", "-rtsp_transport", "tcp", &url]);
    let publisher = Program::start("ffmpeg", &args);
    eventually("the path is available", async || mediamtx.is_available(app, path).await).await;
    publisher
}

/// The peak signal-to-noise ratio of two pictures in dB, over red, green and blue.
async fn psnr(a: &Path, b: &Path) -> f64 {
    let graph = "[0]format=gbrp[a];[1]format=gbrp[b];[a][b]psnr";
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(["-v", "info", "-i"]).arg(a).arg("-i").arg(b).args(["-lavfi", graph, "-f", "null", "-"]);
    let output = command.stdin(std::process::Stdio::null()).output().await.expect("ffmpeg runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let average = text.split("average:").nth(1).and_then(|rest| rest.split_whitespace().next());
    average.unwrap_or_else(|| panic!("no PSNR in {text}")).parse().expect("a number")
}

#[tokio::test]
async fn every_video_format_is_shown_in_its_colours() {
    let Some((app, mediamtx)) = pair("output: {snapshot_timeout: 8s}\nstream_defaults: {start_timeout: 8s}").await
    else {
        return;
    };
    let (small, large) = (bars(app.folder(), "640x360").await, bars(app.folder(), "1280x720").await);
    let x264 = "-c:v libx264 -preset ultrafast -crf 12 -g 12";
    let bt601 = "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p";
    let bt709 = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p";
    let full = "scale=out_color_matrix=bt601:out_range=pc,format=yuvj420p";
    for (path, png, filter, options, by_ffmpeg) in [
        ("baseline", &small, bt601, format!("{x264} -bf 0 -profile:v baseline"), false),
        ("high", &small, bt601, format!("{x264} -preset veryfast -bf 0 -profile:v high"), false),
        ("b-frames", &small, bt601, format!("{x264} -preset veryfast -bf 2 -profile:v high"), false),
        ("full-range", &small, full, format!("{x264} -bf 0 -color_range pc"), false),
        ("hd", &large, bt709, format!("{x264} -bf 0"), false),
        ("hd-said", &large, bt601, format!("{x264} -bf 0 -colorspace smpte170m"), false),
        ("small-709", &small, bt709, format!("{x264} -bf 0 -colorspace bt709"), false),
        (
            "ten-bits",
            &small,
            "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p10le",
            format!("{x264} -bf 0 -profile:v high10"),
            true,
        ),
        ("interlaced", &small, bt601, format!("{x264} -bf 0 -flags +ildct+ilme -x264opts tff=1"), true),
        (
            "h265",
            &small,
            bt601,
            "-c:v libx265 -preset ultrafast -x265-params keyint=12:log-level=none:crf=12".into(),
            true,
        ),
        ("mjpeg", &small, full, "-c:v mjpeg -q:v 2 -huffman default -force_duplicated_matrix 1".into(), false),
    ] {
        let _publisher = publish((&app, &mediamtx), path, png, "12", filter, &options).await;
        let before = figure(&app, "camera_ffmpegs").await;
        let snapshot = app.get(&format!("/snapshot/{path}.jpg")).await;
        assert_eq!(snapshot.status, 200, "{path}: {snapshot:?}");
        let seen = app.folder().join(format!("{path}.jpg"));
        std::fs::write(&seen, &snapshot.body).expect("writes");
        let likeness = psnr(&seen, png).await;
        // A wrong matrix gives 27 dB at most, a wrong range 26 dB.
        assert!(likeness > 32.0, "{path}: {likeness} dB");
        assert_eq!(figure(&app, "camera_ffmpegs").await > before, by_ffmpeg, "{path}");
        // And as a moving stream.
        let mut watcher = app.watch(&format!("/stream/{path}.mjpeg")).await;
        let mut last = vec![];
        for _ in 0..12 {
            last = watcher.part().await.data.to_vec();
        }
        std::fs::write(&seen, &last).expect("writes");
        let likeness = psnr(&seen, png).await;
        assert!(likeness > 32.0, "{path}: {likeness} dB in motion");
    }
}

/// ffmpeg takes over from openh264 at a keyframe, with the same colours, also of video with reordered pictures.
#[tokio::test]
async fn a_camera_that_is_watched_for_longer_is_decoded_by_ffmpeg() {
    let Some((app, mediamtx)) = pair("stream_defaults: {start_timeout: 8s}").await else { return };
    let png = bars(app.folder(), "640x360").await;
    let limited = "scale=out_color_matrix=bt601:out_range=tv,format=yuv420p";
    let full = "scale=out_color_matrix=bt601:out_range=pc,format=yuvj420p";
    for (path, filter, options) in
        [("plain", limited, "-bf 0"), ("b-frames", limited, "-bf 2"), ("full-range", full, "-bf 0 -color_range pc")]
    {
        let options = format!("-c:v libx264 -preset veryfast -crf 12 -g 12 {options}");
        let _publisher = publish((&app, &mediamtx), path, &png, "12", filter, &options).await;
        let before = figure(&app, "camera_ffmpegs").await;
        let mut watcher = app.watch(&format!("/stream/{path}.mjpeg")).await;
        eventually("ffmpeg is started", async || {
            watcher.part().await;
            figure(&app, "camera_ffmpegs").await == before + 1.0
        })
        .await;
        // More than the rest of a group of pictures.
        let mut last = vec![];
        for _ in 0..24 {
            last = watcher.part().await.data.to_vec();
        }
        let seen = app.folder().join(format!("{path}.jpg"));
        std::fs::write(&seen, &last).expect("writes");
        let likeness = psnr(&seen, &png).await;
        assert!(likeness > 32.0, "{path}: {likeness} dB");
        let small = app.get(&format!("/snapshot/{path}.jpg?w=320")).await;
        assert_eq!(small.status, 200, "{path}: {small:?}");
        assert_eq!(figure(&app, "camera_ffmpegs").await, before + 1.0, "{path}: one process");
    }
    // Without it, openh264 does.
    let (settings, rtsp) = ("rtsp_cameras: {decoder: openh264}", mediamtx.rtsp);
    let other =
        TestApp::with(&format!("{settings}\nstreams: {{cam: {{kind: rtsp, url: 'rtsp://127.0.0.1:{rtsp}/plain'}}}}"));
    let _publisher = publish((&app, &mediamtx), "plain", &png, "12", limited, "-c:v libx264 -g 12 -bf 0").await;
    let mut watcher = other.watch("/stream/cam.mjpeg").await;
    for _ in 0..36 {
        watcher.part().await;
    }
    assert_eq!(figure(&other, "camera_ffmpegs").await, 0.0);
}

/// An ffmpeg that ends as soon as it gets video.
#[tokio::test]
async fn openh264_goes_on_if_ffmpeg_fails() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("ffmpeg");
    std::fs::write(&script, "#!/bin/sh\nhead -c 1 > /dev/null\nexit 1\n").expect("writes");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("its own file");
    let Some((app, mediamtx)) = pair(&format!("rtsp_cameras: {{ffmpeg: '{}'}}", script.display())).await else {
        return;
    };
    let png = bars(app.folder(), "320x180").await;
    let _publisher = publish((&app, &mediamtx), "cam", &png, "12", "format=yuv420p", "-c:v libx264 -g 12 -bf 0").await;
    let mut watcher = app.watch("/stream/cam.mjpeg").await;
    eventually("ffmpeg is started", async || {
        watcher.part().await;
        figure(&app, "camera_ffmpegs").await == 1.0
    })
    .await;
    for _ in 0..36 {
        watcher.part().await;
    }
    assert_eq!(figure(&app, "camera_ffmpegs").await, 1.0, "it is not tried again");
    assert_eq!(app.stats("cam").await["state"], "live");
}

/// MPEG-4 Part 2, which some old cameras send.
#[tokio::test]
async fn a_codec_that_only_ffmpeg_knows_is_read_by_ffmpeg() {
    let Some((app, mediamtx)) = pair("output: {snapshot_timeout: 20s}\nstream_defaults: {start_timeout: 20s}").await
    else {
        return;
    };
    let png = bars(app.folder(), "640x360").await;
    let options = "-c:v mpeg4 -q:v 2 -g 12";
    let _publisher = publish((&app, &mediamtx), "mpeg4", &png, "12", "format=yuv420p", options).await;
    let snapshot = app.get("/snapshot/mpeg4.jpg").await;
    assert_eq!(snapshot.status, 200, "{snapshot:?}");
    assert_eq!(figure(&app, "camera_ffmpegs").await, 1.0);
}

#[tokio::test]
async fn a_path_is_a_stream_while_it_has_watchers() {
    let Some((app, mediamtx)) = pair("").await else { return };
    let png = bars(app.folder(), "320x180").await;
    let options = "-c:v libx264 -preset ultrafast -bf 0 -g 10";
    let _publisher = publish((&app, &mediamtx), "yard/gate", &png, "10", "format=yuv420p", options).await;
    // Snapshots decode keyframes only, and all of them share one session.
    for _ in 0..5 {
        let answers = futures_util::future::join_all((0..4).map(|_| app.get("/snapshot/yard/gate.jpg"))).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    }
    let stats = app.stats("yard/gate").await;
    assert_eq!((stats["kind"].as_str(), stats["origin"].as_str()), (Some("rtsp"), Some("mediamtx")));
    assert_eq!((figure(&app, "camera_connections").await, figure(&app, "camera_deltas").await), (1.0, 0.0));
    // A watcher gets all pictures; first the ones after the last keyframe are decoded.
    let mut watcher = app.watch("/stream/yard/gate.mjpeg").await;
    for _ in 0..12 {
        watcher.part().await;
    }
    assert!(figure(&app, "camera_deltas").await >= 5.0);
    assert_eq!(figure(&app, "camera_connections").await, 1.0);
    drop(watcher);
    eventually("the stream is removed", async || app.registry.is_empty()).await;
    eventually("the path has no reader", async || mediamtx.readers(&app, "yard/gate").await == 0).await;
    // The path becomes a stream again, and an upload of the same name replaces it.
    assert_eq!(app.get("/snapshot/yard/gate.jpg").await.status, 200);
    app.put("/api/v1/streams/yard/gate/frame", &flat_picture(64, 48, [1, 2, 3])).await;
    let stats = app.stats("yard/gate").await;
    assert_eq!((stats["kind"].as_str(), stats["origin"].as_str()), (Some("upload"), Some("upload")));
    // A defined stream of a path has another name.
    let kept = r#"{"kind":"rtsp","path":"yard/gate","keyframes_only":true}"#;
    assert_eq!(app.admin("PUT", "/api/v1/streams/mine", kept).await.status, 201);
    let before = figure(&app, "camera_deltas").await;
    let mut watcher = app.watch("/stream/mine.mjpeg").await;
    for _ in 0..3 {
        watcher.part().await;
    }
    assert_eq!(figure(&app, "camera_deltas").await, before, "keyframes only");
}

#[tokio::test]
async fn reading_a_path_needs_permission_and_a_refusal_creates_nothing() {
    let rules = "auth: {users: [{user: any, ips: ['127.0.0.1'], permissions: [{action: publish}]}, {user: guest, pass: guest, permissions: [{action: read, path: other}]}, \
                 {user: viewer, pass: viewer, permissions: [{action: read, path: cam}]}]}";
    let Some((app, mediamtx)) = pair(rules).await else { return };
    let png = bars(app.folder(), "320x180").await;
    let options = "-c:v libx264 -preset ultrafast -bf 0 -g 10";
    let _publisher = publish((&app, &mediamtx), "cam", &png, "10", "format=yuv420p", options).await;
    for path in ["/snapshot/cam.jpg", "/stream/cam.mjpeg"] {
        assert_eq!(app.get(path).await.status, 401);
        let guest = basic("guest", "guest");
        assert_eq!(app.request("GET", path, &[&guest], b"").await.status, 403);
        assert_eq!(app.request("HEAD", path, &[&basic("viewer", "wrong")], b"").await.status, 401);
    }
    assert!(app.registry.is_empty() && figure(&app, "camera_connections").await == 0.0);
    // The sidecar reads the path with its own token, because reading needs credentials.
    let viewer = basic("viewer", "viewer");
    let head = app.request("HEAD", "/stream/cam.mjpeg", &[&viewer], b"").await;
    assert!(head.status == 200 && app.registry.is_empty(), "{head:?}");
    assert_eq!(app.request("GET", "/snapshot/cam.jpg", &[&viewer], b"").await.status, 200);
    // More paths than the limit.
    let Some((app, mediamtx)) = pair("limits: {pulled_paths: 1}").await else { return };
    let _one = publish((&app, &mediamtx), "one", &png, "10", "format=yuv420p", options).await;
    let _two = publish((&app, &mediamtx), "two", &png, "10", "format=yuv420p", options).await;
    assert_eq!(app.get("/snapshot/one.jpg").await.status, 200);
    let refused = app.get("/snapshot/two.jpg").await;
    assert_eq!((refused.status, refused.problem().as_str()), (503, "too_many_pulled_paths"));
    eventually("the other path is no longer pulled", async || app.get("/snapshot/two.jpg").await.status == 200).await;
}

#[tokio::test]
async fn a_path_that_is_pulled_from_a_stream_is_that_stream() {
    let Some((app, _mediamtx)) = pair("streams: {card: {kind: test-card, width: 64, height: 48}}").await else {
        return;
    };
    let picture = flat_picture(64, 48, [1, 2, 3]);
    app.put("/mjpeg-upload?name=poster", &picture).await;
    // The uploaded bytes: the picture is not decoded from its own encoding.
    assert_eq!(app.get("/snapshot/pictures/poster.jpg").await.body, picture);
    app.watch("/stream/pictures/poster.mjpeg").await.until(&picture).await;
    assert_eq!(app.get("/snapshot/pictures/none.jpg").await.problem(), "unknown_stream");
    // A path of the original recipe: an upload stream without a picture.
    let waiting = app.get("/snapshot/recipe.jpg").await;
    assert_eq!(waiting.header("x-mtx-placeholder"), Some("waiting"), "{waiting:?}");
    assert_eq!(app.stats("recipe").await["kind"], "upload");
    // A stream must not read itself.
    let circle = r#"{"kind":"rtsp","path":"pictures/loop"}"#;
    assert_eq!(app.admin("PUT", "/api/v1/streams/loop", circle).await.status, 201);
    let answer = app.admin("GET", "/snapshot/loop.jpg", "").await;
    assert!(answer.detail().contains("made of our own stream loop"), "{answer:?}");
    assert_eq!(figure(&app, "camera_connections").await, 0.0);
}
