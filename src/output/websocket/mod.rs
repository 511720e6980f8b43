//! Pictures by WebSocket: each picture is a binary message with a JPEG, and there are small JSON notices between them. Or video, in
//! pieces of MP4 (`video.rs`).
//!
//! A client can acknowledge the pictures that it has shown (`{"ack":7}`, counted from 1 on each connection). It then gets at
//! most a window of pictures beyond the last acknowledged one; other pictures are skipped instead of queued in a slow
//! network. A client that acknowledges nothing gets as much as its connection takes.

#[cfg(test)]
mod tests;
mod video;

use actix_http::ws::CloseCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::video::{Form, Step, Video};
use super::{
    DisconnectReason, Report,
    fmp4::{Accepts, OpenFeed},
    http::OutputKind,
};
use crate::{
    picture::SharedFrame,
    stream::{Demand, States, Watch},
    websocket::{Ending, Incoming, Socket},
};

/// `/ws/{name}`.
pub const KIND: OutputKind = OutputKind {
    word: "websocket",
    path: "/ws/{name}",
    content_type: "image/jpeg",
    about: "Pictures by WebSocket, each a binary message. JSON notices between them tell states and losses; the client sends `{\"ack\":N}` after it has shown picture N.",
};

/// Longest message of a client in bytes: an acknowledgement, or the WebRTC offer of go2rtc's player.
const MAX_MESSAGE: usize = 64 << 10;

/// Pictures on the way to a client that acknowledges them: one on its screen, one in the network.
pub const WINDOW: u64 = 2;

/// The largest window that a request can ask for.
pub const MAX_WINDOW: u64 = 64;

/// Most characters of a message's type that an error repeats.
const LONGEST_KIND: usize = 40;

/// Shortest pause between notices of dropped frames.
const DROPPED_INTERVAL: Duration = Duration::from_secs(1);

/// The options of one client.
#[derive(Clone, Debug)]
pub struct Options {
    /// The protocol of the text messages.
    pub dialect: Dialect,
    /// Whether the client gets video from the beginning, and no pictures; the codecs that it plays.
    pub video: Option<Accepts>,
    /// Most pictures beyond the last acknowledged one; none for no limit before the first acknowledgement.
    pub window: Option<u64>,
    /// Whether a notice with number, time and size precedes each picture.
    pub meta: bool,
    /// How long to wait for a first picture before the "waiting" picture is sent.
    pub placeholder_after: Duration,
    /// How long the client can take no bytes, or not answer pings, before it is disconnected.
    pub stall_timeout: Duration,
}

/// The protocol of the text messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Notices of this server; pictures are sent at once.
    Own,
    /// go2rtc's `/api/ws`: pictures are sent after `{"type":"mjpeg"}`, which gets the same message as its answer, and video
    /// after `{"type":"mse"}` or `{"type":"mp4"}`. No notices.
    Go2rtc,
}

/// The stream that a client gets.
pub struct Source {
    /// Its pictures, or those of a variant.
    pub watch: Watch,
    /// The states of the stream itself, also when a variant of it is watched.
    pub states: States,
    /// The stream as video.
    pub video: OpenFeed,
}

/// A text message of a client.
#[derive(Default, Deserialize)]
struct ClientMessage {
    #[serde(default)]
    ack: Option<u64>,
    #[serde(default)]
    r#type: Option<String>,
    /// go2rtc: the codecs that the client plays; of other types, anything.
    #[serde(default)]
    value: Value,
}

struct Watcher<T> {
    socket: Socket<T>,
    watch: Watch,
    open_video: OpenFeed,
    video: Video,
    options: Options,
    /// Whether pictures are sent.
    started: bool,
    sent: u64,
    acked: u64,
    reported_dropped: u64,
    dropped_reported_at: Option<Instant>,
    report: Report,
}

