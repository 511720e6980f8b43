//! Who has how many variants, and whether there may be another one.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::Key;
use crate::error::{Code, Error, Result};

/// The book; cheap to clone.
#[derive(Clone)]
pub(super) struct Quota(Arc<Inner>);

struct Inner {
    max: usize,
    max_per_caller: usize,
    /// Variants that there are, those included that are about to end.
    permits: Arc<AtomicUsize>,
    /// Snapshots being made, or waiting for it.
    turns: Arc<AtomicUsize>,
    /// What each caller watches or waits for, and how often.
    callers: Mutex<HashMap<String, HashMap<Key, usize>>>,
    refused: AtomicU64,
}

/// One of a bounded number, given back on drop.
#[derive(Debug)]
pub(super) struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A caller's share, given back on drop. The same variant counts once, however often it is watched.
pub(super) struct QuotaGuard {
    quota: Quota,
    caller: String,
    key: Key,
}

impl Quota {
    pub(super) fn new(max: usize, max_per_caller: usize) -> Self {
        Quota(Arc::new(Inner {
            max,
            max_per_caller,
            permits: Arc::default(),
            turns: Arc::default(),
            callers: Mutex::default(),
            refused: AtomicU64::new(0),
        }))
    }

    pub(super) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Room for another variant.
    pub(super) fn permit(&self) -> Result<Permit> {
        self.take(&self.0.permits, "transformed streams")
    }

    /// Room for another snapshot that has to be made.
    pub(super) fn turn(&self) -> Result<Permit> {
        self.take(&self.0.turns, "snapshots being transformed")
    }

    fn take(&self, taken: &Arc<AtomicUsize>, of: &str) -> Result<Permit> {
        let max = self.0.max;
        let one_more = |n| (n < max).then_some(n + 1);
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Permit(taken.clone())),
            Err(_) => Err(self.refuse(format!("there are {max} {of} already (variants.max)"))),
        }
    }

    /// The caller's share.
    pub(super) fn guard(&self, caller: &str, key: &Key) -> Result<QuotaGuard> {
        let mut callers = self.0.callers.lock();
        let theirs = callers.entry(caller.to_owned()).or_default();
        let max = self.0.max_per_caller;
        if theirs.len() >= max && !theirs.contains_key(key) {
            if theirs.is_empty() {
                callers.remove(caller);
            }
            return Err(
                self.refuse(format!("{max} transformed streams for one caller are too many (variants.max_per_caller)"))
            );
        }
        *theirs.entry(key.clone()).or_default() += 1;
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
        let Some(theirs) = callers.get_mut(&self.caller) else { return };
        if let Some(count) = theirs.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                theirs.remove(&self.key);
            }
        }
        if theirs.is_empty() {
            callers.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{picture::transform::Transform, stream::StreamName};

    #[test]
    fn the_same_counts_once_and_everything_is_given_back() {
        let quota = Quota::new(2, 2);
        let key = |query: &str| {
            (StreamName::parse("cam").expect("a name"), Transform::from_query(query).expect("a transform"))
        };
        let guard = |caller: &str, query: &str| quota.guard(caller, &key(query));
        let (first, again) = (guard("a", "w=10").expect("room"), guard("a", "w=10").expect("the same"));
        let second = guard("a", "w=20").expect("room");
        assert_eq!(guard("a", "w=30").err().map(|e| e.code()), Some(Code::TooManyTranscodes));
        let of_other = guard("b", "w=30").expect("another caller");
        drop(first);
        assert!(guard("a", "w=30").is_err(), "one of both still watches");
        drop(again);
        drop(guard("a", "w=30").expect("room again"));
        drop((second, of_other));
        assert!(quota.0.callers.lock().is_empty());

        let permits = (quota.permit().expect("room"), quota.permit().expect("room"));
        assert!(quota.permit().is_err() && quota.turn().is_ok());
        drop(permits);
        assert!(quota.permit().is_ok());
        assert_eq!(quota.refused(), 3);
        assert!(Quota::new(1, 0).guard("a", &key("w=10")).is_err());
    }
}
