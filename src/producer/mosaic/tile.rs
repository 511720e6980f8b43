//! [`Tile`]: the latest picture of one stream, or the reason why there is none.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Duration, sleep},
};

use crate::{
    picture::SharedFrame,
    producer::Parents,
    stream::{Form, State, StreamName},
};

/// Pause before a stream that is not there is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// A picture of a camera that is older than this is slow: the tile shows its age.
pub(super) const SLOW: Duration = Duration::from_secs(10);

/// What a tile shows.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A picture, and whether it becomes outdated.
    Picture(SharedFrame, bool),
    /// The reason why there is no picture.
    Reason(String),
}

/// One stream of the mosaic.
pub(super) struct Tile {
    pub(super) name: StreamName,
    content: Mutex<Content>,
}

impl Tile {
    pub(super) fn new(name: StreamName) -> Arc<Self> {
        Arc::new(Tile { name, content: Mutex::new(Content::Reason("waiting for the first picture".into())) })
    }

    pub(super) fn content(&self) -> Content {
        self.content.lock().clone()
    }

    /// Follows the stream for ever; tells `news` of each change.
    pub(super) async fn follow(&self, parents: &Parents, child: &StreamName, news: &Notify) {
        let tell = |content: Content| {
            *self.content.lock() = content;
            news.notify_one();
        };
        loop {
            let stream = match parents.find(&self.name, child).await {
                Ok(stream) => stream,
                Err(e) => {
                    tell(Content::Reason(e.to_string()));
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
            };
            let Ok(mut watch) = stream.watch() else {
                sleep(LOOK_AGAIN).await;
                continue;
            };
            watch.set_form(Form::Raster);
            let ages = stream.producer().ages();
            let mut states = watch.states();
            loop {
                tokio::select! {
                    frame = watch.next() => match frame {
                        Ok(frame) => tell(Content::Picture(frame, ages)),
                        Err(ended) => {
                            tell(Content::Reason(ended.0.into()));
                            break;
                        }
                    },
                    (state, reason) = states.next() => match state {
                        State::Failing { .. } => tell(Content::Reason(reason)),
                        State::Starting if watch.latest().is_none() => tell(Content::Reason(reason)),
                        _ => {}
                    },
                }
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}
