//! Properties of WebSocket messages.

use std::{
    io,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
};

use tokio::io::ReadBuf;

use super::*;
use crate::portions;

/// Small enough for inputs of a few hundred bytes to reach it.
const MAX: usize = 200;

const PATIENCE: Duration = Duration::from_secs(60);

/// The messages and the fault at their end do not depend on the portions of the bytes, the memory is bounded, and
/// messages of both sides arrive unchanged.
pub(crate) fn hold(data: &[u8]) {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));
    RUNTIME.block_on(async {
        let whole = read(vec![data], MAX).await;
        for arrival in portions::ways(data) {
            assert_eq!(read(arrival, MAX).await, whole, "the messages depend on the portions");
        }
        from_the_client(data).await;
        from_the_server(data).await;
    });
}

async fn read(portions: Vec<&[u8]>, max: usize) -> (Vec<Incoming>, Fault) {
    let mut socket = Socket::new(Peer { portions: portions.into_iter(), present: &[], written: vec![] }, max, PATIENCE);
    let mut messages = vec![];
    loop {
        let next = socket.receive().await;
        // The buffer doubles when it grows, and one read can fill it.
        assert!(socket.read.len() <= 2 * (max + LONGEST_HEAD) + 128, "{} bytes are held", socket.read.len());
        assert!(
            socket.begun.as_ref().is_none_or(|(_, begun)| begun.len() <= max),
            "a message of too many bytes is held"
        );
        match next {
            Ok(message) => {
                let (length, most) = match &message {
                    Incoming::Text(text) => (text.len(), max),
                    Incoming::Binary(data) => (data.len(), max),
                    Incoming::Ping(data) => (data.len(), 125),
                    Incoming::Pong | Incoming::Close => (0, 0),
                };
                assert!(length <= most, "{message:?}");
                messages.push(message);
            }
            Err(fault) => return (messages, fault),
        }
    }
}

/// A message in three frames with a ping between them.
async fn from_the_client(data: &[u8]) {
    let mask = data.first_chunk::<4>().copied().unwrap_or([1, 2, 3, 4]);
    let (first, rest) = data.split_at(data.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    let sent =
        [frame(0x02, first, mask), frame(0x89, b"there?", mask), frame(0x00, second, mask), frame(0x80, third, mask)]
            .concat();
    let (messages, fault) = read(portions::uneven(&sent), data.len().max(125)).await;
    let expected = [Incoming::Ping(Bytes::from_static(b"there?")), Incoming::Binary(Bytes::copy_from_slice(data))];
    assert_eq!((&messages[..], fault), (&expected[..], Fault::Gone));
}

/// A client's frame (RFC 6455 section 5.2); `first` is the first byte of its head.
fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let (head, length) = head(0, payload.len());
    let mut frame = [&[first, head[1] | 0x80], &head[2..length], &mask].concat();
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A client reads the messages that the server sends.
async fn from_the_server(data: &[u8]) {
    let mut socket = Socket::new(Peer { portions: vec![].into_iter(), present: &[], written: vec![] }, MAX, PATIENCE);
    let text = String::from_utf8_lossy(data);
    socket.binary(data).await.expect("the peer takes it");
    socket.text(&text).await.expect("the peer takes it");
    let mut written = BytesMut::from(&socket.io.written[..]);
    let mut client = Codec::new().client_mode().max_size(data.len().max(text.len()));
    for expected in [Frame::Binary(Bytes::copy_from_slice(data)), Frame::Text(Bytes::from(text.clone().into_owned()))] {
        assert_eq!(client.decode(&mut written).expect("a frame"), Some(expected));
    }
    assert!(written.is_empty(), "nothing follows the frames");
}

/// A peer that sends portions and then ends, and takes all bytes.
struct Peer<'a> {
    portions: std::vec::IntoIter<&'a [u8]>,
    present: &'a [u8],
    written: Vec<u8>,
}

impl AsyncRead for Peer<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.present.is_empty() {
            match self.portions.next() {
                Some(portion) => self.present = portion,
                None => return Poll::Ready(Ok(())),
            }
        }
        let (now, later) = self.present.split_at(self.present.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.present = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
