//! A connection that actix serves until a response takes it over, and that ends a peer which keeps the server waiting.
//!
//! actix limits the time of the first head of a connection and of the pause between requests, and nothing else: a second
//! head, a body, and a response that the peer does not read can take for ever. The connection sees every read and write,
//! and [`Turn`] tells it whether a request is being answered, so it knows for which of these it waits.

use std::{
    cell::RefCell,
    convert::Infallible,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{behind::garbage_at, connections::Place};

/// The transport of a connection: plain TCP, or TLS over it.
pub trait Io: AsyncRead + AsyncWrite + Unpin + 'static {
    /// The socket below it.
    fn socket(&self) -> SockRef<'_>;
}

impl Io for TcpStream {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

impl Io for TlsStream<TcpStream> {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self.get_ref().0)
    }
}

/// TCP_NOTSENT_LOWAT: bytes of a response that the kernel holds unsent. By default it takes up to 4 MB, so that a thousand
/// clients that ask for a large picture and read nothing would keep a core busy for seconds with filling their buffers.
const UNSENT: u32 = 64 << 10;

/// The kernel's default: no bound.
const ANY_UNSENT: u32 = u32::MAX;

/// The connection as actix sees it. After a takeover, reads return the end of the stream and writes are discarded.
pub(super) struct Connection(Rc<RefCell<Inner>>, Secure);

/// Whether a connection is encrypted; in the request's `conn_data`.
#[derive(Clone, Copy, Debug)]
pub struct Secure(pub bool);

/// How long a peer can keep the server waiting, in ticks of a second ([`TICK`](super::connections::TICK)).
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a whole head, from its first byte.
    pub head: u32,
    /// For the next request.
    pub idle: u32,
    /// For a part of a response, of [`Self::part`] bytes, while the socket is full.
    pub write: u32,
    /// Bytes that a peer must take within [`Self::write`].
    pub part: usize,
}

struct Inner {
    io: Option<Box<dyn Io>>,
    /// None after a takeover.
    place: Option<Place>,
    patience: Patience,
    phase: Phase,
    /// Bytes that the peer took since its socket was found full; none while it is not.
    taken: Option<usize>,
    /// Set while a [`TakeoverBody`] waits for the head to be written.
    waiting: Option<Waker>,
    flushed: bool,
    /// Set when a takeover is certain, and when the peer has sent what is no request behind one: actix must not read data that
    /// the peer sends after that.
    held: bool,
}

/// What the connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It waits for a request.
    Idle,
    /// A part of a head has arrived.
    Head,
    /// A request is being answered.
    Request,
}

/// The right to take over the connection of a request; in the request's `conn_data`. A takeover stays on the one
/// thread that serves the connection.
#[derive(Clone)]
pub struct Takeover(Rc<RefCell<Inner>>);

/// Tells the connection for whom it waits; in the request's `conn_data`.
#[derive(Clone)]
pub struct Turn(Rc<RefCell<Inner>>);

impl Turn {
    /// The head of a request is complete.
    pub fn request_begins(&self) {
        let mut inner = self.0.borrow_mut();
        inner.phase = Phase::Request;
        inner.serve();
    }

    /// The server waits for the rest of the request's body, for at most so many ticks.
    pub fn waits_for_body(&self, ticks: u32) {
        if let Some(place) = &self.0.borrow().place {
            place.wait(ticks);
        }
    }

    /// The body is complete, or its sender has a permit of its own and counts as served while it sends.
    pub fn body_ends(&self) {
        self.0.borrow().serve();
    }

    /// Closes the connection: its peer lost the permission for what it is being sent.
    pub fn end(&self) {
        if let Some(place) = &self.0.borrow().place {
            place.end();
        }
    }

    /// The response is complete, as far as the server can see; the socket may still hold a part of it.
    pub fn response_ends(&self) {
        let mut inner = self.0.borrow_mut();
        inner.phase = Phase::Idle;
        if inner.taken.is_none()
            && let Some(place) = &inner.place
        {
            place.wait(inner.patience.idle);
        }
    }
}

impl Inner {
    fn serve(&self) {
        if let Some(place) = &self.place {
            place.serve();
        }
    }

