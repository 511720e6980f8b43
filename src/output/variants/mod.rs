//! Streams in another size, quality, orientation or rate: made once for all who want the same.
//!
//! A variant is a stream of its own, in no list, whose producer watches the one it is made of. It ends a moment after its last
//! watcher has left. What was made of a picture is kept until there is a newer one, so that snapshots, MJPEG and WebSocket share
//! it ([`Conversions`]). How much of it there may be, in all and for one caller, is in `quota`.

mod conversions;
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

pub use self::conversions::{Conversions, Counters};
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
    stream::{Ended, Registry, Stream, StreamName, Watch},
    units::Size,
};

/// How much may be transformed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VariantSettings {
    /// Most variants of all streams together.
    pub max: usize,
    /// Most that one user, token, share or address may have at a time.
    pub max_per_caller: usize,
    /// Threads that decode and encode at a time; 0 for all cores but one.
    pub threads: usize,
    /// Quality of pictures that have to be encoded, 1 to 100, unless the request says otherwise.
    pub quality: u8,
    /// Memory for pictures that snapshots were made of.
    pub cache: Size,
}

impl Default for VariantSettings {
    fn default() -> Self {
        VariantSettings { max: 256, max_per_caller: 64, threads: 0, quality: 80, cache: Size::mib(64) }
    }
}

impl VariantSettings {
    /// Says what is wrong with the settings, by key.
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

/// What one variant does at the moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VariantStats {
    /// What is asked for, in its canonical form.
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
    /// Size in bytes of the last one.
    pub last_bytes: usize,
}

/// A stream and what is wanted of it.
type Key = (StreamName, Transform);

/// All variants that somebody watches. Cheap to clone.
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
    /// What is watched.
    pub watch: Watch,
    /// To be held while it is watched.
    pub held: Option<Held>,
}

/// Keeps what a variant is made of running, and counts the variant to its caller.
pub struct Held {
    parent: Watch,
    _lease: QuotaGuard,
}

impl Watching {
    /// The stream itself, of which a variant may be watched.
    pub fn parent(&self) -> &Watch {
        self.held.as_ref().map_or(&self.watch, |held| &held.parent)
    }
}

impl Variants {
    /// None is watched yet.
    pub fn new(settings: VariantSettings, limits: PictureLimits, registry: Registry) -> Self {
        Variants(Arc::new(Inner {
            registry,
            live: Mutex::default(),
            quota: Quota::new(settings.max, settings.max_per_caller),
            conversions: Arc::new(Conversions::new(settings, limits)),
        }))
    }

    /// What was done since the start, and what is kept.
    pub fn conversions(&self) -> &Conversions {
        &self.0.conversions
    }

    /// Requests that were refused because there was too much already.
    pub fn refused(&self) -> u64 {
        self.0.quota.refused()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().values().filter(|live| live.variant.strong_count() > 0).count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, by stream.
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
        all.values_mut().for_each(|of_one| of_one.sort_by(|a, b| a.query.cmp(&b.query)));
        all
    }

    /// Watches a variant, which is made if there is none. `caller` is whose share it counts to.
    pub fn join(&self, parent: Watch, transform: Transform, caller: &str) -> Result<Watching> {
        if transform.is_none() {
            return Ok(Watching { watch: parent, held: None });
        }
        let stream = parent.stream().clone();
        let key = (stream.name().clone(), transform);
        let guard = self.0.quota.guard(caller, &key)?;
        let watch = self.watch(&stream, key)?;
        Ok(Watching { watch, held: Some(Held { parent, _lease: guard }) })
    }

    fn watch(&self, parent: &Arc<Stream>, key: Key) -> Result<Watch> {
        // Declared before the guard, so that it is dropped after it.
        let present;
        let mut live = self.lock();
        // A stream that was removed may have a successor of the same name.
        let of_same = live.get(&key).filter(|live| live.parent.as_ptr() == Arc::as_ptr(parent));
        present = of_same.and_then(|live| live.variant.upgrade());
        if let Some(Ok(watch)) = present.as_ref().map(|stream| stream.watch()) {
            return Ok(watch);
        }
        live.retain(|_, live| live.variant.strong_count() > 0);
        let permit = self.0.quota.permit()?;
        let producer = Variant::new(parent.clone(), key.1, self.0.conversions.clone(), permit);
        let variant = self.0.registry.derive(&key.0, Arc::new(producer));
        let watch = variant.watch().map_err(ended)?;
        live.insert(key, Live { parent: Arc::downgrade(parent), variant: Arc::downgrade(&variant) });
        Ok(watch)
    }

    /// One picture, transformed: kept from before, or made now, once for all who ask for the same at the same time.
    pub async fn still(
        &self,
        stream: &StreamName,
        frame: &SharedFrame,
        transform: &Transform,
        caller: &str,
    ) -> Result<Arc<Applied>> {
        let key = (stream.clone(), transform.still());
        if let Some(kept) = self.0.conversions.kept(&key, frame) {
            return kept;
        }
        let _turn = self.0.quota.turn()?;
        let _lease = self.0.quota.guard(caller, &key)?;
        self.0.conversions.make(key, frame).await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Live>> {
        self.0.live.lock()
    }
}

fn ended(ended: Ended) -> crate::error::Error {
    crate::error::Error::new(crate::error::Code::Unavailable, ended.0)
}
