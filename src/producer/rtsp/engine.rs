//! [`Engine`]: decodes access units to pictures: with openh264; with ffmpeg for cameras that are watched for longer; and with
//! ffmpeg for video that openh264 cannot decode.

use std::{future::Future, pin::Pin};

use super::{
    Plan,
    backlog::ReceivedUnit,
    decode::{Outcome, Task, show},
    ffmpeg::Ffmpeg,
    piped::Piped,
};
use crate::{
    error::Result,
    h264::{Decoder, Failure},
    picture::{JpegWriter, PictureLimits, in_pool},
    stream::Forms,
};

/// Decodes one unit at a time.
pub(super) enum Engine {
    OpenH264(OpenH264),
    /// ffmpeg, which returns planes, for H.264 that openh264 can decode, too.
    Piped(Box<Piped>),
    Ffmpeg(Box<Ffmpeg>),
}

impl Engine {
    /// Whether the engine accepts a unit now.
    pub(super) fn is_free(&self) -> bool {
        match self {
            Engine::OpenH264(openh264) => openh264.job.is_none(),
            Engine::Piped(piped) => piped.is_free(),
            Engine::Ffmpeg(ffmpeg) => ffmpeg.is_free(),
        }
    }

    /// Starts with a unit. Call it only when the engine is free. The watchers need pictures in these forms.
    pub(super) fn start(&mut self, unit: ReceivedUnit, task: Task, forms: Forms) -> Result<()> {
        match self {
            Engine::OpenH264(openh264) => openh264.start(unit, task, forms),
            Engine::Piped(piped) => piped.start(unit, forms),
            Engine::Ffmpeg(ffmpeg) => return ffmpeg.start(unit, task),
        }
        Ok(())
    }

    /// The result of the unit in progress. Waits for ever if there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Outcome> {
        match self {
            Engine::OpenH264(openh264) => openh264.next().await,
            Engine::Piped(piped) => piped.next().await,
            Engine::Ffmpeg(ffmpeg) => ffmpeg.next().await,
        }
    }
}

type Job = Pin<Box<dyn Future<Output = Result<(Box<Worker>, Outcome)>> + Send>>;

/// openh264 and libjpeg-turbo. Each unit runs on a thread of the pool.
pub(super) struct OpenH264 {
    worker: Option<Box<Worker>>,
    job: Option<Job>,
}

/// The state that each job takes to its thread and returns.
struct Worker {
    decoder: Decoder,
    writer: JpegWriter,
    quality: u8,
    limits: PictureLimits,
}

impl OpenH264 {
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        let worker = Box::new(Worker {
            decoder: Decoder::new()?,
            writer: JpegWriter::new(plan.quality)?,
            quality: u8::try_from(plan.quality).unwrap_or(100),
            limits: plan.limits,
        });
        Ok(OpenH264 { worker: Some(worker), job: None })
    }

    /// Whether the coding order of pictures can differ from their display order.
    pub(super) fn reorders(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.decoder.reorders())
    }

    fn start(&mut self, unit: ReceivedUnit, task: Task, forms: Forms) {
        let Some(mut worker) = self.worker.take() else { return };
        self.job = Some(Box::pin(in_pool(move || {
            let outcome = worker.work(&unit, task, forms)?;
            Ok((worker, outcome))
        })));
    }

    async fn next(&mut self) -> Result<Outcome> {
        let Some(job) = &mut self.job else { return std::future::pending().await };
        let done = job.await;
        self.job = None;
        let (worker, outcome) = done?;
        self.worker = Some(worker);
        Ok(outcome)
    }
}

impl Worker {
    fn work(&mut self, unit: &ReceivedUnit, task: Task, forms: Forms) -> Result<Outcome> {
        let decoded = match task {
            Task::ShowSingle => self.decoder.decode_single(&unit.data),
            Task::Decode if matches!(self.decoder.can_pass_over(&unit.data), Ok(true)) => return Ok(Outcome::Nothing),
            Task::Decode | Task::Show => self.decoder.decode(&unit.data),
        };
        match decoded {
            Ok(Some(decoded)) if task != Task::Decode => {
                let planes = decoded.planes();
                show(&mut self.writer, self.quality, &planes, unit.received, forms, &self.limits).map(Outcome::Picture)
            }
            Ok(_) => Ok(Outcome::Nothing),
            Err(Failure::Unsupported(what)) => Ok(Outcome::Unsupported(what)),
            Err(Failure::Damaged) => Ok(Outcome::Damaged),
        }
    }
}
