use proptest::prelude::*;

use super::*;

/// As UV4L offers with hardware encoding off, data channels and sound on.
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio video data\r\n\
    a=msid-semantic: WMS uv4l\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=mid:audio\r\na=sendrecv\r\n\
    a=rtpmap:111 opus/48000/2\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 127\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
    a=fingerprint:sha-256 AA\r\na=setup:actpass\r\na=mid:video\r\na=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendonly\r\na=rtcp-mux\r\n\
    a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:* ccm fir\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
    a=rtpmap:98 H264/90000\r\na=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
    a=rtcp-fb:98 nack pli\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\na=rtpmap:100 red/90000\r\n\
    a=rtpmap:127 ulpfec/90000\r\na=ssrc:1 cname:x\r\n\
    m=application 9 DTLS/SCTP 5000\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\na=sctpmap:5000 webrtc-datachannel 1024\r\n";

/// As MediaMTX answers.
const ANSWER: &str = "v=0\r\no=- 3 4 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 BB\r\na=group:BUNDLE 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 98\r\nc=IN IP4 0.0.0.0\r\na=setup:active\r\na=mid:0\r\na=ice-ufrag:U\r\na=ice-pwd:P\r\n\
    a=recvonly\r\na=candidate:1 1 udp 1 192.0.2.1 8189 typ host\r\n";

fn lines(text: &str) -> Vec<&str> {
    assert!(text.ends_with("\r\n") && !text.contains("\r\n\r\n"), "{text:?}");
    text.split_terminator("\r\n").collect()
}

#[test]
fn mediamtx_gets_numbered_video_of_h264_alone() {
    let offer = rewrite(OFFER, &Wish::for_mediamtx(false, true)).expect("an offer");
    assert_eq!(
        lines(&offer.sdp),
        [
            "v=0",
            "o=- 1 2 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=msid-semantic: WMS uv4l",
            "a=group:BUNDLE 0",
            "m=video 9 UDP/TLS/RTP/SAVPF 98 99",
            "c=IN IP4 0.0.0.0",
            "a=mid:0",
            "a=ice-ufrag:u",
            "a=ice-pwd:p",
            "a=fingerprint:sha-256 AA",
            "a=setup:actpass",
            "a=sendonly",
            "a=rtcp-mux",
            "a=rtcp-fb:* ccm fir",
            "a=rtpmap:98 H264/90000",
            "a=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            "a=rtcp-fb:98 nack pli",
            "a=rtpmap:99 rtx/90000",
            "a=fmtp:99 apt=98",
            "a=ssrc:1 cname:x",
        ]
    );
}

#[test]
fn the_camera_gets_its_own_sections_back() {
    let offer = rewrite(OFFER, &Wish::for_mediamtx(false, true)).expect("an offer");
    let answer = offer.answer(ANSWER).expect("an answer");
    assert_eq!(
        lines(&answer),
        [
            "v=0",
            "o=- 3 4 IN IP4 0.0.0.0",
            "s=-",
            "t=0 0",
            "a=fingerprint:sha-256 BB",
            "a=group:BUNDLE video",
            "m=audio 0 UDP/TLS/RTP/SAVPF 111",
            "c=IN IP4 0.0.0.0",
            "a=mid:audio",
            "a=inactive",
            "a=setup:active",
            "a=ice-ufrag:U",
            "a=ice-pwd:P",
            "m=video 9 UDP/TLS/RTP/SAVPF 98",
            "c=IN IP4 0.0.0.0",
            "a=mid:video",
            "a=setup:active",
            "a=ice-ufrag:U",
            "a=ice-pwd:P",
            "a=recvonly",
            "a=candidate:1 1 udp 1 192.0.2.1 8189 typ host",
            "m=application 0 DTLS/SCTP 5000",
            "c=IN IP4 0.0.0.0",
            "a=mid:data",
            "a=inactive",
            "a=setup:active",
            "a=ice-ufrag:U",
            "a=ice-pwd:P",
        ]
    );
    let two = format!("{ANSWER}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n");
    assert!(offer.answer(&two).expect_err("two sections").contains("has 2 media sections"));
}

