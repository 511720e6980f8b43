//! What holds for all texts that a viewer or a camera can send.

use super::{
    message::{CameraMessage, Form, ViewerMessage},
    sdp::{self, Wish},
};

/// Messages are read or refused, and what is passed on can be read again; session descriptions are rewritten or refused, and the answer
/// has as many sections as the offer.
pub(crate) fn hold(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok((message, _)) = ViewerMessage::read(&text) {
        for form in [Form::Encoded, Form::Plain] {
            let again = ViewerMessage::read(&message.text(form)).map(|(message, _)| message);
            assert_eq!(again.as_ref(), Ok(&message));
        }
    }
    let mut offer = text.to_string();
    if let Ok((message, _)) = CameraMessage::read(&text) {
        for form in [Form::Encoded, Form::Plain] {
            let again = CameraMessage::read(&message.text(form)).map(|(message, _)| message);
            assert_eq!(again.as_ref(), Ok(&message));
        }
        if let CameraMessage::Offer(sdp) = message {
            offer = sdp;
        }
    }
    let sections = |sdp: &str| sdp.split('\n').filter(|line| line.starts_with("m=")).count();
    for wish in [Wish::for_mediamtx(true, true), Wish::for_mediamtx(false, false), Wish::for_viewer(false, false)] {
        let Ok(rewritten) = sdp::rewrite(&offer, &wish) else { continue };
        let answer = rewritten.answer(&rewritten.sdp).unwrap_or_default();
        assert_eq!(sections(&answer), sections(&offer), "{offer:?}");
        assert!(sdp::receive_only(&answer).is_ok());
    }
}
