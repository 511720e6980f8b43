//! [`Conversions`]: transforms pictures and keeps the results, so that equal requests share one conversion.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lru::LruCache;
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::OnceCell, time::Instant};

use super::{
    Key, VariantSettings,
    presets::{About, Presets},
};
use crate::{
    blocking::Pool,
    error::{Code, Error, Result},
    picture::{
        PictureLimits, SharedFrame, hold_memory, memory_to_transform,
        transform::{Applied, How, apply, apply_to_planes},
    },
    stream::Registry,
};

/// Most pictures in the cache, whatever their size: 50 thumbnails on each of 80 dashboards.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::new(4096).expect("4096 is not zero");

/// Counters since the program started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Pictures decoded and encoded.
    pub encoded: AtomicU64,
    /// Pictures whose blocks were moved without loss.
    pub lossless: AtomicU64,
    /// Requests that got a picture made for another request.
    pub shared: AtomicU64,
    /// Pictures that could not be transformed.
    pub failed: AtomicU64,
    /// Time spent on transforming, in microseconds.
    pub micros: AtomicU64,
}

/// Transforms pictures in a bounded pool and keeps the latest result for each stream and transform.
pub struct Conversions {
    quality: u8,
    limits: PictureLimits,
    presets: Arc<Presets>,
    registry: Registry,
    pool: Pool,
    cache: Mutex<Cache>,
    counters: Counters,
}

/// An error that can be returned to several requests.
type Outcome = Result<Arc<Applied>, (Code, String)>;

/// Results by stream and transform, bounded by their number and by their bytes.
struct Cache {
    entries: LruCache<Key, Entry>,
    /// Bytes of all results together.
    bytes: usize,
    max_bytes: usize,
}

struct Entry {
    seq: u64,
    digest: u64,
    /// Empty while the conversion runs.
    outcome: Arc<OnceCell<Outcome>>,
    bytes: usize,
}

impl Conversions {
    pub(super) fn new(settings: VariantSettings, limits: PictureLimits, presets: Presets, registry: Registry) -> Self {
        Conversions {
            quality: settings.quality,
            limits,
            presets: Arc::new(presets),
            registry,
            pool: Pool::new("transforming a picture", settings.threads()),
            cache: Mutex::new(Cache { entries: LruCache::new(MAX_KEPT), bytes: 0, max_bytes: settings.cache.bytes() }),
            counters: Counters::default(),
        }
    }

    /// Counters since the program started.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The overlays that requests can ask for.
    pub fn presets(&self) -> &Presets {
        &self.presets
    }

    /// Bytes of the pictures in the cache.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The result for this picture, if it is in the cache or the transform does not change the picture.
    pub(super) fn kept(&self, key: &Key, frame: &SharedFrame) -> Option<Result<Arc<Applied>>> {
        if frame.is_encoded() && key.1.leaves(frame.width, frame.height) {
            let (jpeg, width, height) = (frame.jpeg(), frame.width, frame.height);
            return Some(Ok(Arc::new(Applied { jpeg, width, height, how: How::Unchanged })));
        }
        if self.presets.moves(&key.1) {
            return None;
        }
        // Before the lock is taken, because the first call hashes the whole picture.
        frame.digest();
        let outcome = self.lock().find(key, frame)?.get()?.clone();
        self.counters.shared.fetch_add(1, Ordering::Relaxed);
        Some(to_result(outcome))
    }

    /// As [`Conversions::kept`], but transforms the picture if its result is not in the cache. Requests that arrive during
    /// the conversion wait for it and share its result.
    pub(super) async fn make(&self, key: Key, frame: &SharedFrame) -> Result<Arc<Applied>> {
        if let Some(kept) = self.kept(&key, frame) {
            return kept;
        }
        if self.presets.moves(&key.1) {
            // The next moment has another picture.
            return to_result(self.convert(frame, &key).await);
        }
        let cell = self.lock().find_or_insert(&key, frame);
        let mut made = false;
        let outcome = cell.get_or_init(|| {
            made = true;
            self.convert(frame, &key)
        });
        let outcome = outcome.await.clone();
        if made {
            let bytes = outcome.as_ref().map_or(0, |applied| applied.jpeg.len());
            self.lock().set_bytes(&key, frame, bytes);
        } else {
            self.counters.shared.fetch_add(1, Ordering::Relaxed);
        }
        to_result(outcome)
    }

