//! An RTSP client that reads H.264 and records when each picture is complete.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Result;

pub struct Puller {
    socket: TcpStream,
    buffer: BytesMut,
    url: String,
    cseq: u32,
    /// The header line of the session; empty before SETUP.
    session: String,
}

/// A complete picture.
pub struct Picture {
    pub at: Instant,
    pub bytes: usize,
    pub is_idr: bool,
}

impl Puller {
    pub async fn connect(addr: SocketAddr, stream: &str) -> Result<Self> {
        let socket = TcpStream::connect(addr).await?;
        Ok(Puller {
            socket,
            buffer: BytesMut::new(),
            url: format!("rtsp://{addr}/{stream}"),
            cseq: 0,
            session: String::new(),
        })
    }

    pub async fn ask(&mut self, method: &str, track: &str, header: &str) -> Result {
        self.cseq += 1;
        let (url, cseq, session) = (&self.url, self.cseq, &self.session);
        let request = format!("{method} {url}{track} RTSP/1.0\r\nCSeq: {cseq}\r\n{session}{header}\r\n");
        self.socket.write_all(request.as_bytes()).await?;
        loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")?.parse().ok()).unwrap_or(0);
                if self.buffer.len() >= end + 4 + length {
                    self.buffer.advance(end + 4 + length);
                    if let Some(session) = head.lines().find_map(|l| l.strip_prefix("Session: ")) {
                        self.session = format!("Session: {}\r\n", session.split(';').next().unwrap_or_default());
                    }
                    return if head.starts_with("RTSP/1.0 200") { Ok(()) } else { Err(head.into()) };
                }
            }
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Err("closed".into());
            }
        }
    }

    /// DESCRIBE, SETUP, PLAY.
    pub async fn play(&mut self) -> Result {
        self.ask("DESCRIBE", "", "").await?;
        self.ask("SETUP", "/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n").await?;
        self.ask("PLAY", "/", "").await
    }

    /// The next complete picture.
    pub async fn picture(&mut self) -> Result<Picture> {
        let (mut bytes, mut is_idr) = (0, false);
        loop {
            while self.buffer.len() >= 4 {
                let length = usize::from(u16::from_be_bytes([self.buffer[2], self.buffer[3]]));
                if self.buffer.len() < 4 + length {
                    break;
                }
                let (channel, marker) = (self.buffer[1], self.buffer[5] & 0x80 != 0);
                if channel == 0 {
                    bytes += length - 12;
                    let kind = self.buffer[16] & 0x1F;
                    is_idr |= kind == 5 || kind == 28 && self.buffer[17] & 0x1F == 5;
                }
                self.buffer.advance(4 + length);
                if channel == 0 && marker {
                    return Ok(Picture { at: Instant::now(), bytes, is_idr });
                }
            }
            self.buffer.reserve(1 << 16);
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Err("closed".into());
            }
        }
    }

    /// The pictures of this span.
    pub async fn pictures(&mut self, span: Duration) -> Result<Vec<Picture>> {
        let until = tokio::time::Instant::now() + span;
        let mut out = vec![];
        while let Ok(picture) = tokio::time::timeout_at(until, self.picture()).await {
            out.push(picture?);
        }
        Ok(out)
    }
}
