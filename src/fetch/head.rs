//! Reads the head of a response as firmware writes it.
//!
//! Strict where a misreading would be dangerous (two different lengths), and lenient elsewhere: what nothing here needs
//! cannot end a response. A line that is no header is ignored, and so is a length that is no number.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Most bytes of the status line and the headers together. Cameras send hundreds of bytes.
pub(super) const MAX_HEAD: usize = 64 << 10;

/// The status line and the headers.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Whether the peer keeps the connection open behind a body whose end is known.
    keeps_open: bool,
    /// Number of bytes that the head occupies.
    pub(super) length: usize,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// Chunks (RFC 9112, section 7.1).
    Chunked,
    /// The end of the connection.
    Close,
}

/// Reads a head from the beginning of what was received; none when more bytes are needed. The error says what the peer
/// sends instead.
pub(super) fn read(data: &[u8]) -> Result<Option<Head>, String> {
    // Some servers end the body before with one line end too many (RFC 9112, section 2.2 for requests).
    let skip = data.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let rest = behind(data, skip);
    if let Some(bare) = without_head(rest) {
        return Ok(bare.then(|| Head {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            keeps_open: false,
            length: skip,
        }));
    }
    let Some(end) = line_end(rest) else {
        return if rest.len() > MAX_HEAD { Err("its status line does not end".into()) } else { Ok(None) };
    };
    let (status, is_current) = status_line(rest.split_at(end).0)?;
    let mut headers = Headers::default();
    let mut at = skip + end + 1;
    loop {
        let rest = behind(data, at);
        if begins_body(rest) {
            break;
        }
        let Some(end) = line_end(rest) else {
            return if data.len() > MAX_HEAD { Err("its headers have more than 64 KiB".into()) } else { Ok(None) };
        };
        at += end + 1;
        if at > MAX_HEAD + skip {
            return Err("its headers have more than 64 KiB".into());
        }
        let (line, _) = rest.split_at(end);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        headers.add(line);
    }
    let headers = headers.finish();
    let says = |word: &str| {
        let values = headers.get_all(http::header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
    };
    let keeps_open = !says("close") && (is_current || says("keep-alive"));
    Ok(Some(Head { status, headers, keeps_open, length: at }))
}

/// Whether the data begins with a body instead of a status line (HTTP/0.9): a JPEG, or a delimiter of multipart. None for
/// a status line.
fn without_head(data: &[u8]) -> Option<bool> {
    match data {
        [] | [0xFF] | [b'-'] => Some(false),
        [0xFF, 0xD8, ..] | [b'-', b'-', ..] => Some(true),
        _ => None,
    }
}

/// Whether the body begins here, without the empty line before it.
fn begins_body(data: &[u8]) -> bool {
    match data {
        [0xFF, 0xD8, ..] => true,
        [b'-', b'-', rest @ ..] => {
            let line = line_end(rest).map(|end| rest.split_at(end).0);
            line.is_some_and(|line| !line.is_empty() && memchr::memchr(b':', line).is_none())
        }
        _ => false,
    }
}

fn behind(data: &[u8], offset: usize) -> &[u8] {
    data.get(offset..).unwrap_or_default()
}

fn line_end(data: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', data)
}

/// The status, and whether the version is HTTP/1.1 or newer. The word before the version can be another one, as the `ICY`
/// of Shoutcast servers.
fn status_line(line: &[u8]) -> Result<(StatusCode, bool), String> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_ascii_whitespace();
    let version = words.next().unwrap_or_default().to_ascii_uppercase();
    let known = version.starts_with("HTTP") || version == "ICY";
    let code = words.next().unwrap_or_default();
    let digits: String = code.chars().take_while(char::is_ascii_digit).take(3).collect();
    match StatusCode::from_bytes(digits.as_bytes()) {
        Ok(status) if known => Ok((status, matches!(version.strip_prefix("HTTP/"), Some(n) if n > "1.0"))),
        _ => {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
            Err(format!("it does not answer with HTTP, but with {shown:?}"))
        }
    }
}

/// Headers while they are read. A line that begins with white space continues the one before (RFC 9112, section 5.2).
#[derive(Default)]
struct Headers {
    map: HeaderMap,
    open: Option<(HeaderName, Vec<u8>)>,
}

impl Headers {
    fn add(&mut self, line: &[u8]) {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            if let Some((_, value)) = &mut self.open {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
            return;
        }
        self.close();
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let (name, value) = (line.split_at(colon).0, behind(line, colon + 1));
        if let Ok(name) = HeaderName::from_bytes(name.trim_ascii()) {
            self.open = Some((name, value.trim_ascii().to_vec()));
        }
    }

    fn close(&mut self) {
        if let Some((name, value)) = self.open.take()
            && let Ok(value) = HeaderValue::from_bytes(&value)
        {
            self.map.append(name, value);
        }
    }

    fn finish(mut self) -> HeaderMap {
        self.close();
        self.map
    }
}

impl Head {
    /// How the body ends. Fails if the head gives two different lengths: one of them is that of something else (RFC 9112,
    /// section 6.3).
    pub(super) fn framing(&self) -> Result<Framing, String> {
        if self.status.is_informational() || matches!(self.status.as_u16(), 204 | 304) {
            return Ok(Framing::Length(0));
        }
        let values = |name| self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        if values(http::header::TRANSFER_ENCODING).any(|value| value.to_ascii_lowercase().contains("chunked")) {
            return Ok(Framing::Chunked);
        }
        let mut length = None;
        for text in values(http::header::CONTENT_LENGTH).flat_map(|value| value.split(',')) {
            let Ok(given) = text.trim().parse::<u64>() else { continue };
            if length.is_some_and(|other| other != given) {
                return Err("it gives two different values of Content-Length".into());
            }
            length = Some(given);
        }
        Ok(length.map_or(Framing::Close, Framing::Length))
    }

