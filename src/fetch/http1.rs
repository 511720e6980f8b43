//! HTTP/1 over one connection: a request, and the body of its response.

use std::{fmt, io, net::SocketAddr, pin::Pin, task::Poll};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::head::{self, Framing, Head, MAX_HEAD};

/// Most bytes that are read at once.
const STEP: usize = 32 << 10;

/// Most bytes of the line with a chunk's size. It can have extensions, which nothing sends.
const MAX_CHUNK_LINE: usize = 1 << 10;

/// Most responses `100 Continue` before the response.
const MAX_INTERIM: usize = 5;

/// A socket, plain or TLS.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Io for T {}

/// A connection that serves one request after the other.
pub(super) struct Connection {
    io: Box<dyn Io>,
    /// Bytes that were received and not used.
    buffer: BytesMut,
    pub(super) peer: SocketAddr,
    /// Scheme, host and port.
    pub(super) origin: String,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(io: Box<dyn Io>, peer: SocketAddr, origin: String) -> Self {
        Connection { io, buffer: BytesMut::new(), peer, origin }
    }

    /// The socket, and the bytes that were received and not used.
    pub(super) fn into_parts(self) -> (Box<dyn Io>, BytesMut) {
        (self.io, self.buffer)
    }

    /// Whether the connection can take another request: it is open, and nothing has arrived on it. (Data that no request
    /// has asked for would be taken for the next answer.)
    pub(super) async fn is_idle(&mut self) -> bool {
        let mut byte = [0];
        let mut probe = ReadBuf::new(&mut byte);
        let arrived = std::future::poll_fn(|context| {
            Poll::Ready(Pin::new(&mut self.io).poll_read(context, &mut probe).is_ready())
        });
        self.buffer.is_empty() && !arrived.await
    }

