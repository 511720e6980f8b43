//! The names that regular expressions of publications can select: those of streams, and of MediaMTX's paths.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::time::{Duration, Instant};

use crate::{
    mediamtx::{self, Fields, PathCache, readable},
    stream::{Origin, Registry, StreamName},
};

/// How often MediaMTX is asked for its configured paths, for those that are started by a reader.
const CONFIGURED: Duration = Duration::from_secs(10);

/// The names as they were seen last.
pub(super) struct Candidates {
    registry: Registry,
    mediamtx: mediamtx::Client,
    live: PathCache,
    /// The paths that can be read. They stay while MediaMTX does not answer.
    paths: BTreeSet<StreamName>,
    configured: Vec<Fields>,
    asked: Option<Instant>,
}

impl Candidates {
    pub(super) fn new(registry: &Registry, mediamtx: &mediamtx::Client, live: &PathCache) -> Self {
        Candidates {
            registry: registry.clone(),
            mediamtx: mediamtx.clone(),
            live: live.clone(),
            paths: BTreeSet::new(),
            configured: vec![],
            asked: None,
        }
    }

    /// All names at the moment. A path of MediaMTX counts while a client could read it.
    pub(super) async fn names(&mut self) -> BTreeSet<StreamName> {
        if let Some(live) = self.live.paths() {
            let is_ready = |path: &Value| path["available"] == true || path["ready"] == true;
            let is_due = self.asked.is_none_or(|asked| asked.elapsed() >= CONFIGURED);
            if is_due && !live.iter().all(is_ready) {
                self.asked = Some(Instant::now());
                if let Ok(configured) = self.mediamtx.configured_paths().await {
                    self.configured = configured;
                }
            }
            let names = live.iter().filter_map(|path| {
                let name = path["name"].as_str()?;
                let can_be_read = is_ready(path) || readable(name, Some(path), &self.configured).is_some();
                can_be_read.then(|| StreamName::parse(name).ok()).flatten()
            });
            self.paths = names.collect();
        }
        let streams = self.registry.list().into_iter().filter(|stream| stream.origin() != Origin::MediaMtx);
        streams.map(|stream| stream.name().clone()).chain(self.paths.iter().cloned()).collect()
    }
}
