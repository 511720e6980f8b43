//! Variants: streams in another size, quality, orientation or rate. Equal requests share one variant.
//!
//! A variant is a stream that no list shows. Its producer follows the stream that it is made of (its parent), and it ends a
//! moment after its last watcher has left. [`Conversions`] keeps the result for each picture until a newer picture arrives, so
//! that snapshots, MJPEG and WebSocket share it. `quota` limits the number of variants, in all and for each caller.

mod conversions;
mod presets;
mod producer;
mod quota;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::{
    conversions::{Conversions, Counters},
    presets::Presets,
};
use self::{
    producer::Variant,
    quota::{Quota, QuotaGuard},
};
use crate::{
    error::Result,
    picture::{
        PictureLimits, SharedFrame,
        transform::{Applied, Transform},
    },
    stream::{Ended, Form, Registry, Stream, StreamName, Watch},
    units::Size,
};

/// Settings and limits for variants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VariantSettings {
    /// Most variants of all streams together.
    pub max: usize,
    /// Most variants at a time for one user, token, share or address.
    pub max_per_caller: usize,
    /// Conversions at a time, each on its own thread; 0 for one less than there are cores.
    pub threads: usize,
    /// Quality of encoded pictures, 1 to 100, unless the request sets one.
    pub quality: u8,
    /// Memory for kept results.
    pub cache: Size,
}

impl Default for VariantSettings {
    fn default() -> Self {
        VariantSettings { max: 256, max_per_caller: 64, threads: 0, quality: 80, cache: Size::mib(64) }
    }
}

impl VariantSettings {
    /// Invalid settings: the key and the rule that it breaks.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if !(1..=100).contains(&self.quality) {
            found.push(("quality", format!("must be from 1 to 100, not {}", self.quality)));
        }
        if self.max_per_caller > self.max {
            found.push(("max_per_caller", format!("must not be more than variants.max ({})", self.max)));
        }
        found
    }

    fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, |cores| usize::from(cores).saturating_sub(1).max(1)),
            threads => threads,
        }
    }
}

/// One variant at one moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VariantStats {
    /// The transform, as a query in canonical form.
    #[schema(example = "w=320&quality=70")]
    pub query: String,
    /// Watchers at the moment.
    pub watchers: usize,
    /// Pictures made.
    pub frames: u64,
    /// Pictures a second.
    pub fps: f64,
    /// Pictures that slow watchers skipped.
    pub dropped: u64,
    /// Size of the last picture in bytes.
    pub last_bytes: usize,
}

/// A stream and its transform.
type Key = (StreamName, Transform);

/// All variants that have a watcher. Cheap to clone.
#[derive(Clone)]
pub struct Variants(Arc<Inner>);

struct Inner {
    registry: Registry,
    live: Mutex<HashMap<Key, Live>>,
    quota: Quota,
    conversions: Arc<Conversions>,
}

struct Live {
    parent: Weak<Stream>,
    variant: Weak<Stream>,
}

/// A watch of a stream or of a variant.
pub struct Watching {
    /// The watch of the stream or variant.
    pub watch: Watch,
    /// Set for a variant; held as long as `watch`.
    pub held: Option<Held>,
}

/// Keeps the parent of a variant running, and counts the variant against its caller's quota.
pub struct Held {
    parent: Watch,
    _quota: QuotaGuard,
}

impl Watching {
    /// The watch of the stream itself, also when a variant is watched.
    pub fn parent(&self) -> &Watch {
        self.held.as_ref().map_or(&self.watch, |held| &held.parent)
    }
}

impl Variants {
    /// Starts with no variant.
    pub fn new(settings: VariantSettings, limits: PictureLimits, registry: Registry) -> Self {
        Variants::with_presets(settings, limits, registry, Presets::none())
    }

    /// As [`Variants::new`], with overlays that requests can ask for.
    pub fn with_presets(
        settings: VariantSettings,
        limits: PictureLimits,
        registry: Registry,
        presets: Presets,
    ) -> Self {
        Variants(Arc::new(Inner {
            registry: registry.clone(),
            live: Mutex::default(),
            quota: Quota::new(settings.max, settings.max_per_caller),
            conversions: Arc::new(Conversions::new(settings, limits, presets, registry)),
        }))
    }