    /// Whether the connection can be used again behind this body.
    pub(super) fn keeps_open(&self) -> bool {
        self.keeps_open
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties {
    //! Properties that the reader must have for every input.

    use super::*;

    /// A head is within the data, and the same however much of the rest has arrived.
    pub(crate) fn hold(data: &[u8]) {
        let whole = read(data);
        let Ok(Some(head)) = &whole else { return };
        assert!(head.length <= data.len(), "{} of {} bytes", head.length, data.len());
        let first = read(data.split_at(head.length).0);
        // The body's first byte can show that the head has ended.
        let again = first
            .expect("the head alone is one, too")
            .or_else(|| read(data.split_at(data.len().min(head.length + 3)).0).expect("as well"));
        let again = again.or_else(|| read(data).expect("as before")).expect("complete");
        assert_eq!((again.status, again.length, &again.headers), (head.status, head.length, &head.headers));
        assert_eq!(again.framing(), head.framing());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        read(text.as_bytes()).expect(text).unwrap_or_else(|| panic!("{text:?} is complete"))
    }

    #[test]
    fn odd_status_lines_and_headers_are_read() {
        for (text, status, kind) in [
            ("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n", 200, Some("a/b")),
            ("HTTP/1.1 200\r\nContent-Type:a/b\r\n\r\n", 200, Some("a/b")),
            ("HTTP/1.0  404  Not Found\nContent-type : a/b\n\n", 404, Some("a/b")),
            ("\r\n\r\nhttp/1.1 200OK\r\ncontent-type: a/b\r\n\r\n", 200, Some("a/b")),
            ("ICY 200 OK\r\nContent-Type: a/b\r\n\r\n", 200, Some("a/b")),
            ("HTTP/1.1 200 \u{e4}\r\nTue, 12 Jun 2012 01:56:34 GMT\r\nContent-Type: a/b\r\n\r\n", 200, Some("a/b")),
            ("HTTP/1.1 200 OK\r\nno colon\r\n: no name\r\nb\u{fc}d: x\r\nContent-Type: a/b\r\n\r\n", 200, Some("a/b")),
            ("HTTP/1.1 200 OK\r\nContent-Type: a/b;\r\n  boundary=c\r\n\r\n", 200, Some("a/b; boundary=c")),
            ("HTTP/1.1 200 OK\r\n folded before any\r\nX: \u{0}\r\nContent-Type: a/b\r\n\r\n", 200, Some("a/b")),
            ("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n--frame\r\n", 200, Some("a/b")),
            ("--frame\r\n", 200, None),
        ] {
            let head = head(text);
            assert_eq!(head.status, status, "{text:?}");
            assert_eq!(head.headers.get("content-type").and_then(|v| v.to_str().ok()), kind, "{text:?}");
        }
        assert_eq!(head("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n--frame\r\n").length, 36, "the body is left");
        let mut bare = b"HTTP/1.0 200 OK\r\n".to_vec();
        bare.extend([0xFF, 0xD8, 0xFF]);
        assert_eq!(read(&bare).expect("fine").expect("whole").length, 17, "a picture without the empty line");
    }

    #[test]
    fn a_head_is_incomplete_until_its_empty_line() {
        let whole = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        for end in 0..whole.len() {
            assert!(read(&whole.as_bytes()[..end]).expect("no fault").is_none(), "{end}");
        }
    }

    #[test]
    fn what_is_not_http_is_shown_and_heads_have_a_limit() {
        for (data, says) in [
            ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "SSH-2.0-OpenSSH_9.2"),
            ("RTSP/1.0 400 Bad Request\r\n\r\n".to_owned(), "RTSP/1.0 400"),
            ("HTTP/1.1 abc\r\n\r\n".to_owned(), "HTTP/1.1 abc"),
            (format!("HTTP/1.1 200 OK\r\n{}", "A: b\r\n".repeat(20_000)), "64 KiB"),
            (format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(MAX_HEAD)), "64 KiB"),
            ("x".repeat(MAX_HEAD + 1), "does not end"),
        ] {
            let fault = read(data.as_bytes()).expect_err(says);
            assert!(fault.contains(says), "{fault}");
        }
    }

    #[test]
    fn the_end_of_a_body_follows_from_usable_lengths_only() {
        let of = |headers: &str| head(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).framing();
        for (headers, framing) in [
            ("", Framing::Close),
            ("Content-Length: 5\r\n", Framing::Length(5)),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Framing::Length(5)),
            ("Content-Length: 5, 5\r\n", Framing::Length(5)),
            ("Content-Length: -1\r\n", Framing::Close),
            ("Content-Length: 99999999999999999999\r\n", Framing::Close),
            ("Content-Length: \r\nContent-Length: 7\r\n", Framing::Length(7)),
            ("Content-Length: 5\r\nTransfer-Encoding: Chunked\r\n", Framing::Chunked),
        ] {
            assert_eq!(of(headers), Ok(framing), "{headers:?}");
        }
        assert!(of("Content-Length: 5\r\nContent-Length: 7\r\n").expect_err("refused").contains("two different"));
        assert_eq!(head("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n").framing(), Ok(Framing::Length(0)));
    }

    #[test]
    fn a_connection_is_kept_as_its_version_and_its_header_say() {
        for (text, keeps) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", true),
            ("ICY 200 OK\r\n\r\n", false),
        ] {
            assert_eq!(head(text).keeps_open(), keeps, "{text:?}");
        }
    }
}
