use proptest::prelude::*;

use super::{super::testing, *};

#[test]
fn size_coding_and_tables_are_read() {
    let data = testing::photo(320, 200);
    let header = inspect(&data).expect("a whole JPEG");
    assert_eq!((header.width, header.height, header.components, header.precision), (320, 200, 3, 8));
    assert_eq!((header.coding, header.orientation), (Coding::Sequential, 1));
    assert!(header.has_huffman_tables);
}

#[test]
fn every_truncation_is_detected() {
    let data = testing::photo(64, 48);
    for end in 2..data.len() - 1 {
        assert_eq!(inspect(&data[..end]), Err(Fault::Truncated), "cut at {end} of {}", data.len());
    }
    assert_eq!(inspect(&data[1..]), Err(Fault::NotJpeg));
    assert_eq!(inspect(b""), Err(Fault::NotJpeg));
}

#[test]
fn a_thumbnail_inside_exif_does_not_count_as_the_end() {
    let mut data = testing::with_exif_orientation(&testing::photo(64, 48), 6);
    let thumbnail_end = [0xFF, 0xD9];
    data.splice(22..24, thumbnail_end);
    let scan = inspect(&data).expect("whole").scan_at;
    assert_eq!(inspect(&data[..scan + 40]), Err(Fault::Truncated));
}

#[test]
fn orientation_is_read_in_both_byte_orders_and_can_be_set_upright() {
    for orientation in 1..=8 {
        let data = testing::with_exif_orientation(&testing::photo(64, 48), orientation);
        let header = inspect(&data).expect("whole");
        assert_eq!(header.orientation, orientation);
        let upright = with_upright_exif(&data, &header);
        assert_eq!(inspect(&upright).expect("whole").orientation, 1);
        assert_eq!(upright.len(), data.len());
    }
    let mut little = b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0".to_vec();
    assert_eq!(exif_orientation(&little), Some((6, 24, true)));
    little.truncate(20);
    assert_eq!(exif_orientation(&little), None, "a truncated directory is ignored");
}

/// The MJPEG payload of a UVC camera has no DHT. The standard tables make it a JPEG again.
#[test]
fn missing_huffman_tables_are_inserted() {
    let data = testing::photo(64, 48);
    let bare = testing::without_huffman_tables(&data);
    let header = inspect(&bare).expect("whole");
    assert!(!header.has_huffman_tables);
    let repaired = with_huffman_tables(&bare, &header);
    assert!(inspect(&repaired).expect("whole").has_huffman_tables);
    assert_eq!(testing::pixels(&repaired), testing::pixels(&data));
    assert_eq!(STANDARD_TABLES.len(), 432, "four tables: 2 × (4 + 1 + 16 + 12) + 2 × (4 + 1 + 16 + 162)");
}

#[test]
fn the_end_is_found_at_every_split_of_the_data() {
    let exif = testing::with_exif_orientation(&testing::photo(64, 48), 6);
    let mut with_thumbnail = exif.clone();
    with_thumbnail[24..26].copy_from_slice(&[0xFF, 0xD9]);
    for data in [testing::photo(64, 48), exif, with_thumbnail] {
        let mut stream = data.clone();
        stream.extend_from_slice(b"\r\n--boundary and more \xFF\xD9");
        let mut finder = EndFinder::default();
        let mut found = None;
        for end in 0..stream.len() {
            if let Some(length) = finder.find(&stream[..end]).expect("a JPEG") {
                found = Some(length);
                break;
            }
        }
        assert_eq!(found, Some(data.len()));
    }
}

#[test]
fn a_picture_that_was_cut_off_is_detected_at_the_next_picture() {
    let data = testing::photo(64, 48);
    let scan = inspect(&data).expect("whole").scan_at;
    let cut = [&data[..scan + 100], &data[..]].concat();
    let at = EndFinder::default().find(&cut).expect_err("cut off");
    assert_eq!(at, scan + 100);
    assert_eq!(EndFinder::default().find(b"GIF89a"), Err(0));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut data in proptest::collection::vec(any::<u8>(), 0..400), cut in 0usize..400) {
        let _ = inspect(&data);
        data.splice(0..0, [0xFF, 0xD8, 0xFF]);
        let _ = inspect(&data);
        let mut real = testing::photo(16, 16);
        let cut = cut % real.len();
        real.splice(cut..cut, data.iter().copied().take(3));
        let _ = inspect(&real);
    }
}
