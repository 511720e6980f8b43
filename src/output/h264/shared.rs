//! [`Encodings`]: what is encoded of which streams, shared by all who read the same.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak, atomic::AtomicU64},
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Duration, Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use utoipa::ToSchema;

use super::{H264Settings, Want, encode_task::EncodeTask};
use crate::{
    error::Result,
    h264::AccessUnit,
    picture::Canvas,
    stream::{Ended, StreamName, Watch},
};

/// A coded picture of an encoding.
#[derive(Debug)]
pub struct Unit {
    /// The coded picture.
    pub access: AccessUnit,
    /// When its picture came to us.
    pub at: Instant,
    /// Whether it is a "waiting" picture.
    pub placeholder: bool,
    /// Position in the encoding, from 1.
    pub(super) seq: u64,
}

/// What was done since the start, by all encodings together.
#[derive(Debug, Default)]
pub struct Counters {
    /// Pictures encoded as stills.
    pub stills: AtomicU64,
    /// Pictures encoded as keyframes of moving streams.
    pub keys: AtomicU64,
    /// Pictures encoded as differences to the one before.
    pub deltas: AtomicU64,
    /// Pictures that were the same as the one before.
    pub identical: AtomicU64,
    /// Pictures that could not be decoded or encoded.
    pub failed: AtomicU64,
    /// Time spent on decoding and encoding, in microseconds.
    pub micros: AtomicU64,
}

/// What one encoding does at the moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = VideoStats)]
pub struct Stats {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `still`, `video` or `waiting`.
    pub mode: &'static str,
    /// Readers at the moment.
    pub readers: usize,
    /// Pictures encoded.
    pub encoded: u64,
    /// Bytes of the picture encoded last.
    pub last_bytes: usize,
}

type Key = (StreamName, Want);

/// All encodings that somebody reads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Encodings(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) settings: H264Settings,
    pub(super) placeholder_after: Duration,
    live: Mutex<HashMap<Key, Weak<Handle>>>,
    pub(super) counters: Counters,
}

/// Held by every reader of one encoding; the encoding ends with the last of them.
#[derive(Debug)]
struct Handle {
    key: Key,
    stream: Weak<crate::stream::Stream>,
    all: Weak<Inner>,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) shown: watch::Sender<Gop>,
    pub(super) canvas: OnceLock<Canvas>,
}

/// A group of pictures: a keyframe and what builds on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Gop {
    pub(super) group: u64,
    pub(super) units: Vec<Arc<Unit>>,
    pub(super) encoded: u64,
    ended: Option<&'static str>,
}

impl Encodings {
    /// None is live yet. `placeholder_after` is how long a stream that pictures are pushed to shows nothing.
    pub fn new(settings: H264Settings, placeholder_after: Duration) -> Self {
        Encodings(Arc::new(Inner {
            settings,
            placeholder_after,
            live: Mutex::default(),
            counters: Counters::default(),
        }))
    }

    /// The settings.
    pub fn settings(&self) -> &H264Settings {
        &self.0.settings
    }

    /// What was done since the start.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nobody reads anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, by stream. Those that have not shown anything yet are left out.
    pub fn stats(&self) -> HashMap<StreamName, Vec<Stats>> {
        // Holders are let go after the lock: the last one takes it.
        let live: Vec<_> = self.lock().values().filter_map(Weak::upgrade).collect();
        let mut all = HashMap::<_, Vec<_>>::new();
        for handle in &live {
            if let Some(stats) = handle.stats() {
                all.entry(handle.key.0.clone()).or_default().push(stats);
            }
        }
        all
    }

