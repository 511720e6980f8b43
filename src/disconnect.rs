//! [`DisconnectReason`]: why a connection that stays open has ended, for outputs, WebSockets and the protocols on them.

/// Why the connection of a watcher or publisher ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The peer closed the connection, or the network did.
    Closed,
    /// The peer took nothing for `output.stall_timeout`.
    Stalled,
    /// The stream was removed.
    StreamEnded,
    /// The server shuts down, or the peer has lost its permission.
    ToldToEnd,
    /// The peer has all that it asked for.
    Complete,
}

impl DisconnectReason {
    /// The reason in words, which is also the label of the metric.
    pub fn reason(self) -> &'static str {
        match self {
            DisconnectReason::Closed => "connection closed",
            DisconnectReason::Stalled => "took nothing for too long",
            DisconnectReason::StreamEnded => "the stream ended",
            DisconnectReason::ToldToEnd => "told to end: shutdown, or permission lost",
            DisconnectReason::Complete => "has all that it asked for",
        }
    }
}
