use proptest::prelude::*;

use super::*;

#[derive(Debug)]
struct Packet {
    channel: u8,
    marker: bool,
    sequence: u16,
    time: u32,
    ssrc: u32,
    payload: Vec<u8>,
}

/// Reads interleaved RTP packets, checking each field that has but one right value.
fn packets(pieces: &[Bytes]) -> Vec<Packet> {
    let data = pieces.concat();
    let mut rest = &data[..];
    let mut out = vec![];
    while !rest.is_empty() {
        assert_eq!(rest[0], b'$');
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (frame, after) = rest[4..].split_at(length);
        assert_eq!((frame[0], frame[1] & 0x7F), (0x80, PAYLOAD_TYPE));
        let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
        out.push(Packet {
            channel: rest[1],
            marker: frame[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([frame[2], frame[3]]),
            time: word(4),
            ssrc: word(8),
            payload: frame[12..].to_vec(),
        });
        rest = after;
    }
    out
}

/// RFC 6184, as a receiver reads it.
fn depacketize(packets: &[Packet]) -> Vec<Vec<u8>> {
    let mut nals: Vec<Vec<u8>> = vec![];
    let mut open = false;
    for Packet { payload, .. } in packets {
        assert!(payload.len() <= MAX_PAYLOAD);
        if payload[0] & 0x1F != FU_A {
            assert!(!open, "a fragmented NAL is complete before the next begins");
            nals.push(payload.clone());
            continue;
        }
        let (start, end) = (payload[1] & 0x80 != 0, payload[1] & 0x40 != 0);
        assert!(!(start && end), "one fragment is not a fragmented NAL (section 5.8)");
        assert_eq!(start, !open);
        if start {
            nals.push(vec![payload[0] & 0xE0 | payload[1] & 0x1F]);
        }
        nals.last_mut().expect("begun").extend_from_slice(&payload[2..]);
        open = !end;
    }
    assert!(!open);
    nals
}

fn nal() -> impl Strategy<Value = Bytes> {
    let length = prop_oneof![1..30_usize, 1390..1410_usize, 2780..2820_usize, 1..9000_usize];
    // Any header but those that RFC 6184 takes for itself (24 to 31), and the forbidden bit never set.
    (0..4_u8, 1..24_u8, length, any::<u8>()).prop_map(|(importance, kind, length, fill)| {
        let body = (1..length).map(|i| (i as u8).wrapping_mul(31) ^ fill);
        std::iter::once(importance << 5 | kind).chain(body).collect()
    })
}

proptest! {
    #[test]
    fn every_nal_comes_back(units in prop::collection::vec(prop::collection::vec(nal(), 1..5), 1..5), sequence: u16, first: u32) {
        let mut packetizer = Packetizer::new(4, 0xDEAD_BEEF, sequence, first);
        let mut expected_sequence = sequence;
        for (i, nals) in units.iter().enumerate() {
            let time = packetizer.time(Duration::from_secs(i as u64));
            let mut pieces = vec![];
            packetizer.packetize(nals.iter(), time, &mut pieces);
            let packets = packets(&pieces);
            prop_assert_eq!(depacketize(&packets), nals.iter().map(|n| n.to_vec()).collect::<Vec<_>>());
            for (j, packet) in packets.iter().enumerate() {
                prop_assert_eq!(packet.sequence, expected_sequence);
                prop_assert_eq!(packet.marker, j + 1 == packets.len(), "the last packet of a picture, and no other");
                prop_assert_eq!((packet.channel, packet.ssrc), (4, 0xDEAD_BEEF));
                prop_assert_eq!(packet.time, first.wrapping_add(i as u32 * CLOCK_RATE));
                expected_sequence = expected_sequence.wrapping_add(1);
            }
        }
        prop_assert_eq!(packetizer.sequence(), expected_sequence);
    }
}

#[test]
fn payloads_are_not_copied() {
    let nal = Bytes::from(vec![0x65; 5000]);
    let mut pieces = vec![];
    Packetizer::new(0, 1, 1, 1).packetize([&nal].into_iter(), 0, &mut pieces);
    let within = nal.as_ptr_range();
    assert!(pieces.iter().skip(1).step_by(2).all(|piece| within.contains(&piece.as_ptr())));
}

#[test]
fn a_report_says_what_was_sent_and_when() {
    let mut packetizer = Packetizer::new(2, 7, 0, 100);
    packetizer.packetize([&Bytes::from_static(b"\x65abc")].into_iter(), 100, &mut vec![]);
    let report = packetizer.report(100 + CLOCK_RATE, UNIX_EPOCH + Duration::from_millis(1_500));
    let words: Vec<_> = report.chunks(4).map(|w| u32::from_be_bytes(w.try_into().expect("whole words"))).collect();
    let header = [0x2403_0030, 0x80C8_0006, 7];
    assert_eq!(words[..3], header);
    assert_eq!(words[3..5], [2_208_988_801, 1 << 31], "NTP time");
    assert_eq!(words[5..8], [100 + CLOCK_RATE, 1, 4], "RTP time, packets, bytes of payload");
    assert_eq!(words[8..10], [0x81CA_0004, 7]);
    assert_eq!(&report[40..], b"\x01\x07sidecar\0\0\0");
}
