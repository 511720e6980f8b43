//! One call for MediaMTX: introduces a camera and MediaMTX to each other, and watches over the session.

use tokio::time::{Duration, Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    mediamtx::{Whip, WhipSession},
    stream::StreamName,
    uv4l::{
        Cameras, Defined,
        cameras::{Call, Party, Refused},
        demand::{BridgeState, Demand, LOOK_EVERY},
        message::{CameraMessage, Candidate, Fault, Form, ViewerMessage},
        sdp::{self, Rewritten, Wish},
        upstream::Upstream,
    },
};

/// How long a camera can take for its offer, with the time of connecting.
const OFFER_WITHIN: Duration = Duration::from_secs(10);

/// How long it can take until MediaMTX has the video. Its own limit for the handshake is 10 s (webrtcHandshakeTimeout), and its
/// list is seen up to two seconds late.
const MEDIA_WITHIN: Duration = Duration::from_secs(14);

/// How long the session can be missing from MediaMTX's list: one list can be from before its begin.
const MISSING_FOR: Duration = Duration::from_secs(5);

/// Cameras of 2018 send their candidates only when they are asked.
const CANDIDATES_WITHIN: Duration = Duration::from_secs(2);

/// Most candidates that are held until MediaMTX has answered, and most messages of the camera in one call.
const MAX_HELD: usize = 64;
const MAX_MESSAGES: usize = 1000;

/// Why a call has ended.
pub(super) enum Ended {
    /// The path was removed or changed, or the program ends.
    Stopped,
    /// The path has no reader any longer.
    NotWanted,
    /// In words.
    Failed(String),
}

/// What a call needs.
pub(super) struct Introduction {
    pub(super) cameras: Cameras,
    pub(super) whip: Whip,
    pub(super) name: StreamName,
    pub(super) defined: Defined,
    pub(super) demand: Demand,
}

/// How far a call is.
struct Progress {
    offer: Option<Rewritten>,
    session: Option<WhipSession>,
    form: Form,
    held: Vec<Candidate>,
    messages: usize,
    generate_at: Option<Instant>,
    /// When the camera or MediaMTX must have done its part; none while the video arrives.
    deadline: Option<Instant>,
    /// When the session was in MediaMTX's list.
    seen_at: Option<Instant>,
}

impl Introduction {
    /// Makes one call. At its end the camera is hung up, and the session at MediaMTX is ended.
    pub(super) async fn run(&self, stop: &CancellationToken) -> Ended {
        let deadline = Instant::now() + OFFER_WITHIN;
        let opening = timeout(OFFER_WITHIN, self.cameras.open(&self.name, Party::MediaMtx, false));
        let Call { mut upstream, place: _place } = tokio::select! {
            opened = opening => match opened {
                Ok(Ok(call)) => call,
                Ok(Err(Refused::Busy(why) | Refused::Failed(why))) => return Ended::Failed(why),
                Err(_) => return Ended::Failed(format!("the camera cannot be reached within {OFFER_WITHIN:?}")),
            },
            () = stop.cancelled() => return Ended::Stopped,
        };
        let mut progress = Progress {
            offer: None,
            session: None,
            form: Form::default(),
            held: vec![],
            messages: 0,
            generate_at: None,
            deadline: Some(deadline),
            seen_at: None,
        };
        let ended = tokio::select! {
            ended = self.talk(&mut upstream, &mut progress) => ended,
            () = stop.cancelled() => Ended::Stopped,
        };
        let ending = async {
            if let Some(session) = &progress.session
                && let Err(e) = self.whip.end(session).await
            {
                tracing::debug!(path = %self.name, "the session at MediaMTX was not ended: {}", e.chain());
            }
        };
        tokio::join!(upstream.hang_up(), ending);
        ended
    }

    async fn talk(&self, upstream: &mut Upstream, progress: &mut Progress) -> Ended {
        let call = ViewerMessage::Call(self.defined.camera.for_mediamtx()).text(Form::Encoded);
        if let Err(why) = upstream.send(call).await {
            return Ended::Failed(why);
        }
        let mut look_at = Instant::now() + LOOK_EVERY;
        loop {
            let ping_due = upstream.ping_due();
            let never = ping_due + OFFER_WITHIN;
            let done = tokio::select! {
                received = upstream.next() => match received {
                    Ok(received) => match upstream.take(received).await {
                        Ok(Some(text)) => self.take(&text, upstream, progress).await,
                        Ok(None) => Ok(()),
                        Err(why) => Err(format!("the camera has ended the call: {why}")),
                    },
                    Err(why) => Err(format!("the camera has ended the call: {why}")),
                },
                () = sleep_until(ping_due) => upstream.keep_alive().await,
                () = sleep_until(progress.generate_at.unwrap_or(never)), if progress.generate_at.is_some() => {
                    progress.generate_at = None;
                    upstream.send(ViewerMessage::Generate.text(progress.form)).await
                }
                () = sleep_until(progress.deadline.unwrap_or(never)), if progress.deadline.is_some() => {
                    Err(match progress.session {
                        None => format!("the camera sent no offer within {OFFER_WITHIN:?}"),
                        Some(_) => format!("no video has arrived at MediaMTX within {MEDIA_WITHIN:?}"),
                    })
                }
                () = sleep_until(look_at) => {
                    look_at = Instant::now() + LOOK_EVERY;
                    if self.defined.on_demand && !self.demand.is_wanted() {
                        return Ended::NotWanted;
                    }
                    self.look(progress)
                }
            };
            if let Err(why) = done {
                return Ended::Failed(why);
            }
        }
    }

