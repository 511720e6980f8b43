//! Following the bucket: the records that are there, and each change, into the database.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_nats::jetstream::kv;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Duration, Instant, interval, sleep};

use super::{
    connection::Link,
    join::Role,
    mirror::{Mirror, Progress, Touched, key_of},
};
use crate::{
    error::{Code, Error, Result},
    store::{Store, shared::Change},
};

/// Records that are written to the database in one transaction.
const BATCH: usize = 512;

/// How often the newest revision of the bucket is compared with what has arrived: a watch that is silent for another reason
/// than that nothing changes is begun anew.
const LOOK: Duration = Duration::from_secs(5);

/// How often markers of deleted records are removed.
const CLEAN: Duration = Duration::from_secs(600);

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

impl Mirror {
    /// Follows the bucket, until the program ends.
    pub async fn run(&self) {
        loop {
            let mut link = self.0.connection.link();
            let Ok(number) = link.wait_for(Link::is_up).await.map(|link| number_of(&link)) else { return };
            let followed = tokio::select! {
                followed = self.follow() => followed,
                _ = link.wait_for(|link| number_of(link) != number) => Ok(()),
            };
            let reason = followed.err().map(|e| e.chain());
            if let Some(reason) = &reason
                && self.0.progress.borrow().reason.as_ref() != Some(reason)
            {
                tracing::warn!("the state of the cluster is not followed: {reason}");
            }
            let is_failure = reason.is_some();
            self.stop_following(reason);
            if is_failure {
                sleep(PAUSE).await;
            }
        }
    }

    fn stop_following(&self, reason: Option<String>) {
        self.0.progress.send_modify(|progress| {
            let since = if progress.is_current { Instant::now() } else { progress.since };
            *progress = Progress { is_current: false, since, reason, ..progress.clone() };
        });
    }

    /// Takes all records once. Afterwards the database is the state of the cluster.
    pub async fn synchronize(&self) -> Result<()> {
        let bucket = self.bucket().await?;
        self.read_all(&bucket).await.map(drop)
    }

    /// Reads all records. Returns the watch that goes on with changes, and the rows that were not as they are there.
    async fn read_all(&self, bucket: &kv::Store) -> Result<(kv::Watch, Vec<Touched>)> {
        let Some((id, is_known)) = self.identify(bucket).await? else {
            return Err(Error::new(Code::ClusterUnavailable, "the state of the cluster is not complete yet"));
        };
        let failed = |e| Error::new(Code::ClusterUnavailable, "the state of the cluster cannot be read").caused_by(e);
        // The newest record of each key, and then what changes (`watch_all` begins with changes alone).
        let mut watch = bucket.watch_with_history(">").await.map_err(failed)?;
        let (mut entries, mut newest) = (vec![], 0);
        // There is one record at least, so the list has an end.
        loop {
            let next = tokio::time::timeout(super::connection::REQUEST_TIMEOUT, watch.next()).await;
            let broken = || Error::new(Code::ClusterUnavailable, "the list of the cluster's records broke off");
            let entry = next.ok().flatten().ok_or_else(broken)?;
            let entry = entry.map_err(|e| broken().caused_by(e))?;
            newest = newest.max(entry.revision);
            let is_last = entry.delta == 0;
            entries.push(parts(entry));
            if is_last {
                break;
            }
        }
        let rows = self.replace(entries, newest, is_known).await?;
        if !is_known {
            self.belongs(id).await?;
        }
        self.0.progress.send_modify(|progress| {
            *progress = Progress { is_current: true, since: Instant::now(), revision: newest, reason: None };
        });
        Ok((watch, rows))
    }