#[test]
fn audio_stays_if_it_is_wanted_and_sends() {
    let wish = Wish::for_mediamtx(true, false);
    let offer = rewrite(OFFER, &wish).expect("an offer");
    assert!(offer.sdp.contains("a=group:BUNDLE 0 1\r\n") && offer.sdp.contains("m=audio"), "{}", offer.sdp);
    assert!(offer.sdp.contains("m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 127\r\n") && !offer.sdp.contains("sctp"));
    let silent = OFFER.replace("a=sendrecv", "a=recvonly");
    let offer = rewrite(&silent, &wish).expect("an offer");
    assert!(!offer.sdp.contains("m=audio"), "an audio section that never sends delays MediaMTX: {}", offer.sdp);
}

#[test]
fn an_offer_without_groups_and_mids_gets_them_and_the_answer_has_none() {
    let bare: String =
        OFFER.split_inclusive("\r\n").filter(|l| !l.starts_with("a=mid") && !l.starts_with("a=group")).collect();
    let offer = rewrite(&bare, &Wish::for_mediamtx(false, true)).expect("an offer");
    assert!(offer.sdp.contains("a=group:BUNDLE 0\r\n") && offer.sdp.contains("a=mid:0\r\n"), "{}", offer.sdp);
    let answer = offer.answer(ANSWER).expect("an answer");
    assert!(!answer.contains("a=mid") && !answer.contains("a=group"), "{answer}");
    assert_eq!(answer.matches("m=").count(), 3);
}

#[test]
fn a_viewer_gets_the_offer_without_what_it_may_not_use() {
    let whole = rewrite(OFFER, &Wish::for_viewer(true, true)).expect("an offer");
    let (mut before, mut after) = (lines(OFFER), lines(&whole.sdp));
    before.sort_unstable();
    after.sort_unstable();
    assert_eq!(before, after, "nothing is left out");
    let less = rewrite(OFFER, &Wish::for_viewer(false, false)).expect("an offer");
    assert!(less.sdp.contains("a=group:BUNDLE video\r\n") && less.sdp.contains("a=mid:video\r\n"), "{}", less.sdp);
    assert!(!less.sdp.contains("m=audio") && !less.sdp.contains("m=application"), "{}", less.sdp);
    // A second camera of the same Pi stays.
    let second = format!("{OFFER}m=video 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:second\r\na=recvonly\r\n");
    let both = rewrite(&second, &Wish::for_viewer(true, true)).expect("an offer");
    assert!(both.sdp.contains("a=group:BUNDLE audio video data second\r\n"), "{}", both.sdp);
}

