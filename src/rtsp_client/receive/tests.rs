use super::*;
use crate::rtsp_client::Start;

const IDR: &[u8] = b"\x65\x88\x84";
const P: &[u8] = b"\x41\xC0\x11";

fn packet(payload_type: u8, sequence: u16, ssrc: u8, payload: &[u8]) -> Bytes {
    let mut data = vec![0x80, 0x80 | payload_type];
    data.extend_from_slice(&sequence.to_be_bytes());
    // A time of its own for each packet.
    data.extend_from_slice(&u32::from(sequence).to_be_bytes());
    data.extend_from_slice(&[0, 0, 0, ssrc]);
    data.extend_from_slice(payload);
    data.into()
}

fn receiver(is_udp: bool) -> Receiver {
    let mut track = Track { payload_type: 96, ..Track::default() };
    track.format.push(("sprop-parameter-sets".into(), "Z0LAHoA=,aIA=".into()));
    Receiver::new(Codec::H264, &track, is_udp)
}

/// The RTP times of the units, and `!` where data before a unit was lost. The first packet is an IDR picture.
fn received(is_udp: bool, sequences: &[u16]) -> String {
    let (mut receiver, now) = (receiver(is_udp), Instant::now());
    for (i, sequence) in sequences.iter().enumerate() {
        receiver.push(packet(96, *sequence, 1, if i == 0 { IDR } else { P }), true, now);
    }
    receiver.release(now + MAX_WAIT);
    let units = std::iter::from_fn(|| receiver.pop());
    units
        .map(|unit| format!("{}{}", unit.timestamp, if unit.has_loss { "!" } else { "" }))
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test(start_paused = true)]
async fn packets_by_tcp_are_taken_in_the_order_of_arrival() {
    assert_eq!(received(false, &[1, 2, 3]), "1 2 3");
    assert_eq!(received(false, &[1, 2, 5, 6]), "1 2 5! 6", "the sender left packets out");
    assert_eq!(received(false, &[65_535, 0, 1]), "65535 0 1");
    assert_eq!(received(false, &[9, 10, 5, 6]), "9 10 5 6", "a step back loses nothing");
    assert_eq!(received(false, &[1, 2, 2, 3]), "1 2 3", "sent twice");
    let odd: Vec<_> = (0..40).map(|i| i * 7).collect();
    let losses = received(false, &odd).matches('!').count();
    assert!(losses <= MAX_GAPS as usize + 1, "another step is not believed to be a loss for ever: {losses}");
}

#[tokio::test(start_paused = true)]
async fn packets_by_udp_are_put_in_order_within_bounds() {
    assert_eq!(received(true, &[1, 3, 2, 4]), "1 2 3 4");
    assert_eq!(received(true, &[65_534, 1, 0, 65_535]), "65534 65535 0 1");
    assert_eq!(received(true, &[1, 3, 4]), "1 3! 4", "after the wait");
    assert_eq!(received(true, &[1, 2, 2, 3]), "1 2 3", "sent twice");
    assert_eq!(received(true, &[10, 9, 11]), "10 11", "too late");
    assert_eq!(received(true, &[1, 2, 30_000, 30_001]), "1 2 30000! 30001", "the sender begins anew");
    let mut receiver = receiver(true);
    for sequence in (0..2000).filter(|n| n % 200 != 1) {
        receiver.push(packet(96, sequence, 1, P), true, Instant::now());
        assert!(receiver.order.as_ref().is_some_and(|order| order.waiting.len() <= MAX_WAITING + 1));
    }
    assert!(receiver.deadline().is_none() || receiver.pop().is_some());
}

#[tokio::test(start_paused = true)]
async fn packets_are_believed_before_announcements() {
    let (mut receiver, now) = (receiver(false), Instant::now());
    // Another payload type than announced.
    let taken = (0..20).filter(|sequence| receiver.push(packet(97, *sequence, 1, IDR), true, now)).count();
    assert_eq!(taken, 20 - OTHER_TYPE as usize + 1);
    // Another source: the camera has begun anew.
    while receiver.pop().is_some() {}
    for (sequence, ssrc) in [(20, 1), (7, 2), (8, 2)] {
        receiver.push(packet(97, sequence, ssrc, if ssrc == 2 && sequence == 7 { IDR } else { P }), true, now);
    }
    let units: Vec<_> = std::iter::from_fn(|| receiver.pop()).map(|unit| (unit.start, unit.has_loss)).collect();
    assert_eq!(units, [(Start::No, false), (Start::Key, true), (Start::No, false)]);
    assert!(!receiver.push(Bytes::from_static(b"\x80\xC8\0\x01\0\0\0\x01"), true, now), "a report");
}

#[tokio::test(start_paused = true)]
async fn units_that_are_not_taken_do_not_pile_up() {
    let mut receiver = receiver(false);
    for sequence in 0..1000 {
        receiver.push(packet(96, sequence, 1, IDR), true, Instant::now());
    }
    let units: Vec<_> = std::iter::from_fn(|| receiver.pop()).collect();
    assert_eq!((units.len(), units[0].has_loss), (MAX_UNITS, true));
}
