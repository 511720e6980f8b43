//! HTTP to hosts that definitions and devices name: cameras, NAS, discovered devices.
//!
//! A host name is resolved, its address is checked, and the connection goes to exactly that address. A redirect to another host is
//! followed only into `fetch.redirect_networks`. A redirect to another scheme, host or port is followed without credentials. Heads, bodies and times are bounded. A password is
//! sent only in answer to a challenge (Digest before Basic), and never as a part of a URL.
//!
//! Responses are read by a reader of our own (`head`, `http1`), because libraries refuse a whole response for a header that
//! nothing needs, and the HTTP of cameras has many of these.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod challenge;
mod connect;
mod head;
mod http1;
mod response;
mod upgrade;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, Method, StatusCode,
    header::{AUTHORIZATION, HOST, HeaderValue, LOCATION, USER_AGENT},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, timeout};
use tokio_rustls::rustls::RootCertStore;
use url::Url;

use self::{
    challenge::Scheme,
    connect::{connect, origin},
    head::Head,
    http1::{Body, Connection},
};
pub use self::{connect::Tls, http1::Io as Socket, response::Response, upgrade::Upgraded};
use crate::{
    error::{Cause, Code, Error, Result},
    secret::Secret,
    trust::{self, Fingerprint},
    units::{HumanDuration, Network, any_contains, private_networks},
};

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// Settings of connections to cameras, NAS and other devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchSettings {
    /// Networks of the hosts that streams and media folders can name.
    pub networks: Vec<Network>,
    /// Networks into which a redirect to another host is followed.
    pub redirect_networks: Vec<Network>,
    /// Timeout of the address look-up, of the connection and of the TLS handshake, each.
    pub connect_timeout: HumanDuration,
    /// PEM file of certificate authorities that are trusted besides the well-known ones; empty: none. `hosts` uses it, too.
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

/// Makes requests to other hosts. Cheap to clone.
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

/// A URL, the credentials for it, and the certificate to expect.
#[derive(Clone, Debug)]
pub struct Target {
    /// `http` or `https`, without user and password.
    pub url: Url,
    username: String,
    password: Secret,
    fingerprint: Option<Fingerprint>,
}

