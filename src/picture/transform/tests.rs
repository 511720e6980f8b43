use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    error::Code,
    picture::testing::{photo, pixels, psnr},
};

fn read(query: &str) -> Transform {
    Transform::from_query(query).unwrap_or_else(|e| panic!("{query}: {e}"))
}

fn applied(jpeg: &[u8], query: &str) -> Applied {
    let (width, height, _) = pixels(jpeg);
    let size = (width as u32, height as u32);
    apply(&Bytes::copy_from_slice(jpeg), size, &read(query), 80, &PictureLimits::default()).expect(query)
}

#[test]
fn requests_with_the_same_meaning_are_equal() {
    for (query, canonical) in [
        ("", ""),
        ("interval=500&token=x&max_age=3", ""),
        ("w=320", "w=320"),
        ("width=320&height=200", "w=320&h=200"),
        ("h=200&w=320&fit=inside", "w=320&h=200"),
        ("w=320&h=200&fit=cover", "w=320&h=200&fit=cover"),
        ("rotate=0", ""),
        ("rotate=360", ""),
        ("rotate=-90", "rotate=270"),
        ("rotate=-360&flip=none", ""),
        ("flip=h", "flip=horizontal"),
        ("flip=v", "rotate=180&flip=horizontal"),
        ("flip=both", "rotate=180"),
        ("flip=hv&rotate=180", ""),
        ("flip=v&rotate=180", "flip=horizontal"),
        ("gray=0", ""),
        ("gray=true", "gray=1"),
        ("fps=5", "fps=5"),
        ("fps=5.0", "fps=5"),
        ("fps=0.2", "fps=0.2"),
        ("quality=100", "quality=100"),
        ("%77=%33%32", "w=32"),
    ] {
        let transform = read(query);
        assert_eq!(transform.to_string(), canonical, "{query}");
        assert_eq!(read(canonical), transform, "{query}");
        assert_eq!(transform.is_none(), canonical.is_empty(), "{query}");
    }
    assert!(read("fps=2").keeps_pictures() && !read("fps=2").is_none());
    assert_eq!(read("fps=2&w=100").still(), read("w=100"));
    assert_eq!(read("fps=4").pause(), Some(std::time::Duration::from_millis(250)));
}

#[test]
fn invalid_parameters_are_refused_by_name() {
    let huge = "9".repeat(400);
    for (query, field, rule) in [
        ("w=0", "w", "from 8 to 4096"),
        ("w=-5", "w", "whole number"),
        ("w=NaN", "w", "whole number"),
        ("w=4097", "w", "from 8 to 4096"),
        (&format!("h={huge}"), "h", "from 8 to 4096"),
        ("h=12.5", "h", "whole number"),
        ("w=", "w", "whole number"),
        ("w", "w", "whole number"),
        ("w=10&w=10", "w", "must not occur twice"),
        ("w=10&width=20", "w", "must not occur twice"),
        ("quality=0", "quality", "from 1 to 100"),
        ("quality=101", "quality", "from 1 to 100"),
        ("quality=-1", "quality", "from 1 to 100"),
        ("quality=1e9", "quality", "from 1 to 100"),
        ("fps=0", "fps", "0.01 to 60"),
        ("fps=-1", "fps", "0.01 to 60"),
        ("fps=NaN", "fps", "0.01 to 60"),
        ("fps=inf", "fps", "0.01 to 60"),
        ("fps=61", "fps", "0.01 to 60"),
        ("fps=1e300", "fps", "0.01 to 60"),
        ("rotate=45", "rotate", "0, 90, 180 or 270"),
        ("rotate=99999999999", "rotate", "0, 90, 180 or 270"),
        ("rotate=450", "rotate", "0, 90, 180 or 270"),
        ("rotate=right", "rotate", "0, 90, 180 or 270"),
        ("flip=upside", "flip", "horizontal, vertical or both"),
        ("gray=2", "gray", "0 or 1"),
        ("gray=", "gray", "0 or 1"),
        ("fit=stretch&w=10&h=10", "fit", "inside, contain, cover or fill"),
        ("fit=cover", "fit", "needs both w and h"),
        ("fit=contain&w=100", "fit", "needs both w and h"),
    ] {
        let error = Transform::from_query(query).expect_err(query);
        assert_eq!((error.code(), error.field()), (Code::InvalidParameter, Some(field)), "{query}");
        assert!(error.to_string().contains(rule), "{query}: {error}");
    }
}

