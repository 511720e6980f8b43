//! The state that all nodes share, in the bucket `PREFIX_state`, and its mirror in this node's database.
//!
//! The bucket has the truth, the database answers. Every row of a shared table is a record of the bucket; its key is
//! `TABLE.TOKEN`. A change is written to the bucket if the record still has the revision that this node knows, and then to the
//! database. The changes of other nodes arrive by a watch (`follow`). Which node fills an empty bucket is decided by `join`.

use std::{collections::BTreeSet, sync::Arc};

use async_nats::jetstream::{kv, stream::StorageType};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, watch},
    time::{Duration, Instant, timeout},
};
use utoipa::ToSchema;

use super::{
    connection::{Connection, Disagreement},
    known::{Known, Mark, Records},
    names::{text_of, token},
    record::{self, Envelope, Read},
    seal::Seal,
};
use crate::{
    error::{Code, Error, Result},
    store::{
        Store,
        shared::{Agreeing, Agreement, Change, Columns, Refusal, shared_table},
    },
};

/// The bucket, without the prefix.
pub(super) const BUCKET: &str = "state";

/// Earlier revisions of each record that JetStream keeps, for people who look for a mistake.
const HISTORY: i64 = 8;

/// Largest record. A definition of a stream or path is below it: bodies of the API have at most 1 MiB, and paths some KB.
const MAX_RECORD: i32 = 900 * 1024;

/// How long the markers of deleted records stay.
const MARKERS_STAY: Duration = Duration::from_secs(3600);

/// How long the watch gets to deliver the record that was the reason for a refusal, before it is asked for.
const CATCH_UP: Duration = Duration::from_millis(300);

/// The sealed content of a record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub(super) sealed: String,
}

/// A row that another node has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touched {
    /// The table.
    pub table: &'static str,
    /// What identifies the row.
    pub id: String,
}

/// How far the mirror is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Whether it follows the bucket now.
    pub is_current: bool,
    /// Since when it is so.
    pub since: Instant,
    /// The newest revision that was read.
    pub revision: u64,
    /// Why it does not follow.
    pub reason: Option<String>,
}

/// The shared state as this node has it. Cheap to clone.
#[derive(Clone)]
pub struct Mirror(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) connection: Connection,
    pub(super) store: Store,
    pub(super) seal: Arc<Seal>,
    pub(super) node: String,
    pub(super) data_dir: std::path::PathBuf,
    /// The newest known revision of each record.
    pub(super) known: Mutex<Records>,
    /// Held while records are taken into the database, so that a late one does not replace a newer one there.
    pub(super) taking: Mutex<()>,
    pub(super) progress: watch::Sender<Progress>,
    touched: Mutex<BTreeSet<Touched>>,
    touching: Notify,
    /// Changes that this node has made since its start, and those that were refused because another node was faster.
    pub(super) counts: Mutex<Counts>,
}

/// Numbers for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    /// Records that this node has written.
    pub written: u64,
    /// Records that other nodes have written.
    pub received: u64,
    /// Changes that were refused because another node was faster.
    pub conflicts: u64,
    /// Changes that failed because the cluster could not agree.
    pub failed: u64,
}

/// The key of a row.
pub(super) fn key_of(table: &str, id: &str) -> String {
    format!("{table}.{}", token(id))
}

/// The row of a key; none for other records.
pub(super) fn row_of(key: &str) -> Option<(&'static str, String)> {
    let (table, token) = key.split_once('.')?;
    Some((shared_table(table)?, text_of(token)?))
}

impl Mirror {
    pub(super) fn new(
        connection: Connection,
        store: Store,
        seal: Arc<Seal>,
        node: String,
        data_dir: std::path::PathBuf,
    ) -> Self {
        let progress = Progress { is_current: false, since: Instant::now(), revision: 0, reason: None };
        Mirror(Arc::new(Inner {
            connection,
            store,
            seal,
            node,
            data_dir,
            known: Mutex::default(),
            taking: Mutex::default(),
            progress: watch::Sender::new(progress),
            touched: Mutex::default(),
            touching: Notify::new(),
            counts: Mutex::default(),
        }))
    }

