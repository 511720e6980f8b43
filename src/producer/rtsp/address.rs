//! Addresses of cameras: parses them, and checks that they are in the permitted networks.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::settings::refuse;
use crate::{
    error::{Cause, Code, Error, Result},
    units::{Network, any_contains},
};

/// The port of RTSP (RFC 2326, section 3.2), and of RTSP over TLS (IANA's registry).
const RTSP_PORT: u16 = 554;
const RTSPS_PORT: u16 = 322;

/// Parses a camera's URL, from which `split_login` has removed user and password. Errors do not contain the URL,
/// because some cameras have the password in its path.
pub(super) fn parse(text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|e| refuse("url", format!("is not an address: {e}")))?;
    if !is_rtsp(&url) || url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("url", "must be like rtsp://192.168.1.30/stream1"));
    }
    Ok(url)
}

fn is_rtsp(url: &Url) -> bool {
    matches!(url.scheme(), "rtsp" | "rtsps")
}

/// The camera's port.
pub(super) fn port(url: &Url) -> u16 {
    url.port().unwrap_or(if url.scheme() == "rtsps" { RTSPS_PORT } else { RTSP_PORT })
}

/// The address that a redirect leads to: on the same host, or in `networks` (`fetch.redirect_networks`). The error names the host.
pub(super) fn redirect(from: &Url, location: &str, networks: &[Network]) -> Result<Url, String> {
    let mut to = from.join(location.trim()).map_err(|e| format!("an address that cannot be read: {e}"))?;
    let host = to.host_str().unwrap_or_default().to_owned();
    if !is_rtsp(&to) || (from.scheme() == "rtsps" && to.scheme() == "rtsp") {
        return Err(format!("{host}, which is not rtsp, or is rtsp after rtsps"));
    }
    // The password of a redirect is not ours.
    let _ = (to.set_username(""), to.set_password(None));
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    if to.host() == from.host() || ip.is_ok_and(|ip| any_contains(networks, ip.to_canonical())) {
        return Ok(to);
    }
    Err(format!("{host}, which is not in fetch.redirect_networks"))
}

/// Replaces the host name by its address, so that the connection goes to the address that was checked. Uses the
/// first address that is in the permitted networks.
pub(super) async fn pin(mut url: Url, networks: &[Network]) -> Result<Url> {
    let unavailable = |cause: Cause, why: String| Error::new(Code::Unavailable, why).because(cause);
    let candidates: Vec<IpAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => vec![ip.into()],
        Some(Host::Ipv6(ip)) => vec![ip.into()],
        Some(Host::Domain(name)) => {
            // The `url` crate parses addresses as names in schemes that it does not know.
            match name.parse::<IpAddr>() {
                Ok(ip) => vec![ip],
                Err(_) => tokio::net::lookup_host((name, port(&url)))
                    .await
                    .map_err(|e| unavailable(Cause::UnknownHost, format!("the name {name} is not known")).caused_by(e))?
                    .map(|address: SocketAddr| address.ip())
                    .collect(),
            }
        }
        None => vec![],
    };
    let allowed = candidates.iter().find(|ip| any_contains(networks, ip.to_canonical()));
    let Some(ip) = allowed else {
        let what = candidates.first().map_or("it".into(), IpAddr::to_string);
        let message = format!("{what} is in none of the networks of fetch.networks");
        return Err(unavailable(Cause::NotPermitted, message));
    };
    url.set_ip_host(*ip).map_err(|()| unavailable(Cause::UnknownHost, "the address cannot be used".into()))?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::private_networks;

    #[test]
    fn an_invalid_camera_url_is_refused_without_repeating_it() {
        for text in ["", "camera", "http://h/secret", "rtsp://", "rtsp://h:99999/secret"] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.field(), Some("url"));
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert_eq!(port(&parse("rtsp://h/x").expect("an address")), 554);
        assert_eq!(port(&parse("rtsps://h/x").expect("an address")), 322);
    }

    #[test]
    fn a_redirect_leads_to_the_same_host_or_into_the_permitted_networks() {
        let networks = vec![Network("10.0.0.0/8".parse().expect("a network"))];
        for (location, expected) in [
            ("rtsp://192.168.1.30:8554/other", Ok("rtsp://192.168.1.30:8554/other")),
            ("/other?x", Ok("rtsp://192.168.1.30/other?x")),
            ("rtsps://u:p@10.1.2.3/s", Ok("rtsps://10.1.2.3/s")),
            ("rtsp://8.8.8.8/s", Err("8.8.8.8, which is not in fetch.redirect_networks")),
            ("rtsp://camera.lan/s", Err("camera.lan, which is not in fetch.redirect_networks")),
            ("http://192.168.1.30/s", Err("192.168.1.30, which is not rtsp, or is rtsp after rtsps")),
            ("rtsp://h:99999/", Err("an address that cannot be read: invalid port number")),
        ] {
            let from = parse("rtsp://192.168.1.30/live").expect("an address");
            let to = redirect(&from, location, &networks);
            assert_eq!(to.as_ref().map(Url::as_str).map_err(String::as_str), expected, "{location}");
        }
        let from = parse("rtsps://192.168.1.30/live").expect("an address");
        assert!(redirect(&from, "rtsp://192.168.1.30/live", &networks).is_err());
    }

    #[tokio::test]
    async fn only_addresses_in_permitted_networks_are_accepted() {
        let pinned = async |text: &str| pin(parse(text).expect("an address"), &private_networks()).await;
        assert_eq!(pinned("rtsp://192.168.1.30/s").await.expect("private").as_str(), "rtsp://192.168.1.30/s");
        assert_eq!(pinned("rtsp://[::1]:99/s").await.expect("ours").as_str(), "rtsp://[::1]:99/s");
        let local = pinned("rtsp://localhost:8554/s").await.expect("ours");
        assert!(["rtsp://127.0.0.1:8554/s", "rtsp://[::1]:8554/s"].contains(&local.as_str()), "{local}");
        for text in ["rtsp://8.8.8.8/s", "rtsp://[2001:db8::1]/s", "rtsp://[::ffff:8.8.8.8]/s"] {
            assert!(pinned(text).await.expect_err(text).to_string().contains("fetch.networks"), "{text}");
        }
    }
}
