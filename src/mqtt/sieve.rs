//! [`Sieve`]: a socket that leaves out messages above a limit.
//!
//! The library ends the connection at a larger packet. A broker sends a kept message again after each reconnection, so one
//! large picture would end every connection. Messages arrive with QoS 0 here, because no other is subscribed, and need no
//! answer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::fetch::Socket;

/// Bytes that are read at once.
const STEP: usize = 32 << 10;

/// Longest fixed header: the type, and four bytes of length (MQTT 3.1.1, section 2.2).
const MAX_HEADER: usize = 5;

/// Most bytes of a topic that are kept of a message that is left out.
const MAX_TOPIC: usize = 1024;

/// Gets the topic and the size in bytes of each message that is left out.
pub(super) type Report = Box<dyn Fn(&str, usize) + Send + Sync>;

/// A socket that leaves out messages above a limit.
pub(super) struct Sieve {
    socket: Box<dyn Socket>,
    limit: usize,
    report: Report,
    /// Bytes that were received and not handed on.
    raw: BytesMut,
    at: At,
}

/// The place in the sequence of packets.
#[derive(Debug)]
enum At {
    /// Before a packet.
    Header,
    /// In a packet of which this many bytes remain.
    Pass(usize),
    /// In a message that is left out: the bytes that remain, the size, and its beginning.
    Skip { remaining: usize, size: usize, begin: Vec<u8> },
}

impl Sieve {
    pub(super) fn new(socket: Box<dyn Socket>, limit: usize, report: Report) -> Self {
        Sieve { socket, limit, report, raw: BytesMut::new(), at: At::Header }
    }

    /// Hands bytes on, until `to` is full or more must be received. Returns whether bytes were handed on.
    fn hand_on(&mut self, to: &mut ReadBuf<'_>, is_end: bool) -> bool {
        let before = to.filled().len();
        while !self.raw.is_empty() && to.remaining() > 0 {
            match &mut self.at {
                At::Header => match self.header(is_end) {
                    Some(at) => self.at = at,
                    None => break,
                },
                At::Pass(remaining) => {
                    let n = (*remaining).min(self.raw.len()).min(to.remaining());
                    to.put_slice(&self.raw.split_to(n));
                    *remaining -= n;
                    if *remaining == 0 {
                        self.at = At::Header;
                    }
                }
                At::Skip { remaining, size, begin } => {
                    let n = (*remaining).min(self.raw.len());
                    let wanted = (MAX_TOPIC + 2).saturating_sub(begin.len()).min(n);
                    begin.extend(self.raw.iter().take(wanted));
                    self.raw.advance(n);
                    *remaining -= n;
                    if *remaining == 0 {
                        (self.report)(&topic(begin), *size);
                        self.at = At::Header;
                    }
                }
            }
        }
        to.filled().len() > before
    }

    /// What follows the fixed header at the beginning of `raw`; none if more of it must be received.
    fn header(&mut self, is_end: bool) -> Option<At> {
        let (mut length, mut bytes) = (0_usize, self.raw.iter().copied());
        let kind = bytes.next()? >> 4;
        for n in 2..=MAX_HEADER {
            let Some(byte) = bytes.next() else { return is_end.then_some(At::Pass(self.raw.len())) };
            length |= usize::from(byte & 0x7f) << (7 * (n - 2));
            if byte & 0x80 == 0 {
                if kind != PUBLISH || length <= self.limit {
                    return Some(At::Pass(n + length));
                }
                self.raw.advance(n);
                return Some(At::Skip { remaining: length, size: length, begin: vec![] });
            }
        }
        // Not MQTT: the library says so.
        Some(At::Pass(usize::MAX))
    }
}

/// The type of packets with messages.
const PUBLISH: u8 = 3;

/// The topic at the beginning of a message: its length in two bytes, and its text (MQTT 3.1.1, section 3.3.2.1).
fn topic(begin: &[u8]) -> String {
    let Some((length, text)) = begin.split_first_chunk::<2>() else { return String::new() };
    let length = usize::from(u16::from_be_bytes(*length)).min(text.len());
    String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned()
}

impl AsyncRead for Sieve {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if to.remaining() == 0 || self.hand_on(to, false) {
                return Poll::Ready(Ok(()));
            }
            let this = &mut *self;
            let mut step = [0; STEP];
            let mut into = ReadBuf::new(&mut step);
            ready!(Pin::new(&mut this.socket).poll_read(context, &mut into))?;
            if into.filled().is_empty() {
                this.hand_on(to, true);
                return Poll::Ready(Ok(()));
            }
            this.raw.extend_from_slice(into.filled());
        }
    }
}

impl AsyncWrite for Sieve {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// A packet of this type: a topic, and a payload of this many bytes.
    fn packet(kind: u8, topic: &str, payload: usize) -> Vec<u8> {
        let mut rest = u16::try_from(topic.len()).expect("short").to_be_bytes().to_vec();
        rest.extend(topic.bytes());
        rest.extend(std::iter::repeat_n(b'x', payload));
        let (mut packet, mut length) = (vec![kind << 4], rest.len());
        loop {
            let more = length > 127;
            packet.push(u8::try_from(length & 0x7f).expect("7 bits") | if more { 0x80 } else { 0 });
            length >>= 7;
            if !more {
                break;
            }
        }
        [packet, rest].concat()
    }

    /// What comes through of these bytes, written in pieces of this size, and what was reported.
    async fn through(sent: &[u8], piece: usize) -> (Vec<u8>, Vec<(String, usize)>) {
        let (ours, mut theirs) = duplex(100_000);
        let reported = Arc::<Mutex<Vec<_>>>::default();
        let report = reported.clone();
        let report = Box::new(move |topic: &str, size| report.lock().push((topic.to_owned(), size)));
        let mut sieve = Sieve::new(Box::new(ours), 1000, report);
        let sent = sent.to_vec();
        let writing = tokio::spawn(async move {
            for part in sent.chunks(piece) {
                theirs.write_all(part).await.expect("writes");
            }
        });
        let mut got = vec![];
        sieve.read_to_end(&mut got).await.expect("reads");
        writing.await.expect("ends");
        let reported = reported.lock().clone();
        (got, reported)
    }

    #[tokio::test]
    async fn a_large_message_is_left_out_and_all_others_come_through() {
        let (small, large, other) = (packet(3, "a/b", 900), packet(3, "cam/ü", 70_000), packet(9, "", 2_000));
        let sent = [&small[..], &large, &other, &large, &small].concat();
        for piece in [1, 3, 1000, 1 << 20] {
            let (got, reported) = through(&sent, piece).await;
            assert_eq!(got, [&small[..], &other, &small].concat(), "pieces of {piece}");
            assert_eq!(reported, vec![("cam/ü".to_owned(), 70_008); 2]);
        }
    }

    #[tokio::test]
    async fn what_is_not_mqtt_comes_through_unchanged() {
        for sent in [&b"3\xff\xff\xff\xff\xff rest"[..], b"3", b"HTTP/1.1 400\r\n\r\n"] {
            assert_eq!(through(sent, 2).await.0, sent);
        }
    }

    proptest::proptest! {
        #[test]
        fn the_properties_hold_for_any_bytes(
            data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), kind in 0_u8..16, size in 0_u8..=255
        ) {
            properties::hold(&data);
            properties::hold(&[&[kind << 4, size][..], &data].concat());
        }
    }
}
