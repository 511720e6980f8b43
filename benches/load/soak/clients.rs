//! Clients that watch and upload.

use std::{
    net::{Ipv4Addr, SocketAddr},
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
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
};
use tokio_util::codec::{Decoder, Encoder};

use super::Ended;
use crate::{
    Result,
    puller::Puller,
    watcher::{picture, upload},
};

/// The address of clients that the rule for this machine permits everything.
pub const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The header line of a body of JSON.
pub const JSON: &str = "Content-Type: application/json\r\n";

/// The address of clients without a rule. It is another one than that of the wrong passwords, which close their address for sign-ins.
pub const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Makes a stream, a user or a path by the API.
pub async fn define(addr: SocketAddr, what: &str, definition: &str) -> Result {
    let answer = exchange(addr, HERE, "PUT", &format!("/api/v1/{what}"), JSON, definition).await?;
    if answer.starts_with("HTTP/1.1 20") { Ok(()) } else { Err(format!("{what}: {answer}").into()) }
}

/// The whole answer to a request from this address.
pub async fn exchange(
    addr: SocketAddr,
    from: Ipv4Addr,
    method: &str,
    path: &str,
    headers: &str,
    body: impl AsRef<[u8]>,
) -> std::io::Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut socket = socket.connect(addr).await?;
    let body = body.as_ref();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    socket.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut answer = vec![];
    socket.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Runs a client again and again. MediaMTX is away for a moment at each of its restarts.
pub async fn again<F: Future<Output = Ended>>(client: impl Fn() -> F) -> Ended {
    loop {
        let Err(_) = client().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Reads a path at MediaMTX, again after each of its restarts.
pub async fn read_at_mediamtx(host: SocketAddr, path: &'static str, count: Arc<AtomicU64>) -> Ended {
    again(|| read_once(host, path, &count)).await
}

async fn read_once(host: SocketAddr, path: &str, count: &AtomicU64) -> Ended {
    let mut puller = Puller::connect(host, path).await.map_err(|e| e.to_string())?;
    puller.play().await.map_err(|e| e.to_string())?;
    loop {
        puller.picture().await.map_err(|e| e.to_string())?;
        count.fetch_add(1, Ordering::Relaxed);
    }
}

pub async fn get(addr: SocketAddr, path: &str, headers: &str) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(addr).await?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n").as_bytes()).await?;
    Ok(socket)
}

/// One visit after another, each with this number of pictures.
pub async fn mjpeg(addr: SocketAddr, path: String, pictures: u64, count: Arc<AtomicU64>) -> Ended {
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

pub async fn websocket(addr: SocketAddr, path: &'static str, count: Arc<AtomicU64>) -> Ended {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut socket = get(addr, path, upgrade).await.map_err(|e| e.to_string())?;
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
                Frame::Binary(data) => {
                    if path.contains("video=1") {
                        is_fragment(&data)?;
                    } else {
                        jpeg::inspect(&data).map_err(|fault| fault.to_string())?;
                    }
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

/// A message of video: the head of a file, or a fragment (ISO/IEC 14496-12, 8.8).
fn is_fragment(data: &[u8]) -> std::result::Result<(), String> {
    match data.get(4..8) {
        Some(b"ftyp" | b"moof") => Ok(()),
        kind => Err(format!("{kind:?} is the beginning of no fragment")),
    }
}

/// One visit after another to an endless file, each with this number of fragments.
pub async fn mp4(addr: SocketAddr, path: &'static str, fragments: u64, count: Arc<AtomicU64>) -> Ended {
    let mut data = vec![0; 1 << 16];
    loop {
        let mut socket = get(addr, path, "").await.map_err(|e| e.to_string())?;
        let (mut seen, mut kept) = (0, 0);
        while seen < fragments {
            let n = socket.read(&mut data[kept..]).await.map_err(|e| e.to_string())?;
            if n == 0 || (seen == 0 && data.starts_with(b"HTTP/1.1 ") && !data.starts_with(b"HTTP/1.1 200")) {
                let text = String::from_utf8_lossy(&data[..(kept + n).min(300)]).into_owned();
                return Err(format!("ended after {seen} fragments: {text}"));
            }
            let new = memchr::memmem::find_iter(&data[..kept + n], b"moof").count() as u64;
            seen += new;
            count.fetch_add(new, Ordering::Relaxed);
            // A name can be in two reads.
            let from = (kept + n).saturating_sub(3);
            data.copy_within(from..kept + n, 0);
            kept = kept + n - from;
        }
        drop(socket);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Server-sent events, and the comments that come while nothing happens.
pub async fn events(addr: SocketAddr, count: Arc<AtomicU64>) -> Ended {
    let socket = get(addr, "/api/v1/events?keepalive=5", "").await.map_err(|e| e.to_string())?;
    let mut lines = BufReader::new(socket).lines();
    while let Some(line) = lines.next_line().await.map_err(|e| e.to_string())? {
        count.fetch_add(u64::from(line.starts_with("data:") || line.starts_with(':')), Ordering::Relaxed);
    }
    Err("the events end".into())
}

pub async fn video(addr: SocketAddr, stream: &'static str, pictures: u64, count: Arc<AtomicU64>) -> Ended {
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
pub async fn push(addr: SocketAddr, count: Arc<AtomicU64>, epoch: Instant) -> Ended {
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
pub async fn snapshots(addr: SocketAddr, count: Arc<AtomicU64>) -> Ended {
    for n in 0_u64.. {
        // Sizes of all kinds from the beginning: the cache of variants is bounded by their number, and must not fill with larger ones.
        let (width, quality) = (100 + n * 7 % 500, 40 + n % 49);
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
