//! A connection that actix serves until a response takes it over.

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
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The transport of a connection: plain TCP, or TLS over it.
pub trait Io: AsyncRead + AsyncWrite + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Io for T {}

/// The connection as actix sees it. After a takeover, reads return the end of the stream and writes are discarded.
pub(super) struct Connection(Rc<RefCell<Inner>>, Secure);

/// Whether a connection is encrypted; in the request's `conn_data`.
#[derive(Clone, Copy, Debug)]
pub struct Secure(pub bool);

struct Inner {
    io: Option<Box<dyn Io>>,
    /// Set while a [`TakeoverBody`] waits for the head to be written.
    waiting: Option<Waker>,
    flushed: bool,
    /// Set when a takeover is certain: actix must not read data that the peer sends after that.
    held: bool,
}

/// The right to take over the connection of a request; in the request's `conn_data`. A takeover stays on the one
/// thread that serves the connection.
#[derive(Clone)]
pub struct Takeover(Rc<RefCell<Inner>>);

impl Connection {
    pub(super) fn new(io: Box<dyn Io>, secure: Secure) -> Self {
        Connection(Rc::new(RefCell::new(Inner { io: Some(io), waiting: None, flushed: false, held: false })), secure)
    }

    pub(super) fn secure(&self) -> Secure {
        self.1
    }

    pub(super) fn takeover(&self) -> Takeover {
        Takeover(self.0.clone())
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        let held = inner.held;
        match &mut inner.io {
            // The write of the head wakes actix, or its failure.
            Some(_) if held => Poll::Pending,
            Some(io) => Pin::new(io).poll_read(cx, buf),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0.borrow_mut().io {
            Some(io) => Pin::new(io).poll_write(cx, data),
            None => Poll::Ready(Ok(data.len())),
        }
    }

    /// actix calls this after it has written its whole buffer, when a waiting takeover can continue.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        let Some(io) = &mut inner.io else { return Poll::Ready(Ok(())) };
        let flushed = Pin::new(io).poll_flush(cx);
        if flushed.is_ready()
            && let Some(waker) = inner.waiting.take()
        {
            inner.flushed = true;
            waker.wake();
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

/// The body of a response that takes over its connection. It is empty for actix. After the head was sent, `then`
/// gets the connection.
pub struct TakeoverBody<F: FnOnce(Box<dyn Io>)> {
    takeover: Takeover,
    then: Option<F>,
    armed: bool,
}

impl<F: FnOnce(Box<dyn Io>)> TakeoverBody<F> {
    /// For a response with `Connection: close` and without chunked encoding: `then` writes the body and ends it by
    /// closing the connection. From now on actix reads nothing, so that `then` gets the data that a WebSocket
    /// client sends as soon as it has the head.
    pub fn new(takeover: Takeover, then: F) -> Self {
        takeover.0.borrow_mut().held = true;
        TakeoverBody { takeover, then: Some(then), armed: false }
    }
}

impl<F: FnOnce(Box<dyn Io>) + Unpin> MessageBody for TakeoverBody<F> {
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
        drop(inner);
        if let (Some(io), Some(then)) = (io, self.then.take()) {
            then(io);
        }
        Poll::Ready(None)
    }
}
