//! Stills and moving streams read by RTSP, compared with the recipes that use ffmpeg.

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    Result,
    process::{Server, cpu_exact_of, ms, percentile, rss_kib_of},
    puller::Puller,
};

fn runtime() -> Result<tokio::runtime::Runtime> {
    let _ = rlimit::increase_nofile_limit(20_000);
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A 1080p picture with detail, different for each number.
pub fn still(number: u32) -> Result<Vec<u8>> {
    let (width, height) = (1920_u32, 1080_u32);
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    let mut rgb = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = (state >> 28) as i32 - 8;
            let edge = if (x / 60 + y / 45 + number).is_multiple_of(2) { 40 } else { 0 };
            let of = |value: u32| (value as i32 + edge + grain).clamp(0, 255) as u8;
            rgb.extend([of(x * 200 / width), of(y * 200 / height), of((x + y + number) % 200)]);
        }
    }
    Ok(mtx_sidecar::picture::encode_rgb(&rgb, width, height, 80)?.to_vec())
}

pub async fn put(server: &Server, stream: &str, data: Vec<u8>) -> Result {
    let mut socket = tokio::net::TcpStream::connect(server.addr).await?;
    let head = format!(
        "PUT /api/v1/streams/{stream}/frame HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        data.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&data).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer.into()) }
}

/// A program on the server's core, ended on drop.
struct Peer(Child);

impl Peer {
    fn ffmpeg(core: &str, args: &str) -> Result<Self> {
        let child = Command::new("taskset")
            .args(["-c", core, "ffmpeg", "-v", "error", "-y"])
            .args(args.split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("ffmpeg cannot be started: {e}"))?;
        Ok(Peer(child))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One still, 1080p, in steady state.
pub fn still_pulled() -> Result {
    const SECONDS: u64 = 30;
    let server = Server::sidecar("")?;
    let file = tempfile::NamedTempFile::with_suffix(".jpg")?;
    let data = still(1)?;
    std::fs::write(file.path(), &data)?;
    runtime()?.block_on(put(&server, "still", data))?;
    let h264 = "-c:v libx264 -preset veryfast";
    let (image, http, rtsp) = (file.path().display(), server.addr, server.rtsp);
    println!("| way | CPU of one core | ratio | resident |\n|---|---|---|---|");
    let mut ours = 0.0;
    for (name, core, args) in [
        (
            "RTSP, pulled by ffmpeg `-c copy`",
            "1",
            format!("-rtsp_transport tcp -fpsprobesize 0 -i rtsp://{rtsp}/still -c copy -f null -"),
        ),
        (
            "original file recipe, with `-re`",
            "0",
            format!("-re -loop 1 -i {image} {h264} -tune stillimage -pix_fmt yuv420p -f h264 /dev/null"),
        ),
        (
            "original MJPEG recipe, 1 picture a second",
            "0",
            format!(
                "-re -f mpjpeg -i http://{http}/stream/still.mjpeg?interval=1000 {h264} -tune zerolatency -g 1 -pix_fmt yuv420p -profile:v baseline -color_range pc -an -f h264 /dev/null"
            ),
        ),
    ] {
        let peer = Peer::ffmpeg(core, &args)?;
        std::thread::sleep(Duration::from_secs(15));
        let is_ours = ours == 0.0;
        let cpu = || if is_ours { server.cpu_exact() } else { cpu_exact_of(peer.0.id()) };
        let before = cpu();
        std::thread::sleep(Duration::from_secs(SECONDS));
        let percent = (cpu() - before).as_secs_f64() * 100.0 / SECONDS as f64;
        let rss = if is_ours { server.rss_kib() } else { rss_kib_of(peer.0.id()) };
        if is_ours {
            ours = percent;
        }
        println!("| {name} | {percent:.3} % | {:.0} | {} MiB |", percent / ours, rss / 1024);
    }
    Ok(())
}

/// A thousand different stills at once.
pub fn stills() -> Result {
    const STREAMS: usize = 1000;
    let server = Server::sidecar("limits: {frame_memory: 2G}")?;
    runtime()?.block_on(async {
        let mut bytes = 0;
        for n in 0..STREAMS {
            let data = still(n as u32)?;
            bytes += data.len();
            put(&server, &format!("s{n}"), data).await?;
        }
        let jpegs = bytes / STREAMS;
        let before = server.rss_kib();
        let began = Instant::now();
        let started = Arc::new(AtomicUsize::new(0));
        let mut tasks = vec![];
        for n in 0..STREAMS {
            let (addr, started) = (server.rtsp, Arc::clone(&started));
            tasks.push(tokio::task::spawn(async move {
                let run = async {
                    let mut puller = Puller::connect(addr, &format!("s{n}")).await?;
                    puller.play().await?;
                    let first = puller.picture().await?;
                    let mut all = started.fetch_add(1, Ordering::Relaxed) + 1 == STREAMS;
                    while !all {
                        puller.pictures(Duration::from_secs(1)).await?;
                        all = started.load(Ordering::Relaxed) == STREAMS;
                    }
                    Ok::<_, Box<dyn std::error::Error>>((puller, first))
                };
                run.await.map_err(|e| e.to_string())
            }));
        }
        let mut pullers = vec![];
        let mut encoded = 0;
        for task in tasks {
            let (puller, first) = task.await??;
            encoded += first.bytes;
            pullers.push(puller);
        }
        let encoded = encoded / STREAMS;
        println!("All {STREAMS} have their first picture after {:.1} s (each is encoded once).", began.elapsed().as_secs_f64());
        let reading: Vec<_> = pullers
            .into_iter()
            .map(|mut puller| {
                tokio::task::spawn(async move {
                    let _ = puller.pictures(Duration::from_secs(8)).await;
                    let pictures = puller.pictures(Duration::from_secs(20)).await.map_err(|e| e.to_string())?;
                    Ok::<_, String>((puller, pictures))
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (cpu, at) = (server.cpu_exact(), Instant::now());
        tokio::time::sleep(Duration::from_secs(15)).await;
        let used = (server.cpu_exact() - cpu).as_secs_f64() / at.elapsed().as_secs_f64();
        let rss = server.rss_kib();
        let (mut late, mut count, mut gone) = (vec![], 0, 0);
        for task in reading {
            match task.await? {
                Ok((_, pictures)) => {
                    count += pictures.len();
                    let gaps = pictures.windows(2).map(|w| w[1].at - w[0].at);
                    late.extend(gaps.map(|gap| gap.saturating_sub(Duration::from_secs(1))));
                }
                Err(_) => gone += 1,
            }
        }
        late.sort();
        println!(
            "Steady state: {:.1} % of a core, {count} pictures in 20 s ({gone} readers lost), lateness p50 {} · p99 {} · worst {}.",
            used * 100.0,
            ms(percentile(&late, 50)),
            ms(percentile(&late, 99)),
            ms(late.last().copied().unwrap_or_default())
        );
        println!(
            "Resident: {} MiB before, {} MiB with all pulled: {} KiB a stream; its JPEG has {} KiB (counted before), its H.264 {} KiB.",
            before / 1024,
            rss / 1024,
            (rss.saturating_sub(before)) as usize / STREAMS,
            jpegs / 1024,
            encoded / 1024
        );
        Ok(())
    })
}

/// From DESCRIBE to the first complete picture.
pub fn first() -> Result {
    const RUNS: u32 = 20;
    let server = Server::sidecar("")?;
    runtime()?.block_on(async {
        let (mut first, mut second) = (vec![], vec![]);
        for run in 0..RUNS {
            put(&server, &format!("s{run}"), still(run)?).await?;
            let mut held = vec![];
            for times in [&mut first, &mut second] {
                let mut puller = Puller::connect(server.rtsp, &format!("s{run}")).await?;
                let began = Instant::now();
                puller.play().await?;
                if !puller.picture().await?.is_idr {
                    return Err("the first picture is no keyframe".into());
                }
                times.push(began.elapsed());
                held.push(puller);
            }
        }
        for (name, mut times) in [("first", first), ("second", second)] {
            times.sort();
            println!(
                "The {name} reader of a held 1080p picture has it after {} (p50; worst of {RUNS}: {}).",
                ms(percentile(&times, 50)),
                ms(times[times.len() - 1])
            );
        }
        Ok(())
    })
}

/// 640 × 480 at 15 pictures a second.
pub fn moving() -> Result {
    const SECONDS: u64 = 20;
    let server = Server::sidecar("")?;
    let folder = tempfile::tempdir()?;
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=640x480:r=15,noise=alls=6:allf=t",
            "-frames:v",
            "150",
            "-q:v",
            "5",
        ])
        .arg(folder.path().join("%03d.jpg"))
        .status()?;
    if !made.success() {
        return Err("ffmpeg cannot make pictures".into());
    }
    let mut pictures = vec![];
    for n in 1..=150 {
        pictures.push(std::fs::read(folder.path().join(format!("{n:03}.jpg")))?);
    }
    runtime()?.block_on(async {
        let addr = server.addr;
        put(&server, "cam", pictures[0].clone()).await?;
        let feed = tokio::spawn(async move {
            let feed = async {
                let mut socket = tokio::net::TcpStream::connect(addr).await?;
                let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / 15));
                let mut answer = [0; 1024];
                for data in pictures.iter().cycle() {
                    ticks.tick().await;
                    let head = format!("PUT /api/v1/streams/cam/frame HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", data.len());
                    socket.write_all(head.as_bytes()).await?;
                    socket.write_all(data).await?;
                    if socket.read(&mut answer).await? == 0 {
                        break;
                    }
                }
                Ok::<_, std::io::Error>(())
            };
            feed.await.map_err(|e| e.to_string())
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        let cpu = server.cpu_exact();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let alone = (server.cpu_exact() - cpu).as_secs_f64() / 5.0;
        let mut puller = Puller::connect(server.rtsp, "cam").await?;
        puller.play().await?;
        puller.pictures(Duration::from_secs(3)).await?;
        let cpu = server.cpu_exact();
        let seen = puller.pictures(Duration::from_secs(SECONDS)).await?;
        let used = (server.cpu_exact() - cpu).as_secs_f64() / SECONDS as f64;
        feed.abort();
        let bits: usize = seen.iter().map(|p| 8 * p.bytes).sum();
        println!(
            "640 × 480 MJPEG at 15 a second in, H.264 out: {:.1} % of a core (of which taking the pictures in: {:.1} %), {:.1} pictures a second, {} keyframes, {:.1} Mbit/s.",
            used * 100.0,
            alone * 100.0,
            seen.len() as f64 / SECONDS as f64,
            seen.iter().filter(|p| p.is_idr).count(),
            bits as f64 / SECONDS as f64 / 1e6
        );
        Ok(())
    })
}
