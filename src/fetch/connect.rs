//! A connection to a host whose address was checked first.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use url::Url;

use super::{
    Inner, Target,
    http1::{Connection, Io},
};
use crate::{
    error::{Cause, Code, Error, Result},
    trust::{self, Check, Fingerprint, Identity},
};

/// Most addresses of one host name to which a connection is tried.
const MAX_ADDRESSES: usize = 4;

/// Scheme, host and port of a URL.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn failure(cause: Cause, message: impl Into<String>) -> Error {
    Error::new(Code::Upstream, message).because(cause)
}

/// TLS of a connection: the certificate to expect, and the one to show.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The certificate to expect; none for one that an authority has signed.
    pub fingerprint: Option<Fingerprint>,
    /// The certificate that this program shows, if the host asks for one.
    pub identity: Option<Identity>,
}

pub(super) async fn connect(inner: &Inner, url: &Url, target: &Target) -> Result<Connection> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let tls = (url.scheme() == "https").then_some(Tls { fingerprint: target.fingerprint, identity: None });
    let (socket, peer) = open(inner, host, port, tls.as_ref()).await?;
    Ok(Connection::new(socket, peer, origin(url)))
}

/// Connects to a host in `fetch.networks`, with TLS if `tls` is set.
pub(super) async fn open(inner: &Inner, host: &str, port: u16, tls: Option<&Tls>) -> Result<(Box<dyn Io>, SocketAddr)> {
    let limit = *inner.settings.connect_timeout;
    let found = timeout(limit, lookup_host((host, port))).await;
    let found = found.map_err(|_| failure(Cause::UnknownHost, format!("{host}: its address is not found in time")))?;
    let unknown = |e| failure(Cause::UnknownHost, format!("{host}: its address is not found ({e})"));
    let found: Vec<_> = found.map_err(unknown)?.collect();
    // The connection goes to exactly the checked address: a second look-up of the name could give another one.
    let permitted: Vec<_> = found.iter().copied().filter(|at| inner.permits(at.ip())).collect();
    if permitted.is_empty() {
        let Some(first) = found.first() else {
            return Err(failure(Cause::UnknownHost, format!("{host} has no address")));
        };
        let message = format!("{host} has the address {}, which is not in fetch.networks", first.ip());
        return Err(failure(Cause::NotPermitted, message));
    }
    let (mut reason, mut cause) = (String::new(), Cause::Unreachable);
    for at in permitted.into_iter().take(MAX_ADDRESSES) {
        match timeout(limit, TcpStream::connect(at)).await {
            Ok(Ok(socket)) => {
                // Without the option the connection is slower, and works.
                let _ = socket.set_nodelay(true);
                let Some(tls) = tls else { return Ok((Box::new(socket), at)) };
                let done = timeout(limit, handshake(inner, socket, host, tls)).await;
                let unfinished = |_| failure(Cause::Silent, format!("{host}:{port} does not finish its handshake"));
                return Ok((done.map_err(unfinished)??, at));
            }
            Ok(Err(e)) => (reason, cause) = (e.to_string(), Cause::Unreachable),
            Err(_) => (reason, cause) = ("it does not answer".into(), Cause::Silent),
        }
    }
    Err(failure(cause, format!("{host}:{port} cannot be reached: {reason}")))
}

async fn handshake(inner: &Inner, socket: TcpStream, host: &str, tls: &Tls) -> Result<Box<dyn Io>> {
    let check = tls.fingerprint.map_or(Check::AuthorityOrFingerprint, Check::Fingerprint);
    let config = trust::client_config_as(&inner.roots, check, tls.identity.as_ref())?;
    let name =
        ServerName::try_from(host.to_owned()).map_err(|e| failure(Cause::UnknownHost, format!("{host}: {e}")))?;
    let socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    let explained = |e| trust::tls_failure(&e).unwrap_or_else(|| format!("the TLS handshake failed: {e}"));
    Ok(Box::new(socket.map_err(|e| failure(Cause::Untrusted, format!("{host}: {}", explained(e))))?))
}
