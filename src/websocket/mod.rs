//! One WebSocket connection (RFC 6455): reads messages, writes messages, and detects a peer that vanished. It knows nothing of what the
//! messages mean.
//!
//! actix-http's codec reads and checks frames. Frames are written here, because the bytes of a picture must go to the socket
//! without a copy, behind the head of a frame. A server does not mask, and a client does (section 5.1).

use std::io::IoSlice;

use actix_http::ws::{CloseCode, Codec, Frame, Item, ProtocolError};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Duration, Instant, timeout, timeout_at},
};
use tokio_util::codec::Decoder;

use crate::disconnect::DisconnectReason;

/// The longest head of a frame: two bytes, eight bytes of length, four bytes of mask (section 5.2).
const LONGEST_HEAD: usize = 14;

/// How long a peer can take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(1);

/// A message of the peer.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping, which needs a pong with the same bytes.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// A close frame.
    Close,
}

/// Why reading from a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed or broken.
    Gone,
    /// The peer violates the protocol.
    Protocol,
    /// A message is too large.
    TooBig,
    /// A text message is not UTF-8.
    NotText,
}

impl Fault {
    /// The close code (section 7.4.1) and a reason; none when the connection is closed already.
    pub fn close(self) -> Option<(CloseCode, &'static str)> {
        match self {
            Fault::Gone => None,
            Fault::Protocol => Some((CloseCode::Protocol, "not a valid frame")),
            Fault::TooBig => Some((CloseCode::Size, "the message is too large")),
            Fault::NotText => Some((CloseCode::Invalid, "the text is not UTF-8")),
        }
    }
}

/// The code and the reason with which the server ends a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The close code.
    pub code: CloseCode,
    /// The reason in words.
    pub reason: &'static str,
}

impl Ending {
    /// The server shuts down.
    pub const SHUTDOWN: Ending = Ending { code: CloseCode::Away, reason: "the server is shutting down" };
    /// The client has lost its permission.
    pub const NOT_PERMITTED: Ending = Ending { code: CloseCode::Policy, reason: "permission lost" };
}

/// A connection after its handshake.
pub struct Socket<T> {
    io: T,
    codec: Codec,
    read: BytesMut,
    /// Whether the incomplete message is text, and its frames.
    begun: Option<(bool, BytesMut)>,
    max_message: usize,
    stall_timeout: Duration,
    received_at: Instant,
    next_ping: Instant,
    /// Whether this end is the client, which masks what it sends.
    is_client: bool,
    /// Whether the silence of the peer also counts while bytes are sent to it.
    is_strict: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// `max_message` is the length of the longest message of the peer in bytes. `stall_timeout` is how long the
    /// peer can take no bytes, or send none although it gets pings.
    pub fn new(io: T, max_message: usize, stall_timeout: Duration) -> Self {
        let now = Instant::now();
        Socket {
            io,
            codec: Codec::new().max_size(max_message),
            read: BytesMut::new(),
            begun: None,
            max_message,
            stall_timeout,
            received_at: now,
            next_ping: now + stall_timeout / 3,
            is_client: false,
            is_strict: false,
        }
    }

    /// Ends writing as soon as the peer was silent for a third longer than `stall_timeout`, which is when a ping would fail. For peers
    /// whose messages are short: nothing is received while one is sent.
    pub fn strict(self) -> Self {
        Socket { is_strict: true, ..self }
    }

    /// The client's end, after its handshake. `received` are bytes that arrived behind the server's answer.
    pub fn client(io: T, received: BytesMut, max_message: usize, stall_timeout: Duration) -> Self {
        let socket = Socket::new(io, max_message, stall_timeout);
        Socket { codec: socket.codec.client_mode(), read: received, is_client: true, ..socket }
    }

    /// The next message. Cancel-safe.
    pub async fn receive(&mut self) -> Result<Incoming, Fault> {
        loop {
            match self.codec.decode(&mut self.read) {
                Ok(Some(frame)) => {
                    if let Some(message) = self.take(frame)? {
                        return Ok(message);
                    }
                    continue;
                }
                Ok(None) => {}
                Err(ProtocolError::Overflow) => return Err(Fault::TooBig),
                Err(_) => return Err(Fault::Protocol),
            }
            // The codec checks the limit only after it has the whole frame, whatever length the head announces.
            if self.read.len() > self.max_message + LONGEST_HEAD {
                return Err(Fault::TooBig);
            }
            match self.io.read_buf(&mut self.read).await {
                Ok(1..) => self.received_at = Instant::now(),
                _ => return Err(Fault::Gone),
            }
        }
    }

    /// Assembles messages that arrive in several frames.
    fn take(&mut self, frame: Frame) -> Result<Option<Incoming>, Fault> {
        Ok(Some(match frame {
            Frame::Text(text) => Incoming::Text(utf8(&text)?),
            Frame::Binary(data) => Incoming::Binary(data),
            Frame::Ping(data) => Incoming::Ping(data),
            Frame::Pong(_) => Incoming::Pong,
            Frame::Close(_) => Incoming::Close,
            Frame::Continuation(item) => {
                let (data, ends) = match item {
                    Item::FirstText(data) => {
                        self.begun = Some((true, BytesMut::new()));
                        (data, false)
                    }
                    Item::FirstBinary(data) => {
                        self.begun = Some((false, BytesMut::new()));
                        (data, false)
                    }
                    Item::Continue(data) => (data, false),
                    Item::Last(data) => (data, true),
                };
                let Some((is_text, begun)) = &mut self.begun else { return Err(Fault::Protocol) };
                if begun.len() + data.len() > self.max_message {
                    return Err(Fault::TooBig);
                }
                begun.extend_from_slice(&data);
                if !ends {
                    return Ok(None);
                }
                let (is_text, whole) = (*is_text, std::mem::take(begun).freeze());
                self.begun = None;
                if is_text { Incoming::Text(utf8(&whole)?) } else { Incoming::Binary(whole) }
            }
        }))
    }

