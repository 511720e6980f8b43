//! One call as a state machine: which message goes to whom, what is held back, and when a call is over. Pure: it has no socket and
//! no clock.
//!
//! ```text
//! Idle ── call ──▶ Opening ── opened ──▶ Called ── offer ──▶ Offered ── answer ──▶ Answered
//! ```
//!
//! Candidates of both sides are held until the answer is with the camera: UV4L drops those that come before, and pages that were
//! written for it take them only after the offer.

use actix_http::ws::CloseCode;
use tokio::time::{Duration, Instant};

use super::{
    message::{CallOptions, CameraMessage, Candidate, Fault, Form, ViewerMessage},
    sdp::{self, Rewritten, Wish},
};
use crate::websocket::Ending;

/// How long a viewer can be connected without a call, a camera can take for its offer (with the time of connecting), and a viewer
/// for its answer.
const CALL_WITHIN: Duration = Duration::from_secs(30);
const OFFER_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Cameras of 2018 send their candidates only when they are asked. Later ones take the question for nothing.
const CANDIDATES_WITHIN: Duration = Duration::from_secs(2);

/// Most messages of one side. A call has about thirty.
const MAX_MESSAGES: u32 = 200;

/// Most messages that are held back for one side.
const MAX_HELD: usize = 64;

/// What the viewer may do, and what is fixed for the camera.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Options of the call that count instead of the viewer's.
    pub fixed: CallOptions,
    /// Whether the sound of the camera is passed on.
    pub audio: bool,
    /// Whether the viewer may send: sound, video and data channels.
    pub may_send: bool,
    /// The form of `data` for the viewer.
    pub form: Form,
}

/// What must be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connect to the camera, then call [`Conversation::opened`] or [`Conversation::failed`].
    Open,
    /// Send this text to the camera.
    ToCamera(String),
    /// Send this text to the viewer.
    ToViewer(String),
    /// Say `hangup` to the camera if it is connected, and close both connections.
    End(Close),
}

/// How the viewer's connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code of RFC 6455.
    pub code: CloseCode,
    /// The reason, in ASCII.
    pub reason: &'static str,
}

impl Close {
    const fn new(code: CloseCode, reason: &'static str) -> Self {
        Close { code, reason }
    }

    /// The call is over as planned.
    pub const HANGUP: Close = Close::new(CloseCode::Normal, "the call has ended");
    /// All calls of the camera are taken.
    pub const BUSY: Close = Close::new(CloseCode::Again, "busy");
    /// Another viewer has the camera now.
    pub const TAKEN_OVER: Close = Close::new(CloseCode::Policy, "another viewer has taken the camera over");
    /// The camera does not do its part.
    pub const CAMERA: Close = Close::new(CloseCode::Away, "the camera has failed; see the message before");
    const VIEWER: Close = Close::new(CloseCode::Policy, "the viewer has failed; see the message before");
}

impl From<Close> for Ending {
    fn from(close: Close) -> Self {
        Ending { code: close.code, reason: close.reason }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Opening,
    Called,
    Offered,
    Answered,
    Ended,
}

/// One call.
#[derive(Debug)]
pub struct Conversation {
    terms: Terms,
    state: State,
    call: CallOptions,
    offer: Option<Rewritten>,
    camera_form: Form,
    for_camera: Vec<Option<Candidate>>,
    for_viewer: Vec<CameraMessage>,
    received: [u32; 2],
    deadline: Option<Instant>,
    /// When an old camera is asked for its candidates.
    generate_at: Option<Instant>,
}

impl Conversation {
    /// A conversation with a viewer that has just connected.
    pub fn new(terms: Terms, now: Instant) -> Self {
        Conversation {
            terms,
            state: State::Idle,
            call: CallOptions::default(),
            offer: None,
            camera_form: Form::default(),
            for_camera: vec![],
            for_viewer: vec![],
            received: [0; 2],
            deadline: Some(now + CALL_WITHIN),
            generate_at: None,
        }
    }

    /// When [`Conversation::expired`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        [self.deadline, self.generate_at].into_iter().flatten().min()
    }

    /// Whether the call has begun and not ended.
    #[cfg(test)]
    pub fn is_calling(&self) -> bool {
        !matches!(self.state, State::Idle | State::Ended)
    }

