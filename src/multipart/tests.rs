use proptest::prelude::*;

use super::*;
use crate::picture::testing::{photo, photo_numbered};

const LIMIT: usize = 100_000;

/// All results of the splitter for these portions.
fn split<'a>(content_type: &str, portions: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Part, Fault>> {
    let mut splitter = Splitter::new(Some(content_type), LIMIT);
    let mut out = vec![];
    for portion in portions {
        splitter.feed(portion);
        loop {
            match splitter.next_part() {
                Ok(None) => break,
                Ok(Some(part)) => out.push(Ok(part)),
                Err(fault) => out.push(Err(fault)),
            }
        }
        assert!(splitter.buffer.len() <= LIMIT + 4 * MAX_LINE + 70_000, "memory is bounded");
    }
    out.extend(splitter.finish().map(Ok));
    out
}

fn pictures(results: &[Result<Part, Fault>]) -> Vec<Bytes> {
    results.iter().filter_map(|r| r.as_ref().ok()).filter(|p| p.is_jpeg()).map(|p| p.data.clone()).collect()
}

fn part(line_end: &str, boundary: &str, headers: &[&str], data: &[u8]) -> Vec<u8> {
    let head = [&[boundary], headers, &["", ""]].concat().join(line_end);
    [head.as_bytes(), data, line_end.as_bytes()].concat()
}

/// Bodies of real devices and programs.
fn dialects() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (a, b) = (photo_numbered(32, 24, 1), photo_numbered(32, 24, 2));
    let length = format!("Content-Length: {}", a.len());
    let length_b = format!("Content-Length: {}", b.len());
    let esp = "--123456789000000000000987654321";
    let both = |f: &dyn Fn(&[u8], &str) -> Vec<u8>| [f(&a, &length), f(&b, &length_b)].concat();
    vec![
        (
            "ESP32-CAM CameraWebServer",
            "multipart/x-mixed-replace;boundary=123456789000000000000987654321",
            both(&|data, length| {
                let head =
                    format!("\r\n{esp}\r\nContent-Type: image/jpeg\r\n{length}\r\nX-Timestamp: 12.000345\r\n\r\n");
                [head.as_bytes(), data].concat()
            }),
        ),
        (
            "mjpg-streamer",
            "multipart/x-mixed-replace;boundary=boundarydonotcross",
            both(&|data, length| {
                part(
                    "\r\n",
                    "--boundarydonotcross",
                    &["Content-Type: image/jpeg", length, "X-Timestamp: 1700000000.5"],
                    data,
                )
            }),
        ),
        (
            "pymjpeg: dashes declared as part of the boundary",
            "multipart/x-mixed-replace;boundary=--boundarydonotcross",
            both(&|data, length| part("\r\n", "--boundarydonotcross", &["Content-type: image/jpeg", length], data)),
        ),
        (
            "quoted boundary, line feeds only, no length, image/jpg",
            "multipart/x-mixed-replace; boundary=\"frame\"",
            both(&|data, _| part("\n", "--frame", &["Content-Type: image/jpg"], data)),
        ),
        (
            "length of -1 (AlexxIT/WebRTC#880)",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, _| part("\r\n", "--frame", &["Content-Type: image/jpeg", "Content-Length: -1"], data)),
        ),
        (
            "length too small by a hundred",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, _| {
                let lie = format!("Content-Length: {}", data.len() - 100);
                part("\r\n", "--frame", &["Content-Type: image/jpeg", &lie], data)
            }),
        ),
        (
            "garbage in front",
            "multipart/x-mixed-replace; boundary=frame",
            [
                b"HTTP/1.0 leftovers\r\nframe is not a boundary line\r\n".to_vec(),
                both(&|data, length| part("\r\n", "--frame", &[length], data)),
            ]
            .concat(),
        ),
        (
            "another boundary than declared",
            "multipart/x-mixed-replace; boundary=declared",
            [vec![b'x'; 70_000], both(&|data, _| part("\r\n", "--sent", &[], data))].concat(),
        ),
        (
            "another boundary than declared, with small pictures",
            "multipart/x-mixed-replace; boundary=declared",
            both(&|data, length| part("\r\n", "--sent", &["Content-Type: image/jpeg", length], data)),
        ),
        (
            "no boundary declared",
            "multipart/x-mixed-replace",
            both(&|data, length| part("\r\n", "--x", &[length], data)),
        ),
        (
            "delimiters without dashes, and another type",
            "text/html",
            both(&|data, _| part("\r\n", "myboundary", &["Content-type: image/jpeg"], data)),
        ),
        (
            "a new boundary for each part",
            "multipart/x-mixed-replace; boundary=declared",
            [part("\r\n", "--one", &["A: b"], &a), part("\r\n", "--two", &["A: b"], &b)].concat(),
        ),
        (
            "the first delimiter is missing",
            "multipart/x-mixed-replace; boundary=e8b8c539-047d",
            both(&|data, length| {
                let head = format!("Content-Type: image/jpeg\r\n{length}\r\n\r\n");
                [head.as_bytes(), data, b"\r\n--e8b8c539-047d\r\n"].concat()
            }),
        ),
        (
            "each delimiter ends with dashes",
            "multipart/x-mixed-replace; boundary=data-boundary--",
            both(&|data, length| part("\r\n", "--data-boundary--", &[length], data)),
        ),
        (
            "each delimiter twice",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, length| [b"--frame\r\n", &part("\r\n", "--frame", &[length], data)[..]].concat()),
        ),
        (
            "length too large by the line end",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, _| part("\r\n", "--frame", &[&format!("Content-Length: {}", data.len() + 2)], data)),
        ),
        (
            "length too large by the next delimiter",
            "multipart/x-mixed-replace; boundary=frame",
            [
                both(&|data, _| part("\r\n", "--frame", &[&format!("Content-Length: {}", data.len() + 11)], data)),
                b"--frame--\r\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "length too large by more than a part",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, _| part("\r\n", "--frame", &[&format!("Content-Length: {}", 3 * data.len())], data)),
        ),
        (
            "length too small by five",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, _| part("\r\n", "--frame", &[&format!("Content-Length: {}", data.len() - 5)], data)),
        ),
        (
            "two lengths",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, length| part("\r\n", "--frame", &[length, "Content-Length: 17"], data)),
        ),
        (
            "a length beyond the limit",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, _| part("\r\n", "--frame", &["Content-Length: 99999999"], data)),
        ),
        (
            "no end-of-image marker, with a length",
            "multipart/x-mixed-replace; boundary=frame",
            [
                both(&|data, _| {
                    let length = format!("Content-Length: {}", data.len() - 2);
                    part("\r\n", "--frame", &[&length], &data[..data.len() - 2])
                }),
                b"--frame--\r\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "no end-of-image marker, and no length",
            "multipart/x-mixed-replace; boundary=frame",
            [both(&|data, _| part("\r\n", "--frame", &[], &data[..data.len() - 2])), b"--frame--".to_vec()].concat(),
        ),
        (
            "no empty line before the picture",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, _| [b"--frame\r\nContent-Type: image/jpeg\r\n", data, b"\r\n"].concat()),
        ),
        (
            "empty lines before the picture",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, length| part("\r\n", "--frame", &[length], &[b"\r\n", data].concat())),
        ),
        (
            "padding behind the picture",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, _| {
                let length = format!("Content-Length: {}", data.len() + 700);
                part("\r\n", "--frame", &[&length], &[data, &[0; 700]].concat())
            }),
        ),
        (
            "an empty part between",
            "multipart/x-mixed-replace; boundary=frame",
            both(&|data, length| {
                let empty = part("\r\n", "--frame", &["Content-Length: 0"], b"");
                [empty, part("\r\n", "--frame", &[length], data)].concat()
            }),
        ),
        ("JPEGs back to back", "image/jpeg", both(&|data, _| data.to_vec())),
        ("JPEGs back to back that are called multipart", "multipart/mixed; boundary=x", both(&|data, _| data.to_vec())),
        (
            "ffmpeg -f image2pipe with noise between",
            "application/octet-stream",
            both(&|data, _| [b"\0\0junk", data].concat()),
        ),
    ]
}

