//! What the table of leases is told, and what it says.

use serde::{Deserialize, Serialize};
use tokio::time::Duration;

/// Times of sessions.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Pause between two writes of the own session.
    pub renew: Duration,
    /// A session that no accepted write has confirmed for so long runs no producer.
    pub stop_after: Duration,
    /// A session that has not moved for so long is ended by others. Longer than `stop_after`, and than the five seconds that JetStream needs to
    /// elect a leader.
    pub take_after: Duration,
    /// The same for a node that is known to be gone.
    pub take_when_gone: Duration,
    /// How long the answer to a write is waited for.
    pub answer: Duration,
    /// Pause after a write that failed.
    pub retry: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Times {
            renew: Duration::from_secs(2),
            stop_after: Duration::from_secs(16),
            take_after: Duration::from_secs(20),
            take_when_gone: Duration::from_secs(3),
            answer: Duration::from_secs(3),
            retry: Duration::from_secs(1),
        }
    }
}

/// The record of a node's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The number of the session; a node begins with a random one and never uses one twice.
    pub run: u64,
    /// Counts the writes of the session.
    pub beat: u64,
    /// Whether the node or another one has ended it.
    pub ended: bool,
}

/// The record of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The node that runs the producer; empty if it was given up.
    pub node: String,
    /// The session of the node.
    pub run: u64,
    /// Grows with each holder.
    pub epoch: u64,
    /// Whether the holder wants another node to take over.
    pub leaving: bool,
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The session of this node.
    Session(String),
    /// The holder of this stream.
    Stream(String),
}

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A session.
    Session(Session),
    /// A holding.
    Stream(Holding),
    /// A record of a later version of this program, or a damaged one. It is left alone.
    Foreign,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// All records follow once more, and then [`Event::Synced`].
    Anew,
    /// All records were delivered.
    Synced,
    /// A record was delivered, or was read because of [`Action::Read`] (`is_read`). None if there is none, or it was deleted.
    Seen {
        /// The record.
        key: Key,
        /// Its revision; 0 if there never was one.
        revision: u64,
        /// Its content.
        value: Option<Value>,
        /// Whether it was read; an older revision than the known one is believed then: the storage can have been lost.
        is_read: bool,
    },
    /// The answer to [`Action::Write`].
    Answer {
        /// The record.
        key: Key,
        /// [`Write::attempt`].
        attempt: u64,
        /// Whether it was written.
        answer: Answer,
    },
    /// The node does not answer, or its signs of life have stopped.
    Gone(String),
    /// A watcher needs the stream. `can_run`: the producer can run on this node.
    Want {
        /// The stream.
        stream: String,
        /// Whether this node can be its holder.
        can_run: bool,
    },
    /// No watcher needs the stream.
    Unwant(String),
    /// The node hands its streams over, and takes none.
    Drain,
    /// The node ends. Its streams are free from now on.
    End,
    /// Time has passed.
    Tick,
}

/// The answer to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was written, as this revision.
    Written(u64),
    /// The record has another revision than the one that was named.
    Refused,
    /// It is not known whether it was written.
    Failed,
}

/// A write that must be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The record.
    pub key: Key,
    /// Its new content.
    pub value: Value,
    /// The revision that it replaces; 0 if there must be none.
    pub expected: u64,
    /// For [`Event::Answer`].
    pub attempt: u64,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write a record.
    Write(Write),
    /// Read a record.
    Read(Key),
    /// The role of this node for a wanted stream is another one now.
    Role {
        /// The stream.
        stream: String,
        /// The role.
        role: Role,
    },
}

/// What a node does for a stream that it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// No node runs the producer yet, or this node cannot run it.
    Waiting,
    /// This node runs the producer.
    Holder {
        /// The epoch of the holding.
        epoch: u64,
    },
    /// Another node does.
    Follower {
        /// That node.
        node: String,
        /// The epoch of its holding.
        epoch: u64,
        /// Whether this node has handed the stream over, and goes on until the other node has a picture.
        handed_over: bool,
    },
    /// The node is cut off from the cluster: no node can tell which one runs the producer.
    CutOff,
}
