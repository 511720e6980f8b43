//! Properties that the assembler must have for every input.

use base64::engine::general_purpose::{STANDARD as STANDARD_BASE64, URL_SAFE_NO_PAD};

use super::*;
use crate::portions;

/// Small enough for inputs of a few kilobytes to reach it.
const MAX: usize = 1500;

/// The input is a list of datagrams, each after its length in two bytes (big-endian).
pub(crate) fn hold(input: &[u8]) {
    let mut assembler = Assembler::new(MAX);
    let now = Instant::now();
    let mut rest = input;
    while let [high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
        let (datagram, next) = behind.split_at(length);
        rest = next;
        is_bounded(&mut assembler, datagram, now);
    }
    let picture = picture(input);
    arrives(&picture, &picture, MAX + picture.len(), b"");
    for text in [STANDARD_BASE64.encode(&picture), URL_SAFE_NO_PAD.encode(&picture)] {
        arrives(&picture, text.as_bytes(), picture.len(), b"\n");
    }
}

/// The memory is bounded, and every picture is a JPEG from its beginning to its end.
fn is_bounded(assembler: &mut Assembler, datagram: &[u8], now: Instant) {
    let lines = datagram.iter().filter(|byte| **byte == b'\n').count();
    let outcomes = assembler.push(datagram, now);
    assert!(outcomes.len() <= 2 * (lines + 1) + 1, "{} outcomes of {lines} lines", outcomes.len());
    for outcome in outcomes {
        let Outcome::Picture(data) = outcome else { continue };
        assert!(data.len() <= MAX + 3, "a picture of {} bytes", data.len());
        assert_eq!(EndFinder::default().find(&data), Ok(Some(data.len())), "a picture from SOI to EOI");
    }
    let held = match &assembler.gathering {
        Gathering::Nothing => 0,
        Gathering::Text(text) => text.len(),
        Gathering::Raw(data, _) => data.len(),
    };
    assert!(held <= MAX / 3 * 4 + 4, "{held} bytes are held");
}

/// The markers of a JPEG, with the bytes as its scan.
fn picture(scan: &[u8]) -> Vec<u8> {
    let mut picture = b"\xFF\xD8\xFF\xDA\x00\x02".to_vec();
    for byte in scan {
        picture.push(*byte);
        if *byte == 0xFF {
            picture.push(0);
        }
    }
    picture.extend_from_slice(b"\xFF\xD9");
    picture
}

/// A picture whose bytes arrive in order is returned unchanged, for every choice of portions.
fn arrives(picture: &[u8], sent: &[u8], max: usize, end: &[u8]) {
    // Four bytes mark the first datagram. A later datagram that begins with them also begins a picture.
    let (first, rest) = sent.split_at(4);
    let portions = portions::uneven(rest);
    if portions.iter().any(|portion| portion.starts_with(TEXT_START) || portion.starts_with(TEXT_START_URL)) {
        return;
    }
    let mut assembler = Assembler::new(max);
    let now = Instant::now();
    let datagrams = std::iter::once(first).chain(portions).chain([end]);
    let outcomes: Vec<_> = datagrams.flat_map(|datagram| assembler.push(datagram, now)).collect();
    assert!(
        outcomes == [Outcome::Picture(Bytes::copy_from_slice(picture))],
        "{} bytes became {outcomes:?}",
        picture.len()
    );
}