    /// Sends a text message.
    pub async fn text(&mut self, text: &str) -> Result<(), DisconnectReason> {
        self.send(0x1, text.as_bytes(), b"").await
    }

    /// Sends a binary message.
    pub async fn binary(&mut self, data: &[u8]) -> Result<(), DisconnectReason> {
        self.send(0x2, data, b"").await
    }

    /// Sends a binary message that is in two places.
    pub async fn binary_of(&mut self, head: &[u8], data: &[u8]) -> Result<(), DisconnectReason> {
        self.send(0x2, head, data).await
    }

    /// Answers a ping.
    pub async fn pong(&mut self, data: &[u8]) -> Result<(), DisconnectReason> {
        self.send(0xA, data, b"").await
    }

    /// When [`Socket::keep_alive`] is due.
    pub fn ping_due(&self) -> Instant {
        self.next_ping
    }

    /// Sends a ping. Fails when the peer sent nothing for too long.
    pub async fn keep_alive(&mut self) -> Result<(), DisconnectReason> {
        if self.received_at.elapsed() >= self.stall_timeout {
            return Err(DisconnectReason::Stalled);
        }
        self.next_ping = Instant::now() + self.stall_timeout / 3;
        self.send(0x9, b"", b"").await
    }

    /// Closes the connection with a code and a reason (ASCII), and waits a moment for the peer's answer.
    pub async fn close(&mut self, code: CloseCode, reason: &'static str) {
        let mut body = u16::from(code).to_be_bytes().to_vec();
        // A control frame has at most 125 bytes (section 5.5).
        body.extend_from_slice(&reason.as_bytes()[..reason.len().min(123)]);
        if self.send(0x8, &body, b"").await.is_ok() {
            let answered = async { while !matches!(self.receive().await, Ok(Incoming::Close) | Err(_)) {} };
            let _ = timeout(CLOSING, answered).await;
        }
        // Bounded, because a peer that takes no bytes does not take the end either.
        let _ = timeout(CLOSING, self.io.shutdown()).await;
    }

    /// Answers the peer's close frame.
    pub async fn answer_close(&mut self) {
        let _ = self.send(0x8, &u16::from(CloseCode::Normal).to_be_bytes(), b"").await;
        let _ = timeout(CLOSING, self.io.shutdown()).await;
    }

    /// Until when the peer can take no bytes.
    fn patience(&self) -> Instant {
        let until = Instant::now() + self.stall_timeout;
        if self.is_strict { until.min(self.received_at + self.stall_timeout * 4 / 3) } else { until }
    }

    /// Sends a message, which is in two places, in one frame. A failure ends the connection, because a frame that was begun cannot be
    /// withdrawn.
    async fn send(&mut self, opcode: u8, first: &[u8], second: &[u8]) -> Result<(), DisconnectReason> {
        let (mut head, mut head_length) = head(opcode, first.len() + second.len());
        let masked: Vec<u8>;
        let (first, second) = match self.is_client {
            true => {
                // The mask protects proxies from bytes that a script chooses (section 10.3). Without random numbers there is no
                // connection.
                let mask = getrandom::u32().map_err(|_| DisconnectReason::Closed)?.to_be_bytes();
                head[1] |= 0x80;
                head[head_length..head_length + 4].copy_from_slice(&mask);
                head_length += 4;
                let payload = first.iter().chain(second);
                masked = payload.zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
                (&masked[..], &b""[..])
            }
            false => (first, second),
        };
        let mut rest = &mut [&head[..head_length], first, second].map(IoSlice::new)[..];
        // Empty parts in front are left out.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match timeout_at(self.patience(), self.io.write_vectored(rest)).await {
                Ok(Ok(n)) if n > 0 => IoSlice::advance_slices(&mut rest, n),
                Ok(_) => return Err(DisconnectReason::Closed),
                Err(_) => return Err(DisconnectReason::Stalled),
            }
        }
        // TLS holds back the end of a record until a flush.
        match timeout_at(self.patience(), self.io.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(DisconnectReason::Closed),
            Err(_) => Err(DisconnectReason::Stalled),
        }
    }
}

/// The head of a frame with a complete message (section 5.2), with room for a mask, and its length without one.
fn head(opcode: u8, payload: usize) -> ([u8; LONGEST_HEAD], usize) {
    let mut head = [0; LONGEST_HEAD];
    head[0] = 0x80 | opcode;
    match payload {
        0..=125 => {
            head[1] = payload as u8;
            (head, 2)
        }
        126..=0xFFFF => {
            head[1] = 126;
            head[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
            (head, 4)
        }
        _ => {
            head[1] = 127;
            head[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
            (head, 10)
        }
    }
}

fn utf8(data: &[u8]) -> Result<String, Fault> {
    String::from_utf8(data.to_vec()).map_err(|_| Fault::NotText)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
