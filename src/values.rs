//! [`Values`]: short texts that are set while the program runs, for text on pictures: a score, a temperature, the last number of a
//! graph.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::error::{Code, Error, Result};

/// Most values. A value is set by callers who may publish, for texts that an administrator has written.
const MAX_VALUES: usize = 1000;

/// Longest key and value, in bytes. A longer text is unreadable on a picture.
const MAX_KEY: usize = 240;
const MAX_VALUE: usize = 200;

/// Gives the value of a key that was not set.
type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Values by key. Cheap to clone. They are not stored on the disk.
#[derive(Clone)]
pub struct Values(Arc<Inner>);

struct Inner {
    values: Mutex<BTreeMap<String, String>>,
    changes: watch::Sender<u64>,
    lookup: Box<Lookup>,
}

impl Default for Values {
    fn default() -> Self {
        Values::with_lookup(|_| None)
    }
}

impl Values {
    /// Values of which those that were not set come from this function.
    pub fn with_lookup(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let inner = Inner { values: Mutex::default(), changes: watch::Sender::new(0), lookup: Box::new(lookup) };
        Values(Arc::new(inner))
    }

    /// Sets a value. Control characters become spaces.
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Error::parameter("key", format!("must have 1 to {MAX_KEY} bytes")));
        }
        if value.len() > MAX_VALUE {
            return Err(Error::new(Code::InvalidBody, format!("a value has at most {MAX_VALUE} bytes")));
        }
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        {
            let mut values = self.0.values.lock();
            if values.len() >= MAX_VALUES && !values.contains_key(key) {
                let message = format!("there are {MAX_VALUES} values already; delete one");
                return Err(Error::new(Code::Unavailable, message));
            }
            if values.get(key).is_some_and(|present| *present == value) {
                return Ok(());
            }
            values.insert(key.to_owned(), value);
        }
        self.0.changes.send_modify(|n| *n += 1);
        Ok(())
    }

    /// Removes a value. False if there is none.
    pub fn remove(&self, key: &str) -> bool {
        let removed = self.0.values.lock().remove(key).is_some();
        if removed {
            self.0.changes.send_modify(|n| *n += 1);
        }
        removed
    }

    /// The value of a key. One that was set comes before one of the lookup.
    pub fn get(&self, key: &str) -> Option<String> {
        let set = self.0.values.lock().get(key).cloned();
        set.or_else(|| (self.0.lookup)(key))
    }

    /// All values that were set, by key.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.values.lock().clone()
    }

    /// Tells of each change of a value that is set.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_set_comes_before_one_that_is_looked_up() {
        let values = Values::with_lookup(|key| (key == "bed").then(|| "60".to_owned()));
        assert_eq!((values.get("bed").as_deref(), values.get("other")), (Some("60"), None));
        values.set("bed", "warm").expect("set");
        assert_eq!(values.get("bed").as_deref(), Some("warm"));
        assert!(values.remove("bed"));
        assert_eq!(values.get("bed").as_deref(), Some("60"));
    }

    #[test]
    fn values_are_set_and_removed_within_bounds() {
        let values = Values::default();
        let mut changes = values.changes();
        values.set("hall/score", "3:2\n").expect("set");
        assert_eq!(values.get("hall/score").as_deref(), Some("3:2 "));
        assert!(changes.has_changed().expect("open"));
        changes.mark_unchanged();
        values.set("hall/score", "3:2 ").expect("set");
        assert!(!changes.has_changed().expect("open"), "the same value is no change");
        assert!(values.remove("hall/score") && !values.remove("hall/score"));
        assert!(changes.has_changed().expect("open"));
        assert!(values.set("", "x").is_err() && values.set(&"k".repeat(241), "x").is_err());
        assert_eq!(values.set("k", &"x".repeat(201)).expect_err("long").code(), Code::InvalidBody);
        for n in 0..MAX_VALUES {
            values.set(&n.to_string(), "x").expect("room");
        }
        assert_eq!(values.set("one more", "x").expect_err("full").code(), Code::Unavailable);
        values.set("0", "y").expect("a present one can change");
        assert_eq!(values.all().len(), MAX_VALUES);
    }
}
