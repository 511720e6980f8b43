//! Cameras whose answers bend the grammar of RTSP and SDP: each of them gives its picture. docs/devices.md lists them.

use crate::{
    rtsp_camera::keyframe,
    support::{
        TestApp,
        rtsp_peer::{Request, RtspPeer},
    },
};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=cam\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\nMEDIA";

/// How an answer differs from the usual one.
enum Odd {
    /// These lines in place of the headers of the answer to a method, behind the status line and CSeq.
    Headers(&'static str, &'static str),
    /// Another description; MEDIA stands for the video, and each line ends as it does here.
    Sdp(&'static str),
    /// Text of each answer that is replaced.
    Replaced(&'static str, &'static str),
    /// Bytes in front of the answer to a method.
    Before(&'static str, &'static [u8]),
    /// Bytes in front of the packets.
    Packets(&'static [u8]),
}

use Odd::{Before, Headers, Packets, Replaced, Sdp};

/// Each name is the name of a stream.
const CAMERAS: &[(&str, Odd)] = &[
    ("by-the-book", Replaced("", "")),
    ("lf-only", Replaced("\r\n", "\n")),
    ("lower-case", Replaced("Session:", "session :")),
    ("no-cseq", Replaced("CSeq:", "X-Seq:")),
    ("cseq-constant", Replaced("CSeq: ", "CSeq: 1\r\nX-Seq: ")),
    ("cseq-far", Replaced("CSeq: ", "CSeq: 9")),
    ("reason-odd", Replaced("200 OK", "200 Alles gut, weiter")),
    ("reason-missing", Replaced("200 OK", "200")),
    ("version-2", Replaced("RTSP/1.0 200", "RTSP/2.0  200")),
    ("blank-lines-before", Replaced("RTSP/1.0", "\r\n\r\nRTSP/1.0")),
    ("header-without-colon", Replaced("CSeq:", "hello\r\nCSeq:")),
    ("header-folded", Replaced("CSeq:", "X: a\r\n \r\n\tb\r\nCSeq:")),
    ("header-odd-name", Replaced("CSeq:", "X Odd: 1\r\n: 2\r\nCSeq:")),
    ("header-twice", Replaced("CSeq:", "Session:\r\nContent-Base:\r\nCSeq:")),
    ("type-charset", Replaced("application/sdp", "Application/SDP; charset=utf-8")),
    ("type-missing", Replaced("Content-Type: application/sdp\r\n", "")),
    ("base-empty", Headers("DESCRIBE", "Content-Base: \r\n")),
    ("base-without-scheme", Headers("DESCRIBE", "Content-Base: 127.0.0.1:554/stream0/\r\n")),
    ("base-other-host", Headers("DESCRIBE", "Content-Base: rtsp://0.0.0.0:554/live/\r\n")),
    ("base-missing", Headers("DESCRIBE", "")),
    ("length-missing", Replaced("Content-Length:", "X-Length:")),
    ("length-short", Replaced("Content-Length: ", "Content-Length: 1\r\nX-Length: ")),
    ("length-long", Replaced("Content-Length: ", "Content-Length: 9")),
    ("length-invalid", Replaced("Content-Length: ", "Content-Length: -")),
    ("setup-no-transport", Headers("SETUP", "Session: 1;timeout=60\r\n")),
    ("setup-no-session", Headers("SETUP", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n")),
    ("setup-nothing", Headers("SETUP", "")),
    ("setup-no-channels", Headers("SETUP", "Transport: RTP/AVP/TCP;unicast\r\nSession: 1\r\n")),
    ("setup-spaces", Headers("SETUP", "Transport: RTP/AVP/TCP; unicast; interleaved=0-1; ssrc=1\r\nSession: 1; timeout=60\r\n")),
    ("setup-source-name", Headers("SETUP", "Transport: RTP/AVP/TCP;unicast;source=camera.local;interleaved=0-1\r\nSession: 1\r\n")),
    ("setup-ports", Headers("SETUP", "Transport: RTP/AVP/TCP;unicast;client_port=0-1;server_port=6-7;interleaved=0-1\r\nSession: 1\r\n")),
    ("setup-other-channels", Headers("SETUP", "Transport: RTP/AVP/TCP;unicast;interleaved=6-7\r\nSession: 1\r\n")),
    ("setup-wrong-ssrc", Headers("SETUP", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=0x6f7c\r\nSession: 1;timeout=0;\r\n")),
    ("setup-session-more", Headers("SETUP", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1;timeout=60;x=y\r\n")),
    ("play-wrong-sequence", Headers("PLAY", "RTP-Info: url=track1;seq=9999;rtptime=77\r\nSession: 1\r\n")),
    ("play-odd-info", Headers("PLAY", "RTP-Info: url=rtsp://x/trackID=0; seq=; rtptime=0;\r\n \r\nSession: 2\r\n")),
    ("play-nothing", Headers("PLAY", "")),
    ("packet-before-play", Before("PLAY", b"$\x00\x00\x0E\x80\x60\0\0\0\0\0\0\0\0\0\x63\x09\x10$\x01\x00\x08\x80\xC9\0\x01\0\0\0\x01")),
    ("packet-before-setup", Before("SETUP", b"$\x00\x00\x0E\x80\x60\0\0\0\0\0\0\0\0\0\x63\x09\x10")),
    ("junk-before-answer", Before("SETUP", b"junk\r\nmore: junk\r\n")),
    ("request-of-the-server", Before("PLAY", b"OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n")),
    ("continue-first", Before("SETUP", b"RTSP/1.0 100 Continue\r\n\r\n")),
    ("junk-before-packets", Packets(b"garbage-without-a-frame")),
    ("other-track-before-packets", Packets(b"$\x02\x00\x0E\x80\x00\0\0\0\0\0\0\0\0\0\x63\x09\x10")),
    ("odd-nals-before-packets", Packets(b"$\0\0\x0D\x80\x60\0\0\0\0\0\0\0\0\0\x2A\x1F$\0\0\x0C\x80\x60\0\0\0\0\0\0\0\0\0\x2A$\0\0\x10\x80\x60\0\0\0\0\0\0\0\0\0\x2A\x7C\x41\x01\x02")),
    ("sdp-origin-cut", Sdp("v=0\r\no=- 1001 1 IN \r\ns=VCP IPC\r\nMEDIA")),
    ("sdp-connection-odd", Sdp("v=0\r\no=- 1 1 IN IP4\r\ns=x\r\nc=\r\nc=IN 192.168.4.27\r\nt=0 0\r\nMEDIA")),
    ("sdp-media-only", Sdp("MEDIA")),
    ("sdp-order", Sdp("t=0 0\r\na=control:*\r\ns=x\r\nv=0\r\nMEDIA")),
    ("sdp-lf", Sdp("v=0\no=- 1 1 IN IP4 0.0.0.0\ns=x\nMEDIA")),
    ("sdp-nul", Sdp("v=0\r\nMEDIA\0")),
    ("sdp-blank-lines", Sdp("\r\nv=0\r\n\r\nnonsense\r\n=\r\nMEDIA")),
    ("sdp-other-media", Sdp("v=0\r\nm=audio 0 RTP/AVP 0\r\na=control:track0\r\nMEDIAm=application/TP-LINK 0 RTP/AVP smart/1/90000\r\na=rtpmap:95 TP-LINK/90000\r\n")),
    ("control-absolute", Replaced("a=control:track1", "a=control:rtsp://127.0.0.1/live/track1")),
    ("control-star", Replaced("a=control:track1", "a=control:*")),
    ("control-missing", Replaced("a=control:track1\r\n", "")),
    ("no-mode", Replaced("packetization-mode=1;", "")),
    ("port-negative", Replaced("m=video 0", "m=video -1353744643")),
    ("rtpmap-missing", Replaced("a=rtpmap:96 H264/90000\r\n", "")),
    ("rtpmap-spaces", Replaced("a=rtpmap:96 H264/90000", "a=rtpmap: 96  h264 / 90000")),
    ("sets-one-more", Replaced(";sprop-parameter-sets=", ";sprop-parameter-sets=AAAAAUjqQ8g=,")),
];

fn bent(odd: &'static Odd, request: &Request, usual: Vec<u8>) -> Vec<u8> {
    let Ok(text) = String::from_utf8(usual.clone()) else { return usual };
    match odd {
        Headers(method, lines) if request.method == *method => {
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            let kept = head
                .lines()
                .filter(|line| line.starts_with("RTSP") || line.starts_with("CSeq") || line.contains("-Length"));
            let kept: Vec<_> = kept.collect();
            format!("{}\r\n{lines}\r\n{body}", kept.join("\r\n")).into_bytes()
        }
        Replaced(from, to) if !from.is_empty() => {
            let bent = text.replace(from, to);
            let (head, body) = bent.split_once("\r\n\r\n").or_else(|| bent.split_once("\n\n")).expect("a head");
            let old = text.split_once("\r\n\r\n").expect("a head").1.len();
            // The length stays right, unless it is what is bent.
            let head = head.replace(&format!("Content-Length: {old}"), &format!("Content-Length: {}", body.len()));
            let end = if *from == "\r\n" { "\n\n" } else { "\r\n\r\n" };
            format!("{head}{end}{body}").into_bytes()
        }
        Before(method, bytes) if request.method == *method => [bytes, usual.as_slice()].concat(),
        _ => usual,
    }
}

/// Sends all packets on another channel.
fn on_channel(mut packets: &mut [u8], channel: u8) {
    while let [_, at, high, low, behind @ ..] = packets {
        *at = channel;
        packets = &mut behind[usize::from(u16::from_be_bytes([*high, *low]))..];
    }
}

#[tokio::test]
async fn every_odd_camera_gives_its_picture() {
    let (format, packets) = keyframe([200, 60, 30]);
    let media = format!("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 {format}\r\na=control:track1\r\n");
    let (mut peers, mut streams) = (vec![], String::new());
    for (name, odd) in CAMERAS {
        let sdp = if let Sdp(text) = odd { text } else { SDP }.replace("MEDIA", &media);
        let mut packets = packets.clone();
        match odd {
            Packets(before) => packets = [before, packets.as_slice()].concat(),
            // The channel that the answer to SETUP has named.
            Headers(_, lines) if lines.contains("interleaved=6-7") => on_channel(&mut packets, 6),
            _ => {}
        }
        let peer = RtspPeer::start(sdp, packets, move |request, usual| Some(bent(odd, request, usual))).await;
        streams += &format!("  {name}: {{kind: rtsp, url: 'rtsp://{}/live'}}\n", peer.addr);
        peers.push(peer);
    }
    // Without ffmpeg, which would help out.
    let app = TestApp::with(&format!(
        "rtsp_cameras: {{reader: native, ffmpeg: ''}}\noutput: {{snapshot_timeout: 20s}}\nstream_defaults: {{start_timeout: 20s}}\nstreams:\n{streams}"
    ));
    let ask = CAMERAS.iter().map(async |(name, _)| {
        let answer = app.get(&format!("/snapshot/{name}.jpg")).await;
        (answer.status != 200).then(|| format!("{name}: {}", answer.detail()))
    });
    let failed: Vec<_> = futures_util::future::join_all(ask).await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{} of {} cameras:\n{}", failed.len(), CAMERAS.len(), failed.join("\n"));
}
