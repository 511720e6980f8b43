//! Who has how many variants, and whether there may be another one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::Key;
use crate::error::{Code, Error, Result};

/// The book; cheap to clone.
#[derive(Clone)]
pub(super) struct Book(Arc<Inner>);

struct Inner {
    max: usize,
    max_per_caller: usize,
    /// Variants that there are, those included that are about to end.
    places: Arc<AtomicUsize>,
    /// Snapshots being made, or waiting for it.
    turns: Arc<AtomicUsize>,
    /// What each caller watches or waits for, and how often.
    callers: Mutex<HashMap<String, HashMap<Key, usize>>>,
    refused: AtomicU64,
}

/// One of a bounded number, given back on drop.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A caller's share, given back on drop. The same variant counts once, however often it is watched.
pub(super) struct Lease {
    book: Book,
    caller: String,
    key: Key,
}

impl Book {
    pub(super) fn new(max: usize, max_per_caller: usize) -> Self {
        Book(Arc::new(Inner {
            max,
            max_per_caller,
            places: Arc::default(),
            turns: Arc::default(),
            callers: Mutex::default(),
            refused: AtomicU64::new(0),
        }))
    }

    pub(super) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Room for another variant.
    pub(super) fn place(&self) -> Result<Place> {
        self.take(&self.0.places, "transformed streams")
    }

    /// Room for another snapshot that has to be made.
    pub(super) fn turn(&self) -> Result<Place> {
        self.take(&self.0.turns, "snapshots being transformed")
    }

    fn take(&self, taken: &Arc<AtomicUsize>, of: &str) -> Result<Place> {
        let max = self.0.max;
        let one_more = |n| (n < max).then_some(n + 1);
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Place(taken.clone())),
            Err(_) => Err(self.refuse(format!("there are {max} {of} already (variants.max)"))),
        }
    }

    /// The caller's share.
    pub(super) fn lease(&self, caller: &str, key: &Key) -> Result<Lease> {
        let mut callers = self.0.callers.lock().expect("nothing panics while it is held");
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
        Ok(Lease { book: self.clone(), caller: caller.to_owned(), key: key.clone() })
    }

    fn refuse(&self, why: String) -> Error {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        Error::new(Code::TooManyTranscodes, why)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut callers = self.book.0.callers.lock().expect("nothing panics while it is held");
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
        let book = Book::new(2, 2);
        let key = |query: &str| {
            (StreamName::parse("cam").expect("a name"), Transform::from_query(query).expect("a transform"))
        };
        let lease = |caller: &str, query: &str| book.lease(caller, &key(query));
        let (first, again) = (lease("a", "w=10").expect("room"), lease("a", "w=10").expect("the same"));
        let second = lease("a", "w=20").expect("room");
        assert_eq!(lease("a", "w=30").err().map(|e| e.code()), Some(Code::TooManyTranscodes));
        let of_other = lease("b", "w=30").expect("another caller");
        drop(first);
        assert!(lease("a", "w=30").is_err(), "one of both still watches");
        drop(again);
        drop(lease("a", "w=30").expect("room again"));
        drop((second, of_other));
        assert!(book.0.callers.lock().expect("whole").is_empty());

        let places = (book.place().expect("room"), book.place().expect("room"));
        assert!(book.place().is_err() && book.turn().is_ok());
        drop(places);
        assert!(book.place().is_ok());
        assert_eq!(book.refused(), 3);
        assert!(Book::new(1, 0).lease("a", &key("w=10")).is_err());
    }
}
