//! [`LastFailure`]: why a producer has failed, for users and for programs.

use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    State,
    lifecycle::{Event, Stop, Timer},
};
use crate::error::{Cause, Code, Error};

/// Why a producer has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StreamFailure)]
pub struct LastFailure {
    /// A stable word of docs/errors.md, such as `rtsp_unreadable`.
    pub code: &'static str,
    /// Why the source gives no pictures: a stable word of docs/errors.md, such as `wrong_password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub cause: Option<Cause>,
    /// The reason in words.
    pub reason: String,
    /// When it failed (RFC 3339, UTC).
    pub at: String,
    /// The meaning of the cause or the code: a sentence without names and addresses.
    #[serde(skip)]
    pub title: &'static str,
}

fn no_picture_in_time() -> Error {
    Error::new(Code::NoPicture, Stop::NoPictureInTime.reason()).because(Cause::NoPicture)
}

/// The last failure since the last picture. It outlives the state `failing`, which ends with the last watcher: a page that looks
/// at the stream later still sees why it has no picture.
#[derive(Debug, Default)]
pub(super) struct Failures {
    last: Option<LastFailure>,
    /// The run of the producer that has failed.
    run: u64,
}

impl Failures {
    /// The failure, if no picture has arrived since.
    pub(super) fn last(&self) -> Option<LastFailure> {
        self.last.clone()
    }

    /// Notes the failure of a run.
    pub(super) fn note(&mut self, run: u64, error: &Error) {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let code = error.code();
        let title = error.cause().map_or(code.title(), Cause::title);
        let cause = error.cause();
        self.last = Some(LastFailure { code: code.as_str(), cause, reason: error.to_string(), at, title });
        self.run = run;
    }

    /// Takes a step of the lifecycle.
    pub(super) fn step(&mut self, run: u64, event: Event, after: State) {
        match (event, after) {
            (Event::Redefined, _) => self.last = None,
            // A picture that is pushed to a failing stream does not mend its producer.
            (Event::Picture, State::Starting | State::Live | State::Lingering { .. } | State::Idle) => self.last = None,
            // What the run itself has noted says more.
            (Event::Fired(Timer::Start), State::Failing { .. }) if self.last.is_none() || self.run != run => {
                self.note(run, &no_picture_in_time());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_known_until_a_picture_or_another_definition_comes() {
        let failing = State::Failing { watched: true };
        let refused = Error::new(Code::RtspUnreadable, "the camera says no").because(Cause::NotUnderstood);
        let code = |failures: &Failures| failures.last().map(|failure| failure.code);
        let mut failures = Failures::default();
        failures.note(1, &refused);
        failures.step(1, Event::Ended, failing);
        failures.step(1, Event::Unwatched, State::Failing { watched: false });
        failures.step(1, Event::Fired(Timer::Retry), State::Idle);
        assert_eq!(code(&failures), Some("rtsp_unreadable"), "it outlives its state");
        let last = failures.last().expect("a failure");
        assert_eq!((last.cause, last.title), (Some(Cause::NotUnderstood), Cause::NotUnderstood.title()));
        failures.step(2, Event::Fired(Timer::Start), failing);
        assert_eq!(code(&failures), Some("no_picture"), "the next run has failed in another way");
        failures.note(3, &refused);
        failures.step(3, Event::Fired(Timer::Start), failing);
        assert_eq!(code(&failures), Some("rtsp_unreadable"), "the run itself has said more");
        failures.step(3, Event::Picture, failing);
        assert_eq!(code(&failures), Some("rtsp_unreadable"), "a peer has pushed the picture");
        failures.step(4, Event::Picture, State::Live);
        assert_eq!(code(&failures), None);
        failures.note(5, &refused);
        failures.step(5, Event::Redefined, State::Starting);
        assert_eq!(code(&failures), None);
    }
}