    /// Sends a request, and reads the head of its response.
    pub(super) async fn exchange(
        &mut self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Head, String> {
        let mut out = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        for (name, value) in headers {
            out.extend_from_slice(&title_case(name.as_str()));
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if !body.is_empty() || method != Method::GET {
            out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        let broken = |e: io::Error| format!("the connection fails: {e}");
        self.io.write_all(&out).await.map_err(broken)?;
        self.io.flush().await.map_err(broken)?;
        for _ in 0..=MAX_INTERIM {
            let head = self.read_head().await?;
            self.buffer.advance(head.length);
            let is_upgraded =
                head.status == StatusCode::SWITCHING_PROTOCOLS && headers.contains_key(http::header::UPGRADE);
            if is_upgraded || !head.status.is_informational() {
                return Ok(head);
            }
        }
        Err("it sends interim responses without end".into())
    }

    async fn read_head(&mut self) -> Result<Head, String> {
        loop {
            if let Some(head) = head::read(&self.buffer)? {
                return Ok(head);
            }
            match self.receive(MAX_HEAD).await {
                Ok(0) if self.buffer.is_empty() => return Err("it closes the connection".into()),
                Ok(0) => return Err("it closes the connection within its headers".into()),
                Ok(_) => {}
                Err(e) => return Err(format!("the connection fails: {e}")),
            }
        }
    }

    /// Reads some bytes into the buffer; 0 at the end of the connection. Cancel-safe.
    async fn receive(&mut self, most: usize) -> io::Result<usize> {
        self.buffer.reserve(most.min(STEP));
        self.io.read_buf(&mut self.buffer).await
    }
}

/// `content-type` as `Content-Type`, because some firmware compares names with case.
fn title_case(name: &str) -> Vec<u8> {
    let mut name = name.as_bytes().to_vec();
    let mut at_start = true;
    for byte in &mut name {
        if at_start {
            byte.make_ascii_uppercase();
        }
        at_start = *byte == b'-';
    }
    name
}

/// The body of a response that is being read.
#[derive(Debug)]
pub(super) struct Body {
    /// None when the connection has been given back or has ended.
    connection: Option<Connection>,
    framing: Framing,
    chunk: Chunk,
    keeps_open: bool,
}

/// Where reading stands within a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// Before the size of the first chunk.
    First,
    /// Before the size of another one.
    Next,
    /// In a chunk, of which so many bytes are left.
    Data(u64),
}

/// What reading a body gives.
#[derive(Debug)]
pub(super) enum Read {
    Data(Bytes),
    /// The end, and the connection if it can take another request.
    End(Option<Connection>),
}

impl Body {
    /// The body behind a head that was read from this connection. The error names what is wrong with its length.
    pub(super) fn new(connection: Connection, head: &Head) -> Result<Self, String> {
        let framing = head.framing()?;
        Ok(Body { connection: Some(connection), framing, chunk: Chunk::First, keeps_open: head.keeps_open() })
    }

    /// Whether the head has given the length.
    pub(super) fn has_length(&self) -> bool {
        matches!(self.framing, Framing::Length(_))
    }

    /// Whether nothing more is to be read.
    pub(super) fn is_empty(&self) -> bool {
        self.framing == Framing::Length(0)
    }

    /// Reads on behind the declared length, up to the end of the connection, which is `given` if the body has returned it.
    /// False if there is no declared length, or the connection has ended.
    pub(super) fn read_past_length(&mut self, given: Option<Connection>) -> bool {
        if !self.has_length() {
            return false;
        }
        self.connection = self.connection.take().or(given);
        (self.framing, self.keeps_open) = (Framing::Close, false);
        self.connection.is_some()
    }

    /// The next bytes. Cancel-safe.
    pub(super) async fn read(&mut self) -> Result<Read, String> {
        loop {
            if self.is_empty() {
                return Ok(self.end());
            }
            let Some(connection) = &mut self.connection else { return Ok(Read::End(None)) };
            let available = connection.buffer.len();
            match &mut self.framing {
                Framing::Close if available > 0 => return Ok(Read::Data(connection.buffer.split().freeze())),
                Framing::Length(left) if available > 0 => {
                    let count = available.min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= count as u64;
                    return Ok(Read::Data(connection.buffer.split_to(count).freeze()));
                }
                Framing::Chunked => match self.chunk.advance(&mut connection.buffer)? {
                    Progress::More => {}
                    Progress::Data(data) => return Ok(Read::Data(data)),
                    Progress::NotChunked => {
                        self.framing = Framing::Close;
                        continue;
                    }
                    Progress::Last => {
                        self.keeps_open &= trailer_ends(&mut connection.buffer);
                        return Ok(self.end());
                    }
                },
                Framing::Close | Framing::Length(_) => {}
            }
            if connection.receive(STEP).await.map_err(|e| e.to_string())? == 0 {
                self.connection = None;
                return match self.framing {
                    Framing::Close => Ok(Read::End(None)),
                    Framing::Length(left) => Err(format!("the connection ends {left} bytes before its Content-Length")),
                    Framing::Chunked => Err("the connection ends before the last chunk".into()),
                };
            }
        }
    }

    fn end(&mut self) -> Read {
        Read::End(if self.keeps_open { self.connection.take() } else { None })
    }
}

enum Progress {
    More,
    Data(Bytes),
    /// The last chunk has been read.
    Last,
    /// The body is not chunked, although its head says so.
    NotChunked,
}

impl Chunk {
    fn advance(&mut self, buffer: &mut BytesMut) -> Result<Progress, String> {
        if let Chunk::Data(left) = self {
            if buffer.is_empty() {
                return Ok(Progress::More);
            }
            let count = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= count as u64;
            if *left == 0 {
                *self = Chunk::Next;
            }
            return Ok(Progress::Data(buffer.split_to(count).freeze()));
        }
        let skip = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match buffer.get(skip) {
            None if skip <= MAX_CHUNK_LINE => return Ok(Progress::More),
            Some(byte) if byte.is_ascii_hexdigit() => {}
            _ if *self == Chunk::First => return Ok(Progress::NotChunked),
            _ => return Err("a chunk has no size".into()),
        }
        buffer.advance(skip);
        let (line, _) = buffer.split_at(buffer.len().min(MAX_CHUNK_LINE));
        let Some(end) = memchr::memchr(b'\n', line) else {
            return match buffer.len() < MAX_CHUNK_LINE {
                true => Ok(Progress::More),
                false if *self == Chunk::First => Ok(Progress::NotChunked),
                false => Err("a chunk's size does not end".into()),
            };
        };
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let text = line.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default();
        let size = u64::from_str_radix(text, 16).map_err(|_| "a chunk's size is too large".to_owned())?;
        buffer.advance(end + 1);
        *self = Chunk::Data(size);
        if size == 0 {
            return Ok(Progress::Last);
        }
        self.advance(buffer)
    }
}

/// Whether nothing but the empty line stands behind the last chunk. Trailers, which nothing here needs, end the connection.
fn trailer_ends(buffer: &mut BytesMut) -> bool {
    let ends = &buffer[..] == b"\r\n";
    buffer.clear();
    ends
}