    fn end(&mut self, text: Option<String>, close: Close) -> Vec<Step> {
        self.state = State::Ended;
        (self.deadline, self.generate_at) = (None, None);
        let told = text.map(|text| Step::ToViewer(CameraMessage::Text(text).text(self.terms.form)));
        told.into_iter().chain([Step::End(close)]).collect()
    }

    fn tell(&self, text: String) -> Vec<Step> {
        vec![Step::ToViewer(CameraMessage::Text(text).text(self.terms.form))]
    }

    fn counts(&mut self, side: usize) -> bool {
        let Some(received) = self.received.get_mut(side) else { return false };
        *received += 1;
        *received <= MAX_MESSAGES
    }

    /// A text of the viewer.
    pub fn by_viewer(&mut self, text: &str, now: Instant) -> Vec<Step> {
        if !self.counts(0) {
            return self.end(Some(format!("more than {MAX_MESSAGES} messages in one call")), Close::VIEWER);
        }
        let (message, _) = match ViewerMessage::read(text) {
            Ok(read) => read,
            // Later pages can have more messages, which the camera would only be confused by.
            Err(fault @ Fault::Unknown(_)) => return self.tell(format!("ignored: {fault}")),
            Err(fault) => return self.end(Some(format!("the message cannot be read: {fault}")), Close::VIEWER),
        };
        match (message, self.state) {
            (_, State::Ended) => vec![],
            (ViewerMessage::Call(options), State::Idle) => {
                let fixed = self.terms.fixed;
                self.call = CallOptions {
                    force_hw_vcodec: fixed.force_hw_vcodec.or(options.force_hw_vcodec),
                    vformat: fixed.vformat.or(options.vformat),
                    trickle_ice: fixed.trickle_ice.or(options.trickle_ice),
                };
                self.state = State::Opening;
                self.deadline = Some(now + OFFER_WITHIN);
                vec![Step::Open]
            }
            (ViewerMessage::Call(_), _) => self.tell("ignored: this connection has a call already".into()),
            (ViewerMessage::Hangup, _) => self.end(None, Close::HANGUP),
            (ViewerMessage::Answer(sdp), State::Offered) => self.answer(&sdp, now),
            (ViewerMessage::Candidate(candidate), State::Answered) => {
                vec![Step::ToCamera(ViewerMessage::Candidate(candidate).text(self.camera_form))]
            }
            (ViewerMessage::Candidate(candidate), State::Offered) if self.for_camera.len() < MAX_HELD => {
                self.for_camera.push(candidate);
                vec![]
            }
            (ViewerMessage::Generate, State::Answered) => {
                self.generate_at = None;
                vec![Step::ToCamera(ViewerMessage::Generate.text(self.camera_form))]
            }
            // Old pages ask right after they have sent the answer, or even before; the question is asked then if it is needed.
            (ViewerMessage::Generate, State::Offered) => vec![],
            (_, State::Idle) => self.end(Some("the first message must be call".into()), Close::VIEWER),
            (_, _) => self.tell("ignored: the message is not expected at this point of the call".into()),
        }
    }

    fn answer(&mut self, sdp: &str, now: Instant) -> Vec<Step> {
        let restored = match &self.offer {
            Some(offer) => offer.answer(sdp),
            None => Err("there is no offer".into()),
        };
        let restored = match self.terms.may_send {
            true => restored,
            false => restored.and_then(|sdp| sdp::receive_only(&sdp)),
        };
        let restored = match restored {
            Ok(sdp) => sdp,
            Err(why) => return self.end(Some(format!("the answer cannot be used: {why}")), Close::VIEWER),
        };
        self.state = State::Answered;
        self.deadline = None;
        let form = self.camera_form;
        let mut steps = vec![Step::ToCamera(ViewerMessage::Answer(restored).text(form))];
        let for_camera = std::mem::take(&mut self.for_camera).into_iter();
        steps.extend(for_camera.map(|one| Step::ToCamera(ViewerMessage::Candidate(one).text(form))));
        let for_viewer = std::mem::take(&mut self.for_viewer);
        let has_candidates = self.offer.as_ref().is_some_and(Rewritten::has_candidates);
        if for_viewer.is_empty() && !has_candidates {
            self.generate_at = Some(now + CANDIDATES_WITHIN);
        }
        steps.extend(for_viewer.into_iter().map(|message| Step::ToViewer(message.text(self.terms.form))));
        steps
    }

