//! Programs that read MJPEG with code of their own: the pages of Mainsail and Fluidd, which show a printer's camera (tests/api/printers
//! does what they do), and scripts in Python.

use std::path::Path;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    engines::Window,
    support::{PATIENCE, Program, TestApp, flat_picture, picture},
};

const COLOURS: [[u8; 3]; 3] = [[200, 40, 40], [40, 160, 60], [40, 60, 200]];

/// A page of another site shows each picture of `/webcam/`. Nothing is repeated within the test.
async fn pages_of_printers_show_the_camera(mut window: Window) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/printers");
    let pages = TestApp::with(&format!("http: {{static_dir: '{}'}}", folder.display()));
    let site = format!("http://{}", pages.addr);
    let settings = "output: {interval: 1h}\naliases: {webcams: [bed]}";
    let app = TestApp::with(&format!("http: {{cors_origins: ['{site}']}}\n{settings}"));
    let camera = format!("http://{}/webcam/%3Faction=", app.addr);
    for (reader, action) in [("mainsail", "stream"), ("fluidd", "stream"), ("adaptive", "snapshot")] {
        app.put("/api/v1/streams/bed/frame", &flat_picture(640, 480, COLOURS[2])).await;
        window.open(&format!("{site}/page.html?reader={reader}&camera={camera}{action}")).await;
        window.shows(COLOURS[2]).await;
        for colour in COLOURS {
            app.put("/api/v1/streams/bed/frame", &flat_picture(640, 480, colour)).await;
            window.shows(colour).await;
        }
        let faults = window.run("return window.faults").await;
        assert_eq!(faults, serde_json::json!([]), "{reader}");
        assert!(window.run("return window.frames_seen").await.as_u64() >= Some(4), "{reader}");
    }
    window.close().await;
}

#[tokio::test]
async fn the_pages_of_printers_show_the_camera_in_chromium() {
    pages_of_printers_show_the_camera(Window::chromium().await).await;
}

#[tokio::test]
async fn the_pages_of_printers_show_the_camera_in_firefox() {
    let Some(window) = Window::firefox().await else { return };
    pages_of_printers_show_the_camera(window).await;
}

/// A loop that many scripts have. It prints the size of each picture.
const LOOP: &str = "
import sys, urllib.request
stream, data = urllib.request.urlopen(sys.argv[1]), b''
while True:
    data += stream.read(1024)
    begin, end = data.find(b'\\xff\\xd8'), data.find(b'\\xff\\xd9')
    if 0 <= begin < end:
        print(end + 2 - begin, flush=True)
        data = data[end + 2:]
";

/// Nothing is repeated within the test but what the reader needs, so that no repetition brings the rest of a picture.
#[tokio::test]
async fn a_loop_of_read_1024_in_python_gets_each_picture_at_once() {
    let app = TestApp::with("output: {interval: 1h}");
    app.put("/api/v1/streams/cam/frame", &picture(0)).await;
    let url = format!("http://{}/stream/cam.mjpeg", app.addr);
    let mut script = Program::start_piped("/usr/bin/python3", &["-c", LOOP, &url]);
    let mut lines = BufReader::new(script.0.stdout.take().expect("a pipe")).lines();
    for n in 1..4 {
        let sent = flat_picture(64 * n, 480, [200, 40, 40]);
        app.put("/api/v1/streams/cam/frame", &sent).await;
        let size = sent.len().to_string();
        loop {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("reads");
            if line.expect("the script runs") == size {
                break;
            }
        }
    }
}