    /// Joins the encoding of the watched stream, or starts it. Must be called within a tokio runtime.
    pub fn join(&self, watch: Watch, want: Want) -> Reader {
        let stream = watch.stream().clone();
        let key = (stream.name().clone(), want);
        // Declared before the guard, so that it is dropped after it: the last holder takes the lock.
        let present;
        let mut live = self.lock();
        present = live.get(&key).and_then(Weak::upgrade);
        let fitting = present.as_ref().filter(|handle| {
            // A stream that was removed may have a successor of the same name.
            handle.stream.as_ptr() == Arc::as_ptr(&stream) && handle.shared.shown.borrow().ended.is_none()
        });
        let handle = fitting.cloned().unwrap_or_else(|| {
            let stop = CancellationToken::new();
            let shared = Arc::new(Shared { shown: watch::Sender::default(), canvas: OnceLock::new() });
            let handle = Arc::new(Handle {
                key: key.clone(),
                stream: Arc::downgrade(&stream),
                all: Arc::downgrade(&self.0),
                shared: shared.clone(),
                _stop: stop.clone().drop_guard(),
            });
            live.insert(key, Arc::downgrade(&handle));
            let encode_task = EncodeTask::new(self.clone(), shared.clone(), watch, want);
            tokio::spawn(async move {
                let why = tokio::select! {
                    ended = encode_task.run() => ended,
                    () = stop.cancelled() => return,
                };
                shared.shown.send_modify(|shown| shown.ended = Some(why.0));
            });
            handle
        });
        let shown = handle.shared.shown.subscribe();
        Reader { handle, shown, group: 0, next: 0, seen: 0, dropped: 0 }
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<Key, Weak<Handle>>> {
        self.0.live.lock()
    }
}

impl Handle {
    fn stats(self: &Arc<Self>) -> Option<Stats> {
        let canvas = self.shared.canvas.get()?;
        let shown = self.shared.shown.borrow();
        let last = shown.units.last()?;
        Some(Stats {
            width: canvas.width(),
            height: canvas.height(),
            mode: match (last.placeholder, shown.units.len()) {
                (true, _) => "waiting",
                (false, ..=1) => "still",
                (false, _) => "video",
            },
            // Whoever asks is one of the holders.
            readers: Arc::strong_count(self) - 1,
            encoded: shown.encoded,
            last_bytes: last.access.size(),
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Some(all) = self.all.upgrade() else { return };
        let mut live = all.live.lock();
        // Unless a new encoding has taken the place since.
        if live.get(&self.key).is_some_and(|handle| handle.strong_count() == 0) {
            live.remove(&self.key);
        }
    }
}

/// One who reads an encoding.
#[derive(Debug)]
pub struct Reader {
    handle: Arc<Handle>,
    shown: watch::Receiver<Gop>,
    group: u64,
    /// Units of the group that were returned.
    next: usize,
    seen: u64,
    dropped: u64,
}

impl Reader {
    /// Waits for the next coded picture. Whoever joins begins with the last keyframe; whoever is too slow
    /// goes on with the latest one. Cancel-safe.
    pub async fn next(&mut self) -> Result<Arc<Unit>, Ended> {
        loop {
            {
                let shown = self.shown.borrow_and_update();
                if let Some(why) = shown.ended {
                    return Err(Ended(why));
                }
                if shown.group != self.group {
                    self.group = shown.group;
                    self.next = 0;
                }
                if let Some(unit) = shown.units.get(self.next) {
                    self.next += 1;
                    if self.seen > 0 {
                        self.dropped += unit.seq - self.seen - 1;
                    }
                    self.seen = unit.seq;
                    return Ok(unit.clone());
                }
            }
            self.shown.changed().await.map_err(|_| Ended("the encoding ended"))?;
        }
    }

    /// Whether the picture returned last stands alone and may be repeated.
    pub fn is_at_rest(&self) -> bool {
        let shown = self.shown.borrow();
        shown.group == self.group && shown.units.len() == 1 && self.next == 1
    }

    /// The first coded picture, as soon as there is one; none after `longest`. Does not count as read.
    pub async fn first(&self, longest: Duration) -> Option<Arc<Unit>> {
        let mut shown = self.shown.clone();
        let first = shown.wait_for(|shown| !shown.units.is_empty() || shown.ended.is_some());
        timeout(longest, first).await.ok()?.ok()?.units.first().cloned()
    }

    /// Pictures that were not returned because this reader was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The stream's name.
    pub fn stream(&self) -> &StreamName {
        &self.handle.key.0
    }
}
