//! The nodes of the cluster: each tells each second that it is there.
//!
//! A node counts as gone when it was silent for three seconds by this node's own clock. Times of two machines are never
//! compared: their clocks can differ by minutes.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::StreamExt;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Duration, Instant, MissedTickBehavior, interval},
};

use super::{
    connection::{Connection, Link},
    names::token,
    record::{self, Envelope, Read},
};
use crate::error::Result;

/// How often a node tells that it is there.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// After this silence a node counts as gone.
pub const SILENCE: Duration = Duration::from_secs(3);

/// How long a node that is gone is listed.
const LISTED: Duration = Duration::from_secs(600);

/// Most nodes that are remembered. A foreign program that sends heartbeats of made-up nodes fills no memory.
const MAX_NODES: usize = 1000;

/// What a node tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Heartbeat {
    /// The node's name.
    pub node: String,
    /// A random number of this start of its program. Two programs of one name differ in it.
    pub instance: String,
    /// The version of the program.
    pub version: String,
    /// The newest form of records that it knows.
    pub schema: u32,
    /// The host or address at which other nodes reach it; empty: unknown.
    pub address: String,
    /// The port of its HTTP server.
    pub http_port: u16,
    /// The port of its RTSP server; 0: none.
    pub rtsp_port: u16,
    /// The base URL of its MediaMTX's RTSP server, as others reach it; empty: unknown.
    pub mediamtx_rtsp: String,
    /// Watchers of its streams now.
    pub watchers: u64,
    /// Streams whose producer runs there.
    pub producers: u64,
    /// Whether it hands its streams over, and takes no new ones.
    pub draining: bool,
    /// Whether it ends now: its last heartbeat.
    pub leaving: bool,
    /// The newest revision of the state that it has.
    pub revision: u64,
}

/// A node as this one sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it told last.
    pub told: Heartbeat,
    /// When that arrived.
    pub seen: Instant,
    /// Whether it counts as there.
    pub is_alive: bool,
}

/// The nodes of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    connection: Connection,
    own: Mutex<Heartbeat>,
    figures: Mutex<Vec<Figures>>,
    seen: Mutex<BTreeMap<String, (Heartbeat, Instant)>>,
    /// The names of the nodes that are there.
    alive: watch::Sender<Vec<String>>,
    /// Another program has this node's name.
    twin: Mutex<Option<Instant>>,
}

/// Writes the figures of this moment into a heartbeat.
pub type Figures = Box<dyn Fn(&mut Heartbeat) + Send + Sync>;

impl Nodes {
    pub(super) fn new(connection: Connection, own: Heartbeat) -> Self {
        let alive = watch::Sender::new(vec![own.node.clone()]);
        Nodes(Arc::new(Inner {
            connection,
            own: Mutex::new(own),
            figures: Mutex::default(),
            seen: Mutex::default(),
            alive,
            twin: Mutex::default(),
        }))
    }

    /// The name of this node.
    pub fn own_name(&self) -> String {
        self.0.own.lock().node.clone()
    }

    /// What this node tells of itself.
    pub fn own(&self) -> Heartbeat {
        let mut own = self.0.own.lock().clone();
        for figures in &*self.0.figures.lock() {
            figures(&mut own);
        }
        own
    }

    /// Changes what this node tells of itself, from the next heartbeat on.
    pub fn tell(&self, change: impl FnOnce(&mut Heartbeat)) {
        change(&mut self.0.own.lock());
    }

    /// Fills in figures of each heartbeat, besides those that others fill in.
    pub fn fill(&self, figures: Figures) {
        self.0.figures.lock().push(figures);
    }

    /// The names of the nodes that are there, this one among them, in order; and each change of the list.
    pub fn alive(&self) -> watch::Receiver<Vec<String>> {
        self.0.alive.subscribe()
    }

    /// Whether a node is there. While this node is cut off from NATS, it keeps its last knowledge.
    pub fn is_alive(&self, node: &str) -> bool {
        self.0.alive.borrow().iter().any(|name| name == node)
    }

    /// All nodes that were seen lately, this one first.
    pub fn list(&self) -> Vec<Node> {
        let own = Node { told: self.own(), seen: Instant::now(), is_alive: true };
        let alive = self.0.alive.borrow().clone();
        let seen = self.0.seen.lock();
        let others = seen.iter().map(|(name, (told, at))| Node {
            told: told.clone(),
            seen: *at,
            is_alive: alive.binary_search(name).is_ok(),
        });
        std::iter::once(own).chain(others).collect()
    }

