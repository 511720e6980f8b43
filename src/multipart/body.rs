//! The content of one part.
//!
//! A JPEG ends at its end-of-image marker, which is returned at once. The length and the next delimiter matter only where
//! the markers do not tell: for a picture without an end, and for content that is no JPEG.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Fault, Part,
    delimiter::{Boundaries, MAX_LINE},
    find, is_settled,
};
use crate::picture::jpeg::{EOI, EndFinder};

/// Bytes at the end of a part in which an end-of-image counts although the markers before it are damaged.
const TAIL: usize = 64;

/// A part whose headers were read.
#[derive(Debug)]
pub(super) struct Body {
    length: Option<usize>,
    content_type: Option<String>,
    timestamp_micros: Option<u64>,
    finder: EndFinder,
    /// Bytes in which no delimiter line begins.
    searched: usize,
}

/// What reading has led to.
pub(super) enum Step {
    /// More bytes are needed.
    More,
    /// A part, and the number of bytes behind it that still belong to its declared length. Empty content is no part.
    Part(Part, usize),
    Fault(Fault),
}

/// Where a part ends.
enum End {
    Unknown,
    /// At this offset; with or without an end-of-image marker.
    At(usize, Marker),
    /// The picture is damaged; reading continues at this offset.
    Damaged(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    /// Nothing is to be added.
    Present,
    /// The part is whole, and its last marker is missing. Decoders then show the picture (ffmpeg), or refuse it.
    Missing,
}

impl Body {
    pub(super) fn new(length: Option<usize>, content_type: Option<String>, timestamp_micros: Option<u64>) -> Self {
        Body { length, content_type, timestamp_micros, finder: EndFinder::default(), searched: 0 }
    }

    /// Continues with the data that has arrived since the last call, and takes the part out of the buffer if it is whole.
    pub(super) fn read(&mut self, buffer: &mut BytesMut, boundaries: &Boundaries, max_part: usize) -> Step {
        if self.searched == 0 && !self.skip_line_ends(buffer) {
            return Step::More;
        }
        let end = match self.is_jpeg(buffer) {
            None => return Step::More,
            Some(true) => self.picture_end(buffer, boundaries),
            Some(false) => self.other_end(buffer, boundaries),
        };
        match end {
            End::At(end, marker) if end + added(marker) <= max_part => {
                let tail = self.length.map_or(0, |length| length.saturating_sub(end));
                Step::Part(self.part(buffer.split_to(end), marker), tail)
            }
            End::Unknown if buffer.len() <= max_part + 2 * MAX_LINE => {
                self.searched = buffer.len().saturating_sub(MAX_LINE + 2);
                Step::More
            }
            End::Damaged(resume) => {
                buffer.advance(resume.min(buffer.len()));
                Step::Fault(Fault::Damaged)
            }
            End::At(end, _) => {
                buffer.advance(end);
                Step::Fault(Fault::TooLarge)
            }
            End::Unknown => {
                buffer.clear();
                Step::Fault(Fault::TooLarge)
            }
        }
    }

    /// The part that the end of the stream completes. Data of a picture that is not known to be whole stays as it is: its
    /// missing end is then found where the picture is checked.
    pub(super) fn finish(&mut self, data: BytesMut, max_part: usize) -> Option<Part> {
        let (end, marker) = match self.length {
            Some(length) if data.len() < length => return None,
            Some(length) if self.is_jpeg(&data) == Some(true) => (length, marker_at_end(&data[..length])),
            _ => (data.len(), Marker::Present),
        };
        if end == 0 || end + added(marker) > max_part {
            return None;
        }
        let mut data = data;
        data.truncate(end);
        Some(self.part(data, marker))
    }

    fn part(&mut self, mut data: BytesMut, marker: Marker) -> Part {
        if marker == Marker::Missing {
            data.extend_from_slice(&EOI);
        }
        let data: Bytes = data.freeze();
        Part {
            data,
            content_type: self.content_type.take(),
            has_added_end: marker == Marker::Missing,
            timestamp_micros: self.timestamp_micros,
        }
    }

