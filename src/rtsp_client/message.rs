//! [`Reader`]: takes the bytes of a connection apart into answers, requests of the server, and interleaved packets.
//!
//! A line ends with LF, with or without CR. Header lines that cannot be read are ignored. Bytes between messages that are neither an
//! answer nor a packet are skipped, as ffmpeg does. `Content-Length` is corrected by what follows: a description goes on until the
//! next message, and a silence ends it (see [`Reader::cut`]).

use bytes::{Buf, Bytes, BytesMut};

use super::{
    failure::{Malformed, quoted},
    headers::{Headers, leading_number},
};

/// Most bytes of a line. Answers with many authentication challenges have lines of a few hundred bytes.
const MAX_LINE: usize = 16 << 10;

/// Most header fields of an answer, and most bytes of its head.
const MAX_HEADERS: usize = 256;
const MAX_HEAD: usize = 64 << 10;

/// Most bytes of a body. A description with the parameter sets of several tracks has a few thousand.
const MAX_BODY: usize = 1 << 20;

/// Most packets in the middle of a head. Two threads of a server mix a few.
const MAX_INSIDE: u32 = 32;

/// Most bytes that are skipped between two messages.
const MAX_JUNK: u64 = 1 << 20;

/// Channels above this are not expected after bytes that had to be skipped. A session with many tracks uses two for each.
const MAX_CHANNEL: u8 = 63;

/// What a server sends.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// An answer.
    Answer(Answer),
    /// A request of the server: its method, and its headers.
    Call(String, Headers),
    /// An interleaved packet (RFC 2326, section 10.12): its channel, and its bytes.
    Packet(u8, Bytes),
}

/// An answer to a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// The status code; 0 if the line has none.
    pub(super) status: u16,
    /// The server's words for it.
    pub(super) reason: String,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

#[derive(Debug)]
enum First {
    Status(u16, String),
    Call(String),
}

#[derive(Debug)]
enum State {
    /// Between messages.
    Idle,
    /// In the head: the first line, and the fields so far.
    Head(First, Headers),
    /// In the body of an answer, with its announced length.
    Body(Answer, Option<usize>),
}

