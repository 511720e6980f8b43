use super::*;

const MEDIA: &str = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAKIw=,aM4=\na=control:track1\n";

/// The description with a video behind these lines.
fn with(before: &str) -> Description {
    Description::read(format!("{before}{MEDIA}").as_bytes())
}

#[test]
fn odd_lines_do_not_hide_the_video() {
    for before in [
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n",
        "",
        "v=0\no=- 1001 1 IN \ns=VCP IPC Realtime stream\nc=IN \n",
        "v=0\no=- 1700166548 1700166549 IN IP4\ns=x\n",
        "c=\nc=IN c=IN IP4 0.0.0.0\nt=\n",
        "s=KaX\0mera\nnonsense\n=\nb=AS:\n",
        "t=0 0\ns=x\nv=0\na=control:*\na\na=\na=:\n",
        "\0\n",
    ] {
        let description = with(before);
        let track = description.video().expect(before);
        let seen = (track.codec(), track.payload_type, track.clock_rate, track.control.as_str());
        assert_eq!(seen, (Some(Codec::H264), 96, 90_000, "track1"), "{before:?}");
        assert_eq!(track.parameter_sets(), [&[0x67, 0x42, 0xC0, 0x28, 0x8C][..], &[0x68, 0xCE]], "{before:?}");
    }
    let latin = [b"s=Kam\xE9ra\n", MEDIA.as_bytes(), b"\0"].concat();
    assert!(Description::read(&latin).video().is_some());
}

#[test]
fn odd_media_are_read() {
    for (text, expected) in [
        ("m=video -1353744643 RTP/AVP 96\na=rtpmap:96 H264/90000", Some((Codec::H264, 96))),
        ("m=Video 0 RTP/AVP 96\r\na=RTPMAP: 96  h264 / 90000", Some((Codec::H264, 96))),
        ("m=video 0 RTP/AVP 96\na=rtpmap:97 H265/90000", Some((Codec::H265, 96))),
        ("m=video\na=rtpmap:98 H265/90000", Some((Codec::H265, 98))),
        ("m=video 0 RTP/AVP 35 96\na=rtpmap:35 X/90000\na=rtpmap:96 H264/90000", Some((Codec::H264, 96))),
        ("m=video 0 RTP/AVP 26", Some((Codec::Jpeg, 26))),
        ("m=video 0 RTP/AVP 96\na=fmtp:96 sprop-parameter-sets=Z0LAKIw=", Some((Codec::H264, 96))),
        ("m=video 0 RTP/AVP 96\na=fmtp:96 sprop-vps=AA;sprop-sps=AA", Some((Codec::H265, 96))),
        (
            "m=audio 0 RTP/AVP 0\nm=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000",
            Some((Codec::H264, 96)),
        ),
        ("m=application/TP-LINK 0 RTP/AVP smart/1/90000\na=rtpmap:95 TP-LINK/90000", None),
        ("m=video 0 RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000", None),
        ("m=audio 0 RTP/AVP 26", None),
        ("", None),
    ] {
        let description = Description::read(text.as_bytes());
        let seen = description.video().and_then(|track| Some((track.codec()?, track.payload_type)));
        assert_eq!(seen, expected, "{text}");
    }
    assert_eq!(Description::read(b"m=video 0 RTP/AVP 96\na=rtpmap:96 mp4v-es/90000").encodings("video"), ["MP4V-ES"]);
    assert!(Description::read(&b"m=video 0 RTP/AVP 96\n".repeat(1000)).tracks.len() <= MAX_TRACKS + 1);
}

#[test]
fn parameters_are_read_with_odd_spaces_and_padding() {
    let text = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=framesize:96 640-480\na=fmtp:96 ; Sprop-Parameter-Sets = Z0LAKIw , aM4, ,é;=;x\n";
    let description = Description::read(text.as_bytes());
    let track = description.video().expect("a track");
    assert_eq!(track.parameter_sets().len(), 2, "{track:?}");
    assert_eq!((track.size, track.parameter("x")), (Some((640, 480)), Some("")));
}
