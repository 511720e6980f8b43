//! Video by WebSocket, in go2rtc's messages: a text message with the media type, and then binary messages for a browser's `MediaSource`
//! (`mse`: the init segment, and a fragment for each frame) or for a `<video>` that shows one picture after the other (`mp4`: a file with
//! one keyframe in each message).

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{
    error::Result,
    output::fmp4::{Accepts, Feed},
};

/// The form of the binary messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Mse,
    Mp4,
}

impl Form {
    /// The form that a message of this type asks for.
    pub(super) fn of(kind: &str) -> Option<Self> {
        [Form::Mse, Form::Mp4].into_iter().find(|form| form.kind() == kind)
    }

    fn kind(self) -> &'static str {
        match self {
            Form::Mse => "mse",
            Form::Mp4 => "mp4",
        }
    }
}

/// The video of one client.
pub(super) enum Video {
    /// The client gets none.
    Off,
    /// The client has asked for it.
    Opening { form: Form, accepts: Accepts, opening: BoxFuture<'static, Result<Feed>> },
    /// The client gets it. `is_new`: there is a picture that it does not have in a file yet.
    Playing { form: Form, feed: Feed, has_begun: bool, is_new: bool },
}

/// What to send next.
#[derive(Debug)]
pub(super) enum Step {
    /// The media type, before the first piece; and why there is no sound, if the source has some.
    Begin { kind: &'static str, media_type: String, note: Option<String> },
    /// A binary message, in two parts.
    Data(Bytes, Bytes),
    /// There is no video.
    Refused { kind: &'static str, why: String },
    /// There is no further video.
    Ended { kind: &'static str, why: &'static str },
}

impl Video {
    pub(super) fn opening(form: Form, accepts: Accepts, opening: BoxFuture<'static, Result<Feed>>) -> Self {
        Video::Opening { form, accepts, opening }
    }

    /// Waits for the next step; without end if there is no video. Cancel-safe.
    pub(super) async fn next(&mut self) -> Step {
        match self {
            Video::Off => std::future::pending().await,
            Video::Opening { form, accepts, opening } => {
                let opened = opening.await;
                let (form, kind) = (*form, form.kind());
                let step = match &opened {
                    Ok(feed) if accepts.plays(&feed.tracks().video.codec) => {
                        Step::Begin { kind, media_type: feed.tracks().content_type(), note: feed.note() }
                    }
                    Ok(feed) => {
                        let codec = &feed.tracks().video.codec;
                        Step::Refused { kind, why: format!("the client does not play {codec}") }
                    }
                    Err(why) => Step::Refused { kind, why: why.to_string() },
                };
                *self = match opened {
                    Ok(feed) if matches!(step, Step::Begin { .. }) => {
                        Video::Playing { form, feed, has_begun: false, is_new: true }
                    }
                    _ => Video::Off,
                };
                step
            }
            Video::Playing { form, feed, has_begun, is_new } => {
                if *form == Form::Mse && !*has_begun {
                    *has_begun = true;
                    return Step::Data(feed.init(), Bytes::new());
                }
                loop {
                    let piece = match feed.next().await {
                        Ok(piece) => piece,
                        Err(why) => {
                            let kind = form.kind();
                            *self = Video::Off;
                            return Step::Ended { kind, why: why.0 };
                        }
                    };
                    // A new picture can come between keyframes, and the next keyframe repeats it.
                    *is_new |= !piece.is_repeated;
                    match form {
                        Form::Mse => return Step::Data(piece.head, piece.data),
                        Form::Mp4 if piece.is_keyframe && *is_new => {
                            *is_new = false;
                            return Step::Data([feed.init(), piece.head].concat().into(), piece.data);
                        }
                        Form::Mp4 => {}
                    }
                }
            }
        }
    }

    /// Frames that the client missed because it was slow.
    pub(super) fn dropped(&self) -> u64 {
        match self {
            Video::Playing { feed, .. } => feed.dropped(),
            _ => 0,
        }
    }
}
