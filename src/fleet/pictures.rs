//! [`Pictures`]: the last uploaded picture of each stream, in the object store of the cluster, so that it outlives the node that took it
//! and is there on every node.

mod again;

use std::{
    collections::HashMap,
    io,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use async_nats::jetstream::object_store::{
    Config, DeleteErrorKind, GetErrorKind, InfoErrorKind, ObjectInfo, ObjectMetadata, ObjectStore,
};
use bytes::BytesMut;
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use parking_lot::Mutex;
use tokio::{
    io::AsyncReadExt,
    sync::{Notify, mpsc, watch},
    time::{Duration, sleep, timeout},
};

use super::uploads::Pushes;
use crate::{
    cluster::{
        Cluster, Link,
        connection::REQUEST_TIMEOUT,
        names::{text_of, token},
    },
    error::{Code, Error, Result},
    picture::{Picture, PictureLimits, SharedFrame},
    producer::upload::Remote,
    stream::StreamName,
};

/// The bucket.
const BUCKET: &str = "pictures";

/// The members of an object's metadata.
const CAPTURED: &str = "captured_at";
const BY: &str = "by";

/// Pause between two attempts to store what waits, and before the objects are watched again.
const AGAIN: Duration = Duration::from_secs(1);

/// Pictures that are stored at a time in the background.
const AT_ONCE: usize = 8;

/// What another node did with an upload stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadNews {
    /// It has a picture of the stream, which may be new here.
    Appeared(StreamName),
    /// It has removed the stream.
    Vanished(StreamName),
}

/// News that wait for the catalog. Behind them the watch of the object store waits.
const NEWS: usize = 256;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Pictures(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    limits: PictureLimits,
    max_age: Duration,
    /// Pictures, or removals, that the object store does not have yet.
    waiting: Mutex<HashMap<StreamName, Waiting>>,
    /// What the object store has, as far as this node knows.
    known: Mutex<HashMap<StreamName, Known>>,
    /// Grows with each change by another node.
    changes: watch::Sender<u64>,
    /// One writer of a stream at a time.
    turns: Mutex<HashMap<StreamName, Arc<tokio::sync::Mutex<()>>>>,
    news: mpsc::Sender<UploadNews>,
    next: tokio::sync::Mutex<mpsc::Receiver<UploadNews>>,
    pushes: Pushes,
    wake: Notify,
    store: tokio::sync::Mutex<Option<(u64, ObjectStore)>>,
    /// The bucket that must be filled again, because the one of before is lost.
    lost: watch::Sender<Option<String>>,
}

struct Waiting {
    /// None removes the object.
    what: Option<SharedFrame>,
    /// Whether NATS was away when it came: another node can have taken a newer one meanwhile.
    is_late: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// Microseconds since 1970.
    captured_at: u64,
    by: String,
}

impl Known {
    fn of(info: &ObjectInfo) -> Self {
        Known { captured_at: captured_at(info), by: info.metadata.get(BY).cloned().unwrap_or_default() }
    }
}

impl Pictures {
    pub(super) fn new(cluster: &Cluster, limits: PictureLimits, max_age: Duration, pushes: Pushes) -> Self {
        let (news, next) = mpsc::channel(NEWS);
        Pictures(Arc::new(Inner {
            cluster: cluster.clone(),
            limits,
            max_age,
            waiting: Mutex::default(),
            known: Mutex::default(),
            changes: watch::Sender::new(0),
            turns: Mutex::default(),
            news,
            next: next.into(),
            pushes,
            wake: Notify::new(),
            store: tokio::sync::Mutex::default(),
            lost: watch::Sender::new(None),
        }))
    }

    /// Changes with each picture that another node stores.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Whether the object store has a picture, if none is held, or a newer one of another node.
    pub(super) fn is_newer(&self, stream: &StreamName, held: Option<&SharedFrame>) -> bool {
        let known = self.0.known.lock().get(stream).cloned();
        known.is_some_and(|known| match held {
            Some(held) => known.by != self.0.cluster.node() && micros(held.captured_at) < known.captured_at,
            None => true,
        })
    }

    /// The stored picture.
    pub(super) async fn load(&self, stream: &StreamName) -> Result<Option<Picture>> {
        let loaded = async {
            let mut object = match self.store().await?.get(token(stream)).await {
                Ok(object) => object,
                Err(e) if e.kind() == GetErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(away("the picture cannot be fetched from the cluster", e)),
            };
            let captured_at = captured_at(object.info());
            let mut data = BytesMut::new();
            loop {
                self.0.limits.check_size(data.len())?;
                data.reserve(1 << 16);
                let n = object
                    .read_buf(&mut data)
                    .await
                    .map_err(|e| away("the picture cannot be fetched from the cluster", e))?;
                if n == 0 {
                    break;
                }
            }
            let picture = Picture::from_upload(data.freeze(), &self.0.limits).await?;
            Ok(Some(picture.captured_at(UNIX_EPOCH + Duration::from_micros(captured_at))))
        };
        timeout(REQUEST_TIMEOUT, loaded).await.unwrap_or_else(|_| Err(self.0.cluster.connection().away()))
    }

