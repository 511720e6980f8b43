//! The latest list of MediaMTX's paths, the paths with recordings, the sources on demand, and the servers. Pages ask for them more often than MediaMTX should be asked.

use std::{collections::HashSet, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::Value;

use super::Servers;

/// The latest list of MediaMTX's paths, the paths with recordings, the sources on demand, and the servers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PathCache {
    paths: Arc<ArcSwapOption<Vec<Value>>>,
    servers: Arc<ArcSwapOption<Servers>>,
    recorded: Arc<ArcSwap<HashSet<String>>>,
    on_demand: Arc<ArcSwapOption<HashSet<String>>>,
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

    /// Stores the entries of MediaMTX's configuration whose source is on demand.
    pub fn note_on_demand(&self, entries: HashSet<String>) {
        self.on_demand.store(Some(Arc::new(entries)));
    }

    /// Whether a reader starts the source of this item of `/v3/paths/list`, by its entry of the configuration. Before that is known, a
    /// path counts that is `online`: MediaMTX gives it for each static source that does not run (internal/core/path.go, isOnline).
    pub fn is_on_demand(&self, path: &Value) -> bool {
        match self.on_demand.load().as_deref() {
            Some(entries) => path["confName"].as_str().is_some_and(|entry| entries.contains(entry)),
            None => path["online"] == true,
        }
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
