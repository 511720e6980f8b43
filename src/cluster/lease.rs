//! [`Table`]: which node runs the producer of which stream, as a pure state machine. No I/O and no clock.
//!
//! Each node keeps one *session*: a record that it writes anew every two seconds. A *holding* says that a stream belongs to a session.
//! So a thousand held streams cost no more writes than one. All writes are compare-and-set: they name the revision that they replace.
//!
//! A node runs a producer while its session is *confirmed*: less than [`Times::stop_after`] ago it sent a write of the session that was
//! accepted. Another node takes its streams after it has *ended* the session, by a write that names the revision of the session that it saw
//! last. It does that when the session has not moved for [`Times::take_after`] by its own monotonic clock, which is longer. Clocks
//! of two nodes are never compared. When the node is known to be gone ([`Event::Gone`]), [`Times::take_when_gone`] is enough: a
//! node that is cut off can then run its producer for up to [`Times::stop_after`] beside the next one.

mod own;
mod take;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::time::Instant;

use self::own::Own;
pub use self::words::{Action, Answer, Event, Holding, Key, Role, Session, Times, Value, Write};

/// A record as it was seen last.
#[derive(Clone, Debug)]
struct View {
    revision: u64,
    value: Option<Value>,
    /// When this revision was seen first.
    since: Instant,
    /// The node of the session is known to be gone.
    is_gone: bool,
}

/// A write whose answer is waited for.
#[derive(Clone, Copy, Debug)]
struct Pending {
    attempt: u64,
    sent: Instant,
}

#[derive(Debug)]
struct Want {
    /// False: the holding is given up as soon as that can be written, and then forgotten.
    is_wanted: bool,
    can_run: bool,
    /// A write that gives the holding up is on its way, or may have been accepted: the holding must be taken anew.
    is_given_up: bool,
    /// This node has written that it wants to hand the stream over.
    is_leaving: bool,
    role: Role,
    writing: Writing,
}

/// The write of one record, at most one at a time.
#[derive(Debug, Default)]
struct Writing {
    pending: Option<Pending>,
    /// What the pending write would make of the record.
    value: Option<Value>,
    not_before: Option<Instant>,
}

/// The records of all nodes as this node sees them, and what it wants.
#[derive(Debug)]
pub struct Table {
    me: String,
    times: Times,
    is_synced: bool,
    /// While all records are delivered once more: those that were not yet.
    unseen: BTreeSet<Key>,
    views: HashMap<Key, View>,
    /// The records that are being read, with the revision that was known when the reading began.
    reads: HashMap<Key, u64>,
    own: Own,
    wants: BTreeMap<String, Want>,
    /// The writes that end sessions of other nodes.
    ending: HashMap<String, Writing>,
    is_draining: bool,
    attempts: u64,
    /// When it last looked at all that can be due.
    looked_at: Option<Instant>,
}

impl Table {
    /// Nothing is known yet. `run` is a random number below 2⁵³, so that every program of JSON reads it.
    pub fn new(me: impl Into<String>, run: u64, times: Times) -> Self {
        Table {
            me: me.into(),
            times,
            is_synced: false,
            unseen: BTreeSet::new(),
            views: HashMap::new(),
            reads: HashMap::new(),
            own: Own::new(run),
            wants: BTreeMap::new(),
            ending: HashMap::new(),
            is_draining: false,
            attempts: 0,
            looked_at: None,
        }
    }

