use super::*;
use crate::rtsp_client::sdp::Description;

fn track(lines: &str) -> Option<SoundTrack> {
    let text = format!("m=audio 0 RTP/AVP 97\r\n{lines}");
    Description::read(text.as_bytes()).sound().map(|(_, sound)| sound)
}

const AAC: &str = "a=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;\
    sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r\n";

/// What MediaMTX describes for LATM; the configuration is of AAC-LC, 44.1 kHz, two channels.
const LATM: &str =
    "a=rtpmap:97 mp4a-latm/44100/2\r\na=fmtp:97 profile-level-id=1;cpresent=0;object=2;config=400024203fc0\r\n";

fn packet(timestamp: u32, marker: bool, payload: &[u8]) -> Packet {
    let payload = Bytes::copy_from_slice(payload);
    Packet { payload_type: 97, marker, sequence: 0, timestamp, ssrc: 1, payload }
}

/// The frames of packets: RTP time, `!` for a loss before, and the data.
fn frames(track: &SoundTrack, packets: &[(u32, bool, &[u8])], gaps: &[usize]) -> Vec<String> {
    let (mut sounds, mut units) = (Sounds::new(track), vec![]);
    for (at, (timestamp, marker, payload)) in packets.iter().enumerate() {
        sounds.push(&packet(*timestamp, *marker, payload), gaps.contains(&at), &mut units);
    }
    let text = |unit: &Unit| String::from_utf8_lossy(&unit.data).into_owned();
    units
        .iter()
        .map(|unit| format!("{}{}{}", unit.timestamp, if unit.has_loss { "!" } else { "=" }, text(unit)))
        .collect()
}

#[test]
fn tracks_of_cameras_and_servers_are_understood() {
    let aac = |track: Option<SoundTrack>| track.map(|track| (track.format, track.clock, track.frame));
    let format = |config: &[u8]| SoundFormat::Aac { config: Bytes::copy_from_slice(config) };
    assert_eq!(aac(track(AAC)), Some((format(&[0x11, 0x90]), 48_000, 1024)));
    assert_eq!(aac(track(LATM)), Some((format(&[0x12, 0x10]), 44_100, 1024)));
    // HE-AAC, whose clock counts all samples.
    let high = AAC.replace("config=1190", "config=2B118800");
    assert_eq!(aac(track(&high)), Some((format(&[0x2B, 0x11, 0x88, 0x00]), 48_000, 2048)));
    // A configuration that is no number; firmware without one, and without sizes.
    assert_eq!(aac(track(&AAC.replace("config=1190", "config=11zz"))), aac(track(AAC)));
    let bare = track("a=rtpmap:97 mpeg4-generic/16000/1\r\na=fmtp:97 mode=AAC-hbr\r\n");
    assert_eq!(aac(bare.clone()), Some((format(&[0x14, 0x08]), 16_000, 1024)));
    assert_eq!(bare.map(|track| track.packing), track(AAC).map(|track| track.packing));
    let opus = track("a=rtpmap:97 opus/48000/2\r\n").expect("read");
    assert_eq!((opus.format, opus.clock), (SoundFormat::Opus { channels: 2 }, 48_000));
    for other in [
        "a=rtpmap:97 PCMA/8000\r\n",
        "a=rtpmap:97 L16/44100/2\r\n",
        "",
        // AAC-LD; fields of 99 bits; LATM whose configuration is cut, or of another version.
        &AAC.replace("config=1190", "config=BA1000"),
        &AAC.replace("sizelength=13", "sizelength=99"),
        &LATM.replace("44100", "44101").replace("cpresent=0", "cpresent=1"),
        &LATM.replace("config=400024203fc0", "config=40"),
        &LATM.replace("config=400024203fc0", "config=C00024203fc0"),
    ] {
        assert_eq!(track(other), None, "{other}");
    }
}

#[test]
fn sound_that_goes_to_the_camera_is_not_read() {
    let both = format!("m=audio 0 RTP/AVP 97\r\n{AAC}a=sendonly\r\nm=audio 0 RTP/AVP 0\r\na=recvonly\r\n");
    let description = Description::read(both.as_bytes());
    assert!(description.sound().is_none());
    assert_eq!(description.encodings("audio"), ["PCMU"]);
}

#[test]
fn aac_with_headers_is_read_frame_by_frame() {
    let track = track(AAC).expect("read");
    // Sizes of 13 bits: 3 and 2; then one of 5.
    let two = [&[0, 32, 0, 3 << 3, 0, 2 << 3][..], b"abcde"].concat();
    let one = [&[0, 16, 0, 5 << 3][..], b"fghij"].concat();
    assert_eq!(frames(&track, &[(100, true, &two), (2148, true, &one)], &[]), ["100=abc", "1124=de", "2148=fghij"]);
    assert_eq!(frames(&track, &[(100, true, &two), (9000, true, &one)], &[1]), ["100=abc", "1124=de", "9000!fghij"]);
    // One frame in three packets, each with a header for the whole.
    let part = |data: &[u8]| [&[0, 16, 0, 9 << 3][..], data].concat();
    let parts = [part(b"abcd"), part(b"efg"), part(b"hi")];
    let packets = [(5, false, &parts[0][..]), (5, false, &parts[1]), (5, true, &parts[2])];
    assert_eq!(frames(&track, &packets, &[]), ["5=abcdefghi"]);
    let then = [packets[0], packets[1], packets[2], (7, true, &one[..])];
    assert_eq!(frames(&track, &then, &[1]), ["7!fghij"], "a part was lost");
    let cut = [packets[0], packets[1], (7, true, &one[..])];
    assert_eq!(frames(&track, &cut, &[]), ["7!fghij"], "its end was lost");
    for damaged in [&[][..], &[0], &[0, 16], &[0, 16, 0], &[0xFF, 0xFF, 1, 2], &[0, 3, 0xFF]] {
        assert_eq!(frames(&track, &[(1, true, damaged), (7, true, &one)], &[]), ["7=fghij"], "{damaged:x?}");
    }
    // Frames in another order than that of time.
    let interleaved = [&[0, 32, 0, 3 << 3, 0, 2 << 3 | 1][..], b"abcde"].concat();
    assert_eq!(frames(&track, &[(1, true, &interleaved)], &[]), [] as [&str; 0]);
}