#[test]
fn sizes_follow_the_fit_and_only_some_fits_enlarge() {
    for (query, size) in [
        ("w=320", (320, 180)),
        ("h=90", (160, 90)),
        ("w=320&h=320", (320, 180)),
        ("w=4000", (640, 360)),
        ("w=320&h=320&fit=contain", (320, 320)),
        ("w=320&h=320&fit=cover", (320, 320)),
        ("w=320&h=320&fit=fill", (320, 320)),
        ("w=1280&h=720&fit=cover", (1280, 720)),
        ("rotate=90", (360, 640)),
        ("rotate=90&w=180", (180, 320)),
        ("rotate=270&w=320&h=100&fit=cover", (320, 100)),
        ("w=8", (8, 5)),
        ("w=321", (321, 181)),
    ] {
        let result = applied(&photo(640, 360), query);
        assert_eq!((result.width, result.height), size, "{query}");
        let (width, height, _) = pixels(&result.jpeg);
        assert_eq!((width as u32, height as u32), size, "{query}");
    }
    let thin = applied(&photo(2000, 8), "w=100");
    assert_eq!((thin.width, thin.height), (100, 1), "at least one pixel");
    let limits = PictureLimits { frame_pixels: 100_000, ..PictureLimits::default() };
    let large = read("w=1000&h=1000&fit=fill");
    let error = apply(&Bytes::from(photo(64, 64)), (64, 64), &large, 80, &limits).expect_err("beyond the limit");
    assert_eq!(error.code(), Code::FrameTooLarge);
}

#[test]
fn nothing_is_decoded_if_blocks_can_be_moved_or_nothing_changes() {
    let whole = photo(64, 48);
    let same = applied(&whole, "w=64");
    assert_eq!((same.how, &same.jpeg[..]), (How::Unchanged, &whole[..]));
    for query in ["rotate=90", "flip=v", "gray=1", "rotate=270&flip=h&gray=1"] {
        assert_eq!(applied(&whole, query).how, How::Lossless, "{query}");
    }
    let back = applied(&applied(&whole, "rotate=90").jpeg, "rotate=270");
    assert_eq!(pixels(&back.jpeg).2, pixels(&whole).2, "turned back without loss");
    for query in ["quality=80", "w=32", "rotate=90&quality=70"] {
        assert_eq!(applied(&whole, query).how, How::Encoded, "{query}");
    }
    // 50 and 37 are no multiples of 16, the side of a block, so a block at an edge is incomplete.
    assert_eq!(applied(&photo(50, 37), "rotate=180").how, How::Encoded);
}

/// The expected pixels, by the definition of turning and mirroring.
fn turned((width, height, rgb): &(usize, usize, Vec<u8>), turn: Turn) -> (usize, usize, Vec<u8>) {
    let (w, h) = if turn.swaps_sides() { (*height, *width) } else { (*width, *height) };
    let mut out = vec![];
    for y in 0..h {
        for x in 0..w {
            let x = if turn.mirrored { w - 1 - x } else { x };
            let (from_x, from_y) = match turn.quarters {
                0 => (x, y),
                1 => (y, height - 1 - x),
                2 => (width - 1 - x, height - 1 - y),
                _ => (width - 1 - y, x),
            };
            let at = 3 * (from_y * width + from_x);
            out.extend_from_slice(&rgb[at..at + 3]);
        }
    }
    (w, h, out)
}

#[test]
fn all_eight_orientations_are_right_with_complete_and_incomplete_blocks() {
    for (width, height) in [(64, 48), (61, 35)] {
        let jpeg = photo(width, height);
        let original = pixels(&jpeg);
        for rotate in [0, 90, 180, 270] {
            for flip in ["none", "h", "v", "both"] {
                let query = format!("rotate={rotate}&flip={flip}");
                let (w, h, expected) = turned(&original, read(&query).turn);
                let result = applied(&jpeg, &query);
                assert_eq!((result.width as usize, result.height as usize), (w, h), "{query}");
                let found = psnr(&expected, &pixels(&result.jpeg).2);
                assert!(found > 30.0, "{width}x{height} {query}: {found} dB");
            }
        }
    }
}

