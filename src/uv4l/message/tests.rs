use proptest::prelude::*;

use super::*;

fn candidate(text: &str, mid: Option<&str>, line: Option<u16>) -> Candidate {
    Candidate { candidate: text.into(), mid: mid.map(str::to_owned), line }
}

#[test]
fn messages_of_viewers_are_read_in_both_forms() {
    let call = |force_hw_vcodec, vformat, trickle_ice| {
        ViewerMessage::Call(CallOptions { force_hw_vcodec, vformat, trickle_ice })
    };
    let one = candidate("candidate:1 1 udp 1 192.0.2.1 9 typ host", Some("video"), Some(1));
    let encoded =
        r#""{\"sdpMLineIndex\":1,\"sdpMid\":\"video\",\"candidate\":\"candidate:1 1 udp 1 192.0.2.1 9 typ host\"}""#;
    let plain = r#"{"sdpMLineIndex":1,"sdpMid":"video","candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host","usernameFragment":"x"}"#;
    for (text, message, form) in [
        (r#"{"what":"call"}"#.to_owned(), call(None, None, None), Form::Encoded),
        (
            r#"{"what":"call","options":{"force_hw_vcodec":false,"vformat":10,"trickle_ice":true,"more":1}}"#.into(),
            call(Some(false), Some(10), Some(true)),
            Form::Encoded,
        ),
        (
            r#"{"what":"call","options":{"force_hw_vcodec":"true","vformat":"60"}}"#.into(),
            call(Some(true), Some(60), None),
            Form::Encoded,
        ),
        (
            r#"{"what":"answer","data":"{\"type\":\"answer\",\"sdp\":\"v=0\\r\\n\"}"}"#.into(),
            ViewerMessage::Answer("v=0\r\n".into()),
            Form::Encoded,
        ),
        (
            r#"{"what":"answer","data":{"type":"answer","sdp":"v=0\r\n"}}"#.into(),
            ViewerMessage::Answer("v=0\r\n".into()),
            Form::Plain,
        ),
        (
            format!(r#"{{"what":"addIceCandidate","data":{encoded}}}"#),
            ViewerMessage::Candidate(Some(one.clone())),
            Form::Encoded,
        ),
        (format!(r#"{{"what":"addIceCandidate","data":{plain}}}"#), ViewerMessage::Candidate(Some(one)), Form::Plain),
        (r#"{"what":"addIceCandidate","data":""}"#.into(), ViewerMessage::Candidate(None), Form::Encoded),
        (r#"{"what":"addIceCandidate","data":{"candidate":""}}"#.into(), ViewerMessage::Candidate(None), Form::Plain),
        (r#"{"what":"addIceCandidate"}"#.into(), ViewerMessage::Candidate(None), Form::Plain),
        (r#"{"what":"generateIceCandidates"}"#.into(), ViewerMessage::Generate, Form::Encoded),
        (r#"{"what":"hangup","data":7}"#.into(), ViewerMessage::Hangup, Form::Encoded),
    ] {
        assert_eq!(ViewerMessage::read(&text), Ok((message, form)), "{text}");
    }
}

#[test]
fn messages_of_cameras_are_read_in_both_forms() {
    let one = candidate("candidate:1", None, Some(0));
    for (text, message, form) in [
        (
            r#"{"what":"offer","data":"{\"sdp\":\"v=0\",\"type\":\"offer\"}"}"#,
            CameraMessage::Offer("v=0".into()),
            Form::Encoded,
        ),
        (r#"{"what":"offer","data":{"sdp":"v=0"}}"#, CameraMessage::Offer("v=0".into()), Form::Plain),
        (
            r#"{"what":"iceCandidate","data":"{\"sdpMLineIndex\":0,\"candidate\":\"candidate:1\"}"}"#,
            CameraMessage::Candidate(Some(one.clone())),
            Form::Encoded,
        ),
        (
            r#"{"what":"iceCandidate","data":{"sdpMLineIndex":0,"candidate":"a=candidate:1"}}"#,
            CameraMessage::Candidate(Some(one.clone())),
            Form::Plain,
        ),
        (r#"{"what":"iceCandidate","data":""}"#, CameraMessage::Candidate(None), Form::Encoded),
        (
            r#"{"what":"iceCandidates","data":"[{\"sdpMLineIndex\":0,\"candidate\":\"candidate:1\"}]"}"#,
            CameraMessage::Candidates(vec![one]),
            Form::Encoded,
        ),
        (r#"{"what":"iceCandidates","data":"null"}"#, CameraMessage::Candidates(vec![]), Form::Encoded),
        (r#"{"what":"iceCandidates","data":[]}"#, CameraMessage::Candidates(vec![]), Form::Plain),
        (r#"{"what":"message","data":"busy\u0007"}"#, CameraMessage::Text("busy".into()), Form::Encoded),
        (r#"{"what":"hangup"}"#, CameraMessage::Hangup, Form::Encoded),
    ] {
        assert_eq!(CameraMessage::read(text), Ok((message, form)), "{text}");
    }
}

#[test]
fn a_message_that_cannot_be_used_names_the_member_and_the_rule() {
    let deep = format!(r#"{{"what":"offer","data":{}}}"#, "[".repeat(500));
    let deep_within = format!(r#"{{"what":"offer","data":{:?}}}"#, "[".repeat(500));
    for (text, says) in [
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        (r#"{"data":1}"#, "what: is missing"),
        (r#"{"what":1}"#, "what: is missing"),
        (r#"{"command_id":"offer","options":{}}"#, "command_id"),
        (r#"{"what":"answer"}"#, "data.sdp"),
        (r#"{"what":"answer","data":"x"}"#, "data: is not JSON"),
        (r#"{"what":"answer","data":{"type":"offer","sdp":"v=0"}}"#, "data.type: must be answer"),
        (r#"{"what":"answer","data":{"sdp":"<html>"}}"#, "data.sdp: does not begin"),
        (r#"{"what":"addIceCandidate","data":{"candidate":1}}"#, "data.candidate"),
        (r#"{"what":"addIceCandidate","data":{"candidate":"a\r\na=x"}}"#, "one line"),
        (r#"{"what":"addIceCandidate","data":{"candidate":"a","sdpMLineIndex":-1}}"#, "sdpMLineIndex"),
        (r#"{"what":"addIceCandidate","data":{"candidate":"a","sdpMid":7}}"#, "sdpMid"),
        (r#"{"what":"call","options":{"vformat":"big"}}"#, "options.vformat"),
        (r#"{"what":"call","options":{"trickle_ice":3}}"#, "options.trickle_ice"),
        (&deep, "recursion limit"),
        (r#"{"what":"reboot"}"#, "\"reboot\" is not a message"),
    ] {
        let fault = ViewerMessage::read(text).map(|(message, _)| message).expect_err(text);
        assert!(fault.to_string().contains(says), "{text}: {fault}");
    }
    let many = vec![json!({"candidate": "c"}); MAX_CANDIDATES + 1];
    for text in [deep_within, json!({"what": "iceCandidates", "data": many}).to_string()] {
        assert!(matches!(CameraMessage::read(&text), Err(Fault::Malformed(_))), "{text}");
    }
}

#[test]
fn only_known_members_are_sent() {
    let call = r#"{"what":"call","options":{"vformat":"60","evil":"x"},"more":[1]}"#;
    let (call, _) = ViewerMessage::read(call).expect("right");
    assert_eq!(call.text(Form::Encoded), r#"{"options":{"vformat":60},"what":"call"}"#);
    let (hangup, _) = ViewerMessage::read(r#"{"what":"hangup","data":"x"}"#).expect("right");
    assert_eq!(hangup.text(Form::Plain), r#"{"what":"hangup"}"#);
}

fn candidates() -> impl Strategy<Value = Option<Candidate>> {
    let one = ("[a-z0-9: .]{1,40}[a-z]", proptest::option::of("[a-z0-9]{1,8}"), proptest::option::of(0u16..5));
    let one = one.prop_map(|(text, mid, line)| Candidate { candidate: text.trim().into(), mid, line });
    proptest::option::of(one)
}

proptest! {
    #[test]
    fn what_is_sent_can_be_read_again(sdp in "v=0[\\x00-\\x7F]{0,60}", one in candidates(), plain: bool) {
        let form = if plain { Form::Plain } else { Form::Encoded };
        for message in [ViewerMessage::Answer(sdp.clone()), ViewerMessage::Candidate(one.clone()), ViewerMessage::Generate] {
            prop_assert_eq!(ViewerMessage::read(&message.text(form)).map(|(read, _)| read), Ok(message));
        }
        let all = one.clone().into_iter().collect();
        for message in [CameraMessage::Offer(sdp), CameraMessage::Candidate(one), CameraMessage::Candidates(all)] {
            prop_assert_eq!(CameraMessage::read(&message.text(form)).map(|(read, _)| read), Ok(message));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}", what in "call|answer|addIceCandidate|offer|iceCandidates|message", data in ".{0,100}") {
        let _ = (ViewerMessage::read(&text), CameraMessage::read(&text));
        let text = json!({"what": what, "data": data}).to_string();
        let _ = (ViewerMessage::read(&text), CameraMessage::read(&text));
    }
}
