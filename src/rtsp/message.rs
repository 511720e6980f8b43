//! Splits a connection's bytes into requests and interleaved frames.

use bytes::{Buf, BytesMut};
use rtsp_types::{HeaderName, Method, Request, Url, Version, headers};

/// Most bytes of a request, its body included. MediaMTX and ffmpeg send some 300.
pub(super) const MAX_REQUEST: usize = 16 << 10;

/// One message.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    /// A request.
    Request(Box<Request<Vec<u8>>>),
    /// An interleaved frame (RFC 2326 section 10.12), such as an RTCP receiver report, which is skipped.
    Frame,
}

/// Why the bytes cannot be parsed; the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not RTSP.
    Garbage,
    /// It is longer than [`MAX_REQUEST`].
    TooLong,
}

/// Takes messages off the front of the bytes that were read.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// Bytes of an interleaved frame that are still to be skipped.
    skip: usize,
}

impl Parser {
    /// The next message, or none while it is incomplete.
    pub(super) fn next(&mut self, data: &mut BytesMut) -> Result<Option<Incoming>, Fault> {
        loop {
            if self.skip > 0 {
                let here = self.skip.min(data.len());
                data.advance(here);
                self.skip -= here;
                return Ok((self.skip == 0).then_some(Incoming::Frame));
            }
            match data.first() {
                None => return Ok(None),
                // Some clients end a message with one empty line too many.
                Some(b'\r' | b'\n') => data.advance(1),
                Some(b'$') if data.len() < 4 => return Ok(None),
                Some(b'$') => {
                    // Skipped while it arrives and not collected: the peer chooses its length.
                    self.skip = usize::from(u16::from_be_bytes([data[2], data[3]])) + 4;
                }
                Some(_) => return request(data),
            }
        }
    }
}

fn request(data: &mut BytesMut) -> Result<Option<Incoming>, Fault> {
    // The first line is checked before the head is complete: a browser's POST, for example, is no RTSP. A complete head
    // passes the same check, so that the answer does not depend on how many bytes have arrived.
    let line_end = memchr::memchr(b'\n', data);
    if line_end.is_some_and(|end| !is_request_line(&data[..end])) || !data[0].is_ascii_uppercase() {
        return Err(Fault::Garbage);
    }
    let Some((head_length, body_at)) = head_end(data) else {
        return if data.len() > MAX_REQUEST { Err(Fault::TooLong) } else { Ok(None) };
    };
    // Before the head is parsed, so that the fault does not depend on how many bytes have arrived.
    if body_at > MAX_REQUEST {
        return Err(Fault::TooLong);
    }
    let head = Head::parse(&data[..head_length]).ok_or(Fault::Garbage)?;
    // A body that is too long is refused as soon as its length is known.
    let length = body_at.saturating_add(head.content_length);
    if length > MAX_REQUEST {
        return Err(Fault::TooLong);
    }
    if data.len() < length {
        return Ok(None);
    }
    let body = data.split_to(length).split_off(body_at);
    Ok(Some(Incoming::Request(Box::new(head.request(body.to_vec())))))
}

/// Where the head ends, and where its body begins: behind an empty line. Some clients end lines without a carriage return.
fn head_end(data: &[u8]) -> Option<(usize, usize)> {
    memchr::memchr_iter(b'\n', data).find_map(|at| match data[at + 1..] {
        [b'\n', ..] => Some((at, at + 2)),
        [b'\r', b'\n', ..] => Some((at, at + 3)),
        _ => None,
    })
}