/// Serves one client until it disconnects or stalls, the stream ends, or `stop` is cancelled; `ending` then gives
/// the reason.
pub async fn serve<T>(
    io: T,
    source: Source,
    options: Options,
    stop: CancellationToken,
    ending: impl Fn() -> Ending,
) -> Report
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let Source { watch, mut states, video } = source;
    let mut watcher = Watcher {
        socket: Socket::new(io, MAX_MESSAGE, options.stall_timeout),
        started: options.dialect == Dialect::Own && options.video.is_none(),
        watch,
        open_video: video,
        video: Video::Off,
        sent: 0,
        acked: 0,
        reported_dropped: 0,
        dropped_reported_at: None,
        report: Report { parts: 0, bytes: 0, dropped: 0, left: DisconnectReason::Closed },
        options,
    };
    if let Some(accepts) = watcher.options.video.take() {
        watcher.begin_video(Form::Mse, accepts);
    }
    let waiting_at = Instant::now() + watcher.options.placeholder_after;
    let left = loop {
        let (may_send, ping_due) = (watcher.may_send(), watcher.socket.ping_due());
        let has_nothing = watcher.sent == 0 && watcher.watch.latest().is_none();
        let step = tokio::select! {
            incoming = watcher.socket.receive() => match incoming {
                Ok(incoming) => watcher.handle(incoming).await,
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
            step = watcher.video.next() => watcher.play(step).await,
            (state, reason) = states.next(), if watcher.options.dialect == Dialect::Own => {
                watcher.send(&json!({"type": "state", "state": state.as_str(), "reason": reason})).await
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
    Report { dropped: watcher.watch.dropped() + watcher.video.dropped(), left, ..watcher.report }
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
            self.send(&about).await?;
        }
        let jpeg = frame.jpeg();
        self.socket.binary(&jpeg).await?;
        self.report.parts += 1;
        self.report.bytes += jpeg.len() as u64;
        self.report_dropped().await
    }

    async fn report_dropped(&mut self) -> Result<(), DisconnectReason> {
        let dropped = self.watch.dropped();
        let recently = self.dropped_reported_at.is_some_and(|at| at.elapsed() < DROPPED_INTERVAL);
        if self.options.dialect != Dialect::Own || dropped == self.reported_dropped || recently {
            return Ok(());
        }
        (self.reported_dropped, self.dropped_reported_at) = (dropped, Some(Instant::now()));
        self.send(&json!({"type": "dropped", "frames": dropped})).await
    }

    async fn send(&mut self, notice: &Value) -> Result<(), DisconnectReason> {
        let text = notice.to_string();
        self.report.bytes += text.len() as u64;
        self.socket.text(&text).await
    }

    async fn handle(&mut self, incoming: Incoming) -> Result<(), DisconnectReason> {
        match incoming {
            Incoming::Text(text) => self.handle_text(&text).await,
            Incoming::Ping(data) => self.socket.pong(&data).await,
            Incoming::Pong => Ok(()),
            Incoming::Close => {
                self.socket.answer_close().await;
                Err(DisconnectReason::Closed)
            }
            Incoming::Binary(_) => {
                self.socket.close(CloseCode::Unsupported, "pictures are accepted with ?push=1 only").await;
                Err(DisconnectReason::Closed)
            }
        }
    }

    /// Handles a text message. Ignores unknown messages, because players of other servers send more kinds.
    async fn handle_text(&mut self, text: &str) -> Result<(), DisconnectReason> {
        let message: ClientMessage = serde_json::from_str(text).unwrap_or_default();
        if let Some(ack) = message.ack {
            self.options.window.get_or_insert(WINDOW);
            self.acked = self.acked.max(ack.min(self.sent));
        }
        match (self.options.dialect, message.r#type.as_deref()) {
            (Dialect::Own, _) | (Dialect::Go2rtc, None) => Ok(()),
            (Dialect::Go2rtc, Some("mjpeg")) => self.begin_pictures().await,
            (Dialect::Go2rtc, Some(kind)) => match Form::of(kind) {
                Some(form) => {
                    self.begin_video(form, Accepts::parse(message.value.as_str().unwrap_or_default()));
                    Ok(())
                }
                None => {
                    let kind: String = kind.chars().take(LONGEST_KIND).collect();
                    self.refuse(&kind, "only mse, mp4 and mjpeg are available here").await
                }
            },
        }
    }

    /// Sends pictures, and no video.
    async fn begin_pictures(&mut self) -> Result<(), DisconnectReason> {
        if !matches!(self.video, Video::Off) {
            self.video = Video::Off;
            match self.watch.stream().clone().watch() {
                Ok(watch) => self.watch = watch,
                Err(why) => return self.refuse("mjpeg", why.0).await,
            }
        }
        self.watch.set_demand(Demand::Continuous);
        self.started = true;
        self.send(&json!({"type": "mjpeg"})).await
    }

    /// Sends video, and no pictures.
    fn begin_video(&mut self, form: Form, accepts: Accepts) {
        self.started = false;
        // A keyframe in each file leaves no room for sound.
        let heard = if form == Form::Mse { accepts.clone() } else { Accepts::parse("avc1,hvc1") };
        self.video = Video::opening(form, accepts, (self.open_video)(heard));
        // The video has a watch of its own; this one does not count as a second watcher.
        self.watch = self.watch.stream().follow();
    }

    async fn play(&mut self, step: Step) -> Result<(), DisconnectReason> {
        match step {
            Step::Begin { kind, media_type, note } => {
                let mut begin = json!({"type": kind, "value": media_type});
                if let (Some(note), Dialect::Own) = (note, self.options.dialect) {
                    begin["note"] = note.into();
                }
                self.send(&begin).await
            }
            Step::Data(head, data) => {
                self.socket.binary_of(&head, &data).await?;
                self.report.parts += 1;
                self.report.bytes += (head.len() + data.len()) as u64;
                Ok(())
            }
            Step::Refused { kind, why } => {
                self.refuse(kind, &why).await?;
                if self.options.dialect == Dialect::Go2rtc {
                    return Ok(());
                }
                self.socket.close(CloseCode::Away, "there is no video; see the error before").await;
                Err(DisconnectReason::StreamEnded)
            }
            Step::Ended { kind, why } => {
                self.refuse(kind, why).await?;
                self.socket.close(CloseCode::Away, why).await;
                Err(DisconnectReason::StreamEnded)
            }
        }
    }

    /// An error begins with the type of the message: go2rtc's player then tries its next mode.
    async fn refuse(&mut self, kind: &str, why: &str) -> Result<(), DisconnectReason> {
        self.send(&json!({"type": "error", "value": format!("{kind}: {why}")})).await
    }
}
