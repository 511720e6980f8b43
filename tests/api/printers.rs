//! The pages of Mainsail and Fluidd, which show a printer's camera with readers of their own: tests/api/printers does what they do.

use std::path::Path;

use crate::{
    engines::Window,
    support::{TestApp, flat_picture},
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
