//! A mosaic whose tiles are paths of the real MediaMTX, as they come and go.

use mtx_sidecar::picture::Raster;
use serde_json::json;

use crate::{
    mp4_paths::{H264, publish},
    support::{MjpegReader, Program, TestApp, eventually, mediamtx::MediaMtx},
};

/// Most parts that the test reads before it gives up.
const PARTS: usize = 400;

/// Publishes video of one colour.
fn coloured(mediamtx: &MediaMtx, path: &str, colour: &str) -> Program {
    let source = format!("color={colour}:size=320x180:rate=5");
    let args = [&["-re", "-f", "lavfi", "-i", &source], &H264[..], &["-pix_fmt", "yuv420p", "-g", "5"]].concat();
    publish(mediamtx, path, &args)
}

/// Reads pictures until each of these places has more red (`r`) or more blue (`b`) than other colours.
async fn shows(mjpeg: &mut MjpegReader, places: &[(u32, u32, char)]) {
    for _ in 0..PARTS {
        let raster = Raster::from_jpeg(&mjpeg.part().await.data).expect("decodes");
        let is = |&(x, y, colour): &(u32, u32, char)| {
            let [_, blue, red] = raster.at(x, y);
            if colour == 'r' { red > 160 && blue < 128 } else { blue > 160 && red < 128 }
        };
        if places.iter().all(is) {
            return;
        }
    }
    panic!("none of {PARTS} pictures: {places:?}");
}

#[tokio::test]
async fn a_pattern_selects_paths_of_mediamtx_and_no_picture_of_the_mosaic_itself() {
    let ports = MediaMtx::ports();
    let app = TestApp::with(&format!(
        "mediamtx: {{api: 'http://127.0.0.1:{}', rtsp: 'rtsp://127.0.0.1:{}'}}",
        ports[4], ports[0]
    ));
    let text = format!("{}\n  '~^cams/': {{}}\n", mtx_sidecar::settings::MEDIAMTX_YML);
    let Some(mediamtx) = MediaMtx::start_with(&app, &text, &ports).await else { return };
    let first = coloured(&mediamtx, "cams/a", "red");
    let wall = json!({"kind": "mosaic", "tiles": ["~."], "w": 640, "h": 360, "fps": 10, "gap": 0, "labels": false});
    let made = app.admin("PUT", "/api/v1/streams/wall", &wall.to_string()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let mut mjpeg = app.watch("/stream/wall.mjpeg").await;
    shows(&mut mjpeg, &[(100, 60, 'r'), (540, 60, 'r'), (100, 300, 'r'), (540, 300, 'r')]).await;
    // A screen watches the mosaic by way of MediaMTX, which then has a path of it.
    let url = format!("rtsp://127.0.0.1:{}/pictures/wall", mediamtx.rtsp);
    let _screen = Program::start("ffmpeg", &["-v", "error", "-rtsp_transport", "tcp", "-i", &url, "-f", "null", "-"]);
    eventually("MediaMTX has the mosaic", async || mediamtx.readers(&app, "pictures/wall").await == 1).await;
    let _second = coloured(&mediamtx, "cams/b", "blue");
    shows(&mut mjpeg, &[(160, 120, 'r'), (160, 240, 'r'), (480, 120, 'b'), (480, 240, 'b')]).await;
    drop(first);
    shows(&mut mjpeg, &[(100, 60, 'b'), (540, 60, 'b'), (100, 300, 'b'), (540, 300, 'b')]).await;
}