#[test]
fn the_pictures_of_every_dialect_are_found_in_one_portion_and_in_many() {
    let wanted = [Bytes::from(photo_numbered(32, 24, 1)), Bytes::from(photo_numbered(32, 24, 2))];
    for (device, content_type, body) in dialects() {
        assert_eq!(pictures(&split(content_type, [&body[..]])), wanted, "{device}, at once");
        assert_eq!(pictures(&split(content_type, body.chunks(1))), wanted, "{device}, byte by byte");
        if body.len() < 8000 {
            for at in 0..body.len() {
                let (left, right) = body.split_at(at);
                assert_eq!(pictures(&split(content_type, [left, right])), wanted, "{device}, split at {at}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_result_does_not_depend_on_the_portions(which in 0..dialects().len(), cuts in proptest::collection::vec(1usize..700, 1..40)) {
        let (_, content_type, body) = dialects().swap_remove(which);
        let mut rest = &body[..];
        let mut portions = vec![];
        for cut in cuts.iter().cycle() {
            let (portion, behind) = rest.split_at((*cut).min(rest.len()));
            portions.push(portion);
            rest = behind;
            if rest.is_empty() { break; }
        }
        prop_assert_eq!(split(content_type, portions), split(content_type, [&body[..]]));
    }

    #[test]
    fn damaged_bodies_of_devices_keep_the_properties(
        which in 0..dialects().len(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), 0u8..3, any::<u8>()), 1..6),
    ) {
        let (_, content_type, mut body) = dialects().swap_remove(which);
        for (at, kind, byte) in damage {
            let at = at.index(body.len());
            match kind {
                0 => drop(body.remove(at)),
                1 => body.insert(at, byte),
                _ => body[at] = byte,
            }
        }
        properties::hold(&[content_type.as_bytes(), b"\n", &body].concat());
    }

    #[test]
    fn noise_neither_panics_nor_grows_memory(noise in proptest::collection::vec(any::<u8>(), 0..2000), boundary in "[a-z-]{1,8}") {
        let content_type = format!("multipart/x-mixed-replace; boundary={boundary}");
        let mut body = format!("--{boundary}\r\nContent-Length: 99999999999999999999\r\n").into_bytes();
        body.extend(&noise);
        for kind in [&*content_type, "image/jpeg"] {
            split(kind, body.chunks(7));
        }
    }
}

#[test]
fn a_picture_is_returned_before_the_next_boundary_arrives() {
    let data = photo(32, 24);
    let head = format!("--frame\r\nContent-Length: {}\r\n\r\n", data.len());
    let mut splitter = Splitter::new(Some("multipart/x-mixed-replace; boundary=frame"), LIMIT);
    splitter.feed(head.as_bytes());
    splitter.feed(&data);
    assert_eq!(splitter.next_part().expect("fine").expect("at once").data, data);
}

#[test]
fn a_picture_of_a_part_with_a_wrong_length_is_returned_when_its_end_has_arrived() {
    let data = photo(32, 24);
    let mut splitter = Splitter::new(Some("multipart/x-mixed-replace; boundary=frame"), LIMIT);
    splitter.feed(format!("--frame\r\nContent-Length: {}\r\n\r\n", data.len() + 600).as_bytes());
    splitter.feed(&data);
    assert_eq!(splitter.next_part().expect("fine").expect("at once").data, data);
    assert!(!splitter.is_between_parts());
}

#[test]
fn a_part_that_its_delimiter_cuts_off_is_damaged() {
    let (whole, good) = (photo_numbered(64, 48, 1), photo_numbered(32, 24, 2));
    let length = format!("Content-Length: {}", whole.len());
    let bad = part("\r\n", "--frame", &[&length], &whole[..whole.len() - 100]);
    let body = [bad, part("\r\n", "--frame", &[], &good)].concat();
    let results = split("multipart/x-mixed-replace; boundary=frame", body.chunks(50));
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1, "{results:?}");
    assert_eq!(pictures(&results), [Bytes::from(good)]);
}

