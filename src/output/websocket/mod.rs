//! Pictures by WebSocket: each a binary message that is a JPEG, with small JSON notices between them.
//!
//! A client that says which picture it has shown (`{"ack":7}`, counted from 1 on each connection) is never sent more than a window
//! of pictures ahead of that; what comes meanwhile is left out and not queued in a network that is slow. One that says nothing is
//! sent as much as its connection takes.

#[cfg(test)]
mod tests;
pub mod wire;

use actix_http::ws::CloseCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::wire::{Incoming, Socket};
use super::{DisconnectReason, Report};
use crate::{
    picture::SharedFrame,
    stream::{States, Watch},
};

/// Most that a watcher may say at once, in bytes: an acknowledgement, or the offer of a browser's player that can do more (a
/// WebRTC offer of go2rtc's page).
const MAX_MESSAGE: usize = 64 << 10;

/// Pictures on the way to a client that acknowledges them: one being shown, one coming.
pub const WINDOW: u64 = 2;

/// The largest window that can be asked for.
pub const MAX_WINDOW: u64 = 64;

/// How often a client is told at most how much it has lost.
const TELL_DROPPED_EVERY: Duration = Duration::from_secs(1);

/// What one watcher wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which language is spoken around the pictures.
    pub dialect: Dialect,
    /// Pictures sent ahead of the last one acknowledged; none until something is acknowledged.
    pub window: Option<u64>,
    /// Whether each picture is announced by a notice with its number, time and size.
    pub meta: bool,
    /// How long to wait for a first picture before "waiting" is shown.
    pub placeholder_after: Duration,
    /// How long the peer may take nothing, or be silent although it was pinged.
    pub patience: Duration,
}

/// What is said around the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Notices of ours, and pictures at once.
    Ours,
    /// go2rtc's `/api/ws`: pictures after `{"type":"mjpeg"}`, which is answered in kind, and nothing else.
    Go2rtc,
}

/// Why the server ends a connection: the code and the reason that the peer is told.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The close code.
    pub code: CloseCode,
    /// In words.
    pub reason: &'static str,
}

impl Ending {
    /// The server shuts down.
    pub const SHUTDOWN: Ending = Ending { code: CloseCode::Away, reason: "the server is shutting down" };
    /// The watcher may not watch any more.
    pub const NOT_PERMITTED: Ending = Ending { code: CloseCode::Policy, reason: "not permitted any more" };
}

/// What a client may say.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    ack: Option<u64>,
    #[serde(default)]
    r#type: Option<String>,
}

struct Watcher<T> {
    socket: Socket<T>,
    watch: Watch,
    options: Options,
    /// Set while pictures are sent.
    started: bool,
    sent: u64,
    acked: u64,
    told_dropped: u64,
    dropped_told_at: Option<Instant>,
    report: Report,
}

