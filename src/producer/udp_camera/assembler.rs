//! Assembles the datagrams of one camera to pictures, without I/O.
//!
//! The protocol has no sequence numbers. It has two forms: base64 text in portions of any length, ended by a line feed (the
//! original firmware sends 512 characters in a datagram), and the raw JPEG in portions of any length, from SOI to EOI. Loss,
//! duplication and reordering cannot be repaired. Some are detected here, by a picture that does not begin or end as a JPEG;
//! the producer detects the others by decoding.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use tokio::time::{Duration, Instant};

use crate::picture::jpeg::EndFinder;

/// A picture is discarded if its next datagram does not arrive within this time. Cameras send a picture in less
/// than a second, and the next request follows after at least a second.
const DATAGRAM_TIMEOUT: Duration = Duration::from_secs(2);

/// Base64 of FF D8 FF, with which every JPEG begins.
const TEXT_START: &[u8] = b"/9j/";
/// The same with the URL-safe alphabet.
const TEXT_START_URL: &[u8] = b"_9j_";
const RAW_START: &[u8] = &[0xFF, 0xD8, 0xFF];

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// The result of a datagram.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Bytes that begin and end as a JPEG.
    Picture(Bytes),
    /// Data was discarded; the word goes to the statistics.
    Dropped(&'static str),
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Picture(data) => write!(f, "Picture({} bytes)", data.len()),
            Outcome::Dropped(why) => write!(f, "Dropped({why})"),
        }
    }
}

#[derive(Debug)]
enum Gathering {
    Nothing,
    Text(Vec<u8>),
    Raw(Vec<u8>, EndFinder),
}

/// The incomplete picture of one camera. Holds at most `max` decoded bytes (or their base64).
#[derive(Debug)]
pub(super) struct Assembler {
    gathering: Gathering,
    max: usize,
    last_at: Instant,
}

impl Assembler {
    pub(super) fn new(max: usize) -> Self {
        Assembler { gathering: Gathering::Nothing, max, last_at: Instant::now() }
    }

    /// Adds one datagram.
    pub(super) fn push(&mut self, datagram: &[u8], now: Instant) -> Vec<Outcome> {
        let mut out = vec![];
        if now.duration_since(self.last_at) > DATAGRAM_TIMEOUT {
            self.discard("incomplete", &mut out);
        }
        self.last_at = now;

        if datagram.starts_with(RAW_START) {
            self.discard("incomplete", &mut out);
            self.gathering = Gathering::Raw(Vec::with_capacity(datagram.len() * 16), EndFinder::default());
        } else if datagram.starts_with(TEXT_START) || datagram.starts_with(TEXT_START_URL) {
            // A new picture begins before the line feed of the last one. Perhaps only the line feed was lost.
            if let Gathering::Text(text) = &self.gathering
                && let Some(picture) = decode(text)
            {
                self.gathering = Gathering::Nothing;
                out.push(Outcome::Picture(picture));
            }
            self.discard("incomplete", &mut out);
        }
        if let Gathering::Raw(..) = self.gathering {
            self.raw(datagram, &mut out);
        } else {
            self.text(datagram, &mut out);
        }
        out
    }

    fn raw(&mut self, datagram: &[u8], out: &mut Vec<Outcome>) {
        let Gathering::Raw(data, finder) = &mut self.gathering else { return };
        if data.len() + datagram.len() > self.max {
            return self.discard("too large", out);
        }
        data.extend_from_slice(datagram);
        match finder.find(data) {
            Ok(None) => {}
            Ok(Some(end)) => {
                data.truncate(end);
                let data = std::mem::take(data);
                self.gathering = Gathering::Nothing;
                out.push(Outcome::Picture(data.into()));
            }
            Err(_) => self.discard("damaged", out),
        }
    }

    fn text(&mut self, datagram: &[u8], out: &mut Vec<Outcome>) {
        let mut rest = datagram;
        loop {
            let end = memchr::memchr(b'\n', rest);
            let portion = &rest[..end.unwrap_or(rest.len())];
            self.gather_text(portion, out);
            let Some(end) = end else { return };
            if let Gathering::Text(text) = std::mem::replace(&mut self.gathering, Gathering::Nothing) {
                out.push(match decode(&text) {
                    Some(picture) => Outcome::Picture(picture),
                    None => Outcome::Dropped("damaged"),
                });
            }
            rest = &rest[end + 1..];
        }
    }

