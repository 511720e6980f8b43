//! ffmpeg as a reader of MJPEG, and as the recipe in MediaMTX's runOnDemand.

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{
    PATIENCE, Program, TestApp, close_to, eventually, flat_picture, free_port, middle_colour, sized_picture,
};

#[tokio::test]
async fn ffmpeg_decodes_every_picture_of_a_stream() {
    let app = TestApp::with("streams: {card: {kind: test-card, width: 320, height: 180, fps: 20}}");
    let url = format!("http://{}/stream/card.mjpeg", app.addr);
    let out = Program::output(
        "ffprobe",
        &[
            "-v",
            "error",
            "-f",
            "mpjpeg",
            "-i",
            &url,
            "-read_intervals",
            "%+#30",
            "-count_frames",
            "-show_entries",
            "stream=codec_name,width,height,nb_read_frames",
            "-of",
            "csv=p=0",
        ],
    )
    .await;
    assert_eq!(String::from_utf8_lossy(&out).trim(), "mjpeg,320,180,30");
}

#[tokio::test]
async fn ffmpeg_reads_the_right_colours_of_a_snapshot() {
    let app = TestApp::spawn();
    for (n, colour) in [[200, 30, 40], [20, 180, 60], [40, 60, 220]].into_iter().enumerate() {
        app.put("/api/v1/streams/flat/frame", &flat_picture(64, 64, colour)).await;
        let file = app.folder().join(format!("{n}.jpg"));
        std::fs::write(&file, app.get("/snapshot/flat.jpg").await.body).expect("writes");
        let seen = middle_colour(&file).await;
        assert!(close_to(seen, colour), "{seen:?} for {colour:?}");
    }
}

/// The arguments of the recipe, verbatim, up to the output.
fn recipe(url: &str) -> Vec<String> {
    let words = "-v error -re -i URL -c:v libx264 -preset veryfast -tune zerolatency -g 1 -pix_fmt yuv420p -profile:v baseline -color_range pc -an -err_detect ignore_err";
    words.split(' ').map(|word| word.replace("URL", url)).collect()
}

/// The interval between repeated pictures is an hour: six keyframes can only be the three copies and the faster repetitions
/// that a decoder gets at first.
#[tokio::test]
async fn the_recipe_gets_keyframes_before_the_interval_is_over() {
    let app = TestApp::with("output: {interval: 1h}");
    app.put("/mjpeg-upload?name=still", &sized_picture(640, 480, 1)).await;
    let mut args = recipe(&format!("http://{}/mjpeg-get?name=still&type=file", app.addr));
    args.extend(["-f", "framecrc", "-flush_packets", "1", "-"].map(str::to_owned));
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(&args).stdout(std::process::Stdio::piped()).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("ffmpeg starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut frames = 0;
    while frames < 6 {
        let line =
            tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("reads").expect("goes on");
        frames += u32::from(!line.starts_with('#'));
    }
}

/// The recipe with another ffmpeg as the RTSP server.
#[tokio::test]
async fn the_recipe_publishes_by_rtsp() {
    let app = TestApp::spawn();
    let colour = [210, 60, 30];
    app.put("/mjpeg-upload?name=still", &flat_picture(320, 240, colour)).await;
    let sink = format!("rtsp://127.0.0.1:{}/live", free_port());
    let picture = app.folder().join("received.png");
    let file = picture.to_string_lossy().into_owned();
    let mut receive = tokio::process::Command::new("ffmpeg");
    receive
        .args([
            "-v",
            "error",
            "-y",
            "-rtsp_flags",
            "listen",
            "-analyzeduration",
            "200000",
            "-i",
            &sink,
            "-frames:v",
            "1",
            &file,
        ])
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let mut receiver = receive.spawn().expect("ffmpeg starts");
    let args = recipe(&format!("http://{}/mjpeg-get?name=still&type=file", app.addr));
    let publish = || {
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        args.extend(["-f", "rtsp", "-rtsp_transport", "tcp", &sink]);
        Program::start("ffmpeg", &args)
    };
    // The server does not report that it listens: a publisher that connects too early ends, and another one is started.
    let mut publisher = publish();
    eventually("a picture was received", async || {
        if publisher.0.try_wait().expect("a child").is_some() {
            publisher = publish();
        }
        receiver.try_wait().expect("a child").is_some()
    })
    .await;
    let seen = middle_colour(&picture).await;
    assert!(close_to(seen, colour), "{seen:?} for {colour:?}");
}
