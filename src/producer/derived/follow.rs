//! [`follow`]: makes a picture of each picture of a parent, while the stream is watched.

use std::{path::Path, sync::Arc, time::SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep, sleep_until},
};

use super::recipe::Recipe;
use crate::{
    error::{Cause, Code, Error, Result},
    picture::{
        Picture, RasterPicture, SharedFrame,
        compose::{Composer, Moment, Overlay},
        in_pool_with,
    },
    producer::ProducerContext,
    stream::{Ended, Form, Mode, Run, State, Stream, Watch},
};

/// Shortest time between two pictures that only a changed value causes.
const VALUE_PAUSE: Duration = Duration::from_millis(100);

/// Follows the parent until it fails or ends.
pub(super) async fn follow(
    parent: &Arc<Stream>,
    recipe: &Arc<Recipe>,
    context: &ProducerContext,
    run: &Run,
) -> Result<()> {
    let mut demand = run.demand.clone();
    let first_demand = *demand.borrow_and_update();
    let mut watch = parent.watch_for(first_demand).map_err(|ended| gone(parent, ended))?;
    watch.set_form(Form::Raster);
    let mut states = watch.states();
    let composer = Composer::new(recipe.overlay.clone(), context.fonts.clone(), {
        let mut images = images(&recipe.overlay, context, run).await;
        move |path| images.iter_mut().find(|(of, _)| of == path).map(|(_, data)| data.clone())
    });
    let producer = parent.producer();
    let mut work = Work {
        parent,
        recipe,
        context,
        run,
        composer: Arc::new(Mutex::new(composer)),
        has_own_time: producer.ages() && producer.mode() == Mode::Pulled,
        texts: vec![],
        size: (0, 0),
    };
    let moves = recipe.overlay.moves();
    let shows_values = recipe.overlay.values().next().is_some();
    let (mut values, mut numbers) = (context.values.changes(), context.numbers.changes());
    let mut shown: Option<SharedFrame> = None;
    let mut due = Instant::now();
    // When the text is looked at for a value that has changed.
    let mut values_due: Option<Instant> = None;
    loop {
        let is_new = tokio::select! {
            frame = watch.next() => {
                shown = Some(frame.map_err(|ended| gone(parent, ended))?);
                true
            }
            (state, reason) = states.next() => {
                match state {
                    State::Failing { .. } => {
                        let cause = parent.failure().and_then(|failure| failure.cause).unwrap_or(Cause::Parent);
                        return Err(Error::new(Code::Unavailable, reason).because(cause));
                    }
                    State::Live => {}
                    _ => run.sink.report_problem(reason),
                }
                continue;
            }
            Ok(()) = demand.changed() => {
                watch.set_demand(*demand.borrow_and_update());
                continue;
            }
            () = sleep(to_next_second()), if moves && shown.is_some() => false,
            () = either_changed(&mut values, &mut numbers), if shows_values && shown.is_some() && values_due.is_none() => {
                values_due = Some(Instant::now() + VALUE_PAUSE);
                continue;
            }
            () = sleep_until(values_due.unwrap_or(due)), if values_due.is_some() => {
                values_due = None;
                values.mark_unchanged();
                numbers.mark_unchanged();
                false
            }
        };
        let Some(frame) = &shown else { continue };
        if !is_new && !work.has_new_text(frame) {
            continue;
        }
        if let Err(e) = work.publish(frame, is_new).await {
            run.sink.damaged(e.code().as_str());
            run.sink.report_problem(e.to_string());
        }
        if let Some(pause) = recipe.transform.pause().filter(|_| is_new) {
            due = wait(due, pause, &mut watch).await;
        }
    }
}

/// Returns when a value was set, or a graph has a new point.
async fn either_changed(values: &mut watch::Receiver<u64>, numbers: &mut watch::Receiver<u64>) {
    tokio::select! {
        Ok(()) = values.changed() => {}
        Ok(()) = numbers.changed() => {}
        // Both ends of the program are gone.
        else => std::future::pending().await,
    }
}

/// Waits until the next picture is due, or the parent has ended, and skips the pictures in between.
async fn wait(due: Instant, pause: Duration, watch: &mut Watch) -> Instant {
    let now = Instant::now();
    let due = if now < due + pause { due + pause } else { now + pause };
    tokio::select! {
        () = sleep_until(due) => watch.pass_over(),
        // The next call of `next` then returns the reason.
        () = watch.ended() => {}
    }
    due
}

