//! One run of the producer: connects to the camera, decodes its video, and publishes the pictures.

use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep_until};

use super::{
    Plan, UnitKind,
    backlog::{Backlog, ReceivedUnit},
    camera::{Camera, Codec},
    decode::{Outcome, Task},
    engine::{Engine, OpenH264},
    ffmpeg::Ffmpeg,
};
use crate::{
    error::{Code, Error, Result},
    picture::Picture,
    stream::{Demand, FrameSink, Run},
};

/// Consecutive keyframes that openh264 cannot decode, although no data was lost, before ffmpeg is used.
const MAX_DAMAGED: u32 = 3;

/// Shortest time between two pictures if watchers need only single pictures.
const SINGLE_INTERVAL: Duration = Duration::from_millis(250);

/// Connects and publishes pictures until something fails.
pub(super) async fn play(plan: &Arc<Plan>, mut run: Run) -> Result<()> {
    plan.refuse_circle().await?;
    let mut camera = Camera::connect(plan).await?;
    run.sink.report_problem(format!("{} is connected; waiting for a keyframe", plan.peer()));
    let mut pace = Pace::new(plan);
    let mut stale_at = Instant::now() + *plan.common.settings().stale_after;
    if camera.codec == Codec::Jpeg {
        loop {
            let (unit, _) = next_of(&mut camera, plan, &mut stale_at).await?;
            if pace.is_due() {
                publish_jpeg(unit, plan, &run.sink);
            }
        }
    }
    let mut engine = match camera.codec {
        Codec::H265 => Engine::Ffmpeg(Box::new(Ffmpeg::new(Codec::H265, "H.265", plan))),
        _ => Engine::OpenH264(OpenH264::new(plan)?),
    };
    let mut work = Work { plan, sink: &run.sink, backlog: Backlog::new(), at_work: None, damaged: 0 };
    loop {
        let demand = if plan.keyframes_only { Demand::Single } else { *run.demand.borrow_and_update() };
        if engine.is_free() {
            work.start(&mut engine, demand, &mut pace)?;
        }
        tokio::select! {
            next = next_of(&mut camera, plan, &mut stale_at) => {
                let (unit, has_loss) = next?;
                work.take(unit, has_loss, demand);
            }
            outcome = engine.next() => work.finish(outcome?, &mut engine)?,
            // Never an error: the stream holds the sender and outlives its runs.
            _ = run.demand.changed() => {}
        }
    }
}

async fn next_of(camera: &mut Camera, plan: &Plan, stale_at: &mut Instant) -> Result<(ReceivedUnit, bool)> {
    let stale_after = plan.common.settings().stale_after;
    tokio::select! {
        next = camera.next() => {
            *stale_at = Instant::now() + *stale_after;
            next
        }
        () = sleep_until(*stale_at) => {
            let message = format!("{} has sent no video for {stale_after}", plan.peer());
            Err(Error::new(Code::Unavailable, message))
        }
    }
}

/// MJPEG: publishes the camera's own pictures.
fn publish_jpeg(unit: ReceivedUnit, plan: &Plan, sink: &FrameSink) {
    match Picture::from_plain_jpeg(unit.data, &plan.limits) {
        Ok(picture) => publish(&picture.captured_at(unit.received), plan, sink),
        Err(e) => {
            sink.damaged(if e.code() == Code::FrameTooLarge { "too large" } else { "damaged" });
            sink.report_problem(format!("the camera's last picture was not taken: {e}"));
        }
    }
}

fn publish(picture: &Picture, plan: &Plan, sink: &FrameSink) {
    plan.common.counters().picture();
    if let Err(full) = sink.publish(picture) {
        sink.report_problem(full.to_string());
    }
}

/// The waiting units, and the unit in progress.
struct Work<'a> {
    plan: &'a Arc<Plan>,
    sink: &'a FrameSink,
    backlog: Backlog,
    at_work: Option<(ReceivedUnit, Task)>,
    /// Consecutive keyframes that could not be decoded.
    damaged: u32,
}

