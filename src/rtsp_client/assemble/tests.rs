use super::*;

const SPS: &[u8] = b"\x67\x42\xC0\x1E\x80";
const PPS: &[u8] = b"\x68\x80";
const IDR: &[u8] = b"\x65\x88\x84";
const IDR_2: &[u8] = b"\x65\x48\x84";
const P: &[u8] = b"\x41\xC0\x11";
const P_2: &[u8] = b"\x41\x60\x11";
const I: &[u8] = b"\x41\x88\x11";

fn described() -> Track {
    let mut track = Track::default();
    track.format.push(("sprop-parameter-sets".into(), "Z0LAHoA=,aIA=".into()));
    track
}

/// Packets: RTP time, marker, whether packets before it were lost, payload.
fn units_of(track: &Track, packets: &[(u32, bool, bool, &[u8])]) -> Vec<Unit> {
    let (mut assembler, mut out) = (Assembler::new(Codec::H264, track), vec![]);
    for (timestamp, marker, has_gap, payload) in packets {
        let payload = Bytes::copy_from_slice(payload);
        let packet = Packet { payload_type: 96, marker: *marker, sequence: 0, timestamp: *timestamp, ssrc: 1, payload };
        assembler.push(&packet, *has_gap, &mut out);
    }
    out
}

/// Units in short: the first bytes of their NALs, `K` for a start, `r3` for a recovery point, `!` for a loss before.
fn shown(units: &[Unit]) -> Vec<String> {
    let show = |unit: &Unit| {
        let nals: Vec<_> = crate::h264::nal::split(&unit.data).map(|nal| format!("{:02x}", nal[0])).collect();
        let start = match unit.start {
            Start::Key => " K".to_owned(),
            Start::Recovery(frames) => format!(" r{frames}"),
            Start::No => String::new(),
        };
        format!("{}{start}{}", nals.join("-"), if unit.has_loss { "!" } else { "" })
    };
    units.iter().map(show).collect()
}

fn seen(packets: &[(u32, bool, bool, &[u8])]) -> Vec<String> {
    shown(&units_of(&described(), packets))
}

#[test]
fn a_unit_ends_with_its_marker_or_with_its_time() {
    let expected = ["67-68-65 K", "41", "41"];
    let marked: &[(u32, bool, bool, &[u8])] = &[(1, true, false, IDR), (2, true, false, P), (3, true, false, P)];
    assert_eq!(seen(marked), expected);
    let unmarked: &[(u32, bool, bool, &[u8])] =
        &[(1, false, false, IDR), (2, false, false, P), (3, false, false, P), (4, false, false, P)];
    assert_eq!(seen(unmarked), expected, "the marker is never set");
    let slices: &[(u32, bool, bool, &[u8])] =
        &[(1, false, false, IDR), (1, true, false, IDR_2), (2, false, false, P), (2, true, false, P_2)];
    assert_eq!(seen(slices), ["67-68-65-65 K", "41-41"]);
    let same_time: &[(u32, bool, bool, &[u8])] = &[(0, true, false, IDR), (0, true, false, P), (0, true, false, P)];
    assert_eq!(seen(same_time), expected, "the time never changes");
    let neither: Vec<_> = std::iter::once((0, false, false, IDR)).chain((0..5).map(|_| (0, false, false, P))).collect();
    assert_eq!(seen(&neither)[1..], ["41", "41", "41"], "neither");
}

#[test]
fn a_marker_on_every_slice_is_not_believed_for_long() {
    let picture = |time, first, second| [(time, true, false, first), (time, true, false, second)];
    let packets: Vec<_> =
        [picture(1, IDR, IDR_2), picture(2, P, P_2), picture(3, IDR, IDR_2), picture(4, P, P_2), picture(5, P, P_2)]
            .concat();
    assert_eq!(seen(&packets)[2..], ["67-68-65-65 K", "41-41"]);
}

