//! Snapshots: one picture at once, or the reason why there is none.

use std::sync::Arc;

use tokio::time::{Duration, timeout};

use super::http::OutputKind;
use crate::{
    error::{Code, Error, Result},
    picture::SharedFrame,
    stream::{Mode, State, Stream, Watch},
};

/// `/snapshot/{name}.jpg`.
pub const KIND: OutputKind = OutputKind {
    word: "snapshot",
    path: "/snapshot/{name}.jpg",
    content_type: "image/jpeg",
    about: "One picture, with `ETag` and `Last-Modified`. Never a stream.",
};

/// The options of a snapshot.
#[derive(Clone, Debug)]
pub struct Options {
    /// The greatest age of the picture since its arrival. None applies `usual_max_age`.
    pub max_age: Option<Duration>,
    /// The greatest age of a picture from an earlier run of a camera that is returned without waiting for a new one.
    pub usual_max_age: Duration,
    /// How long to wait for a picture.
    pub timeout: Duration,
}

/// Asks the node of a cluster that runs the producer for the picture, without a watch. None if this node must take a watch: it runs the
/// producer, or can begin to, or the other node does not answer in time.
pub async fn fetch(stream: &Arc<Stream>, options: &Options) -> Option<Result<SharedFrame>> {
    if !stream.is_fetched() {
        return None;
    }
    let producer = stream.producer();
    if let (Some(held), Some(max_age)) = (stream.latest(), options.max_age)
        && !producer.moves()
        && (!producer.ages() || held.received_at.elapsed() <= max_age)
    {
        return Some(Ok(held));
    }
    // Time is left for a watch.
    timeout(options.timeout / 2, stream.fetch(options.max_age)).await.ok()?
}

/// Takes a snapshot. The watch starts the producer if it does not run, and is dropped with the snapshot.
///
/// A stream with a pushed producer that never had a picture gives the "waiting" picture at once. A camera that gives no
/// picture in time is an error with the reason.
pub async fn take(mut watch: Watch, options: &Options) -> Result<SharedFrame> {
    let stream = watch.stream().clone();
    let producer = stream.producer();
    if let Some(held) = watch.latest() {
        let age = held.received_at.elapsed();
        let is_live = matches!(stream.state().0, State::Live);
        let current = match options.max_age {
            Some(max_age) if producer.ages() => age <= max_age,
            Some(_) => true,
            None => is_live || producer.mode() == Mode::Pushed || age <= options.usual_max_age,
        };
        // A clock of an earlier run shows the time of then.
        if current && (is_live || !producer.moves()) {
            // Clients that read coded video need no pictures. The keyframe that arrived since is decoded at once.
            if is_live && age > FRESH && stream.has_keyframe_after(&held) {
                watch.skip_held();
                if let Ok(newer) = timeout(DECODING, watch.next()).await {
                    return newer.map_err(gone);
                }
            }
            return Ok(held);
        }
    }
    let had_one = watch.latest().is_some();
    watch.skip_held();
    let waited = timeout(options.timeout, async {
        if producer.mode() == Mode::Pushed && !had_one && options.max_age.is_none() {
            // The producer may be reading a kept picture from disk. No other picture arrives soon.
            return match timeout(PUSHED_GRACE, watch.next()).await {
                Ok(frame) => frame.map_err(gone),
                Err(_) => Ok(watch.placeholder()),
            };
        }
        let mut failures = watch.failures();
        let why = tokio::select! {
            biased;
            frame = watch.next() => return frame.map_err(gone),
            why = failures.next() => why,
        };
        Err(stream.no_picture(&format!("stream {} gives no picture", stream.name()), &why))
    });
    waited.await.unwrap_or_else(|_| {
        let (_, why) = stream.state();
        let secs = options.timeout.as_secs_f64();
        Err(stream.no_picture(&format!("stream {} gave no picture within {secs} s", stream.name()), &why))
    })
}

/// A picture of a running camera that is older is replaced by its last keyframe.
const FRESH: Duration = Duration::from_secs(3);

/// How long a snapshot waits for the decoding of a keyframe that has arrived.
const DECODING: Duration = Duration::from_millis(700);

/// How long reading a kept upload from disk can take.
const PUSHED_GRACE: Duration = Duration::from_millis(500);

fn gone(ended: crate::stream::Ended) -> Error {
    Error::new(Code::UnknownStream, format!("the stream is gone: {}", ended.0))
}
