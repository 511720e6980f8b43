//! go2rtc for comparison: the same pictures of the same path, where there is a `go2rtc` on PATH. It decodes with ffmpeg.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    Result,
    camera::get,
    process::{free_port, ms, percentile},
    whep::start,
};

/// Prints the time of snapshots of the path `cam`, without and with a watcher.
pub async fn snapshots(rtsp: SocketAddr) -> Result {
    const COLD: usize = 10;
    const WARM: usize = 100;
    if Command::new("go2rtc").arg("--version").output().is_err() {
        println!("No go2rtc on PATH to compare with.");
        return Ok(());
    }
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    // Its ffmpeg reads the stream from the RTSP server of go2rtc.
    let own = free_port()?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("go2rtc.yaml");
    let text = format!(
        "api: {{listen: '{addr}'}}\nrtsp: {{listen: '127.0.0.1:{own}'}}\nwebrtc: {{listen: ''}}\nlog: {{level: error}}\nstreams:\n  cam: 'rtsp://{rtsp}/cam'\n  cam_mjpeg: 'ffmpeg:cam#video=mjpeg'\n"
    );
    std::fs::write(&config, text)?;
    let _go2rtc = start("go2rtc", &["-config", &config.to_string_lossy()], &[])?;
    let began = Instant::now();
    while TcpStream::connect(addr).await.is_err() {
        if began.elapsed() > Duration::from_secs(10) {
            return Err("go2rtc does not open its port".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Some answers are empty; they do not count as snapshots.
    let mut empty = 0;
    let mut take = async |source: &str| -> Result<Option<Duration>> {
        let began = Instant::now();
        let (head, body) = get(addr, &format!("/api/frame.jpeg?src={source}")).await?;
        let is_picture = head.contains(" 200 ") && body.starts_with(&[0xFF, 0xD8]);
        empty += usize::from(!is_picture);
        Ok(is_picture.then(|| began.elapsed()))
    };
    let mut cold = vec![];
    for run in 0..COLD {
        tokio::time::sleep(Duration::from_millis(2500 + 170 * run as u64)).await;
        cold.extend(take("cam").await?);
    }
    cold.sort();
    let mut held = TcpStream::connect(addr).await?;
    held.write_all(b"GET /api/stream.mjpeg?src=cam_mjpeg HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let draining = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 18];
        while tokio::io::AsyncReadExt::read(&mut held, &mut buffer).await.is_ok_and(|n| n > 0) {}
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    let mut warm = vec![];
    for _ in 0..WARM {
        warm.extend(take("cam_mjpeg").await?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    draining.abort();
    warm.sort();
    if cold.is_empty() || warm.is_empty() {
        println!("go2rtc beside it answers with nothing for this path, {empty} times.");
        return Ok(());
    }
    println!(
        "go2rtc beside it: cold {} (p50; worst {}); while it is watched as MJPEG {} (p50), {} (p99); {empty} answers were empty.",
        ms(percentile(&cold, 50)),
        ms(cold[cold.len() - 1]),
        ms(percentile(&warm, 50)),
        ms(percentile(&warm, 99))
    );
    Ok(())
}
