//! Entering a cluster: the first node fills the bucket with its rows, the next ones take what is there.
//!
//! The record `meta` decides it: the node that creates it fills the bucket, and marks it as ready. It has an id of the
//! cluster's state, which each node keeps in its database. A node that knows the id of before follows the bucket: rows that
//! are missing there were deleted. For a node that comes with rows of its own the bucket counts, too, and its other rows are
//! kept in a file.

use std::io::Write as _;

use async_nats::jetstream::kv;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use super::{
    connection::Disagreement,
    mirror::{BUCKET, Mirror, Sealed, key_of},
    record::{self, Envelope, Read},
};
use crate::{
    data_folder,
    error::{Code, Error, Result},
    store::shared::Change,
};

/// The key of the record about the state.
const META: &str = "meta";

/// The fact of this node's database with the id of the state that it mirrors.
const ID: &str = "cluster_state_id";

/// A text that is sealed with the cluster's secret, so that a node with another one is told so.
const CHECK: &str = "mtx-sidecar";

/// A node that fills the bucket, and writes nothing for so long, has died: another one goes on.
const FILLING_TIMEOUT: Duration = Duration::from_secs(15);

/// The record about the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Meta {
    /// A random name of this state.
    id: String,
    /// Whether the first node has filled the bucket.
    ready: bool,
    /// The node that fills it.
    by: String,
    /// [`CHECK`], sealed.
    check: String,
}

/// What a node has to do when it enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is the first one: it makes what a first start makes, and then fills the bucket ([`Mirror::fill`]).
    First,
    /// It takes the state of the others.
    Later,
}

fn unread(e: kv::EntryError) -> Error {
    Error::new(Code::ClusterUnavailable, "the state of the cluster cannot be read at NATS").caused_by(e)
}

impl Mirror {
    /// Whether this node was in the cluster before, so that it can start while NATS is away.
    pub async fn was_in(&self) -> Result<bool> {
        Ok(self.0.store.run(|store| store.fact(ID)).await?.is_some())
    }

