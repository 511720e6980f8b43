use openh264::{decoder::Decoder, formats::YUVSource as _};

use super::*;
use crate::picture::testing;

fn yuv(width: u32, height: u32, number: u32) -> Yuv420 {
    let canvas = Canvas::new(width, height).expect("a canvas");
    Yuv420::from_jpeg(&testing::photo_numbered(width, height, number), canvas).expect("decodes")
}

/// Noise, which is harder to encode than any camera picture.
fn noise(width: u32, height: u32) -> Yuv420 {
    let mut state = 1_u32;
    let samples = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let rgb: Vec<u8> = samples.take((3 * width * height) as usize).collect();
    let jpeg = crate::picture::encode_rgb(&rgb, width, height, 92).expect("encodes");
    Yuv420::from_jpeg(&jpeg, Canvas::new(width, height).expect("a canvas")).expect("decodes")
}

fn annex_b<'a>(nals: impl Iterator<Item = &'a Bytes>) -> Vec<u8> {
    nals.flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat()).collect()
}

/// The decoded planes.
fn decode(decoder: &mut Decoder, stream: &[u8], of: &Yuv420) -> [Vec<u8>; 3] {
    let decoded = decoder.decode(stream).expect("decodes").expect("a picture");
    let (w, h) = Planes(of).dimensions();
    assert_eq!(decoded.dimensions(), (w, h));
    let (sy, su, sv) = decoded.strides();
    let tight = |plane: &[u8], stride: usize, w: usize, h: usize| {
        plane.chunks(stride).take(h).flat_map(|row| row[..w].to_vec()).collect()
    };
    [tight(decoded.y(), sy, w, h), tight(decoded.u(), su, w / 2, h / 2), tight(decoded.v(), sv, w / 2, h / 2)]
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares.max(1e-9)).log10()
}

#[test]
fn stills_have_forty_decibels_with_either_idr_pic_id() {
    for picture in [yuv(640, 360, 1), yuv(322, 242, 2), noise(320, 240)] {
        let unit =
            Encoder::new(picture.canvas(), Effort::Still).expect("made").encode(&picture, true).expect("encodes");
        let mut decoder = Decoder::new().expect("a decoder");
        for alternate in [false, true, false] {
            let seen = decode(&mut decoder, &annex_b(unit.nals(alternate)), &picture);
            for (i, seen) in seen.iter().enumerate() {
                let quality = psnr(seen, picture.plane(i));
                assert!(quality >= 40.0, "plane {i} of {}: {quality:.1} dB", picture.canvas());
            }
        }
    }
}

#[test]
fn the_two_forms_of_an_idr_picture_differ_only_in_their_number() {
    let picture = yuv(320, 240, 3);
    let unit = Encoder::new(picture.canvas(), Effort::Still).expect("made").encode(&picture, true).expect("encodes");
    let Slice::Idr(both) = &unit.slice else { panic!("the first picture is an IDR picture") };
    let ids = both.each_ref().map(|nal| {
        let payload = nal::unescape(&nal[1..]);
        let mut reader = crate::h264::bits::Reader::new(&payload);
        for _ in 0..3 {
            reader.ue().expect("a field");
        }
        // log2_max_frame_num of openh264.
        reader.bits(15).expect("frame_num");
        reader.ue().expect("idr_pic_id")
    });
    assert_eq!(ids, [1, 2]);
    let differing = nal::unescape(&both[0]).iter().zip(nal::unescape(&both[1])).filter(|(a, b)| *a != b).count();
    assert!((1..=2).contains(&differing), "{differing} bytes");
}

#[test]
fn every_encoder_of_a_canvas_makes_the_same_parameter_sets() {
    let pictures = [yuv(320, 240, 1), yuv(320, 240, 2)];
    let canvas = pictures[0].canvas();
    let mut video = Encoder::new(canvas, Effort::Video).expect("made");
    let first = video.encode(&pictures[0], true).expect("encodes");
    let delta = video.encode(&pictures[1], false).expect("encodes");
    let again = video.encode(&pictures[0], true).expect("encodes");
    let still = Encoder::new(canvas, Effort::Still).expect("made").encode(&pictures[1], true).expect("encodes");
    assert!(first.is_idr() && !delta.is_idr() && again.is_idr() && still.is_idr());
    for other in [&delta, &again, &still] {
        assert_eq!((&other.sps, &other.pps), (&first.sps, &first.pps));
    }
    // A reader can join at any keyframe, and a still can follow video and precede it.
    let mut decoder = Decoder::new().expect("a decoder");
    for (unit, alternate, picture) in [
        (&first, false, &pictures[0]),
        (&delta, false, &pictures[1]),
        (&again, true, &pictures[0]),
        (&still, false, &pictures[1]),
    ] {
        let seen = decode(&mut decoder, &annex_b(unit.nals(alternate)), picture);
        assert!(psnr(&seen[0], picture.plane(0)) > 34.0);
    }
}

#[test]
fn the_level_is_the_lowest_that_allows_the_canvas() {
    for (width, height, level) in [
        (320, 240, 30),
        (640, 480, 30),
        (720, 576, 31),
        (1280, 720, 31),
        (1280, 1024, 32),
        (1920, 1080, 40),
        (1080, 1920, 40),
        (2560, 1440, 50),
        (3840, 2160, 51),
        (3840, 32, 40),
    ] {
        assert_eq!(level_idc(Canvas::new(width, height).expect("a canvas")), level, "{width}x{height}");
    }
}

#[test]
fn a_picture_of_another_size_is_refused() {
    let mut encoder = Encoder::new(Canvas::new(320, 240).expect("a canvas"), Effort::Still).expect("made");
    assert!(encoder.encode(&yuv(322, 242, 1), true).is_err());
}
