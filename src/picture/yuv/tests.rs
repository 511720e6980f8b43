use turbojpeg::Compressor;

use super::*;
use crate::picture::testing;

/// Smooth colours, so that subsampling and scaling lose very little.
fn gradient(width: usize, height: usize) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            rgb.extend([(x * 255 / width) as u8, (y * 255 / height) as u8, ((x + y) * 255 / (width + height)) as u8]);
        }
    }
    rgb
}

fn jpeg(pixels: &[u8], width: usize, height: usize, format: PixelFormat, subsampling: Subsamp) -> Vec<u8> {
    let mut compressor = Compressor::new().expect("a compressor");
    compressor.set_quality(97).expect("a quality");
    compressor.set_subsamp(subsampling).expect("a subsampling");
    let image = Image { pixels, width, pitch: width * format.size(), height, format };
    compressor.compress_to_vec(image).expect("compresses")
}

/// BT.601 limited range, by definition.
fn reference(rgb: [u8; 3]) -> [f64; 3] {
    let [r, g, b] = rgb.map(|c| f64::from(c) / 255.0);
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    [16.0 + 219.0 * y, 128.0 + 224.0 * (b - y) / 1.772, 128.0 + 224.0 * (r - y) / 1.402]
}

fn assert_shows(picture: &Yuv420, at: (usize, usize), rgb: [u8; 3], tolerance: f64, what: &str) {
    let width = picture.canvas().width() as usize;
    let seen = [
        picture.plane(0)[at.1 * width + at.0],
        picture.plane(1)[at.1 / 2 * (width / 2) + at.0 / 2],
        picture.plane(2)[at.1 / 2 * (width / 2) + at.0 / 2],
    ];
    for (seen, meant) in seen.iter().zip(reference(rgb)) {
        assert!((f64::from(*seen) - meant).abs() <= tolerance, "{what} at {at:?}: {seen} for {meant:.1} of {rgb:?}");
    }
}

#[test]
fn every_kind_of_jpeg_keeps_its_colours() {
    let (w, h) = (160, 96);
    let rgb = gradient(w, h);
    let cmyk: Vec<u8> = rgb.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    let canvas = Canvas::new(160, 96).expect("a canvas");
    let check = |data: &[u8], what: &str, gray: bool| {
        let picture = Yuv420::from_jpeg(data, canvas).expect("decodes");
        for (x, y) in [(8, 8), (80, 48), (150, 10), (20, 90), (151, 88)] {
            let p = 3 * (y * w + x);
            let mut colour = [rgb[p], rgb[p + 1], rgb[p + 2]];
            if gray {
                let luma = (reference(colour)[0] - 16.0) * 255.0 / 219.0;
                colour = [luma.round() as u8; 3];
            }
            assert_shows(&picture, (x, y), colour, 4.0, what);
        }
    };
    for subsampling in [Subsamp::Sub2x2, Subsamp::Sub2x1, Subsamp::Sub1x2, Subsamp::Sub4x1, Subsamp::None] {
        check(&jpeg(&rgb, w, h, PixelFormat::RGB, subsampling), &format!("{subsampling:?}"), false);
    }
    check(&jpeg(&rgb, w, h, PixelFormat::RGB, Subsamp::Gray), "gray", true);
    check(&jpeg(&cmyk, w, h, PixelFormat::CMYK, Subsamp::None), "CMYK", false);
    let mut plain_rgb = Compressor::new().expect("a compressor");
    plain_rgb.set_colorspace(Colorspace::RGB).expect("a colour space");
    plain_rgb.set_quality(97).expect("a quality");
    let image = Image { pixels: &rgb[..], width: w, pitch: 3 * w, height: h, format: PixelFormat::RGB };
    check(&plain_rgb.compress_to_vec(image).expect("compresses"), "RGB", false);
}

#[test]
fn extremes_stay_within_the_limited_range() {
    assert_eq!([0, 128, 255].map(limited_luma), [16, 126, 235]);
    assert_eq!([0, 128, 255].map(limited_chroma), [16, 128, 240]);
}

#[test]
fn a_picture_of_another_shape_is_fitted_and_not_distorted() {
    let colour = [40, 90, 210];
    let flat = |w: usize, h: usize| jpeg(&colour.repeat(w * h), w, h, PixelFormat::RGB, Subsamp::Sub2x2);
    let canvas = Canvas::new(320, 180).expect("a canvas");
    let black = [0, 0, 0];
    for (w, h, inside, outside) in [
        // Bars on the left and right.
        (480, 480, vec![(72, 2), (160, 90), (247, 177)], vec![(60, 90), (259, 90)]),
        // Bars above and below; larger than the canvas by more than the decoder can scale.
        (4000, 1000, vec![(2, 54), (317, 125)], vec![(160, 40), (160, 139)]),
        // Smaller than the canvas.
        (16, 9, vec![(2, 2), (317, 177)], vec![]),
        (7, 90, vec![(160, 90)], vec![(145, 90), (175, 90)]),
        (320, 181, vec![(2, 2), (317, 177)], vec![]),
    ] {
        let picture = Yuv420::from_jpeg(&flat(w, h), canvas).expect("decodes");
        for at in inside {
            assert_shows(&picture, at, colour, 4.0, &format!("{w}x{h}"));
        }
        for at in outside {
            assert_shows(&picture, at, black, 1.0, &format!("outside of {w}x{h}"));
        }
    }
}

#[test]
fn odd_sides_lose_a_row_and_a_column_and_nothing_is_blurred() {
    for (w, h) in [(161, 97), (160, 97), (161, 96)] {
        let data = testing::photo(w, h);
        let canvas = Canvas::for_picture(w, h);
        assert_eq!((canvas.width(), canvas.height()), (160, 96));
        let picture = Yuv420::from_jpeg(&data, canvas).expect("decodes");
        let (width, _, rgb) = testing::pixels(&data);
        for (x, y) in [(0, 0), (159, 0), (0, 95), (159, 95), (77, 33)] {
            let p = 3 * (y * width + x);
            let luma = reference([rgb[p], rgb[p + 1], rgb[p + 2]])[0];
            let seen = f64::from(picture.plane(0)[y * 160 + x]);
            assert!((seen - luma).abs() <= 2.0, "{w}x{h} at {x},{y}: {seen} for {luma:.1}");
        }
    }
}

#[test]
fn canvases_are_even_and_within_the_encoder_s_limits() {
    for ((w, h), expected) in [
        ((1920, 1080), (1920, 1080)),
        ((1601, 1201), (1600, 1200)),
        ((1, 1), (32, 32)),
        ((8000, 6000), (2880, 2160)),
        ((6000, 8000), (2160, 2880)),
        ((40_000, 100), (3840, 32)),
    ] {
        let canvas = Canvas::for_picture(w, h);
        assert_eq!((canvas.width(), canvas.height()), expected, "{w}x{h}");
        Canvas::new(canvas.width(), canvas.height()).expect("can be encoded");
    }
    for (w, h) in [(31, 32), (30, 30), (3842, 100), (2162, 2162), (0, 0), (641, 480)] {
        assert!(Canvas::new(w, h).is_err(), "{w}x{h}");
    }
}

#[test]
fn data_that_is_not_a_jpeg_is_an_error() {
    let canvas = Canvas::new(64, 64).expect("a canvas");
    assert!(Yuv420::from_jpeg(b"GIF89a", canvas).is_err());
    assert!(Yuv420::from_jpeg(&testing::photo(64, 64)[..200], canvas).is_err());
}
