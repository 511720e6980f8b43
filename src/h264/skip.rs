//! Coded pictures that repeat the picture before: P pictures in which every macroblock is skipped (7.3.4). They are written
//! and not encoded, and have about a dozen bytes.

use std::sync::OnceLock;

use bytes::Bytes;

use super::{
    bits::{Reader, Writer},
    idr, nal,
};

/// The header of such a picture: a reference slice (`nal_ref_idc` 2, `nal_unit_type` 1).
const NAL: u8 = 0x41;

/// Writes the repetitions of an IDR picture whose parameter sets were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skips {
    pps: u32,
    frame_num_bits: u32,
    /// Bits of `pic_order_cnt_lsb`; none for `pic_order_cnt_type` 2, in which the order of output is the order of coding.
    order_bits: Option<u32>,
    has_bottom_order: bool,
    overrides_references: bool,
    has_deblocking: bool,
    has_redundant_count: bool,
    macroblocks: u32,
}

impl Skips {
    /// Reads the parameter sets (7.3.2.1.1, 7.3.2.2) of a baseline stream of frames, as the encoder makes it. None for any
    /// other stream.
    pub fn of(sps: &[u8], pps: &[u8]) -> Option<Self> {
        let payload = nal::unescape(sps.get(1..)?);
        let mut sps = Reader::new(&payload);
        let frame_num_bits = idr::frame_num_bits(&mut sps)?;
        let order_bits = match sps.ue()? {
            0 => Some(sps.ue()? + 4),
            2 => None,
            _ => return None,
        };
        let references = sps.ue()?;
        // gaps_in_frame_num_value_allowed_flag.
        sps.bit()?;
        let (width, height) = (sps.ue()? + 1, sps.ue()? + 1);
        let only_frames = sps.bit()?;
        if references == 0 || !only_frames || frame_num_bits > 16 || order_bits.is_some_and(|bits| bits > 16) {
            return None;
        }
        let macroblocks = width.checked_mul(height)?;

        let payload = nal::unescape(pps.get(1..)?);
        let mut pps = Reader::new(&payload);
        let id = pps.ue()?;
        // seq_parameter_set_id.
        pps.ue()?;
        let is_cabac = pps.bit()?;
        let has_bottom_order = pps.bit()?;
        let slice_groups = pps.ue()?;
        let overrides_references = pps.ue()? > 0;
        // num_ref_idx_l1_default_active_minus1.
        pps.ue()?;
        let is_weighted = pps.bit()?;
        // weighted_bipred_idc; pic_init_qp, pic_init_qs and chroma_qp_index_offset, whose signs do not matter here.
        pps.bits(2)?;
        for _ in 0..3 {
            pps.ue()?;
        }
        let has_deblocking = pps.bit()?;
        // constrained_intra_pred_flag.
        pps.bit()?;
        let has_redundant_count = pps.bit()?;
        let fits = !is_cabac && slice_groups == 0 && !is_weighted;
        fits.then_some(Skips {
            pps: id,
            frame_num_bits,
            order_bits,
            has_bottom_order,
            overrides_references,
            has_deblocking,
            has_redundant_count,
            macroblocks,
        })
    }

