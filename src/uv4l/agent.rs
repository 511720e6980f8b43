//! An agent at a camera that this program cannot reach, behind NAT for example: it connects here, and carries the calls.
//!
//! One WebSocket carries all calls of the camera, as JSON with a number for each call:
//!
//! ```text
//! to the agent:    {"type":"open","call":1}    {"type":"text","call":1,"text":"…"}   {"type":"close","call":1}
//! from the agent:  {"type":"opened","call":1}  {"type":"text","call":1,"text":"…"}   {"type":"closed","call":1,"reason":"…"}
//! ```

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_http::ws::CloseCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Duration, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::message::MAX_MESSAGE;
use crate::{
    disconnect::DisconnectReason,
    stream::StreamName,
    websocket::{Ending, Incoming, Socket},
};

/// Most bytes of a message between the agent and us: a text of a call, whose quotation marks are escaped.
pub(super) const MAX_CARRIED: usize = 4 * MAX_MESSAGE;

/// Messages that wait for one call, or for the agent. A call has about thirty in all.
pub(super) const QUEUE: usize = 64;

/// How often calls are looked for whose viewer has left without a word.
const SWEEP: Duration = Duration::from_secs(1);

/// The longest reason that an agent can give, in characters.
const MAX_REASON: usize = 300;

/// An agent that answers no ping for this time has vanished.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// A message between an agent and us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Carried {
    Open {
        call: u64,
    },
    Opened {
        call: u64,
    },
    Text {
        call: u64,
        text: String,
    },
    Close {
        call: u64,
    },
    Closed {
        call: u64,
        #[serde(default)]
        reason: String,
    },
}

impl Carried {
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The agents by camera. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Agents(Arc<Known>);

#[derive(Default)]
struct Known {
    next: AtomicU64,
    by_camera: Mutex<HashMap<StreamName, Connected>>,
}

/// A connected agent.
#[derive(Clone)]
struct Connected {
    id: u64,
    orders: mpsc::Sender<Order>,
    replaced: CancellationToken,
}

/// What a call wants of the agent.
enum Order {
    Open { call: u64, replies: mpsc::Sender<Reply> },
    Text { call: u64, text: String },
    Close { call: u64 },
}

/// What the agent has for a call.
enum Reply {
    Opened,
    Text(String),
    Closed(String),
}

/// One call over an agent's connection.
pub struct Line {
    call: u64,
    orders: mpsc::Sender<Order>,
    replies: mpsc::Receiver<Reply>,
}

const GONE: &str = "the agent has disconnected";

impl Line {
    /// The next text. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<String, String> {
        loop {
            match self.replies.recv().await {
                Some(Reply::Text(text)) => return Ok(text),
                Some(Reply::Opened) => {}
                Some(Reply::Closed(why)) => return Err(why),
                None => return Err(GONE.into()),
            }
        }
    }

    pub(super) fn send(&mut self, text: String) -> Result<(), String> {
        let order = Order::Text { call: self.call, text };
        self.orders.try_send(order).map_err(|_| "the agent takes messages too slowly, or has disconnected".into())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Where the queue is full, the sweep finds the call.
        let _ = self.orders.try_send(Order::Close { call: self.call });
    }
}

impl Agents {
    /// Whether an agent is connected for the camera.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.by_camera.lock().contains_key(name)
    }

    /// Opens a call over the camera's agent. The caller bounds the time.
    pub(super) async fn open(&self, name: &StreamName) -> Result<Line, String> {
        let agent = self.0.by_camera.lock().get(name).cloned();
        let Some(agent) = agent else { return Err("its agent (mtx-sidecar uv4l-agent) is not connected".into()) };
        let call = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (sender, replies) = mpsc::channel(QUEUE);
        let order = Order::Open { call, replies: sender };
        agent.orders.try_send(order).map_err(|_| "its agent takes messages too slowly".to_owned())?;
        let mut line = Line { call, orders: agent.orders, replies };
        match line.replies.recv().await {
            Some(Reply::Opened) => Ok(line),
            Some(Reply::Closed(why)) => Err(why),
            Some(Reply::Text(_)) => Err("its agent sends a text before the call is open".into()),
            None => Err(GONE.into()),
        }
    }

    /// Makes this agent the camera's. One that was connected before is told to leave.
    fn connect(&self, name: &StreamName) -> (Connected, mpsc::Receiver<Order>) {
        let (orders, received) = mpsc::channel(QUEUE);
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let agent = Connected { id, orders, replaced: CancellationToken::new() };
        if let Some(before) = self.0.by_camera.lock().insert(name.clone(), agent.clone()) {
            before.replaced.cancel();
        }
        (agent, received)
    }

    fn disconnect(&self, name: &StreamName, id: u64) {
        let mut by_camera = self.0.by_camera.lock();
        if by_camera.get(name).is_some_and(|agent| agent.id == id) {
            by_camera.remove(name);
        }
    }
}

