//! Connections whose bytes are counted while they are written, not when they are closed.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Tells how many bytes each write took.
pub struct Counted<T, F> {
    io: T,
    count: F,
}

impl<T, F: FnMut(usize) + Unpin> Counted<T, F> {
    /// Counts what is written to `io`.
    pub fn new(io: T, count: F) -> Self {
        Counted { io, count }
    }
}

impl<T: AsyncRead + Unpin, F: Unpin> AsyncRead for Counted<T, F> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin, F: FnMut(usize) + Unpin> AsyncWrite for Counted<T, F> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, data);
        if let Poll::Ready(Ok(written)) = written {
            (self.count)(written);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
