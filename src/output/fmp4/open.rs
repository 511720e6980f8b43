//! Which source of coded frames a stream has.

use std::sync::Arc;

use super::{Accepts, Feed, OpenFeed, Passed, Pictures};
use crate::{
    error::{Code, Error, Result},
    output::h264::{Encodings, Want},
    stream::{Demand, Ended, Stream, Watch},
};

/// A feed of the watched stream: the video of its source as it is, if it has one and no other size or rate is wanted; otherwise its
/// pictures, which are encoded. The sound comes with the video if the client plays it. The watch needs [`Demand::Single`] only.
pub async fn open(encodings: &Encodings, mut watch: Watch, want: Want, accepts: &Accepts) -> Result<Feed> {
    if want == Want::default() && watch.stream().producer().passes_video() {
        match Passed::open(watch, accepts).await? {
            Ok(passed) => return Ok(Feed::new(Box::new(passed))),
            // A watch of its own, because the other one has passed the picture over. The producer runs on between both.
            Err(passed_over) => watch = passed_over.stream().watch().map_err(gone)?,
        }
    }
    watch.set_demand(Demand::Continuous);
    Ok(Feed::new(Box::new(Pictures::join(encodings, watch, want).await?)))
}

fn gone(why: Ended) -> Error {
    Error::new(Code::UnknownStream, format!("the stream is gone: {}", why.0))
}

/// Begins feeds of a stream. Each feed watches the stream as long as it lasts.
pub fn feeds(encodings: Encodings, stream: Arc<Stream>, want: Want) -> OpenFeed {
    Box::new(move |accepts| {
        let (encodings, watch) = (encodings.clone(), stream.watch_for(Demand::Single));
        Box::pin(async move { open(&encodings, watch.map_err(gone)?, want, &accepts).await })
    })
}
