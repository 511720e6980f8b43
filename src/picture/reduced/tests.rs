use proptest::prelude::*;
use turbojpeg::{Colorspace, Compressor, Image, PixelFormat, ScalingFactor, Subsamp};

use super::{properties::by_libjpeg_turbo, *};
use crate::picture::{jpeg::segments, testing::without_huffman_tables, yuv::Source};

/// The kinds that are decoded here.
const KINDS: [Subsamp; 5] = [Subsamp::Sub2x2, Subsamp::Sub2x1, Subsamp::Sub1x2, Subsamp::None, Subsamp::Gray];

const BY_FFMPEG: &[u8] = include_bytes!("../../../fuzz/seeds/jpeg_reduced/by-ffmpeg.jpg");
const RESTARTS: [&[u8]; 2] = [
    include_bytes!("../../../fuzz/seeds/jpeg_reduced/restart-each-row.jpg"),
    include_bytes!("../../../fuzz/seeds/jpeg_reduced/restart-each-three-units.jpg"),
];

/// Waves with grain, of which `noise` is the height.
fn pixels(width: usize, height: usize, noise: u8) -> Vec<u8> {
    let mut random = 88_172_645_463_325_252_u64;
    let mut rgb = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            for wave in [x + y / 3, 2 * y + 40, 3 * x + y] {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let sample = 127.0 + 100.0 * (wave as f32 / 17.0).sin();
                rgb.push(sample as u8 / 2 + ((random >> 32) % (u64::from(noise) + 1)) as u8 / 2);
            }
        }
    }
    rgb
}

fn compress(rgb: &[u8], width: usize, height: usize, with: impl FnOnce(&mut Compressor)) -> Vec<u8> {
    let mut compressor = Compressor::new().expect("a compressor");
    with(&mut compressor);
    let format = PixelFormat::RGB;
    compressor.compress_to_vec(Image { pixels: rgb, width, pitch: 3 * width, height, format }).expect("compresses")
}

fn jpeg(width: usize, height: usize, kind: Subsamp, quality: i32, noise: u8, optimized: bool) -> Vec<u8> {
    compress(&pixels(width, height, noise), width, height, |compressor| {
        compressor.set_subsamp(kind).expect("a subsampling");
        compressor.set_quality(quality).expect("a quality");
        compressor.set_optimize(optimized).expect("optimizes");
    })
}

/// The samples that a plane shows: the padding of luma is not compared.
fn shown(of: &Reduced, plane: usize) -> Vec<&[u8]> {
    let Plane { samples, stride, rows } = &of.planes[plane];
    let (width, height) = if plane == 0 { (of.width, of.height) } else { (*stride, *rows) };
    samples.chunks(*stride).take(height).map(|row| &row[..width]).collect()
}

/// That it is decoded here, as by libjpeg-turbo.
fn assert_same(jpeg: &[u8], what: &str) {
    for by in [2, 4, 8] {
        let ours = decode(jpeg, by).unwrap_or_else(|| panic!("{what}, 1/{by}: it is not decoded"));
        let theirs = by_libjpeg_turbo(jpeg, by).expect("decodes");
        assert_eq!((ours.width, ours.height), (theirs.width, theirs.height), "{what}, 1/{by}");
        assert_eq!(ours.planes.len(), theirs.planes.len(), "{what}, 1/{by}");
        for plane in 0..ours.planes.len() {
            assert!(shown(&ours, plane) == shown(&theirs, plane), "{what}, 1/{by}: plane {plane} is another one");
        }
    }
}

fn is_left_to_libjpeg_turbo(jpeg: &[u8]) -> bool {
    [2, 4, 8].iter().all(|by| decode(jpeg, *by).is_none())
}

/// Replaces bytes that must be there.
fn replaced(data: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = memchr::memmem::find(data, from).expect("the bytes are there");
    [&data[..at], to, &data[at + from.len()..]].concat()
}

#[test]
fn every_kind_and_size_has_the_samples_of_libjpeg_turbo() {
    for kind in KINDS {
        for (width, height) in [(1, 1), (17, 9), (8, 8), (16, 16), (15, 33), (63, 2), (2, 63), (129, 71)] {
            for (quality, noise, optimized) in [(40, 20, false), (97, 255, true)] {
                let jpeg = jpeg(width, height, kind, quality, noise, optimized);
                assert_same(&jpeg, &format!("{kind:?} {width}x{height} of quality {quality}"));
            }
        }
    }
}

