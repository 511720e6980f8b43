//! The signalling of UV4L cameras: messages through the relay, beside the same messages by WebSocket to the same camera without
//! the sidecar.
//!
//! The camera is a part of this process, so that a message has one clock at both of its ends. Each viewer has a call, sends a
//! candidate at a fixed rate, and gets one of the camera for each.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use actix_http::ws::hash_key;
use bytes::BytesMut;
use mtx_sidecar::websocket::{Incoming, Socket};
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::MissedTickBehavior,
};

use crate::{
    Result,
    process::{Server, percentile},
};

const SESSIONS: u32 = 200;

/// Four messages a second of each viewer are more than a call has, whose some thirty candidates come within seconds. A call has at
/// most 200 messages of each side, so that the measurement ends before.
const EVERY: Duration = Duration::from_millis(250);
const SECONDS: u64 = 30;

/// Timeout of a peer on either side; the measurement is shorter.
const TIMEOUT: Duration = Duration::from_secs(300);

const MAX_MESSAGE: usize = 64 << 10;

/// An offer with the sections of UV4L.
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio video data\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:audio\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:video\r\na=sendonly\r\na=rtpmap:98 H264/90000\r\n\
    m=application 9 DTLS/SCTP 5000\r\na=mid:data\r\n";

/// What all tasks of a measurement share.
struct Shared {
    epoch: Instant,
    /// Calls with an answer.
    answered: AtomicUsize,
    /// Open connections of the camera.
    open: AtomicUsize,
    /// From sending a message to receiving it, in both directions.
    latencies: Mutex<Vec<Duration>>,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Shared {
            epoch: Instant::now(),
            answered: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            latencies: Mutex::default(),
        })
    }

    /// A message with a candidate that has the time.
    fn candidate(&self, what: &str) -> String {
        let text = format!("candidate:{} 1 udp 2122260223 192.0.2.1 50000 typ host", self.epoch.elapsed().as_nanos());
        message(what, &json!({"candidate": text, "sdpMid": "video", "sdpMLineIndex": 1}))
    }

    /// Notes how long a message with a candidate took.
    fn received(&self, text: &str) -> Result {
        let time = text.split("candidate:").nth(1).and_then(|rest| rest.split(' ').next()).ok_or("no candidate")?;
        let sent = Duration::from_nanos(time.parse()?);
        self.latencies.lock().push(self.epoch.elapsed().saturating_sub(sent));
        Ok(())
    }
}

/// A message as UV4L has it: JSON within JSON.
fn message(what: &str, data: &serde_json::Value) -> String {
    json!({"what": what, "data": data.to_string()}).to_string()
}

/// Reads the head of a request or of an answer.
async fn head(socket: &mut TcpStream) -> Result<(String, BytesMut)> {
    let mut data = BytesMut::new();
    loop {
        if let Some(end) = memchr::memmem::find(&data, b"\r\n\r\n") {
            let head = data.split_to(end + 4);
            return Ok((String::from_utf8_lossy(&head).into_owned(), data));
        }
        if socket.read_buf(&mut data).await? == 0 {
            return Err("the connection ends".into());
        }
    }
}

/// A camera that answers each candidate with one.
async fn camera(shared: Arc<Shared>) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let shared = shared.clone();
            tokio::spawn(async move {
                shared.open.fetch_add(1, Relaxed);
                let _ = call(socket, &shared).await;
                shared.open.fetch_sub(1, Relaxed);
            });
        }
    });
    Ok(addr)
}

async fn call(mut socket: TcpStream, shared: &Shared) -> Result {
    socket.set_nodelay(true)?;
    let (head, _) = head(&mut socket).await?;
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key").then_some(value)
    });
    let accept = hash_key(key.ok_or("no key")?.as_bytes());
    let accept = String::from_utf8_lossy(&accept);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).await?;
    let mut socket = Socket::new(socket, MAX_MESSAGE, TIMEOUT);
    loop {
        match socket.receive().await.map_err(|_| "the connection ends")? {
            Incoming::Text(text) if text.contains("candidate:") => {
                shared.received(&text)?;
                let answer = shared.candidate("iceCandidate");
                socket.text(&answer).await.map_err(|left| left.reason())?;
            }
            Incoming::Text(text) if text.contains("\"call\"") => {
                let offer = message("offer", &json!({"type": "offer", "sdp": OFFER}));
                socket.text(&offer).await.map_err(|left| left.reason())?;
            }
            Incoming::Text(text) if text.contains("\"answer\"") => {
                shared.answered.fetch_add(1, Relaxed);
            }
            Incoming::Ping(data) => socket.pong(&data).await.map_err(|left| left.reason())?,
            Incoming::Close => {
                socket.answer_close().await;
                return Ok(());
            }
            _ => {}
        }
    }
}

