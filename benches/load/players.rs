//! How long players wait for the first frame of a still through MediaMTX, by protocol.
//!
//! libavformat reads many pictures before it gives the first one, so this shows the pace at which a still is repeated.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    Result,
    process::{Server, free_port, ms, percentile},
    rtsp::{put, still},
    whep::start,
};

/// A player that waits longer than this has no picture.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run() -> Result {
    const RUNS: u32 = 3;
    let mediamtx = std::env::var("MEDIAMTX_BIN").unwrap_or_else(|_| "mediamtx".into());
    if Command::new(&mediamtx).arg("--version").output().is_err() {
        println!("SKIPPED: there is no mediamtx on PATH or in MEDIAMTX_BIN");
        return Ok(());
    }
    let server = Server::sidecar("")?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("mediamtx.yml");
    let sidecar = server.rtsp;
    let source = format!(
        "source: 'rtsp://{sidecar}/$G1', rtspTransport: tcp, sourceOnDemand: yes, sourceOnDemandCloseAfter: 1s"
    );
    std::fs::write(
        &config,
        format!("webrtc: no\nmoq: no\nhlsVariant: mpegts\npaths:\n  '~^pictures/(.+)$': {{{source}}}\n"),
    )?;
    let [rtsp, hls, rtmp, srt] = [free_port()?, free_port()?, free_port()?, free_port()?];
    let at = |port: u16| format!("127.0.0.1:{port}");
    let environment = [
        ("MTX_RTSPADDRESS", at(rtsp)),
        ("MTX_RTSPTRANSPORTS", "tcp".into()),
        ("MTX_HLSADDRESS", at(hls)),
        ("MTX_RTMPADDRESS", at(rtmp)),
        ("MTX_SRTADDRESS", at(srt)),
    ];
    let _mediamtx = start(&mediamtx, &[&config.to_string_lossy()], &environment)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("| player | still of 1080p, path cold | path warm for 10 s |\n|---|---|---|");
    type Url = fn(&str, u16) -> String;
    let players: [(&str, u16, Url); 4] = [
        ("ffmpeg by RTSP", rtsp, |path, port| format!("rtsp://127.0.0.1:{port}/{path}")),
        ("ffmpeg by HLS (MPEG-TS)", hls, |path, port| format!("http://127.0.0.1:{port}/{path}/index.m3u8")),
        ("ffmpeg by RTMP", rtmp, |path, port| format!("rtmp://127.0.0.1:{port}/{path}")),
        ("ffmpeg by SRT", srt, |path, port| format!("srt://127.0.0.1:{port}?streamid=read:{path}")),
    ];
    for (n, (name, port, url)) in players.into_iter().enumerate() {
        let (mut cold, mut warm) = (vec![], vec![]);
        for run in 0..RUNS {
            let stream = format!("still{n}x{run}");
            runtime.block_on(put(&server, &stream, still(run)?))?;
            let path = format!("pictures/{stream}");
            cold.push(first_frame(&url(&path, port))?);
            let _reader = start(
                "ffmpeg",
                &[
                    "-v",
                    "error",
                    "-rtsp_transport",
                    "tcp",
                    "-i",
                    &format!("rtsp://127.0.0.1:{rtsp}/{path}"),
                    "-f",
                    "null",
                    "-",
                ],
                &[],
            )?;
            std::thread::sleep(Duration::from_secs(10));
            warm.push(first_frame(&url(&path, port))?);
        }
        cold.sort();
        warm.sort();
        println!("| {name} | {} | {} |", ms(percentile(&cold, 50)), ms(percentile(&warm, 50)));
    }
    Ok(())
}

/// The time until ffmpeg has decoded one frame, with its default settings.
fn first_frame(url: &str) -> Result<Duration> {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).args(["ffmpeg", "-v", "error"]);
    if url.starts_with("rtsp") {
        command.args(["-rtsp_transport", "tcp"]);
    }
    command.args(["-i", url, "-frames:v", "1", "-f", "null", "-"]).stdin(Stdio::null());
    let began = Instant::now();
    let output = command.output()?;
    if output.status.success() {
        return Ok(began.elapsed());
    }
    Err(format!("{url}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
