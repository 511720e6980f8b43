use super::*;
use crate::picture::{Picture, PictureLimits, testing};

/// The packets of RFC 2435 for a JPEG with the standard Huffman tables: pieces of its scan, and its tables if `quality` is from 128 on.
fn packets(jpeg: &[u8], quality: u8, piece: usize) -> Vec<Packet> {
    let (mut tables, mut at, mut size, mut kind) = (vec![], 2, (0, 0), 1);
    let scan = loop {
        let (marker, length) = (jpeg[at + 1], usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]])));
        let body = &jpeg[at + 4..at + 2 + length];
        match marker {
            0xDB => body.chunks(65).for_each(|table| tables.extend_from_slice(&table[1..])),
            0xC0 => {
                size = (u16::from_be_bytes([body[3], body[4]]), u16::from_be_bytes([body[1], body[2]]));
                kind = u8::from(body[7] == 0x22);
            }
            0xDA => break &jpeg[at + 2 + length..jpeg.len() - 2],
            _ => {}
        }
        at += 2 + length;
    };
    let (mut out, mut offset) = (vec![], 0);
    for chunk in scan.chunks(piece) {
        let [_, o2, o1, o0] = (offset as u32).to_be_bytes();
        let mut payload = vec![0, o2, o1, o0, kind, quality, (size.0 / 8) as u8, (size.1 / 8) as u8];
        if offset == 0 && quality >= 128 {
            payload.extend_from_slice(&[0, 0, 0, 128]);
            payload.extend_from_slice(&tables);
        }
        payload.extend_from_slice(chunk);
        offset += chunk.len();
        let marker = offset == scan.len();
        out.push(Packet { payload_type: 26, marker, sequence: 0, timestamp: 9, ssrc: 1, payload: payload.into() });
    }
    out
}

fn pictures(packets: &[Packet], gap_at: Option<usize>) -> Vec<Unit> {
    let (mut jpegs, mut out) = (Jpegs::new(None), vec![]);
    for (i, packet) in packets.iter().enumerate() {
        jpegs.push(packet, gap_at == Some(i), &mut out);
    }
    out
}

#[test]
fn a_jpeg_is_put_together_from_its_packets() {
    let jpeg = testing::photo_numbered(96, 64, 3);
    for quality in [255, 80] {
        let made = pictures(&packets(&jpeg, quality, 500), None);
        let [unit] = &made[..] else { panic!("{} pictures", made.len()) };
        let picture = Picture::from_plain_jpeg(unit.data.clone(), &PictureLimits::default()).expect("a JPEG");
        assert_eq!((picture.width, picture.height, unit.start, unit.timestamp), (96, 64, Start::Key, 9));
    }
}

#[test]
fn a_picture_with_a_loss_is_left_out() {
    let packets = packets(&testing::photo_numbered(96, 64, 3), 255, 500);
    assert!(packets.len() > 2, "{}", packets.len());
    assert!(pictures(&packets, Some(1)).is_empty());
    let mut twice = packets.clone();
    twice.remove(1);
    twice.extend(packets);
    assert_eq!(pictures(&twice, None).len(), 1, "the packets of two pictures, one of them incomplete");
}