    /// The slice of the `number`th repetition after an IDR picture, from 1. Repetitions are references, so `frame_num`
    /// counts them (7.4.3), modulo its maximum.
    pub fn slice(&self, number: u32) -> Bytes {
        let low = |value: u32, bits: u32| value & ((1 << bits) - 1);
        let mut slice = Writer::with_capacity(16);
        // first_mb_in_slice, slice_type P, pic_parameter_set_id.
        slice.ue(0);
        slice.ue(0);
        slice.ue(self.pps);
        slice.bits(low(number, self.frame_num_bits), self.frame_num_bits);
        if let Some(bits) = self.order_bits {
            // A frame counts twice (8.2.1.1).
            slice.bits(low(number.wrapping_mul(2), bits), bits);
            if self.has_bottom_order {
                // delta_pic_order_cnt_bottom.
                slice.ue(0);
            }
        }
        if self.has_redundant_count {
            slice.ue(0);
        }
        // num_ref_idx_active_override_flag, with one reference: the picture before.
        slice.bit(self.overrides_references);
        if self.overrides_references {
            slice.ue(0);
        }
        // ref_pic_list_modification_flag_l0, adaptive_ref_pic_marking_mode_flag.
        slice.bits(0, 2);
        // slice_qp_delta.
        slice.ue(0);
        if self.has_deblocking {
            // disable_deblocking_filter_idc: the samples stay as they are.
            slice.ue(1);
        }
        // mb_skip_run, rbsp_stop_one_bit.
        slice.ue(self.macroblocks);
        slice.bit(true);
        let mut out = vec![NAL];
        out.append(&mut nal::escape(&slice.into_bytes()));
        out.into()
    }
}

/// The first repetitions, which are the same for all readers and after each keyframe.
const CACHED: usize = 32;

/// The repetitions of one IDR picture, written when they are first sent.
#[derive(Debug)]
pub struct Repetitions {
    skips: Skips,
    written: [OnceLock<Bytes>; CACHED],
}

impl Repetitions {
    /// Those of an IDR picture with these parameter sets (7.3.2.1.1, 7.3.2.2) of a baseline stream of frames, as the encoder
    /// makes it. None for any other stream.
    pub fn of(sps: &[u8], pps: &[u8]) -> Option<Self> {
        Some(Repetitions { skips: Skips::of(sps, pps)?, written: Default::default() })
    }

    /// The slice of the `number`th repetition after the IDR picture, from 1.
    pub fn slice(&self, number: u32) -> Bytes {
        let slot = usize::try_from(number).ok().and_then(|number| self.written.get(number));
        match slot {
            Some(slot) => slot.get_or_init(|| self.skips.slice(number)).clone(),
            None => self.skips.slice(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        h264::{AccessUnit, Decoder, Effort, Encoder},
        picture::{Canvas, Yuv420, testing},
    };

    fn still(width: u32, height: u32) -> AccessUnit {
        let canvas = Canvas::new(width, height).expect("a canvas");
        let jpeg = testing::photo_numbered(width, height, 1);
        let picture = Yuv420::from_jpeg(&jpeg, canvas).expect("a picture");
        Encoder::new(canvas, Effort::Still).expect("an encoder").encode(&picture, true).expect("encodes")
    }

    #[test]
    fn a_decoder_shows_the_same_picture_again_and_again() {
        for (width, height) in [(64, 48), (320, 240), (1920, 1080)] {
            let still = still(width, height);
            let skips = Repetitions::of(&still.sps, &still.pps).expect("the encoder's parameter sets");
            let mut decoder = Decoder::new().expect("a decoder");
            let mut shown = |nals: &[&Bytes]| {
                let stream: Vec<u8> = nals.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect();
                let decoded = decoder.decode(&stream).expect("decodes").expect("a picture");
                decoded.planes().samples.map(<[u8]>::to_vec)
            };
            let first = shown(&still.nals(false).collect::<Vec<_>>());
            // Past the maximum of frame_num and of the order count.
            for number in 1..=40 {
                let slice = skips.slice(number);
                assert!(slice.len() <= 14, "{} bytes", slice.len());
                assert!(shown(&[&slice]) == first, "repetition {number} of {width} x {height}");
            }
        }
    }

    #[test]
    fn other_streams_have_no_repetitions() {
        let still = still(64, 48);
        assert_eq!(Skips::of(&[], &still.pps), None);
        assert_eq!(Skips::of(&still.sps, &[0x68]), None);
        let mut high = still.sps.to_vec();
        high[1] = 100;
        assert_eq!(Skips::of(&high, &still.pps), None);
    }
}