    async fn convert(&self, frame: &SharedFrame, (name, transform): &Key) -> Outcome {
        let transform = *transform;
        let presets = self.presets.clone();
        let about = transform.overlay().and_then(|_| self.registry.get(name)).map(|stream| About::of(&stream));
        let (source, size) = (frame.clone(), (frame.width, frame.height));
        let (quality, limits) = (self.quality, self.limits);
        let work = move || {
            let began = Instant::now();
            let applied = match (transform.overlay().zip(about), source.raster()) {
                (Some((overlay, about)), _) => {
                    presets.draw(overlay, &source, &transform, &about, &limits).and_then(|drawn| {
                        let jpeg = drawn.to_jpeg(transform.quality().unwrap_or(quality))?;
                        limits.check_size(jpeg.len())?;
                        Ok(Applied { jpeg, width: drawn.width(), height: drawn.height(), how: How::Encoded })
                    })
                }
                (None, None) => apply(&source.jpeg(), size, &transform, quality, &limits),
                (None, Some(raster)) => apply_to_planes(raster, &transform, quality, &limits).map(|made| {
                    let unchanged =
                        || Applied { jpeg: source.jpeg(), width: size.0, height: size.1, how: How::Unchanged };
                    made.unwrap_or_else(unchanged)
                }),
            };
            Ok((applied, began.elapsed()))
        };
        let memory = match frame.raster() {
            None => memory_to_transform(&frame.jpeg()),
            Some(raster) => 3 * raster.bytes() as u64,
        };
        let converted = async {
            let held = hold_memory(memory, &limits).await?;
            // The memory is in use until the work ends, also if its caller has left.
            let work = move || {
                let _held = held;
                work()
            };
            self.pool.run(work).await
        };
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

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock()
    }
}

impl Cache {
    /// The cell for the result of this very picture.
    fn find(&mut self, key: &Key, frame: &SharedFrame) -> Option<Arc<OnceCell<Outcome>>> {
        self.entries.get(key).filter(|entry| entry.is_of(frame)).map(|entry| entry.outcome.clone())
    }

    /// As [`Cache::find`]; a result of an earlier picture is replaced by an empty cell.
    fn find_or_insert(&mut self, key: &Key, frame: &SharedFrame) -> Arc<OnceCell<Outcome>> {
        if let Some(present) = self.find(key, frame) {
            return present;
        }
        let outcome = Arc::<OnceCell<Outcome>>::default();
        let entry = Entry { seq: frame.seq, digest: frame.digest(), outcome: outcome.clone(), bytes: 0 };
        // The entry that leaves has the same key, or was unused for the longest time.
        if let Some((_, gone)) = self.entries.push(key.clone(), entry) {
            self.bytes -= gone.bytes;
        }
        outcome
    }

    /// Notes the size of a new result. Evicts the results that were unused for the longest time until the rest fits.
    fn set_bytes(&mut self, key: &Key, frame: &SharedFrame, bytes: usize) {
        let Some(entry) = self.entries.peek_mut(key).filter(|entry| entry.is_of(frame)) else { return };
        self.bytes = self.bytes - entry.bytes + bytes;
        entry.bytes = bytes;
        while self.bytes > self.max_bytes
            && let Some((_, gone)) = self.entries.pop_lru()
        {
            self.bytes -= gone.bytes;
        }
    }
}

impl Entry {
    /// The digest is compared too, because a removed stream can have a successor of the same name, whose numbers begin
    /// at 1 again.
    fn is_of(&self, frame: &SharedFrame) -> bool {
        self.seq == frame.seq && self.digest == frame.digest()
    }
}

fn to_result(outcome: Outcome) -> Result<Arc<Applied>> {
    outcome.map_err(|(code, message)| Error::new(code, message))
}
