//! The lower bound of the cost: a tokio program on one thread that does nothing else.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::Result;

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn bind() -> Result<TcpListener> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    Ok(listener)
}

/// A client that sends PUT is the uploader. Each other client gets each body as a complete multipart part, in one write.
pub fn writer() -> Result {
    runtime()?.block_on(async {
        let _ = rlimit::increase_nofile_limit(20_000);
        let listener = bind().await?;
        let (send, receive) = watch::channel(Bytes::new());
        let send = Arc::new(send);
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::spawn(serve(socket, send.clone(), receive.clone()));
        }
    })
}

async fn serve(
    mut socket: TcpStream,
    send: Arc<watch::Sender<Bytes>>,
    mut frames: watch::Receiver<Bytes>,
) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(1 << 18);
    let length = read_head(&mut socket, &mut buffer).await?;
    if !buffer.starts_with(b"PUT") {
        socket
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=boundarydonotcross\r\n\r\n--boundarydonotcross\r\n")
            .await?;
        loop {
            let part = frames.borrow_and_update().clone();
            socket.write_all(&part).await?;
            if frames.changed().await.is_err() {
                return Ok(());
            }
        }
    }
    let mut length = length;
    loop {
        let head = head_end(&buffer).unwrap_or(0);
        while buffer.len() < head + length {
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let body = &buffer[head..head + length];
        let part = [
            format!("Content-Type: image/jpeg\r\nContent-Length: {length}\r\nX-Timestamp: 1700000000.000000\r\n\r\n")
                .as_bytes(),
            body,
            b"\r\n--boundarydonotcross\r\n",
        ]
        .concat();
        send.send_replace(part.into());
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await?;
        buffer.drain(..head + length);
        length = read_head(&mut socket, &mut buffer).await?;
    }
}

/// Answers every POST with 204 after reading its body, for one or many requests a connection.
pub fn responder() -> Result {
    runtime()?.block_on(async {
        let listener = bind().await?;
        loop {
            let (mut socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut buffer = Vec::with_capacity(2048);
                while let Ok(length) = read_head(&mut socket, &mut buffer).await {
                    let end = head_end(&buffer).unwrap_or(0) + length;
                    while buffer.len() < end {
                        match socket.read_buf(&mut buffer).await {
                            Ok(n) if n > 0 => {}
                            _ => return,
                        }
                    }
                    buffer.drain(..end);
                    if socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                        return;
                    }
                }
            });
        }
    })
}

fn head_end(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|w| w == b"\r\n\r\n").map(|n| n + 4)
}

/// Reads a head, and returns the length of the body.
async fn read_head(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    loop {
        if let Some(end) = head_end(buffer) {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse().ok());
            return Ok(length.unwrap_or(0));
        }
        if socket.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
