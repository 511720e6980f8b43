//! Clients that change the server, that are refused, and that vanish.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mtx_sidecar::picture::jpeg;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Ended,
    clients::{ELSEWHERE, HERE, JSON, exchange, get},
};
use crate::variants::photo;

/// The password of the user `sam`.
pub const PASSWORD: &str = "correct horse battery";

/// That the answer has this status.
fn expect(answer: &str, status: &str) -> std::result::Result<(), String> {
    let begins = answer.strip_prefix("HTTP/1.1 ").is_some_and(|rest| rest.starts_with(status));
    if begins { Ok(()) } else { Err(format!("not {status}: {answer}")) }
}

/// Clients that are gone without a farewell: the connection is reset. Watchers stop reading before, and uploads are incomplete.
pub async fn vanish(addr: SocketAddr, count: Arc<AtomicU64>) -> Ended {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    loop {
        for (path, headers) in [
            ("/stream/card.mjpeg", ""),
            ("/stream/lens.mp4", ""),
            ("/stream/still.mjpeg?w=200", ""),
            ("/ws/card", upgrade),
            ("/api/v1/events", ""),
        ] {
            let mut socket = get(addr, path, headers).await.map_err(|e| e.to_string())?;
            let mut head = [0; 64];
            socket.read_exact(&mut head).await.map_err(|e| e.to_string())?;
            reset(socket, &count).await?;
        }
        let mut socket = tokio::net::TcpStream::connect(addr).await.map_err(|e| e.to_string())?;
        let head = format!("PUT /api/v1/streams/torn/frame HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 100000\r\n\r\n");
        socket.write_all(&[head.as_bytes(), &[0xFF; 50_000]].concat()).await.map_err(|e| e.to_string())?;
        reset(socket, &count).await?;
    }
}

async fn reset(socket: tokio::net::TcpStream, count: &AtomicU64) -> std::result::Result<(), String> {
    tokio::time::sleep(Duration::from_millis(700)).await;
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).map_err(|e| e.to_string())?;
    drop(socket);
    count.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Sign-ins with a wrong password, all of which are refused.
pub async fn guess(addr: SocketAddr, count: Arc<AtomicU64>) -> Ended {
    loop {
        let body = r#"{"user": "admin", "pass": "wrong"}"#;
        let answer = exchange(addr, HERE, "POST", "/api/v1/login", JSON, body).await.map_err(|e| e.to_string())?;
        if !["HTTP/1.1 401", "HTTP/1.1 429"].iter().any(|refused| answer.starts_with(refused)) {
            return Err(answer);
        }
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// MediaMTX's question about readers with a wrong password, each from another address.
pub async fn question(addr: SocketAddr, count: Arc<AtomicU64>) -> Ended {
    for n in 0_u32.. {
        let ip = std::net::Ipv4Addr::from(0x0A00_0000 | (n & 0x00FF_FFFF));
        let body = format!(
            r#"{{"user": "sam", "password": "wrong", "token": "", "ip": "{ip}", "action": "read", "path": "card", "protocol": "rtsp", "id": null, "query": ""}}"#
        );
        let answer = exchange(addr, HERE, "POST", "/mediamtx-auth", JSON, body).await.map_err(|e| e.to_string())?;
        expect(&answer, "401")?;
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    unreachable!("numbers do not end")
}

/// Signs in and out, with the correct password.
pub async fn sign_in(addr: SocketAddr, count: Arc<AtomicU64>) -> Ended {
    loop {
        let body = format!(r#"{{"user": "sam", "pass": "{PASSWORD}"}}"#);
        let answer = exchange(addr, ELSEWHERE, "POST", "/api/v1/login", JSON, body).await.map_err(|e| e.to_string())?;
        expect(&answer, "200")?;
        let cookie = answer.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie: "));
        let cookie =
            cookie.and_then(|line| line.get(12..)).and_then(|line| line.split(';').next()).ok_or(answer.clone())?;
        let headers = format!("Cookie: {cookie}\r\n");
        let answer =
            exchange(addr, ELSEWHERE, "POST", "/api/v1/logout", &headers, "").await.map_err(|e| e.to_string())?;
        expect(&answer, "204")?;
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Streams with names that no stream had before: defined, filled, looked at, and deleted.
pub async fn come_and_go(addr: SocketAddr, count: Arc<AtomicU64>) -> Ended {
    let picture = photo(160, 90, 7).map_err(|e| e.to_string())?;
    for n in 0_u64.. {
        let stream = format!("/api/v1/streams/visit/{n}");
        let made =
            exchange(addr, HERE, "PUT", &stream, JSON, r#"{"kind": "upload"}"#).await.map_err(|e| e.to_string())?;
        expect(&made, "201")?;
        let frame = format!("{stream}/frame");
        let sent = exchange(addr, HERE, "PUT", &frame, "", &picture).await.map_err(|e| e.to_string())?;
        expect(&sent, "200")?;
        let mut socket = get(addr, &format!("/snapshot/visit/{n}.jpg?w=80"), "Connection: close\r\n")
            .await
            .map_err(|e| e.to_string())?;
        let mut answer = vec![];
        socket.read_to_end(&mut answer).await.map_err(|e| e.to_string())?;
        let body = memchr::memmem::find(&answer, b"\r\n\r\n").map_or(0, |end| end + 4);
        jpeg::inspect(&answer[body..]).map_err(|_| String::from_utf8_lossy(&answer[..body]).into_owned())?;
        let gone = exchange(addr, HERE, "DELETE", &stream, "", "").await.map_err(|e| e.to_string())?;
        expect(&gone, "20")?;
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    unreachable!("numbers do not end")
}

/// Four points a second of each of three series.
pub async fn numbers(addr: SocketAddr, count: Arc<AtomicU64>) -> Ended {
    for n in 0_u32.. {
        let at = f64::from(n) / 40.0;
        let body = format!(r#"{{"sine": {:.3}, "cosine": {:.3}, "saw": {}}}"#, at.sin(), at.cos(), n % 100);
        let path = "/api/v1/streams/chart/points";
        let answer = exchange(addr, HERE, "POST", path, "", body).await.map_err(|e| e.to_string())?;
        expect(&answer, "200")?;
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    unreachable!("numbers do not end")
}
