//! [`VerifiedCache`]: results of earlier verifications, read without a lock.

use std::{
    array,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

/// Entries per set: digests that fall into the same set do not evict each other at once.
const WAYS: usize = 4;

/// Sets: 16384 entries with [`WAYS`] in each; the table itself takes 160 KiB.
const SETS: usize = 4096;

/// A set-associative table of fixed size, by keyed digest. Reading takes no lock; writing replaces the oldest entry of
/// the set, so memory is bounded by construction.
///
/// A set is made with its first entry: dropping an [`ArcSwapOption`] looks for readers in all threads, also if it is empty. Most
/// tests have a server of their own, and its end took more CPU time than the test.
pub(super) struct VerifiedCache<T> {
    sets: Box<[OnceLock<Set<T>>]>,
}

type Set<T> = [ArcSwapOption<Entry<T>>; WAYS];

struct Entry<T> {
    digest: [u8; 32],
    at: Instant,
    value: T,
}

impl<T: Clone> VerifiedCache<T> {
    pub(super) fn new() -> Self {
        VerifiedCache { sets: (0..SETS).map(|_| OnceLock::new()).collect() }
    }

    /// The value, if it was stored no longer ago than `max_age`.
    pub(super) fn get(&self, digest: &[u8; 32], max_age: Duration) -> Option<T> {
        self.set(digest).get()?.iter().find_map(|slot| {
            let entry = slot.load();
            let entry = entry.as_ref().filter(|entry| entry.digest == *digest)?;
            (entry.at.elapsed() < max_age).then(|| entry.value.clone())
        })
    }

    pub(super) fn put(&self, digest: [u8; 32], value: T) {
        let set = self.set(&digest).get_or_init(|| array::from_fn(|_| ArcSwapOption::empty()));
        let age = |slot: &&ArcSwapOption<Entry<T>>| match &*slot.load() {
            None => Duration::MAX,
            Some(entry) if entry.digest == digest => Duration::MAX,
            Some(entry) => entry.at.elapsed(),
        };
        if let Some(slot) = set.iter().max_by_key(age) {
            slot.store(Some(Arc::new(Entry { digest, at: Instant::now(), value })));
        }
    }

    fn set(&self, digest: &[u8; 32]) -> &OnceLock<Set<T>> {
        // The bits of a keyed digest are uniform, so any of them can choose the set.
        &self.sets[usize::from(u16::from_le_bytes([digest[0], digest[1]])) % SETS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u32) -> [u8; 32] {
        let mut digest = [0; 32];
        digest[28..].copy_from_slice(&n.to_le_bytes());
        digest
    }

    #[tokio::test(start_paused = true)]
    async fn entries_expire_and_a_full_set_evicts_its_oldest() {
        let cache = VerifiedCache::new();
        let always = Duration::from_secs(3600);
        for n in 0..WAYS as u32 {
            cache.put(digest(n), n);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(cache.get(&digest(0), always), Some(0));
        assert_eq!(cache.get(&digest(0), Duration::from_secs(2)), None, "too old");
        cache.put(digest(1), 11);
        cache.put(digest(99), 99);
        assert_eq!(cache.get(&digest(0), always), None, "the oldest was evicted");
        assert_eq!(cache.get(&digest(1), always), Some(11));
        assert_eq!(cache.get(&digest(99), always), Some(99));
        assert_eq!(cache.get(&digest(7), always), None);
    }
}
