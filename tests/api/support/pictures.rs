//! Test pictures, and the colours of received ones.

use std::path::Path;

use super::Program;

/// A picture; each number gives another one.
pub fn picture(number: u32) -> Vec<u8> {
    sized_picture(64, 48, number)
}

pub fn sized_picture(width: u32, height: u32, number: u32) -> Vec<u8> {
    let mut rgb = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            rgb.push((x * 255 / width) as u8);
            rgb.push((y * 255 / height) as u8);
            rgb.push((number * 40 % 256) as u8);
        }
    }
    mtx_sidecar::picture::encode_rgb(&rgb, width, height, 90).expect("encodes").to_vec()
}

/// Noise, which does not compress: some 400 KB.
pub fn large_picture(number: u32) -> Vec<u8> {
    noise(512, number)
}

/// The same with sides of so many pixels: 1.6 bytes a pixel.
pub fn noise(side: u32, number: u32) -> Vec<u8> {
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    });
    let rgb: Vec<u8> = noise.take((3 * side * side) as usize).collect();
    mtx_sidecar::picture::encode_rgb(&rgb, side, side, 90).expect("encodes").to_vec()
}

/// A picture of one colour.
pub fn flat_picture(width: u32, height: u32, rgb: [u8; 3]) -> Vec<u8> {
    let pixels = rgb.repeat((width * height) as usize);
    mtx_sidecar::picture::encode_rgb(&pixels, width, height, 95).expect("encodes").to_vec()
}

/// The mean colour in the middle of a picture file.
pub async fn middle_colour(picture: &Path) -> [u8; 3] {
    let path = picture.to_string_lossy();
    let filter = "crop=iw/2:ih/2,scale=1:1:flags=area";
    let rgb = Program::output(
        "ffmpeg",
        &["-v", "error", "-i", &path, "-vf", filter, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
    )
    .await;
    rgb[..3].try_into().expect("three bytes")
}

pub fn close_to(a: [u8; 3], b: [u8; 3]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 24)
}
