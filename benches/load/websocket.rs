//! Pictures by WebSocket as binary messages, compared with base64 in JSON, which many programs use.
//!
//! The references are a server that does nothing else, with binary messages and with `{"image":"BASE64"}`; both use the
//! sidecar's framing, and encode each picture once for all watchers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use mtx_sidecar::websocket::Socket;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{Result, process::Server, variants::photo};

const WATCHERS: u64 = 100;
const FPS: u64 = 10;
const SECONDS: u64 = 10;

fn runtime() -> Result<tokio::runtime::Runtime> {
    let _ = rlimit::increase_nofile_limit(20_000);
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The reference. A client that sends PUT is the uploader.
pub fn reference(base64: bool) -> Result {
    runtime()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        let (send, receive) = watch::channel(Bytes::new());
        let send = Arc::new(send);
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let (send, receive) = (send.clone(), receive.clone());
            tokio::spawn(async move {
                let _ = serve(socket, base64, &send, receive).await;
            });
        }
    })
}

async fn serve(
    mut socket: TcpStream,
    base64: bool,
    send: &watch::Sender<Bytes>,
    mut frames: watch::Receiver<Bytes>,
) -> Result {
    let mut data = BytesMut::new();
    loop {
        let Some(end) = memchr::memmem::find(&data, b"\r\n\r\n").map(|at| at + 4) else {
            if socket.read_buf(&mut data).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&data[..end]).to_ascii_lowercase();
        if head.starts_with("get") {
            let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            socket.write_all(answer.as_bytes()).await?;
            let mut socket = Socket::new(socket, 1 << 16, Duration::from_secs(30));
            loop {
                let frame = frames.borrow_and_update().clone();
                let sent = match std::str::from_utf8(&frame) {
                    Ok(text) if base64 => socket.text(text).await,
                    _ => socket.binary(&frame).await,
                };
                sent.map_err(|left| left.reason())?;
                frames.changed().await?;
            }
        }
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        let length: usize = length.ok_or("no length")?;
        if data.len() < end + length {
            if socket.read_buf(&mut data).await? == 0 {
                return Ok(());
            }
            continue;
        }
        let body = data.split_to(end + length).freeze().slice(end..);
        send.send_replace(match base64 {
            true => serde_json::json!({ "image": STANDARD.encode(&body) }).to_string().into(),
            false => body,
        });
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await?;
    }
}

/// The work of a watcher from a message to the JPEG.
fn unpack(message: &[u8]) -> Result<Vec<u8>> {
    if message.starts_with(b"{") {
        let json: serde_json::Value = serde_json::from_slice(message)?;
        return Ok(STANDARD.decode(json["image"].as_str().ok_or("no image")?)?);
    }
    Ok(message.to_vec())
}

/// Reads messages without unpacking them, which is measured separately, so that the load does not determine the result.
async fn watch_one(addr: SocketAddr, bytes: Arc<AtomicU64>) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(addr).await?;
    let head = format!(
        "GET /ws/cam HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await?;
    let mut data = vec![0; 1 << 18];
    loop {
        let n = socket.read(&mut data).await?;
        if n == 0 {
            return Ok(());
        }
        bytes.fetch_add(n as u64, Ordering::Relaxed);
    }
}

async fn put(socket: &mut TcpStream, picture: &[u8]) -> Result {
    let path = "/api/v1/streams/cam/frame";
    let head = format!("PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", picture.len());
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(picture).await?;
    let mut answer = vec![0; 4096];
    let n = socket.read(&mut answer).await?;
    if !answer[..n].starts_with(b"HTTP/1.1 200") {
        return Err(String::from_utf8_lossy(&answer[..n]).into_owned().into());
    }
    Ok(())
}

/// Bytes and CPU for each picture and watcher.
async fn measure(server: &Server, pictures: &[Vec<u8>]) -> Result<(f64, Duration)> {
    let bytes = Arc::new(AtomicU64::new(0));
    let mut uploader = TcpStream::connect(server.addr).await?;
    uploader.set_nodelay(true)?;
    put(&mut uploader, &pictures[0]).await?;
    let watchers: Vec<_> = (0..WATCHERS).map(|_| tokio::spawn(watch_one(server.addr, bytes.clone()))).collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (cpu, before) = (server.cpu_exact(), bytes.load(Ordering::Relaxed));
    let mut ticks = tokio::time::interval(Duration::from_millis(1000 / FPS));
    for n in 0..FPS * SECONDS {
        ticks.tick().await;
        put(&mut uploader, &pictures[(n as usize + 1) % pictures.len()]).await?;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let frames = WATCHERS * FPS * SECONDS;
    let cpu = server.cpu_exact() - cpu;
    let sent = bytes.load(Ordering::Relaxed) - before;
    watchers.iter().for_each(|watcher| watcher.abort());
    Ok((sent as f64 / frames as f64, cpu / frames as u32))
}

pub fn run() -> Result {
    let pictures: Vec<_> = (0..10).map(|n| photo(800, 600, n)).collect::<Result<_>>()?;
    let jpeg = pictures.iter().map(Vec::len).sum::<usize>() / pictures.len();
    println!("{WATCHERS} watchers, {FPS} pictures of {} KB a second (800 × 600):\n", jpeg / 1000);
    println!(
        "| server | bytes a picture | ratio | server's CPU a picture | ratio | watcher's CPU until it has the JPEG |"
    );
    println!("|---|---|---|---|---|---|");
    let mut first = None;
    for (name, which) in
        [("bare, binary", "websocket-binary"), ("bare, base64 in JSON", "websocket-base64"), ("**mtx-sidecar**", "")]
    {
        let server = if which.is_empty() { Server::sidecar("")? } else { Server::reference(which)? };
        let (bytes, cpu) = runtime()?.block_on(measure(&server, &pictures))?;
        let message = match which {
            "websocket-base64" => {
                serde_json::json!({ "image": STANDARD.encode(&pictures[0]) }).to_string().into_bytes()
            }
            _ => pictures[0].clone(),
        };
        let began = Instant::now();
        for _ in 0..200 {
            std::hint::black_box(unpack(&message)?);
        }
        let unpacking = began.elapsed() / 200;
        let (one_bytes, one_cpu) = *first.get_or_insert((bytes, cpu));
        println!(
            "| {name} | {bytes:.0} | {:.2} | {:.1} µs | {:.2} | {:.1} µs |",
            bytes / one_bytes,
            cpu.as_secs_f64() * 1e6,
            cpu.as_secs_f64() / one_cpu.as_secs_f64(),
            unpacking.as_secs_f64() * 1e6
        );
    }
    Ok(())
}