/// The agent is taken out of the list also when the task is cut off.
struct Registered<'a> {
    agents: &'a Agents,
    name: &'a StreamName,
    id: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.agents.disconnect(self.name, self.id);
    }
}

/// Serves the agent of a camera until it disconnects, another one connects, or `stop` is cancelled.
pub(super) async fn serve<T>(
    io: T,
    name: &StreamName,
    agents: &Agents,
    stop: CancellationToken,
    ending: impl Fn() -> Ending,
) -> DisconnectReason
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (agent, mut orders) = agents.connect(name);
    let _registered = Registered { agents, name, id: agent.id };
    tracing::info!(camera = %name, "an agent has connected");
    let mut socket = Socket::new(io, MAX_CARRIED, TIMEOUT);
    let mut lines: HashMap<u64, mpsc::Sender<Reply>> = HashMap::new();
    let mut sweep = interval(SWEEP);
    let left = loop {
        let ping_due = socket.ping_due();
        let done = tokio::select! {
            incoming = socket.receive() => match incoming {
                Ok(Incoming::Text(text)) => match serde_json::from_str(&text) {
                    Ok(carried) => match pass_on(carried, &mut lines) {
                        Some(dead) => socket.text(&Carried::Close { call: dead }.json()).await,
                        None => Ok(()),
                    },
                    Err(_) => {
                        socket.close(CloseCode::Policy, "not a message of an agent").await;
                        Err(DisconnectReason::Closed)
                    }
                },
                Ok(Incoming::Ping(data)) => socket.pong(&data).await,
                Ok(Incoming::Pong) => Ok(()),
                Ok(Incoming::Close) => {
                    socket.answer_close().await;
                    Err(DisconnectReason::Closed)
                }
                Ok(Incoming::Binary(_)) => {
                    socket.close(CloseCode::Unsupported, "messages are texts").await;
                    Err(DisconnectReason::Closed)
                }
                Err(fault) => {
                    if let Some((code, reason)) = fault.close() {
                        socket.close(code, reason).await;
                    }
                    Err(DisconnectReason::Closed)
                }
            },
            Some(order) = orders.recv() => {
                let carried = match order {
                    Order::Open { call, replies } => {
                        lines.insert(call, replies);
                        Some(Carried::Open { call })
                    }
                    Order::Text { call, text } => lines.contains_key(&call).then_some(Carried::Text { call, text }),
                    Order::Close { call } => lines.remove(&call).map(|_| Carried::Close { call }),
                };
                match carried {
                    Some(carried) => socket.text(&carried.json()).await,
                    None => Ok(()),
                }
            }
            _ = sweep.tick() => close_left(&mut socket, &mut lines).await,
            () = sleep_until(ping_due) => socket.keep_alive().await,
            () = agent.replaced.cancelled() => {
                socket.close(CloseCode::Policy, "another agent of this camera has connected").await;
                Err(DisconnectReason::ToldToEnd)
            }
            () = stop.cancelled() => {
                let Ending { code, reason } = ending();
                socket.close(code, reason).await;
                Err(DisconnectReason::ToldToEnd)
            }
        };
        if let Err(left) = done {
            break left;
        }
    };
    tracing::info!(camera = %name, "the agent has disconnected: {}", left.reason());
    left
}

/// Gives a message of the agent to its call. Returns the call that must be closed at the agent.
fn pass_on(carried: Carried, lines: &mut HashMap<u64, mpsc::Sender<Reply>>) -> Option<u64> {
    let (call, reply) = match carried {
        Carried::Opened { call } => (call, Reply::Opened),
        Carried::Text { call, text } if text.len() <= MAX_MESSAGE => (call, Reply::Text(text)),
        Carried::Text { call, .. } => (call, Reply::Closed("it sends a message that is too large".into())),
        Carried::Closed { call, reason } => {
            let reason = reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
            (call, Reply::Closed(reason))
        }
        Carried::Open { .. } | Carried::Close { .. } => return None,
    };
    let is_over = matches!(reply, Reply::Closed(_));
    let taken = lines.get(&call)?.try_send(reply).is_ok();
    if is_over || !taken {
        lines.remove(&call);
    }
    (!taken).then_some(call)
}

/// Closes the calls whose viewers have left, at the agent.
async fn close_left<T>(
    socket: &mut Socket<T>,
    lines: &mut HashMap<u64, mpsc::Sender<Reply>>,
) -> Result<(), DisconnectReason>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let left: Vec<_> = lines.iter().filter(|(_, replies)| replies.is_closed()).map(|(call, _)| *call).collect();
    for call in left {
        lines.remove(&call);
        socket.text(&Carried::Close { call }.json()).await?;
    }
    Ok(())
}
