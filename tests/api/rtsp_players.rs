//! The RTSP server with ffmpeg, ffprobe and GStreamer as clients.

use std::path::Path;

use crate::support::{PATIENCE, Program, TestApp, close_to, eventually, flat_picture, middle_colour, sized_picture};

/// A JPEG with fine detail and saturated colours.
async fn photograph(app: &TestApp, filter: &str) -> Vec<u8> {
    let path = app.folder().join("source.jpg");
    let file = path.to_string_lossy().into_owned();
    let source = format!("testsrc2=s=640x480,noise=alls=8:allf=u,{filter}");
    Program::output(
        "ffmpeg",
        &["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-frames:v", "1", "-q:v", "3", &file],
    )
    .await;
    std::fs::read(path).expect("reads")
}

/// The peak signal-to-noise ratio in dB of the picture that a client decoded, compared with the uploaded JPEG.
async fn psnr(app: &TestApp, seen: &Path) -> f64 {
    let (seen, source) = (seen.to_string_lossy(), app.folder().join("source.jpg"));
    let statistics = app.folder().join("psnr.txt");
    let graph = format!("[0]format=yuv420p[a];[1]format=yuv420p[b];[a][b]psnr=stats_file={}", statistics.display());
    let source = source.to_string_lossy();
    Program::output("ffmpeg", &["-v", "error", "-i", &seen, "-i", &source, "-lavfi", &graph, "-f", "null", "-"]).await;
    let text = std::fs::read_to_string(statistics).expect("reads");
    let average = text.split_whitespace().find_map(|word| word.strip_prefix("psnr_avg:")).expect("a figure");
    average.parse().unwrap_or(f64::INFINITY)
}

fn url(app: &TestApp, stream: &str) -> String {
    format!("rtsp://{}/{stream}", app.rtsp)
}

#[tokio::test]
async fn ffmpeg_decodes_the_right_picture_of_each_kind_of_jpeg() {
    let app = TestApp::spawn();
    for (filter, least) in
        [("format=yuvj420p", 38.0), ("format=yuvj422p", 38.0), ("format=yuvj444p", 38.0), ("format=gray", 38.0)]
    {
        let data = photograph(&app, filter).await;
        assert_eq!(app.put("/mjpeg-upload?name=door", &data).await.status, 200);
        let seen = app.folder().join("seen.png");
        let (file, url) = (seen.to_string_lossy(), url(&app, "door"));
        // Without `-rtsp_transport`: ffmpeg tries UDP first, which is refused.
        Program::output("ffmpeg", &["-v", "error", "-y", "-i", &url, "-frames:v", "1", &file]).await;
        let quality = psnr(&app, &seen).await;
        assert!(quality >= least, "{filter}: {quality:.1} dB");
    }
}

#[tokio::test]
async fn ffprobe_reads_size_profile_and_colours() {
    let app = TestApp::spawn();
    app.put("/mjpeg-upload?name=door", &sized_picture(641, 481, 1)).await;
    let entries = "stream=codec_name,profile,width,height,level,has_b_frames,color_range,color_space,pix_fmt";
    for (stream, size) in [("door", "640,480"), ("door?w=320", "320,240"), ("door?w=640&h=360", "640,360")] {
        let args =
            ["-v", "error", "-rtsp_transport", "tcp", "-show_entries", entries, "-of", "csv", &url(&app, stream)];
        let text = String::from_utf8(Program::output("ffprobe", &args).await).expect("text");
        assert_eq!(
            text.trim(),
            format!("stream,h264,Constrained Baseline,{size},0,yuv420p,30,tv,smpte170m"),
            "{stream}"
        );
    }
}

/// For a minute, in which keepalives and reports are due several times. A machine that is busy delays single pictures, so
/// the median is compared.
#[tokio::test]
async fn a_still_plays_with_steady_timestamps() {
    let app = TestApp::spawn();
    app.put("/mjpeg-upload?name=door", &sized_picture(320, 240, 1)).await;
    let mut command = tokio::process::Command::new("ffprobe");
    command.args(["-v", "error", "-rtsp_transport", "tcp", "-fpsprobesize", "0", "-read_intervals", "%+60"]);
    command.args(["-show_entries", "packet=pts_time,flags", "-of", "csv=p=0", &url(&app, "door")]);
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(5 * PATIENCE, command.output()).await.expect("in time").expect("ffprobe runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let times: Vec<f64> = text.lines().filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    let pictures: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    let longest = pictures.split(|line| line.contains("K_")).map(<[_]>::len).max();
    assert!(longest <= Some(16), "a player can join every second: {text}");
    let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| *step > 0.0), "{steps:?}");
    // After the warm-up.
    let mut steady: Vec<_> = times.windows(2).filter(|pair| pair[0] - times[0] > 15.0).map(|p| p[1] - p[0]).collect();
    steady.sort_by(f64::total_cmp);
    let median = steady[steady.len() / 2];
    assert!((median - 1.0 / 15.0).abs() < 0.002, "{steps:?}");
    assert!(times.last().expect("some") - times[0] > 57.0, "{times:?}");
}