    /// The connection to the camera is open.
    pub fn opened(&mut self) -> Vec<Step> {
        if self.state != State::Opening {
            return vec![];
        }
        self.state = State::Called;
        vec![Step::ToCamera(ViewerMessage::Call(self.call).text(Form::Encoded))]
    }

    /// The camera cannot be reached, or has no free call; the reason in words.
    pub fn failed(&mut self, why: String, close: Close) -> Vec<Step> {
        self.end(Some(why), close)
    }

    /// A text of the camera.
    pub fn by_camera(&mut self, text: &str, now: Instant) -> Vec<Step> {
        if !self.counts(1) {
            return self.end(Some(format!("the camera sends more than {MAX_MESSAGES} messages")), Close::CAMERA);
        }
        let (message, form) = match CameraMessage::read(text) {
            Ok(read) => read,
            Err(fault @ Fault::Unknown(_)) => {
                tracing::debug!("the camera sends a message that is not passed on: {fault}");
                return vec![];
            }
            Err(fault) => {
                return self.end(Some(format!("a message of the camera cannot be read: {fault}")), Close::CAMERA);
            }
        };
        match (message, self.state) {
            (_, State::Idle | State::Opening | State::Ended) => vec![],
            (CameraMessage::Offer(sdp), State::Called) => {
                let wish = Wish::for_viewer(self.terms.audio, self.terms.may_send);
                let offer = match sdp::rewrite(&sdp, &wish) {
                    Ok(offer) => offer,
                    Err(why) => return self.end(Some(format!("the offer cannot be used: {why}")), Close::CAMERA),
                };
                let message = CameraMessage::Offer(offer.sdp.clone()).text(self.terms.form);
                (self.offer, self.camera_form, self.state) = (Some(offer), form, State::Offered);
                self.deadline = Some(now + ANSWER_WITHIN);
                vec![Step::ToViewer(message)]
            }
            (CameraMessage::Offer(_), _) => {
                tracing::debug!("the camera sends a second offer, which is not passed on");
                vec![]
            }
            (message @ (CameraMessage::Candidate(_) | CameraMessage::Candidates(_)), State::Answered) => {
                self.generate_at = None;
                vec![Step::ToViewer(message.text(self.terms.form))]
            }
            (message @ (CameraMessage::Candidate(_) | CameraMessage::Candidates(_)), _) => {
                if self.for_viewer.len() < MAX_HELD {
                    self.for_viewer.push(message);
                }
                vec![]
            }
            (message @ CameraMessage::Text(_), State::Called) => {
                // Before an offer it is an error, such as "busy": UV4L sends nothing behind it.
                let mut steps = vec![Step::ToViewer(message.text(self.terms.form))];
                steps.extend(self.end(None, Close::CAMERA));
                steps
            }
            (message @ CameraMessage::Text(_), _) => vec![Step::ToViewer(message.text(self.terms.form))],
            (CameraMessage::Hangup, _) => {
                let mut steps = vec![Step::ToViewer(CameraMessage::Hangup.text(self.terms.form))];
                steps.extend(self.end(None, Close::HANGUP));
                steps
            }
        }
    }

    /// The camera's connection has ended; the reason in words.
    pub fn camera_gone(&mut self, why: &str) -> Vec<Step> {
        self.end(Some(format!("the camera has ended the connection: {why}")), Close::CAMERA)
    }

    /// A deadline has passed.
    pub fn expired(&mut self, now: Instant) -> Vec<Step> {
        if self.generate_at.is_some_and(|at| at <= now) {
            self.generate_at = None;
            return vec![Step::ToCamera(ViewerMessage::Generate.text(self.camera_form))];
        }
        if self.deadline.is_none_or(|at| at > now) {
            return vec![];
        }
        match self.state {
            State::Idle => self.end(Some(format!("there was no call within {CALL_WITHIN:?}")), Close::VIEWER),
            State::Opening => {
                self.end(Some(format!("the camera cannot be reached within {OFFER_WITHIN:?}")), Close::CAMERA)
            }
            State::Called => self.end(Some(format!("the camera sent no offer within {OFFER_WITHIN:?}")), Close::CAMERA),
            State::Offered => self.end(Some(format!("there was no answer within {ANSWER_WITHIN:?}")), Close::VIEWER),
            State::Answered | State::Ended => vec![],
        }
    }
}

#[cfg(test)]
mod tests;
