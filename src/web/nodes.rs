//! Lists of all nodes of a cluster: what the others have, and which of them do not say it. It does not know what is listed.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

use super::State;
use crate::{cluster::Cluster, error::Error};

/// How long other nodes can take: the list waits for the slowest.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Most entries that a node sends. They fit into one message of NATS (1 MB).
const MAX_ITEMS: usize = 1500;

/// Which nodes a list is of.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NodesQuery {
    /// In a cluster: `all` for a list of all nodes. Default: this node.
    nodes: Option<String>,
}

impl NodesQuery {
    /// Whether the list is of all nodes.
    pub(super) fn is_all(&self) -> Result<bool, Error> {
        match self.nodes.as_deref() {
            None => Ok(false),
            Some("all") => Ok(true),
            Some(other) => Err(Error::parameter("nodes", format!("must be all, not {other:?}"))),
        }
    }
}

/// At which node a session is.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NodeQuery {
    /// In a cluster: the node, as listed. Default: this one.
    pub(super) node: Option<String>,
}

/// A node whose entries are missing in a list, or some of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct MissingNode {
    /// The node.
    node: String,
    /// The reason, for people.
    reason: String,
}

/// What a node has.
#[derive(Serialize, Deserialize)]
#[serde(bound = "T: Serialize + DeserializeOwned")]
pub(super) struct Part<T> {
    items: Vec<T>,
    /// Why some are missing.
    #[serde(default)]
    error: Option<String>,
}

impl<T> Part<T> {
    /// Leaves out what is too much for a message.
    pub(super) fn new(items: Vec<T>, error: Option<String>) -> Self {
        Part::of_first(MAX_ITEMS, items, error)
    }

    fn of_first(count: usize, mut items: Vec<T>, mut error: Option<String>) -> Self {
        if let Some(more @ 1..) = items.len().checked_sub(count) {
            items.truncate(count);
            error.get_or_insert_with(|| format!("{more} further entries are left out"));
        }
        Part { items, error }
    }
}

impl<T: Serialize> Part<T> {
    /// The same for entries of any size, of which the first ones are the most important: those that have so many bytes as JSON.
    pub(super) fn within(items: Vec<T>, bytes: usize) -> Self {
        let size = |item: &T| serde_json::to_vec(item).map_or(usize::MAX, |json| json.len());
        let mut room = bytes;
        let fits = |item: &&T| match room.checked_sub(size(item)) {
            Some(rest) => {
                room = rest;
                true
            }
            None => false,
        };
        let count = items.iter().take_while(fits).count();
        Part::of_first(count, items, None)
    }
}

/// The entries of other nodes, each with its node, and the nodes that miss some.
pub(super) struct Others<T> {
    pub(super) found: Vec<(String, T)>,
    pub(super) missing: Vec<MissingNode>,
}

/// Asks the other nodes on a topic, whose answers are a [`Part`].
pub(super) async fn ask<T: Serialize + DeserializeOwned>(state: &State, topic: &str) -> Others<T> {
    let mut others = Others { found: vec![], missing: vec![] };
    let Some(cluster) = &state.cluster else { return others };
    for gone in cluster.nodes().list().into_iter().filter(|node| !node.is_alive) {
        let reason = format!("the node was not heard for {} seconds", gone.seen.elapsed().as_secs());
        others.missing.push(MissingNode { node: gone.told.node, reason });
    }
    for (node, answer) in cluster.ask_all::<_, Part<T>>(topic, &(), PATIENCE).await {
        let (items, reason) = match answer {
            Ok(part) => (part.items, part.error),
            Err(e) => (vec![], Some(e.to_string())),
        };
        others.found.extend(items.into_iter().map(|item| (node.clone(), item)));
        others.missing.extend(reason.map(|reason| MissingNode { node, reason }));
    }
    others
}

/// This node, whose own entries cannot be had.
pub(super) fn without_own(state: &State, e: &Error) -> MissingNode {
    MissingNode { node: state.cluster.as_ref().map(Cluster::node).unwrap_or_default(), reason: e.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_long_says_what_is_left_out() {
        let part = Part::new(vec![(); MAX_ITEMS + 3], None);
        assert_eq!((part.items.len(), part.error.as_deref()), (MAX_ITEMS, Some("3 further entries are left out")));
        assert_eq!(Part::new(vec![(); MAX_ITEMS], None).error, None);
        // "aa" has four bytes as JSON.
        let part = Part::within(vec!["aa", "bb", "cc"], 9);
        assert_eq!((part.items, part.error.as_deref()), (vec!["aa", "bb"], Some("1 further entries are left out")));
        assert_eq!(Part::within(vec!["aa", "bb"], 8).error, None);
    }
}