    /// The conversions: their counters and their cache.
    pub fn conversions(&self) -> &Conversions {
        &self.0.conversions
    }

    /// Requests that a limit refused.
    pub fn refused(&self) -> u64 {
        self.0.quota.refused()
    }

    /// Number of variants.
    pub fn len(&self) -> usize {
        self.lock().values().filter(|live| live.variant.strong_count() > 0).count()
    }

    /// Whether there is no variant.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All variants, by stream.
    pub fn stats(&self) -> HashMap<StreamName, Vec<VariantStats>> {
        let live: Vec<_> = {
            let live = self.lock();
            live.iter().filter_map(|(key, live)| Some((key.clone(), live.variant.upgrade()?))).collect()
        };
        let mut all = HashMap::<_, Vec<_>>::new();
        for ((name, transform), stream) in live {
            let stats = stream.stats();
            all.entry(name).or_default().push(VariantStats {
                query: transform.to_string(),
                watchers: stats.watchers,
                frames: stats.frames,
                fps: stats.fps,
                dropped: stats.dropped,
                last_bytes: stats.picture.map_or(0, |picture| picture.bytes),
            });
        }
        all.values_mut().for_each(|variants| variants.sort_by(|a, b| a.query.cmp(&b.query)));
        all
    }

    /// Watches a variant, and makes it if it does not exist. It counts against the quota of `caller`.
    pub fn join(&self, mut parent: Watch, transform: Transform, caller: &str) -> Result<Watching> {
        if transform.is_none() {
            return Ok(Watching { watch: parent, held: None });
        }
        self.0.conversions.presets().check(&transform)?;
        let stream = parent.stream().clone();
        let key = (stream.name().clone(), transform);
        let guard = self.0.quota.guard(caller, &key)?;
        let watch = self.watch(&stream, key)?;
        if !transform.keeps_pictures() {
            parent.set_form(Form::Raster);
        }
        Ok(Watching { watch, held: Some(Held { parent, _quota: guard }) })
    }

    fn watch(&self, parent: &Arc<Stream>, key: Key) -> Result<Watch> {
        // Declared before the lock guard, so that it is dropped after it.
        let present;
        let mut live = self.lock();
        // A removed stream can have a successor of the same name.
        let of_parent = live.get(&key).filter(|live| live.parent.as_ptr() == Arc::as_ptr(parent));
        present = of_parent.and_then(|live| live.variant.upgrade());
        if let Some(Ok(watch)) = present.as_ref().map(|stream| stream.watch()) {
            return Ok(watch);
        }
        live.retain(|_, live| live.variant.strong_count() > 0);
        let permit = self.0.quota.variant()?;
        let producer = Variant::new(parent.clone(), key.1, self.0.conversions.clone(), permit);
        let variant = self.0.registry.derive(&key.0, Arc::new(producer));
        let watch = variant.watch().map_err(ended)?;
        live.insert(key, Live { parent: Arc::downgrade(parent), variant: Arc::downgrade(&variant) });
        Ok(watch)
    }

    /// One transformed picture: from the cache, or converted now. Equal requests at the same time share one
    /// conversion.
    pub async fn still(
        &self,
        stream: &StreamName,
        frame: &SharedFrame,
        transform: &Transform,
        caller: &str,
    ) -> Result<Arc<Applied>> {
        self.0.conversions.presets().check(transform)?;
        let key = (stream.clone(), transform.still());
        if let Some(kept) = self.0.conversions.kept(&key, frame) {
            return kept;
        }
        let _permit = self.0.quota.snapshot()?;
        let _guard = self.0.quota.guard(caller, &key)?;
        self.0.conversions.make(key, frame).await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Live>> {
        self.0.live.lock()
    }
}

fn ended(ended: Ended) -> crate::error::Error {
    crate::error::Error::new(crate::error::Code::Unavailable, ended.0)
}
