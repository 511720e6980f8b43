//! `make soak`: a server under a mixed load for a long time. It fails when memory or open files grow, or when a watcher sees no pictures.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_http::ws::{Codec, Frame, Message};
use bytes::BytesMut;
use mtx_sidecar::{
    multipart::Splitter,
    picture::{BOUNDARY, jpeg},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tokio_util::codec::{Decoder, Encoder};

use crate::{
    Result,
    process::Server,
    puller::Puller,
    rtsp::put,
    variants::photo,
    watcher::{picture, upload},
};

/// A stream is idle soon after its last watcher, so that visitors start it repeatedly.
const SETTINGS: &str = "
stream_defaults: {linger: 100ms}
streams:
  card: {kind: test-card, width: 320, height: 180, fps: 10}
  lazy: {kind: test-card, width: 160, height: 90, fps: 10}
  pushed: {kind: upload}
  still: {kind: upload}
";

/// Every watcher must have received a new picture in this time.
const WINDOW: Duration = Duration::from_secs(10);

/// Between the first and the last quarter of the samples memory can grow by a tenth and this amount, which the allocator keeps for threads
/// that were not busy before.
const SLACK_KIB: u64 = 8 << 10;

/// The number of open connections can vary by this amount.
const SLACK_FILES: u64 = 16;

/// A client that runs until it fails.
type Client = Pin<Box<dyn Future<Output = std::result::Result<Infallible, String>> + Send>>;

pub fn run(seconds: u64) -> Result {
    let server = Server::sidecar(SETTINGS)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(soak(&server, seconds))
}

async fn soak(server: &Server, seconds: u64) -> Result {
    let addr = server.addr;
    put(server, "still", photo(640, 360, 1)?).await?;
    let mut clients = JoinSet::new();
    let mut counts = vec![];
    let mut start = |name: String, client: &dyn Fn(Arc<AtomicU64>) -> Client| {
        let count = Arc::new(AtomicU64::new(0));
        counts.push((name.clone(), count.clone(), 0));
        let client = client(count);
        clients.spawn(async move {
            let Err(problem) = client.await;
            format!("{name}: {problem}")
        });
    };
    start("an uploader".into(), &|count| Box::pin(push(addr, count)));
    for path in [
        "/stream/card.mjpeg",
        "/stream/card.mjpeg?w=160&quality=60",
        "/stream/card.mjpeg?fps=5&gray=1",
        "/stream/pushed.mjpeg",
    ] {
        start(format!("MJPEG of {path}"), &|count| Box::pin(mjpeg(addr, path.to_owned(), u64::MAX, count)));
    }
    for stream in ["card", "pushed"] {
        start(format!("WebSocket of {stream}"), &|count| Box::pin(websocket(addr, stream, count)));
    }
    start("RTSP of card".into(), &|count| Box::pin(video(server.rtsp, "card", u64::MAX, count)));
    for path in ["/stream/card.mjpeg", "/stream/lazy.mjpeg", "/stream/lazy.mjpeg?w=80"] {
        start(format!("visitors of {path}"), &|count| Box::pin(mjpeg(addr, path.to_owned(), 2, count)));
    }
    start("visitors by RTSP".into(), &|count| Box::pin(video(server.rtsp, "lazy", 2, count)));
    start("snapshots".into(), &|count| Box::pin(snapshots(addr, count)));

    let (began, mut samples, mut looked) = (Instant::now(), vec![], Instant::now());
    while began.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Some(problem) = clients.try_join_next() {
            return Err(problem?.into());
        }
        if looked.elapsed() >= WINDOW {
            looked = Instant::now();
            for (name, count, before) in &mut counts {
                let now = count.load(Ordering::Relaxed);
                if now == *before {
                    return Err(format!("{name}: nothing new in {} s, {now} in all", WINDOW.as_secs()).into());
                }
                *before = now;
            }
        }
        // The first quarter of the time is for memory that is allocated once.
        if began.elapsed() >= Duration::from_secs(seconds / 4) {
            samples.push((server.rss_kib(), server.open_files()));
        }
    }
    for (name, count, _) in &counts {
        println!("{name}: {}", count.load(Ordering::Relaxed));
    }
    judge(&samples)
}

fn judge(samples: &[(u64, u64)]) -> Result {
    let quarter = samples.len() / 4;
    if quarter < 5 {
        return Err("a soak takes at least 30 s".into());
    }
    let mean =
        |samples: &[(u64, u64)], of: fn(&(u64, u64)) -> u64| samples.iter().map(of).sum::<u64>() / quarter as u64;
    let (early, late) = (&samples[..quarter], &samples[samples.len() - quarter..]);
    let memory = (mean(early, |s| s.0), mean(late, |s| s.0));
    let files = (mean(early, |s| s.1), mean(late, |s| s.1));
    println!("memory: {} KiB early, {} KiB late; open files: {} early, {} late", memory.0, memory.1, files.0, files.1);
    if memory.1 > memory.0 + memory.0 / 10 + SLACK_KIB {
        return Err(format!("memory grows: from {} to {} KiB", memory.0, memory.1).into());
    }
    if files.1 > files.0 + SLACK_FILES {
        return Err(format!("open files grow: from {} to {}", files.0, files.1).into());
    }
    Ok(())
}

