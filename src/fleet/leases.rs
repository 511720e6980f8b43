//! [`Leases`]: carries out the steps of [`Table`] at NATS.

use std::{collections::HashMap, sync::Arc};

use async_nats::jetstream::{kv, stream::StorageType};
use futures_util::{StreamExt, stream::FuturesUnordered};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{mpsc, watch},
    time::{Duration, Instant, sleep_until, timeout},
};

use crate::{
    cluster::{
        Cluster, Disagreement,
        lease::{Action, Answer, Event, Holding, Key, Role, Table, Times, Value, Write},
        names,
        record::{self, Envelope, Read},
    },
    error::{Code, Error, Result},
    stream::StreamName,
};

/// The bucket of sessions and holdings. In memory: after a restart of all servers each node begins a new session. No record expires: a
/// holding is written once, and NATS does not tell that one has expired.
const BUCKET: &str = "leases";

/// Longest pause between two looks at the time and at the nodes.
const TICK: Duration = Duration::from_secs(1);

/// How long the first records are waited for.
const FIRST_RECORDS: Duration = Duration::from_secs(5);

/// Which node runs the producer of which stream. Cheap to clone.
#[derive(Clone)]
pub struct Leases(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    times: Times,
    table: Mutex<Table>,
    wanted: Mutex<HashMap<String, Entry>>,
    /// Writes and reads to carry out: at most one of each for each record.
    work: mpsc::UnboundedSender<Action>,
    taken: tokio::sync::Mutex<mpsc::UnboundedReceiver<Action>>,
    /// Changes with each step that can change who holds what.
    steps: watch::Sender<u64>,
}

struct Entry {
    holders: usize,
    role: watch::Sender<Role>,
}

/// Keeps a stream wanted at this node.
pub struct Wanted {
    leases: Leases,
    stream: StreamName,
    role: watch::Receiver<Role>,
}

impl Wanted {
    /// The role of this node, now and later.
    pub fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.leases.unwant(&self.stream);
    }
}

impl Leases {
    /// Nothing is taken until [`Leases::run`].
    pub fn new(cluster: Cluster) -> Result<Self> {
        let run = getrandom::u64().map_err(|e| Error::internal("the system gives no random numbers", e))?;
        let times = Times::default();
        let table = Table::new(cluster.node(), run >> 12, times);
        let (work, taken) = mpsc::unbounded_channel();
        Ok(Leases(Arc::new(Inner {
            cluster,
            times,
            table: Mutex::new(table),
            wanted: Mutex::default(),
            work,
            taken: taken.into(),
            steps: watch::Sender::new(0),
        })))
    }

    /// Wants a stream until the returned guard is dropped. `can_run`: the producer can run on this node.
    pub fn want(&self, stream: &StreamName, can_run: bool) -> Wanted {
        let role = {
            let mut wanted = self.0.wanted.lock();
            let fresh = || Entry { holders: 0, role: watch::Sender::new(Role::Waiting) };
            let entry = wanted.entry(stream.to_string()).or_insert_with(fresh);
            entry.holders += 1;
            entry.role.subscribe()
        };
        self.step(Event::Want { stream: stream.to_string(), can_run });
        Wanted { leases: self.clone(), stream: stream.clone(), role }
    }

    fn unwant(&self, stream: &StreamName) {
        let is_last = {
            let mut wanted = self.0.wanted.lock();
            let Some(entry) = wanted.get_mut(&**stream) else { return };
            entry.holders -= 1;
            let is_last = entry.holders == 0;
            if is_last {
                wanted.remove(&**stream);
            }
            is_last
        };
        if is_last {
            self.step(Event::Unwant(stream.to_string()));
        }
    }

    /// The node that holds the stream, and its epoch, as far as this node knows.
    pub fn holder(&self, stream: &StreamName) -> Option<(String, u64)> {
        self.0.table.lock().holder(stream).map(|holding| (holding.node.clone(), holding.epoch))
    }