/// Green in the middle and red on both sides shows which part of the picture remains.
#[test]
fn cropping_keeps_the_middle_and_bars_are_black() {
    let (width, height) = (400_u32, 200_u32);
    let rgb: Vec<u8> = (0..width * height)
        .flat_map(|i| if (100..300).contains(&(i % width)) { [20, 200, 20] } else { [200, 20, 20] })
        .collect();
    let jpeg = crate::picture::encode_rgb(&rgb, width, height, 95).expect("encodes");
    let at = |picture: &Applied, x: usize, y: usize| {
        let (width, _, rgb) = pixels(&picture.jpeg);
        let at = 3 * (y * width + x);
        [rgb[at], rgb[at + 1], rgb[at + 2]]
    };
    let near = |found: [u8; 3], wanted: [u8; 3]| {
        assert!(found.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) < 24), "{found:?} is not {wanted:?}");
    };
    let cover = applied(&jpeg, "w=100&h=100&fit=cover");
    near(at(&cover, 3, 50), [20, 200, 20]);
    near(at(&cover, 96, 50), [20, 200, 20]);
    let contain = applied(&jpeg, "w=100&h=100&fit=contain");
    near(at(&contain, 50, 5), [0, 0, 0]);
    near(at(&contain, 50, 94), [0, 0, 0]);
    near(at(&contain, 50, 50), [20, 200, 20]);
    near(at(&contain, 5, 50), [200, 20, 20]);
    let upright = applied(&jpeg, "w=100&h=100&fit=contain&rotate=90&gray=1");
    near(at(&upright, 5, 50), [0, 0, 0]);
    near(at(&upright, 50, 5), [74, 74, 74]);
}

#[test]
fn a_reduced_picture_is_the_average_of_its_pixels() {
    let jpeg = photo(640, 480);
    let (width, height, rgb) = pixels(&jpeg);
    for (query, by) in [("w=320", 2), ("w=160", 4), ("w=80", 8)] {
        let mut expected = vec![];
        for y in 0..height / by {
            for x in 0..width / by {
                // Gray, because 4:2:0 loses the colours of so fine a pattern in any case.
                let mut sum = 0.0;
                for i in 0..by * by {
                    let at = 3 * ((y * by + i / by) * width + x * by + i % by);
                    let [r, g, b] = [rgb[at], rgb[at + 1], rgb[at + 2]].map(f64::from);
                    sum += 0.299 * r + 0.587 * g + 0.114 * b;
                }
                expected.extend([(sum / (by * by) as f64).round() as u8; 3]);
            }
        }
        let found = psnr(&expected, &pixels(&applied(&jpeg, &format!("{query}&quality=95&gray=1")).jpeg).2);
        assert!(found > 32.0, "{query}: {found} dB");
    }
}

#[test]
fn a_damaged_picture_is_an_error_and_no_panic() {
    let jpeg = photo(64, 64);
    let broken = [&jpeg[..300], &[0xFF, 0xD9]].concat();
    let error = apply(&broken.into(), (64, 64), &read("w=32"), 80, &PictureLimits::default()).expect_err("damaged");
    assert_eq!(error.code(), Code::BrokenPicture);
}

/// The center of the first pixel of these lies on a pixel of the picture, where fast_image_resize 6.1 panicked in a
/// debug build and read outside of its buffers in a release build.
#[test]
fn a_cut_that_begins_at_the_center_of_a_pixel_is_enlarged() {
    for (from, to) in [((30, 27), (57, 56)), ((78, 85), (104, 89)), ((27, 53), (36, 41))] {
        let jpeg = Bytes::from(photo(from.0, from.1));
        for gray in [0, 1] {
            let query = format!("w={}&h={}&fit=cover&gray={gray}", to.0, to.1);
            let result = apply(&jpeg, from, &read(&query), 80, &PictureLimits::default()).expect("made");
            assert_eq!((result.width, result.height), to, "{query}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_size_can_be_made_of_any_size(
        width in 1_u32..90, height in 1_u32..90, w in 8_u32..120, h in 8_u32..120, rotate in 0_u32..4,
        fit in prop::sample::select(vec!["inside", "contain", "cover", "fill"]), gray in 0..2,
    ) {
        let query = format!("w={w}&h={h}&fit={fit}&rotate={}&gray={gray}", rotate * 90);
        let jpeg = Bytes::from(photo(width, height));
        let result = apply(&jpeg, (width, height), &read(&query), 80, &PictureLimits::default()).expect("made");
        let (found_w, found_h, _) = pixels(&result.jpeg);
        prop_assert_eq!((found_w as u32, found_h as u32), (result.width, result.height));
        if fit == "inside" {
            prop_assert!(result.width <= w && result.height <= h);
        } else {
            prop_assert_eq!((result.width, result.height), (w, h));
        }
    }

    #[test]
    fn every_query_is_refused_or_has_one_canonical_form(
        query in "((w|h|width|fit|quality|fps|rotate|flip|gray|token)=?(-?[0-9]{1,5}|[a-z]{0,8}|[0-9]\\.[0-9]|%[0-9A-F]{2})?&){0,6}|\\PC{0,40}",
    ) {
        if let Ok(transform) = Transform::from_query(&query) {
            prop_assert_eq!(Transform::from_query(&transform.to_string()).expect("its own form"), transform);
        }
    }
}
