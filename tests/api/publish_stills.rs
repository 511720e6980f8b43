//! Stills of any size are published from the console to the real MediaMTX, and come back with their pixels.

use std::path::{Path, PathBuf};

use crate::{
    browser::Browser,
    console::enter,
    support::{
        Program, TestApp, close_to, eventually,
        mediamtx::{MediaMtx, first_frame},
    },
};

const COLOURS: [[u8; 3]; 4] = [[200, 40, 40], [40, 160, 60], [40, 70, 200], [230, 200, 60]];
const WHITE: [u8; 3] = [255, 255, 255];

/// A picture of four colours, one for each quarter.
async fn quarters(file: &Path, width: u32, height: u32) {
    let colour = |rgb: [u8; 3]| {
        let [r, g, b] = rgb;
        format!("color=0x{r:02x}{g:02x}{b:02x}:s={}x{}:d=1", width / 2, height / 2)
    };
    let sources: Vec<String> = COLOURS.iter().enumerate().map(|(i, rgb)| format!("{}[q{i}]", colour(*rgb))).collect();
    let filter = format!("{};[q0][q1][q2][q3]xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0", sources.join(";"));
    let file = file.to_string_lossy();
    Program::output(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-y",
            "-filter_complex",
            &filter,
            "-frames:v",
            "1",
            "-q:v",
            "2",
            "-pix_fmt",
            "yuvj420p",
            &file,
        ],
    )
    .await;
}

/// A picture whose left half is blue and whose right half is transparent.
async fn half_transparent(file: &Path) {
    let filter = "color=0x2846c8:s=400x450:d=1,format=rgba,pad=800:450:0:0:color=black@0.0";
    let file = file.to_string_lossy();
    Program::output("ffmpeg", &["-v", "error", "-y", "-f", "lavfi", "-i", filter, "-frames:v", "1", &file]).await;
}

/// The size of a picture, and the mean colours of the middles of its quarters.
async fn seen(file: &Path) -> ((u32, u32), [[u8; 3]; 4]) {
    let path = file.to_string_lossy();
    let size =
        Program::output("ffprobe", &["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", &path])
            .await;
    let size = String::from_utf8_lossy(&size).trim().to_owned();
    let (width, height) = size.split_once(',').expect("a width and a height");
    let rgb = Program::output(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-i",
            &path,
            "-vf",
            "scale=4:4:flags=area",
            "-frames:v",
            "1",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ],
    )
    .await;
    let at = |x: usize, y: usize| rgb[3 * (4 * y + x)..][..3].try_into().expect("three bytes");
    ((width.parse().expect("a number"), height.parse().expect("a number")), [at(0, 0), at(3, 0), at(0, 3), at(3, 3)])
}

/// Publishes a file to a path of its own, and compares what a reader of MediaMTX gets.
async fn comes_back(
    browser: &Browser,
    app: &TestApp,
    mediamtx: &MediaMtx,
    (file, name): (PathBuf, &str),
    size: (u32, u32),
    colours: [[u8; 3]; 4],
) {
    let path = browser.find(".publish-form [name=path]").await;
    path.clear().await.expect("empties");
    path.send_keys(name).await.expect("types");
    browser.find(".publish-form [name=file]").await.send_keys(&file.to_string_lossy()).await.expect("chooses");
    browser.click("#publish-start").await;
    browser.says(&format!(".publication[data-path={name}] .badge"), "live").await;
    assert!(mediamtx.is_available(app, name).await, "live means that MediaMTX has the path");
    let got = app.folder().join(format!("{name}.png"));
    let url = format!("rtsp://127.0.0.1:{}/{name}", mediamtx.rtsp);
    eventually(&format!("{name} comes back in its size and colours"), async || {
        if !first_frame(&url, &got, &[]).await.success() {
            return false;
        }
        let (found, middles) = seen(&got).await;
        found == size && middles.iter().zip(colours).all(|(a, b)| close_to(*a, b))
    })
    .await;
    browser.click(&format!(".publication[data-path={name}] button.danger")).await;
}

#[tokio::test]
async fn stills_of_any_size_are_published_and_come_back_with_their_pixels() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!("mediamtx: {{api: 'http://127.0.0.1:{}'}}", ports[4]));
    let Some(mediamtx) = MediaMtx::start_with(&app, mtx_sidecar::settings::MEDIAMTX_YML, &ports).await else { return };
    // The ports of WebRTC and HLS are in no setting: MediaMTX is asked for them.
    eventually("the ports are known", async || {
        let addresses = app.get("/api/v1/addresses").await.json();
        addresses["webrtc"] == format!("http://127.0.0.1:{}", ports[2])
            && addresses["rtsp"] == format!("rtsp://127.0.0.1:{}", ports[0])
    })
    .await;
    let browser = Browser::start().await;
    enter(&browser, &app, "#/publish").await;
    let file = |name: &str| app.folder().join(name);
    quarters(&file("photo.jpg"), 1920, 1080).await;
    comes_back(&browser, &app, &mediamtx, (file("photo.jpg"), "photo"), (1920, 1080), COLOURS).await;
    // 12 megapixels, upright.
    quarters(&file("large.jpg"), 3024, 4032).await;
    comes_back(&browser, &app, &mediamtx, (file("large.jpg"), "large"), (1080, 1440), COLOURS).await;
    half_transparent(&file("logo.png")).await;
    let blue = [40, 70, 200];
    comes_back(&browser, &app, &mediamtx, (file("logo.png"), "logo"), (800, 450), [blue, WHITE, blue, WHITE]).await;
    browser.close().await;
}
