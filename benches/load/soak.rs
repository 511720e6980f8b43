//! `make soak`: a server under a load of everything for a long time. It fails when memory, open files, threads or tasks grow, when
//! pictures come later than at the beginning, or when a watcher sees none.

mod peers;

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

use self::peers::Peers;
use crate::{
    Result,
    mqtt::metric,
    process::{Server, ms, percentile},
    puller::Puller,
    rtsp::put,
    variants::photo,
    watcher::{self, Tally, picture, upload},
};

/// A stream is idle soon after its last watcher, so that visitors start it repeatedly. The last lines go on with the streams of the
/// peers.
const SETTINGS: &str = "
stream_defaults: {linger: 100ms}
auth: {users: [{user: any, ips: [127.0.0.1], permissions: [{action: read}, {action: publish}, {action: api}, {action: metrics}]}]}
";
const STREAMS: &str = "  card: {kind: test-card, width: 320, height: 180, fps: 10}
  lazy: {kind: test-card, width: 160, height: 90, fps: 10}
  pushed: {kind: upload}
  still: {kind: upload}
";

/// Every watcher must have received a new picture in this time. A restart of MediaMTX takes a second or two of it.
const WINDOW: Duration = Duration::from_secs(15);

/// Between the first and the last quarter of the samples memory can grow by a tenth and this amount, which the allocator keeps for threads
/// that were not busy before.
const SLACK_KIB: u64 = 8 << 10;

/// The number of open connections, threads and tasks can vary by this amount.
const SLACK: u64 = 16;

/// The latency of an uploaded picture can vary by this amount: the load and MediaMTX's restarts use the same cores.
const SLACK_LATENCY: Duration = Duration::from_millis(50);

/// A client that runs until it fails.
type Client = Pin<Box<dyn Future<Output = std::result::Result<Infallible, String>> + Send>>;

/// What is looked at each second.
#[derive(Clone, Copy)]
struct Sample {
    rss_kib: u64,
    files: u64,
    threads: u64,
    tasks: u64,
}

pub fn run(seconds: u64) -> Result {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(soak(seconds))
}

async fn soak(seconds: u64) -> Result {
    let peers = Peers::new().await?;
    let server = &Server::sidecar(&format!("{SETTINGS}{}{STREAMS}", peers.settings()))?;
    let addr = server.addr;
    peers.restart_forever(server)?;
    peers.publish_forever()?;
    put(server, "still", photo(640, 360, 1)?).await?;
    // A camera by RTSP: the server itself.
    define(addr, "lens", &format!(r#"{{"kind": "rtsp", "url": "rtsp://{}/card"}}"#, server.rtsp)).await?;
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
    let (epoch, tally) = (Instant::now(), Arc::new(Tally::default()));
    start("an uploader".into(), &|count| Box::pin(push(addr, count, epoch)));
    let mut watched = vec![
        "/stream/card.mjpeg",
        "/stream/card.mjpeg?w=160&quality=60",
        "/stream/card.mjpeg?fps=5&gray=1",
        "/stream/pushed.mjpeg",
        "/stream/udp.mjpeg",
        "/stream/lens.mjpeg",
    ];
    if peers.has_broker() {
        watched.push("/stream/topic.mjpeg");
    }
    for path in watched {
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
    start("clients that vanish".into(), &|count| Box::pin(vanish(addr, count)));
    start("wrong passwords".into(), &|count| Box::pin(guess(addr, count)));
    if let Some(host) = peers.host() {
        start("a reader at MediaMTX".into(), &|count| Box::pin(read_at_mediamtx(host, count)));
    }
    tokio::spawn({
        let tally = tally.clone();
        async move { watcher::watch(addr, "/stream/pushed.mjpeg".into(), tally, epoch).await }
    });

    let (began, mut samples, mut looked) = (Instant::now(), vec![], Instant::now());
    let mut early = 0;
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
            if samples.is_empty() {
                early = tally.latencies.lock().expect("whole").len();
            }
            let tasks = tokio::task::block_in_place(|| metric(server, "tasks"))? as u64;
            let (rss_kib, files, threads) = (server.rss_kib(), server.open_files(), server.threads());
            samples.push(Sample { rss_kib, files, threads, tasks });
        }
    }
    for (name, count, _) in &counts {
        println!("{name}: {}", count.load(Ordering::Relaxed));
    }
    let latencies = tally.latencies.lock().expect("whole").split_off(early);
    judge(&samples, &latencies)
}

fn judge(samples: &[Sample], latencies: &[Duration]) -> Result {
    let quarter = samples.len() / 4;
    if quarter < 5 {
        return Err("a soak takes at least 30 s".into());
    }
    let mean = |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).sum::<u64>() / quarter as u64;
    let (early, late) = (&samples[..quarter], &samples[samples.len() - quarter..]);
    let mut grown = vec![];
    let mut compare = |what: &str, of: fn(&Sample) -> u64, slack: fn(u64) -> u64| {
        let (early, late) = (mean(early, of), mean(late, of));
        println!("{what}: {early} early, {late} late");
        if late > early + slack(early) {
            grown.push(format!("{what}: from {early} to {late}"));
        }
    };
    compare("memory in KiB", |sample| sample.rss_kib, |early| early / 10 + SLACK_KIB);
    compare("open files", |sample| sample.files, |_| SLACK);
    compare("threads", |sample| sample.threads, |_| SLACK);
    compare("tasks", |sample| sample.tasks, |_| SLACK);
    let sorted = |part: &[Duration]| {
        let mut part = part.to_vec();
        part.sort();
        part
    };
    let quarter = latencies.len() / 4;
    let (early, late) = (sorted(&latencies[..quarter]), sorted(&latencies[latencies.len() - quarter..]));
    for percent in [50, 95] {
        let (early, late) = (percentile(&early, percent), percentile(&late, percent));
        println!("latency of an uploaded picture, {percent} %: {} early, {} late", ms(early), ms(late));
        if late > early * 2 + SLACK_LATENCY {
            grown.push(format!("latency: from {} to {}", ms(early), ms(late)));
        }
    }
    if grown.is_empty() { Ok(()) } else { Err(format!("these grow: {}", grown.join("; ")).into()) }
}

