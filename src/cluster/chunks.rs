//! A picture as messages: NATS limits the size of one (`max_payload`, 1 MB unless it is set), so a larger picture is sent in parts.
//!
//! The latest picture wins, as everywhere: a part of a newer picture drops the one before it. NATS keeps the order of the messages of
//! one sender, so a part out of order means that one was lost.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};

/// Bytes of a message that are left for its headers.
const FOR_HEADERS: usize = 1024;

/// Smallest part: a server with a tiny `max_payload` gets messages that it refuses, and not thousands of them.
const MIN_PART: usize = 4096;

/// Most parts of one picture.
const MAX_PARTS: u32 = 8192;

/// Senders whose pictures are put together at a time. There is one, and two while a stream is handed over; an upload can come to
/// several nodes in turn.
const SENDERS: usize = 4;

/// The header with the sender and the number of the picture.
const SEQ: &str = "Mtx-Seq";
/// The header with the number of the part and of all parts.
const PART: &str = "Mtx-Part";
/// The header with the size of the picture in bytes and its time of capture in microseconds since 1970.
const META: &str = "Mtx-Meta";

/// What the headers of a part say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The epoch of the holder, or a number of the node that an upload came to.
    pub from: u64,
    /// The number of the picture among those of the sender.
    pub seq: u64,
    /// The number of the part, from 1.
    pub part: u32,
    /// The number of parts.
    pub parts: u32,
    /// Bytes of the whole picture.
    pub bytes: usize,
    /// When the picture was taken, in microseconds since 1970.
    pub captured_at: u64,
}

/// Why a part is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A header is missing or has an impossible value.
    Malformed,
    /// The picture is larger than `limits.frame_size`.
    TooLarge,
    /// A part is missing.
    Lost,
}

impl Fault {
    /// The reason as a word, for counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Malformed => "cluster_malformed",
            Fault::TooLarge => "frame_too_large",
            Fault::Lost => "cluster_lost",
        }
    }
}

impl Head {
    /// The headers.
    pub fn headers(&self) -> [(&'static str, String); 3] {
        [
            (SEQ, format!("{}/{}", self.from, self.seq)),
            (PART, format!("{}/{}", self.part, self.parts)),
            (META, format!("{}/{}", self.bytes, self.captured_at)),
        ]
    }

    /// Reads the headers.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Fault> {
        let pair = |name| {
            let (one, other) = header(name)?.split_once('/')?;
            // `parse` accepts a sign.
            let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
            Some((number(one)?, number(other)?))
        };
        let read = || {
            let ((from, seq), (part, parts), (bytes, captured_at)) = (pair(SEQ)?, pair(PART)?, pair(META)?);
            let (part, parts) = (u32::try_from(part).ok()?, u32::try_from(parts).ok()?);
            let bytes = usize::try_from(bytes).ok()?;
            let is_possible = (1..=parts).contains(&part) && parts <= MAX_PARTS && bytes >= parts as usize;
            is_possible.then_some(Head { from, seq, part, parts, bytes, captured_at })
        };
        read().ok_or(Fault::Malformed)
    }

    /// When the picture was taken.
    pub fn time(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_micros(self.captured_at)).unwrap_or(UNIX_EPOCH)
    }
}

/// The parts of a picture for a server that takes messages of `max_payload` bytes. They share its memory.
pub fn split(
    jpeg: &Bytes,
    (from, seq): (u64, u64),
    captured_at: SystemTime,
    max_payload: usize,
) -> impl Iterator<Item = (Head, Bytes)> {
    let (jpeg, bytes) = (jpeg.clone(), jpeg.len());
    let size = max_payload.saturating_sub(FOR_HEADERS).max(MIN_PART).max(bytes.div_ceil(MAX_PARTS as usize));
    let parts = u32::try_from(bytes.div_ceil(size)).unwrap_or(MAX_PARTS);
    let since = captured_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let captured_at = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    (1..=parts).map(move |part| {
        let begin = (part as usize - 1) * size;
        (Head { from, seq, part, parts, bytes, captured_at }, jpeg.slice(begin..bytes.min(begin + size)))
    })
}

