//! One run of the producer: connects to the camera, decodes its video, and publishes the pictures.

use std::{sync::Arc, time::SystemTime};

use tokio::time::{Instant, sleep_until};

use super::{
    Plan, Reader, UnitKind,
    backlog::{Backlog, ReceivedUnit},
    by_ffmpeg,
    camera::Camera,
    decode::{Outcome, Shown, Task},
    engine::{Engine, OpenH264},
    ffmpeg::Ffmpeg,
    pace::{Pace, RARE_INTERVAL, SINGLE_INTERVAL},
    relief::Relief,
    sound::{Heard, Listening, wanted},
    starts::{LONG_WAIT, NO_IDR, Starts, Step},
};
use crate::{
    error::{Cause, Code, Error, Result},
    h264::nal,
    picture::Picture,
    rtsp_client::{Codec, Received, Start, Unit},
    stream::{Demand, FrameSink, Run, SharedFraming, VideoCodec, VideoUnit},
};

/// Consecutive keyframes that openh264 cannot decode, although no data was lost, before ffmpeg is used.
const MAX_DAMAGED: u32 = 3;

/// Connects and publishes pictures until something fails.
pub(super) async fn play(plan: &Arc<Plan>, mut run: Run) -> Result<()> {
    plan.refuse_circle().await?;
    let reader = plan.common.settings().reader;
    if reader == Reader::Ffmpeg {
        return by_ffmpeg::read(plan, &run).await;
    }
    let mut camera = match Camera::connect(plan, wanted(&run.sink)).await {
        Ok(camera) => camera,
        Err(refusal) if refusal.is_protocol && reader == Reader::Auto && by_ffmpeg::can_read(plan) => {
            run.sink.report_problem(format!("{}; ffmpeg reads it", refusal.error));
            run.sink.note_failure(&refusal.error);
            // What this client has seen is the better reason, if ffmpeg cannot read the camera either.
            let both = |e: Error| Error::new(refusal.error.code(), format!("{}; {e}", refusal.error)).caused_by(e);
            return by_ffmpeg::read(plan, &run).await.map_err(both);
        }
        Err(refusal) => return Err(refusal.error),
    };
    run.sink.report_problem(format!("{} is connected; waiting for a keyframe", plan.peer()));
    let mut pace = Pace::new(plan.every);
    let mut stale_at = Instant::now() + *plan.common.settings().stale_after;
    let codec = camera.codec();
    if codec == Codec::Jpeg {
        loop {
            let (received, at) = next_of(&mut camera, plan, &mut stale_at).await?;
            if pace.is_due() {
                publish_jpeg(received.unit, at, plan, &run.sink);
            }
        }
    }
    let passing = Passing { codec, sink: run.sink.clone() };
    let mut listening = Listening::new(plan, &run.sink, &camera);
    let mut engine = match codec {
        Codec::H265 => Engine::Ffmpeg(Box::new(Ffmpeg::new(Codec::H265, "H.265", plan))),
        _ => Engine::OpenH264(OpenH264::new(plan)?),
    };
    let mut work = Work {
        plan,
        sink: &run.sink,
        backlog: Backlog::new(),
        at_work: None,
        damaged: 0,
        published_at: None,
        starts: Starts::new(codec),
        relief: Relief::new(plan),
    };
    loop {
        let demand = *run.demand.borrow_and_update();
        let demand = match plan.keyframes_only && !work.starts.are_gradual {
            true => demand.min(Demand::Single),
            false if work.starts.are_gradual => Demand::Continuous,
            false => demand,
        };
        if engine.is_free() {
            work.start(&mut engine, demand, &mut pace)?;
        }
        tokio::select! {
            next = next_of(&mut camera, plan, &mut stale_at) => {
                let (received, at) = next?;
                if received.is_sound {
                    listening.pass(received);
                } else {
                    passing.pass(&received);
                    work.take(received.unit, at, demand, &mut engine);
                }
            }
            heard = listening.next() => if let Heard::Instead(other, received) = heard {
                camera = other;
                passing.pass(&received);
                work.take(received.unit, SystemTime::now(), demand, &mut engine);
            },
            outcome = engine.next() => work.finish(outcome?, &mut engine)?,
            // Never an error: the stream holds the sender and outlives its runs.
            _ = run.demand.changed() => {}
        }
    }
}

/// The next unit. Sound does not count as a sign of life, because the pictures are what is watched.
async fn next_of(camera: &mut Camera, plan: &Plan, stale_at: &mut Instant) -> Result<(Received, SystemTime)> {
    let stale_after = plan.common.settings().stale_after;
    tokio::select! {
        next = camera.next() => {
            if next.as_ref().is_ok_and(|(received, _)| !received.is_sound) {
                *stale_at = Instant::now() + *stale_after;
            }
            next
        }
        () = sleep_until(*stale_at) => {
            let message = format!("{} has sent no video for {stale_after}", plan.peer());
            Err(Error::new(Code::Unavailable, message).because(Cause::NoPicture))
        }
    }
}

/// MJPEG: publishes the camera's own pictures.
fn publish_jpeg(unit: Unit, received: SystemTime, plan: &Plan, sink: &FrameSink) {
    match Picture::from_plain_jpeg(unit.data, &plan.limits) {
        Ok(picture) => plan.publish(Shown::Jpeg(picture.captured_at(received)), sink),
        Err(e) => {
            sink.damaged(if e.code() == Code::FrameTooLarge { "too large" } else { "damaged" });
            sink.report_problem(format!("the camera's last picture was not taken: {e}"));
        }
    }
}