    /// All holdings, by stream.
    pub fn list(&self) -> Vec<(String, Holding)> {
        let table = self.0.table.lock();
        let mut all: Vec<_> = table.holdings().map(|(stream, holding)| (stream.to_owned(), holding.clone())).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Whether this node can take and keep streams now.
    pub fn is_confirmed(&self) -> bool {
        self.0.table.lock().is_confirmed(Instant::now())
    }

    /// Whether this node was a member at any time since its start.
    pub fn has_been_confirmed(&self) -> bool {
        self.0.table.lock().confirmed_at().is_some()
    }

    /// Since when this node could not confirm its session, if it cannot.
    pub fn unconfirmed_for(&self) -> Option<Duration> {
        let table = self.0.table.lock();
        let since = table.confirmed_at().map(|at| at.elapsed());
        since.filter(|_| !table.is_confirmed(Instant::now()))
    }

    /// Offers all streams to the other nodes.
    pub fn drain(&self) {
        self.step(Event::Drain);
    }

    /// Gives up what is not wanted, and ends the session, so that others need not wait. Takes at most this long.
    pub async fn end(&self, longest: Duration) {
        let mut steps = self.0.steps.subscribe();
        let ended = async {
            while self.0.table.lock().is_giving_up() {
                if steps.changed().await.is_err() {
                    return;
                }
            }
            self.step(Event::End);
            while self.is_confirmed() {
                if steps.changed().await.is_err() {
                    return;
                }
            }
        };
        if timeout(longest, ended).await.is_err() {
            tracing::debug!(
                "the leases of this node were not given up in time; others take them when its heartbeats are missed"
            );
        }
    }

    /// Says that a node does not answer.
    pub fn gone(&self, node: &str) {
        self.step(Event::Gone(node.to_owned()));
    }

    /// Reads and writes records until the program ends.
    pub async fn run(&self) {
        let mut taken = self.0.taken.lock().await;
        tokio::join!(self.observe(), self.work(&mut taken));
    }

    fn step(&self, event: Event) {
        let mut table = self.0.table.lock();
        let actions = table.on(event, Instant::now());
        for action in actions {
            match action {
                // Within the lock, so that the roles of a stream are told in order.
                Action::Role { stream, role } => {
                    tracing::debug!(stream, ?role, "cluster");
                    if let Some(entry) = self.0.wanted.lock().get(&stream) {
                        entry.role.send_replace(role);
                    }
                }
                // The receiver lives as long as this.
                action => drop(self.0.work.send(action)),
            }
        }
        drop(table);
        self.0.steps.send_modify(|n| *n += 1);
    }

    /// Carries out reads and writes, and tells the table the time and which nodes are gone.
    async fn work(&self, taken: &mut mpsc::UnboundedReceiver<Action>) {
        let mut running = FuturesUnordered::new();
        let mut alive = self.0.cluster.nodes().alive();
        loop {
            let next = {
                let now = Instant::now();
                self.0.table.lock().next_tick(now).min(now + TICK).max(now + Duration::from_millis(5))
            };
            tokio::select! {
                Some(action) = taken.recv() => running.push(self.carry_out(action)),
                Some(event) = running.next() => if let Some(event) = event { self.step(event) },
                () = sleep_until(next) => self.look_at_nodes(),
                Ok(()) = alive.changed() => self.look_at_nodes(),
            }
        }
    }

    fn look_at_nodes(&self) {
        if self.0.cluster.connection().is_up() {
            let holders: std::collections::BTreeSet<_> =
                self.0.table.lock().holdings().map(|(_, holding)| holding.node.clone()).collect();
            for node in holders.into_iter().filter(|node| !self.0.cluster.nodes().is_alive(node)) {
                self.gone(&node);
            }
        }
        self.step(Event::Tick);
    }

    async fn carry_out(&self, action: Action) -> Option<Event> {
        match action {
            Action::Write(Write { key, value, expected, attempt }) => {
                let answer = match self.encoded(&value) {
                    Some(bytes) => {
                        let connection = self.0.cluster.connection();
                        let name = key_name(&key);
                        let write = connection.agree(BUCKET, &name, Some(bytes), expected);
                        match timeout(self.0.times.answer, write).await {
                            Ok(Ok(revision)) => Answer::Written(revision),
                            Ok(Err(Disagreement::Changed)) => Answer::Refused,
                            Ok(Err(Disagreement::Failed(e))) => {
                                tracing::debug!("a lease is not written: {}", e.chain());
                                Answer::Failed
                            }
                            Err(_) => Answer::Failed,
                        }
                    }
                    None => Answer::Failed,
                };
                Some(Event::Answer { key, attempt, answer })
            }
            Action::Read(key) => {
                let store = timeout(self.0.times.answer, self.bucket()).await.ok()?.ok()?;
                let read = timeout(self.0.times.answer, store.entry(key_name(&key))).await.ok()?.ok()?;
                let (revision, value) = read.map_or((0, None), |entry| (entry.revision, content(&key, &entry)));
                Some(Event::Seen { key, revision, value, is_read: true })
            }
            Action::Role { .. } => None,
        }
    }

    fn encoded(&self, value: &Value) -> Option<bytes::Bytes> {
        fn encode<T: Serialize>(by: String, record: T) -> Option<bytes::Bytes> {
            Envelope::new(by, record).to_bytes().ok()
        }
        match value {
            Value::Session(session) => encode(self.0.cluster.node(), session),
            Value::Stream(holding) => encode(self.0.cluster.node(), holding),
            Value::Foreign => None,
        }
    }

    async fn bucket(&self) -> Result<kv::Store> {
        let config = kv::Config {
            bucket: BUCKET.into(),
            description: "sessions of nodes, and which node runs which stream".into(),
            storage: StorageType::Memory,
            history: 1,
            ..kv::Config::default()
        };
        self.0.cluster.connection().bucket(config).await
    }

    /// Follows the records of all nodes, and begins anew whenever the connection was made anew.
    async fn observe(&self) {
        self.0.cluster.connection().follow("the leases of the cluster", || self.follow_records()).await;
    }

    async fn follow_records(&self) -> Result<()> {
        let failed = |what: &'static str| {
            move |e: Box<dyn std::error::Error + Send + Sync>| Error::new(Code::ClusterUnavailable, what).caused_by(e)
        };
        let store = self.bucket().await?;
        let status = store.status().await.map_err(|e| failed("the bucket of leases has no state")(Box::new(e)))?;
        let mut entries =
            store.watch_with_history(">").await.map_err(|e| failed("the leases cannot be watched")(Box::new(e)))?;
        self.step(Event::Anew);
        let mut is_synced = status.values() == 0;
        if is_synced {
            self.step(Event::Synced);
        }
        loop {
            let next = match is_synced {
                true => entries.next().await,
                false => timeout(FIRST_RECORDS, entries.next())
                    .await
                    .map_err(|_| Error::new(Code::ClusterUnavailable, "the leases were not delivered in time"))?,
            };
            let entry = match next {
                Some(Ok(entry)) => entry,
                Some(Err(e)) => return Err(failed("the watch of leases has ended")(Box::new(e))),
                None => return Err(Error::new(Code::ClusterUnavailable, "the watch of leases has ended")),
            };
            if let Some(key) = key_of(&entry.key) {
                let value = content(&key, &entry);
                self.step(Event::Seen { key, revision: entry.revision, value, is_read: false });
            }
            if !is_synced && entry.seen_current {
                is_synced = true;
                self.step(Event::Synced);
            }
        }
    }
}

