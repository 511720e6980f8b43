//! [`Store`]: keeps the last uploaded picture of each stream in a file of the data folder.

use std::{
    collections::HashMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use futures_util::{StreamExt, future::BoxFuture};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep, sleep_until, timeout},
};

use crate::{
    backoff::Backoff,
    blocking::{DISK_TIMEOUT, data},
    data_folder,
    error::{Code, Error, Result},
    picture::{Picture, PictureLimits, SharedFrame},
    regular,
    stream::StreamName,
};

/// Pause between writes. A stream that gets 15 uploads a second writes only its last picture, because SD cards wear
/// out.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// Pictures that are written at a time. The system writes several files to the disk with one flush.
const WRITES_AT_ONCE: usize = 16;

/// The pauses before a write that failed is tried again. A full disk gets room by a person or a timer.
const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// Uploads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UploadSettings {
    /// When an upload is answered.
    pub durability: Durability,
}

/// When an upload is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// `cluster` in a cluster, and `background` otherwise.
    #[default]
    Auto,
    /// As soon as the picture is shown. It is on the disk about a second later.
    Background,
    /// When the picture is on the disk. An upload whose picture cannot be written is answered with an error.
    Ack,
    /// When the picture is in the object store of the cluster, so that it outlives this node. While that cannot be reached, uploads are
    /// answered with an error.
    Cluster,
}

/// Keeps the last picture of each stream for all nodes of a cluster.
pub trait Remote: Send + Sync {
    /// Keeps the frame and replaces an earlier one. Returns at once.
    fn keep(&self, stream: &StreamName, frame: SharedFrame);
    /// Deletes the stream's kept picture. Returns at once.
    fn forget(&self, stream: &StreamName);
    /// Waits until the picture that was given last is kept.
    fn acknowledge<'a>(&'a self, stream: &'a StreamName) -> BoxFuture<'a, Result<()>>;
}

/// Keeps the last uploaded picture of each stream in a file. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    /// The folder of the files; none keeps nothing.
    folder: Option<PathBuf>,
    durability: Durability,
    /// Pending writes: at most one for each stream.
    waiting: Mutex<HashMap<StreamName, Pending>>,
    /// The turns of writers, by stream: a picture must not replace a newer one on the disk.
    turns: [Arc<tokio::sync::Mutex<()>>; WRITES_AT_ONCE],
    wake: Notify,
    /// The cluster, if this program is a node of one.
    remote: OnceLock<Box<dyn Remote>>,
    written: AtomicU64,
    failed: AtomicU64,
}

/// A picture to write, or a file to delete.
struct Pending {
    /// None deletes the file.
    what: Option<SharedFrame>,
    due: Instant,
    backoff: Backoff,
    /// Why the last attempt failed.
    fault: Option<String>,
}

/// Pictures that could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The number of streams.
    pub streams: usize,
    /// The reason for one of them.
    pub reason: String,
}