#[tokio::test]
async fn ffmpeg_plays_new_pictures_movement_and_a_picture_of_another_size() {
    let app = TestApp::spawn();
    let colours = [[200, 40, 40], [40, 180, 60], [40, 60, 200]];
    app.put("/mjpeg-upload?name=door", &flat_picture(320, 240, colours[0])).await;
    let seen = app.folder().join("seen.png");
    let file = seen.to_string_lossy().into_owned();
    let url = url(&app, "door");
    // With -xerror an error of the decoder ends ffmpeg.
    let args = [
        "-v",
        "error",
        "-y",
        "-xerror",
        "-rtsp_transport",
        "tcp",
        "-fpsprobesize",
        "0",
        "-i",
        &url,
        "-fps_mode",
        "passthrough",
        "-update",
        "1",
        &file,
    ];
    let _player = Program::start("ffmpeg", &args);
    let shows = async |colour| {
        eventually("the picture is shown", async || {
            seen.exists() && std::fs::metadata(&seen).is_ok_and(|m| m.len() > 0) && {
                let copy = app.folder().join("copy.png");
                std::fs::copy(&seen, &copy).is_ok() && whole(&copy) && close_to(middle_colour(&copy).await, colour)
            }
        })
        .await;
    };
    shows(colours[0]).await;
    app.put("/mjpeg-upload?name=door", &flat_picture(320, 240, colours[1])).await;
    shows(colours[1]).await;
    // Pictures that follow each other closely are encoded as video, and after the last one it is a still again.
    for mode in ["video", "still"] {
        let mut number = 0;
        eventually(&format!("it is encoded as {mode}"), async || {
            if mode == "video" {
                number += 1;
                app.put("/mjpeg-upload?name=door", &sized_picture(320, 240, number)).await;
            }
            app.stats("door").await["video"][0]["mode"] == mode
        })
        .await;
    }
    // A picture of another aspect ratio is fitted into the canvas and centred.
    app.put("/mjpeg-upload?name=door", &flat_picture(200, 600, colours[2])).await;
    eventually("the picture is shown", async || {
        let copy = app.folder().join("copy.png");
        if std::fs::copy(&seen, &copy).is_err() || !whole(&copy) {
            return false;
        }
        let narrow = app.folder().join("narrow.png");
        let (from, to) = (copy.to_string_lossy(), narrow.to_string_lossy());
        Program::output("ffmpeg", &["-v", "error", "-y", "-i", &from, "-vf", "crop=60:220", &to]).await;
        close_to(middle_colour(&narrow).await, colours[2])
    })
    .await;
}

/// Whether the file is complete: ffmpeg overwrites it in place, so a copy may be truncated.
fn whole(png: &Path) -> bool {
    std::fs::read(png).is_ok_and(|data| data.ends_with(b"IEND\xAE\x42\x60\x82"))
}

#[tokio::test]
async fn gstreamer_plays_a_still_and_a_moving_stream() {
    let app = TestApp::with("streams: {card: {kind: test-card, width: 640, height: 480, fps: 10}}");
    let data = photograph(&app, "format=yuvj420p").await;
    app.put("/mjpeg-upload?name=door", &data).await;
    let pipeline = |stream: &str, rest: &str| {
        format!(
            "-q rtspsrc location={} latency=0 ! rtph264depay ! video/x-h264,stream-format=byte-stream,alignment=au ! avdec_h264 ! {rest}",
            url(&app, stream)
        )
    };
    let seen = app.folder().join("seen.png");
    let rest = format!("videoconvert ! pngenc snapshot=true ! filesink location={}", seen.display());
    let text = pipeline("door", &rest);
    Program::output("gst-launch-1.0", &text.split(' ').collect::<Vec<_>>()).await;
    // GStreamer converts the transfer function as well, which ffmpeg does not.
    let quality = psnr(&app, &seen).await;
    assert!(quality >= 28.0, "{quality:.1} dB");
    let text = pipeline("card", "identity eos-after=25 ! fakesink");
    Program::output("gst-launch-1.0", &text.split(' ').collect::<Vec<_>>()).await;
}
