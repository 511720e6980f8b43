//! Writing to the connection of one client, for outputs whose responses have no end.

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Duration, timeout},
};

use super::DisconnectReason;

/// Writes all bytes, or says why the client is gone.
pub(super) async fn write_all<T: AsyncWrite + Unpin>(
    io: &mut T,
    mut data: &[u8],
    stall_timeout: Duration,
) -> Result<(), DisconnectReason> {
    while !data.is_empty() {
        match timeout(stall_timeout, io.write(data)).await {
            Ok(Ok(n)) if n > 0 => data = &data[n..],
            Ok(_) => return Err(DisconnectReason::Closed),
            Err(_) => return Err(DisconnectReason::Stalled),
        }
    }
    // TLS holds back the end of a record until a flush.
    match timeout(stall_timeout, io.flush()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(DisconnectReason::Closed),
        Err(_) => Err(DisconnectReason::Stalled),
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