    /// What other nodes did, one after the other.
    pub(super) async fn next(&self) -> Option<UploadNews> {
        self.0.next.lock().await.recv().await
    }

    async fn tell(&self, news: UploadNews) {
        // The receiver lives as long as this.
        let _ = self.0.news.send(news).await;
    }

    /// Stores what waits, and follows what others store, until the program ends.
    pub(super) async fn run(&self) {
        tokio::join!(self.put_forever(), self.observe());
    }

    /// The object store of this connection.
    async fn store(&self) -> Result<ObjectStore> {
        let connection = self.0.cluster.connection();
        let number = match *connection.link().borrow() {
            Link::Up { number, .. } => number,
            Link::Away { .. } => return Err(connection.away()),
        };
        let mut held = self.0.store.lock().await;
        if let Some((of, store)) = &*held
            && *of == number
        {
            return Ok(store.clone());
        }
        let name = connection.names.bucket(BUCKET);
        let mut is_made = false;
        let store = match connection.jetstream.get_object_store(&name).await {
            Ok(store) => store,
            Err(_) => {
                let replicas = connection.replicas();
                let make = |num_replicas| {
                    let config = Config {
                        bucket: name.clone(),
                        description: Some("the last uploaded picture of each stream".into()),
                        max_age: self.0.max_age,
                        num_replicas,
                        ..Config::default()
                    };
                    connection.jetstream.create_object_store(config)
                };
                let made = match make(replicas).await {
                    Err(_) if replicas > 1 => make(1).await,
                    made => made,
                };
                is_made = true;
                made.map_err(|e| away("the object store for pictures cannot be made at NATS", e))?
            }
        };
        self.identify(&name, is_made).await?;
        *held = Some((number, store.clone()));
        Ok(store)
    }

    fn forget_turn(&self, stream: &StreamName) {
        let mut turns = self.0.turns.lock();
        // The entry of the map.
        if turns.get(stream).is_some_and(|turn| Arc::strong_count(turn) <= 1) {
            turns.remove(stream);
        }
    }

    /// Stores the waiting picture of a stream, if there is one.
    async fn put(&self, stream: &StreamName) -> Result<()> {
        let turn = self.0.turns.lock().entry(stream.clone()).or_default().clone();
        let holds = turn.lock().await;
        let Some((what, is_late)) =
            self.0.waiting.lock().get(stream).map(|waiting| (waiting.what.clone(), waiting.is_late))
        else {
            // Another upload has taken this one along.
            return Ok(());
        };
        let put = async {
            if is_late
                && let Some(frame) = &what
                && self.is_superseded(stream, frame).await?
            {
                tracing::warn!(
                    %stream,
                    "a picture that was taken here while NATS was away is dropped: another node has taken a newer one since"
                );
                self.tell(UploadNews::Appeared(stream.clone())).await;
                return Ok(());
            }
            self.put_now(stream, what.as_ref()).await
        };
        let done = timeout(REQUEST_TIMEOUT, put).await.unwrap_or_else(|_| Err(self.0.cluster.connection().away()));
        let mut waiting = self.0.waiting.lock();
        if let Some(present) = waiting.get_mut(stream) {
            match (&done, &present.what, &what) {
                (Err(_), ..) => present.is_late = true,
                (Ok(()), Some(now), Some(then)) if !Arc::ptr_eq(now, then) => self.0.wake.notify_one(),
                (Ok(()), ..) => drop(waiting.remove(stream)),
            }
        }
        drop(waiting);
        drop(holds);
        drop(turn);
        self.forget_turn(stream);
        done
    }

    /// Whether the object store has a newer picture of another node. What this node knows of it can be old.
    async fn is_superseded(&self, stream: &StreamName, frame: &SharedFrame) -> Result<bool> {
        match self.store().await?.info(token(stream)).await {
            Ok(info) => {
                self.0.known.lock().insert(stream.clone(), Known::of(&info));
                Ok(self.is_newer(stream, Some(frame)))
            }
            Err(e) if e.kind() == InfoErrorKind::NotFound => Ok(false),
            Err(e) => Err(away("the picture is not kept in the cluster", e)),
        }
    }

