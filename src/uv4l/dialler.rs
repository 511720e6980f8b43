//! The agent's end: connects to a sidecar, and opens a connection to UV4L for each call.

use std::collections::HashMap;

use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep, sleep_until},
};

use super::{
    Camera,
    agent::{Carried, MAX_CARRIED, QUEUE, TIMEOUT},
    upstream::Upstream,
};
use crate::{
    backoff::Backoff,
    error::Result,
    fetch::{Fetch, Session, Target},
    secret::Secret,
    websocket::{Incoming, Socket},
};

/// Pauses between attempts to reach the sidecar. A connection that lasted for the longest pause begins with the shortest again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), LONGEST_PAUSE);

/// Timeout of the handshake with the sidecar.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Most calls at a time, whatever the sidecar asks for.
const MAX_CALLS: usize = 64;

/// An agent.
pub struct Dialler {
    /// Opens the connections to the sidecar and to UV4L.
    pub fetch: Fetch,
    /// The address of the camera at the sidecar: `https://home.example/uv4l/door?agent=1`.
    pub sidecar: Target,
    /// The token, with the permission to publish; empty: none.
    pub token: Secret,
    /// UV4L beside the agent.
    pub camera: Camera,
}

/// What calls have for the sidecar.
type ToSidecar = mpsc::Sender<Carried>;

impl Dialler {
    /// Connects, and again after each end, for ever.
    pub async fn run(&self) {
        let mut backoff = RETRY;
        loop {
            let began = Instant::now();
            let ended = self.serve().await;
            if began.elapsed() >= LONGEST_PAUSE {
                backoff.reset();
            }
            let pause = backoff.next_pause();
            let why = ended.err().map_or_else(|| "the sidecar has closed the connection".to_owned(), |e| e.chain());
            tracing::warn!("{why}; the next attempt is in {pause:?}");
            sleep(pause).await;
        }
    }

    fn session(&self) -> (Session, String) {
        let protocol = match self.token.is_empty() {
            true => String::new(),
            // As a page sends its token.
            false => format!("mtx.agent, bearer.{}", self.token.expose()),
        };
        (self.fetch.session(self.sidecar.clone()), protocol)
    }

    /// Serves one connection to the sidecar until it ends.
    pub async fn serve(&self) -> Result<()> {
        let (mut session, protocol) = self.session();
        let upgraded = session.websocket(&protocol, HANDSHAKE).await?;
        tracing::info!("connected to the sidecar");
        let mut socket = Socket::client(upgraded.io, upgraded.received, MAX_CARRIED, TIMEOUT);
        let (to_sidecar, mut waiting) = mpsc::channel::<Carried>(QUEUE);
        let mut calls: HashMap<u64, mpsc::Sender<String>> = HashMap::new();
        loop {
            let ping_due = socket.ping_due();
            let done = tokio::select! {
                incoming = socket.receive() => match incoming {
                    Ok(Incoming::Text(text)) => {
                        self.order(&text, &mut calls, &to_sidecar);
                        Ok(())
                    }
                    Ok(Incoming::Ping(data)) => socket.pong(&data).await,
                    Ok(Incoming::Pong | Incoming::Binary(_)) => Ok(()),
                    Ok(Incoming::Close) => {
                        socket.answer_close().await;
                        return Ok(());
                    }
                    Err(_) => return Ok(()),
                },
                Some(carried) = waiting.recv() => {
                    if let Carried::Closed { call, .. } = &carried {
                        calls.remove(call);
                    }
                    socket.text(&carried.json()).await
                }
                () = sleep_until(ping_due) => socket.keep_alive().await,
            };
            if done.is_err() {
                // Dropping `calls` ends them.
                return Ok(());
            }
        }
    }

    /// Carries out an order of the sidecar. An order that is not understood is of a later version, and ignored.
    fn order(&self, text: &str, calls: &mut HashMap<u64, mpsc::Sender<String>>, to_sidecar: &ToSidecar) {
        match serde_json::from_str(text) {
            Ok(Carried::Open { call }) if calls.len() < MAX_CALLS => {
                let (sender, texts) = mpsc::channel(QUEUE);
                calls.insert(call, sender);
                let (fetch, camera, to_sidecar) = (self.fetch.clone(), self.camera.clone(), to_sidecar.clone());
                tokio::spawn(async move {
                    let reason = carry(&fetch, &camera, call, texts, &to_sidecar).await;
                    // The sidecar can be gone.
                    let _ = to_sidecar.send(Carried::Closed { call, reason }).await;
                });
            }
            Ok(Carried::Text { call, text }) => {
                let taken = calls.get(&call).is_none_or(|call| call.try_send(text).is_ok());
                if !taken {
                    calls.remove(&call);
                }
            }
            Ok(Carried::Close { call }) => drop(calls.remove(&call)),
            _ => {}
        }
    }
}

/// Carries one call until one side ends it. Returns the reason.
async fn carry(
    fetch: &Fetch,
    camera: &Camera,
    call: u64,
    mut texts: mpsc::Receiver<String>,
    to_sidecar: &ToSidecar,
) -> String {
    let mut upstream = match Upstream::connect(fetch, camera).await {
        Ok(upstream) => upstream,
        Err(e) => return e.chain(),
    };
    if to_sidecar.send(Carried::Opened { call }).await.is_err() {
        return String::new();
    }
    loop {
        let ping_due = upstream.ping_due();
        let done = tokio::select! {
            received = upstream.next() => match received {
                Ok(received) => match upstream.take(received).await {
                    Ok(Some(text)) => match to_sidecar.send(Carried::Text { call, text }).await {
                        Ok(()) => Ok(()),
                        Err(_) => break,
                    },
                    taken => taken.map(drop),
                },
                Err(why) => Err(why),
            },
            text = texts.recv() => match text {
                Some(text) => upstream.send(text).await,
                None => break,
            },
            () = sleep_until(ping_due) => upstream.keep_alive().await,
        };
        if let Err(why) = done {
            return why;
        }
    }
    // The viewer, or the sidecar, is gone. UV4L would keep the call until it notices.
    upstream.hang_up().await;
    "the call has ended".into()
}
