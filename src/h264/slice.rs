//! What a receiver has to know of a NAL of H.264 or H.265 to find the beginning of pictures, and the pictures where decoding can begin.

use super::{bits::Reader, nal::unescape};

/// Bytes of a slice header that are read. The fields have at most 2 x 31 bits; emulation prevention can add bytes.
const HEADER: usize = 24;

/// A kind of NAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nal {
    /// A slice of a coded picture.
    Slice {
        /// Whether it is the first slice of its picture.
        is_first: bool,
        /// Whether its picture refers to no other: IDR of H.264; IDR, BLA and CRA of H.265.
        is_key: bool,
        /// Whether the slice refers to no other picture.
        is_intra: bool,
    },
    /// A sequence, picture or video parameter set.
    ParameterSet,
    /// Supplemental information that says after how many pictures the picture is correct, if decoding begins here (H.264 D.2.8).
    Recovery(u32),
    /// A delimiter of access units.
    Delimiter,
    /// A NAL that belongs to its access unit.
    Other,
    /// A NAL that decoding does not need, or of a kind that the standard does not specify.
    Unused,
}

/// The kind of a NAL of H.264 (table 7-1).
pub fn h264(nal: &[u8]) -> Nal {
    let (Some(first), Some(second)) = (nal.first(), nal.get(1)) else { return Nal::Unused };
    match first & 31 {
        1 | 2 => {
            let payload = unescape(nal.get(1..nal.len().min(HEADER)).unwrap_or_default());
            let mut bits = Reader::new(&payload);
            let (first_block, slice_type) = (bits.ue(), bits.ue());
            // I and SI (table 7-6).
            let is_intra = slice_type.is_some_and(|slice_type| matches!(slice_type % 5, 2 | 4));
            Nal::Slice { is_first: first_block == Some(0), is_key: false, is_intra }
        }
        5 => Nal::Slice { is_first: second & 0x80 != 0, is_key: true, is_intra: true },
        6 => recovery(nal).map_or(Nal::Other, Nal::Recovery),
        7 | 8 => Nal::ParameterSet,
        9 => Nal::Delimiter,
        3 | 4 | 13..=15 | 19 | 20 => Nal::Other,
        _ => Nal::Unused,
    }
}

/// The kind of a NAL of H.265 (table 7-1). Its recovery points (D.3.8) are not read: cameras use CRA pictures.
pub fn h265(nal: &[u8]) -> Nal {
    let (Some(first), Some(third)) = (nal.first(), nal.get(2)) else { return Nal::Unused };
    match first >> 1 & 63 {
        kind @ (0..=9 | 16..=21) => {
            let is_key = kind >= 16;
            Nal::Slice { is_first: third & 0x80 != 0, is_key, is_intra: is_key }
        }
        32..=34 => Nal::ParameterSet,
        35 => Nal::Delimiter,
        39 | 40 => Nal::Other,
        _ => Nal::Unused,
    }
}

/// `recovery_frame_cnt` of a recovery point in supplemental information (7.3.2.3.1).
fn recovery(nal: &[u8]) -> Option<u32> {
    /// A message before the recovery point can have user data; recovery points are short and near the beginning.
    const MOST: usize = 4096;
    let payload = unescape(nal.get(1..nal.len().min(MOST))?);
    let mut rest = payload.as_slice();
    let number = |rest: &mut &[u8]| {
        let mut value = 0_usize;
        loop {
            let (&byte, behind) = rest.split_first()?;
            *rest = behind;
            value += usize::from(byte);
            if byte != 0xFF {
                return Some(value);
            }
        }
    };
    loop {
        let (kind, size) = (number(&mut rest)?, number(&mut rest)?);
        let message = rest.get(..size)?;
        if kind == 6 {
            return Reader::new(message).ue();
        }
        rest = &rest[size..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_tell_the_beginning_of_a_picture_and_of_decoding() {
        let slice = |is_first, is_key, is_intra| Nal::Slice { is_first, is_key, is_intra };
        for (nal, expected) in [
            (&[0x65, 0x88, 0x84][..], slice(true, true, true)),
            (&[0x65, 0x48], slice(false, true, true)),
            // first_mb_in_slice 0 and slice_type 0 (P), 5 (P), 7 (I), 2 (I), 6 (B).
            (&[0x41, 0b1100_0000], slice(true, false, false)),
            (&[0x41, 0b1001_1000], slice(true, false, false)),
            (&[0x41, 0b1000_1000, 0], slice(true, false, true)),
            (&[0x61, 0b1011_0000], slice(true, false, true)),
            (&[0x01, 0b1001_1100], slice(true, false, false)),
            (&[0x41, 0b0100_1100], slice(false, false, true)),
            (&[0x67, 0x42], Nal::ParameterSet),
            (&[0x68, 0xCE], Nal::ParameterSet),
            (&[0x09, 0xF0], Nal::Delimiter),
            (&[0x0C, 0xFF], Nal::Unused),
            (&[0x1F, 0xFF], Nal::Unused),
            (&[0x00, 0xFF], Nal::Unused),
            (&[0x65], Nal::Unused),
            (&[], Nal::Unused),
        ] {
            assert_eq!(h264(nal), expected, "{nal:x?}");
        }
        for (nal, expected) in [
            (&[0x26, 0x01, 0xAF][..], slice(true, true, true)),
            (&[0x2A, 0x01, 0xAF], slice(true, true, true)),
            (&[0x2A, 0x01, 0x2F], slice(false, true, true)),
            (&[0x02, 0x01, 0xD0], slice(true, false, false)),
            (&[0x40, 0x01, 0x0C], Nal::ParameterSet),
            (&[0x46, 0x01, 0x50], Nal::Delimiter),
            (&[0x4E, 0x01, 0x05], Nal::Other),
            (&[0x7E, 0x01, 0x05], Nal::Unused),
            (&[0x26, 0x01], Nal::Unused),
        ] {
            assert_eq!(h265(nal), expected, "{nal:x?}");
        }
    }

    #[test]
    fn a_recovery_point_is_found_among_other_messages() {
        // recovery_frame_cnt 0 and 9; user data before it.
        assert_eq!(h264(&[0x06, 6, 1, 0b1100_0100, 0x80]), Nal::Recovery(0));
        assert_eq!(h264(&[0x06, 6, 2, 0b0001_0101, 0x40, 0x80]), Nal::Recovery(9));
        assert_eq!(h264(&[0x06, 5, 3, b'a', b'b', b'c', 6, 1, 0xC4, 0x80]), Nal::Recovery(0));
        let long = [&[0x06, 5, 0xFF, 1][..], &[7; 256], &[6, 1, 0xC4, 0x80]].concat();
        assert_eq!(h264(&long), Nal::Recovery(0));
        for other in [&[0x06, 5, 200, 1][..], &[0x06, 0xFF], &[0x06, 6, 0, 0x80], &[0x06, 1, 0, 0x80]] {
            assert_eq!(h264(other), Nal::Other, "{other:x?}");
        }
    }
}
