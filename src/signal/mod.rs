//! Rooms: signalling between browsers (or any peers of WebRTC) that are in the same room.
//!
//! `room.rs` is pure: who is in a room, and who gets a message. `serve` is the connection of one member. Messages are texts that
//! this module does not understand, except for `to` in addressed rooms.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod room;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_http::ws::CloseCode;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

pub use self::room::Mode;
use self::room::{Delivery, Member, Room};
use crate::{
    disconnect::DisconnectReason,
    output::http::OutputKind,
    stream::StreamName,
    websocket::{Ending, Incoming, Socket},
};

/// `/signal/{name}`.
pub const KIND: OutputKind = OutputKind {
    word: "signal",
    path: "/signal/{name}",
    content_type: "text/plain",
    about: "A room for the signalling of WebRTC by WebSocket.",
};

/// The sub-protocol of addressed rooms.
pub const ADDRESSED: &str = "mtx.signal";

/// Most rooms at a time.
const MAX_ROOMS: usize = 100;

/// Most bytes of one message.
const MAX_MESSAGE: usize = 64 << 10;

/// Messages of a member per second, and at once.
const RATE: f64 = 50.0;

/// A member that sends no message, and gets none, for this time leaves.
const IDLE: Duration = Duration::from_secs(600);

/// A member that answers no ping for this time has vanished.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Messages, and bytes of them, that wait for one member. A member that takes them more slowly leaves.
const QUEUE: usize = 64;
const MAX_WAITING: usize = 512 << 10;

/// All rooms. A room exists while it has a member. Cheap to clone.
#[derive(Clone, Default)]
pub struct Rooms(Arc<Mutex<HashMap<StreamName, Room<Mailbox>>>>);

/// Where the messages for a member go.
struct Mailbox {
    texts: mpsc::Sender<Arc<str>>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
    /// Cancelled when the member takes messages too slowly.
    slow: CancellationToken,
}

impl Mailbox {
    fn put(&self, text: Arc<str>) {
        let length = text.len();
        let waiting = self.waiting.fetch_add(length, Ordering::Relaxed) + length;
        if waiting > MAX_WAITING || self.texts.try_send(text).is_err() {
            self.slow.cancel();
        }
    }
}

/// A member's place in a room, which it leaves when this is dropped.
struct Seat<'a> {
    rooms: &'a Rooms,
    room: StreamName,
    id: String,
}

impl Rooms {
    /// The number of rooms.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there is no room.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn join(&self, name: &StreamName, mode: Mode, mailbox: Mailbox) -> Result<Seat<'_>, &'static str> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| "there are no random numbers")?;
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut rooms = self.0.lock();
        if !rooms.contains_key(name) && rooms.len() >= MAX_ROOMS {
            return Err("there are too many rooms");
        }
        let room = rooms.entry(name.clone()).or_insert_with(|| Room::new(mode));
        let deliveries = room.join(Member { id: id.clone(), mailbox }, mode)?;
        deliver(room, deliveries);
        Ok(Seat { rooms: self, room: name.clone(), id })
    }
}

impl Seat<'_> {
    /// Gives a message to those that it is for. The error is for its sender.
    fn say(&self, text: &str) -> Result<(), String> {
        let mut rooms = self.rooms.0.lock();
        let Some(room) = rooms.get_mut(&self.room) else { return Ok(()) };
        let deliveries = room.say(&self.id, text)?;
        deliver(room, deliveries);
        Ok(())
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut rooms = self.rooms.0.lock();
        let Some(room) = rooms.get_mut(&self.room) else { return };
        let deliveries = room.leave(&self.id);
        deliver(room, deliveries);
        if room.is_empty() {
            rooms.remove(&self.room);
        }
    }
}

fn deliver(room: &Room<Mailbox>, deliveries: Vec<Delivery>) {
    for Delivery { to, text } in deliveries {
        if let Some(member) = room.member(&to) {
            member.mailbox.put(text);
        }
    }
}