    /// An error if the connection was ended. Otherwise its end wakes the task.
    fn check(&self, cx: &mut Context<'_>) -> io::Result<()> {
        match &self.place {
            Some(place) if place.poll_ended(cx).is_ready() => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    fn has_read(&mut self, bytes: usize) {
        if bytes > 0 && self.phase == Phase::Idle {
            self.phase = Phase::Head;
            if let Some(place) = &self.place {
                place.wait(self.patience.head);
            }
        }
    }

    fn is_full(&mut self) {
        if self.taken.is_none() {
            self.taken = Some(0);
            if let Some(place) = &self.place {
                place.wait(self.patience.write);
            }
        }
    }

    fn has_written(&mut self, bytes: usize) {
        let Some(taken) = &mut self.taken else { return };
        *taken += bytes;
        if *taken >= self.patience.part {
            *taken = 0;
            if let Some(place) = &self.place {
                place.wait(self.patience.write);
            }
        }
    }

    /// All that was to be written is in the socket.
    fn is_drained(&mut self) {
        if self.taken.take().is_some()
            && let Some(place) = &self.place
        {
            match self.phase {
                Phase::Request => place.serve(),
                Phase::Head => place.wait(self.patience.head),
                Phase::Idle => place.wait(self.patience.idle),
            }
        }
    }
}

impl Connection {
    /// A connection whose first head is expected.
    pub(super) fn new(io: Box<dyn Io>, secure: Secure, place: Place, patience: Patience) -> Self {
        // A kernel without this option refuses it; it then holds more memory.
        let _ = io.socket().set_tcp_notsent_lowat(UNSENT);
        let inner = Inner {
            io: Some(io),
            place: Some(place),
            patience,
            phase: Phase::Head,
            taken: None,
            waiting: None,
            flushed: false,
            held: false,
        };
        Connection(Rc::new(RefCell::new(inner)), secure)
    }

    pub(super) fn secure(&self) -> Secure {
        self.1
    }

    pub(super) fn takeover(&self) -> Takeover {
        Takeover(self.0.clone())
    }

    pub(super) fn turn(&self) -> Turn {
        Turn(self.0.clone())
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        let held = inner.held;
        let before = buf.filled().len();
        let read = match &mut inner.io {
            // The write of the head wakes actix, or its failure.
            Some(_) if held => Poll::Pending,
            Some(io) => Pin::new(io).poll_read(cx, buf),
            None => return Poll::Ready(Ok(())),
        };
        match read {
            Poll::Pending => inner.check(cx)?,
            Poll::Ready(Ok(())) => {
                if inner.phase != Phase::Request
                    && let Some(end) = garbage_at(&buf.filled()[before..])
                {
                    buf.set_filled(before + end);
                    inner.held = true;
                }
                inner.has_read(buf.filled().len() - before);
            }
            Poll::Ready(Err(_)) => {}
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        let Some(io) = &mut inner.io else { return Poll::Ready(Ok(data.len())) };
        let written = Pin::new(io).poll_write(cx, data);
        match written {
            Poll::Pending => {
                inner.is_full();
                inner.check(cx)?;
            }
            Poll::Ready(Ok(bytes)) => inner.has_written(bytes),
            Poll::Ready(Err(_)) => {}
        }
        written
    }

    /// actix calls this after it has written its whole buffer, when a waiting takeover can continue.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        let Some(io) = &mut inner.io else { return Poll::Ready(Ok(())) };
        let flushed = Pin::new(io).poll_flush(cx);
        match flushed {
            // TLS buffers what the socket does not take.
            Poll::Pending => {
                inner.is_full();
                inner.check(cx)?;
            }
            Poll::Ready(_) => {
                inner.is_drained();
                if let Some(waker) = inner.waiting.take() {
                    inner.flushed = true;
                    waker.wake();
                }
            }
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.borrow_mut().io {
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// A connection that was taken over: the transport, and its place among the open connections, which must be held as long.
/// The place counts as served: its new owner ends a peer that stalls.
pub type TakenOver = (Box<dyn Io>, Option<Place>);

/// The body of a response that takes over its connection. It is empty for actix. After the head was sent, `then`
/// gets the connection.
pub struct TakeoverBody<F: FnOnce(TakenOver)> {
    takeover: Takeover,
    then: Option<F>,
    armed: bool,
}

impl<F: FnOnce(TakenOver)> TakeoverBody<F> {
    /// For a response with `Connection: close` and without chunked encoding: `then` writes the body and ends it by
    /// closing the connection. From now on actix reads nothing, so that `then` gets the data that a WebSocket
    /// client sends as soon as it has the head.
    pub fn new(takeover: Takeover, then: F) -> Self {
        takeover.0.borrow_mut().held = true;
        TakeoverBody { takeover, then: Some(then), armed: false }
    }
}

impl<F: FnOnce(TakenOver) + Unpin> MessageBody for TakeoverBody<F> {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let mut inner = self.takeover.0.borrow_mut();
        if !self.armed || !inner.flushed {
            inner.waiting = Some(cx.waker().clone());
            drop(inner);
            self.armed = true;
            return Poll::Pending;
        }
        let io = inner.io.take();
        let place = inner.place.take();
        drop(inner);
        if let (Some(io), Some(then)) = (io, self.then.take()) {
            // The new owner writes shared bytes, the more at a time the better, and has a rule of its own for slow peers.
            let _ = io.socket().set_tcp_notsent_lowat(ANY_UNSENT);
            then((io, place));
        }
        Poll::Ready(None)
    }
}
