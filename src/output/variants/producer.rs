//! The producer of a variant: follows the parent stream and publishes its pictures, transformed.

use std::sync::Arc;

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Duration, Instant, sleep, sleep_until},
};

use super::conversions::Conversions;
use crate::{
    error::Result,
    picture::{Picture, SharedFrame, transform::Transform},
    stream::{Form, Mode, Producer, ProducerFuture, Run, State, Stream},
};

pub(super) struct Variant {
    parent: Arc<Stream>,
    transform: Transform,
    conversions: Arc<Conversions>,
    _permit: OwnedSemaphorePermit,
}

impl Variant {
    pub(super) fn new(
        parent: Arc<Stream>,
        transform: Transform,
        conversions: Arc<Conversions>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Variant { parent, transform, conversions, _permit: permit }
    }
}

impl Producer for Variant {
    fn kind(&self) -> &'static str {
        "variant"
    }

    /// Start timeouts belong to the parent. A variant only waits, and passes the parent's reason on.
    fn mode(&self) -> Mode {
        Mode::Pushed
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let (parent, transform, conversions) = (self.parent.clone(), self.transform, self.conversions.clone());
        Box::pin(async move {
            let stop = run.stop.clone();
            tokio::select! {
                result = follow(&parent, transform, &conversions, &run) => result,
                () = stop.cancelled() => Ok(()),
            }
        })
    }
}

async fn follow(parent: &Arc<Stream>, transform: Transform, conversions: &Conversions, run: &Run) -> Result<()> {
    let mut watch = parent.follow();
    if !transform.keeps_pictures() {
        watch.set_form(Form::Raster);
    }
    let mut states = watch.states();
    let mut due = Instant::now();
    // A picture held from an earlier run stays the present one until the parent has a newer picture.
    let mut held = run.sink.latest().map(|frame| frame.received_at);
    // A clock moves although the picture does not.
    let moves = conversions.presets().moves(&transform);
    let mut shown: Option<SharedFrame> = None;
    loop {
        let frame = tokio::select! {
            frame = watch.next() => match frame {
                Ok(frame) => frame,
                Err(ended) => {
                    run.sink.end(ended);
                    return Ok(());
                }
            },
            (state, reason) = states.next() => {
                if state != State::Live {
                    run.sink.report_problem(reason);
                }
                continue;
            }
            () = sleep(CLOCK), if moves && shown.is_some() => match &shown {
                Some(frame) => frame.clone(),
                None => continue,
            },
        };
        if held.take().is_some_and(|at| at == frame.received_at) {
            run.sink.still_current();
            continue;
        }
        publish(&frame, transform, conversions, run).await;
        if moves {
            shown = Some(frame.clone());
        }
        if let Some(pause) = transform.pause() {
            let now = Instant::now();
            due = if now < due + pause { due + pause } else { now + pause };
            tokio::select! {
                // A picture can be a little early, because pictures do not arrive at even intervals.
                () = sleep_until(due - pause / 4) => watch.pass_over(),
                // `watch.next()` then returns the end of the stream.
                () = watch.ended() => {}
            }
        }
    }
}

/// Pause between two pictures of a clock on a still.
const CLOCK: Duration = Duration::from_secs(1);

/// Transforms a frame and publishes the result. Of the frames that arrive meanwhile only the newest is kept, as for
/// every slow watcher.
async fn publish(frame: &SharedFrame, transform: Transform, conversions: &Conversions, run: &Run) {
    let key = (run.name.clone(), transform.still());
    match conversions.make(key, frame).await {
        Ok(made) => {
            let jpeg = made.jpeg.clone();
            let picture = Picture { jpeg, width: made.width, height: made.height, captured_at: frame.captured_at };
            if let Err(full) = run.sink.publish_derived(&picture, frame.received_at) {
                run.sink.report_problem(full.to_string());
            }
        }
        Err(e) => {
            run.sink.damaged(e.code().as_str());
            run.sink.report_problem(e.to_string());
        }
    }
}
