//! A WebSocket client: the handshake is written here, frames are actix-http's codec.

use std::net::SocketAddr;

use actix_http::ws::{Codec, Frame, Message};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::codec::{Decoder, Encoder};

use super::{PATIENCE, Response, TestApp};

pub struct WsClient {
    pub head: String,
    socket: TcpStream,
    codec: Codec,
    read: BytesMut,
}

/// The client's handshake; the key and its answer are the example of RFC 6455, section 1.3.
const HANDSHAKE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

impl WsClient {
    /// Connects; an answer that is no WebSocket is returned as it is.
    pub async fn connect(app: &TestApp, path: &str, headers: &[&str]) -> Result<Self, Response> {
        let socket = app.send("GET", path, &[&HANDSHAKE, headers].concat(), b"").await;
        WsClient::shake_hands(socket).await
    }

    /// Connects at another address; `headers` has the host.
    pub async fn connect_at(addr: SocketAddr, path: &str, headers: &[&str]) -> Result<Self, Response> {
        let mut socket = TcpStream::connect(addr).await.expect("connects");
        let lines = [&HANDSHAKE, headers].concat().join("\r\n");
        socket.write_all(format!("GET {path} HTTP/1.1\r\n{lines}\r\n\r\n").as_bytes()).await.expect("writes");
        WsClient::shake_hands(socket).await
    }

    async fn shake_hands(mut socket: TcpStream) -> Result<Self, Response> {
        let mut read = BytesMut::new();
        let end = loop {
            let n = timeout(PATIENCE, socket.read_buf(&mut read)).await.expect("in time").expect("reads");
            if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(n > 0, "closed after {read:?}");
        };
        if !read.starts_with(b"HTTP/1.1 101") {
            let mut data = read.to_vec();
            let wanted = String::from_utf8_lossy(&read[..end]).lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().expect("a number"))
            });
            while data.len() < end + wanted.unwrap_or(0) {
                let n = timeout(PATIENCE, socket.read_buf(&mut data)).await.expect("in time").expect("reads");
                assert!(n > 0, "closed after {data:?}");
            }
            return Err(Response::parse(&data));
        }
        let head = String::from_utf8_lossy(&read.split_to(end)).into_owned();
        assert!(head.to_ascii_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        Ok(WsClient { head, socket, codec: Codec::new().client_mode().max_size(32 << 20), read })
    }

    pub async fn say(&mut self, message: Message) {
        let mut data = BytesMut::new();
        self.codec.encode(message, &mut data).expect("encodes");
        self.socket.write_all(&data).await.expect("writes");
    }

    pub async fn text(&mut self, text: &str) {
        self.say(Message::Text(text.to_owned().into())).await;
    }

    pub async fn binary(&mut self, data: Vec<u8>) {
        self.say(Message::Binary(data.into())).await;
    }

    pub async fn next(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.read).expect("well-formed") {
                return frame;
            }
            let n = timeout(PATIENCE, self.socket.read_buf(&mut self.read)).await.expect("in time").expect("reads");
            assert!(n > 0, "closed");
        }
    }

    /// The next notice; pictures before it are skipped.
    pub async fn notice(&mut self) -> serde_json::Value {
        loop {
            if let Frame::Text(text) = self.next().await {
                return serde_json::from_slice(&text).expect("JSON");
            }
        }
    }

    /// The next picture; notices before it are skipped.
    pub async fn picture(&mut self) -> Bytes {
        loop {
            if let Frame::Binary(data) = self.next().await {
                return data;
            }
        }
    }

    /// The code and the reason with which the server closes.
    pub async fn close_code(&mut self) -> (u16, String) {
        loop {
            if let Frame::Close(reason) = self.next().await {
                let reason = reason.expect("a code");
                return (reason.code.into(), reason.description.unwrap_or_default());
            }
        }
    }
}
