//! [`Image`]: an image on pictures of one size, ready to be blended.

use std::io::Cursor;

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image as Pixels, ImageRef},
};
use image::{ImageFormat, ImageReader};

use super::{blend::Stamp, block::place, settings::Place};
use crate::picture::{raster::Raster, text::Mask};

/// Longest side and most memory of an image, in pixels and in bytes.
const MAX_SIDE: u32 = 4096;
const MAX_MEMORY: u64 = 128 << 20;

pub(super) struct Image {
    stamp: Stamp,
    planes: [Vec<u8>; 3],
}

impl Image {
    /// Decodes a PNG or WebP and scales it to a part of the width of a picture, in percent. None if it cannot be decoded, which
    /// is logged.
    pub(super) fn new(file: &[u8], at: Place, percent: f64, picture: (u32, u32)) -> Option<Self> {
        let decoded =
            decode(file).inspect_err(|why| tracing::warn!("an image of an overlay cannot be shown: {why}")).ok()?;
        let (from_width, from_height) = decoded.dimensions();
        let width = (percent / 100.0 * f64::from(picture.0)).round().max(1.0);
        let height = (width * f64::from(from_height) / f64::from(from_width)).round().clamp(1.0, f64::from(MAX_SIDE));
        let (width, height) = (width as u32, height as u32);
        let from = ImageRef::new(from_width, from_height, decoded.as_raw(), PixelType::U8x4).ok()?;
        let mut to = Pixels::new(width, height, PixelType::U8x4);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        Resizer::new().resize(&from, &mut to, &options).ok()?;
        let rgb: Vec<u8> = to.buffer().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        let alpha = to.buffer().chunks_exact(4).map(|pixel| pixel[3]).collect();
        let raster = Raster::from_rgb(&rgb, width, height);
        let (left, top) = place(at, (width as i32, height as i32), picture);
        let mask = Mask { width: width as usize, height: height as usize, alpha, ..Mask::default() };
        // Even, so that the chroma samples of the image are those of the picture.
        let stamp = Stamp::new(&mask, left & !1, top & !1);
        Some(Image { stamp, planes: [0, 1, 2].map(|i| raster.plane(i).to_vec()) })
    }

    pub(super) fn draw(&self, on: &mut Raster, opacity: u8) {
        self.stamp.draw_picture(on, &self.planes, opacity);
    }
}

fn decode(file: &[u8]) -> Result<image::RgbaImage, String> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|e| e.to_string())?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::WebP)) {
        return Err("it must be a PNG or WebP".into());
    }
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    reader.decode().map(|image| image.into_rgba8()).map_err(|e| e.to_string())
}
