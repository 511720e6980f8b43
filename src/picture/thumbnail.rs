//! Small pictures for lists.

use bytes::Bytes;
use turbojpeg::ScalingFactor;

use super::{Picture, PictureLimits, Raster, in_pool_with, memory_to_transform};
use crate::error::Result;

/// Quality of small pictures.
const QUALITY: u8 = 75;

impl Picture {
    /// A small version: its longer side has `side` pixels or up to twice as many, and never more than the original.
    /// Decodes at a fraction of the size, which costs very little.
    pub async fn thumbnail(&self, side: u32, limits: &PictureLimits) -> Result<Bytes> {
        let (jpeg, longer) = (self.jpeg.clone(), self.width.max(self.height));
        in_pool_with(memory_to_transform(&jpeg), limits, move || {
            let by = [8, 4, 2].into_iter().find(|by| longer / by >= side).unwrap_or(1);
            Raster::from_jpeg_at(&jpeg, |_| ScalingFactor::new(1, by as usize))?.to_jpeg(QUALITY)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::encode_rgb;

    #[tokio::test]
    async fn large_pictures_become_small_and_small_pictures_keep_their_size() {
        let limits = PictureLimits::default();
        for (width, height, expected) in
            [(1920, 1080, (480, 270)), (640, 480, (320, 240)), (100, 50, (100, 50)), (3000, 30, (375, 4))]
        {
            let jpeg = encode_rgb(&vec![90; 3 * width as usize * height as usize], width, height, 90).expect("encodes");
            let picture = Picture::from_plain_jpeg(jpeg, &limits).expect("a picture");
            let small = Picture::from_plain_jpeg(picture.thumbnail(320, &limits).await.expect("made"), &limits)
                .expect("a picture");
            assert_eq!((small.width, small.height), expected);
        }
    }
}