#[test]
fn fields_and_constant_sizes_of_rfc_3640_are_read() {
    let fields = "sizelength=6;indexlength=2;indexdeltalength=2;ctsdeltalength=4;dtsdeltalength=4;randomaccessindication=1;\
        streamstateindication=3;auxiliarydatasizelength=8";
    let odd = track(&AAC.replace("sizelength=13;indexlength=3;indexdeltalength=3", fields)).expect("read");
    // 000011 00 | 0 0 1 000 ; 000010 00 | 1 0101 0 1 000: sizes 3 and 2, the second one with a time of its own.
    let headers = [0, 32, 0b0000_1100, 0b0010_0000, 0b0010_0010, 0b1010_1000];
    let payload = [&headers[..], &[8, 0xEE], b"abcde"].concat();
    assert_eq!(frames(&odd, &[(1, true, &payload)], &[]), ["1=abc", "1025=de"]);
    let constant =
        track(&AAC.replace("sizelength=13;indexlength=3;indexdeltalength=3", "constantsize=2;constantduration=960"));
    assert_eq!(frames(&constant.expect("read"), &[(1, true, b"abcde")], &[]), ["1=ab", "961=cd"]);
}

/// Bits as bytes; spaces are left out.
fn packed(bits: &str) -> Vec<u8> {
    let bits: Vec<_> = bits.chars().filter(|c| *c != ' ').collect();
    bits.chunks(8).map(|byte| byte.iter().enumerate().map(|(i, bit)| u8::from(*bit == '1') << (7 - i)).sum()).collect()
}

/// With `cpresent=1`, each element can begin with the configuration, behind which nothing is at the beginning of a byte.
#[test]
fn latm_with_its_configuration_in_the_stream_is_read() {
    let in_band =
        [LATM.replace("cpresent=0", "cpresent=1"), LATM.replace("cpresent=0;", "").replace("config=400024203fc0", "")];
    for lines in &in_band {
        let latm = track(lines).expect("read");
        assert_eq!(latm.format, SoundFormat::Aac { config: Bytes::from_static(&[0x12, 0x10]) });
        // Two frames in an element: AAC-LC (2), 44.1 kHz (4), two channels (2), frames of 1024 samples, lengths before them, fullness.
        let config = |audio: &str, rest: &str| format!("0 0 1 000001 0000 000 {audio} 000 11111111 {rest}");
        let lc = "00010 0100 0010 000";
        let frames_ab = "00000001 01100001 00000010 01100010 01100011";
        let first = packed(&format!("{} {frames_ab}", config(lc, "0 0")));
        let same = packed(&format!("1 {frames_ab}"));
        // With the length of other data, and a checksum.
        let more = packed(&format!("{} {frames_ab}", config(lc, "1 1 00000000 0 00000000 1 00000000")));
        for element in [&first, &more] {
            let packets = [(1, true, &element[..]), (5000, false, &same[..3]), (5000, true, &same[3..])];
            assert_eq!(frames(&latm, &packets, &[]), ["1=a", "1025=bc", "5000=a", "6024=bc"]);
        }
        // Without a configuration before it; of another kind (mono); cut off; and then a right one.
        let mono = packed(&format!("{} {frames_ab}", config("00010 0100 0001 000", "0 0")));
        for damaged in [&same[..], &mono, &first[..first.len() - 2], &[], &[0x80]] {
            let read = frames(&latm, &[(1, true, damaged), (9, true, &first)], &[]);
            let last_two = &read[read.len() - 2..];
            assert_eq!(last_two, ["9!a", "1033=bc"], "{damaged:x?}");
        }
        let kept = frames(&latm, &[(1, true, &first[..]), (9, true, &mono[..]), (17, true, &same[..])], &[]);
        assert_eq!(kept, ["1=a", "1025=bc"], "the stream is of another kind from there on");
    }
}

#[test]
fn latm_and_opus_are_read() {
    let latm = track(LATM).expect("read");
    let long = [&[255, 45][..], &[b'x'; 300]].concat();
    let read = frames(
        &latm,
        &[(1, true, &[3, b'a', b'b', b'c']), (1025, false, &long[..100]), (1025, true, &long[100..])],
        &[],
    );
    assert_eq!((read[0].as_str(), read[1].len(), read.len()), ("1=abc", 5 + 300, 2));
    assert_eq!(frames(&latm, &[(1, true, &[9, b'a']), (2, true, &[255]), (3, true, &[1, b'b'])], &[]), ["3!b"]);
    let opus = track("a=rtpmap:97 OPUS/48000/2\r\n").expect("read");
    assert_eq!(frames(&opus, &[(1, true, b"abc"), (961, true, b""), (1921, false, b"de")], &[]), ["1=abc", "1921=de"]);
}
