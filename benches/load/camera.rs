//! A camera as pictures: one 1080p path of MediaMTX with many watchers, and cold snapshots of it.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Result,
    process::{Server, free_port, ms, percentile},
    puller::Puller,
    whep::{Ended, start},
};

/// All permissions for this machine, and no linger: a stream ends with its last watcher.
const SETTINGS: &str = "stream_defaults: {linger: 100ms}\n\
    auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: read}, {action: publish}, {action: api}, {action: metrics}]}]}";

/// The sidecar, and a MediaMTX with a publisher on its path `cam`: 1080p H.264, 30 pictures a second, a keyframe every 2 s.
pub struct Scene {
    pub server: Server,
    pub rtsp: SocketAddr,
    pub folder: tempfile::TempDir,
    _host: (Ended, Ended),
}

impl Scene {
    async fn set() -> Result<Option<Self>> {
        Self::with("").await
    }

    /// With filters of ffmpeg behind the picture.
    pub async fn with(filters: &str) -> Result<Option<Self>> {
        Self::with_settings(filters, "").await
    }

    /// With settings of the sidecar beside those that a measurement needs.
    pub async fn with_settings(filters: &str, settings: &str) -> Result<Option<Self>> {
        let mediamtx = std::env::var("MEDIAMTX_BIN").unwrap_or_else(|_| "mediamtx".into());
        if Command::new(&mediamtx).arg("--version").output().is_err() {
            println!("SKIPPED: there is no mediamtx on PATH or in MEDIAMTX_BIN");
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let (api, port) = (free_port()?, free_port()?);
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let (api, rtsp) = (at(api), at(port));
        let server = Server::sidecar(&format!(
            "mediamtx: {{api: 'http://{api}', rtsp: 'rtsp://{rtsp}'}}\n{SETTINGS}\n{settings}"
        ))?;
        let config = folder.path().join("mediamtx.yml");
        let auth = format!("authMethod: http\nauthHTTPAddress: http://{}/mediamtx-auth", server.addr);
        std::fs::write(
            &config,
            format!(
                "{auth}\napi: yes\napiAddress: {api}\nrtspAddress: {rtsp}\nrtspTransports: [tcp]\nrtmp: no\nsrt: no\nmoq: no\nhls: no\nwebrtc: no\nlogLevel: error\npaths:\n  all_others:\n"
            ),
        )?;
        let host = start(&mediamtx, &[&config.to_string_lossy()], &[])?;
        let file = folder.path().join("cam.mp4");
        // Encoded before the measurement, so that these two cores only publish.
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i"])
            .arg(format!("testsrc2=s=1920x1080:r=30,noise=alls=6:allf=t{filters}"))
            .args(["-t", "12", "-sc_threshold", "0"])
            .args(["-c:v", "libx264", "-preset", "veryfast", "-b:v", "4M", "-maxrate", "5M", "-bufsize", "5M"])
            .args(["-g", "60", "-bf", "0", "-pix_fmt", "yuv420p"])
            .arg(&file)
            .status()?;
        if !made.success() {
            return Err("ffmpeg makes no video".into());
        }
        while TcpStream::connect(rtsp).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (file, url) = (file.to_string_lossy().into_owned(), format!("rtsp://{rtsp}/cam"));
        let publish = ["-v", "error", "-re", "-stream_loop", "-1", "-i", &file, "-c", "copy", "-f", "rtsp"];
        let publisher = start("ffmpeg", &[&publish[..], &["-rtsp_transport", "tcp", &url]].concat(), &[])?;
        let scene = Scene { server, rtsp, folder, _host: (host, publisher) };
        while !get(scene.server.addr, "/snapshot/cam.jpg").await?.0.contains(" 200 ") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(Some(scene))
    }

    pub async fn figure(&self, name: &str) -> Result<f64> {
        let (_, body) = get(self.server.addr, "/metrics").await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("mtx_sidecar_{name}_total ")));
        Ok(line.ok_or("no such figure")?.parse()?)
    }
}

