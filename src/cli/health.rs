//! `mtx-sidecar health`: asks a running sidecar whether it is ready. It reads the settings as `serve` does, to find the address.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use super::{Authorities, Outcome, load};
use crate::{hosts, settings::HttpSettings};

/// Timeout of the request. The shipped health checks of containers wait 5 s.
const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address of its HTTP server, without base path; by default http.listen and http.base_path of the settings.
    address: Option<SocketAddr>,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> Outcome {
    let url = match args.address {
        Some(address) => format!("http://{address}/readyz"),
        None => format!("{}/readyz", base(&load(config)?.settings.http)?),
    };
    let hosts = Authorities { ca_file: None }.hosts()?;
    hosts.run(TIMEOUT, async |client| {
        let answer = client.get(&url).send().await;
        let mut response = answer.map_err(|e| format!("{url}: {}", hosts::explain(&e)))?;
        let body = response.body().await.unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        match response.status() {
            status if status.is_success() => {
                print!("{text}");
                Ok(())
            }
            status => Err(format!("{url} answers {status}: {text}")),
        }
    })
}

/// The base URL of the server for a client on this machine. Plain HTTP: `http.tls` adds a listener and does not replace the
/// one of `http.listen`.
pub(super) fn base(http: &HttpSettings) -> Result<String, String> {
    let port = http.listen.port();
    if port == 0 {
        return Err("http.listen has port 0, which stands for any free port; give the address to this command".into());
    }
    let ip = match http.listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(format!("http://{}{}", SocketAddr::new(ip, port), http.base_path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_settings_as_this_machine_reaches_it() {
        for (listen, base_path, expected) in [
            ("0.0.0.0:9995", "", "http://127.0.0.1:9995"),
            ("[::]:81", "/cameras", "http://[::1]:81/cameras"),
            ("192.168.1.5:80", "", "http://192.168.1.5:80"),
        ] {
            let listen = listen.parse().expect("an address");
            let http = HttpSettings { listen, base_path: base_path.into(), ..HttpSettings::default() };
            assert_eq!(base(&http).as_deref(), Ok(expected));
        }
        let any = HttpSettings { listen: ([127, 0, 0, 1], 0).into(), ..HttpSettings::default() };
        assert!(base(&any).is_err());
    }
}
