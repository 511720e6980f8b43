//! [`Upload`]: the stream that a publisher sends pictures to.

use std::sync::Arc;

use futures_util::TryStreamExt;

use super::{ATTEMPTS, Catalog, Inner, being_removed};
use crate::{
    error::Result,
    fleet::{Fleet, UploadNews},
    picture::{Picture, SharedFrame},
    producer::Definition,
    stream::{Origin, Stream, StreamName},
};

/// Pictures that are stored at a time after a loss.
const AT_ONCE: usize = 4;

/// A handle that a request holds while its body arrives. The name is looked up once, when the handle is made.
pub struct Upload {
    catalog: Catalog,
    name: StreamName,
    /// None until the first picture if the name was free: a body without a picture makes no stream.
    stream: Option<Arc<Stream>>,
}

impl Catalog {
    /// Opens a stream for pictures that are pushed. Fails if the name belongs to a stream of another kind, so that the
    /// sender learns it before it sends the body.
    pub fn upload(&self, name: &StreamName) -> Result<Upload> {
        let exists = self.0.registry.get(name).is_some();
        let stream = exists.then(|| self.upload_stream(name)).transpose()?;
        Ok(Upload { catalog: self.clone(), name: name.clone(), stream })
    }

    fn upload_stream(&self, name: &StreamName) -> Result<Arc<Stream>> {
        self.stream_of_kind(name, &Definition::upload(), Origin::Upload)
    }
}

impl Catalog {
    /// Takes note of an upload stream at another node of the cluster.
    pub fn take_note(&self, news: UploadNews) {
        let Inner { registry, context, .. } = &*self.0;
        match news {
            UploadNews::Appeared(name) => {
                let producer = || Definition::upload().producer(&name, context);
                match registry.get_or_create(&name, Origin::Upload, producer) {
                    Ok(stream) if stream.kind() == Definition::upload().kind() => registry.outdate(&stream),
                    Ok(_) => {
                        tracing::debug!(stream = %name, "another node has uploads of this name, and it is no stream of uploads here")
                    }
                    Err(e) => {
                        tracing::warn!(stream = %name, "the uploads of another node are not shown: {}", e.chain())
                    }
                }
            }
            UploadNews::Vanished(name) => {
                let is_upload = registry.get(&name).is_some_and(|stream| stream.origin() == Origin::Upload);
                if is_upload && registry.remove(&name, "it was deleted at another node") {
                    context.uploads.forget_here(&name);
                }
            }
        }
    }
}

impl Catalog {
    /// Stores the last picture of each upload stream of this node in the object store of the cluster, which has lost them.
    pub async fn keep_again(&self, fleet: &Fleet) -> Result<()> {
        let Inner { registry, context, .. } = &*self.0;
        let streams = registry.list().into_iter().filter(|stream| stream.kind() == Definition::upload().kind());
        let store = async |stream: Arc<Stream>| {
            let picture = match stream.latest() {
                Some(frame) => Some(Picture::of(&frame)),
                // After a start the pictures are on the disk until they are watched.
                None => context.uploads.load(stream.name(), &context.limits).await,
            };
            match picture {
                Some(picture) => fleet.keep_again(stream.name(), &picture).await,
                None => Ok(()),
            }
        };
        futures_util::stream::iter(streams.map(Ok)).try_for_each_concurrent(AT_ONCE, store).await
    }
}

impl Upload {
    /// The stream's name.
    pub fn name(&self) -> &StreamName {
        &self.name
    }

    /// Publishes a picture and stores it as the stream's last one. A stream that was removed or redefined since the last
    /// picture is looked up again; one that is of another kind now is a conflict.
    pub fn publish(&mut self, picture: &Picture) -> Result<SharedFrame> {
        for _ in 0..ATTEMPTS {
            let held = self.stream.take().filter(|stream| stream.kind() == Definition::upload().kind());
            let stream = held.map_or_else(|| self.catalog.upload_stream(&self.name), Ok)?;
            if let Some(frame) = stream.push(picture)? {
                self.stream = Some(stream);
                self.catalog.0.context.uploads.keep(&self.name, frame.clone());
                return Ok(frame);
            }
        }
        Err(being_removed())
    }

    /// Waits until the published pictures are kept as `uploads.durability` says. After an error the picture is shown, and is
    /// kept as soon as the disk takes it.
    pub async fn acknowledge(&self) -> Result<()> {
        self.catalog.0.context.uploads.acknowledge(&self.name).await
    }
}
