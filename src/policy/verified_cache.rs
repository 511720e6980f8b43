//! What was found right before, read without a lock.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

/// Places for one digest: two callers whose digests collide do not push each other out.
const WAYS: usize = 4;

/// With [`WAYS`] places each, 16384 entries; the table itself takes 128 KiB.
const SETS: usize = 4096;

/// A table of fixed size from keyed digests to what is known of them. Reading takes no lock and writing
/// replaces the oldest entry of the set, so memory is bounded by construction.
pub(super) struct VerifiedCache<T> {
    slots: Box<[ArcSwapOption<Entry<T>>]>,
}

struct Entry<T> {
    digest: [u8; 32],
    at: Instant,
    value: T,
}

impl<T: Clone> VerifiedCache<T> {
    pub(super) fn new() -> Self {
        VerifiedCache { slots: (0..WAYS * SETS).map(|_| ArcSwapOption::empty()).collect() }
    }

    /// What is known, if it was noted no longer ago than that.
    pub(super) fn get(&self, digest: &[u8; 32], max_age: Duration) -> Option<T> {
        self.set(digest).iter().find_map(|slot| {
            let entry = slot.load();
            let entry = entry.as_ref().filter(|entry| entry.digest == *digest)?;
            (entry.at.elapsed() < max_age).then(|| entry.value.clone())
        })
    }

    pub(super) fn put(&self, digest: [u8; 32], value: T) {
        let set = self.set(&digest);
        let age = |slot: &&ArcSwapOption<Entry<T>>| match &*slot.load() {
            None => Duration::MAX,
            Some(entry) if entry.digest == digest => Duration::MAX,
            Some(entry) => entry.at.elapsed(),
        };
        if let Some(slot) = set.iter().max_by_key(age) {
            slot.store(Some(Arc::new(Entry { digest, at: Instant::now(), value })));
        }
    }

    fn set(&self, digest: &[u8; 32]) -> &[ArcSwapOption<Entry<T>>] {
        // Any bits of a keyed digest are as good as any others.
        let set = usize::from(u16::from_le_bytes([digest[0], digest[1]])) % SETS;
        &self.slots[set * WAYS..(set + 1) * WAYS]
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
    async fn entries_age_and_the_oldest_of_a_set_makes_room() {
        let verified_cache = VerifiedCache::new();
        let always = Duration::from_secs(3600);
        for n in 0..WAYS as u32 {
            verified_cache.put(digest(n), n);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(verified_cache.get(&digest(0), always), Some(0));
        assert_eq!(verified_cache.get(&digest(0), Duration::from_secs(2)), None, "too old");
        verified_cache.put(digest(1), 11);
        verified_cache.put(digest(99), 99);
        assert_eq!(verified_cache.get(&digest(0), always), None, "the oldest made room");
        assert_eq!(verified_cache.get(&digest(1), always), Some(11));
        assert_eq!(verified_cache.get(&digest(99), always), Some(99));
        assert_eq!(verified_cache.get(&digest(7), always), None);
    }
}
