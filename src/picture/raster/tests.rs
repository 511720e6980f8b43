use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::picture::{
    PictureLimits,
    testing::{self, psnr},
    transform::{Transform, apply, apply_to_planes},
};

fn transform(query: &str) -> Transform {
    Transform::from_query(query).expect("a transform")
}

#[test]
fn planes_give_the_pictures_that_a_jpeg_gives() {
    for (width, height) in [(320, 240), (321, 241), (65, 64)] {
        let jpeg = Bytes::from(testing::photo(width, height));
        let raster = Raster::from_jpeg(&jpeg).expect("decodes");
        assert_eq!((raster.width(), raster.height()), (width, height));
        for query in [
            "quality=95",
            "w=160&quality=95",
            "w=40&h=90&fit=fill&quality=95",
            "w=200&h=190&fit=contain&quality=95",
            "w=100&h=200&fit=cover&quality=95",
            "rotate=90&quality=95",
            "rotate=180&quality=95",
            "rotate=270&flip=horizontal&quality=95",
            "flip=vertical&w=80&quality=95",
            "gray=1&quality=95",
        ] {
            let limits = PictureLimits::default();
            let expected = apply(&jpeg, (width, height), &transform(query), 95, &limits).expect("made");
            let made = apply_to_planes(&raster, &transform(query), 95, &limits).expect("made").expect("changed");
            assert_eq!((made.width, made.height), (expected.width, expected.height), "{query}");
            let (w, h, pixels) = testing::pixels(&made.jpeg);
            assert_eq!((w as u32, h as u32), (made.width, made.height), "{query}");
            let near = psnr(&testing::pixels(&expected.jpeg).2, &pixels);
            // Half a chroma sample is the difference where an odd picture is turned.
            let least = if width % 2 == 0 { 27.0 } else { 24.0 };
            assert!(near > least, "{width}x{height} {query}: {near} dB");
        }
        for unchanged in ["", "w=4000", "fps=2", "rotate=360"] {
            let made = apply_to_planes(&raster, &transform(unchanged), 80, &PictureLimits::default()).expect("made");
            assert!(made.is_none(), "{unchanged:?}");
        }
    }
}

#[test]
fn every_kind_of_jpeg_becomes_planes_of_the_same_picture() {
    use turbojpeg::Subsamp;
    for subsampling in
        [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub1x2, Subsamp::Sub2x2, Subsamp::Sub4x1, Subsamp::Gray]
    {
        for (width, height) in [(64, 48), (67, 45)] {
            let rgb: Vec<u8> = (0..width * height)
                .flat_map(|i| [(255 * (i % width) / width) as u8, (255 * (i / width) / height) as u8, 90])
                .collect();
            let jpeg = crate::picture::encode::compress(&rgb, width, height, 95, subsampling).expect("encodes");
            let raster = Raster::from_jpeg(&jpeg).expect("decodes");
            let shown = testing::pixels(&raster.to_jpeg(95).expect("encodes")).2;
            let near = psnr(&testing::pixels(&jpeg).2, &shown);
            assert!(near > 33.0, "{subsampling:?} {width}x{height}: {near} dB");
        }
    }
}

#[test]
fn video_keeps_its_colours_when_it_is_scaled() {
    let (y, u, v) = (vec![81_u8; 64 * 32], vec![90_u8; 32 * 16], vec![240_u8; 32 * 16]);
    let planes =
        Planes { width: 60, height: 32, samples: [&y, &u, &v], strides: [64, 32, 32], colour: Colour::usual(32) };
    let raster = Raster::copy_of(&planes);
    let made = apply_to_planes(&raster, &transform("w=31&quality=95"), 95, &PictureLimits::default());
    let (width, height, pixels) = testing::pixels(&made.expect("made").expect("changed").jpeg);
    assert_eq!((width, height), (31, 17));
    for pixel in pixels.chunks(3) {
        assert!(pixel[0] > 245 && pixel[1] < 10 && pixel[2] < 10, "red of BT.601: {pixel:?}");
    }
}

#[test]
fn a_cut_and_a_put_meet_at_even_positions_and_never_leave_the_picture() {
    let jpeg = testing::photo(64, 48);
    let raster = Raster::from_jpeg(&jpeg).expect("decodes");
    let cut = raster.cut(11, 20, 21, 15);
    assert_eq!((cut.width(), cut.height()), (21, 15));
    assert_eq!(cut.at(0, 0), raster.at(10, 20));
    assert_eq!(cut.at(20, 14), raster.at(30, 34));
    assert_eq!((raster.cut(900, 900, 5, 5).width(), raster.cut(0, 0, 0, 900).height()), (2, 48));
    let mut ground = Raster::filled(40, 30, [16, 128, 128]);
    ground.put(&cut, 25, 25);
    assert_eq!(ground.at(24, 24), cut.at(0, 0));
    assert_eq!(ground.at(23, 24)[0], 16);
    ground.put(&cut, 400, 0);
    ground.put(&cut, 0, 400);
}

proptest! {
    #[test]
    fn every_size_can_be_made_of_every_size(
        from in (1_u32..90, 1_u32..90),
        to in (8_u32..120, 8_u32..120),
        fit in prop::sample::select(vec!["inside", "contain", "cover", "fill"]),
        turn in 0_u32..4,
    ) {
        let raster = Raster::filled(from.0, from.1, [200, 100, 150]);
        let query = format!("w={}&h={}&fit={fit}&rotate={}&quality=90", to.0, to.1, turn * 90);
        let made = apply_to_planes(&raster, &transform(&query), 80, &PictureLimits::default()).expect("made").expect("changed");
        let (width, height, _) = testing::pixels(&made.jpeg);
        prop_assert_eq!((width as u32, height as u32), (made.width, made.height));
        if fit != "inside" {
            prop_assert_eq!((made.width, made.height), to);
        }
    }
}

#[test]
fn a_cut_is_in_the_middle_and_even() {
    for (size, shown, expected) in [
        (640, 1.0, (0, 640)),
        (641, 1.5, (0, 641)),
        (640, 0.5, (160, 320)),
        (641, 0.5, (160, 320)),
        (90, 0.011, (44, 2)),
        (3, 0.1, (0, 2)),
        (1, 0.2, (0, 1)),
    ] {
        assert_eq!(cut(size, shown), expected, "{size} {shown}");
    }
}
