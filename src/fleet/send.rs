//! [`send`]: one picture as messages.

use async_nats::{HeaderMap, PublishError, connection::State as ConnectionState};
use tokio::time::{Duration, timeout};

use super::ask;
use crate::{
    cluster::{Cluster, chunks},
    picture::SharedFrame,
    stream::StreamName,
};

/// How long the connection can take no picture before it is skipped.
const STALL: Duration = Duration::from_secs(2);

/// Sends one picture to all nodes that listen. While NATS is away it is dropped: the latest picture wins.
pub(super) async fn send(cluster: &Cluster, stream: &StreamName, frame: &SharedFrame, number: (u64, u64)) {
    let frames = &cluster.connection().frames;
    if frames.connection_state() != ConnectionState::Connected {
        return;
    }
    match timeout(STALL, send_to(cluster, &ask::frames_of(cluster, stream), frame, number, &[])).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::debug!(%stream, "a picture is not sent to other nodes: {e}"),
        Err(_) => tracing::debug!(%stream, "a picture is not sent to other nodes: NATS takes none"),
    }
}

/// Sends one picture to a subject, in parts that each have these further headers. The frame must be encoded.
pub(super) async fn send_to(
    cluster: &Cluster,
    subject: &str,
    frame: &SharedFrame,
    number: (u64, u64),
    more: &[(&'static str, String)],
) -> Result<(), PublishError> {
    let frames = &cluster.connection().frames;
    for (head, payload) in chunks::split(&frame.jpeg(), number, frame.captured_at, frames.max_payload()) {
        let mut headers = HeaderMap::new();
        for (name, value) in head.headers().iter().chain(more) {
            headers.insert(*name, value.as_str());
        }
        frames.publish_with_headers(subject.to_owned(), headers, payload).await?;
    }
    Ok(())
}
