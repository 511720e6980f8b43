//! [`Conversions`]: pictures being transformed and those that were, shared by all who want the same of the same picture.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::Instant,
};

use super::{Key, VariantSettings};
use crate::{
    error::{Code, Error, Result},
    picture::{
        PictureLimits, SharedFrame, in_pool,
        transform::{Applied, How, Transform, apply},
    },
};

/// Most pictures kept, whatever their size: 50 thumbnails of each of 80 dashboards.
const MAX_KEPT: usize = 4096;

/// What was done since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Pictures decoded and encoded.
    pub encoded: AtomicU64,
    /// Pictures whose blocks were moved without loss.
    pub lossless: AtomicU64,
    /// Times that a picture made for somebody else was given.
    pub shared: AtomicU64,
    /// Pictures that could not be transformed.
    pub failed: AtomicU64,
    /// Time spent on transforming, in microseconds.
    pub micros: AtomicU64,
}

/// Makes transformed pictures in a bounded pool, and keeps the latest of each.
pub struct Conversions {
    quality: u8,
    limits: PictureLimits,
    /// Threads at work.
    pool: Arc<Semaphore>,
    kept: Mutex<Kept>,
    most_bytes: usize,
    counters: Counters,
}

/// An error can be told to many.
type Outcome = Result<Arc<Applied>, (Code, String)>;

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    /// Counts uses, so that the longest unused can be found.
    clock: u64,
}

struct Entry {
    seq: u64,
    digest: u64,
    outcome: Arc<OnceCell<Outcome>>,
    bytes: usize,
    used: u64,
}

impl Conversions {
    pub(super) fn new(settings: VariantSettings, limits: PictureLimits) -> Self {
        Conversions {
            quality: settings.quality,
            limits,
            pool: Arc::new(Semaphore::new(settings.threads())),
            kept: Mutex::default(),
            most_bytes: settings.cache.bytes(),
            counters: Counters::default(),
        }
    }

    /// What was done since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes of pictures that are kept.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// What was made of this very picture, if it was.
    pub(super) fn kept(&self, key: &Key, frame: &SharedFrame) -> Option<Result<Arc<Applied>>> {
        if key.1.leaves(frame.width, frame.height) {
            let (jpeg, width, height) = (frame.jpeg(), frame.width, frame.height);
            return Some(Ok(Arc::new(Applied { jpeg, width, height, how: How::Unchanged })));
        }
        // Before the lock is taken: the first time, all of the picture is gone through.
        frame.digest();
        let mut kept = self.lock();
        kept.clock += 1;
        let clock = kept.clock;
        let entry = kept.entries.get_mut(key).filter(|entry| entry.is_of(frame))?;
        let outcome = entry.outcome.get()?.clone();
        entry.used = clock;
        drop(kept);
        self.counters.shared.fetch_add(1, Ordering::Relaxed);
        Some(told(outcome))
    }

    /// The same; made if it was not, once for all who ask while it is being made.
    pub(super) async fn make(&self, key: Key, frame: &SharedFrame) -> Result<Arc<Applied>> {
        if let Some(kept) = self.kept(&key, frame) {
            return kept;
        }
        let cell = self.lock().cell(&key, frame);
        let mut made = false;
        let outcome = cell.get_or_init(|| {
            made = true;
            self.convert(frame, key.1)
        });
        let outcome = outcome.await.clone();
        if made {
            let bytes = outcome.as_ref().map_or(0, |applied| applied.jpeg.len());
            self.lock().keep(&key, frame, bytes, self.most_bytes);
        } else {
            self.counters.shared.fetch_add(1, Ordering::Relaxed);
        }
        told(outcome)
    }

    async fn convert(&self, frame: &SharedFrame, transform: Transform) -> Outcome {
        let turn = self.pool.clone().acquire_owned().await.expect("the pool is never closed");
        let (jpeg, size) = (frame.jpeg(), (frame.width, frame.height));
        let (quality, limits) = (self.quality, self.limits);
        let converted = in_pool(move || {
            let _turn = turn;
            let began = Instant::now();
            let applied = apply(&jpeg, size, &transform, quality, &limits);
            Ok((applied, began.elapsed()))
        });
        let (applied, took) = match converted.await {
            Ok((applied, took)) => (applied, took.as_micros() as u64),
            Err(e) => (Err(e), 0),
        };
        self.counters.micros.fetch_add(took, Ordering::Relaxed);
        let counter = match &applied {
            Ok(applied) if applied.how == How::Encoded => &self.counters.encoded,
            Ok(_) => &self.counters.lossless,
            Err(_) => &self.counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        applied.map(Arc::new).map_err(|e| (e.code(), e.to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock()
    }
}

impl Kept {
    /// The place of what is made of this picture; what was made of an earlier one is forgotten.
    fn cell(&mut self, key: &Key, frame: &SharedFrame) -> Arc<OnceCell<Outcome>> {
        self.clock += 1;
        if let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.is_of(frame)) {
            entry.used = self.clock;
            return entry.outcome.clone();
        }
        self.forget(key);
        if self.entries.len() >= MAX_KEPT {
            self.evict_lru();
        }
        let outcome = Arc::<OnceCell<Outcome>>::default();
        let entry =
            Entry { seq: frame.seq, digest: frame.digest(), outcome: outcome.clone(), bytes: 0, used: self.clock };
        self.entries.insert(key.clone(), entry);
        outcome
    }

    /// Counts what was made, and forgets the longest unused beyond the limit.
    fn keep(&mut self, key: &Key, frame: &SharedFrame, bytes: usize, most: usize) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.is_of(frame)) else { return };
        self.bytes = self.bytes - entry.bytes + bytes;
        entry.bytes = bytes;
        while self.bytes > most && self.evict_lru() {}
    }

    fn evict_lru(&mut self) -> bool {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
        oldest.is_some_and(|key| self.forget(&key))
    }

    fn forget(&mut self, key: &Key) -> bool {
        let entry = self.entries.remove(key);
        self.bytes -= entry.as_ref().map_or(0, |entry| entry.bytes);
        entry.is_some()
    }
}

impl Entry {
    /// A stream that was removed may have a successor of the same name, which counts from one again.
    fn is_of(&self, frame: &SharedFrame) -> bool {
        self.seq == frame.seq && self.digest == frame.digest()
    }
}

fn told(outcome: Outcome) -> Result<Arc<Applied>> {
    outcome.map_err(|(code, message)| Error::new(code, message))
}