    /// Whether another program with this node's name was heard lately. Two such nodes would share leases.
    pub fn has_twin(&self) -> bool {
        self.0.twin.lock().is_some_and(|at| at.elapsed() < SILENCE)
    }

    /// Tells and listens, until the program ends.
    pub(super) async fn run(&self) {
        let mut tick = interval(HEARTBEAT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let subject = self.0.connection.names.subject(&["hb", "*"]);
        loop {
            // A subscription outlives reconnections; the stream ends only with the client.
            let mut heard = match self.0.connection.control.subscribe(subject.clone()).await {
                Ok(heard) => heard,
                Err(e) => {
                    tracing::error!("heartbeats cannot be heard: {e}");
                    tick.tick().await;
                    continue;
                }
            };
            loop {
                tokio::select! {
                    _ = tick.tick() => {
                        // While NATS is away, the next one is sent after the connection is made again.
                        if self.0.connection.is_up() {
                            self.send(false).await;
                        }
                        self.judge();
                    }
                    message = heard.next() => match message {
                        Some(message) => self.hear(&message.payload),
                        None => break,
                    }
                }
            }
        }
    }

    /// Sends one heartbeat now, so that others see a change before the next second.
    pub async fn send(&self, leaving: bool) {
        let mut own = self.own();
        own.leaving = leaving;
        if let Err(e) = self.try_send(own).await {
            tracing::debug!("the heartbeat is not sent: {}", e.chain());
        }
    }

    async fn try_send(&self, own: Heartbeat) -> Result<()> {
        let subject = self.0.connection.names.subject(&["hb", &token(&own.node)]);
        let bytes = Envelope::new(own.node.clone(), own).to_bytes()?;
        let failed = |e| crate::error::Error::internal("a heartbeat cannot be sent", e);
        self.0.connection.control.publish(subject, bytes).await.map_err(failed)
    }

    fn hear(&self, payload: &[u8]) {
        // A newer program may tell more: what this one knows of it is enough to see that it is there.
        let told = match record::read::<Heartbeat>(payload) {
            Read::Known(envelope) => envelope.record,
            Read::Newer(_) => match serde_json::from_slice::<Envelope<Heartbeat>>(payload) {
                Ok(envelope) => envelope.record,
                Err(_) => return,
            },
            Read::Damaged(e) => return tracing::debug!("a heartbeat cannot be read: {e}"),
        };
        let own = self.0.own.lock().clone();
        if told.node == own.node {
            if told.instance != own.instance && !told.leaving && self.0.twin.lock().replace(Instant::now()).is_none() {
                tracing::error!(
                    node = own.node,
                    "another program has the name of this node (cluster.node): give each node a name of its own"
                );
            }
            return;
        }
        let mut seen = self.0.seen.lock();
        if told.leaving {
            seen.remove(&told.node);
        } else if seen.len() < MAX_NODES || seen.contains_key(&told.node) {
            seen.insert(told.node.clone(), (told, Instant::now()));
        }
        drop(seen);
        self.judge();
    }

    /// Determines who is there.
    fn judge(&self) {
        // Nodes were silent while this one was cut off, and get their time after it.
        let Link::Up { since, .. } = *self.0.connection.link().borrow() else { return };
        let own = self.own_name();
        let now = Instant::now();
        let mut seen = self.0.seen.lock();
        seen.retain(|_, (_, at)| now.duration_since(*at) < LISTED);
        let is_there = |at: Instant| now.duration_since(at.max(since)) < SILENCE;
        let mut alive: Vec<_> =
            seen.iter().filter(|(_, (_, at))| is_there(*at)).map(|(name, _)| name.clone()).collect();
        drop(seen);
        alive.push(own);
        alive.sort();
        self.0.alive.send_if_modified(|before| {
            for gone in before.iter().filter(|name| alive.binary_search(name).is_err()) {
                tracing::warn!(node = gone, "a node of the cluster is gone");
            }
            for new in alive.iter().filter(|name| before.binary_search(name).is_err()) {
                tracing::info!(node = new, "a node of the cluster is there");
            }
            let is_changed = *before != alive;
            *before = alive;
            is_changed
        });
    }
}