impl Store {
    /// Keeps pictures in this folder, which is made if it does not exist. Removes temporary files that a killed program has
    /// left there. A disk without room is no error here; the writes will fail and be repeated.
    pub fn open(folder: &Path, durability: Durability) -> io::Result<Self> {
        match data_folder::make(folder) {
            Err(e) if !data_folder::is_full(&e) && e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        remove_temporary_files(folder);
        Ok(Store::new(Some(folder.to_owned()), durability))
    }

    /// Keeps nothing after the end of the program.
    pub fn none() -> Self {
        Store::new(None, Durability::Auto)
    }

    fn new(folder: Option<PathBuf>, durability: Durability) -> Self {
        Store(Arc::new(Inner {
            folder,
            durability,
            waiting: Mutex::default(),
            turns: Default::default(),
            wake: Notify::new(),
            remote: OnceLock::new(),
            written: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }))
    }

    pub(super) fn is_persistent(&self) -> bool {
        self.0.folder.is_some()
    }

    /// Keeps pictures in a cluster, too. Only the first call has an effect.
    pub fn set_remote(&self, remote: Box<dyn Remote>) {
        let _ = self.0.remote.set(remote);
    }

    /// Keeps the frame and replaces an earlier one. Returns at once.
    pub fn keep(&self, name: &StreamName, frame: SharedFrame) {
        if let Some(remote) = self.0.remote.get() {
            remote.keep(name, frame.clone());
        }
        self.enqueue(name, Some(frame));
    }

    /// Deletes the stream's kept picture, also in the cluster. Returns at once.
    pub fn forget(&self, name: &StreamName) {
        if let Some(remote) = self.0.remote.get() {
            remote.forget(name);
        }
        self.forget_here(name);
    }

    /// Deletes the stream's kept picture of this node. Returns at once.
    pub fn forget_here(&self, name: &StreamName) {
        self.enqueue(name, None);
    }

    /// With [`Durability::Cluster`], waits until the kept picture of the stream is in the object store; the error is `cluster_unavailable`.
    /// With [`Durability::Ack`], waits until the kept picture of the stream is on the disk. The error of a write that failed
    /// has the code `storage_full` or `internal`; the picture is shown nevertheless, and written as soon as the disk takes it.
    pub async fn acknowledge(&self, name: &StreamName) -> Result<()> {
        match (self.0.durability, self.0.remote.get()) {
            (Durability::Ack, _) => self.write(name).await,
            (Durability::Auto | Durability::Cluster, Some(remote)) => remote.acknowledge(name).await,
            (Durability::Auto | Durability::Background | Durability::Cluster, _) => Ok(()),
        }
    }

    /// Pictures that could not be written and are tried again.
    pub fn fault(&self) -> Option<Fault> {
        let waiting = self.0.waiting.lock();
        let mut reasons = waiting.values().filter_map(|pending| pending.fault.as_ref());
        let reason = reasons.next()?.clone();
        Some(Fault { streams: reasons.count() + 1, reason })
    }

    /// Pictures that were written, and attempts that failed, since the start.
    pub fn counts(&self) -> (u64, u64) {
        (self.0.written.load(Relaxed), self.0.failed.load(Relaxed))
    }

    fn enqueue(&self, name: &StreamName, what: Option<SharedFrame>) {
        if !self.is_persistent() {
            return;
        }
        let mut waiting = self.0.waiting.lock();
        match waiting.get_mut(name) {
            // The newer picture waits for the next attempt: fifteen pictures a second must not write to a full disk as often.
            Some(pending) => pending.what = what,
            None => {
                let pending = Pending { what, due: Instant::now(), backoff: RETRY, fault: None };
                waiting.insert(name.clone(), pending);
            }
        }
        drop(waiting);
        self.0.wake.notify_one();
    }

    /// Names of the streams that have a kept picture.
    pub fn names(&self) -> Vec<StreamName> {
        let Some(entries) = self.0.folder.as_ref().and_then(|folder| fs::read_dir(folder).ok()) else {
            return vec![];
        };
        let name = |file: String| StreamName::parse(&file.strip_suffix(".jpg")?.replace(',', "/")).ok();
        entries.flatten().filter_map(|entry| name(entry.file_name().into_string().ok()?)).collect()
    }

    /// The kept picture, if it exists and is complete. Its time of capture is the modification time of the file.
    pub async fn load(&self, name: &StreamName, limits: &PictureLimits) -> Option<Picture> {
        if let Some(pending) = self.0.waiting.lock().get(name) {
            return pending.what.as_ref().map(|frame| Picture::of(frame));
        }
        let (path, most) = (self.path(name)?, limits.frame_size.0);
        let read = data().run(move || {
            let unreadable = |e| Error::internal("the kept picture cannot be read", e);
            let modified = fs::metadata(&path).and_then(|m| m.modified()).map_err(unreadable)?;
            Ok((regular::read(&path, most).map_err(unreadable)?, modified))
        });
        let picture = match read.await {
            Ok((data, modified)) => {
                Picture::from_upload(data.into(), limits).await.map(|picture| picture.captured_at(modified))
            }
            Err(e) => Err(e),
        };
        match picture {
            Ok(picture) => Some(picture),
            Err(e) => {
                tracing::debug!(stream = %name, "{}", e.chain());
                None
            }
        }
    }

    /// Writes pending pictures until the program ends. A write that fails is tried again until it succeeds; a newer picture
    /// takes the place of the earlier one.
    pub async fn write_forever(&self) {
        loop {
            let due = self.0.waiting.lock().values().map(|pending| pending.due).min();
            tokio::select! {
                () = self.0.wake.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            let now = Instant::now();
            self.write_all(|pending| pending.due <= now).await;
            sleep(WRITE_PAUSE).await;
        }
    }

    /// Writes all pending pictures now; for the end of the program and for tests.
    pub async fn write_waiting(&self) {
        self.write_all(|_| true).await;
    }

    async fn write_all(&self, chosen: impl Fn(&Pending) -> bool) {
        let names: Vec<_> = {
            let waiting = self.0.waiting.lock();
            waiting.iter().filter(|(_, pending)| chosen(pending)).map(|(name, _)| name.clone()).collect()
        };
        let write = async |name: StreamName| {
            // The failure is logged and noted, and the write is due again later.
            let _ = self.write(&name).await;
        };
        futures_util::stream::iter(names).for_each_concurrent(WRITES_AT_ONCE, write).await;
    }

    /// Writes the pending picture of a stream, if there is one.
    async fn write(&self, name: &StreamName) -> Result<()> {
        let turn = timeout(DISK_TIMEOUT, self.turn(name).lock_owned()).await.map_err(|_| {
            Error::new(Code::StorageTimeout, "the uploaded picture is not kept for a restart: the disk does not answer")
        })?;
        // Stays in the map until it is on disk, so that a reader finds it in one of the two places.
        let what = self.0.waiting.lock().get(name).map(|pending| pending.what.clone());
        let (Some(what), Some(path)) = (what, self.path(name)) else { return Ok(()) };
        let (frame, is_synced) = (what.clone(), self.0.durability == Durability::Ack);
        let work = move || match frame {
            Some(frame) => write(&path, &frame.jpeg(), frame.captured_at, is_synced),
            None => fs::remove_file(&path).or_else(|e| match e.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(e),
            }),
        };
        let unwritten = |e| Error::unwritten("the uploaded picture is not kept for a restart", e);
        let write = move || {
            // Until the write ends, also if its caller has left: it must not end after the write of a newer picture.
            let _turn = turn;
            work().map_err(unwritten)
        };
        let done = data().run(write).await;
        self.note(name, what.as_ref(), &done);
        done
    }

    fn note(&self, name: &StreamName, what: Option<&SharedFrame>, done: &Result<()>) {
        let mut waiting = self.0.waiting.lock();
        let Some(pending) = waiting.get_mut(name) else { return };
        match done {
            Ok(()) => {
                self.0.written.fetch_add(1, Relaxed);
                let is_unchanged = match (&pending.what, what) {
                    (Some(now), Some(then)) => Arc::ptr_eq(now, then),
                    (None, None) => true,
                    _ => false,
                };
                if pending.fault.take().is_some() {
                    tracing::info!(stream = %name, "the uploaded picture is kept now");
                }
                if is_unchanged {
                    waiting.remove(name);
                } else {
                    pending.backoff.reset();
                    pending.due = Instant::now();
                }
            }
            Err(e) => {
                self.0.failed.fetch_add(1, Relaxed);
                let pause = pending.backoff.next_pause();
                pending.due = Instant::now() + pause;
                // One line for each stream and cause, and not for each attempt.
                if pending.fault.replace(e.to_string()).is_none() {
                    tracing::error!(stream = %name, "{}; it is tried again until it succeeds", e.chain());
                } else {
                    tracing::debug!(stream = %name, "{}; the next attempt is in {pause:?}", e.chain());
                }
            }
        }
    }

    fn turn(&self, name: &StreamName) -> Arc<tokio::sync::Mutex<()>> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        self.0.turns[hasher.finish() as usize % WRITES_AT_ONCE].clone()
    }

