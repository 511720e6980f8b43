//! Properties that the splitter must have for every input.

use super::*;
use crate::portions;

/// The first line of the input is the content type, the rest is the body.
pub(crate) fn hold(input: &[u8]) {
    let (content_type, body) = match memchr::memchr(b'\n', input) {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (&[][..], input),
    };
    let content_type = String::from_utf8_lossy(content_type);
    splits_alike(&content_type, body);
    for max_part in [0, 100, MAX_HEADERS] {
        is_bounded(&content_type, body, max_part);
    }
    returns_content(body);
}

/// Within the limits, the result does not depend on the portions in which the body arrives. (Beyond a limit it
/// does, because the splitter discards the data that has arrived.)
fn splits_alike(content_type: &str, body: &[u8]) {
    if body.len() > MAX_HEADERS {
        return;
    }
    let whole = split(content_type, &[body], MAX_HEADERS);
    for arrival in portions::ways(body) {
        assert_eq!(whole, split(content_type, &arrival, MAX_HEADERS), "the parts depend on the portions");
    }
}

/// No part is larger than the limit, no byte is in two parts (the end of a picture can be added), and the memory is bounded.
fn is_bounded(content_type: &str, body: &[u8], max_part: usize) {
    let results = split(content_type, &portions::uneven(body), max_part);
    assert!(results.len() <= body.len() + 1, "{} results of {} bytes", results.len(), body.len());
    let parts = results.iter().filter_map(|result| result.as_ref().ok());
    let total: usize = parts.clone().map(|part| part.data.len()).sum();
    let most = body.len() + parts.clone().count() * crate::picture::jpeg::EOI.len();
    assert!(total <= most, "{total} bytes of {}", body.len());
    for part in parts {
        assert!(part.data.len() <= max_part, "a part of {} bytes", part.data.len());
    }
}

/// Content that is no picture and has a length is returned unchanged, and so is the part after it.
fn returns_content(content: &[u8]) {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let behind = content.iter().position(|byte| !is_line_end(byte)).unwrap_or(content.len());
    if content.is_empty() || content[behind..].starts_with(&[0xFF, 0xD8]) {
        return;
    }
    let head = |length: usize| format!("--b\r\nContent-Type: x/y\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    let body = [&head(content.len()), content, b"\r\n", &head(3), b"end\r\n--b--\r\n"].concat();
    let results = split("multipart/mixed; boundary=b", &portions::uneven(&body), content.len().max(3));
    let data: Vec<_> = results.iter().map(|result| result.as_ref().expect("no fault").data.as_ref()).collect();
    assert_eq!(data, [content, b"end"]);
}

fn split(content_type: &str, portions: &[&[u8]], max_part: usize) -> Vec<Result<Part, Fault>> {
    let mut splitter = Splitter::new(Some(content_type), max_part);
    let mut results = vec![];
    for portion in portions {
        splitter.feed(portion);
        loop {
            match splitter.next_part() {
                Ok(None) => break,
                Ok(Some(part)) => results.push(Ok(part)),
                Err(fault) => results.push(Err(fault)),
            }
        }
        let most = 2 * max_part.max(MAX_HEADERS) + 2 * MAX_LINE;
        assert!(splitter.buffer.len() <= most, "{} bytes are held", splitter.buffer.len());
    }
    results.extend(splitter.finish().map(Ok));
    results
}
