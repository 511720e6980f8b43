//! [`Parents`]: the streams that other streams are made of.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use regex::Regex;

use crate::{
    error::{Code, Error, Result},
    stream::{Deriver, Producer, Stream, StreamName},
};

/// Finds the stream or path of MediaMTX of the first name, for a stream of the second name. Refuses a circle.
pub type FindParent =
    dyn Fn(StreamName, StreamName) -> Pin<Box<dyn Future<Output = Result<Arc<Stream>>> + Send>> + Send + Sync;

/// Finds parents by name, and makes the hidden ones. Cheap to clone.
#[derive(Clone)]
pub struct Parents(Arc<Inner>);

/// Finds the names of the streams and of the paths of MediaMTX that have the pattern, by name, as far as they have a picture now or can
/// have one.
pub type FindMatching = dyn Fn(Regex) -> Pin<Box<dyn Future<Output = Vec<StreamName>> + Send>> + Send + Sync;

struct Inner {
    deriver: Deriver,
    find: OnceLock<Box<FindParent>>,
    matching: OnceLock<Box<FindMatching>>,
}

impl Parents {
    /// Finds nothing until [`Parents::set_find`].
    pub fn new(deriver: Deriver) -> Self {
        Parents(Arc::new(Inner { deriver, find: OnceLock::new(), matching: OnceLock::new() }))
    }

    /// Sets the function that finds streams by name. Only the first call has an effect.
    pub fn set_find(&self, find: Box<FindParent>) {
        let _ = self.0.find.set(find);
    }

    /// Sets the function that finds names by a pattern. Only the first call has an effect.
    pub fn set_matching(&self, matching: Box<FindMatching>) {
        let _ = self.0.matching.set(matching);
    }

    /// The streams and paths whose names have the pattern, by name, without the one that is made of them.
    pub(super) async fn matching(&self, pattern: &Regex, child: &StreamName) -> Vec<StreamName> {
        let Some(find) = self.0.matching.get() else { return vec![] };
        let mut found = find(pattern.clone()).await;
        found.retain(|name| name != child);
        found
    }

    /// The stream of this name, for the stream `child` that is made of it.
    pub(super) async fn find(&self, name: &StreamName, child: &StreamName) -> Result<Arc<Stream>> {
        match self.0.find.get() {
            Some(find) => find(name.clone(), child.clone()).await,
            None => Err(Error::new(Code::Unavailable, "the program is starting")),
        }
    }

    /// A stream in no list, for the pictures of a producer before they are drawn on.
    pub(super) fn hidden(&self, name: &StreamName, producer: Arc<dyn Producer>) -> Arc<Stream> {
        self.0.deriver.derive(name, producer)
    }
}