/// Reads one connection.
#[derive(Debug)]
pub(super) struct Reader {
    buffer: BytesMut,
    state: State,
    /// Whether the next answer should have a description as its body.
    expects_description: bool,
    /// Whether the body of the next answer is a tunnel, which has no end.
    expects_tunnel: bool,
    /// Bytes taken out of the buffer.
    consumed: u64,
    /// Lines of the current message, and the bytes of its head.
    lines: usize,
    head: usize,
    /// Packets in the middle of the current head.
    inside: u32,
    /// Bytes skipped since the last message; a packet that follows must look like one.
    junk: u64,
    /// The beginning of the skipped bytes, for the error.
    first_junk: Option<Malformed>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Reader {
            buffer: BytesMut::new(),
            state: State::Idle,
            expects_description: false,
            expects_tunnel: false,
            consumed: 0,
            lines: 0,
            head: 0,
            inside: 0,
            junk: 0,
            first_junk: None,
        }
    }

    /// The buffer to append received bytes to.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether the next answer should have a description as its body, so that a wrong length is corrected.
    pub(super) fn expect_description(&mut self, expected: bool) {
        self.expects_description = expected;
    }

    /// The next answer is that of HTTP to a GET, whose body goes on as RTSP whatever its length is said to be.
    pub(super) fn expect_tunnel(&mut self) {
        self.expects_tunnel = true;
    }

    /// Whether a message has begun and is not complete, so that a silence has a meaning.
    pub(super) fn is_inside(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// The next item; none until more bytes come.
    pub(super) fn next(&mut self) -> Result<Option<Item>, Malformed> {
        // The empty line at the end of the head is missing, and the packets leave no silence that would end it.
        if self.inside > MAX_INSIDE {
            self.inside = 0;
            if let Some(item) = self.cut() {
                return Ok(Some(item));
            }
        }
        loop {
            // A line that begins with `$` is a packet, also in the middle of a head, as servers send answers and packets from
            // different threads.
            if self.buffer.first() == Some(&b'$') && !matches!(self.state, State::Body(..)) {
                match self.packet() {
                    Some(Some(packet)) => {
                        self.inside += u32::from(self.is_inside());
                        return Ok(Some(packet));
                    }
                    Some(None) => return Ok(None),
                    None => {
                        self.skip(1)?;
                        continue;
                    }
                }
            }
            let item = match &self.state {
                State::Idle => {
                    if !self.begin()? {
                        return Ok(None);
                    }
                    continue;
                }
                State::Head(..) => match self.line()? {
                    Some(line) => self.head_line(&line)?,
                    None => return Ok(None),
                },
                State::Body(_, length) => match self.body_end(*length) {
                    Some(end) => self.finish(end),
                    None if self.buffer.len() > MAX_BODY => return Err(self.malformed("a description without an end")),
                    None => return Ok(None),
                },
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    /// Ends an answer that is not complete after a silence: what is there is the answer.
    pub(super) fn cut(&mut self) -> Option<Item> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Head(First::Status(status, reason), headers) => {
                Some(Item::Answer(Answer { status, reason, headers, body: Bytes::new() }))
            }
            State::Body(answer, length) => {
                self.state = State::Body(answer, length);
                let end = self.buffer.len();
                self.finish(end)
            }
            State::Head(..) | State::Idle => None,
        }
    }

    /// A packet: none if it does not look like one, and `Some(None)` if it is not complete.
    fn packet(&mut self) -> Option<Option<Item>> {
        let [_, channel, high, low, ..] = self.buffer[..] else { return Some(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if self.junk > 0 {
            let is_version_2 = self.buffer.get(4).is_none_or(|byte| byte >> 6 == 2);
            if channel > MAX_CHANNEL || length < 8 || !is_version_2 {
                return None;
            }
        }
        if self.buffer.len() < 4 + length {
            return Some(None);
        }
        if length > 0 && self.buffer[4] >> 6 != 2 {
            // No RTP: a packet nevertheless, if another message follows it.
            match self.buffer.get(4 + length) {
                None => return Some(None),
                Some(b'$' | b'\r' | b'\n' | b'A'..=b'Z') => {}
                Some(_) => return None,
            }
        }
        self.advance(4);
        let data = self.buffer.split_to(length).freeze();
        self.consumed += length as u64;
        self.forget_junk();
        Some(Some(Item::Packet(channel, data)))
    }

    /// Looks for the beginning of a message. Returns whether the state has changed or bytes were skipped.
    fn begin(&mut self) -> Result<bool, Malformed> {
        let blank = self.buffer.iter().take_while(|b| b.is_ascii_whitespace() || **b == 0).count();
        self.advance(blank);
        match self.buffer.first() {
            None => return Ok(false),
            Some(b'$') => return Ok(true),
            Some(_) => {}
        }
        let could_be_answer = ["RTSP", "HTTP"].iter().any(|name| {
            let n = name.len().min(self.buffer.len());
            self.buffer[..n].eq_ignore_ascii_case(&name.as_bytes()[..n])
        });
        let word = self.buffer.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'_').count();
        let could_be_call = word > 0 && matches!(self.buffer.get(word), None | Some(b' '));
        if could_be_answer || could_be_call {
            (self.lines, self.head, self.inside) = (0, 0, 0);
            // Junk that looks like the beginning of a message must not hide the packet behind it.
            let end = memchr::memchr(b'\n', &self.buffer);
            if end.is_none() && self.buffer.len() <= MAX_LINE && !(self.junk > 0 && self.next_start(1).is_some()) {
                return Ok(false);
            }
            let line = self.buffer[..end.unwrap_or_default()].to_vec();
            if let Some(first) = first_line(&line) {
                self.advance(line.len() + 1);
                self.lines = 1;
                self.state = State::Head(first, Headers::default());
                self.forget_junk();
                return Ok(true);
            }
        }
        // The last bytes can be the beginning of `RTSP/`.
        let end = self.next_start(1).unwrap_or(self.buffer.len().saturating_sub("RTSP".len()));
        self.skip(end)?;
        Ok(end > 0)
    }

    /// The position of the next possible beginning of a message.
    fn next_start(&self, from: usize) -> Option<usize> {
        (from..self.buffer.len()).find(|at| {
            let rest = &self.buffer[*at..];
            rest.first() == Some(&b'$') || rest.starts_with(b"RTSP/") || (self.buffer[at - 1] == b'\n')
        })
    }

    fn skip(&mut self, n: usize) -> Result<(), Malformed> {
        if self.first_junk.is_none() {
            let mut first = self.malformed("bytes that are no RTSP");
            first.line = self.lines + 1;
            self.first_junk = Some(first);
        }
        self.junk += n as u64;
        self.advance(n);
        match &self.first_junk {
            Some(first) if self.junk > MAX_JUNK => Err(first.clone()),
            _ => Ok(()),
        }
    }

    /// The first bytes that were skipped since the last message, if there are any.
    pub(super) fn skipped(&self) -> Option<&Malformed> {
        self.first_junk.as_ref()
    }

    fn forget_junk(&mut self) {
        self.junk = 0;
        self.first_junk = None;
    }

    fn advance(&mut self, n: usize) {
        self.buffer.advance(n);
        self.consumed += n as u64;
    }

    fn malformed(&self, rule: &'static str) -> Malformed {
        let line = self.buffer[..].split(|b| *b == b'\n').next().unwrap_or_default();
        Malformed { rule, offset: self.consumed, line: self.lines.max(1), text: quoted(line) }
    }

    /// The next line of a head, without its end.
    fn line(&mut self) -> Result<Option<Bytes>, Malformed> {
        let Some(end) = memchr::memchr(b'\n', &self.buffer) else {
            if self.buffer.len() > MAX_LINE {
                return Err(self.malformed("a line of more than 16 kB"));
            }
            return Ok(None);
        };
        if end > MAX_LINE || self.head > MAX_HEAD {
            return Err(self.malformed("a head of more than 64 kB"));
        }
        let mut line = self.buffer.split_to(end);
        self.buffer.advance(1);
        self.consumed += end as u64 + 1;
        self.head += end;
        self.lines += 1;
        while line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Ok(Some(line.freeze()))
    }

    fn head_line(&mut self, line: &[u8]) -> Result<Option<Item>, Malformed> {
        let State::Head(_, headers) = &mut self.state else { return Ok(None) };
        if !line.is_empty() {
            let text = String::from_utf8_lossy(line);
            if text.starts_with([' ', '\t']) {
                headers.fold(&text);
            } else if let Some((name, value)) = text.split_once(':') {
                if headers.len() >= MAX_HEADERS {
                    return Err(self.malformed("more than 256 header lines"));
                }
                headers.push(name, value);
            }
            return Ok(None);
        }
        let State::Head(first, headers) = std::mem::replace(&mut self.state, State::Idle) else { return Ok(None) };
        let length = headers.content_length().filter(|_| !self.expects_tunnel);
        let (status, reason) = match first {
            First::Status(status, reason) => (status, reason),
            First::Call(method) => {
                // The body of a call is not needed: if there is one, it is skipped as bytes between messages.
                return Ok(Some(Item::Call(method, headers)));
            }
        };
        if length.is_some_and(|length| length > MAX_BODY) {
            return Err(self.malformed("a body of more than 1 MB"));
        }
        self.expects_tunnel &= (100..200).contains(&status);
        let is_described = self.expects_description && (200..300).contains(&status);
        let answer = Answer { status, reason, headers, body: Bytes::new() };
        if is_described || length.is_some_and(|length| length > 0) {
            // Some firmware announces 0 and sends a description.
            self.state = State::Body(answer, length.filter(|length| *length > 0));
            return Ok(None);
        }
        Ok(Some(Item::Answer(answer)))
    }

    /// Where the body ends, if that is known.
    fn body_end(&self, length: Option<usize>) -> Option<usize> {
        let is_described = self.expects_description;
        let is_start = |at: usize| {
            let rest = &self.buffer[at..];
            rest.starts_with(b"RTSP/") || (rest.len() > 1 && rest[0] == b'$' && rest[1] <= MAX_CHANNEL)
        };
        match length {
            Some(length) if self.buffer.len() < length => None,
            Some(length) if !is_described || self.buffer.len() == length || is_start(length) => Some(length),
            // More than announced: the description goes on until the next message.
            Some(length) => {
                let line_start = |at: &usize| self.buffer[at - 1] == b'\n' && is_start(*at);
                Some((length + 1..self.buffer.len()).find(line_start).unwrap_or(self.buffer.len()))
            }
            None => (1..self.buffer.len()).find(|at| self.buffer[at - 1] == b'\n' && is_start(*at)),
        }
    }

    fn finish(&mut self, end: usize) -> Option<Item> {
        let State::Body(mut answer, _) = std::mem::replace(&mut self.state, State::Idle) else { return None };
        answer.body = self.buffer.split_to(end).freeze();
        self.consumed += end as u64;
        Some(Item::Answer(answer))
    }
}

/// Reads `RTSP/1.0 200 OK`, or the first line of a request.
fn first_line(line: &[u8]) -> Option<First> {
    let text = String::from_utf8_lossy(line);
    let (word, rest) = text.trim().split_once(char::is_whitespace)?;
    let is_version = |word: &str| {
        let name = word.get(..4).unwrap_or_default();
        name.eq_ignore_ascii_case("RTSP") || name.eq_ignore_ascii_case("HTTP")
    };
    if is_version(word) {
        let rest = rest.trim_start();
        let reason = rest.split_once(char::is_whitespace).map_or("", |(_, reason)| reason);
        return Some(First::Status(leading_number(rest)?, quoted(reason.as_bytes())));
    }
    let has_version = rest.split_whitespace().last().is_some_and(is_version);
    has_version.then(|| First::Call(word.to_owned()))
}

#[cfg(test)]
mod tests;
