//! What nodes say to each other about one stream.

use serde::{Deserialize, Serialize};
use tokio::time::Duration;

use crate::{
    cluster::{
        Cluster,
        names::token,
        record::{self, Envelope, Read},
    },
    error::Result,
    stream::{Demand, StreamName},
};

/// How often a node repeats that it wants pictures.
pub(super) const EVERY: Duration = Duration::from_secs(3);

/// A node that did not repeat it for so long gets none.
pub(super) const FOR: Duration = Duration::from_secs(10);

/// How long an answer is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A node that has single pictures made, for snapshots, gets no more than one in this time.
pub(super) const SINGLE: Duration = Duration::from_secs(1);

/// How many pictures a node wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wish {
    /// None from now on.
    Nothing,
    /// One now and then.
    Single,
    /// Each.
    Each,
}

impl From<Demand> for Wish {
    fn from(demand: Demand) -> Self {
        match demand {
            Demand::Rare | Demand::Single => Wish::Single,
            Demand::Continuous => Wish::Each,
        }
    }
}

/// A node wants pictures of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ask {
    /// The stream.
    pub(super) stream: String,
    /// The node.
    pub(super) node: String,
    /// How many.
    pub(super) wish: Wish,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// The state of the stream at the asked node; empty if it has no such stream.
    pub(super) state: String,
    /// The reason in words.
    pub(super) reason: String,
    /// Whether the asked node makes the pictures.
    pub(super) is_holder: bool,
}

/// The subject at which a node is asked.
pub(super) fn subject_of(cluster: &Cluster, node: &str) -> String {
    cluster.connection().names.subject(&["node", &token(node), "watch"])
}

/// The subject at which all nodes are asked for the uploads of a stream.
pub(super) fn subject_of_all(cluster: &Cluster) -> String {
    cluster.connection().names.subject(&["want"])
}

/// The subject of the pictures of a stream.
pub(super) fn frames_of(cluster: &Cluster, stream: &StreamName) -> String {
    cluster.connection().names.subject(&["frames", &token(stream)])
}

/// As a message.
pub(super) fn encode<T: Serialize>(cluster: &Cluster, record: T) -> Result<bytes::Bytes> {
    Envelope::new(cluster.node(), record).to_bytes()
}

/// Reads a message; none if it is of a later form, or damaged.
pub(super) fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match record::read::<T>(bytes) {
        Read::Known(envelope) => Some(envelope.record),
        Read::Newer(_) | Read::Damaged(_) => None,
    }
}
