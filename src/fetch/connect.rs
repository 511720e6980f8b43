//! A connection to a host whose address was looked at first.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use url::Url;

use super::{Inner, Target, trust};
use crate::error::{Code, Error, Result};

/// Longest line of a status or header, and all of them together (hyper's buffer). Cameras send hundreds of bytes.
const MAX_HEAD: usize = 64 << 10;

/// A connection that takes one request after the other.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) send: SendRequest<Full<Bytes>>,
    pub(super) peer: SocketAddr,
    /// Scheme, host and port.
    pub(super) origin: String,
}

/// Scheme, host and port of an address.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn away(message: impl Into<String>) -> Error {
    Error::new(Code::Upstream, message)
}

pub(super) async fn connect(inner: &Inner, url: &Url, target: &Target) -> Result<Connection> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let patience = *inner.settings.connect_timeout;
    let found = timeout(patience, lookup_host((host, port))).await;
    let found = found.map_err(|_| away(format!("{host}: its address is not found in time")))?;
    let found: Vec<_> = found.map_err(|e| away(format!("{host}: its address is not found ({e})")))?.collect();
    // The very address that was looked at is connected to: a name that resolves differently the next time gains nothing.
    let permitted: Vec<_> = found.iter().copied().filter(|at| inner.permits(at.ip())).collect();
    if permitted.is_empty() {
        let which = found.first().map_or_else(|| "none".to_owned(), |at| at.ip().to_string());
        return Err(away(format!("{host} has the address {which}, which is not in fetch.networks")));
    }
    let mut failure = String::new();
    for at in permitted.into_iter().take(4) {
        match timeout(patience, TcpStream::connect(at)).await {
            Ok(Ok(socket)) => {
                let _ = socket.set_nodelay(true);
                let shaken = timeout(patience, shake_hands(inner, socket, url, host, target, at)).await;
                return shaken.map_err(|_| away(format!("{host}:{port} does not finish its handshake")))?;
            }
            Ok(Err(e)) => failure = e.to_string(),
            Err(_) => failure = "it does not answer".into(),
        }
    }
    Err(away(format!("{host}:{port} cannot be reached: {failure}")))
}

async fn shake_hands(
    inner: &Inner,
    socket: TcpStream,
    url: &Url,
    host: &str,
    target: &Target,
    peer: SocketAddr,
) -> Result<Connection> {
    let send = if url.scheme() == "https" {
        let config = trust::config(&inner.roots, target.fingerprint.as_ref())?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| away(format!("{host}: {e}")))?;
        let socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
        begin(socket.map_err(|e| away(format!("{host}: {}", trust::explain(&e))))?).await?
    } else {
        begin(socket).await?
    };
    Ok(Connection { send, peer, origin: origin(url) })
}

async fn begin(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<SendRequest<Full<Bytes>>> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD).allow_spaces_after_header_name_in_responses(true);
    // Firmware writes odd lines; one of them is no reason to see nothing.
    builder.ignore_invalid_headers_in_responses(true).allow_obsolete_multiline_headers_in_responses(true);
    let (send, connection) = builder.handshake(TokioIo::new(io)).await.map_err(|e| away(e.to_string()))?;
    tokio::spawn(async move {
        // Its errors reach whoever waits for the response or its body.
        let _ = connection.await;
    });
    Ok(send)
}
