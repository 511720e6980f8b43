//! Titles of streams: what people read in place of the name, in any script. The name stays the address.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::Catalog;
use crate::stream::StreamName;

/// The titles by stream; streams without one are left out.
#[derive(Default)]
pub(super) struct Titles(Mutex<HashMap<StreamName, Arc<str>>>);

impl Titles {
    /// Sets a title; an empty one removes it.
    pub(super) fn set(&self, name: &StreamName, title: &str) {
        let mut titles = self.0.lock();
        if title.is_empty() { drop(titles.remove(name)) } else { drop(titles.insert(name.clone(), title.into())) }
    }
}

impl Catalog {
    /// The title of a stream; none if it has none.
    pub fn title(&self, name: &str) -> Option<Arc<str>> {
        self.0.titles.0.lock().get(name).cloned()
    }
}
