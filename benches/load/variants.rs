//! Variants: snapshots of warm streams, a wall of thumbnails, and many sizes of one stream.

use std::{
    net::SocketAddr,
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
    process::{Server, ms, percentile},
};

/// All permissions for this machine, including the metrics.
const OPEN: &str = "auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: read}, {action: publish}, {action: metrics}]}]}\nvariants: {threads: 1}";

/// A 1080p JPEG with structure in it, different for every number.
pub fn photo(width: u32, height: u32, number: u32) -> Result<Vec<u8>> {
    photo_of(width, height, number, 85)
}

/// The same in another quality of JPEG.
pub fn photo_of(width: u32, height: u32, number: u32, quality: i32) -> Result<Vec<u8>> {
    let mut rgb = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let (fx, fy) = (x as f32 / 37.0 + number as f32, y as f32 / 29.0);
            let grain = ((x * 7919 + y * 104_729 + number) % 23) as f32;
            rgb.push((127.0 + 100.0 * (fx + fy / 3.0).sin() + grain) as u8);
            rgb.push((127.0 + 100.0 * (fy - fx / 5.0).cos() + grain) as u8);
            rgb.push(((x * 255) / width) as u8);
        }
    }
    Ok(mtx_sidecar::picture::encode_rgb(&rgb, width, height, quality)?.to_vec())
}

/// A connection that is kept open.
struct Client {
    addr: SocketAddr,
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(addr: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(addr).await?;
        socket.set_nodelay(true)?;
        Ok(Client { addr, socket, buffer: Vec::with_capacity(1 << 20) })
    }

    async fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", self.addr, body.len());
        self.socket.write_all(head.as_bytes()).await?;
        self.socket.write_all(body).await?;
        self.buffer.clear();
        loop {
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Err("closed".into());
            }
            let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n").map(|at| at + 4) else { continue };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 2") {
                return Err(String::from_utf8_lossy(&self.buffer).into_owned().into());
            }
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            if self.buffer.len() >= end + length.unwrap_or(0) {
                return Ok(self.buffer[end..].to_vec());
            }
        }
    }

    async fn figure(&mut self, name: &str) -> Result<f64> {
        let text = String::from_utf8(self.ask("GET", "/metrics", b"").await?)?;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("mtx_sidecar_{name} ")));
        Ok(line.ok_or_else(|| format!("no {name}"))?.parse()?)
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Snapshots of a stream that has a new 1080p picture ten times a second.
pub fn snapshots() -> Result {
    let server = Server::sidecar(OPEN)?;
    runtime()?.block_on(async {
        let pictures: Vec<_> = (0..10).map(|n| photo(1920, 1080, n)).collect::<Result<_>>()?;
        println!(
            "1080p pictures of {} KB, ten new ones a second; one snapshot after the other:\n",
            pictures[0].len() / 1000
        );
        println!("| snapshot | p50 | p99 | worst | encoded of |");
        println!("|---|---|---|---|---|");
        let addr = server.addr;
        let mut first = Client::connect(addr).await?;
        first.ask("PUT", "/api/v1/streams/cam/frame", &pictures[0]).await?;
        let uploading = tokio::spawn(async move {
            let Ok(mut client) = Client::connect(addr).await else { return };
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            for picture in pictures.iter().cycle() {
                ticks.tick().await;
                if client.ask("PUT", "/api/v1/streams/cam/frame", picture).await.is_err() {
                    return;
                }
            }
        });
        for (what, query) in
            [("as it is", ""), ("`w=320`", "?w=320"), ("`w=1280`", "?w=1280"), ("`rotate=90`", "?rotate=90")]
        {
            let before = first.figure("variant_encoded_total").await? + first.figure("variant_lossless_total").await?;
            let mut times = vec![];
            let mut client = Client::connect(addr).await?;
            let mut ticks = tokio::time::interval(Duration::from_millis(7));
            while times.len() < 1000 {
                ticks.tick().await;
                let began = Instant::now();
                client.ask("GET", &format!("/snapshot/cam.jpg{query}"), b"").await?;
                times.push(began.elapsed());
            }
            let made =
                first.figure("variant_encoded_total").await? + first.figure("variant_lossless_total").await? - before;
            times.sort();
            let worst = times.last().copied().unwrap_or_default();
            println!(
                "| {what} | {} | {} | {} | {made} of 1000 |",
                ms(percentile(&times, 50)),
                ms(percentile(&times, 99)),
                ms(worst)
            );
        }
        uploading.abort();
        Ok(())
    })
}

