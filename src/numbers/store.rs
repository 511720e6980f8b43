//! [`Store`]: the points of all graph streams, in memory and on the disk.

mod latest;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::{sync::watch, time::sleep};

use super::{
    disk,
    points::{Latest, Numbers},
    settings::GraphSettings,
};
use crate::{blocking::data, data_folder, stream::StreamName};

/// Files that are written at a time.
const WRITES_AT_ONCE: usize = 8;

/// The points of all graph streams. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    settings: GraphSettings,
    folder: Option<PathBuf>,
    streams: Mutex<HashMap<StreamName, Arc<Numbers>>>,
    /// Files of streams that were removed.
    removed: Mutex<Vec<StreamName>>,
    memory: Arc<AtomicUsize>,
    changed: watch::Sender<u64>,
}

impl Store {
    /// Reads the points of this folder, which is made if it does not exist.
    pub fn open(folder: &Path, settings: &GraphSettings) -> io::Result<Self> {
        match data_folder::make(folder) {
            Err(e) if !data_folder::is_full(&e) && e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let store = Store::new(Some(folder.to_owned()), settings);
        for name in disk::names(folder) {
            match disk::read(&disk::path(folder, &name)) {
                Ok(records) => store.numbers(&name).restore(records),
                Err(e) => tracing::error!(stream = %name, "the points of the graph cannot be read: {e}"),
            }
        }
        Ok(store)
    }

    /// Keeps nothing after the end of the program.
    pub fn none(settings: &GraphSettings) -> Self {
        Store::new(None, settings)
    }

    fn new(folder: Option<PathBuf>, settings: &GraphSettings) -> Self {
        Store(Arc::new(Inner {
            settings: settings.clone(),
            folder,
            streams: Mutex::default(),
            removed: Mutex::default(),
            memory: Arc::default(),
            changed: watch::Sender::new(0),
        }))
    }

    /// The points of a stream.
    pub fn numbers(&self, name: &StreamName) -> Arc<Numbers> {
        let make = || Arc::new(Numbers::new(self.0.settings.clone(), self.0.memory.clone(), self.0.changed.clone()));
        self.0.streams.lock().entry(name.clone()).or_insert_with(make).clone()
    }

    /// The series of a stream with their points since `from`; none if there are none.
    pub fn present(&self, name: &StreamName, from: i64) -> Vec<Latest> {
        let numbers = self.0.streams.lock().get(name).cloned();
        numbers.map(|numbers| numbers.since(from)).unwrap_or_default()
    }

    /// Streams that have points.
    pub fn names(&self) -> Vec<StreamName> {
        self.0.streams.lock().keys().cloned().collect()
    }

    /// Points in memory, of all streams.
    pub fn count(&self) -> usize {
        self.0.memory.load(Relaxed)
    }

    /// Drops the points of a stream that was removed, also those on the disk. Returns at once.
    pub fn forget(&self, name: &StreamName) {
        if let Some(numbers) = self.0.streams.lock().remove(name) {
            numbers.forget();
            self.0.removed.lock().push(name.clone());
        }
    }

    /// Writes new points to the disk until the program ends.
    pub async fn write_forever(&self) {
        loop {
            sleep(*self.0.settings.write_interval).await;
            self.write_waiting().await;
        }
    }

    /// Writes everything that is not known to be on the disk; for the end of the program, when the task of [`Self::write_forever`]
    /// has been ended in the middle of a write.
    pub async fn finish(&self) {
        for numbers in self.0.streams.lock().values() {
            numbers.forget_unfinished();
        }
        self.write_waiting().await;
    }

    /// Writes all new points now; for the end of the program and for tests. A write that fails is tried again with the next one.
    pub async fn write_waiting(&self) {
        let Some(folder) = self.0.folder.clone() else { return };
        let removed = std::mem::take(&mut *self.0.removed.lock());
        for name in removed {
            let is_used = self.0.streams.lock().contains_key(&name);
            let path = disk::path(&folder, &name);
            if !is_used && let Err(e) = data().run(move || disk::remove(&path)).await {
                tracing::error!(stream = %name, "the points of the deleted graph stay on the disk: {}", e.chain());
            }
        }
        let streams: Vec<_> =
            self.0.streams.lock().iter().map(|(name, numbers)| (name.clone(), numbers.clone())).collect();
        let write = async |(name, numbers): (StreamName, Arc<Numbers>)| {
            let Some(work) = numbers.journal() else { return };
            let path = disk::path(&folder, &name);
            let done = data().run(move || work.write(&path)).await;
            numbers.written(&name, done);
        };
        futures_util::stream::iter(streams).for_each_concurrent(WRITES_AT_ONCE, write).await;
    }
}

#[cfg(test)]
mod tests;