/// The head of a request. rtsp-types has a parser of its own, which takes two header names for equal of which one begins with
/// the other, joins their values, and accepts a header without a name; so it is given the parsed parts only.
struct Head {
    method: Method,
    /// None for `*`.
    uri: Option<Url>,
    version: Version,
    /// The headers that this server reads.
    headers: Vec<(&'static HeaderName, String)>,
    content_length: usize,
}

/// The headers that this server reads.
const KNOWN: [&HeaderName; 8] = [
    &headers::ACCEPT,
    &headers::AUTHORIZATION,
    &headers::CSEQ,
    &headers::RANGE,
    &headers::REQUIRE,
    &headers::SESSION,
    &headers::TRANSPORT,
    &headers::USER_AGENT,
];

impl Head {
    /// Parses a head without the empty line at its end (RFC 2326 sections 6 and 15.1). None for a head that programs can read
    /// in two ways: an empty line, a control character (such as a carriage return that ends no line), a header without a
    /// name, or two lengths.
    fn parse(head: &[u8]) -> Option<Head> {
        let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let (method, uri, version) = request_line(lines.next()?)?;
        let mut headers: Vec<(&'static HeaderName, String)> = vec![];
        let mut length = None;
        let mut is_kept = false;
        for line in lines {
            if line.is_empty() || has_control(line) {
                return None;
            }
            let value = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
            // A line that begins with a space continues the header before it.
            if matches!(line.first(), Some(b' ' | b'\t')) {
                if let (true, Some((_, known))) = (is_kept, headers.last_mut()) {
                    *known = format!("{known} {}", value(line)).trim().to_owned();
                }
                continue;
            }
            let colon = memchr::memchr(b':', line)?;
            let name = std::str::from_utf8(line[..colon].trim_ascii()).ok().filter(|name| is_token(name))?;
            let value = value(&line[colon + 1..]);
            is_kept = false;
            if name.eq_ignore_ascii_case("Content-Length") {
                // With two lengths, programs disagree where the message ends.
                if length.replace(decimal(&value)?).is_some() {
                    return None;
                }
            } else if let Some(known) = KNOWN.iter().find(|known| name.eq_ignore_ascii_case(known.as_str())) {
                is_kept = true;
                match headers.iter().position(|(other, _)| other == known) {
                    // Repeated headers are one list (RFC 2616 section 4.2, which RFC 2326 section 4.2 refers to). The last one
                    // stands at the end, because a folded line continues it.
                    Some(earlier) => {
                        let (_, before) = headers.remove(earlier);
                        headers.push((known, format!("{before}, {value}")));
                    }
                    None => headers.push((known, value)),
                }
            }
        }
        Some(Head { method, uri, version, headers, content_length: length.unwrap_or(0) })
    }

    fn request(self, body: Vec<u8>) -> Request<Vec<u8>> {
        let mut request = Request::builder(self.method, self.version).build(body);
        request.set_request_uri(self.uri);
        for (name, value) in self.headers {
            request.insert_header(name.clone(), value);
        }
        request
    }
}

/// Method, URI and version (RFC 2326 section 6.1). A space in the URI belongs to it: ffmpeg sends a URL as its user typed it.
fn request_line(line: &[u8]) -> Option<(Method, Option<Url>, Version)> {
    let line = std::str::from_utf8(line).ok().filter(|line| !has_control(line.as_bytes()))?;
    let (method, rest) = line.split_once(' ')?;
    let (uri, version) = rest.rsplit_once(' ')?;
    let version = match version {
        "RTSP/1.0" => Version::V1_0,
        "RTSP/2.0" => Version::V2_0,
        _ => return None,
    };
    let uri = match uri.trim() {
        "*" => None,
        // A path without a host is this server's.
        path if path.starts_with('/') => Some(Url::parse(&format!("rtsp://localhost{path}")).ok()?),
        // Only these schemes reach an RTSP server (RFC 2326 section 3.2, RFC 7826 section 4.2). Url reads others, such as
        // `file`, by rules of their own.
        uri => Some(
            Url::parse(uri).ok().filter(|url| matches!(url.scheme(), "rtsp" | "rtsps" | "rtspu") && url.has_host())?,
        ),
    };
    is_token(method).then(|| (Method::from(method), uri, version))
}

/// Whether the text is a token (RFC 2326 section 15.1).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A number of digits only; one that is too large for the type is the largest. None for other text.
fn decimal(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(usize::MAX))
}

fn has_control(line: &[u8]) -> bool {
    line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

fn is_request_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.ends_with(b" RTSP/1.0") || line.ends_with(b" RTSP/2.0")
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TALK: &[u8] = b"\r\nOPTIONS rtsp://h:1/a RTSP/1.0\r\nCSeq: 1\r\n\r\n$\x01\x00\x05hello\
        GET_PARAMETER rtsp://h:1/a/ RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nping$\x00\x00\x00\
        TEARDOWN * RTSP/1.0\r\ncseq: 3\r\nSession: x\r\n\r\n";

    fn feed(parser: &mut Parser, buffer: &mut BytesMut, data: &[u8]) -> Result<Vec<Incoming>, Fault> {
        buffer.extend_from_slice(data);
        let mut out = vec![];
        while let Some(message) = parser.next(buffer)? {
            out.push(message);
        }
        Ok(out)
    }

    fn all(data: &[u8]) -> Result<Vec<Incoming>, Fault> {
        feed(&mut Parser::default(), &mut BytesMut::new(), data)
    }

    #[test]
    fn requests_and_frames_are_distinguished() {
        let talk = all(TALK).expect("RTSP");
        let [
            Incoming::Request(options),
            Incoming::Frame,
            Incoming::Request(get),
            Incoming::Frame,
            Incoming::Request(end),
        ] = &talk[..]
        else {
            panic!("{talk:?}");
        };
        assert_eq!(
            (options.method(), get.method(), end.method()),
            (&Method::Options, &Method::GetParameter, &Method::Teardown)
        );
        assert_eq!(get.body(), b"ping");
        assert_eq!(end.header(&headers::CSEQ).map(|v| v.as_str()), Some("3"), "header names have no case");
        assert_eq!(end.request_uri(), None);
    }

    #[test]
    fn a_header_that_is_not_read_here_hides_no_other() {
        let text = b"OPTIONS rtsp://h/a RTSP/1.0\r\nC: x\r\n folded: y\r\nAccept-Language: en\r\nCSeq: 7\r\nContent-Length: 4\r\nSessionX: 1\r\n\r\nping";
        let talk = all(text).expect("RTSP");
        let [Incoming::Request(options)] = &talk[..] else { panic!("{talk:?}") };
        assert_eq!(options.header(&headers::CSEQ).map(|v| v.as_str()), Some("7"));
        assert_eq!((options.header(&headers::SESSION), &options.body()[..]), (None, &b"ping"[..]));
    }

    #[test]
    fn headers_of_odd_form_are_read() {
        let text = b"DESCRIBE rtsp://h/my door RTSP/1.0\r\ncseq : 7\r\nAccept: a/b,\r\n\t c/d\r\nX-\xff: \xff\r\n ignored\r\naccept: e/f\r\nUser-Agent: caf\xe9\r\n\r\n";
        let faulty = all(text);
        assert_eq!(faulty, Err(Fault::Garbage), "a name is a token");
        let talk =
            all(&text.iter().map(|byte| if *byte == 0xff { b'y' } else { *byte }).collect::<Vec<_>>()).expect("RTSP");
        let [Incoming::Request(describe)] = &talk[..] else { panic!("{talk:?}") };
        assert_eq!(describe.request_uri().map(|url| url.as_str()), Some("rtsp://h/my%20door"));
        let header = |name: HeaderName| describe.header(&name).map(|value| value.as_str());
        assert_eq!((header(headers::CSEQ), header(headers::ACCEPT)), (Some("7"), Some("a/b, c/d, e/f")));
        let talk =
            all(b"DESCRIBE /my/door?token=a RTSP/1.0\nCSeq: 7\n\nOPTIONS * RTSP/1.0\nCSeq: 8\n\n").expect("RTSP");
        let [Incoming::Request(path), Incoming::Request(options)] = &talk[..] else { panic!("{talk:?}") };
        assert_eq!(path.request_uri().map(|url| url.as_str()), Some("rtsp://localhost/my/door?token=a"));
        assert_eq!(options.request_uri(), None);
        assert_eq!(header(headers::USER_AGENT), Some("caf\u{fffd}"));
    }

    #[test]
    fn garbage_and_long_requests_are_refused_as_early_as_possible() {
        for (data, fault) in [
            (&b"GET / HTTP/1.1\r\n"[..], Fault::Garbage),
            (b"POST / HTTP/1.1\r\nHost: x\r\n\r\nDESCRIBE rtsp://h/a RTSP/1.0\r\n\r\n", Fault::Garbage),
            (b"\x16\x03\x01\x02\x00", Fault::Garbage),
            (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", Fault::Garbage),
            (b"!OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n", Fault::Garbage),
            (b"!OPTIONS rtsp://h/a RTSP", Fault::Garbage),
            (b"DESCRIBE rtsp://h/a\r\n\r\n", Fault::Garbage),
            (b"GET_PARAMETER rtsp://h/a RTSP/1.0\r\n:x: 2\r\nContent-Length: 4\r\n\r\nping", Fault::Garbage),
            (b"DESCRIBE file://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n", Fault::Garbage),
            (b"DESCRIBE rtsp:a RTSP/1.0\r\nCSeq: 1\r\n\r\n", Fault::Garbage),
            (b"DESCRIBE rtsp://h/a RTSP/1.0\r\nCSeq: 1\rSession: x\r\n\r\n", Fault::Garbage),
            (b"DESCRIBE rtsp://h/a RTSP/1.0\r\nCSeq 1\r\n\r\n", Fault::Garbage),
            (b"DESCRIBE rtsp://h/a RTSP/1.0\r\nC Seq: 1\r\n\r\n", Fault::Garbage),
            (b"DESCRIBE rtsp://h/a RTSP/1.0\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", Fault::Garbage),
            (b"DESCRIBE rtsp://h/a RTSP/1.0\r\nContent-Length: +1\r\n\r\n", Fault::Garbage),
            (b"DESCRIBE rtsp://h/a RTSP/1.0\r\nContent-Length: 999999999\r\n\r\n", Fault::TooLong),
            (b"DESCRIBE rtsp://h/a RTSP/1.0\r\nContent-Length: 99999999999999999999999999\r\n\r\n", Fault::TooLong),
            (&[b"DESCRIBE rtsp://h/a RTSP/1.0\r\nX: ".as_slice(), &[b'x'; MAX_REQUEST]].concat(), Fault::TooLong),
        ] {
            assert_eq!(all(data), Err(fault), "{:?}", String::from_utf8_lossy(&data[..data.len().min(60)]));
        }
        assert_eq!(all(b"DESCRIBE rtsp://h/a RT"), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn messages_do_not_depend_on_how_bytes_arrive(cuts in prop::collection::vec(0..TALK.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.extend([0, TALK.len()]);
            cuts.sort_unstable();
            let (mut parser, mut buffer, mut out) = (Parser::default(), BytesMut::new(), vec![]);
            for pair in cuts.windows(2) {
                out.extend(feed(&mut parser, &mut buffer, &TALK[pair[0]..pair[1]]).expect("RTSP"));
            }
            prop_assert_eq!(out, all(TALK).expect("RTSP"));
        }

        #[test]
        fn any_bytes_end_in_messages_or_a_fault(data in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = all(&data);
            let mut buffer = BytesMut::from(&data[..]);
            let mut parser = Parser::default();
            while let Ok(Some(_)) = parser.next(&mut buffer) {}
            prop_assert!(buffer.len() <= MAX_REQUEST + 4);
        }
    }
}