    /// The file of a stream. Slashes become commas, which no name contains. The grammar of names allows no other
    /// character that a file system refuses.
    fn path(&self, name: &StreamName) -> Option<PathBuf> {
        Some(self.0.folder.as_ref()?.join(format!("{}.jpg", name.replace('/', ","))))
    }
}

/// Writes a temporary file and renames it: a crash leaves the old picture or the new one, and never a part of one. A
/// failure leaves no temporary file, which would keep a full disk full. `is_synced`: the new name survives a power cut, too.
fn write(path: &Path, data: &[u8], modified: SystemTime, is_synced: bool) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    // Not the process id, which is 1 in each container.
    let temporary = folder.join(format!(",{:016x}.tmp", getrandom::u64()?));
    let new = || data_folder::new_file(&temporary);
    let file = new().or_else(|e| match e.kind() {
        io::ErrorKind::NotFound => data_folder::make(folder).and_then(|()| new()),
        _ => Err(e),
    })?;
    let complete = || {
        (&file).write_all(data)?;
        file.set_modified(modified)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        if is_synced { fs::File::open(folder)?.sync_all() } else { Ok(()) }
    };
    complete().inspect_err(|_| {
        // After the rename there is none.
        let _ = fs::remove_file(&temporary);
    })
}

/// Removes files with the name of a temporary one. No stream has such a file, because no stream name begins with a slash.
fn remove_temporary_files(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let is_temporary = entry.file_name().to_str().is_some_and(|name| {
            let number = name.strip_prefix(',').and_then(|name| name.strip_suffix(".tmp"));
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_hexdigit()))
        });
        if is_file && is_temporary && fs::remove_file(entry.path()).is_ok() {
            tracing::info!("{} was left by a program that was killed, and is removed", entry.path().display());
        }
    }
}

#[cfg(test)]
mod tests;
