//! What holds for all bytes of a camera. The fuzz target `rtsp_answer` checks it.

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Start, Track,
    message::{Item, Reader},
    receive::Receiver,
    sdp::{Codec, Description},
};
use crate::fetch::challenge::Scheme;

/// Reads bytes as answers, whole and in pieces, without a panic or an endless loop. Then reads bodies as descriptions, and everything as
/// packets of each codec.
pub(crate) fn hold(data: &[u8]) {
    let whole = read(data, data.len().max(1));
    read(data, 7);
    let mut bodies = vec![Bytes::copy_from_slice(data)];
    for item in whole {
        match item {
            Item::Answer(answer) => {
                let _ = (answer.headers.session(), answer.headers.transport());
                if let Ok(mut scheme) = Scheme::choose(answer.headers.all("www-authenticate")) {
                    let _ =
                        scheme.answer(("user", &crate::secret::Secret::new("password")), "DESCRIBE", "rtsp://h/", &[]);
                }
                bodies.push(answer.body);
            }
            Item::Call(..) => {}
            Item::Packet(_, packet) => bodies.push(packet),
        }
    }
    for body in &bodies {
        let description = Description::read(body);
        assert!(description.tracks.len() <= 33);
        let _ = description.video().map(|track| track.parameter_sets());
    }
    for codec in [Codec::H264, Codec::H265, Codec::Jpeg] {
        for is_udp in [false, true] {
            receive(codec, is_udp, data);
        }
    }
}

fn read(data: &[u8], piece: usize) -> Vec<Item> {
    let mut reader = Reader::new();
    reader.expect_description(data.first().is_some_and(|byte| byte % 2 == 0));
    let mut items = vec![];
    for piece in data.chunks(piece) {
        reader.buffer().extend_from_slice(piece);
        loop {
            match reader.next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(_) => return items,
            }
        }
    }
    items.extend(reader.cut());
    assert!(items.len() <= data.len(), "each item has bytes of its own");
    items
}

/// The bytes as packets: a length of one byte, and the payload.
fn receive(codec: Codec, is_udp: bool, data: &[u8]) {
    let track = Track { payload_type: 96, ..Track::default() };
    let mut receiver = Receiver::new(codec, &track, is_udp);
    let (mut rest, mut sequence) = (data, 0_u16);
    while let Some((&length, behind)) = rest.split_first() {
        let (payload, behind) = behind.split_at(behind.len().min(usize::from(length)));
        rest = behind;
        sequence = sequence.wrapping_add(u16::from(length % 5));
        let mut packet = vec![0x80, 96 | length & 0x80];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&u32::from(sequence / 3).to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 1]);
        packet.extend_from_slice(payload);
        receiver.push(packet.into(), true, Instant::now());
        while let Some(unit) = receiver.pop() {
            assert!(!unit.data.is_empty());
            let begins = if codec == Codec::Jpeg { vec![0xFF, 0xD8] } else { vec![0, 0, 0, 1] };
            assert!(unit.data.starts_with(&begins) && (codec != Codec::Jpeg || unit.start == Start::Key));
        }
    }
}
