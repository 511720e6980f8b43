//! Addresses of cameras: parses them, and checks that they are in the permitted networks.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::settings::refuse;
use crate::{
    error::{Code, Error, Result},
    units::{Network, any_contains},
};

/// The port of RTSP (RFC 2326, section 3.2).
const RTSP_PORT: u16 = 554;

/// Parses a camera's URL, from which `split_login` has removed user and password. Errors do not contain the URL,
/// because some cameras have the password in its path.
pub(super) fn parse(text: &str) -> Result<Url> {
    if text.starts_with("rtsps://") {
        return Err(refuse(
            "url",
            "rtsps is not supported here; let MediaMTX read the camera (source: rtsps://…) and set `path` to that path of MediaMTX",
        ));
    }
    let url = Url::parse(text).map_err(|e| refuse("url", format!("is not an address: {e}")))?;
    if url.scheme() != "rtsp" || url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("url", "must be like rtsp://192.168.1.30/stream1"));
    }
    Ok(url)
}

/// The camera's port.
pub(super) fn port(url: &Url) -> u16 {
    url.port().unwrap_or(RTSP_PORT)
}

/// Replaces the host name by its address, so that the connection goes to the address that was checked. Uses the
/// first address that is in the permitted networks.
pub(super) async fn pin(mut url: Url, networks: &[Network]) -> Result<Url> {
    let unavailable = |why: String| Error::new(Code::Unavailable, why);
    let candidates: Vec<IpAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => vec![ip.into()],
        Some(Host::Ipv6(ip)) => vec![ip.into()],
        Some(Host::Domain(name)) => {
            // The `url` crate parses addresses as names in schemes that it does not know.
            match name.parse::<IpAddr>() {
                Ok(ip) => vec![ip],
                Err(_) => tokio::net::lookup_host((name, port(&url)))
                    .await
                    .map_err(|e| unavailable(format!("the name {name} is not known")).caused_by(e))?
                    .map(|address: SocketAddr| address.ip())
                    .collect(),
            }
        }
        None => vec![],
    };
    let allowed = candidates.iter().find(|ip| any_contains(networks, ip.to_canonical()));
    let Some(ip) = allowed else {
        let what = candidates.first().map_or("it".into(), IpAddr::to_string);
        return Err(unavailable(format!("{what} is in none of the networks of fetch.networks")));
    };
    url.set_ip_host(*ip).map_err(|()| unavailable("the address cannot be used".into()))?;
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::private_networks;

    #[test]
    fn an_invalid_camera_url_is_refused_without_repeating_it() {
        for text in ["", "camera", "http://h/secret", "rtsps://h/secret", "rtsp://", "rtsp://h:99999/secret"] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.field(), Some("url"));
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert_eq!(port(&parse("rtsp://h/x").expect("an address")), 554);
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
