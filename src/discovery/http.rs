//! HTTP to a device: to the address that answered and those that the caller has consented to, and to nothing else.

use std::net::IpAddr;

use bytes::Bytes;
use http_auth::{ChallengeParser, DigestClient, PasswordParams};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use tokio::time::Duration;
use url::Url;

use super::{
    probe::{host_text, ip_of},
    soap::{Login, Operation},
    xml,
};
use crate::{
    fetch::{Fetch, Request, Response, Target},
    secret::Secret,
    units::{Network, any_contains},
};

/// How long a device may take for the head of one answer, and for the rest of it. Small ones need a second for a digest.
const PATIENCE: Duration = Duration::from_secs(5);

/// A device, as it may be reached.
#[derive(Clone, Debug)]
pub(super) struct Device<'a> {
    /// Makes connections; follows no redirect to another host.
    pub fetch: &'a Fetch,
    /// Where devices may be.
    pub networks: &'a [Network],
    /// Where this one is.
    pub at: IpAddr,
    /// Other addresses at which its services may be asked.
    pub consent: &'a [IpAddr],
    /// Its certificate's SHA-256, if it is its own; empty for none.
    pub fingerprint: &'a str,
}

/// What a device has said.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    pub body: Bytes,
    /// How it would have us say who we are, if it wants a digest.
    pub challenge: Option<DigestClient>,
}

impl Device<'_> {
    /// Asks a service. `security` goes into the envelope, `digest` into the header of the request.
    pub(super) async fn post(
        &self,
        url: &Url,
        operation: &Operation,
        security: Option<&str>,
        digest: Option<(&mut DigestClient, &Login)>,
    ) -> Result<Reply, String> {
        let target = self.target(url)?;
        let body = operation.envelope(security);
        let mut request = Request::post("application/soap+xml", body, PATIENCE);
        let kind = format!("application/soap+xml; charset=utf-8; action=\"{}\"", operation.action());
        request.headers.insert(CONTENT_TYPE, kind.parse().map_err(|_| "its action is no header".to_owned())?);
        if let Some((client, login)) = digest {
            let path = &target.url[url::Position::BeforePath..];
            let said = client.respond(&PasswordParams {
                username: &login.username,
                password: login.password.expose(),
                uri: path,
                method: "POST",
                body: Some(&request.body),
            })?;
            let mut said: HeaderValue =
                said.parse().map_err(|_| "the user name cannot stand in a header".to_owned())?;
            said.set_sensitive(true);
            request.headers.insert(AUTHORIZATION, said);
        }
        let response = self.fetch.send(&target, request).await.map_err(|e| e.to_string())?;
        let (status, challenge) = (response.status.as_u16(), challenge(&response));
        let body = response.bytes(xml::MAX_BYTES, PATIENCE).await.map_err(|e| e.to_string())?;
        Ok(Reply { status, body, challenge })
    }

    /// Gets a document.
    pub(super) async fn get(&self, url: &Url) -> Result<Bytes, String> {
        let target = self.target(url)?;
        let response = self.fetch.send(&target, Request::get(PATIENCE)).await.map_err(|e| e.to_string())?;
        if !response.status.is_success() {
            return Err(format!("HTTP status {}", response.status.as_u16()));
        }
        response.bytes(xml::MAX_BYTES, PATIENCE).await.map_err(|e| e.to_string())
    }

    /// The one place that decides what is connected to.
    fn target(&self, url: &Url) -> Result<Target, String> {
        let ip = ip_of(url).ok_or_else(|| format!("{} is no address", url.host_str().unwrap_or_default()))?;
        if ip != self.at && !self.consent.contains(&ip) {
            return Err(format!("{} is not what answered, and is not asked without consent", host_text(ip)));
        }
        if !any_contains(self.networks, ip) {
            return Err(format!("{} is not in discovery.networks", host_text(ip)));
        }
        let fingerprint = if url.scheme() == "https" { self.fingerprint } else { "" };
        Target::new(url.as_str(), "", &Secret::default(), fingerprint).map_err(|e| e.to_string())
    }
}

/// The digest that is asked for. Basic, which would show the password to whoever pretends to be a camera, is not ONVIF's
/// (Core, 5.9.1) and never answered.
fn challenge(response: &Response) -> Option<DigestClient> {
    let values = response.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(ChallengeParser::new).filter_map(Result::ok).find_map(|challenge| (&challenge).try_into().ok())
}
