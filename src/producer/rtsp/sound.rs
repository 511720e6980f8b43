//! [`Listening`]: the sound of a source, which is read only while a client listens.
//!
//! A session that began without a listener has only the video. RTSP cannot add a track to a session that plays, so another session
//! begins beside it, whose sound is passed on at once, and which takes the place of the first one at its next keyframe: no picture is
//! late, and the source has two sessions for that time only.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::{sync::watch, time::Instant};

use super::{
    Plan,
    camera::{Camera, Refusal},
};
use crate::{
    rtsp_client::{Codec, Received, Sound as Offered, SoundFormat, Start, WantsSound},
    stream::{FrameSink, Sound, SoundCodec, SoundUnit},
};

/// The session with sound that takes the place of the one without.
enum Other {
    None,
    Connecting(BoxFuture<'static, Result<Camera, Refusal>>),
    Playing(Camera),
    /// It failed; tried again for the next first listener.
    Failed,
}

/// What the other session has brought.
pub(super) enum Heard {
    /// Something that concerns the sound only.
    Nothing,
    /// The other session is at a keyframe, and goes on in the place of the first one.
    Instead(Camera, Box<Received>),
}

pub(super) struct Listening {
    plan: Arc<Plan>,
    sink: FrameSink,
    codec: Codec,
    listeners: watch::Receiver<usize>,
    /// The session in use has no sound, because no client listened when it began.
    is_unwanted: bool,
    other: Other,
}

/// Whether a client listens, for a session that is about to begin.
pub(super) fn wanted(sink: &FrameSink) -> WantsSound {
    let listeners = sink.listeners();
    Arc::new(move || *listeners.borrow() > 0)
}

impl Listening {
    pub(super) fn new(plan: &Arc<Plan>, sink: &FrameSink, camera: &Camera) -> Self {
        let offered = camera.sound();
        sink.pass_anew(of(&offered));
        Listening {
            plan: plan.clone(),
            sink: sink.clone(),
            codec: camera.codec(),
            listeners: sink.listeners(),
            is_unwanted: offered == Offered::Unwanted,
            other: Other::None,
        }
    }

    /// Passes a frame of sound on.
    pub(super) fn pass(&self, received: Received) {
        self.sink.pass_sound(SoundUnit { data: received.unit.data, at: received.at, received_at: Instant::now() });
    }

    /// Waits for what concerns the other session; for ever if there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Heard {
        let is_wanted = self.is_unwanted && *self.listeners.borrow_and_update() > 0;
        if self.is_unwanted && !is_wanted && !matches!(self.other, Other::None) {
            // Also after a failure: the next listener gets another attempt.
            self.sink.set_sound(Sound::Unknown);
            self.other = Other::None;
        }
        if is_wanted && matches!(self.other, Other::None) {
            let (plan, wants) = (self.plan.clone(), wanted(&self.sink));
            self.other = Other::Connecting(Box::pin(async move { Camera::connect(&plan, wants).await }));
        }
        let outcome = tokio::select! {
            outcome = advance(&mut self.other) => outcome,
            // Never an error: the stream holds the sender and outlives its runs.
            _ = self.listeners.changed() => return Heard::Nothing,
        };
        match outcome {
            Ok(Step::Connected(camera)) if camera.codec() == self.codec => {
                self.sink.set_sound(of(&camera.sound()));
                self.other = Other::Playing(camera);
            }
            Ok(Step::Connected(_)) => self.fail("the source has changed"),
            Ok(Step::Received(received)) if received.is_sound => self.pass(*received),
            // The first session has this picture as well.
            Ok(Step::Received(received)) if received.unit.start != Start::Key => {}
            Ok(Step::Received(received)) => {
                self.is_unwanted = false;
                if let Other::Playing(camera) = std::mem::replace(&mut self.other, Other::None) {
                    return Heard::Instead(camera, received);
                }
            }
            Err(why) => self.fail(&why),
        }
        Heard::Nothing
    }

    fn fail(&mut self, why: &str) {
        tracing::debug!("{} gives no sound: {why}", self.plan.peer());
        self.other = Other::Failed;
        self.sink.set_sound(Sound::None(Some(format!("the source gives its sound to no second session: {why}"))));
    }
}

enum Step {
    Connected(Camera),
    Received(Box<Received>),
}

async fn advance(other: &mut Other) -> Result<Step, String> {
    match other {
        Other::None | Other::Failed => std::future::pending().await,
        Other::Connecting(connecting) => {
            connecting.await.map(Step::Connected).map_err(|refusal| refusal.error.to_string())
        }
        Other::Playing(camera) => match camera.next().await {
            Ok((received, _)) => Ok(Step::Received(Box::new(received))),
            Err(why) => Err(why.to_string()),
        },
    }
}

/// What readers of the stream know of the sound.
fn of(offered: &Offered) -> Sound {
    match offered {
        Offered::Absent => Sound::None(None),
        Offered::Unreadable(names) => {
            let (names, are) = (names.join(" and "), if names.len() == 1 { "is" } else { "are" });
            Sound::None(Some(format!("{names} {are} not passed on: browsers play AAC and Opus in MP4")))
        }
        Offered::Unwanted => Sound::Unknown,
        Offered::Refused(words) => Sound::None(Some(format!("the source refuses to send its sound: {words}"))),
        Offered::Playing(SoundFormat::Aac { config }) => Sound::Passed(SoundCodec::Aac { config: config.clone() }),
        Offered::Playing(SoundFormat::Opus { channels }) => Sound::Passed(SoundCodec::Opus { channels: *channels }),
    }
}
