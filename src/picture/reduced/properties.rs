//! Properties that decoding at a fraction of the size must have for every input.

use turbojpeg::{Decompressor, ScalingFactor, YuvImage};

use super::*;
use crate::picture::jpeg::inspect;

/// Most pixels that are decoded here.
const PIXELS: u64 = 512 * 512;

/// What is decoded here, libjpeg-turbo decodes to planes of the same sizes and without a warning.
pub(crate) fn hold(data: &[u8]) {
    // Callers have inspected the data, and checked the number of pixels.
    let Ok(header) = inspect(data) else { return };
    if u64::from(header.width) * u64::from(header.height) > PIXELS {
        return;
    }
    for by in [2, 4, 8] {
        let Some(reduced) = decode(data, by) else { continue };
        let theirs = by_libjpeg_turbo(data, by).expect("libjpeg-turbo decodes it, too");
        let sizes = |planes: &[Plane]| -> Vec<_> {
            planes.iter().map(|plane| (plane.stride, plane.rows, plane.samples.len())).collect()
        };
        assert_eq!(
            (reduced.width, reduced.height, reduced.per_chroma),
            (theirs.width, theirs.height, theirs.per_chroma)
        );
        assert_eq!(sizes(&reduced.planes), sizes(&theirs.planes), "1/{by}");
    }
}

/// The same by libjpeg-turbo.
pub(super) fn by_libjpeg_turbo(jpeg: &[u8], by: usize) -> turbojpeg::Result<Reduced> {
    let mut decoder = Decompressor::new()?;
    let scaling = ScalingFactor::new(1, by);
    let header = decoder.read_header(jpeg)?.scaled(scaling);
    decoder.set_scaling_factor(scaling)?;
    let (across, down) = header.subsamp.size();
    let luma = (header.width.div_ceil(across) * across, header.height.div_ceil(down) * down);
    let chroma = (luma.0 / across, luma.1 / down);
    let sizes = if header.subsamp == turbojpeg::Subsamp::Gray { vec![luma] } else { vec![luma, chroma, chroma] };
    let mut samples = vec![0; sizes.iter().map(|(stride, rows)| stride * rows).sum()];
    let image = YuvImage {
        pixels: &mut samples[..],
        width: header.width,
        align: 1,
        height: header.height,
        subsamp: header.subsamp,
    };
    decoder.decompress_to_yuv(jpeg, image)?;
    let mut rest = &samples[..];
    let planes = sizes.into_iter().map(|(stride, rows)| {
        let (samples, behind) = rest.split_at(stride * rows);
        rest = behind;
        Plane { samples: samples.to_vec(), stride, rows }
    });
    Ok(Reduced { width: header.width, height: header.height, per_chroma: (across, down), planes: planes.collect() })
}