#[test]
fn offers_that_cannot_be_used_are_refused_in_words() {
    let vp8 = OFFER.replace("H264", "VP9");
    let silent = OFFER.replace("a=sendonly", "a=inactive");
    let many = OFFER.to_owned() + &"m=video 9 x 1\r\n".repeat(20);
    for (offer, says) in [
        ("v=0\r\n", "no media section"),
        ("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "no video"),
        (&vp8, "no H.264, but VP8, VP9; set force_hw_vcodec"),
        (&silent, "no video"),
        (&many, "more than 16"),
    ] {
        let refused = rewrite(offer, &Wish::for_mediamtx(true, true)).expect_err(says);
        assert!(refused.contains(says), "{refused}");
    }
}

#[test]
fn candidates_become_a_fragment_with_the_new_mids() {
    let offer = rewrite(OFFER, &Wish::for_mediamtx(false, true)).expect("an offer");
    let one =
        |mid: Option<&str>, line| Candidate { candidate: "candidate:1 x".into(), mid: mid.map(str::to_owned), line };
    let expected =
        "a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=video 9 UDP/TLS/RTP/SAVPF 98 99\r\na=mid:0\r\na=candidate:1 x\r\n";
    for own in [one(Some("video"), None), one(Some("video"), Some(0)), one(None, Some(1))] {
        assert_eq!(offer.fragment(std::slice::from_ref(&own)).as_deref(), Some(expected), "{own:?}");
    }
    for other in [one(Some("audio"), Some(0)), one(None, Some(2)), one(None, None)] {
        assert_eq!(offer.fragment(std::slice::from_ref(&other)), None, "{other:?}");
    }
}

#[test]
fn a_viewer_without_the_permission_to_publish_only_receives() {
    for (before, after) in [
        ("a=sendrecv", "a=recvonly"),
        ("a=recvonly", "a=recvonly"),
        ("a=sendonly", "a=inactive"),
        ("a=inactive", "a=inactive"),
        ("a=x", "a=recvonly"),
    ] {
        let answer = format!("v=0\r\ns=-\r\nm=audio 9 x 1\r\n{before}\r\nm=application 9 x 1\r\na=sendrecv\r\n");
        let changed = receive_only(&answer).expect("an answer");
        let (audio, data) = changed.split_once("m=application").expect("both sections");
        assert!(
            audio.ends_with(&format!("{after}\r\n")) && audio.matches("recvonly").count() <= 1,
            "{before}: {changed}"
        );
        assert_eq!(data, " 9 x 1\r\na=sendrecv\r\n");
    }
    let of_session = receive_only("v=0\r\na=sendonly\r\nm=video 9 x 1\r\n").expect("an answer");
    assert_eq!(of_session, "v=0\r\nm=video 9 x 1\r\na=inactive\r\n");
}

fn media() -> impl Strategy<Value = String> {
    let mid = proptest::option::of("[a-z]{1,6}");
    ("(video|audio|application|text)", mid, "(sendrecv|sendonly|recvonly|inactive|x)").prop_map(
        |(medium, mid, direction)| {
            let mid = mid.map(|mid| format!("a=mid:{mid}\r\n")).unwrap_or_default();
            let formats = if medium == "video" { "96 97" } else { "111" };
            let maps = "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 H264/90000\r\n";
            format!("m={medium} 9 UDP/TLS/RTP/SAVPF {formats}\r\n{mid}a={direction}\r\n{maps}")
        },
    )
}

proptest! {
    /// The answer always has the sections of the offer, in their order and with their mids.
    #[test]
    fn the_answer_has_the_sections_of_the_offer(sections in proptest::collection::vec(media(), 1..6), audio: bool, data: bool, numbered: bool) {
        let offer = format!("v=0\r\ns=-\r\na=group:BUNDLE x\r\n{}", sections.concat());
        let wish = if numbered { Wish::for_mediamtx(audio, true) } else { Wish::for_viewer(audio, data) };
        let Ok(rewritten) = rewrite(&offer, &wish) else { return Ok(()) };
        // An answer that accepts all: the rewritten offer itself.
        let answer = rewritten.answer(&rewritten.sdp).expect("as many sections");
        let of = |sdp: &str, name: &str| -> Vec<String> {
            sdp.lines().filter(|l| l.starts_with(name)).map(|l| l.split(' ').next().expect("a word").to_owned()).collect()
        };
        prop_assert_eq!(of(&offer, "m="), of(&answer, "m="));
        prop_assert_eq!(of(&offer, "a=mid:"), of(&answer, "a=mid:"));
    }

    #[test]
    fn any_text_is_rewritten_or_refused(text in "(v=0\r\n)?([a-z]=[a-z0-9:=/ ]{0,20}\r?\n){0,12}", answer in "([a-z]=.{0,10}\n){0,6}") {
        for wish in [Wish::for_mediamtx(true, true), Wish::for_viewer(false, false)] {
            if let Ok(rewritten) = rewrite(&text, &wish) {
                let _ = rewritten.answer(&answer);
                let _ = rewritten.fragment(&[]);
            }
        }
        let _ = receive_only(&text);
    }
}
