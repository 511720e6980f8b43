//! Splits a connection's bytes into requests and interleaved frames.

use bytes::{Buf, BytesMut};
use rtsp_types::{Message, ParseError, Request};

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
    // A body that is too long is refused as soon as its length is known.
    let Some(head) = memchr::memmem::find(data, b"\r\n\r\n") else {
        return if data.len() > MAX_REQUEST { Err(Fault::TooLong) } else { Ok(None) };
    };
    // With the end of the last line; the empty line follows.
    let (head, rest) = data.split_at(head + 2);
    let Some(known) = only_known_headers(head) else { return Err(Fault::Garbage) };
    // The length of the message as it arrived.
    let arrived = |used: usize| (used + head.len()).saturating_sub(known.len());
    match Message::<Vec<u8>>::parse(&[&known[..], rest].concat()).map(|(message, used)| (message, arrived(used))) {
        Ok((Message::Request(request), used)) if used <= MAX_REQUEST => {
            // rtsp-types merges every header into one with an empty name, and loses Content-Length by it. A name has at
            // least one character (RFC 2326 section 15.1).
            if request.headers().any(|(name, _)| name.as_str().is_empty()) {
                return Err(Fault::Garbage);
            }
            data.advance(used);
            Ok(Some(Incoming::Request(Box::new(request))))
        }
        Ok((Message::Request(_), _)) => Err(Fault::TooLong),
        // An answer, although we send no requests.
        Ok(_) | Err(ParseError::Error) => Err(Fault::Garbage),
        Err(ParseError::Incomplete(more)) => {
            let announced = data.len() + more.map_or(0, usize::from);
            if announced > MAX_REQUEST { Err(Fault::TooLong) } else { Ok(None) }
        }
    }
}

/// The head without the headers that are not read here, each on one line with the usual end. rtsp-types takes two names for
/// equal of which one begins with the other, and joins their values: `C: x` would hide `CSeq`. None if a line is empty, or
/// has a control character, such as a carriage return that ends none (RFC 2326 section 15.1 has no such text).
fn only_known_headers(head: &[u8]) -> Option<Vec<u8>> {
    let mut known = Vec::with_capacity(head.len() + 2);
    let (mut keeps, mut lengths) = (true, 0);
    for (n, line) in head.strip_suffix(b"\n").unwrap_or(head).split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // An empty line would end the head, which ends elsewhere.
        if line.is_empty() || line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return None;
        }
        // A line that begins with a space continues the header before it.
        let is_continued = n > 0 && line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        if is_continued {
            if keeps {
                known.truncate(known.len().saturating_sub(2));
                known.push(b' ');
                known.extend_from_slice(line.trim_ascii());
                known.extend_from_slice(b"\r\n");
            }
            continue;
        }
        if n > 0 {
            let name = line.split(|byte| *byte == b':').next().filter(|name| name.len() < line.len());
            if name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"Content-Length")) {
                lengths += 1;
            }
            // A line that is no header is for the parser to refuse.
            keeps = name.is_none_or(|name| name.is_empty() || is_known(name));
        }
        if keeps {
            known.extend_from_slice(line);
            known.extend_from_slice(b"\r\n");
        }
    }
    // With two lengths, programs disagree where the message ends.
    (lengths <= 1).then_some(known)
}

/// Whether this server reads the header.
fn is_known(name: &[u8]) -> bool {
    const KNOWN: [&str; 9] =
        ["Accept", "Authorization", "Content-Length", "CSeq", "Range", "Require", "Session", "Transport", "User-Agent"];
    KNOWN.iter().any(|known| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes()))
}

fn is_request_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.ends_with(b" RTSP/1.0") || line.ends_with(b" RTSP/2.0")
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtsp_types::{Method, headers};

    use super::*;

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
            (b"DESCRIBE rtsp://h/a RTSP/1.0\r\nContent-Length: 999999999\r\n\r\n", Fault::TooLong),
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
