//! HTTP to a device: only to the address that has answered, and to the addresses of `consent`.

use std::{net::IpAddr, time::SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http_auth::{DigestClient, PasswordParams};
use tokio::time::Duration;
use url::Url;

use super::{
    probe::{host_text, ip_of},
    soap::{Login, Operation},
    xml,
};
use crate::{
    fetch::{Fetch, Request, Response, Target, challenge::Scheme},
    secret::Secret,
    units::{Network, any_contains},
};

/// Timeout of the head of an answer, and of its body. Small devices need a second to verify a digest.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The HTTP side of a device.
#[derive(Clone, Debug)]
pub(super) struct Peer<'a> {
    /// Makes connections; follows no redirect to another host.
    pub fetch: &'a Fetch,
    /// The networks in which devices are asked.
    pub networks: &'a [Network],
    /// The address of the device.
    pub at: IpAddr,
    /// Other addresses at which its services can be asked.
    pub consent: &'a [IpAddr],
    /// The SHA-256 of its self-signed certificate; empty for a certificate of a known authority.
    pub fingerprint: &'a str,
}

/// An answer of a device.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    pub body: Bytes,
    /// The challenge of HTTP Digest, if the device sends one.
    pub challenge: Option<DigestClient>,
    /// The time on the device's clock, if its web server tells it.
    pub date: Option<SystemTime>,
}

impl Peer<'_> {
    /// Calls an operation of a service. `security` becomes a part of the envelope, `digest` a header of the request.
    pub(super) async fn post(
        &self,
        url: &Url,
        operation: &Operation,
        security: Option<&str>,
        digest: Option<(&mut DigestClient, &Login)>,
    ) -> Result<Reply, String> {
        let target = self.target(url)?;
        let body = operation.envelope(security);
        let mut request = Request::post("application/soap+xml", body, TIMEOUT);
        let kind = format!("application/soap+xml; charset=utf-8; action=\"{}\"", operation.action());
        request
            .headers
            .insert(CONTENT_TYPE, kind.parse().map_err(|_| "its action does not fit into a header".to_owned())?);
        if let Some((client, login)) = digest {
            let path = &target.url[url::Position::BeforePath..];
            let answer = client.respond(&PasswordParams {
                username: &login.username,
                password: login.password.expose(),
                uri: path,
                method: "POST",
                body: Some(&request.body),
            })?;
            let mut answer: HeaderValue =
                answer.parse().map_err(|_| "the user name does not fit into a header".to_owned())?;
            answer.set_sensitive(true);
            request.headers.insert(AUTHORIZATION, answer);
        }
        let response = self.fetch.send(&target, request).await.map_err(|e| e.to_string())?;
        if let Some(address) = response.leads_to() {
            return Err(format!("it leads to {address}; ask there"));
        }
        let (status, challenge) = (response.status.as_u16(), digest_challenge(&response));
        let date = response.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
        let body = response.bytes(xml::MAX_BYTES, TIMEOUT).await.map_err(|e| e.to_string())?;
        Ok(Reply { status, body, challenge, date })
    }

    /// Gets a document.
    pub(super) async fn get(&self, url: &Url) -> Result<Bytes, String> {
        let target = self.target(url)?;
        let response = self.fetch.send(&target, Request::get(TIMEOUT)).await.map_err(|e| e.to_string())?;
        if !response.status.is_success() {
            return Err(format!("HTTP status {}", response.status.as_u16()));
        }
        response.bytes(xml::MAX_BYTES, TIMEOUT).await.map_err(|e| e.to_string())
    }

    /// Checks the address of a URL. All requests pass here.
    fn target(&self, url: &Url) -> Result<Target, String> {
        let ip = ip_of(url).ok_or_else(|| format!("{} is not an IP address", url.host_str().unwrap_or_default()))?;
        if ip != self.at && !self.consent.contains(&ip) {
            return Err(format!(
                "{} is not the address that answered, and is not asked without consent",
                host_text(ip)
            ));
        }
        if !any_contains(self.networks, ip) {
            return Err(format!("{} is not in discovery.networks", host_text(ip)));
        }
        let fingerprint = if url.scheme() == "https" { self.fingerprint } else { "" };
        Target::new(url.as_str(), "", &Secret::default(), fingerprint).map_err(|e| e.to_string())
    }
}

/// The challenge of HTTP Digest. Basic is never answered: it would show the password to any host that pretends to be a camera, and ONVIF
/// does not have it (Core, 5.9.1).
fn digest_challenge(response: &Response) -> Option<DigestClient> {
    match Scheme::of(&response.headers) {
        Ok(Scheme::Digest(digest)) => Some(*digest),
        _ => None,
    }
}
