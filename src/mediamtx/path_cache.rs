//! The latest list of MediaMTX's paths, the paths with recordings, and the servers. Pages ask for them more often than MediaMTX should be asked.

use std::{collections::HashSet, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::Value;

use super::Servers;

/// The latest list of MediaMTX's paths, the paths with recordings, and the servers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PathCache {
    paths: Arc<ArcSwapOption<Vec<Value>>>,
    servers: Arc<ArcSwapOption<Servers>>,
    recorded: Arc<ArcSwap<HashSet<String>>>,
}

impl PathCache {
    /// Stores the items of `/v3/paths/list`; none while MediaMTX does not answer.
    pub fn note(&self, paths: Option<Vec<Value>>) {
        self.paths.store(paths.map(Arc::new));
    }

    /// The latest list; none while MediaMTX does not answer.
    pub fn paths(&self) -> Option<Arc<Vec<Value>>> {
        self.paths.load_full()
    }

    /// Stores the names of the paths that have recordings.
    pub fn note_recorded(&self, names: HashSet<String>) {
        self.recorded.store(Arc::new(names));
    }

    /// Whether the path had a recording when MediaMTX was asked last.
    pub fn is_recorded(&self, path: &str) -> bool {
        self.recorded.load().contains(path)
    }

    /// Stores the servers of MediaMTX's configuration.
    pub fn note_servers(&self, servers: Servers) {
        self.servers.store(Some(Arc::new(servers)));
    }

    /// The servers as they were known last; none before MediaMTX has answered for the first time.
    pub fn servers(&self) -> Option<Arc<Servers>> {
        self.servers.load_full()
    }
}
