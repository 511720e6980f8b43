//! MediaMTX's paths as they were seen last: pages ask for them more often than MediaMTX should be asked.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde_json::Value;

/// The latest list of MediaMTX's paths; a handle, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PathCache(Arc<ArcSwapOption<Vec<Value>>>);

impl PathCache {
    /// Notes what `/v3/paths/list` has; none when MediaMTX did not answer.
    pub fn note(&self, paths: Option<Vec<Value>>) {
        self.0.store(paths.map(Arc::new));
    }

    /// The list as it was a moment ago; none while MediaMTX does not answer.
    pub fn paths(&self) -> Option<Arc<Vec<Value>>> {
        self.0.load_full()
    }
}
