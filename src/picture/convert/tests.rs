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

/// The first bytes of a PNG: signature and IHDR without its checksum.
fn png_head(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
    let mut head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    head.extend_from_slice(&width.to_be_bytes());
    head.extend_from_slice(&height.to_be_bytes());
    head.extend_from_slice(&[depth, colour, 0, 0, 0]);
    head
}

fn bmp_head(width: i32, height: i32) -> Vec<u8> {
    let mut head = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    head.extend_from_slice(&width.to_le_bytes());
    head.extend_from_slice(&height.to_le_bytes());
    head.extend_from_slice(&[1, 0, 24, 0]);
    head.resize(54, 0);
    head
}

#[test]
fn a_side_of_zero_and_a_header_that_ends_early_are_damage() {
    let webp = |chunk: &[u8]| [b"RIFF\x10\0\0\0WEBP".as_slice(), chunk].concat();
    for (what, data) in [
        ("GIF of 128 × 0", b"GIF89a\x80\0\0\0\0\0\0;".to_vec()),
        ("GIF of 0 × 128", b"GIF87a\0\0\x80\0\0\0\0;".to_vec()),
        ("GIF without a size", b"GIF89a\x80\0\0".to_vec()),
        ("PNG of 0 × 8", png_head(0, 8, 8, 2)),
        ("PNG of 8 × 0", png_head(8, 0, 16, 6)),
        ("PNG without a depth", png_head(8, 8, 8, 2)[..24].to_vec()),
        ("PNG without data", png_head(8, 8, 8, 2)),
        ("BMP of 0 × 8", bmp_head(0, 8)),
        ("BMP of 8 × 0", bmp_head(8, 0)),
        ("BMP without data", bmp_head(8, -8)),
        ("VP8 of 0 × 0", webp(b"VP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a\0\0\0\0")),
        ("VP8X without a size", webp(b"VP8X\x0a\0\0\0\0\0\0\0\x01")),
        ("VP8L without a size", webp(b"VP8L\x05\0\0\0\x2f\0")),
        ("WebP with another chunk", webp(b"JUNK\0\0\0\0")),
    ] {
        let error = take(data).expect_err(what);
        assert_eq!(error.code(), Code::BrokenPicture, "{what}: {error}");
    }
}

/// Half a megabyte of PNG with 16 bits a sample can decode to 768 MB.
#[tokio::test]
async fn a_picture_that_needs_too_much_memory_is_refused_before_it_is_decoded() {
    let refused = async |data: Vec<u8>, limits: &PictureLimits| {
        let error = Picture::from_upload(data.into(), limits).await.expect_err("refused");
        assert_eq!(error.code(), Code::FrameTooLarge, "{error}");
        error.to_string()
    };
    for (what, head) in
        [("RGBA of 16 bits", png_head(8000, 8000, 16, 6)), ("RGB of 16 bits", png_head(8000, 8000, 16, 2))]
    {
        let text = refused(head, &limits()).await;
        assert!(text.contains("733 MiB") && text.contains("limits.conversion_memory"), "{what}: {text}");
    }
    let small = PictureLimits { conversion_memory: crate::units::Size(1000), ..limits() };
    let gif = b"GIF89a\x80\0\x80\0\0\0\0;".to_vec();
    for data in [png(&RgbaImage::new(16, 16)), bmp_head(16, -16), gif] {
        refused(data, &small).await;
    }
    let turned = testing::with_exif_orientation(&testing::photo(64, 48), 6);
    refused(turned, &small).await;
    // A JPEG that needs no conversion needs no memory.
    Picture::from_upload(testing::photo(64, 48).into(), &small).await.expect("taken as it is");
    // The largest picture with 8 bits a sample is decoded: its data is missing here.
    let whole = Picture::from_upload(png_head(8000, 8000, 8, 6).into(), &limits()).await.expect_err("no data");
    assert_eq!(whole.code(), Code::BrokenPicture, "{whole}");
}

/// libjpeg-turbo writes no longer side, whatever the number of pixels.
#[test]
fn a_side_that_no_jpeg_has_is_refused() {
    let error = take(png_head(65_501, 1, 8, 2)).expect_err("too long");
    assert_eq!(error.code(), Code::FrameTooLarge, "{error}");
    assert!(error.to_string().contains("65500"), "{error}");
}

/// A frame that is larger than the screen would take memory that the header does not announce.
#[test]
fn a_gif_whose_frame_is_larger_than_its_screen_is_refused_without_its_memory() {
    let mut gif = b"GIF89a\x10\0\x10\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    gif.extend_from_slice(b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0;");
    let error = take(gif).expect_err("refused");
    assert_eq!(error.code(), Code::BrokenPicture, "{error}");
}

#[test]
fn bytes_before_a_jpeg_are_skipped() {
    let data = testing::photo(64, 48);
    for before in [&b"\xFF"[..], b"\0\0\0\0", b"\xEF\xBB\xBF", b"\r\n\r\n", b"frame 17\n", &[7; 64]] {
        let picture = take([before, &data].concat()).expect("a JPEG");
        assert_eq!(picture.jpeg, data, "{before:?}");
    }
    for before in [&[7; 65][..], b"II*\0", b"<html>", b"{\"a\": 1}"] {
        let error = take([before, &data].concat()).expect_err("no JPEG");
        assert_eq!(error.code(), Code::NotAPicture, "{before:?}");
    }
}
