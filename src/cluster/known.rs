//! What this node knows of the records of the bucket, and whether a change was computed from that.

use std::collections::HashMap;

use tokio::time::Instant;

/// What this node knows of a record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known {
    /// It is in the database as it is in the bucket.
    Mirrored,
    /// It is deleted, and this node has learnt of it at this time. The bucket has a marker.
    Deleted(Instant),
    /// It is not understood, for this reason, and is left as it is.
    Foreign(String),
}

/// A moment in the life of [`Records`]. Later moments are greater.
pub(super) type Mark = u64;

/// The newest known revision of each record, and when it became known.
///
/// Revisions alone do not tell whether a change was computed from the record as it is: between the reading of a row and the
/// writing of its change, a newer revision can arrive, and a write that expects that one would undo it. So a change takes the
/// [`mark`](Self::mark) before it reads the row, and a record that became known after the mark is refused.
#[derive(Debug, Default)]
pub(super) struct Records {
    entries: HashMap<String, Entry>,
    /// Grows with each revision that becomes known.
    mark: Mark,
    /// When records were forgotten last: a key that is not here can have been here before.
    forgotten: Mark,
}

#[derive(Debug)]
struct Entry {
    revision: u64,
    known: Known,
    since: Mark,
}

impl Records {
    /// The present moment.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// The newest known revision of a record; 0 if there is none.
    pub(super) fn revision(&self, key: &str) -> u64 {
        self.entries.get(key).map_or(0, |entry| entry.revision)
    }

    /// What is known of a record.
    pub(super) fn get(&self, key: &str) -> Option<&Known> {
        self.entries.get(key).map(|entry| &entry.known)
    }

    /// The revision that a change must expect, and what is known of the record. None: the record has changed after the mark,
    /// and so the change was computed from an older one.
    pub(super) fn expected(&self, key: &str, mark: Mark) -> Option<(u64, Known)> {
        match self.entries.get(key) {
            Some(entry) => (entry.since <= mark).then(|| (entry.revision, entry.known.clone())),
            None => (self.forgotten <= mark).then_some((0, Known::Mirrored)),
        }
    }

    /// Notes a revision, unless a newer one is known. The database must have it already.
    pub(super) fn note(&mut self, key: String, revision: u64, known: Known) {
        if self.revision(&key) < revision {
            self.mark += 1;
            self.entries.insert(key, Entry { revision, known, since: self.mark });
        }
    }

    /// Forgets a record that the bucket does not have.
    pub(super) fn forget(&mut self, key: &str) {
        if self.entries.remove(key).is_some() {
            self.mark += 1;
            self.forgotten = self.mark;
        }
    }

    /// Forgets the marker of a deleted record that was removed from the bucket. The database does not have the record either, so
    /// a change that was computed before is right.
    pub(super) fn forget_marker(&mut self, key: &str, revision: u64) {
        if self.entries.get(key).is_some_and(|entry| entry.revision == revision) {
            self.entries.remove(key);
        }
    }

    /// Forgets all records: revisions of another bucket mean nothing.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.mark += 1;
        self.forgotten = self.mark;
    }

    /// All records.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64, &Known)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry.revision, &entry.known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_was_computed_from_an_older_record_is_refused() {
        let mut records = Records::default();
        records.note("shares.a".into(), 5, Known::Mirrored);
        let mark = records.mark();
        assert_eq!(records.expected("shares.a", mark), Some((5, Known::Mirrored)));
        // Another node's change arrives after the row was read.
        records.note("shares.a".into(), 9, Known::Mirrored);
        assert_eq!(records.expected("shares.a", mark), None);
        assert_eq!(records.expected("shares.a", records.mark()), Some((9, Known::Mirrored)));
        // Another record does not matter.
        let mark = records.mark();
        records.note("shares.b".into(), 10, Known::Mirrored);
        assert_eq!(records.expected("shares.a", mark), Some((9, Known::Mirrored)));
    }

    #[test]
    fn a_revision_that_arrives_again_or_late_changes_nothing() {
        let mut records = Records::default();
        records.note("streams.a".into(), 9, Known::Mirrored);
        let mark = records.mark();
        records.note("streams.a".into(), 9, Known::Mirrored);
        records.note("streams.a".into(), 7, Known::Foreign("damaged".into()));
        assert_eq!(records.expected("streams.a", mark), Some((9, Known::Mirrored)));
    }

    #[test]
    fn a_record_that_was_forgotten_after_the_mark_is_not_taken_for_one_that_never_was() {
        let mut records = Records::default();
        assert_eq!(records.expected("users.a", records.mark()), Some((0, Known::Mirrored)));
        records.note("users.a".into(), 3, Known::Mirrored);
        let mark = records.mark();
        records.forget("users.a");
        assert_eq!(records.expected("users.a", mark), None);
        assert_eq!(records.expected("users.a", records.mark()), Some((0, Known::Mirrored)));
        records.note("users.a".into(), 4, Known::Deleted(Instant::now()));
        let mark = records.mark();
        records.forget_marker("users.a", 3);
        assert_eq!(records.revision("users.a"), 4);
        records.forget_marker("users.a", 4);
        assert_eq!(records.expected("users.a", mark), Some((0, Known::Mirrored)));
        let mark = records.mark();
        records.clear();
        assert_eq!(records.expected("users.b", mark), None);
    }
}
