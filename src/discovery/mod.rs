//! Cameras on the network: a search for them, and their ONVIF profiles.
//!
//! ```text
//! interfaces ──▶ search ──▶ probe (WS-Discovery) | ssdp ──▶ run ──▶ report (devices)
//!                 (UDP)                                      │
//!                                                            └──▶ onvif ──▶ http (fetch), soap, device
//! ```
//!
//! No answer is trusted: `xml` refuses documents that no device needs, sizes, times and numbers are bounded, and `http` connects only to
//! the address that has answered and to addresses that the caller has named.

mod device;
mod http;
mod interfaces;
mod onvif;
mod probe;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod report;
mod run;
mod search;
mod service;
mod soap;
mod ssdp;
mod xml;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tokio::{
    net::lookup_host,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Duration, sleep, timeout},
};
use url::{Host, Url};

use self::{http::Peer, onvif::Conversation, probe::ip_of};
pub use self::{
    interfaces::NetworkInterface,
    report::{DiscoveredDevice, Event, FoundBy, Profile, SearchProblem, Summary},
    soap::Login,
};
use crate::{
    error::{Code, Error, Result},
    fetch::{Fetch, FetchSettings},
    trust::Fingerprint,
    units::{HumanDuration, Network, any_contains, private_networks},
};

/// Single devices that are asked at a time.
const MAX_INQUIRIES: usize = 4;

/// Most addresses and interfaces of one search.
pub const MAX_NAMED: usize = 64;

/// Events that wait for the receiver.
const QUEUE: usize = 32;

/// Longest time of a search, also if the receiver takes its events slowly.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(180);

/// Timeout of the look-up of a host name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of the search for cameras.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscoverySettings {
    /// The interfaces to search on, by name or address. Empty: all interfaces that are up and take multicast, without loopback.
    pub interfaces: Vec<String>,
    /// The networks in which devices are asked.
    pub networks: Vec<Network>,
    /// Time for which a search waits for answers.
    pub wait: HumanDuration,
}

impl Default for DiscoverySettings {
    fn default() -> Self {
        DiscoverySettings { interfaces: vec![], networks: private_networks(), wait: HumanDuration::secs(4) }
    }
}

impl DiscoverySettings {
    /// The errors of the settings: key and rule.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if !(Duration::from_millis(100)..=Duration::from_secs(30)).contains(&*self.wait) {
            found.push(("wait", "must be from 100ms to 30s".into()));
        }
        if self.interfaces.len() > MAX_NAMED {
            found.push(("interfaces", format!("must not have more than {MAX_NAMED} entries")));
        }
        found
    }
}

/// The targets of a search.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Interfaces, by name or address. Empty: those of the settings.
    pub interfaces: Vec<String>,
    /// Devices that are asked directly; port 0 stands for the usual ports. Without interfaces, only these devices are asked.
    pub addresses: Vec<SocketAddr>,
    /// Addresses that can be asked although another device has named them as its own.
    pub consent: Vec<IpAddr>,
    /// The credentials for the devices of `addresses`.
    pub login: Option<Login>,
}

impl Query {
    /// Reads lists of text. The error names the field.
    pub fn parse(interfaces: &[String], addresses: &[String], consent: &[String]) -> Result<Self> {
        for (field, list) in [("interface", interfaces), ("address", addresses), ("consent", consent)] {
            if list.len() > MAX_NAMED {
                return Err(Error::parameter(field, format!("must not have more than {MAX_NAMED} values")));
            }
        }
        let addresses = addresses.iter().map(|text| {
            let with_port = text.parse::<SocketAddr>().ok();
            let found = with_port.or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0)));
            found.ok_or_else(|| Error::parameter("address", format!("{text:?} is not an address; write 192.168.1.20")))
        });
        Ok(Query {
            interfaces: interfaces.to_vec(),
            addresses: addresses.collect::<Result<_>>()?,
            consent: parse_consent(consent)?,
            login: None,
        })
    }
}

/// Reads the addresses of `consent`.
pub fn parse_consent(texts: &[String]) -> Result<Vec<IpAddr>> {
    let ip = |text: &String| {
        let rule = || format!("{text:?} is not an IP address; write each address that can be asked");
        text.parse::<IpAddr>().map(|ip| ip.to_canonical()).map_err(|_| Error::parameter("consent", rule()))
    };
    texts.iter().map(ip).collect()
}

/// A question to one device.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// An address or host name, with or without port, or the URL of the device service.
    pub address: String,
    /// The credentials.
    pub login: Option<Login>,
    /// Addresses that can be asked although the device has named them as its own.
    pub consent: Vec<IpAddr>,
    /// The SHA-256 of a self-signed certificate, for HTTPS; empty for a certificate of a known authority.
    pub fingerprint: String,
}

/// Searches for cameras. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Discovery(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: DiscoverySettings,
    fetch: Fetch,
    searches: Arc<Semaphore>,
    inquiries: Arc<Semaphore>,
}

impl Inner {
    fn peer<'a>(&'a self, at: IpAddr, consent: &'a [IpAddr]) -> Peer<'a> {
        Peer { fetch: &self.fetch, networks: &self.settings.networks, at, consent, fingerprint: "" }
    }
}

/// A search that is ready to start.
#[derive(Debug)]
pub struct Search {
    inner: Arc<Inner>,
    query: Query,
    slot: OwnedSemaphorePermit,
}