    /// Whether the content is a JPEG; none if that is not known yet.
    fn is_jpeg(&self, data: &[u8]) -> Option<bool> {
        match data {
            _ if self.length == Some(1) => Some(false),
            [] | [0xFF] => None,
            [0xFF, 0xD8, ..] => Some(true),
            _ => Some(false),
        }
    }

    /// Passes over empty lines before a JPEG. False if more bytes are needed to tell whether one follows.
    fn skip_line_ends(&self, buffer: &mut BytesMut) -> bool {
        let count = buffer.iter().take(4).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        match &buffer[count..] {
            [0xFF, 0xD8, ..] => buffer.advance(count),
            [] | [0xFF] if count > 0 && self.length.is_none_or(|length| length > count + 1) => return false,
            _ => {}
        }
        true
    }

    fn picture_end(&mut self, data: &[u8], boundaries: &Boundaries) -> End {
        loop {
            // Up to its declared length the picture is read by itself: the result must not depend on what has arrived.
            let declared = self.length.unwrap_or(usize::MAX);
            let found = self.finder.find(&data[..data.len().min(declared)]);
            let scan = self.finder.scan_at();
            let line = scan.and_then(|scan| boundaries.find(data, scan.max(self.searched), false));
            // Without a length, damage before the delimiter is known before the delimiter arrives.
            let is_decided_before = |at: usize| match found {
                Ok(end) => end.is_some_and(|end| end <= at),
                Err(damaged) => self.length.is_none() && damaged < at,
            };
            if let Some(line) = line.filter(|line| line.start <= declared && !is_decided_before(line.start)) {
                // A part that is much shorter than its length was cut off.
                return match self.length {
                    Some(length) if length > line.end => End::Damaged(line.start),
                    _ => End::At(line.start, data.get(..line.start).map_or(Marker::Missing, marker_at_end)),
                };
            }
            match (found, self.length) {
                (Ok(Some(end)), _) => return End::At(end, Marker::Present),
                (_, Some(length)) if data.len() < length || !is_settled(data, length) => return End::Unknown,
                (_, Some(length)) if marker_at_end(&data[..length]) == Marker::Present => {
                    return End::At(length, Marker::Present);
                }
                // The length is too small.
                (_, Some(_)) => self.length = None,
                (Ok(None), None) => return End::Unknown,
                // Within a line that can be the delimiter: a segment whose length is wrong leads there.
                (Err(at), None) if !is_settled(data, at) => return End::Unknown,
                (Err(at), None) => return End::Damaged(resume(data, at, boundaries)),
            }
        }
    }

    fn other_end(&self, data: &[u8], boundaries: &Boundaries) -> End {
        match self.length {
            Some(length) if data.len() >= length => End::At(length, Marker::Present),
            Some(_) => End::Unknown,
            // Not a picture but, for example, an error text: the next delimiter ends it.
            None => match boundaries.find(data, self.searched, true) {
                Some(line) => End::At(line.start, Marker::Present),
                None => End::Unknown,
            },
        }
    }
}

fn added(marker: Marker) -> usize {
    match marker {
        Marker::Present => 0,
        Marker::Missing => EOI.len(),
    }
}

fn marker_at_end(content: &[u8]) -> Marker {
    let tail = &content[content.len().saturating_sub(TAIL)..];
    if find(tail, &EOI).is_some() { Marker::Present } else { Marker::Missing }
}

/// Where reading continues after a picture that is damaged at `at`: the next delimiter can be inside of the data that was
/// read as the picture, or at the damaged place.
fn resume(data: &[u8], at: usize, boundaries: &Boundaries) -> usize {
    let from = at.saturating_sub(MAX_LINE);
    let line = memchr::memrchr(b'\n', &data[from..at]).map_or(at, |n| from + n + 1).max(2);
    match boundaries.find(&data[..line.min(data.len())], 2, false) {
        Some(delimiter) => delimiter.start,
        None => line,
    }
}
