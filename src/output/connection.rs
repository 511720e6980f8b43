//! Writing to the connection of one client, for outputs whose responses have no end.

use std::{future::poll_fn, io::IoSlice, pin::pin, task::Poll};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Duration, error::Elapsed, timeout},
};

use super::DisconnectReason;

/// Writes all bytes, or says why the client is gone.
pub(super) async fn write_all<T: AsyncWrite + Unpin>(
    io: &mut T,
    data: &[u8],
    stall_timeout: Duration,
) -> Result<(), DisconnectReason> {
    write_both(io, data, &[], stall_timeout).await
}

/// The same for two parts, which go out together where the transport can write more than one.
pub(super) async fn write_both<T: AsyncWrite + Unpin>(
    io: &mut T,
    head: &[u8],
    data: &[u8],
    stall_timeout: Duration,
) -> Result<(), DisconnectReason> {
    let mut rest = &mut [head, data].map(IoSlice::new)[..];
    // An empty part in front is left out.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match within(stall_timeout, io.write_vectored(rest)).await {
            Ok(Ok(n)) if n > 0 => IoSlice::advance_slices(&mut rest, n),
            Ok(_) => return Err(DisconnectReason::Closed),
            Err(_) => return Err(DisconnectReason::Stalled),
        }
    }
    // TLS holds back the end of a record until a flush.
    match within(stall_timeout, io.flush()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(DisconnectReason::Closed),
        Err(_) => Err(DisconnectReason::Stalled),
    }
}

/// The same as `timeout`, for an operation that is mostly done at once: it gets a timer only if it is not.
async fn within<F: Future>(longest: Duration, operation: F) -> Result<F::Output, Elapsed> {
    let mut operation = pin!(operation);
    let at_once = poll_fn(|context| Poll::Ready(operation.as_mut().poll(context))).await;
    match at_once {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => timeout(longest, operation).await,
    }
}

/// Returns when the client has closed. Ignores data from the client.
pub(super) async fn closed<T: AsyncRead + Unpin>(io: &mut T) {
    let mut ignored = [0; 256];
    while let Ok(1..) = io.read(&mut ignored).await {}
}

/// Closes the connection. Bounded, because a client that takes no bytes does not take the end either.
pub(super) async fn end<T: AsyncWrite + Unpin>(io: &mut T) {
    let _ = timeout(Duration::from_millis(500), io.shutdown()).await;
}