struct Work<'a> {
    parent: &'a Arc<Stream>,
    recipe: &'a Arc<Recipe>,
    context: &'a ProducerContext,
    run: &'a Run,
    composer: Arc<Mutex<Composer>>,
    has_own_time: bool,
    /// The texts of the picture that was published last, and its size.
    texts: Vec<String>,
    size: (u32, u32),
}

impl Work<'_> {
    /// Calls `with` with what placeholders stand for now.
    fn at_this_moment<T>(&self, frame: &SharedFrame, with: impl FnOnce(&Moment<'_>) -> T) -> T {
        let values = self.context.values.clone();
        with(&Moment {
            name: &self.run.name,
            now: SystemTime::now(),
            captured_at: frame.captured_at,
            has_own_time: self.has_own_time,
            seq: frame.seq,
            size: self.size,
            fps: self.parent.stats().fps,
            value: &move |key| values.get(key),
        })
    }

    fn has_new_text(&self, frame: &SharedFrame) -> bool {
        self.at_this_moment(frame, |moment| self.composer.lock().texts(moment)) != self.texts
    }

    async fn publish(&mut self, frame: &SharedFrame, is_new: bool) -> Result<()> {
        let sink = &self.run.sink;
        if self.recipe.keeps_pictures() {
            return match frame.raster() {
                Some(raster) => {
                    let jpeg = frame.is_encoded().then(|| frame.jpeg());
                    let (raster, quality) = (raster.clone(), self.recipe.quality);
                    let picture = RasterPicture { raster, jpeg, quality, captured_at: frame.captured_at };
                    sink.publish_raster(&picture, frame.received_at).map(drop)
                }
                None => {
                    let (jpeg, captured_at) = (frame.jpeg(), frame.captured_at);
                    let picture = Picture { jpeg, width: frame.width, height: frame.height, captured_at };
                    sink.publish_derived(&picture, frame.received_at).map(drop)
                }
            };
        }
        let (name, fps, has_own_time) = (self.run.name.clone(), self.parent.stats().fps, self.has_own_time);
        let (recipe, composer, values) = (self.recipe.clone(), self.composer.clone(), self.context.values.clone());
        let (source, limits, needs_jpeg) = (frame.clone(), self.context.limits, sink.forms().jpeg);
        let made = in_pool_with(Recipe::memory(frame), &limits, move || {
            let moment = Moment {
                name: &name,
                now: SystemTime::now(),
                captured_at: source.captured_at,
                has_own_time,
                seq: source.seq,
                size: (source.width, source.height),
                fps,
                value: &|key| values.get(key),
            };
            let made = recipe.make(&source, &composer, &moment, needs_jpeg, &limits)?;
            let moment = Moment { size: (made.raster.width(), made.raster.height()), ..moment };
            let texts = composer.lock().texts(&moment);
            Ok((made, texts))
        });
        let (mut made, texts) = made.await?;
        self.texts = texts;
        self.size = (made.raster.width(), made.raster.height());
        // A still with another time is a new picture; the age of a camera's picture stays its age.
        let is_still = !is_new && !self.has_own_time;
        if is_still {
            made.captured_at = SystemTime::now();
        }
        let received_at = if is_still { Instant::now() } else { frame.received_at };
        sink.publish_raster(&made, received_at).map(drop)
    }
}

/// The files of an overlay's images. One that cannot be read is reported and left out.
async fn images(overlay: &Overlay, context: &ProducerContext, run: &Run) -> Vec<(String, Bytes)> {
    let mut read = vec![];
    for path in overlay.images() {
        match context.media.read(Path::new(path), context.limits.frame_size.0).await {
            Ok(data) => read.push((path.to_owned(), data)),
            Err(e) => run.sink.report_problem(format!("overlay: the image {path} cannot be shown: {e}")),
        }
    }
    read
}

fn gone(parent: &Stream, ended: Ended) -> Error {
    Error::new(Code::Unavailable, format!("the stream {} has ended: {}", parent.name(), ended.0))
}

/// The time until the clock shows another second.
fn to_next_second() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_nanos(u64::from(1_000_000_000 - since.subsec_nanos().min(999_999_999)))
}
