//! Lists of all nodes of a cluster: sessions and recordings of the others, and sessions that are ended there.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    recordings::{RecordedPath, recorded_here},
    sessions::{SessionInfo, end_here, sessions_here},
};
use crate::{
    cluster::Cluster,
    error::{Code, Error},
};

/// The topics of questions.
const SESSIONS: &str = "sessions";
const RECORDINGS: &str = "recordings";
const END: &str = "end_session";

/// How long other nodes can take: the list waits for the slowest.
const PATIENCE: Duration = Duration::from_secs(3);

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
    pub(super) fn new(mut items: Vec<T>, mut error: Option<String>) -> Self {
        if let Some(more @ 1..) = items.len().checked_sub(MAX_ITEMS) {
            items.truncate(MAX_ITEMS);
            error.get_or_insert_with(|| format!("{more} further entries are left out"));
        }
        Part { items, error }
    }
}

/// The session to end.
#[derive(Serialize, Deserialize)]
struct End {
    protocol: String,
    id: String,
    by: String,
}

/// Whether it was there, or why it could not be ended.
#[derive(Serialize, Deserialize)]
struct Ended {
    ended: bool,
    #[serde(default)]
    error: Option<String>,
}

/// The entries of other nodes, each with its node, and the nodes that miss some.
struct Others<T> {
    found: Vec<(String, T)>,
    missing: Vec<MissingNode>,
}

async fn ask<T: Serialize + DeserializeOwned>(state: &State, topic: &str) -> Others<T> {
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

/// The sessions of other nodes.
pub(super) async fn sessions(state: &State) -> (Vec<SessionInfo>, Vec<MissingNode>) {
    let Others { found, missing } = ask(state, SESSIONS).await;
    let at = |(node, mut session): (String, SessionInfo)| {
        session.node = Some(node);
        session
    };
    (found.into_iter().map(at).collect(), missing)
}

/// This node, whose recordings cannot be had.
pub(super) fn without_own(state: &State, e: &Error) -> MissingNode {
    MissingNode { node: state.cluster.as_ref().map(Cluster::node).unwrap_or_default(), reason: e.to_string() }
}

/// The recorded paths of other nodes.
pub(super) async fn recordings(state: &State) -> (Vec<RecordedPath>, Vec<MissingNode>) {
    let Others { found, missing } = ask(state, RECORDINGS).await;
    let at = |(node, mut recorded): (String, RecordedPath)| {
        recorded.node = Some(node);
        recorded
    };
    (found.into_iter().map(at).collect(), missing)
}

/// Ends a session at another node. Returns whether it was there.
pub(super) async fn end_at(state: &State, node: &str, protocol: &str, id: &str, by: &str) -> Result<bool, Error> {
    let unknown = || Error::parameter("node", format!("{node:?} is no node of the cluster"));
    let cluster = state.cluster.as_ref().ok_or_else(unknown)?;
    if !cluster.nodes().list().iter().any(|known| known.told.node == node) {
        return Err(unknown());
    }
    let question = End { protocol: protocol.into(), id: id.into(), by: format!("{by} at {}", cluster.node()) };
    let Ended { ended, error } = cluster.ask(node, END, &question, PATIENCE).await?;
    match error {
        Some(error) => Err(Error::new(Code::MediaMtxAway, format!("the node {node}: {error}"))),
        None => Ok(ended),
    }
}

/// Answers other nodes, until the program ends.
pub async fn answer(state: &State) {
    let Some(cluster) = &state.cluster else { return };
    let end = async |End { protocol, id, by }: End| match end_here(state, &protocol, &id).await {
        Ok(ended) => {
            if ended {
                tracing::info!(by, protocol, id, "a session was ended");
            }
            Ended { ended, error: None }
        }
        Err(e) => Ended { ended: false, error: Some(e.to_string()) },
    };
    tokio::join!(
        cluster.answer(SESSIONS, async |(): ()| {
            let (sessions, error) = sessions_here(state).await;
            Part::new(sessions, error)
        }),
        cluster.answer(RECORDINGS, async |(): ()| match recorded_here(state).await {
            Ok(recorded) => Part::new(recorded, None),
            Err(e) => Part::new(vec![], Some(e.to_string())),
        }),
        cluster.answer(END, end),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_long_says_what_is_left_out() {
        let part = Part::new(vec![(); MAX_ITEMS + 3], None);
        assert_eq!((part.items.len(), part.error.as_deref()), (MAX_ITEMS, Some("3 further entries are left out")));
        assert_eq!(Part::new(vec![(); MAX_ITEMS], None).error, None);
    }
}
