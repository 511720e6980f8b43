use super::*;
use crate::{
    h264::{AccessUnit, Effort, Encoder},
    picture::{Canvas, Matrix, Yuv420, testing},
};

fn picture(number: u32) -> Yuv420 {
    let canvas = Canvas::new(96, 64).expect("a size");
    Yuv420::from_jpeg(&testing::photo_numbered(96, 64, number), canvas).expect("decodes")
}

fn byte_stream(unit: &AccessUnit) -> Vec<u8> {
    unit.nals(false).flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect()
}

/// Mean difference of luma.
fn difference(a: &Planes<'_>, b: &Yuv420) -> f64 {
    let rows = a.samples[0].chunks(a.strides[0]).take(a.height).flat_map(|row| &row[..a.width]);
    let sum: u64 = rows.zip(b.plane(0)).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / (a.width * a.height) as f64
}

#[test]
fn the_encoder_s_output_is_decoded_picture_by_picture() {
    let mut encoder = Encoder::new(Canvas::new(96, 64).expect("a size"), Effort::Video).expect("starts");
    let units: Vec<_> = (0..6).map(|n| encoder.encode(&picture(n), n % 4 == 0).expect("encodes")).collect();
    let mut decoder = Decoder::new().expect("starts");
    for (n, unit) in units.iter().enumerate() {
        let decoded = decoder.decode(&byte_stream(unit)).expect("whole").expect("without delay");
        let planes = decoded.planes();
        assert_eq!((planes.width, planes.height), (96, 64));
        assert_eq!(planes.colour, Colour { matrix: Matrix::Bt601, full_range: false });
        let difference = difference(&planes, &picture(n as u32));
        assert!(difference < 6.0, "{difference} in picture {n}");
    }
    // A keyframe alone, and then the unit after it.
    let single = decoder.decode_single(&byte_stream(&units[4])).expect("whole").expect("a picture");
    assert!(difference(&single.planes(), &picture(4)) < 6.0);
    let next = decoder.decode(&byte_stream(&units[5])).expect("whole").expect("a picture");
    assert!(difference(&next.planes(), &picture(5)) < 6.0);
}

#[test]
fn a_unit_whose_reference_is_missing_gives_no_picture_and_the_next_keyframe_does() {
    let mut encoder = Encoder::new(Canvas::new(96, 64).expect("a size"), Effort::Video).expect("starts");
    let units: Vec<_> = (0..3).map(|n| encoder.encode(&picture(n), n == 2).expect("encodes")).collect();
    let mut decoder = Decoder::new().expect("starts");
    assert!(!matches!(decoder.decode(&byte_stream(&units[1])), Ok(Some(_))));
    assert!(matches!(decoder.decode(&byte_stream(&units[2])), Ok(Some(_))));
    for garbage in [&b""[..], b"\0\0\0\x01", b"\0\0\x01\x65\xff\xff", b"\0\0\x01\x67\xff\xff", &[0xA5; 64]] {
        assert!(!matches!(decoder.decode(garbage), Ok(Some(_))), "{garbage:?}");
    }
    assert!(matches!(decoder.decode(&byte_stream(&units[2])), Ok(Some(_))));
}

/// Parameter sets of x264, from `ffmpeg -f lavfi -i testsrc -c:v libx264 …`.
#[test]
fn parameter_sets_tell_colour_reordering_and_unsupported_features() {
    let sps = |hex: &str| {
        let bytes = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex"));
        Sps::read(&bytes.collect::<Vec<_>>()).expect("read")
    };
    let bt601 = Colour { matrix: Matrix::Bt601, full_range: false };
    for (what, hex, expected) in [
        ("baseline", "6742c00bda05067e7c0440000003004000000603c50aa8", (bt601, false, None)),
        ("b-frames", "6764000cacd941419f9f011000000300100000030180f1429960", (bt601, true, None)),
        (
            "high definition",
            "6764001facb402802dd80880000003008000000c078c1950",
            (Colour { matrix: Matrix::Bt709, full_range: false }, false, None),
        ),
        (
            "full range declared",
            "6764000bacb40a0cfcf80b70202014000003000400000300603c50aa80",
            (Colour { matrix: Matrix::Bt709, full_range: true }, false, None),
        ),
        (
            "BT.2020",
            "6764000bacb40a0cfcf80b50202094000003000400000300603c50aa80",
            (Colour { matrix: Matrix::Bt2020, full_range: false }, false, None),
        ),
        (
            "ten bits",
            "676e000ba6cb40a0cfcf8088000003000800000300c078a155",
            (bt601, false, Some("H.264 of more than 8 bits")),
        ),
        ("interlaced", "67640015ace81433f26022000003000200000300303e285540", (bt601, false, Some("interlaced H.264"))),
        (
            "4:4:4",
            "67f4000b919681419f8dc044000003000400000300603c50aa80",
            (bt601, false, Some("H.264 without 4:2:0 chroma")),
        ),
    ] {
        let Sps { colour, reorders, obstacle, .. } = sps(hex);
        assert_eq!((colour, reorders, obstacle), expected, "{what}");
    }
    assert_eq!(Sps::read(&[]), None);
    assert_eq!(Sps::read(&[0x67, 0x42]), None);
}