#[test]
fn a_marker_on_every_fragment_ends_no_picture() {
    let (first, last): (&[u8], &[u8]) = (&[0x7C, 0x85, 0x88], &[0x7C, 0x45, 0x84]);
    let packets: &[(u32, bool, bool, &[u8])] = &[(1, true, false, first), (1, true, false, last), (2, true, false, P)];
    assert_eq!(seen(packets), ["67-68-65 K", "41"]);
    // The end bit is never set.
    let open: &[u8] = &[0x7C, 0x05, 0x84];
    let packets: &[(u32, bool, bool, &[u8])] = &[(1, false, false, first), (1, true, false, open), (2, true, false, P)];
    assert_eq!(seen(packets), ["67-68-65 K", "41"]);
}

#[test]
fn parameter_sets_come_from_the_stream_or_from_the_description() {
    let in_stream: &[(u32, bool, bool, &[u8])] = &[
        (1, true, false, SPS),
        (1, true, false, PPS),
        (1, true, false, IDR),
        (2, true, false, b"\x09\xF0"),
        (2, true, false, P),
    ];
    assert_eq!(shown(&units_of(&Track::default(), in_stream)), ["67-68-65 K", "41"]);
    let other_time: &[(u32, bool, bool, &[u8])] =
        &[(0, true, false, SPS), (0, true, false, PPS), (7, true, false, IDR)];
    assert_eq!(shown(&units_of(&Track::default(), other_time)), ["67-68-65 K"]);
    let without: &[(u32, bool, bool, &[u8])] = &[(1, true, false, IDR), (2, true, false, P)];
    assert_eq!(shown(&units_of(&Track::default(), without)), ["65", "41"], "no decoder can begin without sets");
}

#[test]
fn intra_pictures_and_recovery_points_are_beginnings() {
    let recovery: &[u8] = &[0x06, 6, 2, 0b0001_0101, 0x40, 0x80];
    let packets: &[(u32, bool, bool, &[u8])] = &[
        (1, false, false, recovery),
        (1, true, false, P),
        (2, true, false, I),
        (3, false, false, I),
        (3, true, false, P_2),
        (4, true, false, P),
    ];
    assert_eq!(seen(packets), ["67-68-06-41 r9", "67-68-06-41 r0", "41-41", "41"]);
}

#[test]
fn a_unit_with_a_loss_is_left_out_and_the_next_one_says_so() {
    for (what, packets, expected) in [
        (
            "in the middle",
            &[(1, true, false, IDR), (2, false, false, P), (2, true, true, P_2), (3, true, false, P)][..],
            &["67-68-65 K", "41!"][..],
        ),
        (
            "a whole unit",
            &[(1, true, false, IDR), (3, true, true, P), (4, true, false, P)],
            &["67-68-65 K", "41!", "41"],
        ),
        (
            "the end of a unit",
            &[(1, true, false, IDR), (2, false, false, P), (3, true, true, P)],
            &["67-68-65 K", "41!"],
        ),
        (
            "the beginning of a unit",
            &[(1, true, false, IDR), (2, true, true, P_2), (3, true, false, P)],
            &["67-68-65 K", "41!"],
        ),
        ("the beginning of the session", &[(1, true, false, IDR_2), (2, true, false, IDR)], &["67-68-65 K!"]),
        (
            "a fragment",
            &[(1, false, false, &[0x7C, 0x85, 0x88]), (1, true, true, &[0x7C, 0x45, 1]), (2, true, false, IDR)],
            &["67-68-65 K!"],
        ),
    ] {
        assert_eq!(seen(packets), expected, "{what}");
    }
}

/// Firmware adds fragments that have no beginning, although no packet is missing.
#[test]
fn a_stray_fragment_damages_nothing() {
    let stray: &[u8] = &[0x7C, 0x41, 1, 2];
    let packets: &[(u32, bool, bool, &[u8])] = &[
        (0, true, false, stray),
        (1, false, false, stray),
        (1, true, false, IDR),
        (2, false, false, stray),
        (2, true, false, P),
    ];
    assert_eq!(seen(packets), ["67-68-65 K", "41"]);
}