    /// Takes one step.
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut out = vec![];
        // A record of a stream is of no concern to the others.
        let only = match &event {
            Event::Seen { key: Key::Stream(stream), .. } | Event::Answer { key: Key::Stream(stream), .. } => {
                Some(stream)
            }
            Event::Want { stream, .. } | Event::Unwant(stream) => Some(stream),
            _ => None,
        };
        let only = only.cloned();
        match event {
            Event::Anew => {
                self.is_synced = false;
                self.unseen = self.views.keys().cloned().collect();
                // Answers from before, whose revisions may mean nothing any longer, are not waited for.
                self.reads.clear();
                self.own.forget_pending();
                let writes = self.wants.values_mut().map(|want| &mut want.writing).chain(self.ending.values_mut());
                writes.for_each(|writing| *writing = Writing::default());
            }
            Event::Synced => {
                for key in std::mem::take(&mut self.unseen) {
                    // The storage was lost. The holder writes its record anew, and others let it.
                    if let Key::Stream(stream) = &key
                        && self.own_epoch(stream).is_none()
                        && let Some(want) = self.wants.get_mut(stream)
                    {
                        want.writing.not_before = Some(now + self.times.take_when_gone);
                    }
                    self.see(key, 0, None, true, now);
                }
                self.is_synced = true;
            }
            Event::Seen { key, revision, value, is_read } => {
                let is_first = self.unseen.remove(&key);
                let is_believed = match self.reads.get(&key) {
                    _ if !is_read => is_first,
                    // What a watch has delivered since is newer.
                    Some(before) => self.views.get(&key).map_or(0, |view| view.revision) == *before,
                    None => return vec![],
                };
                if is_read {
                    self.reads.remove(&key);
                }
                self.see(key, revision, value, is_believed, now);
            }
            Event::Answer { key, attempt, answer } => self.answered(key, attempt, answer, now, &mut out),
            Event::Gone(node) => {
                if let Some(view) = self.views.get_mut(&Key::Session(node)) {
                    view.is_gone = true;
                }
            }
            Event::Want { stream, can_run } => {
                let fresh = || Want {
                    is_wanted: true,
                    can_run,
                    is_leaving: false,
                    is_given_up: false,
                    role: Role::Waiting,
                    writing: Writing::default(),
                };
                let want = self.wants.entry(stream).or_insert_with(fresh);
                (want.is_wanted, want.can_run) = (true, can_run);
            }
            Event::Unwant(stream) => {
                if let Some(want) = self.wants.get_mut(&stream) {
                    (want.is_wanted, want.role) = (false, Role::Waiting);
                }
            }
            Event::Drain => self.is_draining = true,
            Event::End => self.own.end(),
            Event::Tick => {}
        }
        self.advance(only.as_deref(), now, &mut out);
        if only.is_none() {
            self.looked_at = Some(now);
        }
        out
    }

    /// Whether this node believes that it alone runs the producer. One that hands its streams over does not.
    pub fn holds(&self, stream: &str, now: Instant) -> bool {
        let is_own = self.holding(stream).is_some_and(|holding| self.is_own(holding));
        let is_kept = self.wants.get(stream).is_some_and(|want| want.is_wanted && !want.is_given_up);
        is_own && is_kept && !self.is_draining && self.own.is_confirmed(now, &self.times)
    }

    /// The streams that this node has, whether the session is confirmed or not.
    pub fn held(&self) -> impl Iterator<Item = &str> {
        self.wants.keys().map(String::as_str).filter(|stream| self.own_epoch(stream).is_some())
    }

    /// The holder of a stream as it was seen last.
    pub fn holder(&self, stream: &str) -> Option<&Holding> {
        self.holding(stream).filter(|holding| !holding.node.is_empty())
    }

    /// All holdings of nodes, by stream.
    pub fn holdings(&self) -> impl Iterator<Item = (&str, &Holding)> {
        self.views.iter().filter_map(|(key, view)| match (key, &view.value) {
            (Key::Stream(stream), Some(Value::Stream(holding))) if !holding.node.is_empty() => {
                Some((stream.as_str(), holding))
            }
            _ => None,
        })
    }

    /// Whether the node is a confirmed member.
    pub fn is_confirmed(&self, now: Instant) -> bool {
        self.own.is_confirmed(now, &self.times)
    }

    /// Seconds since the last accepted write of the session were sent; none before the first one.
    pub fn confirmed_at(&self) -> Option<Instant> {
        self.own.confirmed
    }

    /// Whether a holding of this node is not given up yet.
    pub fn is_giving_up(&self) -> bool {
        self.wants.values().any(|want| !want.is_wanted)
    }

    /// The time of the next [`Event::Tick`] that can have an effect.
    pub fn next_tick(&self, now: Instant) -> Instant {
        let Times { renew, .. } = self.times;
        let own = self.own.due(&self.times).into_iter();
        let writes = self.wants.values().map(|want| &want.writing).chain(self.ending.values());
        let writes = writes.filter_map(|writing| writing.due(&self.times));
        // What is past, and was looked at, waits for another event: the holding of a follower, or any write while NATS is away.
        let ahead = own.chain(writes).filter(|due| self.looked_at.is_none_or(|looked_at| *due > looked_at));
        // Sessions of other nodes are looked at as often as the own one is written.
        ahead.fold(now + renew, Instant::min).max(now)
    }

    /// Takes note of a record. `is_believed`: also an older revision.
    fn see(&mut self, key: Key, revision: u64, value: Option<Value>, is_believed: bool, now: Instant) {
        if let Some(known) = self.views.get(&key) {
            // After a loss of the storage another record can have the same revision.
            let is_same = revision == known.revision && value == known.value;
            if is_same || (revision <= known.revision && !is_believed) {
                return;
            }
        }
        if key == Key::Session(self.me.clone()) {
            self.own.seen(revision, value.as_ref());
        }
        if let (Key::Stream(stream), Some(Value::Stream(holding))) = (&key, &value)
            && self.is_own(holding)
            && !self.wants.contains_key(stream)
        {
            // A write whose answer was given up has come through. It is given up.
            let writing = Writing::default();
            let want = Want {
                is_wanted: false,
                can_run: false,
                is_leaving: false,
                is_given_up: false,
                role: Role::Waiting,
                writing,
            };
            self.wants.insert(stream.clone(), want);
        }
        if let Key::Stream(stream) = &key
            && let Some(want) = self.wants.get_mut(stream)
        {
            want.is_given_up = false;
        }
        self.views.insert(key, View { revision, value, since: now, is_gone: false });
    }

    fn holding(&self, stream: &str) -> Option<&Holding> {
        match self.views.get(&Key::Stream(stream.to_owned()))?.value.as_ref()? {
            Value::Stream(holding) => Some(holding),
            _ => None,
        }
    }

    fn is_own(&self, holding: &Holding) -> bool {
        holding.node == self.me && holding.run == self.own.run
    }

    /// The epoch of the own holding.
    fn own_epoch(&self, stream: &str) -> Option<u64> {
        self.holding(stream).filter(|holding| self.is_own(holding)).map(|holding| holding.epoch)
    }

    /// Reads a record.
    fn read(&mut self, key: Key, out: &mut Vec<Action>) {
        let before = self.views.get(&key).map_or(0, |view| view.revision);
        self.reads.insert(key.clone(), before);
        out.push(Action::Read(key));
    }
}

impl Writing {
    /// Whether a write can be tried now. One whose answer does not come is given up.
    fn is_free(&mut self, now: Instant, times: &Times) -> bool {
        if self.pending.is_some_and(|pending| now >= pending.sent + times.answer) {
            (self.pending, self.value) = (None, None);
        }
        self.pending.is_none() && self.not_before.is_none_or(|at| now >= at)
    }

    fn begin(&mut self, attempt: u64, value: Value, now: Instant) {
        *self = Writing { pending: Some(Pending { attempt, sent: now }), value: Some(value), not_before: None };
    }

    /// Ends the wait for this answer. Returns what was written; none if the answer is not the one that is waited for.
    fn end(&mut self, attempt: u64, answer: Answer, now: Instant, times: &Times) -> Option<Value> {
        self.pending.take_if(|pending| pending.attempt == attempt)?;
        self.not_before =
            (answer != Answer::Refused && !matches!(answer, Answer::Written(_))).then(|| now + times.retry);
        self.value.take()
    }

    fn due(&self, times: &Times) -> Option<Instant> {
        self.pending.map(|pending| pending.sent + times.answer).or(self.not_before)
    }
}