    /// Looks whether MediaMTX has the session.
    fn look(&self, progress: &mut Progress) -> Result<(), String> {
        let Some(session) = &progress.session else { return Ok(()) };
        let source = self.demand.seen().and_then(|seen| seen.source);
        let is_there = source.is_some_and(|id| session.id.is_empty() || id == session.id);
        let now = Instant::now();
        match (is_there, progress.seen_at) {
            (true, before) => {
                progress.seen_at = Some(now);
                progress.deadline = None;
                if before.is_none() {
                    self.demand.tell(BridgeState::Live, "video arrives");
                }
                Ok(())
            }
            (false, Some(at)) if now - at >= MISSING_FOR => Err("MediaMTX has ended the session".into()),
            (false, _) => Ok(()),
        }
    }

    /// A text of the camera.
    async fn take(&self, text: &str, upstream: &mut Upstream, progress: &mut Progress) -> Result<(), String> {
        progress.messages += 1;
        if progress.messages > MAX_MESSAGES {
            return Err(format!("the camera sends more than {MAX_MESSAGES} messages"));
        }
        let (message, form) = match CameraMessage::read(text) {
            Ok(read) => read,
            Err(Fault::Unknown(_)) => return Ok(()),
            Err(fault) => return Err(format!("a message of the camera cannot be read: {fault}")),
        };
        match message {
            CameraMessage::Offer(sdp) if progress.offer.is_none() => {
                progress.form = form;
                self.introduce(&sdp, upstream, progress).await
            }
            CameraMessage::Offer(_) => Ok(()),
            CameraMessage::Candidate(one) => {
                self.trickle(one.into_iter().collect(), progress).await;
                Ok(())
            }
            CameraMessage::Candidates(all) => {
                self.trickle(all, progress).await;
                Ok(())
            }
            CameraMessage::Text(text) if progress.offer.is_none() => Err(format!("the camera says: {text}")),
            CameraMessage::Text(text) => {
                tracing::info!(path = %self.name, "the camera says: {text}");
                Ok(())
            }
            CameraMessage::Hangup => Err("the camera has hung up".into()),
        }
    }

    /// Gives the offer to MediaMTX, and the answer to the camera.
    async fn introduce(&self, sdp: &str, upstream: &mut Upstream, progress: &mut Progress) -> Result<(), String> {
        let camera = &self.defined.camera;
        let wish = Wish::for_mediamtx(camera.audio.unwrap_or(false), camera.h264_only);
        let offer = sdp::rewrite(sdp, &wish)?;
        let session = self.whip.publish(&self.name, &offer.sdp).await.map_err(|e| e.chain())?;
        // It must be ended, whatever follows.
        let session = progress.session.insert(session);
        let answer = offer.answer(&session.sdp).map_err(|why| format!("MediaMTX's answer cannot be used: {why}"))?;
        let has_candidates = offer.has_candidates() || !progress.held.is_empty();
        progress.offer = Some(offer);
        upstream.send(ViewerMessage::Answer(answer).text(progress.form)).await?;
        let now = Instant::now();
        progress.deadline = Some(now + MEDIA_WITHIN);
        progress.generate_at = (!has_candidates).then_some(now + CANDIDATES_WITHIN);
        self.demand.tell(BridgeState::Starting, "the camera connects to MediaMTX");
        let held = std::mem::take(&mut progress.held);
        self.trickle(held, progress).await;
        Ok(())
    }

    /// Gives candidates of the camera to MediaMTX, which mostly learns them from the camera's packets.
    async fn trickle(&self, candidates: Vec<Candidate>, progress: &mut Progress) {
        progress.generate_at = progress.generate_at.filter(|_| candidates.is_empty());
        let (Some(offer), Some(session)) = (&progress.offer, &progress.session) else {
            let room = MAX_HELD.saturating_sub(progress.held.len());
            progress.held.extend(candidates.into_iter().take(room));
            return;
        };
        let Some(fragment) = offer.fragment(&candidates) else { return };
        let (whip, session, name) = (self.whip.clone(), session.clone(), self.name.clone());
        tokio::spawn(async move {
            if let Err(e) = whip.trickle(&session, fragment).await {
                tracing::debug!(path = %name, "MediaMTX does not take a candidate: {}", e.chain());
            }
        });
    }
}