/// Hands the camera's units over as they are.
struct Passing {
    codec: Codec,
    sink: FrameSink,
}

impl Passing {
    fn pass(&self, received: &Received) {
        let codec = if self.codec == Codec::H265 { VideoCodec::H265 } else { VideoCodec::H264 };
        let unit = &received.unit;
        self.sink.pass(VideoUnit {
            codec,
            nals: nal::split(&unit.data).map(|nal| unit.data.slice_ref(nal)).collect(),
            is_key: unit.start == Start::Key,
            has_loss: unit.has_loss,
            at: received.at,
            received_at: Instant::now(),
            shared: SharedFraming::default(),
        });
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
    /// When the last picture was published.
    published_at: Option<Instant>,
    starts: Starts,
    relief: Relief,
}

impl Work<'_> {
    fn take(&mut self, unit: Unit, received: SystemTime, demand: Demand, engine: &mut Engine) {
        let is_waiting = self.backlog.is_waiting() || demand != Demand::Continuous;
        if let Step::Change = self.starts.see(unit.start, is_waiting, matches!(engine, Engine::Ffmpeg(_))) {
            if self.plan.is_ffmpeg_installed() {
                *engine = Engine::Ffmpeg(Box::new(Ffmpeg::new(Codec::H264, NO_IDR, self.plan)));
                self.starts.see(unit.start, is_waiting, true);
                self.backlog.break_off();
            } else {
                self.sink.report_problem(format!(
                    "{} is connected, but its H.264 has no IDR picture to begin with; ffmpeg can begin at its other pictures: \
                     install it (rtsp_cameras.ffmpeg)",
                    self.plan.peer()
                ));
            }
        }
        if self.starts.has_waited_long() {
            self.sink.report_problem(format!(
                "{} is connected and has sent {LONG_WAIT} pictures, but none to begin with: its {} has no IDR picture, no recovery \
                 point, or no parameter sets",
                self.plan.peer(),
                self.starts.codec_name()
            ));
        }
        let is_ffmpeg = matches!(engine, Engine::Ffmpeg(_));
        let mut is_key = match unit.start {
            Start::Key => true,
            Start::Recovery(frames) => is_ffmpeg && frames == 0,
            Start::No => false,
        };
        if unit.has_loss && !is_key {
            self.sink.damaged("lost on the way");
            self.backlog.break_off();
        }
        if is_ffmpeg && matches!(unit.start, Start::Recovery(1..)) && self.backlog.is_waiting() {
            // Pictures of a decoder that has seen a gap would not become correct: a new one begins here.
            is_key = true;
            *engine = Engine::Ffmpeg(Box::new(Ffmpeg::new(Codec::H264, NO_IDR, self.plan)));
        }
        self.backlog.push(ReceivedUnit { data: unit.data, is_key, received }, demand);
        self.plan.common.counters().units(UnitKind::Skipped, self.backlog.take_skipped());
    }

    fn start(&mut self, engine: &mut Engine, demand: Demand, pace: &mut Pace) -> Result<()> {
        if demand == Demand::Rare && self.published_at.is_some_and(|at| at.elapsed() < RARE_INTERVAL) {
            // The last keyframe waits, and the units behind it, for a watcher that needs pictures.
            return Ok(());
        }
        let Some(unit) = self.backlog.take(demand) else { return Ok(()) };
        if demand != Demand::Continuous && !pace.is_due_at_least(SINGLE_INTERVAL) {
            // The camera may send only keyframes, and watchers do not need all of them.
            self.backlog.break_off();
            self.plan.common.counters().units(UnitKind::Skipped, 1 + self.backlog.take_skipped());
            return Ok(());
        }
        if let Some(other) = self.relief.engine(engine, &unit, demand)? {
            *engine = other;
        }
        let task = match demand {
            Demand::Rare | Demand::Single => Task::ShowSingle,
            Demand::Continuous if pace.is_due_behind(self.backlog.len()) => Task::Show,
            Demand::Continuous => Task::Decode,
        };
        let kind = if unit.is_key { UnitKind::Keyframe } else { UnitKind::Delta };
        self.plan.common.counters().units(kind, 1);
        self.at_work = Some((unit.clone(), task));
        engine.start(unit, task, self.sink.forms())
    }

    fn finish(&mut self, outcome: Outcome, engine: &mut Engine) -> Result<()> {
        let is_key = self.at_work.as_ref().is_some_and(|(unit, _)| unit.is_key);
        match outcome {
            Outcome::Picture(picture) => {
                self.damaged = 0;
                self.published_at = Some(Instant::now());
                self.plan.publish(picture, self.sink);
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
            Outcome::Broken => {
                self.relief.give_up();
                self.backlog.break_off_group();
                *engine = Engine::OpenH264(OpenH264::new(self.plan)?);
            }
        }
        Ok(())
    }

    /// Continues with ffmpeg, from the unit at which openh264 stopped.
    fn switch(&mut self, why: &'static str, engine: &mut Engine) -> Result<()> {
        if matches!(engine, Engine::Ffmpeg(_)) {
            let message = format!("the video of {} cannot be decoded", self.plan.peer());
            return Err(Error::new(Code::Unavailable, message).because(Cause::Codec));
        }
        let mut ffmpeg = Ffmpeg::new(Codec::H264, why, self.plan);
        if let Some((unit, task)) = self.at_work.take() {
            ffmpeg.start(unit, task)?;
        }
        *engine = Engine::Ffmpeg(Box::new(ffmpeg));
        Ok(())
    }
}