/// Serves a member until it leaves or stalls, or `stop` is cancelled; `ending` then gives the reason.
pub async fn serve<T>(
    io: T,
    rooms: &Rooms,
    name: &StreamName,
    mode: Mode,
    stop: CancellationToken,
    ending: impl Fn() -> Ending,
) -> DisconnectReason
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = Socket::new(io, MAX_MESSAGE, TIMEOUT);
    let (texts, mut received) = mpsc::channel(QUEUE);
    let (waiting, slow) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
    let mailbox = Mailbox { texts, waiting: waiting.clone(), slow: slow.clone() };
    let seat = match rooms.join(name, mode, mailbox) {
        Ok(seat) => seat,
        Err(why) => {
            socket.close(CloseCode::Again, why).await;
            return DisconnectReason::ToldToEnd;
        }
    };
    let mut allowance = Allowance { left: RATE, at: Instant::now() };
    let mut active_at = Instant::now();
    loop {
        let ping_due = socket.ping_due();
        let step = tokio::select! {
            incoming = socket.receive() => match incoming {
                Ok(Incoming::Text(text)) => {
                    active_at = Instant::now();
                    match allowance.take().then(|| seat.say(&text)) {
                        Some(Ok(())) => Ok(()),
                        Some(Err(why)) => socket.text(&room::error(&why)).await.map_err(Leaving::from),
                        None => Err(Leaving::told(CloseCode::Policy, "more than 50 messages a second")),
                    }
                }
                Ok(Incoming::Ping(data)) => socket.pong(&data).await.map_err(Leaving::from),
                Ok(Incoming::Pong) => Ok(()),
                Ok(Incoming::Close) => {
                    socket.answer_close().await;
                    Err(Leaving::gone())
                }
                Ok(Incoming::Binary(_)) => {
                    Err(Leaving::told(CloseCode::Unsupported, "messages are texts"))
                }
                Err(fault) => Err(match fault.close() {
                    Some((code, reason)) => Leaving::told(code, reason),
                    None => Leaving::gone(),
                }),
            },
            Some(text) = received.recv() => {
                active_at = Instant::now();
                waiting.fetch_sub(text.len(), Ordering::Relaxed);
                socket.text(&text).await.map_err(Leaving::from)
            }
            () = sleep_until(ping_due) => socket.keep_alive().await.map_err(Leaving::from),
            () = sleep_until(active_at + IDLE) => Err(Leaving::told(CloseCode::Normal, "no messages for ten minutes")),
            () = slow.cancelled() => Err(Leaving::told(CloseCode::Again, "the member takes messages too slowly")),
            () = stop.cancelled() => {
                let Ending { code, reason } = ending();
                Err(Leaving::told(code, reason))
            }
        };
        if let Err(leaving) = step {
            // The others are told before the connection is closed, which can take a moment.
            drop(seat);
            if let Some(Ending { code, reason }) = leaving.close {
                socket.close(code, reason).await;
            }
            return leaving.reason;
        }
    }
}

/// Why a member leaves.
struct Leaving {
    /// How the connection is closed; none if it is gone.
    close: Option<Ending>,
    reason: DisconnectReason,
}

impl Leaving {
    fn gone() -> Self {
        Leaving { close: None, reason: DisconnectReason::Closed }
    }

    fn told(code: CloseCode, reason: &'static str) -> Self {
        Leaving { close: Some(Ending { code, reason }), reason: DisconnectReason::ToldToEnd }
    }
}

impl From<DisconnectReason> for Leaving {
    fn from(reason: DisconnectReason) -> Self {
        Leaving { close: None, reason }
    }
}

/// How many messages a member can send at this moment.
struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        self.left = (self.left + (now - self.at).as_secs_f64() * RATE).min(RATE);
        self.at = now;
        let is_left = self.left >= 1.0;
        self.left -= if is_left { 1.0 } else { 0.0 };
        is_left
    }
}

#[cfg(test)]
mod tests;
