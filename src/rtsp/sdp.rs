//! The description of a stream (SDP, RFC 8866; H.264 in it: RFC 6184 section 8).

use std::net::{IpAddr, Ipv4Addr};

use base64::{Engine, engine::general_purpose::STANDARD};
use sdp_types::{AddrType, Connection, Media, MediaType, NetType, Origin, Session, Time, TransportProto};

use super::rtp::{CLOCK_RATE, PAYLOAD_TYPE};
use crate::h264::AccessUnit;

/// The control attribute of the one track.
pub(super) const TRACK: &str = "trackID=0";

/// Describes a stream. With a first picture it names the parameter sets, so that decoders need not wait
/// for them; MediaMTX takes them from the stream as well.
#[expect(clippy::expect_used, reason = "a Vec takes everything that is written into it")]
pub(super) fn describe(name: &str, id: u64, first: Option<&AccessUnit>) -> Vec<u8> {
    let mut format = "packetization-mode=1".to_owned();
    if let Some(AccessUnit { sps, pps, .. }) = first {
        let [profile, flags, level] = [1, 2, 3].map(|i| sps.get(i).copied().unwrap_or_default());
        let sets = [sps, pps].map(|set| STANDARD.encode(set));
        format += &format!(
            ";profile-level-id={profile:02X}{flags:02X}{level:02X};sprop-parameter-sets={},{}",
            sets[0], sets[1]
        );
    }
    let anywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let media = Media::builder(MediaType::Video, 0, TransportProto::RtpAvp, PAYLOAD_TYPE)
        .attribute_with_value("rtpmap", format!("{PAYLOAD_TYPE} H264/{CLOCK_RATE}"))
        .attribute_with_value("fmtp", format!("{PAYLOAD_TYPE} {format}"))
        .attribute_with_value("control", TRACK)
        .build();
    let session = Session::builder(Origin::with_ip_addr(id, 1, anywhere), name)
        .connection(Connection::new(NetType::In, AddrType::Ip4, anywhere))
        .time(Time::new(0, 0))
        .attribute_with_value("control", "*")
        .attribute_with_value("range", "npt=now-")
        .media(media)
        .build();
    let mut text = vec![];
    session.write(&mut text).expect("a Vec takes everything");
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::h264::Slice;

    #[test]
    fn the_description_names_what_a_decoder_needs() {
        let unit = AccessUnit {
            sps: Bytes::from_static(&[0x67, 0x42, 0xC0, 0x28, 0x8C]),
            pps: Bytes::from_static(&[0x68, 0xCE]),
            slice: Slice::Delta(Bytes::new()),
        };
        let text = String::from_utf8(describe("front/door", 7, Some(&unit))).expect("text");
        let expected = "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=front/door\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
            a=range:npt=now-\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;\
            profile-level-id=42C028;sprop-parameter-sets=Z0LAKIw=,aM4=\r\na=control:trackID=0\r\n";
        assert_eq!(text, expected);
        let without = String::from_utf8(describe("front/door", 7, None)).expect("text");
        assert!(without.contains("a=fmtp:96 packetization-mode=1\r\n"), "{without}");
    }
}
