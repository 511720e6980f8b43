//! Pictures are stored again after the servers have lost them.

use async_nats::jetstream::object_store::InfoErrorKind;
use tokio::time::{sleep, timeout};

use super::{AGAIN, Pictures, away, captured_at, micros};
use crate::{
    cluster::{connection::REQUEST_TIMEOUT, names::token},
    error::Result,
    picture::Picture,
    stream::StreamName,
};

/// The fact of this node's database with the bucket that it has stored its pictures in. A bucket is known by the time at which it was made.
const BUCKET_ID: &str = "cluster_pictures_id";

impl Pictures {
    /// Notes whether the servers have lost the pictures. A node that joins a cluster has none to put there.
    pub(super) async fn identify(&self, bucket: &str, is_made: bool) -> Result<()> {
        let found = self.0.cluster.connection().jetstream.get_stream(format!("OBJ_{bucket}")).await;
        let found = found.map_err(|e| away("the object store for pictures has no state", e))?;
        let id = found.cached_info().created.to_string();
        let known = self.0.cluster.fact(BUCKET_ID).await?;
        match known {
            Some(known) if known == id => {}
            None if !is_made => self.0.cluster.put_fact(BUCKET_ID, id).await?,
            _ => drop(self.0.lost.send_replace(Some(id))),
        }
        Ok(())
    }

    /// Calls `fill` whenever the servers have lost the pictures, until it succeeds. Returns with the program.
    pub(in crate::fleet) async fn fill_again<F: Future<Output = Result<()>>>(&self, fill: impl Fn() -> F) {
        let mut lost = self.0.lost.subscribe();
        loop {
            let Ok(Some(id)) = lost.wait_for(Option::is_some).await.map(|id| id.clone()) else { return };
            let filled = async {
                fill().await?;
                self.0.cluster.put_fact(BUCKET_ID, id.clone()).await
            };
            if let Err(e) = filled.await {
                tracing::debug!("the pictures are not in the object store again yet: {}", e.chain());
                sleep(AGAIN).await;
                continue;
            }
            self.0.lost.send_if_modified(|lost| {
                let is_done = *lost == Some(id);
                if is_done {
                    *lost = None;
                }
                is_done
            });
        }
    }

    /// Stores a picture of an earlier upload, unless the object store has one that is as new.
    pub(in crate::fleet) async fn put_again(&self, stream: &StreamName, picture: &Picture) -> Result<()> {
        let turn = self.0.turns.lock().entry(stream.clone()).or_default().clone();
        let holds = turn.lock().await;
        let put = async {
            // A newer one is stored soon.
            if self.0.waiting.lock().contains_key(stream) {
                return Ok(());
            }
            match self.store().await?.info(token(stream)).await {
                // A stream that was deleted since stays so.
                Ok(info) if info.deleted || captured_at(&info) >= micros(picture.captured_at) => return Ok(()),
                Err(e) if e.kind() != InfoErrorKind::NotFound => {
                    return Err(away("the picture is not kept in the cluster", e));
                }
                _ => {}
            }
            self.write(stream, &picture.jpeg, picture.captured_at).await
        };
        let done = timeout(REQUEST_TIMEOUT, put).await.unwrap_or_else(|_| Err(self.0.cluster.connection().away()));
        drop(holds);
        drop(turn);
        self.forget_turn(stream);
        done
    }
}
