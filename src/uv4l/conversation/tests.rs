use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const OFFER: &str = "v=0\r\ns=-\r\na=group:BUNDLE audio video data\r\nm=audio 9 x 1\r\na=mid:audio\r\na=sendrecv\r\n\
    m=video 9 x 2\r\na=mid:video\r\na=sendonly\r\nm=application 9 x 3\r\na=mid:data\r\n";

fn terms() -> Terms {
    Terms { audio: true, may_send: true, ..Terms::default() }
}

fn text(what: &str, data: &Value) -> String {
    let data = if data.is_null() { json!("") } else { json!(data.to_string()) };
    json!({"what": what, "data": data}).to_string()
}

fn sdp(what: &str, sdp: &str) -> String {
    text(what, &json!({"type": what, "sdp": sdp}))
}

fn candidate(what: &str, n: u32) -> String {
    text(what, &json!({"sdpMLineIndex": 0, "candidate": format!("candidate:{n}")}))
}

/// The messages of the steps: side, `what`, and `data` decoded.
fn sent(steps: &[Step]) -> Vec<(char, String, Value)> {
    let read = |side, text: &str| {
        let message: Value = serde_json::from_str(text).expect("JSON");
        let data = message["data"].as_str().map(|data| serde_json::from_str(data).unwrap_or(json!(data)));
        (side, message["what"].as_str().expect("a word").to_owned(), data.unwrap_or_default())
    };
    let messages = steps.iter().filter_map(|step| match step {
        Step::ToCamera(text) => Some(read('c', text)),
        Step::ToViewer(text) => Some(read('v', text)),
        Step::Open | Step::End(_) => None,
    });
    messages.collect()
}

fn words(steps: &[Step]) -> Vec<String> {
    sent(steps).into_iter().map(|(side, what, _)| format!("{side} {what}")).collect()
}

fn ended(steps: &[Step]) -> Option<(CloseCode, String)> {
    let Some(Step::End(close)) = steps.last() else { return None };
    let said = sent(steps).last().map(|(_, _, data)| data.as_str().unwrap_or_default().to_owned());
    Some((close.code, said.unwrap_or_default()))
}