pub async fn get(addr: SocketAddr, path: &str) -> Result<(String, Vec<u8>)> {
    let mut socket = TcpStream::connect(addr).await?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = vec![];
    socket.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no answer")?;
    Ok((String::from_utf8_lossy(&answer[..end]).into_owned(), answer.split_off(end + 4)))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// MJPEG of a 1080p path, 10 pictures a second, for up to a hundred watchers.
pub fn watched() -> Result {
    const WATCHERS: usize = 100;
    const SECONDS: u64 = 20;
    runtime()?.block_on(async {
        let Some(scene) = Scene::set().await? else { return Ok(()) };
        println!(
            "| watchers | CPU of one core | pictures a second | decoded a second | sessions | MB/s read | resident |"
        );
        println!("|---|---|---|---|---|---|---|");
        for watchers in [1, WATCHERS] {
            let read = Arc::new(AtomicU64::new(0));
            let sessions = scene.figure("camera_connections").await?;
            let running: Vec<_> = (0..watchers)
                .map(|_| {
                    let (addr, read) = (scene.server.addr, read.clone());
                    tokio::spawn(async move {
                        let mut socket = TcpStream::connect(addr).await?;
                        let head = format!("GET /stream/cam.mjpeg HTTP/1.1\r\nHost: {addr}\r\n\r\n");
                        socket.write_all(head.as_bytes()).await?;
                        let mut buffer = vec![0; 1 << 18];
                        loop {
                            let n = socket.read(&mut buffer).await?;
                            if n == 0 {
                                return Ok::<_, std::io::Error>(());
                            }
                            read.fetch_add(n as u64, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_secs(5)).await;
            let figures = async || -> Result<[f64; 3]> {
                let (keys, deltas) = (scene.figure("camera_keyframes").await?, scene.figure("camera_deltas").await?);
                let pictures = scene.figure("camera_pictures").await?;
                Ok([pictures, keys + deltas, read.load(Ordering::Relaxed) as f64])
            };
            let (before, cpu) = (figures().await?, scene.server.cpu_exact());
            tokio::time::sleep(Duration::from_secs(SECONDS)).await;
            let (after, used) = (figures().await?, scene.server.cpu_exact() - cpu);
            let each = |i: usize| (after[i] - before[i]) / SECONDS as f64;
            println!(
                "| {watchers} | {:.0} % | {:.1} | {:.1} | {} | {:.0} | {} MiB |",
                100.0 * used.as_secs_f64() / SECONDS as f64,
                each(0),
                each(1),
                scene.figure("camera_connections").await? - sessions,
                each(2) / 1e6,
                scene.server.rss_kib() / 1024
            );
            running.iter().for_each(|task| task.abort());
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        Ok(())
    })
}

/// Snapshots of a path without watchers, compared with the time at which another reader received the next keyframe.
pub fn cold() -> Result {
    const RUNS: usize = 20;
    runtime()?.block_on(async {
        let Some(scene) = Scene::set().await? else { return Ok(()) };
        let (mut all, mut beyond) = (vec![], vec![]);
        for run in 0..RUNS {
            // Until the stream has ended, and to another position in the group of pictures.
            tokio::time::sleep(Duration::from_millis(2500 + 170 * run as u64)).await;
            let before = scene.figure("camera_connections").await?;
            // One reader for each run: MediaMTX ends sessions without keepalives.
            let mut reader = Puller::connect(scene.rtsp, "cam").await?;
            reader.play().await?;
            let keyframes = Arc::new(std::sync::Mutex::new(vec![]));
            let noted = keyframes.clone();
            let reading = tokio::spawn(async move {
                while let Ok(picture) = reader.picture().await {
                    if picture.is_idr {
                        noted.lock().expect("whole").push(picture.at);
                    }
                }
            });
            let began = Instant::now();
            let (head, _) = get(scene.server.addr, "/snapshot/cam.jpg").await?;
            let ended = Instant::now();
            if !head.contains(" 200 ") || scene.figure("camera_connections").await? != before + 1.0 {
                return Err(format!("no cold snapshot: {head}").into());
            }
            all.push(ended - began);
            let keyframes = keyframes.lock().expect("whole");
            let last = keyframes.iter().rev().find(|at| **at <= ended).ok_or("no keyframe was seen")?;
            beyond.push(ended - *last);
            reading.abort();
        }
        all.sort();
        beyond.sort();
        println!(
            "{RUNS} cold snapshots of a 1080p path with a keyframe every 2 s: {} (p50; worst {}), which is {} (p50; worst {}) after the keyframe came.",
            ms(percentile(&all, 50)),
            ms(all[RUNS - 1]),
            ms(percentile(&beyond, 50)),
            ms(beyond[RUNS - 1])
        );
        let mut warm = vec![];
        let mut watcher = TcpStream::connect(scene.server.addr).await?;
        watcher.write_all(b"GET /stream/cam.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await?;
        let draining = tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 18];
            while watcher.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
        });
        tokio::time::sleep(Duration::from_secs(4)).await;
        for _ in 0..200 {
            let began = Instant::now();
            get(scene.server.addr, "/snapshot/cam.jpg").await?;
            warm.push(began.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        draining.abort();
        warm.sort();
        println!(
            "200 snapshots of it while it is watched: {} (p50), {} (p99).",
            ms(percentile(&warm, 50)),
            ms(percentile(&warm, 99))
        );
        crate::go2rtc::snapshots(scene.rtsp).await
    })
}
