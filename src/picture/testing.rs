//! Pictures for tests.

use turbojpeg::PixelFormat;

use super::{encode_rgb, jpeg::segments};

/// A colourful JPEG with fine structure, in which damage is visible.
pub fn photo(width: u32, height: u32) -> Vec<u8> {
    photo_numbered(width, height, 0)
}

/// As [`photo`], with a different picture for every number.
pub fn photo_numbered(width: u32, height: u32, number: u32) -> Vec<u8> {
    let mut rgb = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let (fx, fy) = (x as f32 / 9.0 + number as f32, y as f32 / 7.0);
            rgb.push((127.0 + 120.0 * (fx + fy / 3.0).sin()) as u8);
            rgb.push((127.0 + 120.0 * (fy - fx / 5.0).cos()) as u8);
            rgb.push(((x * 255) / width) as u8);
        }
    }
    encode_rgb(&rgb, width, height, 85).expect("test pixels can be encoded").to_vec()
}

/// The JPEG with an APP1 EXIF segment (big-endian) that contains only the orientation.
pub fn with_exif_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"\xFF\xE1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0]);
    let mut out = jpeg[..2].to_vec();
    out.extend_from_slice(&exif);
    out.extend_from_slice(&jpeg[2..]);
    out
}

/// Decoded RGB pixels, with width and height.
pub fn pixels(jpeg: &[u8]) -> (usize, usize, Vec<u8>) {
    let image = turbojpeg::decompress(jpeg, PixelFormat::RGB).expect("decodes without a warning");
    assert_eq!(image.pitch, image.width * 3);
    (image.width, image.height, image.pixels)
}

/// The JPEG without its DHT segments, as a USB camera sends it.
pub fn without_huffman_tables(jpeg: &[u8]) -> Vec<u8> {
    let mut bare = jpeg.to_vec();
    for segment in segments(jpeg).into_iter().rev().filter(|segment| jpeg[segment.start + 1] == 0xC4) {
        bare.drain(segment);
    }
    bare
}

/// How near two pictures of one size are, in decibels of the peak signal to the noise; infinite for equal ones.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>();
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares).log10()
}