async fn get(addr: SocketAddr, path: &str, headers: &str) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(addr).await?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n").as_bytes()).await?;
    Ok(socket)
}

/// One visit after another, each with this number of pictures.
async fn mjpeg(
    addr: SocketAddr,
    path: String,
    pictures: u64,
    count: Arc<AtomicU64>,
) -> std::result::Result<Infallible, String> {
    let mut data = vec![0; 1 << 16];
    loop {
        let mut socket = get(addr, &path, "").await.map_err(|e| e.to_string())?;
        let mut splitter = Splitter::new(Some(&format!("multipart/x-mixed-replace; boundary={BOUNDARY}")), 1 << 20);
        let mut seen = 0;
        while seen < pictures {
            let n = socket.read(&mut data).await.map_err(|e| e.to_string())?;
            if n == 0 || (seen == 0 && data.starts_with(b"HTTP/1.1 ") && !data.starts_with(b"HTTP/1.1 200")) {
                return Err(format!("ended after {seen} pictures: {}", String::from_utf8_lossy(&data[..n.min(300)])));
            }
            splitter.feed(&data[..n]);
            while let Some(part) = splitter.next_part().map_err(|fault| fault.to_string())? {
                jpeg::inspect(&part.data).map_err(|fault| fault.to_string())?;
                seen += 1;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(socket);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn websocket(
    addr: SocketAddr,
    stream: &'static str,
    count: Arc<AtomicU64>,
) -> std::result::Result<Infallible, String> {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut socket = get(addr, &format!("/ws/{stream}"), upgrade).await.map_err(|e| e.to_string())?;
    let (mut data, mut codec) = (BytesMut::new(), Codec::new().client_mode().max_size(1 << 20));
    let mut is_open = false;
    loop {
        if socket.read_buf(&mut data).await.map_err(|e| e.to_string())? == 0 {
            return Err(format!("closed: {}", String::from_utf8_lossy(&data)));
        }
        if !is_open && let Some(end) = memchr::memmem::find(&data, b"\r\n\r\n") {
            let head = data.split_to(end + 4);
            is_open = head.starts_with(b"HTTP/1.1 101");
        }
        while is_open && let Some(frame) = codec.decode(&mut data).map_err(|e| e.to_string())? {
            match frame {
                Frame::Binary(picture) => {
                    jpeg::inspect(&picture).map_err(|fault| fault.to_string())?;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                // The server disconnects a client that does not answer.
                Frame::Ping(data) => {
                    let mut pong = BytesMut::new();
                    codec.encode(Message::Pong(data), &mut pong).map_err(|e| e.to_string())?;
                    socket.write_all(&pong).await.map_err(|e| e.to_string())?;
                }
                _ => {}
            }
        }
    }
}

async fn video(
    addr: SocketAddr,
    stream: &'static str,
    pictures: u64,
    count: Arc<AtomicU64>,
) -> std::result::Result<Infallible, String> {
    loop {
        let mut puller = Puller::connect(addr, stream).await.map_err(|e| e.to_string())?;
        puller.play().await.map_err(|e| e.to_string())?;
        for _ in 0..pictures {
            puller.picture().await.map_err(|e| e.to_string())?;
            count.fetch_add(1, Ordering::Relaxed);
        }
        drop(puller);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Ten pictures a second on one connection.
async fn push(addr: SocketAddr, count: Arc<AtomicU64>) -> std::result::Result<Infallible, String> {
    let epoch = Instant::now();
    for first in (1..).step_by(10) {
        let (path, numbers) = ("/api/v1/streams/pushed/frame", first..first + 10);
        upload(addr, path, picture(20_000), numbers, Duration::from_millis(100), epoch)
            .await
            .map_err(|e| e.to_string())?;
        count.fetch_add(10, Ordering::Relaxed);
    }
    unreachable!("numbers do not end")
}

/// Snapshots of a still in sizes that are always different, so that the cache of conversions is full and stays at its limit.
async fn snapshots(addr: SocketAddr, count: Arc<AtomicU64>) -> std::result::Result<Infallible, String> {
    for n in 0_u64.. {
        let (width, quality) = (100 + n % 500, 40 + n / 500 % 50);
        let path = format!("/snapshot/still.jpg?w={width}&quality={quality}");
        let mut socket = get(addr, &path, "Connection: close\r\n").await.map_err(|e| e.to_string())?;
        let mut answer = vec![];
        socket.read_to_end(&mut answer).await.map_err(|e| e.to_string())?;
        let body = memchr::memmem::find(&answer, b"\r\n\r\n").map_or(0, |end| end + 4);
        jpeg::inspect(&answer[body..]).map_err(|_| String::from_utf8_lossy(&answer[..body]).into_owned())?;
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("numbers do not end")
}