/// A viewer: calls, answers, and sends candidates until it is dropped. The first one goes out after `offset`, so that the messages of
/// all viewers are spread over the time.
async fn viewer(addr: SocketAddr, path: &str, offset: Duration, shared: &Shared) -> Result {
    let mut socket = TcpStream::connect(addr).await?;
    socket.set_nodelay(true)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let (head, behind) = head(&mut socket).await?;
    if !head.starts_with("HTTP/1.1 101") {
        return Err(head.into());
    }
    let mut socket = Socket::client(socket, behind, MAX_MESSAGE, TIMEOUT);
    let call = json!({"what": "call", "options": {"force_hw_vcodec": true, "vformat": 60, "trickle_ice": true}});
    socket.text(&call.to_string()).await.map_err(|left| left.reason())?;
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + Duration::from_secs(2) + offset, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_answered = false;
    loop {
        tokio::select! {
            _ = ticks.tick(), if has_answered => {
                socket.text(&shared.candidate("addIceCandidate")).await.map_err(|left| left.reason())?;
            }
            incoming = socket.receive() => match incoming.map_err(|_| "the connection ends")? {
                Incoming::Text(text) if text.contains("candidate:") => shared.received(&text)?,
                Incoming::Text(text) if text.contains("\"offer\"") => {
                    let answer = json!({"type": "answer", "sdp": OFFER.replace("sendonly", "recvonly")});
                    socket.text(&message("answer", &answer)).await.map_err(|left| left.reason())?;
                    has_answered = true;
                }
                Incoming::Text(text) => return Err(text.into()),
                Incoming::Ping(data) => socket.pong(&data).await.map_err(|left| left.reason())?,
                Incoming::Close => return Err("the other side closes the connection".into()),
                _ => {}
            },
        }
    }
}

struct Figures {
    /// Sorted.
    latencies: Vec<Duration>,
    /// Memory of each session, in KiB; none without the sidecar.
    memory: Option<f64>,
    /// From the end of all viewers to the end of all calls of the camera.
    left: Duration,
    cpu: Duration,
}

async fn until(what: &str, limit: Duration, done: impl Fn() -> bool) -> Result<Duration> {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > limit {
            return Err(format!("{what} within {limit:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(began.elapsed())
}

/// So many viewers at the same time.
async fn measure(
    sessions: u32,
    seconds: u64,
    to: SocketAddr,
    server: Option<&Server>,
    shared: &Arc<Shared>,
) -> Result<Figures> {
    let before = server.map(Server::rss_kib);
    shared.answered.store(0, Relaxed);
    let viewers: Vec<_> = (0..sessions)
        .map(|i| {
            let (shared, offset) = (shared.clone(), EVERY * i / sessions);
            tokio::spawn(async move {
                if let Err(e) = viewer(to, "/uv4l/door", offset, &shared).await {
                    eprintln!("a viewer has ended: {e}");
                }
            })
        })
        .collect();
    until("not all calls are answered", Duration::from_secs(20), || shared.answered.load(Relaxed) == sessions as usize)
        .await?;
    // The first messages make room for themselves.
    tokio::time::sleep(Duration::from_secs(4)).await;
    shared.latencies.lock().clear();
    let cpu = server.map_or(Duration::ZERO, Server::cpu_exact);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let cpu = server.map_or(Duration::ZERO, Server::cpu_exact).saturating_sub(cpu);
    let mut latencies = std::mem::take(&mut *shared.latencies.lock());
    latencies.sort();
    let memory =
        before.zip(server).map(|(before, server)| server.rss_kib().saturating_sub(before) as f64 / f64::from(sessions));
    let open = shared.open.load(Relaxed);
    if open != sessions as usize {
        return Err(format!("{open} of {sessions} calls are open at the end").into());
    }
    viewers.iter().for_each(|viewer| viewer.abort());
    let left = until("not all calls have ended", Duration::from_secs(10), || shared.open.load(Relaxed) == 0).await?;
    Ok(Figures { latencies, memory, left, cpu })
}

pub fn run() -> Result {
    let _ = rlimit::increase_nofile_limit(20_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (direct, relayed) = runtime.block_on(async {
        let shared = Shared::new();
        let camera = camera(shared.clone()).await?;
        let direct = measure(SESSIONS, SECONDS, camera, None, &shared).await?;
        let server = Server::sidecar(&format!(
            "uv4l: {{cameras: {{door: {{url: 'ws://{camera}/stream/webrtc', max_sessions: {SESSIONS}}}}}}}"
        ))?;
        // What the first call needs once is no part of a session.
        measure(1, 1, server.addr, Some(&server), &shared).await?;
        let relayed = measure(SESSIONS, SECONDS, server.addr, Some(&server), &shared).await?;
        Ok::<_, Box<dyn std::error::Error>>((direct, relayed))
    })?;
    println!(
        "{SESSIONS} calls at a time, {} messages a second in both directions together, for {SECONDS} s.\n",
        2 * u128::from(SESSIONS) * 1000 / EVERY.as_millis()
    );
    println!("| from the sender of a message to its receiver | messages | p50 | p99 | worst | memory of a session |");
    println!("|---|---|---|---|---|---|");
    for (name, figures) in [("WebSocket to the camera", &direct), ("through mtx-sidecar", &relayed)] {
        let memory = figures.memory.map_or(String::new(), |kib| format!("{kib:.1} KiB"));
        let at = |percent| exact(percentile(&figures.latencies, percent));
        let count = figures.latencies.len();
        println!("| {name} | {count} | {} | {} | {} | {memory} |", at(50), at(99), at(100));
    }
    let added =
        |percent| exact(percentile(&relayed.latencies, percent).saturating_sub(percentile(&direct.latencies, percent)));
    println!("| **added** | | {} | **{}** | {} | |", added(50), added(99), added(100));
    println!(
        "\n{:.1} % of a core. The camera has no call {:.0} ms after all viewers have disconnected.",
        100.0 * relayed.cpu.as_secs_f64() / SECONDS as f64,
        relayed.left.as_secs_f64() * 1000.0
    );
    Ok(())
}

/// Milliseconds with two digits: most messages take less than one.
fn exact(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}
