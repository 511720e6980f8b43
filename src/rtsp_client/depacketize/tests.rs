use proptest::prelude::*;

use super::*;

/// The NALs of these payloads; `-` is a lost packet.
fn nals(codec: Codec, payloads: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut depacketizer, mut out) = (Depacketizer::new(codec, false), vec![]);
    for payload in payloads {
        if *payload == b"-" {
            depacketizer.gap();
            continue;
        }
        depacketizer.push(Bytes::copy_from_slice(payload), &mut out);
    }
    depacketizer.flush(&mut out);
    out.iter().map(|nal| nal.to_vec()).collect()
}

#[test]
fn h264_payloads_of_every_kind_are_taken_or_ignored() {
    let nal: &[u8] = &[0x65, 1, 2, 3];
    for (what, payloads, expected) in [
        ("single", &[nal][..], &[nal][..]),
        ("STAP-A", &[&[24, 0, 2, 0x67, 1, 0, 0, 0, 2, 0x68, 2]], &[&[0x67, 1], &[0x68, 2]]),
        ("STAP-A cut off", &[&[24, 0, 2, 0x67, 1, 0, 9, 0x68]], &[&[0x67, 1]]),
        ("FU-A", &[&[0x7C, 0x85, 1], &[0x7C, 0x05, 2], &[0x7C, 0x45, 3]], &[nal]),
        ("FU-A, reserved bit", &[&[0x7C, 0xA5, 1, 2], &[0x7C, 0x65, 3]], &[nal]),
        ("FU-A, start and end", &[&[0x7C, 0xC5, 1, 2, 3]], &[nal]),
        ("FU-A without an end", &[&[0x7C, 0x85, 1, 2], &[0x7C, 0x05, 3], &[0x68, 9]], &[nal, &[0x68, 9]]),
        ("FU-A without a start", &[&[0x7C, 0x41, 1, 2], nal], &[nal]),
        ("FU-A with a loss", &[&[0x7C, 0x85, 1], b"-", &[0x7C, 0x45, 3], nal], &[nal]),
        ("FU-A without data", &[&[0x7C], &[0x7C, 0x85], nal], &[&[0x65], nal]),
        (
            "FU-B, MTAP, reserved and unspecified kinds",
            &[&[0x7D, 0x81, 0, 1, 9], &[26, 0, 0, 9], &[0x7E, 9], &[0x1F, 9], &[0, 9], nal],
            &[nal],
        ),
        ("empty", &[b"", nal], &[nal]),
        ("start codes in front", &[&[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2]], &[&[0x67, 1], &[0x68, 2]]),
        (
            "start codes within",
            &[&[0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 3]],
            &[&[0x67, 1], &[0x68, 2], &[0x65, 3]],
        ),
        (
            "start codes in fragments",
            &[&[0x7C, 0x87, 1, 0, 0], &[0x7C, 0x47, 0, 1, 0x65, 3]],
            &[&[0x67, 1], &[0x65, 3]],
        ),
    ] {
        assert_eq!(nals(Codec::H264, payloads), expected, "{what}");
    }
}

#[test]
fn h265_payloads_of_every_kind_are_taken_or_ignored() {
    let nal: &[u8] = &[0x26, 1, 2, 3];
    for (what, payloads, expected) in [
        ("single", &[nal][..], &[nal][..]),
        ("aggregation", &[&[0x60, 1, 0, 3, 0x40, 1, 9, 0, 3, 0x42, 1, 9]], &[&[0x40, 1, 9], &[0x42, 1, 9]]),
        ("fragments", &[&[0x62, 1, 0x93, 2], &[0x62, 1, 0x53, 3]], &[nal]),
        ("no start", &[&[0x62, 1, 0x53, 3], nal], &[nal]),
        ("PACI and cut off", &[&[0x64, 1, 0, 0], &[0x62, 1], nal], &[nal]),
    ] {
        assert_eq!(nals(Codec::H265, payloads), expected, "{what}");
    }
    let mut depacketizer = Depacketizer::new(Codec::H265, true);
    let mut out = vec![];
    for payload in [
        &[0x26, 1, 0, 7, 2, 3][..],
        &[0x60, 1, 0, 7, 0, 2, 0x26, 1, 1, 0, 2, 0x28, 1],
        &[0x62, 1, 0x93, 0, 7, 2],
        &[0x62, 1, 0x53, 0, 7, 3],
    ] {
        depacketizer.push(Bytes::copy_from_slice(payload), &mut out);
    }
    assert_eq!(out, [nal, &[0x26, 1], &[0x28, 1], nal], "decoding order numbers are removed");
}

#[test]
fn a_nal_of_endless_fragments_is_given_up() {
    let mut depacketizer = Depacketizer::new(Codec::H264, false);
    let (mut out, piece) = (vec![], [&[0x7C, 0x05][..], &[7; 60_000]].concat());
    depacketizer.push(Bytes::from_static(&[0x7C, 0x85]), &mut out);
    let given_up = (0..MAX_NAL / 60_000 + 2).filter(|_| depacketizer.push(piece.clone().into(), &mut out)).count();
    depacketizer.flush(&mut out);
    assert_eq!((given_up, out.len()), (1, 0));
}

proptest! {
    /// What the packetizer of this program's server sends is read again, with fragments of any size.
    #[test]
    fn fragments_of_any_size_are_joined(data in prop::collection::vec(1..=255_u8, 2..400), sizes in prop::collection::vec(1..50_usize, 1..9), is_h265 in any::<bool>()) {
        let header: &[u8] = if is_h265 { &[0x26, 0x01] } else { &[0x65] };
        let nal = [header, &data].concat();
        let (mut depacketizer, mut out) = (Depacketizer::new(if is_h265 { Codec::H265 } else { Codec::H264 }, false), vec![]);
        let (mut rest, mut is_start, mut sizes) = (&data[..], 0x80, sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(*sizes.next().expect("cycles")));
            let is_end = if behind.is_empty() { 0x40 } else { 0 };
            let head = if is_h265 { vec![0x62, 0x01, is_start | is_end | 0x13] } else { vec![0x7C, is_start | is_end | 0x05] };
            depacketizer.push([&head, piece].concat().into(), &mut out);
            (rest, is_start) = (behind, 0);
        }
        prop_assert_eq!(out, [nal]);
    }
}
