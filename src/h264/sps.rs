//! The parts of a camera's sequence parameter set (7.3.2.1, annex E) that decoding depends on.

use h264_reader::{
    nal::sps::{ChromaFormat, FrameMbsFlags, PicOrderCntType, SeqParameterSet},
    rbsp::BitReader,
};

use super::nal;
use crate::picture::{Colour, Matrix};

/// The size and the colour encoding of decoded pictures with 4:2:0 chroma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Width in pixels, without what the stream crops; even (7.4.2.1.1: CropUnitX is 2).
    pub width: u32,
    /// Height in pixels, likewise.
    pub height: u32,
    /// How the samples encode colour.
    pub colour: Colour,
}

impl Layout {
    /// That of a keyframe with its parameter sets (a byte stream). None if openh264 could not decode it either.
    pub fn of(unit: &[u8]) -> Option<Self> {
        let sps = nal::split(unit).find(|nal| nal::Kind::of(nal) == Some(nal::Kind::Sps)).and_then(Sps::read)?;
        let Sps { size: (width, height), colour, obstacle, .. } = sps;
        let is_whole = obstacle.is_none() && width > 0 && height > 0 && width % 2 == 0 && height % 2 == 0;
        is_whole.then_some(Layout { width, height, colour })
    }

    /// Bytes of its three planes, without padding.
    pub fn bytes(&self) -> usize {
        self.width as usize * self.height as usize * 3 / 2
    }
}

/// The contents of a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// Width and height in pixels, after cropping.
    pub size: (u32, u32),
    /// How the samples encode colour.
    pub colour: Colour,
    /// Whether the coding order of pictures can differ from their display order.
    pub reorders: bool,
    /// The feature that openh264 cannot decode, if there is one.
    pub obstacle: Option<&'static str>,
}

impl Sps {
    /// Reads a NAL. None if the reader does not understand the NAL, which can still be valid.
    pub fn read(nal: &[u8]) -> Option<Self> {
        let payload = nal::unescape(nal.get(1..)?);
        let sps = SeqParameterSet::from_bits(BitReader::new(&payload[..])).ok()?;
        let vui = sps.vui_parameters.as_ref();
        let size @ (_, height) = sps.pixel_dimensions().ok()?;
        let mut colour = Colour::usual(height as usize);
        if let Some(signal) = vui.and_then(|vui| vui.video_signal_type.as_ref()) {
            colour.full_range = signal.video_full_range_flag;
            // Table E-5.
            match signal.colour_description.as_ref().map(|described| described.matrix_coefficients) {
                Some(1) => colour.matrix = Matrix::Bt709,
                Some(4..=6) => colour.matrix = Matrix::Bt601,
                Some(9 | 10) => colour.matrix = Matrix::Bt2020,
                _ => {}
            }
        }
        let chroma = &sps.chroma_info;
        let obstacle = if chroma.bit_depth_luma_minus8 > 0 || chroma.bit_depth_chroma_minus8 > 0 {
            Some("H.264 of more than 8 bits")
        } else if chroma.chroma_format != ChromaFormat::YUV420 {
            Some("H.264 without 4:2:0 chroma")
        } else if sps.frame_mbs_flags != FrameMbsFlags::Frames {
            Some("interlaced H.264")
        } else {
            None
        };
        let max = vui.and_then(|vui| vui.bitstream_restrictions.as_ref()).map(|r| r.max_num_reorder_frames);
        let reorders = sps.pic_order_cnt != PicOrderCntType::TypeTwo && max.is_some_and(|max| max > 0);
        Some(Sps { size, colour, reorders, obstacle })
    }
}

/// Whether a slice (7.3.3) is bidirectionally predicted. Only streams that reorder pictures have such slices.
pub(super) fn is_b_slice(nal: &[u8]) -> bool {
    // first_mb_in_slice and slice_type have at max 2 x 31 bits; emulation prevention can add bytes.
    let payload = nal::unescape(nal.get(1..nal.len().min(24)).unwrap_or_default());
    let mut bits = super::bits::Reader::new(&payload);
    let slice_type = bits.ue().and_then(|_| bits.ue());
    matches!(slice_type, Some(1 | 6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        h264::{Effort, Encoder},
        picture::{Canvas, Yuv420, testing},
    };

    #[test]
    fn the_layout_is_that_of_a_keyframe_without_what_it_crops() {
        // 98 x 66 pixels are 112 x 80 in macroblocks.
        let canvas = Canvas::new(98, 66).expect("a size");
        let picture = Yuv420::from_jpeg(&testing::photo_numbered(98, 66, 1), canvas).expect("decodes");
        let mut encoder = Encoder::new(canvas, Effort::Video).expect("starts");
        let unit = |n: usize, encoder: &mut Encoder| {
            let unit = encoder.encode(&picture, n == 0).expect("encodes");
            unit.nals(false).flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect::<Vec<_>>()
        };
        let layout = Layout::of(&unit(0, &mut encoder)).expect("has parameter sets");
        assert_eq!((layout.width, layout.height, layout.bytes()), (98, 66, 98 * 66 * 3 / 2));
        assert_eq!(Layout::of(&unit(1, &mut encoder)), None, "no parameter sets");
        assert_eq!(Layout::of(b"\0\0\x01\x67\xff"), None);
    }
}