    async fn put_now(&self, stream: &StreamName, what: Option<&SharedFrame>) -> Result<()> {
        let Some(frame) = what else {
            let store = self.store().await?;
            // So that the own watch does not tell it.
            self.0.known.lock().remove(stream);
            return match store.delete(token(stream)).await {
                Ok(()) => Ok(()),
                Err(e) if e.kind() == DeleteErrorKind::NotFound => Ok(()),
                Err(e) => Err(away("the picture is not removed from the cluster", e)),
            };
        };
        self.write(stream, &frame.jpeg(), frame.captured_at).await
    }

    async fn write(&self, stream: &StreamName, mut jpeg: &[u8], captured_at: SystemTime) -> Result<()> {
        let store = self.store().await?;
        let captured_at = micros(captured_at);
        let by = self.0.cluster.node();
        let metadata = [(CAPTURED, captured_at.to_string()), (BY, by.clone())];
        let object = ObjectMetadata {
            name: token(stream),
            metadata: metadata.map(|(key, value)| (key.to_owned(), value)).into(),
            ..ObjectMetadata::default()
        };
        store.put(object, &mut jpeg).await.map_err(|e| away("the picture is not kept in the cluster", e))?;
        self.0.known.lock().insert(stream.clone(), Known { captured_at, by });
        Ok(())
    }

    /// Stores all that waits.
    pub(super) async fn put_waiting(&self) {
        let streams: Vec<_> = self.0.waiting.lock().keys().cloned().collect();
        let put = async |stream: StreamName| {
            if let Err(e) = self.put(&stream).await {
                tracing::debug!(%stream, "{}; it is tried again", e.chain());
            }
        };
        futures_util::stream::iter(streams).for_each_concurrent(AT_ONCE, put).await;
    }

    /// Stores in the background what no upload waits for.
    async fn put_forever(&self) {
        let mut link = self.0.cluster.connection().link();
        loop {
            if link.wait_for(Link::is_up).await.is_err() {
                return;
            }
            self.put_waiting().await;
            // Not each of fifteen pictures a second.
            sleep(AGAIN).await;
            if self.0.waiting.lock().is_empty() {
                self.0.wake.notified().await;
            }
        }
    }

    /// Follows what others store.
    async fn observe(&self) {
        let follow = async || {
            let end = self.follow_objects().await;
            // It can be gone.
            *self.0.store.lock().await = None;
            end
        };
        self.0.cluster.connection().follow("the pictures of other nodes", follow).await;
    }

    async fn follow_objects(&self) -> Result<()> {
        let ended = "the watch of pictures has ended";
        let mut objects = self.store().await?.watch_with_history().await.map_err(|e| away(ended, e))?;
        while let Some(object) = objects.next().await {
            let info = object.map_err(|e| away(ended, io::Error::other(e.to_string())))?;
            let Some(stream) = text_of(&info.name).and_then(|name| StreamName::parse(&name).ok()) else { continue };
            if info.deleted {
                let was_known = self.0.known.lock().remove(&stream).is_some();
                // A picture that has come here since is stored anew.
                if was_known && !self.0.waiting.lock().contains_key(&stream) {
                    self.tell(UploadNews::Vanished(stream)).await;
                }
                continue;
            }
            let known = Known::of(&info);
            let is_others = known.by != self.0.cluster.node();
            let is_new = self.0.known.lock().insert(stream.clone(), known.clone()).as_ref() != Some(&known);
            if is_others && is_new {
                self.tell(UploadNews::Appeared(stream)).await;
                self.0.changes.send_modify(|n| *n += 1);
            }
        }
        Err(Error::new(Code::ClusterUnavailable, ended))
    }
}

impl Remote for Pictures {
    fn keep(&self, stream: &StreamName, frame: SharedFrame) {
        self.0.pushes.pushed(stream, &frame);
        let is_late = !self.0.cluster.connection().is_up();
        let mut waiting = self.0.waiting.lock();
        let was_late = waiting.get(stream).is_some_and(|waiting| waiting.is_late);
        waiting.insert(stream.clone(), Waiting { what: Some(frame), is_late: is_late || was_late });
        drop(waiting);
        self.0.wake.notify_one();
    }

    fn forget(&self, stream: &StreamName) {
        self.0.waiting.lock().insert(stream.clone(), Waiting { what: None, is_late: false });
        self.0.wake.notify_one();
    }

    fn acknowledge<'a>(&'a self, stream: &'a StreamName) -> BoxFuture<'a, Result<()>> {
        self.put(stream).boxed()
    }
}

fn micros(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The time of capture in an object's metadata, in microseconds since 1970.
fn captured_at(info: &ObjectInfo) -> u64 {
    // A larger one is no time of this program, and would make every picture look old.
    const LATEST: u64 = 253_402_300_799_000_000;
    info.metadata.get(CAPTURED).and_then(|text| text.parse().ok()).unwrap_or(0).min(LATEST)
}

fn away(what: &str, e: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Code::ClusterUnavailable, what).caused_by(e)
}