/// Defines a stream by the API.
async fn define(addr: SocketAddr, name: &str, definition: &str) -> Result {
    let answer = exchange(addr, "PUT", &format!("/api/v1/streams/{name}"), definition).await?;
    if answer.starts_with("HTTP/1.1 201") { Ok(()) } else { Err(answer.into()) }
}

/// The whole answer to a request with a body of JSON.
async fn exchange(addr: SocketAddr, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(addr).await?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    socket.write_all(format!("{head}Content-Type: application/json\r\n\r\n{body}").as_bytes()).await?;
    let mut answer = vec![];
    socket.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Watchers that stop reading, and are gone without a farewell: the connection is reset.
async fn vanish(addr: SocketAddr, count: Arc<AtomicU64>) -> std::result::Result<Infallible, String> {
    loop {
        let mut socket = get(addr, "/stream/card.mjpeg", "").await.map_err(|e| e.to_string())?;
        let mut head = [0; 64];
        socket.read_exact(&mut head).await.map_err(|e| e.to_string())?;
        tokio::time::sleep(Duration::from_millis(700)).await;
        socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).map_err(|e| e.to_string())?;
        drop(socket);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sign-ins with a wrong password, all of which are refused.
async fn guess(addr: SocketAddr, count: Arc<AtomicU64>) -> std::result::Result<Infallible, String> {
    loop {
        let body = r#"{"user": "admin", "pass": "wrong"}"#;
        let answer = exchange(addr, "POST", "/api/v1/login", body).await.map_err(|e| e.to_string())?;
        if !["HTTP/1.1 401", "HTTP/1.1 429"].iter().any(|refused| answer.starts_with(refused)) {
            return Err(answer);
        }
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Reads our stream at MediaMTX, again after each of its restarts.
async fn read_at_mediamtx(host: SocketAddr, count: Arc<AtomicU64>) -> std::result::Result<Infallible, String> {
    loop {
        // It is away for a moment.
        let Err(_) = read_once(host, &count).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn read_once(host: SocketAddr, count: &AtomicU64) -> std::result::Result<Infallible, String> {
    let mut puller = Puller::connect(host, "pictures/card").await.map_err(|e| e.to_string())?;
    puller.play().await.map_err(|e| e.to_string())?;
    loop {
        puller.picture().await.map_err(|e| e.to_string())?;
        count.fetch_add(1, Ordering::Relaxed);
    }
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
async fn push(addr: SocketAddr, count: Arc<AtomicU64>, epoch: Instant) -> std::result::Result<Infallible, String> {
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
