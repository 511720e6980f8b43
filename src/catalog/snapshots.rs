//! Snapshots of streams, of this node and of others.

use super::{Catalog, Requester};
use crate::{
    error::Result,
    output::snapshot::{self, Options},
    picture::SharedFrame,
    stream::{Demand, Form, StreamName},
};

impl Catalog {
    /// Takes a snapshot of a stream, or of MediaMTX's path of that name. A node of a cluster that runs the producer is asked for the
    /// picture; otherwise a watch starts the producer here. `form` is the form in which the picture is needed.
    pub async fn snapshot(
        &self,
        name: &StreamName,
        form: Form,
        by: &Requester,
        options: &Options,
    ) -> Result<SharedFrame> {
        let stream = self.find_or_relay(name, by).await?;
        if let Some(taken) = snapshot::fetch(&stream, options).await {
            return taken;
        }
        let mut watch = self.watch(name, Demand::Single, by).await?;
        watch.set_form(form);
        snapshot::take(watch, options).await
    }
}