impl Target {
    /// Reads a URL. A user and password in the URL are used if `username` is empty, and are removed from the URL in any case.
    /// `fingerprint` is empty for a certificate that an authority has signed. The error names `url`, `user` or `fingerprint`.
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
        // Both work for each URL with a host.
        let _ = (parsed.set_username(""), parsed.set_password(None));
        parsed.set_fragment(None);
        let fingerprint = (!fingerprint.is_empty()).then(|| Fingerprint::parse(fingerprint)).transpose()?;
        if fingerprint.is_some() && parsed.scheme() == "http" {
            return Err(Error::parameter("fingerprint", "needs an https URL"));
        }
        Ok(Target { url: parsed, username: user, password: pass, fingerprint })
    }

    /// The same credentials and certificate for another URL of the same host.
    pub fn at(&self, url: Url) -> Self {
        Target { url, ..self.clone() }
    }

    /// Whether there is a user name to send.
    pub fn has_login(&self) -> bool {
        !self.username.is_empty()
    }

    /// Whether the password goes over the network unencrypted.
    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http" && !self.username.is_empty()
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`…
    pub method: Method,
    /// Headers besides `Host`, `User-Agent` and `Authorization`.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Timeout up to the head of the response.
    pub timeout: Duration,
}

impl Request {
    /// A `GET` with a timeout up to the head of the response.
    pub fn get(timeout: Duration) -> Self {
        Request { method: Method::GET, headers: HeaderMap::new(), body: Bytes::new(), timeout }
    }

    /// A `POST` of a body with its media type.
    pub fn post(content_type: &'static str, body: impl Into<Bytes>, timeout: Duration) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Request { method: Method::POST, headers, body: body.into(), timeout }
    }
}

/// The connection of a session while no response is read from it.
type Home = Arc<Mutex<Option<Connection>>>;

fn upstream(url: &Url, failure: impl std::fmt::Display) -> Error {
    Error::new(Code::Upstream, format!("{} {failure}", url.host_str().unwrap_or_default()))
}

impl Fetch {
    /// Reads `fetch.ca_file`, if it is set.
    pub fn new(settings: &FetchSettings) -> Result<Self> {
        let roots = trust::roots(&settings.ca_file)?;
        Ok(Fetch(Arc::new(Inner { settings: settings.clone(), roots })))
    }

    /// Makes requests to one host, one after the other, over one connection while it lasts.
    pub fn session(&self, target: Target) -> Session {
        Session { fetch: self.clone(), target, connection: Home::default(), login: None }
    }

    /// Opens a connection for another protocol than HTTP, under the same rules: to a host in `fetch.networks`, and with TLS
    /// if `tls` is set.
    pub async fn open(&self, host: &str, port: u16, tls: Option<&Tls>) -> Result<Box<dyn Socket>> {
        connect::open(&self.0, host, port, tls).await.map(|(socket, _)| socket)
    }

    /// Makes one request.
    pub async fn send(&self, target: &Target, request: Request) -> Result<Response> {
        self.session(target.clone()).send(request).await
    }
}

/// Requests to one host, one after the other.
#[derive(Debug)]
pub struct Session {
    fetch: Fetch,
    target: Target,
    connection: Home,
    /// The last challenge of the host, so that the next request answers it at once.
    login: Option<Scheme>,
}

impl Session {
    /// The host.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Makes a request to the URL of the target.
    pub async fn send(&mut self, request: Request) -> Result<Response> {
        let url = self.target.url.clone();
        self.send_to(url, request).await
    }

    /// Makes a request to a URL of the same host. Follows redirects of a `GET`.
    pub async fn send_to(&mut self, url: Url, request: Request) -> Result<Response> {
        let own = origin(&url);
        let mut at = url;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.exchange(&at, &request, origin(&at) == own).await?;
            let moved = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
            match response.header(LOCATION.as_str()).filter(|_| moved && request.method == Method::GET) {
                None => return Ok(response),
                Some(location) => {
                    let wrong = |e| {
                        upstream(&at, format_args!("redirects to something that is not a URL: {e}"))
                            .because(Cause::Moved)
                    };
                    let next = at.join(location).map_err(wrong)?;
                    self.check_redirect(&at, &next)?;
                    self.connection = Home::default();
                    at = next;
                }
            }
        }
        Err(upstream(&at, format_args!("redirects more than {MAX_REDIRECTS} times")).because(Cause::Moved))
    }

    fn check_redirect(&self, from: &Url, to: &Url) -> Result<()> {
        let refuse = |why: &str| {
            let host = to.host_str().unwrap_or_default();
            Err(upstream(from, format_args!("redirects to {host}, {why}")).because(Cause::Moved))
        };
        if !matches!(to.scheme(), "http" | "https") || (from.scheme() == "https" && to.scheme() == "http") {
            return refuse("which is not http or https, or is http after https");
        }
        if to.host() == from.host() {
            return Ok(());
        }
        let permitted = match to.host() {
            Some(url::Host::Ipv4(ip)) => any_contains(&self.fetch.0.settings.redirect_networks, ip.into()),
            Some(url::Host::Ipv6(ip)) => any_contains(&self.fetch.0.settings.redirect_networks, ip.into()),
            // The address of a name is known only after the look-up, in `connect`, which checks `fetch.networks`.
            _ => false,
        };
        if permitted { Ok(()) } else { refuse("which is not in fetch.redirect_networks") }
    }

    /// One request and its response; a second request answers the host's challenge.
    /// `is_own` is false after a redirect to another scheme, host or port: another program can listen there, which must not
    /// get the password.
    async fn exchange(&mut self, url: &Url, request: &Request, is_own: bool) -> Result<Response> {
        let is_own_host = url.host() == self.target.url.host();
        let may_log_in = is_own && is_own_host && !self.target.username.is_empty();
        let response = self.once(url, request, may_log_in).await?;
        if response.status != StatusCode::UNAUTHORIZED || !may_log_in {
            return Ok(response);
        }
        // Answered once: a second challenge to the answer means that the password is wrong.
        if !self.read_challenge(&response.headers) {
            return Ok(response);
        }
        drop(response);
        self.connection = Home::default();
        self.once(url, request, true).await
    }

    /// Stores the host's challenge for the next request. False if it has none that can be answered.
    fn read_challenge(&mut self, headers: &HeaderMap) -> bool {
        let Ok(login) = Scheme::of(headers) else { return false };
        self.login = Some(login);
        true
    }

    async fn once(&mut self, url: &Url, request: &Request, may_log_in: bool) -> Result<Response> {
        // Only GET: when a kept connection breaks, it is unknown whether the host has already acted on the request.
        let may_repeat = request.method == Method::GET;
        // A response that is still being read keeps its connection to itself.
        let kept = std::mem::take(&mut self.connection).lock().take();
        if let Some(mut connection) = kept.filter(|kept| may_repeat && kept.origin == origin(url))
            && connection.is_idle().await
        {
            let peer_closed = match self.over(connection, url, request, may_log_in).await {
                Ok(response) => return Ok(response),
                Err(e) => e,
            };
            // The host can have closed the kept connection at this moment. Any other failure repeats on a new one.
            tracing::trace!("a kept connection fails: {peer_closed}");
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
        let head = self.ask(&mut connection, url, request, may_log_in).await?;
        let unusable = |e| upstream(url, format_args!("cannot be read: {e}")).because(Cause::NotUnderstood);
        let peer = connection.peer;
        let body = Body::new(connection, &head).map_err(unusable)?;
        let home = self.connection.clone();
        let mut response = Response {
            status: head.status,
            headers: head.headers,
            peer,
            url: url.clone(),
            body,
            peeked: BytesMut::new(),
            home,
        };
        if response.body.is_empty() {
            // Gives the connection back.
            response.chunk(request.timeout).await?;
        }
        Ok(response)
    }

    /// Sends a request over a connection, and reads the head of the answer.
    async fn ask(
        &mut self,
        connection: &mut Connection,
        url: &Url,
        request: &Request,
        may_log_in: bool,
    ) -> Result<Head> {
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let bad = |e: &dyn std::fmt::Display| upstream(url, format_args!("cannot be sent this request: {e}"));
        let mut headers = HeaderMap::new();
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        headers.insert(HOST, host.parse().map_err(|e| bad(&e))?);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("mtx-sidecar/", env!("CARGO_PKG_VERSION"))));
        headers.extend(request.headers.clone());
        if let Some(login) = self.login.as_mut().filter(|_| may_log_in) {
            let account = (&*self.target.username, &self.target.password);
            let answer = login.answer(account, request.method.as_str(), &path, &request.body);
            let mut answer: HeaderValue = answer.map_err(|e| bad(&e))?.parse().map_err(|e| bad(&e))?;
            answer.set_sensitive(true);
            headers.insert(AUTHORIZATION, answer);
        }
        let answer = connection.exchange(&request.method, &path, &headers, &request.body);
        let answer = timeout(request.timeout, answer).await;
        let answer = answer.map_err(|_| {
            upstream(url, format_args!("does not answer within {:?}", request.timeout)).because(Cause::Silent)
        })?;
        answer.map_err(|e| upstream(url, format_args!("cannot be read: {e}")).because(Cause::NotUnderstood))
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) use self::head::properties;

#[cfg(test)]
mod tests;