/// A picture that is not whole yet, or the last one that was.
#[derive(Debug)]
struct Partial {
    head: Head,
    /// Empty for a picture of one part, and for one that was returned or given up.
    data: BytesMut,
    /// The part that is next; 0 if none is.
    next: u32,
}

/// Puts pictures together.
#[derive(Debug)]
pub struct Assembler {
    limit: usize,
    /// By sender, the one that was heard last at the end.
    partials: Vec<Partial>,
}

impl Assembler {
    /// For pictures of at most this many bytes.
    pub fn new(limit: usize) -> Self {
        Assembler { limit, partials: vec![] }
    }

    /// Takes a part. Returns the picture when it is whole. Parts of older pictures are dropped without an error.
    pub fn add(&mut self, head: Head, payload: Bytes) -> Result<Option<Bytes>, Fault> {
        if head.bytes > self.limit {
            return Err(Fault::TooLarge);
        }
        let mut partial = match self.partials.iter().position(|partial| partial.head.from == head.from) {
            Some(at) => self.partials.remove(at),
            None => {
                if self.partials.len() == SENDERS {
                    self.partials.remove(0);
                }
                Partial { head: Head { seq: 0, ..head }, data: BytesMut::new(), next: 0 }
            }
        };
        let done = add_to(&mut partial, head, payload);
        self.partials.push(partial);
        done
    }
}

