//! Reads `multipart/x-mixed-replace` and consecutive JPEGs as real cameras send them.
//!
//! [`Splitter`] takes bytes in portions of any length and returns parts. It accepts the deviations of real cameras
//! (boundaries declared with their dashes or not at all, bare line feeds, wrong lengths, pictures without an end, garbage
//! before the first part) and holds at most one part in memory. The data decides, not its description: a picture ends
//! where its markers say so, and a boundary that does not occur is replaced by the one that does.

mod body;
mod delimiter;

use bytes::{Buf, Bytes, BytesMut};

use self::{
    body::{Body, Step},
    delimiter::{Beginning, Boundaries, MAX_LINE},
};

/// Most bytes of the headers of a part. ESP32 cameras send fewer than 200.
const MAX_HEADERS: usize = 8 << 10;

/// The beginning of a JPEG: start-of-image, and the marker after it.
const JPEG: &[u8] = &[0xFF, 0xD8, 0xFF];

/// One part: a picture, or other content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The content, without the line end before the boundary.
    pub data: Bytes,
    /// The `Content-Type` of the part, as sent.
    pub content_type: Option<String>,
    /// Whether the end-of-image marker of the picture was missing and is added. Only decoding shows if that was all.
    pub has_added_end: bool,
    /// The `X-Timestamp` of the part in microseconds since 1970, if it is plausible.
    pub timestamp_micros: Option<u64>,
}

impl Part {
    /// Whether the content begins as a JPEG.
    pub fn is_jpeg(&self) -> bool {
        self.data.starts_with(&[0xFF, 0xD8])
    }
}

/// A fault in the stream. Reading can continue with the next part after each fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The part is larger than permitted and was skipped.
    TooLarge,
    /// The picture is incomplete and was skipped.
    Damaged,
    /// The headers of a part do not end.
    EndlessHeaders,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fault::TooLarge => "a part is larger than limits.frame_size",
            Fault::Damaged => "a picture is incomplete",
            Fault::EndlessHeaders => "the headers of a part do not end",
        })
    }
}

#[derive(Debug)]
enum Phase {
    /// Searches for a delimiter line or for the start of a JPEG.
    Seek,
    Headers,
    Body(Body),
    /// The bytes behind a picture that its part's length includes.
    Tail(usize),
}

/// Splits a byte stream into parts.
#[derive(Debug)]
pub struct Splitter {
    boundaries: Boundaries,
    max_part: usize,
    buffer: BytesMut,
    phase: Phase,
    /// Whether the buffer begins where a part can begin: at the start of the body, or behind a part.
    fresh: bool,
    /// Whether the buffer begins at the start of a line.
    at_line_start: bool,
    is_delimited: bool,
}

impl Splitter {
    /// A splitter for a body with this `Content-Type`, which is a hint: a body without delimiter lines is read as
    /// consecutive JPEGs with arbitrary data between them, and an undeclared boundary is recognised.
    pub fn new(content_type: Option<&str>, max_part: usize) -> Self {
        Splitter {
            boundaries: Boundaries::of(content_type),
            max_part,
            buffer: BytesMut::new(),
            phase: Phase::Seek,
            fresh: true,
            at_line_start: true,
            is_delimited: false,
        }
    }