#[test]
fn large_pictures_of_odd_sizes_are_the_same_too() {
    assert_same(&jpeg(1279, 719, Subsamp::Sub2x2, 90, 60, false), "4:2:0");
    assert_same(&jpeg(721, 479, Subsamp::Sub2x1, 60, 60, false), "4:2:2");
}

#[test]
fn what_cameras_do_to_a_jpeg_changes_nothing() {
    let plain = jpeg(50, 30, Subsamp::Sub2x1, 80, 90, false);
    assert_same(&without_huffman_tables(&plain), "without Huffman tables");
    assert_same(BY_FFMPEG, "4:2:2 with twice as many blocks");
    let [rows, units] = RESTARTS;
    assert_same(rows, "restarts");
    assert_same(units, "restarts within rows");
    assert_same(&replaced(&plain, b"\xFF\xDB", b"\xFF\xFF\xFF\xDB"), "fill bytes before a marker");
    assert_same(&replaced(&plain, b"\xFF\xD9", b"\xFF\xFF\xFF\xD9"), "fill bytes before the end");
    assert_same(&[&plain[..], b"\0\0\0"].concat(), "bytes behind the end");
}

#[test]
fn the_colour_space_is_decided_as_by_libjpeg() {
    let jfif = jpeg(40, 24, Subsamp::None, 80, 90, false);
    let app0 = segments(&jfif)[0].clone();
    let without = [&jfif[..app0.start], &jfif[app0.end..]].concat();
    let adobe = |transform: u8| {
        let segment = [b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat();
        [&without[..2], &segment, &without[2..]].concat()
    };
    let with_both = [&jfif[..2], &adobe(0)[2..18], &jfif[2..]].concat();
    assert_same(&without, "no segment");
    assert_same(&adobe(1), "Adobe's YCbCr");
    assert_same(&with_both, "JFIF is before Adobe");
    assert!(is_left_to_libjpeg_turbo(&adobe(0)), "Adobe's RGB");
    assert!(is_left_to_libjpeg_turbo(&adobe(2)), "an unknown transform");
    let rgb = compress(&pixels(40, 24, 90), 40, 24, |compressor| {
        compressor.set_colorspace(Colorspace::RGB).expect("a colour space");
    });
    assert!(is_left_to_libjpeg_turbo(&rgb), "RGB by Adobe's segment");
    // A segment that no program reads in its place: the components are called R, G and B.
    let by_names = replaced(&rgb, b"\xFF\xEE", b"\xFF\xEB");
    assert!(is_left_to_libjpeg_turbo(&by_names), "RGB by the names of its components");
}

#[test]
fn other_kinds_are_left_to_libjpeg_turbo() {
    let rgb = pixels(64, 48, 90);
    let made = |with: fn(&mut Compressor) -> turbojpeg::Result<()>| {
        compress(&rgb, 64, 48, |compressor| with(compressor).expect("a setting"))
    };
    let plain = made(|_| Ok(()));
    assert_same(&plain, "plain");
    for (what, data) in [
        ("progressive", made(|c| c.set_progressive(true))),
        ("arithmetic", made(|c| c.set_arithmetic(true))),
        ("4:1:1", made(|c| c.set_subsamp(Subsamp::Sub4x1))),
        ("4:4:0 of four rows", made(|c| c.set_subsamp(Subsamp::Sub1x4))),
        ("JFIF 2", replaced(&plain, b"JFIF\0\x01", b"JFIF\0\x02")),
        ("12 bits", replaced(&plain, b"\xFF\xC0\0\x11\x08", b"\xFF\xC0\0\x11\x0C")),
        ("lossless", replaced(&plain, b"\xFF\xC0", b"\xFF\xC3")),
        ("a height behind the scan", replaced(&plain, b"\x08\0\x30", b"\x08\0\0")),
    ] {
        assert!(is_left_to_libjpeg_turbo(&data), "{what}");
    }
    assert!([0, 1, 3, 16].iter().all(|by| decode(&plain, *by).is_none()), "other scales");
}

#[test]
fn damaged_data_is_left_to_libjpeg_turbo() {
    for whole in [&jpeg(45, 33, Subsamp::Sub2x2, 80, 90, false)[..], RESTARTS[0], RESTARTS[1]] {
        for length in 0..whole.len() {
            assert!(decode(&whole[..length], 2).is_none(), "cut off at {length}");
        }
        let scan = memchr::memmem::find(whole, b"\xFF\xDA").expect("a scan");
        for (what, data) in [
            ("more data than blocks", replaced(whole, b"\xFF\xD9", b"\0\0\xFF\xD9")),
            ("a marker within", [&whole[..scan + 40], b"\xFF\xD3", &whole[scan + 40..]].concat()),
            ("two pictures", [&whole[..whole.len() - 2], whole].concat()),
            ("bytes between segments", replaced(whole, b"\xFF\xDB", b"\0\xFF\xDB")),
        ] {
            assert!(is_left_to_libjpeg_turbo(&data), "{what}");
        }
    }
    let [rows, _] = RESTARTS;
    assert!(is_left_to_libjpeg_turbo(&replaced(rows, b"\xFF\xD1", b"\xFF\xD2")), "restarts out of order");
    assert!(is_left_to_libjpeg_turbo(&replaced(rows, b"\xFF\xD1", b"")), "a restart is missing");
}

#[test]
fn a_source_is_the_same_by_both() {
    let scale = |jpeg: &[u8], by: usize| Source::decode(jpeg, |_| ScalingFactor::new(1, by));
    let planes = |source: &Source| -> Vec<_> {
        source.planes.iter().map(|p| (p.stride, p.rows, p.per_sample, p.shown_width, p.shown_height)).collect()
    };
    for kind in KINDS {
        let baseline = jpeg(75, 42, kind, 85, 60, true);
        let progressive = compress(&pixels(75, 42, 60), 75, 42, |compressor| {
            compressor.set_subsamp(kind).expect("a subsampling");
            compressor.set_quality(85).expect("a quality");
            compressor.set_progressive(true).expect("progressive");
        });
        for by in [2, 4, 8] {
            assert!(decode(&baseline, by).is_some() && decode(&progressive, by).is_none(), "only one is decoded here");
            let (ours, theirs) = (scale(&baseline, by).expect("decodes"), scale(&progressive, by).expect("decodes"));
            assert_eq!((ours.width, ours.height), (theirs.width, theirs.height), "{kind:?}, 1/{by}");
            assert_eq!(planes(&ours), planes(&theirs), "{kind:?}, 1/{by}");
            let chroma = |source: &Source| source.planes.get(1).map(|plane| plane.samples.clone());
            assert!(chroma(&ours) == chroma(&theirs), "{kind:?}, 1/{by}: chroma is another one");
        }
    }
    // The errors of damaged data are those of libjpeg-turbo.
    let cut = &jpeg(75, 42, Subsamp::Sub2x2, 85, 60, false)[..700];
    assert!(scale(cut, 2).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn pictures_have_the_samples_of_libjpeg_turbo(
        (width, height) in (1_usize..100, 1_usize..60),
        kind in proptest::sample::select(KINDS.as_slice()),
        (quality, noise, optimized) in (1..=100, any::<u8>(), any::<bool>()),
    ) {
        assert_same(&jpeg(width, height, kind, quality, noise, optimized), &format!("{kind:?} {width}x{height}"));
    }

    #[test]
    fn the_data_of_a_scan_can_be_anything(
        kind in proptest::sample::select(KINDS.as_slice()),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut jpeg = jpeg(60, 40, kind, 80, 120, false);
        let scan = memchr::memmem::find(&jpeg, b"\xFF\xDA").expect("a scan") + 14;
        for (at, byte) in changes {
            let behind = jpeg.len() - scan;
            jpeg[scan + at.index(behind)] = byte;
        }
        properties::hold(&jpeg);
    }

    #[test]
    fn codes_of_any_table_are_found(counts in prop::array::uniform16(0_u8..6), bits in 0_usize..1 << 16) {
        let symbols: Vec<_> = (0..counts.iter().sum::<u8>()).collect();
        let Some(codes) = huffman::Codes::new(&counts, &symbols) else { return Ok(()) };
        // The code of each symbol, by T.81, annex C.
        let (mut code, mut next) = (0_usize, 0);
        let mut expected = None;
        for (length, count) in (1..).zip(counts) {
            for _ in 0..count {
                if bits >> (16 - length) == code {
                    expected = expected.or(Some((length as u32, next)));
                }
                (code, next) = (code + 1, next + 1);
            }
            code <<= 1;
        }
        prop_assert_eq!(codes.find(bits), expected);
    }
}
