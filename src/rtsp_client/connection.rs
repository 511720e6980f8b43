//! [`Connection`]: one TCP connection, plain or with TLS, as a sequence of items and a buffer of bytes to send.

use std::{net::SocketAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
    time::{Duration, Instant, sleep_until},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::{
    failure::Failure,
    message::{Item, Reader},
};
use crate::trust;

/// Bytes to read at a time, at least.
const CHUNK: usize = 16 << 10;

/// A silence in the middle of an answer after which it counts as complete.
const QUIET: Duration = Duration::from_millis(700);

/// How long a tunnel whose POST was closed waits for an answer: a server that never answers a POST can close that direction alone.
const GRACE: Duration = Duration::from_millis(300);

/// The settings of TLS, and the name that the certificate must have.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Which certificates are trusted.
    pub config: Arc<ClientConfig>,
    /// The host name or the address of the URL.
    pub name: ServerName<'static>,
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// An open connection.
pub(super) struct Connection {
    read: ReadHalf<Box<dyn Socket>>,
    write: WriteHalf<Box<dyn Socket>>,
    reader: Reader,
    out: BytesMut,
    /// Whether requests are sent in Base64, as the body of a POST.
    is_tunnel: bool,
    /// The answer to the POST, until the server has answered a request: if it ends before, the server did not take the POST.
    answer: Option<ReadHalf<Box<dyn Socket>>>,
    /// When a tunnel is given up whose POST was closed.
    given_up_at: Option<Instant>,
    must_flush: bool,
    last_read: Instant,
    /// This side, and the camera.
    pub(super) addresses: (SocketAddr, SocketAddr),
}

impl Connection {
    /// Connects.
    pub(super) async fn open(host: &str, port: u16, tls: Option<&Tls>) -> Result<Self, Failure> {
        let socket = TcpStream::connect((host, port)).await.map_err(Failure::Unreachable)?;
        // Without the option the connection is slower, and works.
        let _ = socket.set_nodelay(true);
        let local = socket.local_addr().map_err(Failure::Unreachable)?;
        let peer = socket.peer_addr().map_err(Failure::Unreachable)?;
        let socket: Box<dyn Socket> = match tls {
            None => Box::new(socket),
            Some(Tls { config, name }) => {
                let connected = TlsConnector::from(config.clone()).connect(name.clone(), socket).await;
                let explained = |e| trust::tls_failure(&e).unwrap_or_else(|| format!("the TLS handshake failed: {e}"));
                Box::new(connected.map_err(|e| Failure::Tls(explained(e)))?)
            }
        };
        let (read, write) = tokio::io::split(socket);
        let (reader, out) = (Reader::new(), BytesMut::new());
        let (must_flush, last_read) = (false, Instant::now());
        Ok(Connection {
            read,
            write,
            reader,
            out,
            is_tunnel: false,
            answer: None,
            given_up_at: None,
            must_flush,
            last_read,
            addresses: (local, peer),
        })
    }

    /// A tunnel: reads here, and sends everything behind what waits to be sent on `requests`, in Base64, on that connection.
    pub(super) fn with_requests_on(self, requests: Connection) -> Self {
        let Connection { read, write, out, must_flush, .. } = requests;
        Connection { write, out, must_flush, is_tunnel: true, answer: Some(read), ..self }
    }

    /// The reader of what the server sends.
    pub(super) fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Adds bytes to send; [`Connection::item`] sends them.
    pub(super) fn send(&mut self, data: &[u8]) {
        match self.is_tunnel {
            true => self.out.extend_from_slice(STANDARD.encode(data).as_bytes()),
            false => self.out.extend_from_slice(data),
        }
    }

    /// Number of bytes that wait to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.out.len()
    }

    /// The next item. Sends what is to be sent meanwhile. Cancel-safe.
    pub(super) async fn item(&mut self) -> Result<Item, Failure> {
        loop {
            if let Some(item) = self.reader.next().map_err(Failure::Malformed)? {
                return Ok(item);
            }
            let must_write = !self.out.is_empty() || self.must_flush;
            let is_inside = self.reader.is_inside();
            let buffer = self.reader.buffer();
            buffer.reserve(CHUNK);
            let (write, out, must_flush) = (&mut self.write, &mut self.out, &mut self.must_flush);
            let writing = async {
                if !out.is_empty() {
                    write.write_buf(out).await?;
                    *must_flush = true;
                }
                write.flush().await?;
                *must_flush = false;
                std::io::Result::Ok(())
            };
            let has_answer = self.answer.is_some();
            tokio::select! {
                read = self.read.read_buf(buffer) => {
                    (self.answer, self.given_up_at) = (None, None);
                    self.last_read = Instant::now();
                    let failure = match read {
                        Ok(1..) => continue,
                        Ok(0) => None,
                        Err(e) => Some(e),
                    };
                    return self.reader.cut().ok_or(Failure::Closed(failure));
                }
                written = writing, if must_write => written.map_err(|e| Failure::Closed(Some(e)))?,
                () = end(self.answer.as_mut()), if has_answer => {
                    (self.answer, self.given_up_at) = (None, Some(Instant::now() + GRACE));
                }
                () = sleep_until(self.given_up_at.unwrap_or(self.last_read)), if self.given_up_at.is_some() => {
                    return Err(Failure::Closed(None));
                }
                () = sleep_until(self.last_read + QUIET), if is_inside => {
                    if let Some(item) = self.reader.cut() {
                        return Ok(item);
                    }
                }
            }
        }
    }
}

/// Waits until there is nothing more to read. Cancel-safe.
async fn end(of: Option<&mut ReadHalf<Box<dyn Socket>>>) {
    let Some(read) = of else { return };
    let mut ignored = [0; 512];
    while matches!(read.read(&mut ignored).await, Ok(1..)) {}
}