/// The name of a record: `node.TOKEN` or `stream.TOKEN`.
fn key_name(key: &Key) -> String {
    match key {
        Key::Session(node) => format!("node.{}", names::token(node)),
        Key::Stream(stream) => format!("stream.{}", names::token(stream)),
    }
}

fn key_of(name: &str) -> Option<Key> {
    let (kind, token) = name.split_once('.')?;
    let text = names::text_of(token)?;
    match kind {
        "node" => Some(Key::Session(text)),
        "stream" => Some(Key::Stream(text)),
        _ => None,
    }
}

/// The content of a record; none if it was deleted.
fn content(key: &Key, entry: &kv::Entry) -> Option<Value> {
    fn read<T: DeserializeOwned>(bytes: &[u8], value: fn(T) -> Value) -> Value {
        match record::read::<T>(bytes) {
            Read::Known(envelope) => value(envelope.record),
            Read::Newer(_) | Read::Damaged(_) => Value::Foreign,
        }
    }
    match (entry.operation, key) {
        (kv::Operation::Put, Key::Session(_)) => Some(read(&entry.value, Value::Session)),
        (kv::Operation::Put, Key::Stream(_)) => Some(read(&entry.value, Value::Stream)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_record_tells_what_it_is_about() {
        for key in [Key::Session("hall.1".into()), Key::Stream("a/b..ü".into())] {
            assert_eq!(key_of(&key_name(&key)), Some(key));
        }
        assert_eq!((key_of("node.*"), key_of("x.YQ"), key_of("node")), (None, None, None));
    }
}
