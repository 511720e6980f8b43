//! [`Quota`]: limits on variants, in all and for each caller.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Key;
use crate::error::{Code, Error, Result};

/// The limits `variants.max` and `variants.max_per_caller`, and their use. Cheap to clone.
#[derive(Clone)]
pub(super) struct Quota(Arc<Inner>);

struct Inner {
    max: usize,
    max_per_caller: usize,
    /// One for each variant, until its stream is dropped.
    variants: Arc<Semaphore>,
    /// One for each snapshot that is converted or waits for that.
    snapshots: Arc<Semaphore>,
    /// For each caller: the variants that it watches or waits for, and how many times each.
    callers: Mutex<HashMap<String, HashMap<Key, usize>>>,
    refused: AtomicU64,
}

/// Counts one use of a variant by a caller until it is dropped. A variant that a caller watches several times counts once
/// against the limit.
pub(super) struct QuotaGuard {
    quota: Quota,
    caller: String,
    key: Key,
}

impl Quota {
    pub(super) fn new(max: usize, max_per_caller: usize) -> Self {
        let permits = || Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Quota(Arc::new(Inner {
            max,
            max_per_caller,
            variants: permits(),
            snapshots: permits(),
            callers: Mutex::default(),
            refused: AtomicU64::new(0),
        }))
    }

    /// Requests that were refused.
    pub(super) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// A permit for one more variant.
    pub(super) fn variant(&self) -> Result<OwnedSemaphorePermit> {
        self.take(&self.0.variants, "transformed streams")
    }

    /// A permit for one more snapshot that has to be converted.
    pub(super) fn snapshot(&self) -> Result<OwnedSemaphorePermit> {
        self.take(&self.0.snapshots, "snapshots being transformed")
    }

    fn take(&self, permits: &Arc<Semaphore>, of: &str) -> Result<OwnedSemaphorePermit> {
        let full = |_| self.refuse(format!("there are {} {of} already (variants.max)", self.0.max));
        permits.clone().try_acquire_owned().map_err(full)
    }

    /// Counts one use of a variant by the caller.
    pub(super) fn guard(&self, caller: &str, key: &Key) -> Result<QuotaGuard> {
        let mut callers = self.0.callers.lock();
        let used = callers.entry(caller.to_owned()).or_default();
        let max = self.0.max_per_caller;
        if used.len() >= max && !used.contains_key(key) {
            if used.is_empty() {
                callers.remove(caller);
            }
            return Err(
                self.refuse(format!("{max} transformed streams is the limit for one caller (variants.max_per_caller)"))
            );
        }
        *used.entry(key.clone()).or_default() += 1;
        Ok(QuotaGuard { quota: self.clone(), caller: caller.to_owned(), key: key.clone() })
    }

    fn refuse(&self, why: String) -> Error {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        Error::new(Code::TooManyTranscodes, why)
    }
}

impl Drop for QuotaGuard {
    fn drop(&mut self) {
        let mut callers = self.quota.0.callers.lock();
        let Some(used) = callers.get_mut(&self.caller) else { return };
        if let Some(count) = used.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.key);
            }
        }
        if used.is_empty() {
            callers.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{picture::transform::Transform, stream::StreamName};

    #[test]
    fn a_variant_counts_once_for_a_caller_and_every_permit_is_returned() {
        let quota = Quota::new(2, 2);
        let key = |query: &str| {
            (StreamName::parse("cam").expect("a name"), Transform::from_query(query).expect("a transform"))
        };
        let guard = |caller: &str, query: &str| quota.guard(caller, &key(query));
        let (first, again) = (guard("a", "w=10").expect("room"), guard("a", "w=10").expect("the same"));
        let second = guard("a", "w=20").expect("room");
        assert_eq!(guard("a", "w=30").err().map(|e| e.code()), Some(Code::TooManyTranscodes));
        let other_caller = guard("b", "w=30").expect("another caller");
        drop(first);
        assert!(guard("a", "w=30").is_err(), "one of the two guards is still held");
        drop(again);
        drop(guard("a", "w=30").expect("room again"));
        drop((second, other_caller));
        assert!(quota.0.callers.lock().is_empty());

        let permits = (quota.variant().expect("room"), quota.variant().expect("room"));
        assert!(quota.variant().is_err() && quota.snapshot().is_ok());
        drop(permits);
        assert!(quota.variant().is_ok());
        assert_eq!(quota.refused(), 3);
        assert!(Quota::new(1, 0).guard("a", &key("w=10")).is_err());
    }
}
