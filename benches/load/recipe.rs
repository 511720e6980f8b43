//! The original recipe: ffmpeg reads /mjpeg-get of a still picture, with the command line of runOnDemand.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Result, process::Server};

/// The times of the keyframes of ffmpeg's encoder, from its start.
fn keyframes(url: &str, seconds: u64) -> Result<Vec<Duration>> {
    let recipe = "-re -i URL -c:v libx264 -preset veryfast -tune zerolatency -g 1 -pix_fmt yuv420p -profile:v baseline -color_range pc -an -err_detect ignore_err -f framecrc -flush_packets 1 -";
    let began = Instant::now();
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(recipe.split(' ').map(|word| if word == "URL" { url } else { word }))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("ffmpeg cannot be started: {e}"))?;
    let (send, receive) = std::sync::mpsc::channel();
    let output = BufReader::new(ffmpeg.stdout.take().ok_or("no output")?);
    std::thread::spawn(move || {
        for line in output.lines().map_while(std::io::Result::ok).filter(|line| !line.starts_with('#')) {
            if send.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    });
    let mut times = vec![];
    while let Ok((at, _)) = receive.recv_timeout(Duration::from_secs(seconds).saturating_sub(began.elapsed())) {
        times.push(at - began);
    }
    ffmpeg.kill()?;
    ffmpeg.wait()?;
    Ok(times)
}

pub fn run() -> Result {
    let server = Server::sidecar("")?;
    let still = tempfile::NamedTempFile::with_suffix(".jpg")?;
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=1920x1080", "-frames:v", "1", "-q:v", "4"])
        .arg(still.path())
        .status()?;
    if !made.success() {
        return Err("ffmpeg cannot make a picture".into());
    }
    let data = std::fs::read(still.path())?;
    let upload = async || -> Result {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = tokio::net::TcpStream::connect(server.addr).await?;
        let head = format!(
            "PUT /mjpeg-upload?name=still HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n",
            data.len()
        );
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(&data).await?;
        let mut answer = [0; 256];
        let n = socket.read(&mut answer).await?;
        match answer[..n].starts_with(b"HTTP/1.1 200") {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&answer[..n]).into()),
        }
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(upload())?;
    let url = format!("http://{}/mjpeg-get?name=still&type=file", server.addr);
    let mut firsts = vec![];
    let mut longest = Duration::ZERO;
    for _ in 0..5 {
        let times = keyframes(&url, 10)?;
        firsts.push(*times.first().ok_or("no keyframe")?);
        longest = times.windows(2).map(|w| w[1] - w[0]).max().unwrap_or_default().max(longest);
    }
    firsts.sort();
    println!(
        "1080p still, the recipe verbatim, 5 runs of 10 s: first keyframe after {:.2} s (median; worst {:.2} s), longest wait for the next {:.2} s.",
        firsts[2].as_secs_f64(),
        firsts[4].as_secs_f64(),
        longest.as_secs_f64()
    );
    println!("The original's next keyframe comes after 5.1 s (docs/performance.md).");
    Ok(())
}
