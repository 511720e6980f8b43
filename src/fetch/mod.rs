//! HTTP to other hosts: cameras, NAS, devices that were found.
//!
//! An address is resolved, looked at, and that very address is connected to. A redirect leads to another host only as far as
//! `fetch.redirect_networks` permit, and takes no credentials along. Heads, bodies and times are bounded; passwords answer a
//! challenge (Digest before Basic) and are never part of an address.

mod connect;
mod trust;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use http_auth::{PasswordClient, PasswordParams};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, HOST, HeaderValue, LOCATION, USER_AGENT, WWW_AUTHENTICATE},
};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, timeout};
use tokio_rustls::rustls::RootCertStore;
use url::Url;

use self::connect::{Connection, connect, origin};
pub use self::trust::Fingerprint;
use crate::{
    error::{Code, Error, Result},
    secret::Secret,
    units::{HumanDuration, Network, any_contains, private_networks},
};

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// How we reach other hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchSettings {
    /// Where the hosts may be that streams and media folders name.
    pub networks: Vec<Network>,
    /// Where a redirect may lead besides the host that it comes from.
    pub redirect_networks: Vec<Network>,
    /// How long finding an address, connecting and the TLS handshake may take, each.
    pub connect_timeout: HumanDuration,
    /// A PEM file of authorities that are believed besides the well-known ones; empty for none.
    pub ca_file: PathBuf,
}

impl Default for FetchSettings {
    fn default() -> Self {
        FetchSettings {
            networks: private_networks(),
            redirect_networks: vec![],
            connect_timeout: HumanDuration::secs(5),
            ca_file: PathBuf::new(),
        }
    }
}

/// Reaches other hosts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fetch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: FetchSettings,
    roots: Arc<RootCertStore>,
}

impl Inner {
    fn permits(&self, ip: IpAddr) -> bool {
        any_contains(&self.settings.networks, ip.to_canonical())
    }
}

/// Where to go, as whom, and whose certificate is believed.
#[derive(Clone, Debug)]
pub struct Target {
    /// `http` or `https`, without user and password.
    pub url: Url,
    username: String,
    password: Secret,
    fingerprint: Option<Fingerprint>,
}

impl Target {
    /// Reads an address; a user and password in it are taken out of it, unless others are given. The error names `url`,
    /// `user` or `fingerprint`.
    pub fn new(url: &str, username: &str, password: &Secret, fingerprint: &str) -> Result<Self> {
        let mut parsed = Url::parse(url).map_err(|e| Error::parameter("url", e))?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none_or(str::is_empty) {
            return Err(Error::parameter("url", "must begin with http:// or https:// and a host"));
        }
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (mut user, mut pass) = (username.to_owned(), password.clone());
        if user.is_empty() && !parsed.username().is_empty() {
            user = decoded(parsed.username());
            pass = Secret::new(decoded(parsed.password().unwrap_or_default()));
        }
        if user.contains(':') {
            return Err(Error::parameter("user", "must not contain a colon (RFC 7617, section 2)"));
        }
        // Neither fails for an address with a host.
        let _ = (parsed.set_username(""), parsed.set_password(None));
        parsed.set_fragment(None);
        let fingerprint = (!fingerprint.is_empty()).then(|| Fingerprint::parse(fingerprint)).transpose()?;
        if fingerprint.is_some() && parsed.scheme() == "http" {
            return Err(Error::parameter("fingerprint", "is of no use without https"));
        }
        Ok(Target { url: parsed, username: user, password: pass, fingerprint })
    }

    /// The same host, user and trust with another path and query.
    pub fn at(&self, url: Url) -> Self {
        Target { url, ..self.clone() }
    }