fn add_to(partial: &mut Partial, head: Head, payload: Bytes) -> Result<Option<Bytes>, Fault> {
    if head.seq < partial.head.seq || (head.seq == partial.head.seq && partial.next == 0) {
        return Ok(None);
    }
    let is_new = head.seq > partial.head.seq;
    if is_new {
        // Given up, or the first one.
        *partial = Partial { head, data: BytesMut::new(), next: 1 };
    }
    let give_up = |partial: &mut Partial, fault| {
        (partial.data, partial.next) = (BytesMut::new(), 0);
        Err(fault)
    };
    let is_of_it = Head { part: 0, ..head } == Head { part: 0, ..partial.head };
    if !is_of_it {
        return give_up(partial, Fault::Malformed);
    }
    if head.part != partial.next {
        return give_up(partial, Fault::Lost);
    }
    let is_last = head.part == head.parts;
    let size = partial.data.len() + payload.len();
    if payload.is_empty() || size > head.bytes || (is_last && size != head.bytes) {
        return give_up(partial, Fault::Malformed);
    }
    if head.parts == 1 {
        partial.next = 0;
        return Ok(Some(payload));
    }
    if partial.data.is_empty() {
        partial.data.reserve(head.bytes);
    }
    partial.data.extend_from_slice(&payload);
    partial.next = if is_last { 0 } else { head.part + 1 };
    Ok(is_last.then(|| std::mem::take(&mut partial.data).freeze()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn jpeg(bytes: usize, fill: u8) -> Bytes {
        vec![fill; bytes].into()
    }

    fn read(headers: &[(&str, String)]) -> Result<Head, Fault> {
        let headers: HashMap<_, _> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Head::read(|name| headers.get(name).copied())
    }

    #[test]
    fn a_picture_that_fits_is_one_message_and_is_not_copied() {
        let whole = jpeg(200_000, 7);
        let parts: Vec<_> = split(&whole, (3, 9), UNIX_EPOCH + Duration::from_micros(5), 1 << 20).collect();
        let [(head, payload)] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(*head, Head { from: 3, seq: 9, part: 1, parts: 1, bytes: 200_000, captured_at: 5 });
        let got = Assembler::new(1 << 20).add(*head, payload.clone()).expect("whole").expect("returned");
        assert_eq!((got.as_ptr(), got.len()), (whole.as_ptr(), whole.len()));
    }

    #[test]
    fn the_newest_picture_wins_and_an_older_one_is_dropped() {
        let mut assembler = Assembler::new(1 << 20);
        let parts = |seq, fill| split(&jpeg(10_000, fill), (1, seq), UNIX_EPOCH, 5120).collect::<Vec<_>>();
        let (first, second) = (parts(1, 1), parts(2, 2));
        let mut add = |(head, payload): &(Head, Bytes)| assembler.add(*head, payload.clone());
        assert_eq!(first.len(), 3);
        assert_eq!(add(&first[0]), Ok(None));
        assert_eq!(add(&second[0]), Ok(None));
        assert_eq!(add(&first[1]), Ok(None), "a part of an older picture");
        assert_eq!(add(&second[1]), Ok(None));
        assert_eq!(add(&second[2]), Ok(Some(jpeg(10_000, 2))));
        assert_eq!(add(&second[2]), Ok(None), "once more");
        let third = parts(3, 3);
        assert_eq!(add(&third[0]), Ok(None));
        assert_eq!(add(&third[2]), Err(Fault::Lost));
        assert_eq!(add(&third[1]), Ok(None), "it was given up");
    }

    #[test]
    fn impossible_headers_are_refused() {
        let head = |seq: &str, part: &str, meta: &str| {
            read(&[(SEQ, seq.to_owned()), (PART, part.to_owned()), (META, meta.to_owned())])
        };
        assert!(head("1/2", "1/1", "5/6").is_ok());
        for (seq, part, meta) in [
            ("1", "1/1", "5/6"),
            ("1/2", "0/1", "5/6"),
            ("1/2", "2/1", "5/6"),
            ("1/2", "1/9999", "99999/6"),
            ("1/2", "1/3", "2/6"),
            ("+1/2", "1/1", "5/6"),
            ("1/99999999999999999999999", "1/1", "5/6"),
            ("1/2", "1/1", "x/6"),
        ] {
            assert_eq!(head(seq, part, meta), Err(Fault::Malformed), "{seq} {part} {meta}");
        }
        assert_eq!(read(&[]), Err(Fault::Malformed));
        let large = head("1/2", "1/1", "1000/6").expect("possible");
        assert_eq!(Assembler::new(999).add(large, jpeg(1000, 0)), Err(Fault::TooLarge));
        assert_eq!(Assembler::new(1000).add(large, jpeg(999, 0)), Err(Fault::Malformed), "less than it says");
    }

    proptest! {
        #[test]
        fn every_picture_arrives_whole(bytes in 1usize..200_000, max_payload in 0usize..70_000, from: u64, seq in 1u64..) {
            let whole: Bytes = (0..bytes).map(|n| (n % 251) as u8).collect();
            let mut assembler = Assembler::new(200_000);
            let mut got = None;
            for (head, payload) in split(&whole, (from, seq), SystemTime::now(), max_payload) {
                prop_assert_eq!(read(&head.headers()), Ok(head));
                prop_assert!(payload.len() <= max_payload.saturating_sub(FOR_HEADERS).max(MIN_PART));
                prop_assert!(got.is_none());
                got = assembler.add(head, payload).expect("in order");
            }
            prop_assert_eq!(got, Some(whole));
        }

        #[test]
        fn whatever_arrives_pictures_are_whole_and_in_order_and_memory_is_bounded(
            messages in prop::collection::vec((0u64..6, 0u64..4, 1u32..4, 1u32..4, 0usize..40), 0..60)
        ) {
            let mut assembler = Assembler::new(30);
            let mut last: HashMap<u64, u64> = HashMap::new();
            for (from, seq, part, parts, size) in messages {
                let bytes = 10 * parts as usize;
                if part > parts { continue; }
                let head = Head { from, seq, part, parts, bytes, captured_at: 0 };
                if let Ok(Some(picture)) = assembler.add(head, jpeg(size, 0)) {
                    prop_assert_eq!(picture.len(), bytes);
                    // A sender that was forgotten begins anew.
                    if assembler.partials.len() < SENDERS {
                        prop_assert!(last.insert(from, seq).is_none_or(|before| before < seq));
                    }
                }
                prop_assert!(assembler.partials.len() <= SENDERS);
                prop_assert!(assembler.partials.iter().all(|partial| partial.data.capacity() <= 60));
            }
        }
    }
}