/// A page with fifty thumbnails of fifty 1080p streams, six connections as a browser has them.
pub fn thumbnails() -> Result {
    const STREAMS: usize = 50;
    let server = Server::sidecar(OPEN)?;
    runtime()?.block_on(async {
        let mut client = Client::connect(server.addr).await?;
        println!("| refresh of {STREAMS} thumbnails, `w=320` | all there after | CPU | encoded |");
        println!("|---|---|---|---|");
        for (round, what) in ["all pictures are new", "none is new", "all pictures are new"].into_iter().enumerate() {
            if round != 1 {
                for n in 0..STREAMS {
                    let picture = photo(1920, 1080, (100 * round + n) as u32)?;
                    client.ask("PUT", &format!("/api/v1/streams/wall/{n}/frame"), &picture).await?;
                }
            }
            let (before, cpu) = (client.figure("variant_encoded_total").await?, server.cpu_exact());
            let began = Instant::now();
            let lanes = (0..6).map(|lane| {
                let addr = server.addr;
                async move {
                    let mut client = Client::connect(addr).await?;
                    for n in (lane..STREAMS).step_by(6) {
                        client.ask("GET", &format!("/snapshot/wall/{n}.jpg?w=320"), b"").await?;
                    }
                    Ok::<_, Box<dyn std::error::Error>>(())
                }
            });
            for lane in futures_util::future::join_all(lanes).await {
                lane?;
            }
            let (took, cpu) = (began.elapsed(), server.cpu_exact() - cpu);
            let made = client.figure("variant_encoded_total").await? - before;
            println!("| {what} | {} | {} | {made} |", ms(took), ms(cpu));
        }
        Ok(())
    })
}

/// Eight sizes of one 1080p stream, watched by one and by eight each.
pub fn sizes() -> Result {
    const SECONDS: u64 = 10;
    let server = Server::sidecar(OPEN)?;
    runtime()?.block_on(async {
        let pictures: Vec<_> = (0..10).map(|n| photo(1920, 1080, n)).collect::<Result<_>>()?;
        let mut client = Client::connect(server.addr).await?;
        println!("| watchers of 8 sizes (160 to 1280) at 5 pictures a second | encoded a picture | CPU of one core | delivered |");
        println!("|---|---|---|---|");
        for each in [1, 8] {
            client.ask("PUT", "/api/v1/streams/cam/frame", &pictures[0]).await?;
            let parts = Arc::new(AtomicU64::new(0));
            let mut watchers = vec![];
            for n in 0..8 * each {
                let (addr, parts) = (server.addr, parts.clone());
                watchers.push(tokio::spawn(async move {
                    let mut socket = TcpStream::connect(addr).await?;
                    let path = format!("/stream/cam.mjpeg?w={}&interval=3600000", 160 * (1 + n % 8));
                    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes()).await?;
                    let mut data = vec![0; 1 << 18];
                    loop {
                        let n = socket.read(&mut data).await?;
                        if n == 0 {
                            return Ok::<_, std::io::Error>(());
                        }
                        let heads = memchr::memmem::find_iter(&data[..n], b"Content-Length: ").count();
                        parts.fetch_add(heads as u64, Ordering::Relaxed);
                    }
                }));
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            let before = client.figure("variant_encoded_total").await?;
            let (cpu, delivered) = (server.cpu_exact(), parts.load(Ordering::Relaxed));
            let mut ticks = tokio::time::interval(Duration::from_millis(200));
            for n in 0..5 * SECONDS {
                ticks.tick().await;
                client.ask("PUT", "/api/v1/streams/cam/frame", &pictures[(n as usize + 1) % 10]).await?;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            let made = client.figure("variant_encoded_total").await? - before;
            let cpu = (server.cpu_exact() - cpu).as_secs_f64() / SECONDS as f64;
            let delivered = parts.load(Ordering::Relaxed) - delivered;
            println!(
                "| {} | {:.2} | {:.0} % | {delivered} of {} |",
                8 * each,
                made / (5 * SECONDS) as f64,
                100.0 * cpu,
                5 * SECONDS * 8 * each
            );
            watchers.iter().for_each(|watcher| watcher.abort());
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        Ok(())
    })
}
