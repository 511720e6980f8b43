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

/// The names of the streams that have a picture now or can have one, without paths that are only read while they are watched.
pub type ListNames = dyn Fn() -> Vec<StreamName> + Send + Sync;

struct Inner {
    deriver: Deriver,
    find: OnceLock<Box<FindParent>>,
    list: OnceLock<Box<ListNames>>,
}

impl Parents {
    /// Finds nothing until [`Parents::set_find`].
    pub fn new(deriver: Deriver) -> Self {
        Parents(Arc::new(Inner { deriver, find: OnceLock::new(), list: OnceLock::new() }))
    }

    /// Sets the function that finds streams by name. Only the first call has an effect.
    pub fn set_find(&self, find: Box<FindParent>) {
        let _ = self.0.find.set(find);
    }

    /// Sets the function that lists the streams. Only the first call has an effect.
    pub fn set_list(&self, list: Box<ListNames>) {
        let _ = self.0.list.set(list);
    }

    /// The streams whose names have the pattern, by name, without the one that is made of them.
    pub(super) fn matching(&self, pattern: &Regex, child: &StreamName) -> Vec<StreamName> {
        let all = self.0.list.get().map(|list| list()).unwrap_or_default();
        all.into_iter().filter(|name| name != child && pattern.is_match(name)).collect()
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