    /// Whether the password would be sent so that everybody on the way can read it.
    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http" && !self.username.is_empty()
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`…
    pub method: Method,
    /// Further headers.
    pub headers: HeaderMap,
    /// The body, sent whole.
    pub body: Bytes,
    /// How long the head of the response may take.
    pub timeout: Duration,
}

impl Request {
    /// A `GET` whose head has to come within so long.
    pub fn get(timeout: Duration) -> Self {
        Request { method: Method::GET, headers: HeaderMap::new(), body: Bytes::new(), timeout }
    }

    /// A `POST` of a body of that type.
    pub fn post(content_type: &'static str, body: impl Into<Bytes>, timeout: Duration) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(hyper::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Request { method: Method::POST, headers, body: body.into(), timeout }
    }
}

/// What came back: the head, and a body that is still to be read.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// Who answered.
    pub peer: SocketAddr,
    /// Where it was found in the end, after redirects.
    pub url: Url,
    body: Incoming,
}

impl Response {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The next portion of the body, none at its end; fails when none comes for so long. Cancel-safe.
    pub async fn chunk(&mut self, patience: Duration) -> Result<Option<Bytes>> {
        loop {
            let next = timeout(patience, self.body.frame()).await;
            let next = next.map_err(|_| upstream(&self.url, format_args!("is silent for {patience:?}")))?;
            match next {
                None => return Ok(None),
                Some(Err(e)) => return Err(upstream(&self.url, format_args!("broke off: {e}"))),
                // Trailers are of no use to us.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(_) => continue,
                },
            }
        }
    }

    /// The whole body, of at most so many bytes, within so long.
    pub async fn bytes(mut self, most: usize, patience: Duration) -> Result<Bytes> {
        let whole = async {
            let mut data = BytesMut::new();
            while let Some(chunk) = self.chunk(patience).await? {
                if data.len() + chunk.len() > most {
                    return Err(upstream(&self.url, format_args!("sends more than {most} bytes")));
                }
                data.extend_from_slice(&chunk);
            }
            Ok(data.freeze())
        };
        match timeout(patience, whole).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(Code::Upstream, format!("the answer is not complete within {patience:?}"))),
        }
    }
}

fn upstream(url: &Url, what: impl std::fmt::Display) -> Error {
    Error::new(Code::Upstream, format!("{} {what}", url.host_str().unwrap_or_default()))
}

impl Fetch {
    /// Reads the file of authorities, if there is one.
    pub fn new(settings: &FetchSettings) -> Result<Self> {
        let roots = trust::roots(&settings.ca_file)?;
        Ok(Fetch(Arc::new(Inner { settings: settings.clone(), roots })))
    }

    /// For one request after the other to the same host, over one connection while that lasts.
    pub fn session(&self, target: Target) -> Session {
        Session { fetch: self.clone(), target, connection: None, login: None }
    }

    /// One request.
    pub async fn send(&self, target: &Target, request: Request) -> Result<Response> {
        self.session(target.clone()).send(request).await
    }
}

/// One request after the other to one host.
#[derive(Debug)]
pub struct Session {
    fetch: Fetch,
    target: Target,
    connection: Option<Connection>,
    /// How the host asked for the password, so that it does not have to ask again.
    login: Option<PasswordClient>,
}

impl Session {
    /// The host.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The target's own address.
    pub async fn send(&mut self, request: Request) -> Result<Response> {
        let url = self.target.url.clone();
        self.send_to(url, request).await
    }

    /// An address of the same host. Redirects of a `GET` are followed.
    pub async fn send_to(&mut self, url: Url, request: Request) -> Result<Response> {
        let mut at = url;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.exchange(&at, &request).await?;
            let moved = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
            match response.header(LOCATION.as_str()).filter(|_| moved && request.method == Method::GET) {
                None => return Ok(response),
                Some(place) => {
                    let next = at.join(place).map_err(|e| upstream(&at, format_args!("redirects to nowhere: {e}")))?;
                    self.check_redirect(&at, &next)?;
                    self.connection = None;
                    at = next;
                }
            }
        }
        Err(upstream(&at, format_args!("redirects more than {MAX_REDIRECTS} times")))
    }

    fn check_redirect(&self, from: &Url, to: &Url) -> Result<()> {
        let refuse = |why: &str| {
            let whither = to.host_str().unwrap_or_default();
            Err(upstream(from, format_args!("redirects to {whither}, {why}")))
        };
        if !matches!(to.scheme(), "http" | "https") || (from.scheme() == "https" && to.scheme() == "http") {
            return refuse("which is not http or https, or less safe than before");
        }
        if to.host() == from.host() {
            return Ok(());
        }
        let permitted = match to.host() {
            Some(url::Host::Ipv4(ip)) => any_contains(&self.fetch.0.settings.redirect_networks, ip.into()),
            Some(url::Host::Ipv6(ip)) => any_contains(&self.fetch.0.settings.redirect_networks, ip.into()),
            // What a name means is seen only when it is connected to, and then it is too late to tell it apart.
            _ => false,
        };
        if permitted { Ok(()) } else { refuse("which is not in fetch.redirect_networks") }
    }

    /// Request and response, with the password if the host asks for it.
    async fn exchange(&mut self, url: &Url, request: &Request) -> Result<Response> {
        let is_own_host = url.host() == self.target.url.host();
        let may_log_in = is_own_host && !self.target.username.is_empty();
        let response = self.once(url, request, may_log_in).await?;
        if response.status != StatusCode::UNAUTHORIZED || !may_log_in {
            return Ok(response);
        }
        let challenges = response.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let builder = challenges.fold(PasswordClient::builder(), |builder, challenge| builder.challenges(challenge));
        match builder.build() {
            // The same answer to the same question would be refused again, except that its nonce is old.
            Ok(login) => self.login = Some(login),
            Err(_) => return Ok(response),
        }
        drop(response);
        self.connection = None;
        self.once(url, request, true).await
    }

    async fn once(&mut self, url: &Url, request: &Request, may_log_in: bool) -> Result<Response> {
        // Not for what must not happen twice: whether it did is unknown when a kept connection breaks.
        let may_repeat = request.method == Method::GET;
        let fits = |kept: &Connection| may_repeat && kept.origin == origin(url) && !kept.send.is_closed();
        let reused = self.connection.take().filter(fits);
        if let Some(connection) = reused {
            let peer_closed = match self.over(connection, url, request, may_log_in).await {
                Ok(response) => return Ok(response),
                Err(e) => e,
            };
            // A kept connection may have been closed just then; whatever is wrong will be wrong again.
            tracing::trace!("a kept connection is of no use: {peer_closed}");
        }
        let connection = connect(&self.fetch.0, url, &self.target).await?;
        self.over(connection, url, request, may_log_in).await
    }

    async fn over(
        &mut self,
        mut connection: Connection,
        url: &Url,
        request: &Request,
        may_log_in: bool,
    ) -> Result<Response> {
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let bad = |e: &dyn std::fmt::Display| upstream(url, format_args!("cannot be asked that: {e}"));
        let mut message = hyper::Request::new(Full::new(request.body.clone()));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = path.parse().map_err(|e| bad(&e))?;
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let headers = message.headers_mut();
        headers.insert(HOST, host.parse().map_err(|e| bad(&e))?);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("mtx-sidecar/", env!("CARGO_PKG_VERSION"))));
        headers.extend(request.headers.clone());
        if let Some(login) = self.login.as_mut().filter(|_| may_log_in) {
            let said = login.respond(&PasswordParams {
                username: &self.target.username,
                password: self.target.password.expose(),
                uri: &path,
                method: request.method.as_str(),
                body: Some(&request.body),
            });
            let mut said: HeaderValue = said.map_err(|e| bad(&e))?.parse().map_err(|e| bad(&e))?;
            said.set_sensitive(true);
            headers.insert(AUTHORIZATION, said);
        }
        let ready = async {
            connection.send.ready().await?;
            connection.send.send_request(message).await
        };
        let response = timeout(request.timeout, ready).await;
        let response = response.map_err(|_| upstream(url, format_args!("gives no answer in {:?}", request.timeout)))?;
        let response = response.map_err(|e| upstream(url, format_args!("gives no answer: {}", chain(&e))))?;
        let peer = connection.peer;
        self.connection = Some(connection);
        let (head, body) = response.into_parts();
        Ok(Response { status: head.status, headers: head.headers, peer, url: url.clone(), body })
    }
}

/// An error of hyper with what is below it, which is where it says what happened.
fn chain(e: &hyper::Error) -> String {
    match std::error::Error::source(e) {
        Some(cause) => format!("{e}: {cause}"),
        None => e.to_string(),
    }
}

#[cfg(test)]
mod tests;