impl Search {
    /// Starts the search. Dropping the receiver of its events ends it.
    pub fn begin(self) -> mpsc::Receiver<Event> {
        let (sender, events) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let Search { inner, query, slot } = self;
            tokio::select! {
                () = run::run(inner, query, sender.clone()) => {}
                // A receiver that takes no events must not block all other searches.
                () = sleep(SEARCH_TIMEOUT) => tracing::debug!("a search took too long and was ended"),
                () = sender.closed() => tracing::debug!("the client of a search has disconnected"),
            }
            drop(slot);
        });
        events
    }
}

impl Discovery {
    /// Connects with the settings of `fetch`, but follows no redirect to another host.
    pub fn new(settings: &DiscoverySettings, fetch: &FetchSettings) -> Result<Self> {
        let fetch = Fetch::new(&FetchSettings { redirect_networks: vec![], ..fetch.clone() })?;
        let (searches, inquiries) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(MAX_INQUIRIES)));
        Ok(Discovery(Arc::new(Inner { settings: settings.clone(), fetch, searches, inquiries })))
    }

    /// Prepares a search. Fails while another one runs: each would receive answers to the other.
    pub fn search(&self, query: Query) -> Result<Search> {
        for address in &query.addresses {
            self.check(address.ip())?;
        }
        let slot = self.0.searches.clone().try_acquire_owned();
        let slot = slot.map_err(|_| Error::new(Code::Unavailable, "another search for cameras is running"))?;
        Ok(Search { inner: self.0.clone(), query, slot })
    }

    /// Asks one device for all details. Fails if no ONVIF device answers; the error of a wrong parameter names the field.
    pub async fn inquire(&self, inquiry: Inquiry) -> Result<DiscoveredDevice> {
        let busy = |_| Error::new(Code::Unavailable, format!("{MAX_INQUIRIES} devices are being asked already"));
        let _slot = self.0.inquiries.try_acquire().map_err(busy)?;
        if !inquiry.fingerprint.is_empty() {
            Fingerprint::parse(&inquiry.fingerprint)?;
        }
        let service = self.locate(&inquiry).await?;
        let ip = ip_of(&service).ok_or_else(|| Error::parameter("address", "has no host"))?;
        let mut device = DiscoveredDevice::new(service.to_string(), ip, FoundBy::Address);
        device.device_service = Some(service.to_string());
        let peer = Peer { fingerprint: &inquiry.fingerprint, ..self.0.peer(ip, &inquiry.consent) };
        let mut conversation = Conversation::new(&peer, inquiry.login.as_ref());
        match timeout(run::DEVICE_TIMEOUT, conversation.fill(&mut device, &service)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(Error::new(Code::Upstream, format!("{}: {why}", inquiry.address))),
            Err(_) => device.note(run::incomplete()),
        }
        Ok(device)
    }

    /// The URL of the device service, with an IP address as its host.
    async fn locate(&self, inquiry: &Inquiry) -> Result<Url> {
        let text = inquiry.address.trim();
        let is_url = text.contains("://");
        let wrong = || Error::parameter("address", "must be an address, a host name, or the URL of a device service");
        // The colons of a bare IPv6 address would be read as the start of a port.
        let text = if text.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{text}]") } else { text.to_owned() };
        let url = Url::parse(&if is_url { text } else { format!("http://{text}") }).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong());
        }
        let ip = match url.host().ok_or_else(wrong)? {
            Host::Ipv4(ip) => ip.into(),
            Host::Ipv6(ip) => IpAddr::from(ip).to_canonical(),
            Host::Domain(name) => self.resolve(name).await?,
        };
        self.check(ip)?;
        if is_url {
            let mut url = url;
            url.set_host(Some(&probe::host_text(ip))).map_err(|_| wrong())?;
            return Ok(url);
        }
        let at = SocketAddr::new(ip, url.port().unwrap_or(0));
        let away = |why| Error::new(Code::Upstream, format!("{}: {why}", inquiry.address.trim()));
        service::find_service(&self.0, at, &inquiry.consent).await.map_err(away)
    }

    async fn resolve(&self, name: &str) -> Result<IpAddr> {
        let away = |why: String| Error::new(Code::Upstream, format!("{name}: its address is not found ({why})"));
        let found = timeout(LOOKUP_TIMEOUT, lookup_host((name, 0))).await.map_err(|_| away("no answer".into()))?;
        let mut found = found.map_err(|e| away(e.to_string()))?;
        found.next().map(|at| at.ip().to_canonical()).ok_or_else(|| away("none".into()))
    }

    fn check(&self, ip: IpAddr) -> Result<()> {
        if any_contains(&self.0.settings.networks, ip) {
            return Ok(());
        }
        Err(Error::parameter("address", format!("{ip} is not in discovery.networks")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_lists_are_checked() {
        assert_eq!(DiscoverySettings::default().problems(), []);
        for wait in [HumanDuration::millis(99), HumanDuration::secs(31)] {
            let settings = DiscoverySettings { wait, ..DiscoverySettings::default() };
            assert_eq!(settings.problems(), [("wait", "must be from 100ms to 30s".to_owned())]);
        }
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let query =
            Query::parse(&[], &texts(&["192.168.1.20", "10.0.0.1:8000"]), &texts(&["::ffff:10.0.0.9"])).expect("valid");
        assert_eq!(query.addresses, ["192.168.1.20:0".parse().expect("one"), "10.0.0.1:8000".parse().expect("one")]);
        assert_eq!(query.consent, ["10.0.0.9".parse::<IpAddr>().expect("one")]);
        for (addresses, consent, field) in
            [(&["x"][..], &[][..], "address"), (&["10.0.0.0/8"], &[], "address"), (&[], &["x"], "consent")]
        {
            let e = Query::parse(&[], &texts(addresses), &texts(consent)).expect_err("wrong");
            assert_eq!(e.field(), Some(field), "{e}");
        }
    }
}
