//! Properties that accepting an upload must have for every input.

use super::*;

/// An accepted picture is a complete, upright JPEG within the limits, with its tables. If it is uploaded again, it
/// does not change.
pub(crate) fn hold(data: &[u8]) {
    let limits = PictureLimits { frame_size: Size(2000), frame_pixels: 128 * 128, ..PictureLimits::default() };
    let Ok(picture) = Picture::from_upload_blocking(Bytes::copy_from_slice(data), &limits) else { return };
    assert!(picture.jpeg.len() as u64 <= limits.frame_size.0, "{} bytes", picture.jpeg.len());
    let header = jpeg::inspect(&picture.jpeg).expect("the result is a JPEG");
    assert!(u64::from(header.width) * u64::from(header.height) <= limits.frame_pixels, "{header:?}");
    assert_eq!((header.width, header.height), (picture.width, picture.height));
    assert!(header.has_huffman_tables && header.orientation == 1, "{header:?}");
    let again = Picture::from_upload_blocking(picture.jpeg.clone(), &limits).expect("it is accepted again");
    assert_eq!(again.jpeg, picture.jpeg, "it changes when it is uploaded again");
}
