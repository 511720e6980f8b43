//! RTP packets (RFC 3550, section 5.1).

use bytes::{Buf, Bytes};

/// A packet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Packet {
    pub(super) payload_type: u8,
    /// For video: whether the packet is the last one of a picture.
    pub(super) marker: bool,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    pub(super) payload: Bytes,
}

impl Packet {
    /// Reads a packet; none if the bytes are no RTP, or are RTCP (RFC 5761, section 4).
    pub(super) fn read(mut data: Bytes) -> Option<Self> {
        let (&[first, second, ..], true) = (&data[..], data.len() >= 12) else { return None };
        if first >> 6 != 2 || (192..=223).contains(&second) {
            return None;
        }
        let padding = if first & 0x20 != 0 { usize::from(*data.last()?) } else { 0 };
        let sources = 4 * usize::from(first & 15);
        data.advance(2);
        let (sequence, timestamp, ssrc) = (data.get_u16(), data.get_u32(), data.get_u32());
        if data.len() < sources {
            return None;
        }
        data.advance(sources);
        if first & 0x10 != 0 {
            // The extension: a profile, its length in words, and the words.
            let words = u16::from_be_bytes([*data.get(2)?, *data.get(3)?]);
            let length = 4 + 4 * usize::from(words);
            if data.len() < length {
                return None;
            }
            data.advance(length);
        }
        // Firmware sets the padding bit without padding.
        if padding <= data.len() {
            data.truncate(data.len() - padding);
        }
        let (payload_type, marker) = (second & 0x7F, second & 0x80 != 0);
        Some(Packet { payload_type, marker, sequence, timestamp, ssrc, payload: data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [u8; 12] = [0x80, 0xE0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 42];

    fn read(first: u8, second: u8, behind: &[u8]) -> Option<Packet> {
        let mut data = [&HEAD[..], behind].concat();
        (data[0], data[1]) = (first, second);
        Packet::read(data.into())
    }

    #[test]
    fn a_packet_is_read_without_sources_extension_and_padding() {
        for (first, behind) in [
            (0x80, &b"abc"[..]),
            (0x81, b"\0\0\0\x01abc"),
            (0x90, b"\xBE\xDE\0\x01xxxxabc"),
            (0x90, b"\xBE\xDE\0\0abc"),
            (0xA0, b"abc\0\x02"),
            (0xB2, b"\0\0\0\x01\0\0\0\x02\xBE\xDE\0\x01xxxxabc\x01"),
        ] {
            let packet = read(first, 0xE0, behind).expect("RTP");
            let seen = (packet.payload_type, packet.marker, packet.sequence, packet.timestamp, packet.ssrc);
            assert_eq!((seen, &packet.payload[..]), ((96, true, 7, 9, 42), &b"abc"[..]), "{first:x}");
        }
        // The padding bit without padding.
        assert_eq!(read(0xA0, 96, b"abc").expect("RTP").payload, &b"abc"[..]);
    }

    #[test]
    fn other_bytes_are_no_packet() {
        for (first, second, behind) in [
            (0x40, 96, &b"abc"[..]),
            (0x80, 200, b"abc"),
            (0x8F, 96, b"abc"),
            (0x90, 96, b"abc"),
            (0x90, 96, b"\0\0\0\x09"),
        ] {
            assert_eq!(read(first, second, behind), None, "{first:x} {second}");
        }
        assert_eq!(Packet::read(Bytes::from_static(&HEAD[..11])), None);
        assert_eq!(Packet::read(Bytes::new()), None);
    }
}