    /// Finds out which node fills the bucket. Waits while another one does.
    pub async fn enter(&self) -> Result<Role> {
        let bucket = self.bucket().await?;
        let mut waiting: Option<(u64, Instant)> = None;
        loop {
            let Some((meta, revision)) = self.meta(&bucket).await? else {
                let id = format!("{:016x}", getrandom::u64().map_err(|e| Error::internal("no random numbers", e))?);
                let check = self.0.seal.close(META, CHECK)?;
                let meta = Meta { id, ready: false, by: self.0.node.clone(), check };
                match self.write(&meta, 0).await {
                    Ok(()) => return Ok(Role::First),
                    Err(Disagreement::Changed) => continue,
                    Err(Disagreement::Failed(e)) => return Err(e),
                }
            };
            if meta.ready {
                return Ok(Role::Later);
            }
            if meta.by == self.0.node {
                // It was interrupted.
                return Ok(Role::First);
            }
            let (seen, since) = *waiting.get_or_insert((revision, Instant::now()));
            if seen != revision {
                waiting = None;
            } else if since.elapsed() > FILLING_TIMEOUT {
                tracing::warn!(
                    node = meta.by,
                    "the node that filled the state of the cluster has stopped; this one goes on"
                );
                match self.write(&Meta { by: self.0.node.clone(), ..meta }, revision).await {
                    Ok(()) => return Ok(Role::First),
                    Err(Disagreement::Changed) => {}
                    Err(Disagreement::Failed(e)) => return Err(e),
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Fills the bucket with the rows of this node, and lets the others in. Records of an interrupted attempt are replaced.
    pub async fn fill(&self) -> Result<()> {
        let bucket = self.bucket().await?;
        let Some((meta, revision)) = self.meta(&bucket).await? else {
            return Err(Error::new(
                Code::ClusterUnavailable,
                "the state of the cluster has vanished while it was filled",
            ));
        };
        // Revisions of another bucket mean nothing here.
        self.0.known.lock().clear();
        let rows = self.0.store.run(|store| store.shared_rows()).await?;
        let count = rows.len();
        for Change { table, id, row } in rows {
            let key = key_of(table, &id);
            let value = row.map(|row| self.seal(&key, &row)).transpose()?;
            let done = match self.0.connection.agree(BUCKET, &key, value.clone(), 0).await {
                Err(Disagreement::Changed) => {
                    let entry = bucket.entry(&key).await.map_err(unread)?;
                    let is_newer = |entry: &kv::Entry| matches!(record::read::<Sealed>(&entry.value), Read::Newer(_));
                    match entry {
                        Some(entry) if !is_newer(&entry) => {
                            self.0.connection.agree(BUCKET, &key, value, entry.revision).await.map(drop)
                        }
                        _ => Ok(()),
                    }
                }
                done => done.map(drop),
            };
            match done {
                Ok(()) => {}
                Err(Disagreement::Changed) => {
                    return Err(Error::new(
                        Code::ClusterUnavailable,
                        "another node fills the state of the cluster now",
                    ));
                }
                Err(Disagreement::Failed(e)) => return Err(e),
            }
        }
        match self.write(&Meta { ready: true, ..meta.clone() }, revision).await {
            Ok(()) => {}
            Err(Disagreement::Changed) => {
                return Err(Error::new(Code::ClusterUnavailable, "another node fills the state of the cluster now"));
            }
            Err(Disagreement::Failed(e)) => return Err(e),
        }
        tracing::info!(
            rows = count,
            "this node is the first one of the cluster: its users, streams and paths are those of all"
        );
        let id = meta.id;
        self.0.store.run(move |store| store.put_fact(ID, &id)).await
    }

    /// The id of the bucket's state, and whether this node has mirrored it before.
    pub(super) async fn identify(&self, bucket: &kv::Store) -> Result<Option<(String, bool)>> {
        let Some((meta, _)) = self.meta(bucket).await?.filter(|(meta, _)| meta.ready) else { return Ok(None) };
        let known = self.0.store.run(|store| store.fact(ID)).await?;
        let is_known = known.as_deref() == Some(&meta.id);
        Ok(Some((meta.id, is_known)))
    }

    /// Notes that this node mirrors the state of this id.
    pub(super) async fn belongs(&self, id: String) -> Result<()> {
        self.0.store.run(move |store| store.put_fact(ID, &id)).await
    }

    /// Keeps rows of this node, which those of the cluster replace, in a file of the data folder.
    pub(super) fn keep(&self, rows: &[Change]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let at = crate::policy::now();
        let file = self.0.data_dir.join(format!("sidecar.before-cluster-{at}.json"));
        let list: Vec<_> =
            rows.iter().map(|Change { table, id, row }| json!({"table": table, "id": id, "row": row})).collect();
        let text =
            serde_json::to_vec_pretty(&list).map_err(|e| Error::internal("rows cannot be written as JSON", e))?;
        let written = data_folder::new_file(&file).and_then(|mut to| to.write_all(&text).and_then(|()| to.sync_all()));
        let unwritten = |e| Error::unwritten(format!("{} cannot be written", file.display()), e);
        written.map_err(unwritten)?;
        tracing::warn!(
            "{} users, streams, paths and other rows of this node are not those of the cluster: the cluster's count, and those of \
             before are in {}",
            rows.len(),
            file.display()
        );
        Ok(())
    }

    async fn meta(&self, bucket: &kv::Store) -> Result<Option<(Meta, u64)>> {
        let Some(entry) = bucket.entry(META).await.map_err(unread)? else { return Ok(None) };
        if entry.operation != kv::Operation::Put {
            return Ok(None);
        }
        let refuse = |why: String| Err(Error::new(Code::Internal, why));
        let meta = match record::read::<Meta>(&entry.value) {
            Read::Known(envelope) => envelope.record,
            Read::Newer(_) => {
                return refuse("the cluster is that of a newer version of mtx-sidecar: update this node".into());
            }
            Read::Damaged(e) => return refuse(format!("the record {META} of the cluster is damaged: {e}")),
        };
        if self.0.seal.open(META, &meta.check).as_deref() != Some(CHECK) {
            return refuse(
                "cluster.secret: is not the secret of the cluster that has this prefix at these NATS servers".into(),
            );
        }
        Ok(Some((meta, entry.revision)))
    }

    async fn write(&self, meta: &Meta, expected: u64) -> Result<(), Disagreement> {
        let bytes = Envelope::new(self.0.node.clone(), meta).to_bytes().map_err(Disagreement::Failed)?;
        self.0.connection.agree(BUCKET, META, Some(bytes), expected).await.map(drop)
    }
}
