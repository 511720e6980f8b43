//! Reads `multipart/x-mixed-replace` and consecutive JPEGs as real cameras send them.
//!
//! [`Splitter`] takes bytes in portions of any length and returns parts. It accepts the deviations of real cameras
//! (boundaries declared with their dashes, bare line feeds, missing or impossible lengths, garbage before the first part)
//! and holds at most one part in memory.

use bytes::{Buf, Bytes, BytesMut};

use crate::picture::jpeg::EndFinder;

/// Most bytes of the headers of a part. ESP32 cameras send fewer than 200.
const MAX_HEADERS: usize = 8 << 10;

/// If this many bytes contain a JPEG and no boundary, the declared boundary is wrong.
const MAX_WITHOUT_BOUNDARY: usize = 64 << 10;

/// One part: a picture, or other content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The content, without the line end before the boundary.
    pub data: Bytes,
    /// The `Content-Type` of the part, as sent.
    pub content_type: Option<String>,
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
            Fault::TooLarge => "a part is larger than the limit",
            Fault::Damaged => "a picture is incomplete",
            Fault::EndlessHeaders => "the headers of a part do not end",
        })
    }
}

#[derive(Debug)]
enum Phase {
    /// Searches for a boundary line or, without a boundary, for the start of a JPEG.
    Seek,
    Headers,
    Body {
        length: Option<usize>,
        content_type: Option<String>,
        timestamp_micros: Option<u64>,
        finder: EndFinder,
    },
}

/// Splits a byte stream into parts.
#[derive(Debug)]
pub struct Splitter {
    /// The boundary without leading dashes; none for consecutive JPEGs.
    boundary: Option<Vec<u8>>,
    max_part: usize,
    buffer: BytesMut,
    phase: Phase,
    skipped: usize,
}

impl Splitter {
    /// A splitter for a body with this `Content-Type`. Without one, or with another type than multipart, the body
    /// is read as consecutive JPEGs with arbitrary data between them.
    pub fn new(content_type: Option<&str>, max_part: usize) -> Self {
        Splitter {
            boundary: content_type.and_then(boundary_of),
            max_part,
            buffer: BytesMut::new(),
            phase: Phase::Seek,
            skipped: 0,
        }
    }

