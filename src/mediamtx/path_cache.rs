//! The latest list of MediaMTX's paths. Pages ask for it more often than MediaMTX should be asked.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde_json::Value;

/// The latest list of MediaMTX's paths. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PathCache(Arc<ArcSwapOption<Vec<Value>>>);

impl PathCache {
    /// Stores the items of `/v3/paths/list`; none while MediaMTX does not answer.
    pub fn note(&self, paths: Option<Vec<Value>>) {
        self.0.store(paths.map(Arc::new));
    }

    /// The latest list; none while MediaMTX does not answer.
    pub fn paths(&self) -> Option<Arc<Vec<Value>>> {
        self.0.load_full()
    }
}