    /// Makes the database equal to these records, of which `newest` is the newest revision. Returns the rows that were not so.
    async fn replace(
        &self,
        entries: Vec<(String, u64, Option<Bytes>)>,
        newest: u64,
        is_known: bool,
    ) -> Result<Vec<Touched>> {
        let listed: HashSet<String> =
            entries.iter().filter(|(_, _, value)| value.is_some()).map(|(key, ..)| key.clone()).collect();
        let before = Arc::new(self.0.store.run(|store| store.shared_rows()).await?);
        if !is_known {
            // Revisions of another bucket mean nothing here.
            self.0.known.lock().clear();
        }
        let mut changed = vec![];
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            changed.extend(self.take(entries.by_ref().take(BATCH).collect()).await?);
        }
        let (mirror, rows) = (self.clone(), before.clone());
        changed.extend(self.0.store.run(move |store| mirror.delete_unlisted(store, &rows, &listed, newest)).await?);
        if !is_known {
            let now = self.0.store.run(|store| store.shared_rows()).await?;
            let now: HashMap<_, _> = now.iter().map(|row| ((row.table, &row.id), &row.row)).collect();
            let is_other = |row: &Change| now.get(&(row.table, &row.id)) != Some(&&row.row);
            self.keep(&before.iter().filter(|row| is_other(row)).cloned().collect::<Vec<_>>())?;
        }
        Ok(changed)
    }

    /// Deletes rows that the cluster does not have. One that this node has written after the list was made stays.
    fn delete_unlisted(
        &self,
        store: &Store,
        rows: &[Change],
        listed: &HashSet<String>,
        newest: u64,
    ) -> Result<Vec<Touched>> {
        let _turn = self.0.taking.lock();
        let mut deleted = vec![];
        for Change { table, id, .. } in rows {
            let key = key_of(table, id);
            if !listed.contains(&key) && self.0.known.lock().revision(&key) <= newest {
                deleted.push(Change { table, id: id.clone(), row: None });
            }
        }
        store.apply(&deleted)?;
        let mut known = self.0.known.lock();
        deleted.iter().for_each(|Change { table, id, .. }| known.forget(&key_of(table, id)));
        Ok(deleted.into_iter().map(|Change { table, id, .. }| Touched { table, id }).collect())
    }

    /// Follows the bucket until something fails.
    async fn follow(&self) -> Result<()> {
        let bucket = self.bucket().await?;
        if self.identify(&bucket).await?.is_none() && self.enter().await? == Role::First {
            // The servers have lost the state, and this node has it.
            self.fill().await?;
        }
        let (watch, rows) = self.read_all(&bucket).await?;
        self.touch(rows);
        let mut watch = watch.ready_chunks(BATCH);
        let mut look = interval(LOOK);
        look.reset();
        let mut promised = 0;
        let mut clean = interval(CLEAN);
        clean.reset();
        loop {
            tokio::select! {
                entries = watch.next() => {
                    let ended = || Error::new(Code::ClusterUnavailable, "the watch of the cluster's state has ended");
                    let entries = entries.ok_or_else(ended)?;
                    let entries: Result<Vec<_>, _> = entries.into_iter().collect();
                    let entries = entries.map_err(|e| ended().caused_by(e))?;
                    let newest = entries.iter().map(|entry| entry.revision).max().unwrap_or_default();
                    let rows = self.take(entries.into_iter().map(parts).collect()).await?;
                    self.touch(rows);
                    self.0.progress.send_modify(|progress| progress.revision = progress.revision.max(newest));
                }
                _ = look.tick() => promised = self.look(&bucket, promised).await?,
                _ = clean.tick() => self.remove_markers(&bucket).await?,
            }
        }
    }

    /// Compares what has arrived with the newest revision at the look before, and returns the one of now.
    async fn look(&self, bucket: &kv::Store, promised: u64) -> Result<u64> {
        let arrived = self.0.progress.borrow().revision;
        let broken = |why: &str| Error::new(Code::ClusterUnavailable, why);
        if arrived < promised {
            return Err(broken("the watch of the cluster's state is silent"));
        }
        let info = bucket.stream.get_info().await;
        let newest = info.map_err(|e| broken("JetStream does not answer").caused_by(e))?.state.last_sequence;
        if newest < arrived {
            return Err(broken("the servers have lost a part of the cluster's state"));
        }
        Ok(newest)
    }
}

fn number_of(link: &Link) -> Option<u64> {
    match link {
        Link::Up { number, .. } => Some(*number),
        Link::Away { .. } => None,
    }
}

fn parts(entry: kv::Entry) -> (String, u64, Option<Bytes>) {
    let value = (entry.operation == kv::Operation::Put).then_some(entry.value);
    (entry.key, entry.revision, value)
}