    /// Adds bytes. If the caller then calls [`Splitter::next_part`] until it returns none, the splitter holds at
    /// most one part and the bytes of one call.
    pub fn feed(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next complete part, or none when more bytes are needed.
    pub fn next_part(&mut self) -> Result<Option<Part>, Fault> {
        loop {
            let progressed = match self.phase {
                Phase::Seek => self.seek(),
                Phase::Headers => self.read_headers()?,
                Phase::Body { .. } => match self.read_body()? {
                    Some(part) => return Ok(Some(part)),
                    None => false,
                },
            };
            if !progressed {
                return Ok(None);
            }
        }
    }

    /// The part that the end of the stream completes: one without a length, whose sender closed.
    pub fn finish(&mut self) -> Option<Part> {
        let Phase::Body { length: None, content_type, .. } = &self.phase else { return None };
        let content_type = content_type.clone();
        let data = self.buffer.split().freeze();
        self.phase = Phase::Seek;
        (!data.is_empty()).then_some(Part { data, content_type, timestamp_micros: None })
    }

    fn seek(&mut self) -> bool {
        let Some(boundary) = self.boundary.as_deref() else { return self.seek_picture() };
        if let Some(line) = boundary_line(&self.buffer, boundary) {
            self.buffer.advance(line.end);
            self.skipped = 0;
            self.phase = Phase::Headers;
            return true;
        }
        if self.skipped + self.buffer.len() > MAX_WITHOUT_BOUNDARY
            && let Some(start) = find(&self.buffer, &[0xFF, 0xD8, 0xFF])
        {
            self.boundary = None;
            self.buffer.advance(start);
            return true;
        }
        // Keeps bytes that can be the beginning of a boundary line or of a picture.
        let keep = MAX_WITHOUT_BOUNDARY + boundary.len();
        if self.buffer.len() > 2 * keep {
            let surplus = self.buffer.len() - keep;
            self.skipped += surplus;
            self.buffer.advance(surplus);
        }
        false
    }

    fn seek_picture(&mut self) -> bool {
        match find(&self.buffer, &[0xFF, 0xD8, 0xFF]) {
            Some(start) => {
                self.buffer.advance(start);
                self.phase = Phase::body(None);
                true
            }
            None => {
                let surplus = self.buffer.len().saturating_sub(2);
                self.buffer.advance(surplus);
                false
            }
        }
    }

    fn read_headers(&mut self) -> Result<bool, Fault> {
        let mut length = None;
        let mut content_type = None;
        let mut timestamp_micros = None;
        let mut at = 0;
        loop {
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
        if length.is_some_and(|n| n > self.max_part) {
            self.phase = Phase::Seek;
            return Err(Fault::TooLarge);
        }
        self.phase = Phase::Body { length, content_type, timestamp_micros, finder: EndFinder::default() };
        Ok(true)
    }

    fn read_body(&mut self) -> Result<Option<Part>, Fault> {
        let Phase::Body { length, content_type, timestamp_micros, finder } = &mut self.phase else {
            return Ok(None);
        };
        let end = if let Some(wanted) = *length {
            if self.buffer.len() < wanted {
                return Ok(None);
            }
            let content = &self.buffer[..wanted];
            // A picture without an end shows that the length is wrong. Otherwise the part is returned at once,
            // because waiting for the next boundary would add a frame of latency.
            let tail = &content[wanted.saturating_sub(64)..];
            if content.starts_with(&[0xFF, 0xD8]) && find(tail, &[0xFF, 0xD9]).is_none() {
                *length = None;
                return self.read_body();
            }
            Some(wanted)
        } else if self.buffer.len() < 2 {
            return Ok(None);
        } else if self.buffer.starts_with(&[0xFF, 0xD8]) {
            match finder.find(&self.buffer) {
                Ok(end) => end,
                Err(at) => {
                    // The boundary of the next part can be inside the data that was read as the picture.
                    self.buffer.advance(if self.boundary.is_some() { 2 } else { at.max(2) });
                    self.phase = Phase::Seek;
                    return Err(Fault::Damaged);
                }
            }
        } else {
            // Not a picture but, for example, an error text: the next boundary ends it.
            let boundary = self.boundary.as_deref().unwrap_or(b"\xFF\xD8\xFF");
            boundary_line(&self.buffer, boundary).map(|line| line.start)
        };
        match end {
            Some(end) if end <= self.max_part => {
                let part = Part {
                    data: self.buffer.split_to(end).freeze(),
                    content_type: content_type.take(),
                    timestamp_micros: *timestamp_micros,
                };
                self.phase = Phase::Seek;
                Ok(Some(part))
            }
            None if self.buffer.len() <= self.max_part => Ok(None),
            _ => {
                self.buffer.clear();
                self.phase = Phase::Seek;
                Err(Fault::TooLarge)
            }
        }
    }
}

impl Phase {
    fn body(length: Option<usize>) -> Self {
        Phase::Body { length, content_type: None, timestamp_micros: None, finder: EndFinder::default() }
    }
}

/// The boundary of a multipart content type, without leading dashes: some programs declare the boundary with its
/// dashes (pymjpeg declares `--boundarydonotcross` and sends the same).
fn boundary_of(content_type: &str) -> Option<Vec<u8>> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    let bare = value.trim_start_matches('-');
    let boundary = if bare.is_empty() { value } else { bare };
    (!boundary.is_empty() && boundary.len() <= 200).then(|| boundary.as_bytes().to_vec())
}

/// The range of the first complete boundary line, including the line ends before and after it.
fn boundary_line(data: &[u8], boundary: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut from = 0;
    while let Some(found) = find(&data[from..], boundary).map(|n| from + n) {
        let dashes = data[..found].iter().rev().take_while(|b| **b == b'-').count();
        let start = found - dashes;
        let behind = found + boundary.len();
        let end = memchr::memchr(b'\n', &data[behind..]).map(|n| behind + n + 1)?;
        let at_line_start = start == 0 || data[start - 1] == b'\n';
        let nothing_else = data[behind..end].iter().all(|b| *b == b'-' || b.is_ascii_whitespace());
        if at_line_start && nothing_else {
            let mut content_end = start;
            if data[..content_end].ends_with(b"\n") {
                content_end -= 1;
            }
            if data[..content_end].ends_with(b"\r") {
                content_end -= 1;
            }
            return Some(content_end..end);
        }
        from = behind;
    }
    None
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