    /// How far the mirror is, now and later.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.0.progress.subscribe()
    }

    /// Since when the mirror does not follow the bucket; none if it does.
    pub fn stale_since(&self) -> Option<Instant> {
        let progress = self.0.progress.borrow();
        let link = self.0.connection.link();
        let link = link.borrow();
        match (progress.is_current, link.is_up()) {
            (true, true) => None,
            (true, false) => Some(link.since()),
            (false, _) => Some(progress.since),
        }
    }

    /// Numbers for metrics.
    pub fn counts(&self) -> Counts {
        *self.0.counts.lock()
    }

    /// How many records there are, and how many of them this node does not understand, with one of the reasons.
    pub fn records(&self) -> (usize, usize, Option<String>) {
        let known = self.0.known.lock();
        let (mut there, mut foreign, mut reason) = (0, 0, None);
        for (_, _, known) in known.iter() {
            there += usize::from(!matches!(known, Known::Deleted(_)));
            if let Known::Foreign(why) = known {
                foreign += 1;
                reason.get_or_insert_with(|| why.clone());
            }
        }
        (there, foreign, reason)
    }

    /// Rows that other nodes have changed since the last call.
    pub fn take_touched(&self) -> Vec<Touched> {
        std::mem::take(&mut *self.0.touched.lock()).into_iter().collect()
    }

    /// Waits for rows that other nodes have changed, and returns them.
    pub async fn touched(&self) -> Vec<Touched> {
        loop {
            let found = self.take_touched();
            if !found.is_empty() {
                return found;
            }
            self.0.touching.notified().await;
        }
    }

    pub(super) async fn bucket(&self) -> Result<kv::Store> {
        let config = kv::Config {
            bucket: BUCKET.into(),
            description: "mtx-sidecar: users, streams, paths".into(),
            history: HISTORY,
            max_value_size: MAX_RECORD,
            storage: StorageType::File,
            ..kv::Config::default()
        };
        self.0.connection.bucket(config).await
    }

    /// The record of a row.
    pub(super) fn seal(&self, key: &str, row: &Columns) -> Result<Bytes> {
        let text = serde_json::to_string(row).map_err(|e| Error::internal("a row cannot be written as JSON", e))?;
        let sealed = Sealed { sealed: self.0.seal.close(key, &text)? };
        Envelope::new(self.0.node.clone(), sealed).to_bytes()
    }

    /// The row of a record. The error says why it is not understood.
    fn unseal(&self, key: &str, value: &[u8]) -> Result<Columns, String> {
        let sealed = match record::read::<Sealed>(value) {
            Read::Known(envelope) => envelope.record,
            Read::Newer(schema) => return Err(format!("a newer version of mtx-sidecar wrote it (form {schema})")),
            Read::Damaged(e) => return Err(format!("it is damaged: {e}")),
        };
        let text = self.0.seal.open(key, &sealed.sealed);
        let text = text.ok_or("it was sealed with another cluster.secret, or for another place")?;
        serde_json::from_str(&text).map_err(|e| format!("it is damaged: {e}"))
    }

    /// Takes records of the bucket into the database, unless it has newer ones. Returns the rows that were changed.
    pub(super) async fn take(&self, entries: Vec<(String, u64, Option<Bytes>)>) -> Result<Vec<Touched>> {
        let mirror = self.clone();
        self.0.store.run(move |store| mirror.take_now(store, entries)).await
    }

    fn take_now(&self, store: &Store, entries: Vec<(String, u64, Option<Bytes>)>) -> Result<Vec<Touched>> {
        let _turn = self.0.taking.lock();
        let mut changes = vec![];
        let mut seen = vec![];
        {
            let known = self.0.known.lock();
            for (key, revision, value) in entries {
                let Some((table, id)) = row_of(&key) else { continue };
                if known.revision(&key) >= revision {
                    continue;
                }
                let row = match value.map(|value| self.unseal(&key, &value)) {
                    Some(Err(reason)) => {
                        if known.get(&key) != Some(&Known::Foreign(reason.clone())) {
                            tracing::warn!(
                                table,
                                id,
                                "a record of the cluster is not used here, and is kept: {reason}"
                            );
                        }
                        seen.push((key, revision, Known::Foreign(reason)));
                        continue;
                    }
                    Some(Ok(row)) => Some(row),
                    None => None,
                };
                let what = if row.is_some() { Known::Mirrored } else { Known::Deleted(Instant::now()) };
                changes.push(Change { table, id, row });
                seen.push((key, revision, what));
            }
        }
        let mut differing = vec![];
        for change in &changes {
            if store.shared_row(change.table, &change.id)? != change.row {
                differing.push(change.clone());
            }
        }
        // The database first: a row that cannot be written is read again with the next synchronization.
        store.apply(&differing)?;
        let mut known = self.0.known.lock();
        for (key, revision, what) in seen {
            known.note(key, revision, what);
        }
        Ok(differing.into_iter().map(|Change { table, id, .. }| Touched { table, id }).collect())
    }

    /// Notes rows that other nodes have changed.
    pub(super) fn touch(&self, rows: Vec<Touched>) {
        if rows.is_empty() {
            return;
        }
        self.0.counts.lock().received += rows.len() as u64;
        self.0.touched.lock().extend(rows);
        self.0.touching.notify_one();
    }

    fn unavailable(&self) -> Option<Error> {
        if !self.0.connection.is_up() {
            return Some(self.0.connection.away());
        }
        let progress = self.0.progress.borrow();
        let reason = progress.reason.clone().unwrap_or_else(|| "it is being read".into());
        let message = format!("this node does not have the newest state of the cluster ({reason})");
        (!progress.is_current).then(|| Error::new(Code::ClusterUnavailable, message))
    }

    async fn change(&self, Change { table, id, row }: Change, mark: Mark) -> Result<(), Refusal> {
        let key = key_of(table, &id);
        let Some((expected, known)) = self.0.known.lock().expected(&key, mark) else {
            self.0.counts.lock().conflicts += 1;
            return Err(Refusal::Changed);
        };
        if let Known::Foreign(reason) = known {
            let message = format!("the record of {id} in {table} is not changed from this node: {reason}");
            return Err(Refusal::Failed(Error::new(Code::ClusterConflict, message)));
        }
        let value = row.as_ref().map(|row| self.seal(&key, row)).transpose().map_err(Refusal::Failed)?;
        let mut answer = self.0.connection.agree(BUCKET, &key, value.clone(), expected).await;
        if matches!(answer, Err(Disagreement::Changed))
            && !self.catch_up(&key, expected).await.map_err(Refusal::Failed)?
        {
            // Only the marker of a deleted record was removed.
            answer = self.0.connection.agree(BUCKET, &key, value.clone(), 0).await;
        }
        match answer {
            Ok(revision) => {
                self.0.counts.lock().written += 1;
                self.take(vec![(key, revision, value)]).await.map_err(Refusal::Failed)?;
                Ok(())
            }
            Err(Disagreement::Changed) => {
                self.0.counts.lock().conflicts += 1;
                Err(Refusal::Changed)
            }
            Err(Disagreement::Failed(e)) => {
                self.0.counts.lock().failed += 1;
                Err(Refusal::Failed(e))
            }
        }
    }

    /// Gets a record that is newer than the known one. Returns false if there is none at all.
    async fn catch_up(&self, key: &str, before: u64) -> Result<bool> {
        let mut progress = self.progress();
        let is_newer = || self.0.known.lock().revision(key) > before;
        if timeout(CATCH_UP, progress.wait_for(|_| is_newer())).await.is_ok() {
            return Ok(true);
        }
        let bucket = self.bucket().await?;
        let failed = |e| Error::new(Code::ClusterUnavailable, "a record of the cluster cannot be read").caused_by(e);
        match bucket.entry(key).await.map_err(failed)? {
            Some(entry) => {
                let value = (entry.operation == kv::Operation::Put).then_some(entry.value);
                let rows = self.take(vec![(entry.key, entry.revision, value)]).await?;
                self.touch(rows);
                Ok(true)
            }
            None => {
                self.0.known.lock().forget(key);
                Ok(false)
            }
        }
    }

    /// Removes the markers of records that were deleted long ago: each sign-in leaves one. A node that was away for longer
    /// compares its database with the whole bucket when it comes back.
    pub(super) async fn remove_markers(&self, bucket: &kv::Store) -> Result<()> {
        let old: Vec<_> = {
            let known = self.0.known.lock();
            let is_old = |what: &Known| matches!(what, Known::Deleted(at) if at.elapsed() >= MARKERS_STAY);
            known
                .iter()
                .filter(|(.., what)| is_old(what))
                .map(|(key, revision, _)| (key.to_owned(), revision))
                .collect()
        };
        for (key, revision) in old {
            let subject = format!("$KV.{}.{key}", bucket.name);
            // Up to the marker: the record can have been made again.
            let purged = bucket.stream.purge().filter(subject).sequence(revision + 1).await;
            purged.map_err(|e| Error::new(Code::ClusterUnavailable, "markers cannot be removed").caused_by(e))?;
            self.0.known.lock().forget_marker(&key, revision);
        }
        Ok(())
    }
}

impl Agreement for Mirror {
    fn mark(&self) -> u64 {
        self.0.known.lock().mark()
    }

    fn agree(&self, changes: Vec<Change>, mark: u64) -> Agreeing<'_> {
        Box::pin(async move {
            if let Some(e) = self.unavailable() {
                return Err(Refusal::Failed(e));
            }
            let all = changes.len();
            for (done, change) in changes.into_iter().enumerate() {
                self.change(change, mark).await.map_err(|refusal| match refusal {
                    // JetStream before 2.12 has no transactions: what is written stays.
                    Refusal::Failed(e) if done > 0 => Refusal::Failed(
                        Error::new(e.code(), format!("{done} of {all} changes were made, and then: {e}")).caused_by(e),
                    ),
                    refusal => refusal,
                })?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_key_and_other_records_have_no_row() {
        for (table, id) in
            [("users", "Ann Büro"), ("streams", "a/b.c"), ("paths", "~^x$"), ("facts", "token_stamp_key")]
        {
            let key = key_of(table, id);
            assert_eq!(row_of(&key), Some((table, id.to_owned())), "{key}");
        }
        for other in ["meta", "unknown.YQ", "users", "users.*", ""] {
            assert_eq!(row_of(other), None, "{other}");
        }
    }
}