#[test]
fn a_line_that_is_longer_than_a_delimiter_is_none() {
    let boundary = "b".repeat(200);
    let picture = photo(32, 24);
    let long = format!("{}{boundary}\r\n\r\n", "-".repeat(600)).into_bytes();
    let body = [long, part("\r\n", &format!("--{boundary}"), &[], &picture)].concat();
    let results = split(&format!("multipart/x-mixed-replace; boundary={boundary}"), body.chunks(100));
    assert_eq!(pictures(&results), [Bytes::from(picture)]);
}

#[test]
fn a_boundary_within_a_picture_is_no_delimiter() {
    let plain = photo(32, 24);
    let comment = b"\xFF\xFE\x00\x20\r\n--frame\r\nhello hello hello..";
    let data = [&plain[..2], comment, &plain[2..]].concat();
    assert_eq!(comment.len(), 34, "the marker, and the length that the segment gives");
    let body = part("\r\n", "--frame", &[], &data);
    assert_eq!(pictures(&split("multipart/x-mixed-replace; boundary=frame", body.chunks(9))), [Bytes::from(data)]);
}

#[test]
fn a_part_that_is_no_picture_keeps_its_type() {
    let body = b"--frame\r\nContent-Type: text/plain\r\n\r\ncamera busy\r\n--frame--\r\n";
    let parts = split("multipart/x-mixed-replace; boundary=frame", [&body[..]]);
    let part = parts[0].as_ref().expect("a part");
    assert_eq!((&part.data[..], part.content_type.as_deref()), (&b"camera busy"[..], Some("text/plain")));
}

#[test]
fn too_large_and_incomplete_parts_are_skipped_and_reading_continues() {
    let good = photo_numbered(32, 24, 2);
    let cut = &photo(64, 48)[..900];
    let length = format!("Content-Length: {}", good.len());
    let content_type = "multipart/x-mixed-replace; boundary=frame";
    let large = part("\r\n", "--frame", &[&format!("Content-Length: {}", LIMIT + 1)], &[7; LIMIT + 1]);
    for (fault, bad) in [
        (Fault::TooLarge, large),
        (Fault::Damaged, part("\r\n", "--frame", &[], &[cut, &photo(16, 16)].concat())),
        (Fault::EndlessHeaders, format!("--frame\r\n{}", "X-Nonsense: 1\r\n".repeat(700)).into_bytes()),
    ] {
        let body = [bad, part("\r\n", "--frame", &[&length], &good)].concat();
        let results = split(content_type, body.chunks(1000));
        assert!(results.contains(&Err(fault)), "{fault:?}: {results:?}");
        assert_eq!(pictures(&results).last().expect("the good one"), &good, "{fault:?}");
    }
}

#[test]
fn plausible_timestamps_are_accepted() {
    assert_eq!(micros("1700000000.5"), Some(1_700_000_000_500_000));
    assert_eq!(micros("1700000000"), Some(1_700_000_000_000_000));
    for wrong in ["12.000345", "", "x", "-1", "253402300800", "999999999999", "99999999999999999999.1"] {
        assert_eq!(micros(wrong), None, "{wrong:?}");
    }
}
