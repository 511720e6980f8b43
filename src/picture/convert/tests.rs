use std::io::Cursor;

use image::{ExtendedColorType, ImageEncoder, RgbaImage};

use super::{super::testing, *};

fn limits() -> PictureLimits {
    PictureLimits::default()
}

fn take(data: impl Into<Bytes>) -> Result<Picture> {
    Picture::from_upload_blocking(data.into(), &limits())
}

fn png(image: &RgbaImage) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image::codecs::png::PngEncoder::new(&mut out)
        .write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgba8)
        .expect("encodes");
    out.into_inner()
}

#[test]
fn a_jpeg_keeps_its_bytes() {
    let data = testing::photo(64, 48);
    let picture = take(data.clone()).expect("a JPEG");
    assert_eq!(picture.jpeg, data);
    assert_eq!((picture.width, picture.height), (64, 48));
}

#[test]
fn other_formats_become_jpeg_on_white() {
    let mut image = RgbaImage::from_pixel(40, 30, image::Rgba([200, 30, 30, 255]));
    image.put_pixel(0, 0, image::Rgba([0, 0, 0, 0]));
    for x in 0..16 {
        for y in 0..16 {
            image.put_pixel(x, y, image::Rgba([0, 0, 0, 0]));
        }
    }
    let rgba = DynamicImage::ImageRgba8(image.clone());
    let mut others = vec![png(&image)];
    for format in [image::ImageFormat::WebP, image::ImageFormat::Gif, image::ImageFormat::Bmp] {
        let mut out = Cursor::new(Vec::new());
        rgba.write_to(&mut out, format).expect("encodes");
        others.push(out.into_inner());
    }
    for data in others {
        let format = Format::sniff(&data).expect("known");
        let picture = take(data).expect("converts");
        let (width, height, rgb) = testing::pixels(&picture.jpeg);
        assert_eq!((width, height), (40, 30), "{format:?}");
        let at = |x: usize, y: usize| &rgb[3 * (y * 40 + x)..][..3];
        assert!(at(4, 4).iter().all(|c| *c > 245), "{format:?}: transparent shows as {:?}", at(4, 4));
        assert!(at(35, 25)[0] > 180 && at(35, 25)[1] < 60, "{format:?}: {:?}", at(35, 25));
    }
}

/// 64 × 48 consists of whole coding blocks and is turned without loss; 50 × 30 does not.
#[test]
fn exif_orientation_turns_the_picture() {
    for (width, height) in [(64u32, 48u32), (50, 30)] {
        for orientation in 2..=8 {
            let data = testing::with_exif_orientation(&testing::photo(width, height), orientation);
            let picture = take(data).expect("turns");
            let sides_swap = orientation >= 5;
            let expected = if sides_swap { (height, width) } else { (width, height) };
            assert_eq!((picture.width, picture.height), expected, "orientation {orientation}");
            assert_eq!(jpeg::inspect(&picture.jpeg).expect("whole").orientation, 1);

            let (w, h, original) = testing::pixels(&testing::photo(width, height));
            let mut reference =
                DynamicImage::ImageRgb8(image::RgbImage::from_raw(w as u32, h as u32, original).expect("sized"));
            reference.apply_orientation(Orientation::from_exif(orientation).expect("1 to 8"));
            let reference = reference.into_rgb8();
            let (_, _, turned) = testing::pixels(&picture.jpeg);
            let error: f64 = reference
                .as_raw()
                .iter()
                .zip(&turned)
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum::<f64>()
                / turned.len() as f64;
            assert!(error < 60.0, "orientation {orientation} of {width} × {height}: mean square error {error}");
        }
    }
}

#[test]
fn the_error_names_the_fault_of_an_upload() {
    let png = png(&RgbaImage::new(8, 8));
    let mut huge = testing::photo(16, 16);
    let sof = huge.windows(2).position(|w| w == [0xFF, 0xC0]).expect("baseline");
    huge[sof + 5..sof + 9].copy_from_slice(&[0xFF; 4]);
    let cases: [(&str, Vec<u8>, Code, &str); 9] = [
        ("nothing", vec![], Code::EmptyBody, "empty"),
        ("text", b"hello".to_vec(), Code::NotAPicture, "unknown format"),
        ("svg", b"<svg/>".to_vec(), Code::NotAPicture, "markup"),
        ("heic", b"\0\0\0\x18ftypheic".to_vec(), Code::NotAPicture, "HEIC"),
        ("cut jpeg", testing::photo(64, 48)[..500].to_vec(), Code::BrokenPicture, "cut off"),
        ("cut png", png[..png.len() - 30].to_vec(), Code::BrokenPicture, "PNG cannot be decoded"),
        ("magic only", b"\x89PNG\r\n\x1a\n".to_vec(), Code::BrokenPicture, "PNG cannot be decoded"),
        ("65535 × 65535 jpeg", huge, Code::FrameTooLarge, "limits.frame_pixels"),
        ("17 MB", [testing::photo(16, 16), vec![0; 17 << 20]].concat(), Code::FrameTooLarge, "limits.frame_size"),
    ];
    for (what, data, code, says) in cases {
        let error = take(data).expect_err(what);
        assert_eq!(error.code(), code, "{what}: {error}");
        assert!(error.to_string().contains(says), "{what}: {error}");
    }
}

/// A picture of one colour is compressed a thousand to one. The limit is on the decoded size.
#[test]
fn a_decompression_bomb_is_refused_before_it_is_decoded() {
    let bomb = png(&RgbaImage::new(3000, 3000));
    assert!(bomb.len() < 200_000, "{} bytes", bomb.len());
    let limits = PictureLimits { frame_pixels: 1_000_000, ..limits() };
    let error = Picture::from_upload_blocking(bomb.into(), &limits).expect_err("a bomb");
    assert_eq!(error.code(), Code::FrameTooLarge);
    assert!(error.to_string().contains("limits.frame_pixels"), "{error}");
}

#[test]
fn verify_detects_lost_and_duplicated_data() {
    let data = testing::photo(320, 240);
    verify(&data).expect("whole");
    let piece = 384; // one 512-character datagram of base64
    let scan = jpeg::inspect(&data).expect("whole").scan_at + 20;
    let pieces = (data.len() - scan) / piece - 1;
    assert!(pieces > 10);
    for n in 0..pieces {
        let at = scan + n * piece;
        let lost = [&data[..at], &data[at + piece..]].concat();
        assert!(verify(&lost).is_err(), "piece {n} lost");
        let duplicated = [&data[..at + piece], &data[at..]].concat();
        assert!(verify(&duplicated).is_err(), "piece {n} duplicated");
    }
}

#[test]
fn inserted_huffman_tables_count_towards_the_limit() {
    let data = testing::without_huffman_tables(&testing::photo(64, 48));
    let taken = take(data.clone()).expect("a picture without tables").jpeg.len() as u64;
    assert!(taken > data.len() as u64);
    for (frame_size, is_taken) in [(taken, true), (taken - 1, false)] {
        let limits = PictureLimits { frame_size: crate::units::Size(frame_size), ..limits() };
        let result = Picture::from_upload_blocking(data.clone().into(), &limits);
        assert_eq!(result.is_ok(), is_taken, "{frame_size} bytes: {result:?}");
    }
}
