//! [`Relief`]: decides when ffmpeg decodes a camera's H.264 instead of openh264. A process is worth its start if the camera is watched
//! for longer.

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::{
    Decoding, Plan,
    backlog::ReceivedUnit,
    engine::{Engine, OpenH264},
    piped::Piped,
};
use crate::{error::Result, h264::Layout, stream::Demand};

/// How long a camera is watched before ffmpeg is started. The pictures of the first moments come from openh264, without waiting
/// for a process.
const WORTHWHILE: Duration = Duration::from_secs(1);

/// Decides when ffmpeg decodes instead of openh264: from the second keyframe on of a camera that is watched continuously.
pub(super) struct Relief {
    plan: Arc<Plan>,
    /// Since when the camera is watched continuously.
    since: Option<Instant>,
    /// A process that waits for a keyframe.
    waiting: Option<Piped>,
    is_off: bool,
}

impl Relief {
    /// Off if ffmpeg is not installed, or not wanted.
    pub(super) fn new(plan: &Arc<Plan>) -> Self {
        let is_off = plan.common.settings().decoder == Decoding::Openh264 || !plan.is_ffmpeg_installed();
        Relief { plan: plan.clone(), since: None, waiting: None, is_off }
    }

    /// The engine that decodes from this unit on, if it is another one than now.
    pub(super) fn engine(&mut self, now: &Engine, unit: &ReceivedUnit, demand: Demand) -> Result<Option<Engine>> {
        if demand != Demand::Continuous {
            (self.since, self.waiting) = (None, None);
        }
        match now {
            Engine::Piped(piped) if unit.is_key => {
                let is_same = Layout::of(&unit.data).is_none_or(|layout| Some(layout) == piped.layout());
                if demand != Demand::Continuous || !is_same {
                    self.since = None;
                    return Ok(Some(Engine::OpenH264(OpenH264::new(&self.plan)?)));
                }
            }
            Engine::OpenH264(openh264) if demand == Demand::Continuous && !self.is_off => {
                let since = *self.since.get_or_insert_with(Instant::now);
                if self.waiting.is_none() && since.elapsed() >= WORTHWHILE {
                    self.spawn(openh264.reorders());
                }
                if unit.is_key
                    && let Some(layout) = Layout::of(&unit.data)
                    && self.plan.limits.check_pixels(layout.width, layout.height).is_ok()
                    && let Some(mut piped) = self.waiting.take()
                {
                    piped.begin(layout);
                    return Ok(Some(Engine::Piped(Box::new(piped))));
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// ffmpeg has failed: openh264 decodes until the camera is connected again.
    pub(super) fn give_up(&mut self) {
        self.is_off = true;
    }

    fn spawn(&mut self, reorders: bool) {
        let Some(permit) = self.plan.common.decoder_permit() else { return };
        match Piped::spawn(&self.plan, reorders, permit) {
            Ok(piped) => self.waiting = Some(piped),
            Err(e) => {
                tracing::warn!("ffmpeg cannot be started to decode {}: {e}", self.plan.peer());
                self.is_off = true;
            }
        }
    }
}