    fn gather_text(&mut self, portion: &[u8], out: &mut Vec<Outcome>) {
        if portion.trim_ascii().is_empty() {
            return;
        }
        if !portion.iter().all(|b| b.is_ascii_alphanumeric() || b"+/-_=".contains(b) || b.is_ascii_whitespace()) {
            // No camera sends this.
            self.discard("incomplete", out);
            out.push(Outcome::Dropped("foreign"));
            return;
        }
        if matches!(self.gathering, Gathering::Nothing) {
            self.gathering = Gathering::Text(Vec::with_capacity(portion.len() * 32));
        }
        let Gathering::Text(text) = &mut self.gathering else { return };
        if text.len() + portion.len() > self.max / 3 * 4 + 4 {
            return self.discard("too large", out);
        }
        text.extend(portion.iter().filter(|b| !b.is_ascii_whitespace()));
    }

    fn discard(&mut self, why: &'static str, out: &mut Vec<Outcome>) {
        if !matches!(std::mem::replace(&mut self.gathering, Gathering::Nothing), Gathering::Nothing) {
            out.push(Outcome::Dropped(why));
        }
    }
}

/// Decodes base64 in either alphabet, with or without padding. None if the result is not a JPEG.
fn decode(text: &[u8]) -> Option<Bytes> {
    let url_safe = text.iter().any(|b| matches!(b, b'-' | b'_'));
    let data = if url_safe { BASE64_URL.decode(text) } else { BASE64.decode(text) }.ok()?;
    let mut data = Bytes::from(data);
    // Up to the end of the JPEG: if a line feed and a beginning were lost, the rest of another picture follows.
    let end = EndFinder::default().find(&data).ok()??;
    data.truncate(end);
    Some(data)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD as B64, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;
    use crate::picture::testing::{photo, photo_numbered};

    const MAX: usize = 200_000;

    /// The datagrams of a picture, as the original firmware sends them.
    fn text(picture: &[u8]) -> Vec<Vec<u8>> {
        let mut datagrams: Vec<_> = B64.encode(picture).as_bytes().chunks(512).map(<[u8]>::to_vec).collect();
        datagrams.push(b"\n".to_vec());
        datagrams
    }

    fn raw(picture: &[u8]) -> Vec<Vec<u8>> {
        picture.chunks(1400).map(<[u8]>::to_vec).collect()
    }

    fn push_all(assembler: &mut Assembler, datagrams: &[Vec<u8>]) -> Vec<Outcome> {
        let now = Instant::now();
        datagrams.iter().flat_map(|d| assembler.push(d, now)).collect()
    }

    #[test]
    fn both_forms_are_assembled() {
        let picture = photo(64, 48);
        let whole = vec![Outcome::Picture(picture.clone().into())];
        let mut assembler = Assembler::new(MAX);
        assert_eq!(push_all(&mut assembler, &text(&picture)), whole);
        assert_eq!(push_all(&mut assembler, &raw(&picture)), whole);
        let one_line = [B64.encode(&picture).into_bytes(), b"\n".to_vec()].concat();
        assert_eq!(push_all(&mut assembler, &[one_line]), whole);
        let crlf = [URL_SAFE_NO_PAD.encode(&picture).into_bytes(), b" \r\n".to_vec()];
        assert_eq!(push_all(&mut assembler, &crlf), whole);
        let two_in_one = [text(&picture).concat(), text(&picture).concat()].concat();
        assert_eq!(push_all(&mut assembler, &[two_in_one]), [whole.clone(), whole].concat());
    }

    #[test]
    fn a_lost_line_feed_costs_nothing() {
        let (a, b) = (photo_numbered(32, 24, 1), photo_numbered(32, 24, 2));
        let mut datagrams = text(&a);
        datagrams.pop();
        datagrams.extend(text(&b));
        let outcomes = push_all(&mut Assembler::new(MAX), &datagrams);
        assert_eq!(outcomes, [Outcome::Picture(a.into()), Outcome::Picture(b.into())]);
    }

    #[test]
    fn a_faulty_picture_is_dropped_with_a_reason_and_the_next_one_is_complete() {
        let picture = photo(160, 120);
        let mut headless = text(&picture);
        headless.remove(0);
        let mut endless = text(&picture);
        endless.truncate(endless.len() - 3);
        let cut_raw = raw(&picture)[..1].to_vec();
        let oversized: Vec<_> = std::iter::once(b"/9j/".to_vec()).chain((0..600).map(|_| vec![b'A'; 512])).collect();
        let oversized_raw: Vec<_> =
            std::iter::once(picture[..700].to_vec()).chain((0..200).map(|_| vec![1; 1400])).collect();
        for (what, datagrams, words) in [
            ("the first is lost", headless, vec!["damaged"]),
            ("the end is lost", endless, vec!["incomplete"]),
            ("raw, the rest is lost", cut_raw, vec!["incomplete"]),
            ("foreign", vec![b"GET / HTTP/1.1".to_vec()], vec!["foreign"]),
            ("binary noise", vec![vec![0x80; 100]], vec!["foreign"]),
            ("not a JPEG", vec![b"aGVsbG8gd29ybGQ=\n".to_vec()], vec!["damaged"]),
            ("empty lines", vec![b"\n".to_vec(), b"".to_vec(), b"\r\n\r\n".to_vec()], vec![]),
        ] {
            let mut assembler = Assembler::new(MAX);
            let mut outcomes = push_all(&mut assembler, &datagrams);
            outcomes.extend(push_all(&mut assembler, &text(&picture)));
            let expected: Vec<_> =
                words.into_iter().map(Outcome::Dropped).chain([Outcome::Picture(picture.clone().into())]).collect();
            assert_eq!(outcomes, expected, "{what}");
        }
        for datagrams in [oversized, oversized_raw] {
            let outcomes = push_all(&mut Assembler::new(MAX), &datagrams);
            assert_eq!(outcomes.first(), Some(&Outcome::Dropped("too large")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_incomplete_picture_is_dropped_after_a_timeout() {
        let picture = photo(64, 48);
        let mut assembler = Assembler::new(MAX);
        let mut late = text(&picture).split_off(2);
        assert_eq!(push_all(&mut assembler, &text(&picture)[..2]), []);
        tokio::time::advance(DATAGRAM_TIMEOUT + Duration::from_millis(1)).await;
        late.truncate(1);
        assert_eq!(push_all(&mut assembler, &late), [Outcome::Dropped("incomplete")]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// If a network loses or duplicates datagrams of one picture, every picture that decodes without a warning
        /// was sent. This does not hold for loss and duplication in the same picture, for reordering, or for a loss
        /// from the middle of one picture to the middle of the next: a scan of the right length from wrong pieces
        /// is a picture too, and the protocol has no sequence numbers.
        #[test]
        fn loss_and_duplication_never_give_a_wrong_picture(
            faults in proptest::collection::vec(0usize..10_000, 0..40),
            which in 0_usize..3,
            loses in any::<bool>(),
            as_text in any::<bool>(),
        ) {
            let sent: Vec<_> = (0..3).map(|n| photo_numbered(64, 48, n)).collect();
            let mut pictures: Vec<Vec<Vec<u8>>> =
                sent.iter().map(|p| if as_text { text(p) } else { raw(p) }).collect();
            let faulty = &mut pictures[which];
            for at in faults {
                let at = at % faulty.len();
                if loses && faulty.len() > 1 {
                    faulty.remove(at);
                } else {
                    faulty.insert(at, faulty[at].clone());
                }
                faulty.insert(at, vec![]);
            }
            let datagrams = pictures.concat();
            let mut assembler = Assembler::new(MAX);
            for outcome in push_all(&mut assembler, &datagrams) {
                if let Outcome::Picture(data) = outcome {
                    let limits = crate::picture::PictureLimits::default();
                    let whole = crate::picture::Picture::from_plain_jpeg(data.clone(), &limits)
                        .and_then(|p| crate::picture::verify(&p));
                    prop_assert!(whole.is_err() || sent.iter().any(|s| *s == data), "a picture that was not sent");
                }
            }
        }

        #[test]
        fn noise_and_reordering_neither_panic_nor_grow_memory(
            noise in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..60),
            swaps in proptest::collection::vec((0usize..1000, 0usize..1000), 0..30),
        ) {
            let mut datagrams = [text(&photo(64, 48)), noise, raw(&photo(32, 24))].concat();
            let n = datagrams.len();
            for (a, b) in swaps { datagrams.swap(a % n, b % n); }
            let mut assembler = Assembler::new(4000);
            push_all(&mut assembler, &datagrams);
            let held = match &assembler.gathering {
                Gathering::Nothing => 0,
                Gathering::Text(text) => text.len(),
                Gathering::Raw(data, _) => data.len(),
            };
            prop_assert!(held <= 4000 / 3 * 4 + 4);
        }
    }
}
