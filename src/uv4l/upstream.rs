//! The connection to a camera for one call: a WebSocket of our own, or a part of an agent's.

use bytes::{Bytes, BytesMut};
use tokio::time::{Duration, Instant};

use super::{
    Camera,
    agent::Line,
    message::{MAX_MESSAGE, ViewerMessage},
};
use crate::{
    disconnect::DisconnectReason,
    error::Result,
    fetch::{Fetch, Socket as Io},
    websocket::{Incoming, Socket},
};

/// A camera that answers no ping for this time has vanished. A ping goes out each third.
pub(super) const CAMERA_TIMEOUT: Duration = Duration::from_secs(30);

/// Timeout of the handshake, without the connection (`fetch.connect_timeout`).
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A time at which nothing is due.
const NEVER: Duration = Duration::from_secs(86_400);

/// The connection of one call.
pub enum Upstream {
    /// A WebSocket to UV4L.
    Socket(Box<Socket<Box<dyn Io>>>),
    /// A call over an agent's connection.
    Agent(Line),
}

/// Why the connection has ended, in words.
type Gone = String;

/// What a camera sends.
pub(super) enum Received {
    Text(String),
    Ping(Bytes),
    Close,
    /// A pong.
    Nothing,
}

impl Upstream {
    /// Connects to the camera's URL.
    pub(super) async fn connect(fetch: &Fetch, camera: &Camera) -> Result<Self> {
        let upgraded = fetch.session(camera.target()?).websocket("", HANDSHAKE).await?;
        Ok(Upstream::over(upgraded.io, upgraded.received))
    }

    /// The client's end of an open WebSocket.
    pub(super) fn over(io: Box<dyn Io>, received: BytesMut) -> Self {
        Upstream::Socket(Box::new(Socket::client(io, received, MAX_MESSAGE, CAMERA_TIMEOUT)))
    }

    /// What the camera sends next, for [`Upstream::take`]. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Received, Gone> {
        match self {
            Upstream::Agent(line) => line.next().await.map(Received::Text),
            Upstream::Socket(socket) => match socket.receive().await {
                Ok(Incoming::Text(text)) => Ok(Received::Text(text)),
                Ok(Incoming::Ping(data)) => Ok(Received::Ping(data)),
                Ok(Incoming::Pong) => Ok(Received::Nothing),
                Ok(Incoming::Binary(_)) => Err("it sends a binary message".into()),
                Ok(Incoming::Close) => Ok(Received::Close),
                Err(fault) => Err(fault.close().map_or("the connection is broken", |(_, reason)| reason).into()),
            },
        }
    }

    /// Answers pings and the end of the connection. Returns a text.
    pub(super) async fn take(&mut self, received: Received) -> Result<Option<String>, Gone> {
        match (received, self) {
            (Received::Text(text), _) => Ok(Some(text)),
            (Received::Ping(data), Upstream::Socket(socket)) => {
                socket.pong(&data).await.map(|()| None).map_err(|reason| reason.reason().into())
            }
            (Received::Close, Upstream::Socket(socket)) => {
                socket.answer_close().await;
                Err("it closes the connection".into())
            }
            _ => Ok(None),
        }
    }

    /// Sends a text.
    pub(super) async fn send(&mut self, text: String) -> Result<(), Gone> {
        match self {
            Upstream::Socket(socket) => socket.text(&text).await.map_err(|reason| reason.reason().into()),
            Upstream::Agent(line) => line.send(text),
        }
    }

    /// When [`Upstream::keep_alive`] is due.
    pub(super) fn ping_due(&self) -> Instant {
        match self {
            Upstream::Socket(socket) => socket.ping_due(),
            // The agent's connection has pings of its own.
            Upstream::Agent(_) => Instant::now() + NEVER,
        }
    }

    /// Sends a ping. Fails when the camera answered none for too long.
    pub(super) async fn keep_alive(&mut self) -> Result<(), Gone> {
        match self {
            Upstream::Socket(socket) => socket.keep_alive().await.map_err(|reason| match reason {
                DisconnectReason::Stalled => format!("it answers nothing for {CAMERA_TIMEOUT:?}"),
                reason => reason.reason().into(),
            }),
            Upstream::Agent(_) => Ok(()),
        }
    }

    /// Ends the call at the camera: `hangup`, then the end of the connection.
    pub(super) async fn hang_up(&mut self) {
        let said = self.send(ViewerMessage::Hangup.text(super::Form::Encoded)).await;
        match self {
            Upstream::Socket(socket) if said.is_ok() => {
                socket.close(actix_http::ws::CloseCode::Normal, "the call has ended").await;
            }
            _ => {}
        }
    }
}
