//! Where the ONVIF device service of a device is: at its usual path, and at one of the usual ports.

use std::net::{IpAddr, SocketAddr};

use futures_util::future::join_all;
use tokio::time::{Duration, timeout};
use url::Url;

use super::{Inner, http::Peer, onvif::Conversation, probe::host_text};

/// Timeout of the search for the ONVIF port of a named device.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(3);

/// Ports of ONVIF: the standard one, and those of Reolink, of inexpensive NVRs, of Tapo, and of the brands of XM.
const PORTS: [u16; 5] = [80, 8000, 8080, 2020, 8899];

/// The path of the device service on nearly all devices (ONVIF Core, 5.10).
const SERVICE: &str = "/onvif/device_service";

/// The device service at its usual path.
#[expect(clippy::expect_used, reason = "an address, a port and a literal path make a URL")]
pub(super) fn service_at(ip: IpAddr, port: u16) -> Url {
    let text = format!("http://{}:{port}{SERVICE}", host_text(ip));
    Url::parse(&text).expect("an address, a port and a path make a URL")
}

/// The device service of a named device: at its port, or at one of the usual ports if that is 0. The error says why there is none.
pub(super) async fn find_service(inner: &Inner, at: SocketAddr, consent: &[IpAddr]) -> Result<Url, String> {
    let ports = if at.port() == 0 { &PORTS[..] } else { &[at.port()] };
    let peer: &Peer<'_> = &inner.peer(at.ip(), consent);
    let tries = ports.iter().map(|port| async move {
        let service = service_at(at.ip(), *port);
        match timeout(SERVICE_TIMEOUT, Conversation::new(peer, None).begin(&service)).await {
            Ok(Ok(_)) => Ok(service),
            Ok(Err(why)) => Err(why),
            Err(_) => Err(format!("{} does not answer", host_text(at.ip()))),
        }
    });
    let mut why = String::new();
    for outcome in join_all(tries).await {
        match outcome {
            Ok(service) => return Ok(service),
            Err(last) if why.is_empty() => why = last,
            Err(_) => {}
        }
    }
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    Err(format!("no ONVIF device answers at port {} ({why})", ports.join(", ")))
}
