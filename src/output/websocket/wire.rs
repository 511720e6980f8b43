//! One WebSocket connection (RFC 6455): messages in, messages out, and whether the peer is still there.
//!
//! Reading and checking frames is actix-http's codec. Writing is ours, because a picture has to go from the frame to the socket
//! without a copy; the head in front of it is a server's, which masks nothing (section 5.1).

use std::io::IoSlice;

use actix_http::ws::{CloseCode, Codec, Frame, Item, ProtocolError};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Duration, Instant, timeout},
};
use tokio_util::codec::Decoder;

use crate::output::DisconnectReason;

/// The longest head of a client's frame: two bytes, eight of length, four of mask (section 5.2).
const LONGEST_HEAD: usize = 14;

/// How long a peer may take to answer that it closes, too.
const CLOSING: Duration = Duration::from_secs(1);

/// What a peer sent.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping, to be answered with the same bytes.
    Ping(Bytes),
    /// It is there.
    Pong,
    /// It closes.
    Close,
}

/// Why a connection does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed or broken.
    Gone,
    /// It does not keep to the protocol.
    Protocol,
    /// A message is larger than it may be.
    TooBig,
    /// Text that is not UTF-8.
    NotText,
}

impl Fault {
    /// The close code (section 7.4.1) and a reason; none when nobody is there to hear it.
    pub fn close(self) -> Option<(CloseCode, &'static str)> {
        match self {
            Fault::Gone => None,
            Fault::Protocol => Some((CloseCode::Protocol, "not a valid frame")),
            Fault::TooBig => Some((CloseCode::Size, "the message is too large")),
            Fault::NotText => Some((CloseCode::Invalid, "the text is not UTF-8")),
        }
    }
}

/// A connection after its handshake.
pub struct Socket<T> {
    io: T,
    codec: Codec,
    read: BytesMut,
    /// The frames of a message that is not complete yet, and whether it is text.
    begun: Option<(bool, BytesMut)>,
    max_message: usize,
    patience: Duration,
    heard: Instant,
    next_ping: Instant,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// `max_message` bytes is the most that the peer may send at once; `patience` is how long it may take nothing, or be silent
    /// although it was pinged.
    pub fn new(io: T, max_message: usize, patience: Duration) -> Self {
        let now = Instant::now();
        Socket {
            io,
            codec: Codec::new().max_size(max_message),
            read: BytesMut::new(),
            begun: None,
            max_message,
            patience,
            heard: now,
            next_ping: now + patience / 3,
        }
    }

    /// What comes next. Cancel-safe.
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
            // The codec waits for all of a frame, however long it says it is, before it looks at the limit.
            if self.read.len() > self.max_message + LONGEST_HEAD {
                return Err(Fault::TooBig);
            }
            match self.io.read_buf(&mut self.read).await {
                Ok(1..) => self.heard = Instant::now(),
                _ => return Err(Fault::Gone),
            }
        }
    }

    /// Puts messages together that come in several frames.
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
        self.send(0x1, text.as_bytes()).await
    }

    /// Sends a binary message.
    pub async fn binary(&mut self, data: &[u8]) -> Result<(), DisconnectReason> {
        self.send(0x2, data).await
    }

    /// Answers a ping.
    pub async fn pong(&mut self, data: &[u8]) -> Result<(), DisconnectReason> {
        self.send(0xA, data).await
    }

    /// When [`Socket::keep_alive`] is due.
    pub fn ping_due(&self) -> Instant {
        self.next_ping
    }

    /// Sends a ping; an error when nothing was heard of the peer for too long.
    pub async fn keep_alive(&mut self) -> Result<(), DisconnectReason> {
        if self.heard.elapsed() >= self.patience {
            return Err(DisconnectReason::Stalled);
        }
        self.next_ping = Instant::now() + self.patience / 3;
        self.send(0x9, b"").await
    }

    /// Ends the connection with a code and a reason (ASCII), and gives the peer a moment to agree.
    pub async fn close(&mut self, code: CloseCode, reason: &'static str) {
        let mut body = u16::from(code).to_be_bytes().to_vec();
        // A control frame holds 125 bytes (section 5.5).
        body.extend_from_slice(&reason.as_bytes()[..reason.len().min(123)]);
        if self.send(0x8, &body).await.is_ok() {
            let agreed = async { while !matches!(self.receive().await, Ok(Incoming::Close) | Err(_)) {} };
            let _ = timeout(CLOSING, agreed).await;
        }
        // Bounded, because a peer that takes nothing would not take the end either.
        let _ = timeout(CLOSING, self.io.shutdown()).await;
    }

    /// Agrees to the peer's closing.
    pub async fn agree(&mut self) {
        let _ = self.send(0x8, &u16::from(CloseCode::Normal).to_be_bytes()).await;
        let _ = timeout(CLOSING, self.io.shutdown()).await;
    }

    /// Sends a whole message in one frame, or loses the connection: what was begun cannot be taken back.
    async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<(), DisconnectReason> {
        let (head, head_length) = head(opcode, payload.len());
        let mut sent = 0;
        let total = head_length + payload.len();
        while sent < total {
            let from = sent.min(head_length);
            let rest =
                [IoSlice::new(&head[from..head_length]), IoSlice::new(&payload[sent.saturating_sub(head_length)..])];
            let rest = if from == head_length { &rest[1..] } else { &rest[..] };
            match timeout(self.patience, self.io.write_vectored(rest)).await {
                Ok(Ok(n)) if n > 0 => sent += n,
                Ok(_) => return Err(DisconnectReason::Closed),
                Err(_) => return Err(DisconnectReason::Stalled),
            }
        }
        // TLS holds the end of a record back otherwise.
        match timeout(self.patience, self.io.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(DisconnectReason::Closed),
            Err(_) => Err(DisconnectReason::Stalled),
        }
    }
}

/// The head of a server's frame that is a whole message (section 5.2), and its length.
fn head(opcode: u8, payload: usize) -> ([u8; 10], usize) {
    let mut head = [0; 10];
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