impl Work<'_> {
    fn take(&mut self, unit: ReceivedUnit, has_loss: bool, demand: Demand) {
        if has_loss && !unit.is_key {
            self.sink.damaged("lost on the way");
            self.backlog.break_off();
        }
        self.backlog.push(unit, demand);
        self.plan.common.counters().units(UnitKind::Skipped, self.backlog.take_skipped());
    }

    fn start(&mut self, engine: &mut Engine, demand: Demand, pace: &mut Pace) -> Result<()> {
        let Some(unit) = self.backlog.take(demand) else { return Ok(()) };
        if demand == Demand::Single && !pace.is_due_at_least(SINGLE_INTERVAL) {
            // The camera may send only keyframes, and watchers do not need all of them.
            self.backlog.break_off();
            self.plan.common.counters().units(UnitKind::Skipped, 1 + self.backlog.take_skipped());
            return Ok(());
        }
        let task = match demand {
            Demand::Single => Task::ShowSingle,
            Demand::Continuous if pace.is_due_behind(self.backlog.len()) => Task::Show,
            Demand::Continuous => Task::Decode,
        };
        let kind = if unit.is_key { UnitKind::Keyframe } else { UnitKind::Delta };
        self.plan.common.counters().units(kind, 1);
        self.at_work = Some((unit.clone(), task));
        engine.start(unit, task)
    }

    fn finish(&mut self, outcome: Outcome, engine: &mut Engine) -> Result<()> {
        let is_key = self.at_work.as_ref().is_some_and(|(unit, _)| unit.is_key);
        match outcome {
            Outcome::Picture(picture) => {
                self.damaged = 0;
                publish(&picture, self.plan, self.sink);
            }
            Outcome::Nothing => {}
            Outcome::Damaged => {
                self.sink.damaged("not decodable");
                self.backlog.break_off_group();
                self.damaged += u32::from(is_key);
                if self.damaged >= MAX_DAMAGED {
                    return self.switch("H.264 that openh264 cannot decode", engine);
                }
            }
            Outcome::Unsupported(what) => return self.switch(what, engine),
        }
        Ok(())
    }

    /// Continues with ffmpeg, from the unit at which openh264 stopped.
    fn switch(&mut self, why: &'static str, engine: &mut Engine) -> Result<()> {
        if matches!(engine, Engine::Ffmpeg(_)) {
            let message = format!("the video of {} cannot be decoded", self.plan.peer());
            return Err(Error::new(Code::Unavailable, message));
        }
        let mut ffmpeg = Ffmpeg::new(Codec::H264, why, self.plan);
        if let Some((unit, task)) = self.at_work.take() {
            ffmpeg.start(unit, task)?;
        }
        *engine = Engine::Ffmpeg(Box::new(ffmpeg));
        Ok(())
    }
}

/// Decides which pictures are due.
struct Pace {
    every: Duration,
    next: Instant,
}

impl Pace {
    fn new(plan: &Plan) -> Self {
        Pace { every: plan.every, next: Instant::now() }
    }

    fn is_due(&mut self) -> bool {
        self.is_due_at_least(Duration::ZERO)
    }

    /// Whether a picture is due while this many units wait. While decoding catches up, only some pictures are
    /// published.
    fn is_due_behind(&mut self, waiting: usize) -> bool {
        /// Number of waiting units that is normal.
        const A_FEW: usize = 5;
        self.is_due_at_least(if waiting > A_FEW { SINGLE_INTERVAL } else { Duration::ZERO })
    }

    /// Whether a picture is due, with at least this time between pictures. A picture can be a little early, because
    /// pictures do not arrive at even intervals.
    fn is_due_at_least(&mut self, every: Duration) -> bool {
        let every = self.every.max(every);
        let now = Instant::now();
        if now + every / 4 < self.next {
            return false;
        }
        // Keeps the rhythm, unless there was a pause.
        self.next = if now > self.next + every { now + every } else { self.next + every };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pictures_are_due_at_the_requested_rate() {
        for (camera_ms, every_ms, waiting, expected) in [
            (33, 100, 0, 100),
            (100, 100, 0, 100),
            (97, 100, 0, 100),
            (200, 100, 0, 50),
            (33, 33, 0, 300),
            (33, 33, 9, 40),
        ] {
            let mut pace = Pace { every: Duration::from_millis(every_ms), next: Instant::now() };
            let (mut due, began) = (0, Instant::now());
            let mut jitter = 0;
            while began.elapsed() < Duration::from_secs(10) {
                due += u32::from(pace.is_due_behind(waiting));
                jitter = (jitter + 7) % 11;
                tokio::time::advance(Duration::from_millis(camera_ms) + Duration::from_micros(jitter * 100)).await;
            }
            let near = (f64::from(due) / f64::from(expected) - 1.0).abs() < 0.12;
            assert!(near, "{due} for {expected} of a camera with {camera_ms} ms");
        }
    }
}
