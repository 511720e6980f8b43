//! Rewrites `idr_pic_id` in the header of a coded slice (7.3.3).

use super::{
    bits::{Reader, Writer},
    nal,
};

/// The parameters that the length of a slice header depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    frame_num_bits: u32,
}

impl Fields {
    /// Reads a sequence parameter set (7.3.2.1.1) of a baseline stream without fields, as the encoder makes it.
    pub(super) fn of(sps: &[u8]) -> Option<Self> {
        let payload = nal::unescape(sps.get(1..)?);
        Some(Fields { frame_num_bits: frame_num_bits(&mut Reader::new(&payload))? })
    }
}

/// Reads the payload of a sequence parameter set of the baseline profile up to the bits of `frame_num`. None for another
/// profile.
pub(super) fn frame_num_bits(sps: &mut Reader<'_>) -> Option<u32> {
    let profile = sps.bits(8)?;
    if profile != 66 {
        return None;
    }
    // Constraint flags and level; seq_parameter_set_id.
    sps.bits(16)?;
    sps.ue()?;
    Some(sps.ue()? + 4)
}

/// The slice NAL with `idr_pic_id` 1 and with `idr_pic_id` 2, whose codes have the same length. All IDR pictures of the
/// encoder get one of these two numbers, so consecutive ones can differ. None if this is not an IDR slice.
///
/// The rest of the slice moves by the bits that the length of the code changes. This is possible because CAVLC, the
/// entropy coding of the baseline profile, is not aligned to bytes.
pub(super) fn both(slice: &[u8], fields: Fields) -> Option<[Vec<u8>; 2]> {
    if nal::Kind::of(slice) != Some(nal::Kind::Idr) {
        return None;
    }
    let payload = nal::unescape(&slice[1..]);
    let mut reader = Reader::new(&payload);
    // first_mb_in_slice, slice_type, pic_parameter_set_id.
    for _ in 0..3 {
        reader.ue()?;
    }
    reader.bits(fields.frame_num_bits)?;
    let before = reader.position();
    reader.ue()?;
    let after = reader.position();
    // Up to the stop bit (7.3.2.11), including it; the rest of the last byte is padding.
    let rewritten = |id: u32| {
        let mut writer = Writer::with_capacity(payload.len() + 1);
        let mut head = Reader::new(&payload);
        for _ in 0..before {
            writer.bit(head.bit()?);
        }
        writer.ue(id);
        writer.rest(&payload, after);
        let mut moved = writer.into_bytes();
        let end = moved.iter().rposition(|b| *b != 0)? + 1;
        moved.truncate(end);
        let mut out = vec![slice[0]];
        out.append(&mut nal::escape(&moved));
        Some(out)
    };
    Some([rewritten(1)?, rewritten(2)?])
}
