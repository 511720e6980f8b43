//! Network abstraction layer units: splits a byte stream (annex B of the standard), and removes and inserts the
//! emulation prevention bytes of 7.4.1.

/// A kind of NAL (table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A slice of a picture that refers to others.
    Slice,
    /// A slice of an IDR picture.
    Idr,
    /// A sequence parameter set.
    Sps,
    /// A picture parameter set.
    Pps,
    /// Any other kind.
    Other(u8),
}

impl Kind {
    /// The kind of a NAL; none for an empty NAL.
    pub fn of(nal: &[u8]) -> Option<Self> {
        Some(match nal.first()? & 0x1F {
            1 => Kind::Slice,
            5 => Kind::Idr,
            7 => Kind::Sps,
            8 => Kind::Pps,
            other => Kind::Other(other),
        })
    }
}

/// The NALs of a byte stream (B.1), without the start codes of three or four bytes.
pub fn split(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let data = rest?;
        let code = memchr::memmem::find(data, &[0, 0, 1]);
        rest = code.map(|at| &data[at + 3..]);
        let end = code.unwrap_or(data.len());
        // The first zero of a four-byte start code and trailing zeros belong to no NAL, because no NAL ends in a
        // zero byte.
        let end = data[..end].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        Some(&data[..end])
    })
    .filter(|nal| !nal.is_empty())
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    memchr::memmem::find(stream, &[0, 0, 1]).map(|at| &stream[at + 3..])
}

/// Whether no other picture refers to this access unit (`nal_ref_idc`, 7.4.1), so that it can be left out.
pub fn is_disposable(unit: &[u8]) -> bool {
    let mut slices = split(unit).filter(|nal| matches!(nal.first().map(|first| first & 0x1F), Some(1..=5))).peekable();
    slices.peek().is_some() && slices.all(|nal| nal.first().is_some_and(|first| first & 0x60 == 0))
}

/// Removes the emulation prevention bytes.
pub fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Inserts emulation prevention bytes, so that no three consecutive bytes look like a start code.
pub fn escape(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 64);
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_unit_is_disposable_if_all_its_slices_are() {
        for (stream, expected) in [
            (&b"\0\0\x01\x01\x88"[..], true),
            (b"\0\0\x01\x09\xf0\0\0\x01\x01\x88\0\0\x01\x01\x44", true),
            (b"\0\0\x01\x41\x88", false),
            (b"\0\0\x01\x01\x88\0\0\x01\x21\x88", false),
            (b"\0\0\x01\x65\x88", false),
            (b"\0\0\x01\x06\x88", false),
            (b"", false),
        ] {
            assert_eq!(is_disposable(stream), expected, "{stream:?}");
        }
    }

    #[test]
    fn a_byte_stream_is_split_at_start_codes_of_either_length() {
        let stream = [0, 0, 0, 1, 0x67, 9, 0, 0, 1, 0x68, 8, 0, 0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0];
        let nals: Vec<_> = split(&stream).collect();
        assert_eq!(nals, [&[0x67, 9][..], &[0x68, 8], &[0x65, 0, 0, 3, 1]]);
        assert_eq!(nals.iter().filter_map(|n| Kind::of(n)).collect::<Vec<_>>(), [Kind::Sps, Kind::Pps, Kind::Idr]);
        assert_eq!(split(&[1, 2, 3]).count(), 0);
        assert_eq!(split(&[0, 0, 1]).count(), 0);
    }

    proptest! {
        #[test]
        fn escaping_hides_start_codes_and_unescaping_restores_the_payload(payload in prop::collection::vec(0..5_u8, 0..200)) {
            let escaped = escape(&payload);
            prop_assert!(!escaped.windows(3).any(|w| w[0] == 0 && w[1] == 0 && w[2] < 3));
            prop_assert_eq!(unescape(&escaped), payload);
        }
    }
}
