//! Paths in a cluster: which nodes have a path at their MediaMTX, and definitions that another node has changed.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher},
};

use tokio::sync::watch;
use xxhash_rust::xxh3::Xxh3Builder;

use super::{Paths, Wanted, definition};
use crate::{error::Result, mediamtx::Fields};

/// This node among those of the cluster.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Its name.
    pub own: String,
    /// The names of the nodes that are there, this one among them, in order.
    pub alive: watch::Receiver<Vec<String>>,
}

/// Whether a node has a path at its MediaMTX. `nodes` are those of the definition; none are all. With `failover` only one has
/// it: the first of `nodes` that is there, or, without `nodes`, one that the name decides, so that paths are spread and
/// few of them move when a node comes or goes.
fn has(own: &str, alive: &[String], name: &str, nodes: &[String], failover: bool) -> bool {
    if !failover {
        return nodes.is_empty() || nodes.iter().any(|node| node == own);
    }
    let is_alive = |node: &&String| alive.contains(node);
    let chosen = match nodes.is_empty() {
        false => nodes.iter().find(is_alive),
        // Rendezvous hashing.
        true => alive.iter().max_by_key(|node| weight(node, name)),
    };
    chosen.is_some_and(|node| node == own)
}

/// The same at all nodes, also of another version: the algorithm and its seed are fixed.
fn weight(node: &str, name: &str) -> u64 {
    let mut hasher = Xxh3Builder::new().with_seed(0).build_hasher();
    hasher.write(node.as_bytes());
    hasher.write(b"\n");
    hasher.write(name.as_bytes());
    hasher.finish()
}

impl Paths {
    /// Lets this node have only its paths from now on. Only the first call counts.
    pub fn place(&self, placement: Placement) {
        // A second placement would be an error of this program; the first one stays.
        let _ = self.0.placement.set(placement);
    }

    /// Keeps a path at MediaMTX by which paths of other nodes are read. Only the first call counts.
    pub fn pull_by(&self, name: &'static str, fields: Fields) {
        let _ = self.0.pull.set((name, fields));
        self.0.changed.notify_one();
    }

    /// Compares with MediaMTX at once, because nodes came or went.
    pub fn compare(&self) {
        self.0.changed.notify_one();
    }

    /// Whether this node's MediaMTX has the path. Without a cluster it has all.
    pub(super) fn is_here(&self, name: &str, wanted: &Wanted) -> bool {
        let Some(Placement { own, alive }) = self.0.placement.get() else { return true };
        has(own, &alive.borrow(), name, &wanted.nodes, wanted.failover)
    }

    /// Takes the definitions that another node of a cluster has stored or deleted.
    pub async fn follow(&self, names: Vec<String>) -> Result<()> {
        let _changing = self.0.writing.lock().await;
        let stored = self.0.store.run(|store| store.paths()).await?;
        let stored: HashMap<_, _> = stored.into_iter().collect();
        {
            let mut wanted = self.0.wanted.lock();
            let mut progress = self.0.progress.lock();
            for name in names {
                let definition = stored.get(&name).map(|text| serde_json::from_str(text));
                let changed = match definition {
                    None => wanted.remove(&name).is_some(),
                    Some(Ok(definition)) if wanted.get(&name) == Some(&definition) => false,
                    Some(Ok(definition)) => {
                        wanted.insert(name.clone(), definition);
                        true
                    }
                    // The row stays in the database, so that it can be repaired.
                    Some(Err(e)) => {
                        tracing::error!(path = name, "the stored definition of the path is damaged: {e}");
                        false
                    }
                };
                if changed {
                    progress.remove(&name);
                }
            }
            self.0.uv4l.define(definition::cameras(&wanted));
        }
        self.0.changed.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_at_all_some_or_one_of_the_nodes_and_moves_when_its_node_is_gone() {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let at = |alive: &str, name: &str, nodes: &str, failover: bool| {
            let have = |own: &&str| has(own, &names(alive), name, &names(nodes), failover);
            ["a", "b", "c"].into_iter().filter(have).collect::<String>()
        };
        assert_eq!(at("a b c", "cam", "", false), "abc");
        assert_eq!(at("a b c", "cam", "a c", false), "ac");
        assert_eq!(at("a b c", "cam", "x", false), "");
        assert_eq!(at("a b c", "cam", "b a", true), "b");
        assert_eq!(at("a c", "cam", "b a", true), "a");
        assert_eq!(at("c", "cam", "b a", true), "");
        let paths: Vec<_> = (0..300).map(|n| format!("cam-{n}")).collect();
        for node in ["a", "b", "c"] {
            let of = paths.iter().filter(|name| at("a b c", name, "", true) == node).count();
            assert!((60..140).contains(&of), "{node} has {of} of 300");
        }
        for name in &paths {
            let (before, after) = (at("a b c", name, "", true), at("a b", name, "", true));
            assert!(before == "c" || before == after, "a path moves only if its node is gone");
        }
    }
}
