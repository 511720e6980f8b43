//! A thousand streams without watchers.

use std::time::Duration;

use crate::{Result, process::Server};

pub fn run() -> Result {
    let mut settings = String::from("streams:\n");
    for n in 0..1000 {
        let kind = match n % 4 {
            0 => "upload".to_owned(),
            1 => format!("udp-camera, address: 127.0.0.{}", 2 + n % 250),
            2 => "file, path: picture.jpg".to_owned(),
            _ => "test-card".to_owned(),
        };
        settings.push_str(&format!("  cam{n}: {{kind: {kind}}}\n"));
    }
    let server = Server::sidecar(&settings)?;
    std::thread::sleep(Duration::from_secs(2));
    let cpu = server.cpu();
    std::thread::sleep(Duration::from_secs(10));
    println!(
        "1000 defined, unwatched streams: {} ms of CPU in 10 s, {} MiB resident.",
        (server.cpu() - cpu).as_millis(),
        server.rss_kib() / 1024
    );
    Ok(())
}
