//! A [`Feed`] in an endless HTTP response.

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

use super::Feed;
use crate::output::{
    DisconnectReason, Report,
    connection::{closed, end, write_both},
};

/// Serves one client until it disconnects or stalls, the source ends, `stop` is cancelled, or the video has the asked-for `duration`.
pub async fn serve<T>(
    mut io: T,
    mut feed: Feed,
    duration: Option<Duration>,
    stall_timeout: Duration,
    stop: CancellationToken,
) -> Report
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut report = Report { parts: 0, bytes: 0, dropped: 0, left: DisconnectReason::Closed };
    let is_complete = |feed: &Feed| duration.is_some_and(|all| u128::from(feed.length_ms()) >= all.as_millis());
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    let (mut head, mut data) = (feed.init(), Bytes::new());
    report.left = loop {
        // A fragment is sent to its end, or the connection is closed: the file would end in the middle of a frame.
        if let Err(left) = write_both(&mut io, &head, &data, stall_timeout).await {
            break left;
        }
        report.parts += 1;
        report.bytes += (head.len() + data.len()) as u64;
        if is_complete(&feed) {
            break DisconnectReason::Complete;
        }
        let next = tokio::select! {
            next = feed.next() => next,
            () = closed(&mut io) => break DisconnectReason::Closed,
            () = &mut stopped => break DisconnectReason::ToldToEnd,
        };
        (head, data) = match next {
            Ok(piece) => (piece.head, piece.data),
            Err(why) => {
                tracing::debug!("the video ends: {}", why.0);
                break DisconnectReason::StreamEnded;
            }
        };
    };
    report.dropped = feed.dropped();
    end(&mut io).await;
    report
}