/// A call up to this point: 1 called, 2 offered, 3 answered.
fn at(point: u32, terms: Terms, now: Instant) -> Conversation {
    let mut call = Conversation::new(terms, now);
    assert_eq!(call.by_viewer(r#"{"what":"call"}"#, now), [Step::Open]);
    assert_eq!(words(&call.opened()), ["c call"]);
    if point > 1 {
        assert_eq!(words(&call.by_camera(&sdp("offer", OFFER), now)), ["v offer"]);
    }
    if point > 2 {
        let steps = call.by_viewer(&sdp("answer", &offer_for(terms)), now);
        assert_eq!(words(&steps), ["c answer"]);
    }
    call
}

/// An answer with the sections that the viewer was offered.
fn offer_for(terms: Terms) -> String {
    sdp::rewrite(OFFER, &Wish::for_viewer(terms.audio, terms.may_send)).expect("an offer").sdp
}

#[test]
fn candidates_of_both_sides_are_held_until_the_answer_is_out() {
    let now = Instant::now();
    let mut call = at(2, terms(), now);
    assert_eq!(call.by_camera(&candidate("iceCandidate", 1), now), []);
    assert_eq!(call.by_viewer(&candidate("addIceCandidate", 2), now), []);
    assert_eq!(call.by_viewer(&text("addIceCandidate", &Value::Null), now), []);
    let steps = call.by_viewer(&sdp("answer", OFFER), now);
    assert_eq!(words(&steps), ["c answer", "c addIceCandidate", "c addIceCandidate", "v iceCandidate"]);
    assert_eq!(sent(&steps)[1].2["candidate"], "candidate:2");
    assert_eq!(words(&call.by_viewer(&candidate("addIceCandidate", 3), now)), ["c addIceCandidate"]);
    assert_eq!(words(&call.by_camera(&text("iceCandidate", &Value::Null), now)), ["v iceCandidate"]);
}

#[test]
fn an_old_camera_is_asked_for_its_candidates_when_none_came() {
    let now = Instant::now();
    let mut call = at(3, terms(), now);
    assert_eq!(call.deadline(), Some(now + CANDIDATES_WITHIN));
    assert_eq!(call.expired(now + Duration::from_secs(1)), []);
    assert_eq!(words(&call.expired(now + CANDIDATES_WITHIN)), ["c generateIceCandidates"]);
    assert_eq!(call.deadline(), None, "asked once, and an answered call has no limit");
    let all = text("iceCandidates", &json!([{"candidate": "candidate:1", "sdpMLineIndex": 0}]));
    assert_eq!(words(&call.by_camera(&all, now)), ["v iceCandidates"]);

    let mut call = at(3, terms(), now);
    assert_eq!(words(&call.by_camera(&candidate("iceCandidate", 1), now)), ["v iceCandidate"]);
    assert_eq!(call.deadline(), None, "candidates come by themselves");
    let mut call = at(1, terms(), now);
    let with_candidates = OFFER.replace("a=sendonly", "a=candidate:1 1 udp 1 192.0.2.1 9 typ host");
    call.by_camera(&sdp("offer", &with_candidates), now);
    call.by_viewer(&sdp("answer", OFFER), now);
    assert_eq!(call.deadline(), None, "the offer has candidates");
    let mut call = at(3, terms(), now);
    assert_eq!(words(&call.by_viewer(r#"{"what":"generateIceCandidates"}"#, now)), ["c generateIceCandidates"]);
    assert_eq!(call.deadline(), None, "the viewer has asked itself");
}

#[test]
fn the_camera_gets_the_form_that_it_sends_and_the_viewer_the_one_it_asks_for() {
    let now = Instant::now();
    let mut call = at(1, Terms { form: Form::Plain, ..terms() }, now);
    let plain = json!({"what": "offer", "data": {"type": "offer", "sdp": OFFER}}).to_string();
    let [Step::ToViewer(offer)] = &call.by_camera(&plain, now)[..] else { panic!("an offer") };
    let offer: Value = serde_json::from_str(offer).expect("JSON");
    assert_eq!(offer["data"]["type"], "offer");
    let [Step::ToCamera(answer)] = &call.by_viewer(&sdp("answer", OFFER), now)[..] else { panic!("an answer") };
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    assert_eq!(answer["data"]["type"], "answer");
}

#[test]
fn fixed_options_count_instead_of_those_of_the_viewer() {
    let now = Instant::now();
    let fixed = CallOptions { vformat: Some(60), trickle_ice: None, force_hw_vcodec: Some(true) };
    let mut call = Conversation::new(Terms { fixed, ..terms() }, now);
    call.by_viewer(r#"{"what":"call","options":{"vformat":10,"trickle_ice":false,"force_hw_vcodec":false}}"#, now);
    let [Step::ToCamera(text)] = &call.opened()[..] else { panic!("a call") };
    let options: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(options["options"], json!({"vformat": 60, "trickle_ice": false, "force_hw_vcodec": true}));
}

#[test]
fn a_viewer_without_the_permission_to_publish_sends_nothing() {
    let now = Instant::now();
    let terms = Terms { may_send: false, ..terms() };
    let mut call = at(1, terms, now);
    let steps = call.by_camera(&sdp("offer", OFFER), now);
    let offered = sent(&steps)[0].2["sdp"].as_str().expect("SDP").to_owned();
    assert!(offered.contains("m=audio") && !offered.contains("m=application"), "{offered}");
    let steps = call.by_viewer(&sdp("answer", &offered), now);
    let answer = sent(&steps)[0].2["sdp"].as_str().expect("SDP").to_owned();
    assert!(!answer.contains("sendrecv") && !answer.contains("sendonly"), "{answer}");
    assert!(answer.contains("m=application 0 x 3\r\n"), "{answer}");
}

#[test]
fn every_wait_has_an_end() {
    let now = Instant::now();
    let mut idle = Conversation::new(terms(), now);
    assert_eq!(idle.deadline(), Some(now + CALL_WITHIN));
    assert_eq!(
        ended(&idle.expired(now + CALL_WITHIN)),
        Some((CloseCode::Policy, "there was no call within 30s".into()))
    );
    let mut opening = Conversation::new(terms(), now);
    opening.by_viewer(r#"{"what":"call"}"#, now);
    let (code, said) = ended(&opening.expired(now + OFFER_WITHIN)).expect("an end");
    assert!(code == CloseCode::Away && said.contains("cannot be reached"), "{said}");
    let mut called = at(1, terms(), now);
    let (code, said) = ended(&called.expired(now + OFFER_WITHIN)).expect("an end");
    assert!(code == CloseCode::Away && said.contains("no offer within 10s"), "{said}");
    let mut offered = at(2, terms(), now);
    assert_eq!(offered.expired(now + OFFER_WITHIN), [], "the viewer has its own time");
    let (code, said) = ended(&offered.expired(now + ANSWER_WITHIN)).expect("an end");
    assert!(code == CloseCode::Policy && said.contains("no answer within 20s"), "{said}");
    for call in [&idle, &opening, &called, &offered] {
        assert_eq!((call.deadline(), call.is_calling()), (None, false));
    }
}

#[test]
fn a_call_ends_with_a_reason() {
    let now = Instant::now();
    let hangup = r#"{"what":"hangup"}"#;
    assert_eq!(at(3, terms(), now).by_viewer(hangup, now), [Step::End(Close::HANGUP)]);
    let steps = at(3, terms(), now).by_camera(hangup, now);
    assert_eq!((words(&steps), steps.last()), (vec!["v hangup".to_owned()], Some(&Step::End(Close::HANGUP))));
    for (steps, code, says) in [
        (
            at(1, terms(), now).by_camera(r#"{"what":"message","data":"too many users"}"#, now),
            CloseCode::Away,
            "too many users",
        ),
        (at(3, terms(), now).camera_gone("it closes"), CloseCode::Away, "ended the connection: it closes"),
        (at(1, terms(), now).failed("busy: x".into(), Close::BUSY), CloseCode::Again, "busy: x"),
        (at(1, terms(), now).by_camera("{", now), CloseCode::Away, "of the camera cannot be read"),
        (at(1, terms(), now).by_camera(&sdp("offer", "v=0\r\n"), now), CloseCode::Away, "no media section"),
        (
            at(2, terms(), now).by_viewer(&sdp("answer", "v=0\r\nm=video 9 x 2\r\n"), now),
            CloseCode::Policy,
            "1 media sections",
        ),
        (at(2, terms(), now).by_viewer("x", now), CloseCode::Policy, "cannot be read"),
        (Conversation::new(terms(), now).by_viewer(&sdp("answer", OFFER), now), CloseCode::Policy, "must be call"),
    ] {
        let (found, said) = ended(&steps).expect(says);
        assert!(found == code && said.contains(says), "{says}: {found:?} {said}");
    }
    let mut answered = at(3, terms(), now);
    assert_eq!(words(&answered.by_camera(r#"{"what":"message","data":"low battery"}"#, now)), ["v message"]);
    assert!(answered.is_calling(), "a message within a call does not end it");
}

#[test]
fn messages_that_are_not_expected_are_answered_and_not_passed_on() {
    let now = Instant::now();
    let mut call = at(3, terms(), now);
    for unexpected in [r#"{"what":"call"}"#.to_owned(), sdp("answer", OFFER), r#"{"what":"reboot"}"#.into()] {
        assert_eq!(words(&call.by_viewer(&unexpected, now)), ["v message"], "{unexpected}");
    }
    assert_eq!(call.by_camera(&sdp("offer", OFFER), now), []);
    assert_eq!(call.by_camera(r#"{"what":"answer"}"#, now), []);
    assert!(call.is_calling());
}

#[test]
fn the_number_of_messages_is_bounded() {
    let now = Instant::now();
    let mut call = at(3, terms(), now);
    let steps: Vec<_> = (0..MAX_MESSAGES).map(|n| call.by_viewer(&candidate("addIceCandidate", n), now)).collect();
    assert!(ended(steps.last().expect("steps")).expect("an end").1.contains("more than 200"));
    let mut call = at(2, terms(), now);
    let all: usize = (0..100).map(|n| call.by_viewer(&candidate("addIceCandidate", n), now).len()).sum();
    assert_eq!(all, 100 - MAX_HELD, "those beyond the held ones are refused with a message");
    let mut call = at(3, terms(), now);
    let steps: Vec<_> = (0..MAX_MESSAGES).map(|n| call.by_camera(&candidate("iceCandidate", n), now)).collect();
    assert!(ended(steps.last().expect("steps")).is_some());
}

fn inputs() -> impl Strategy<Value = (bool, String)> {
    let known = proptest::sample::select(vec![
        r#"{"what":"call"}"#.to_owned(),
        sdp("offer", OFFER),
        sdp("answer", OFFER),
        candidate("addIceCandidate", 1),
        candidate("iceCandidate", 1),
        text("iceCandidates", &json!([])),
        r#"{"what":"hangup"}"#.into(),
        r#"{"what":"message","data":"x"}"#.into(),
        r#"{"what":"generateIceCandidates"}"#.into(),
    ]);
    (any::<bool>(), prop_oneof![20 => known, 1 => ".{0,20}".prop_map(|text: String| text)])
}

proptest! {
    /// Whatever both sides send: nothing reaches the camera before it is called, no candidate before its answer, and nothing
    /// after the end.
    #[test]
    fn the_order_of_messages_holds(inputs in proptest::collection::vec(inputs(), 0..40)) {
        let now = Instant::now();
        let mut call = Conversation::new(terms(), now);
        let (mut to_camera, mut is_over) = (vec![], false);
        for (is_viewer, text) in inputs {
            let mut steps = if is_viewer { call.by_viewer(&text, now) } else { call.by_camera(&text, now) };
            prop_assert!(!is_over || !steps.iter().any(|step| matches!(step, Step::ToCamera(_) | Step::Open)));
            if steps == [Step::Open] {
                steps = call.opened();
            }
            to_camera.extend(sent(&steps).into_iter().filter(|(side, ..)| *side == 'c').map(|(_, what, _)| what));
            is_over |= steps.iter().any(|step| matches!(step, Step::End(_)));
        }
        let expected = ["call", "answer"];
        let heads: Vec<_> = to_camera.iter().filter(|what| expected.contains(&what.as_str())).collect();
        prop_assert!(heads.iter().zip(expected).all(|(found, expected)| *found == expected) && heads.len() <= 2);
        let first = to_camera.iter().position(|what| what == "addIceCandidate").unwrap_or(usize::MAX);
        prop_assert!(first == usize::MAX || to_camera[..first].contains(&"answer".to_owned()));
    }
}