/// Serves one watcher until it leaves, stalls, the stream ends or `stop` is cancelled, when `ending` says why. `states` are
/// those of the stream whose pictures are watched, even where a variant is.
pub async fn serve<T>(
    io: T,
    watch: Watch,
    mut states: States,
    options: Options,
    stop: CancellationToken,
    ending: impl Fn() -> Ending,
) -> Report
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut watcher = Watcher {
        socket: Socket::new(io, MAX_MESSAGE, options.patience),
        started: options.dialect == Dialect::Ours,
        watch,
        sent: 0,
        acked: 0,
        told_dropped: 0,
        dropped_told_at: None,
        report: Report { parts: 0, bytes: 0, dropped: 0, left: DisconnectReason::Closed },
        options,
    };
    let waiting_at = Instant::now() + watcher.options.placeholder_after;
    let left = loop {
        let (may_send, ping_due) = (watcher.may_send(), watcher.socket.ping_due());
        let has_nothing = watcher.sent == 0 && watcher.watch.latest().is_none();
        let step = tokio::select! {
            incoming = watcher.socket.receive() => match incoming {
                Ok(incoming) => watcher.hear(incoming).await,
                Err(fault) => {
                    if let Some((code, reason)) = fault.close() {
                        watcher.socket.close(code, reason).await;
                    }
                    Err(DisconnectReason::Closed)
                }
            },
            frame = watcher.watch.next(), if may_send => match frame {
                Ok(frame) => watcher.show(&frame).await,
                Err(ended) => {
                    watcher.socket.close(CloseCode::Away, ended.0).await;
                    Err(DisconnectReason::StreamEnded)
                }
            },
            () = sleep_until(waiting_at), if may_send && has_nothing => {
                let waiting = watcher.watch.placeholder();
                watcher.show(&waiting).await
            }
            (state, reason) = states.next(), if watcher.options.dialect == Dialect::Ours => {
                watcher.tell(&json!({"type": "state", "state": state.as_str(), "reason": reason})).await
            }
            () = sleep_until(ping_due) => watcher.socket.keep_alive().await,
            () = stop.cancelled() => {
                let Ending { code, reason } = ending();
                watcher.socket.close(code, reason).await;
                Err(DisconnectReason::ToldToEnd)
            }
        };
        if let Err(left) = step {
            break left;
        }
    };
    Report { dropped: watcher.watch.dropped(), left, ..watcher.report }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Watcher<T> {
    fn may_send(&self) -> bool {
        self.started && self.options.window.is_none_or(|window| self.sent - self.acked < window)
    }

    async fn show(&mut self, frame: &SharedFrame) -> Result<(), DisconnectReason> {
        self.sent += 1;
        if self.options.meta {
            let about = json!({
                "type": "picture", "seq": self.sent, "timestamp": frame.timestamp(), "width": frame.width,
                "height": frame.height, "bytes": frame.size(), "waiting": frame.placeholder,
            });
            self.tell(&about).await?;
        }
        let jpeg = frame.jpeg();
        self.socket.binary(&jpeg).await?;
        self.report.parts += 1;
        self.report.bytes += jpeg.len() as u64;
        self.tell_dropped().await
    }

    async fn tell_dropped(&mut self) -> Result<(), DisconnectReason> {
        let dropped = self.watch.dropped();
        let recently = self.dropped_told_at.is_some_and(|at| at.elapsed() < TELL_DROPPED_EVERY);
        if self.options.dialect != Dialect::Ours || dropped == self.told_dropped || recently {
            return Ok(());
        }
        (self.told_dropped, self.dropped_told_at) = (dropped, Some(Instant::now()));
        self.tell(&json!({"type": "dropped", "frames": dropped})).await
    }

    async fn tell(&mut self, notice: &Value) -> Result<(), DisconnectReason> {
        let text = notice.to_string();
        self.report.bytes += text.len() as u64;
        self.socket.text(&text).await
    }

    async fn hear(&mut self, incoming: Incoming) -> Result<(), DisconnectReason> {
        match incoming {
            Incoming::Text(text) => self.obey(&text).await,
            Incoming::Ping(data) => self.socket.pong(&data).await,
            Incoming::Pong => Ok(()),
            Incoming::Close => {
                self.socket.agree().await;
                Err(DisconnectReason::Closed)
            }
            Incoming::Binary(_) => {
                self.socket.close(CloseCode::Unsupported, "pictures are taken with ?push=1 only").await;
                Err(DisconnectReason::Closed)
            }
        }
    }

    /// What is not understood is passed over: players of other servers say more than we know.
    async fn obey(&mut self, text: &str) -> Result<(), DisconnectReason> {
        let said = serde_json::from_str(text).unwrap_or(Said { ack: None, r#type: None });
        if let Some(ack) = said.ack {
            self.options.window.get_or_insert(WINDOW);
            self.acked = self.acked.max(ack.min(self.sent));
        }
        match (self.options.dialect, said.r#type.as_deref()) {
            (Dialect::Ours, _) | (Dialect::Go2rtc, None) => Ok(()),
            (Dialect::Go2rtc, Some("mjpeg")) => {
                self.started = true;
                self.tell(&json!({"type": "mjpeg"})).await
            }
            (Dialect::Go2rtc, Some(other)) => {
                let value = format!("{other}: only mjpeg can be had here");
                self.tell(&json!({"type": "error", "value": value})).await
            }
        }
    }
}
