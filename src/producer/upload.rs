//! Pictures that a peer uploads, and [`Store`], which keeps the last picture of each stream on disk.

mod store;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::store::{Durability, Fault, Remote, Store, UploadSettings};
use super::ProducerContext;
use crate::{
    error::Result,
    picture::PictureLimits,
    stream::{Mode, Producer, ProducerFuture, Run, StreamName},
};

/// An upload stream has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UploadDefinition)]
pub struct Settings {}

pub(super) fn producer(
    _settings: &Settings,
    _name: &StreamName,
    context: &ProducerContext,
) -> Result<Arc<dyn Producer>> {
    let here = Arc::new(Upload { store: context.uploads.clone(), limits: context.limits });
    Ok(context.placement.share(here))
}

struct Upload {
    store: Store,
    limits: PictureLimits,
}

impl Producer for Upload {
    fn kind(&self) -> &'static str {
        "upload"
    }

    fn mode(&self) -> Mode {
        Mode::Pushed
    }

    fn reloads(&self) -> bool {
        self.store.is_persistent()
    }

    /// Brings back the picture kept on disk. New pictures come from the upload routes and not from this producer.
    fn run(&self, run: Run) -> ProducerFuture {
        let (store, limits) = (self.store.clone(), self.limits);
        Box::pin(async move {
            if run.sink.latest().is_none()
                && let Some(picture) = store.load(&run.name, &limits).await
                && run.sink.latest().is_none()
            {
                run.sink.publish(&picture)?;
            }
            if run.sink.latest().is_some() {
                run.sink.still_current();
            }
            run.stop.cancelled().await;
            Ok(())
        })
    }
}