    /// Adds bytes. If the caller then calls [`Splitter::next_part`] until it returns none, the splitter holds at
    /// most one part and the bytes of one call.
    pub fn feed(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// Whether a delimiter line has been read: the body is multipart, whatever its type says.
    pub fn is_delimited(&self) -> bool {
        self.is_delimited
    }

    /// Whether the data that was fed ends between two parts.
    pub fn is_between_parts(&self) -> bool {
        match self.phase {
            Phase::Seek => self.buffer.len() <= MAX_LINE,
            Phase::Headers => self.buffer.is_empty(),
            Phase::Body(_) | Phase::Tail(_) => false,
        }
    }

    /// The next complete part, or none when more bytes are needed.
    pub fn next_part(&mut self) -> Result<Option<Part>, Fault> {
        loop {
            let progressed = match &mut self.phase {
                Phase::Seek => self.seek(),
                Phase::Headers => self.read_headers()?,
                Phase::Tail(length) => {
                    let length = *length;
                    self.skip_tail(length)
                }
                Phase::Body(body) => match body.read(&mut self.buffer, &self.boundaries, self.max_part) {
                    Step::More => false,
                    Step::Part(part, tail) => {
                        self.phase = if tail == 0 { Phase::Seek } else { Phase::Tail(tail) };
                        (self.fresh, self.at_line_start) = (true, true);
                        if !part.data.is_empty() {
                            return Ok(Some(part));
                        }
                        true
                    }
                    Step::Fault(fault) => {
                        self.phase = Phase::Seek;
                        (self.fresh, self.at_line_start) = (false, true);
                        return Err(fault);
                    }
                },
            };
            if !progressed {
                return Ok(None);
            }
        }
    }

    /// The part that the end of the stream completes: one without a length, whose sender closed.
    pub fn finish(&mut self) -> Option<Part> {
        // The last delimiter can be without its line end.
        self.buffer.extend_from_slice(b"\n");
        if let Ok(Some(part)) = self.next_part() {
            return Some(part);
        }
        let Phase::Body(body) = &mut self.phase else { return None };
        let mut data = self.buffer.split();
        data.truncate(data.len().saturating_sub(1));
        let part = body.finish(data, self.max_part);
        self.phase = Phase::Seek;
        part
    }

    fn seek(&mut self) -> bool {
        if self.fresh {
            if self.boundaries.learn(&self.buffer) == Beginning::Unclear {
                return false;
            }
            self.fresh = false;
        }
        let line = self.boundaries.find(&self.buffer, 0, self.at_line_start);
        let picture = find(&self.buffer, JPEG);
        match (line, picture) {
            (Some(line), picture) if picture.is_none_or(|at| line.start <= at) => {
                self.buffer.advance(line.end);
                self.is_delimited = true;
                self.phase = Phase::Headers;
                true
            }
            (_, Some(start)) => {
                self.buffer.advance(start);
                self.phase = Phase::Body(Body::new(None, None, None));
                true
            }
            (_, None) => {
                // Keeps bytes that can be the beginning of a delimiter line or of a picture.
                let surplus = self.buffer.len().saturating_sub(MAX_LINE + 2);
                if surplus > 0 {
                    self.buffer.advance(surplus);
                    self.at_line_start = false;
                }
                false
            }
        }
    }

    /// Passes over bytes behind a picture: padding. A length that is too large reaches into the next part, whose
    /// delimiter ends it.
    fn skip_tail(&mut self, length: usize) -> bool {
        let line = self.boundaries.find(&self.buffer, 0, true).filter(|line| line.start < length);
        if let Some(line) = line {
            self.buffer.advance(line.start);
        } else if self.buffer.len() < length || !is_settled(&self.buffer, length) {
            return false;
        } else {
            self.buffer.advance(length);
        }
        self.phase = Phase::Seek;
        true
    }

    fn read_headers(&mut self) -> Result<bool, Fault> {
        let mut length = None;
        let mut content_type = None;
        let mut timestamp_micros = None;
        let mut at = 0;
        loop {
            // A picture without the empty line before it.
            match &self.buffer[at..] {
                [0xFF] => return Ok(false),
                [0xFF, 0xD8, ..] => break,
                _ => {}
            }
            let Some(end) = memchr::memchr(b'\n', &self.buffer[at..]).map(|n| at + n) else {
                if self.buffer.len() > MAX_HEADERS {
                    self.phase = Phase::Seek;
                    self.buffer.clear();
                    return Err(Fault::EndlessHeaders);
                }
                return Ok(false);
            };
            let line = String::from_utf8_lossy(self.buffer[at..end].trim_ascii()).into_owned();
            at = end + 1;
            if line.is_empty() {
                break;
            }
            if at > MAX_HEADERS {
                self.phase = Phase::Seek;
                self.buffer.advance(at);
                return Err(Fault::EndlessHeaders);
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                // Some cameras send "-1" (AlexxIT/WebRTC#880). The end is then found in the picture.
                "content-length" => length = value.parse::<usize>().ok().filter(|n| *n > 0),
                "content-type" => content_type = Some(value.to_owned()),
                "x-timestamp" => timestamp_micros = micros(value),
                _ => {}
            }
        }
        self.buffer.advance(at);
        // A length beyond the limit can be wrong, too. The data shows it.
        let length = length.filter(|n| *n <= self.max_part);
        self.phase = Phase::Body(Body::new(length, content_type, timestamp_micros));
        Ok(true)
    }
}

/// Whether the line that contains, or begins at, this offset is complete, so that it is known if it is a delimiter.
fn is_settled(data: &[u8], offset: usize) -> bool {
    let Some(behind) = data.get(offset..) else { return false };
    let line_ends = behind.iter().take(4).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    behind.len() > MAX_LINE || memchr::memchr(b'\n', &behind[line_ends..]).is_some()
}

fn find(data: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(data, wanted)
}

/// `1700000000.123456` as microseconds. None before 2001, which a camera without a clock sends, and after 9999, which no
/// date format can express.
fn micros(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: u64 = seconds.parse().ok()?;
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let micros = digits.parse::<u64>().ok()?;
    (1_000_000_001..253_402_300_800).contains(&seconds).then(|| seconds * 1_000_000 + micros)
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

#[cfg(test)]
mod tests;
