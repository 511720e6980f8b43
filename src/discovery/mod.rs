//! Cameras on the network: who is there, and what can be made of them.
//!
//! ```text
//! interfaces ──▶ search ──▶ probe (WS-Discovery) | ssdp ──▶ run ──▶ report (cards)
//!                 (UDP)                                      │
//!                                                            └──▶ onvif ──▶ http (fetch), soap, device
//! ```
//!
//! Everything that comes in is a stranger's: `xml` refuses what no device needs, sizes, times and numbers are bounded, and
//! `http` connects to the address that has answered and to no other one, unless the caller has named it.

mod device;
mod http;
mod interfaces;
mod offers;
mod onvif;
mod probe;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod report;
mod run;
mod search;
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

use self::{http::Device, onvif::Conversation, probe::ip_of};
pub use self::{
    interfaces::NetworkInterface,
    offers::{Offer, Suggestion},
    report::{DiscoveredDevice, Event, FoundBy, Profile, Summary, Trouble},
    soap::Login,
};
use crate::{
    error::{Code, Error, Result},
    fetch::{Fetch, FetchSettings, Fingerprint},
    units::{HumanDuration, Network, any_contains, private_networks},
};

/// Single devices that are asked at a time.
const INQUIRIES: usize = 4;

/// Most addresses and interfaces of one search.
pub const MAX_NAMED: usize = 64;

/// Events that wait for who listens.
const WAITING: usize = 32;

/// How long a search may take, with a listener who takes what it is told.
const MOST: Duration = Duration::from_secs(180);

/// How long finding the address of a name may take.
const FOR_A_NAME: Duration = Duration::from_secs(5);

/// How cameras are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscoverySettings {
    /// The interfaces that are searched on, by name or address; none for all.
    pub interfaces: Vec<String>,
    /// The networks in which devices are asked.
    pub networks: Vec<Network>,
    /// How long answers are waited for.
    pub wait: HumanDuration,
}

impl Default for DiscoverySettings {
    fn default() -> Self {
        DiscoverySettings { interfaces: vec![], networks: private_networks(), wait: HumanDuration::secs(4) }
    }
}

impl DiscoverySettings {
    /// Says what is wrong with the settings, by key.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if !(Duration::from_millis(100)..=Duration::from_secs(30)).contains(&*self.wait) {
            found.push(("wait", "must be from 100ms to 30s".into()));
        }
        if self.interfaces.len() > MAX_NAMED {
            found.push(("interfaces", format!("may be {MAX_NAMED}")));
        }
        found
    }
}

/// What is searched for, and where.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Interfaces, by name or address; none for those of the settings.
    pub interfaces: Vec<String>,
    /// Devices that are asked directly; port 0 for the usual ones. Without interfaces, only these are asked.
    pub addresses: Vec<SocketAddr>,
    /// Addresses that may be asked although somebody else has named them.
    pub consent: Vec<IpAddr>,
    /// Who we are, to the devices of `addresses`.
    pub login: Option<Login>,
}

impl Query {
    /// Reads lists of texts; the error names the field.
    pub fn parse(interfaces: &[String], addresses: &[String], consent: &[String]) -> Result<Self> {
        for (field, list) in [("interface", interfaces), ("address", addresses), ("consent", consent)] {
            if list.len() > MAX_NAMED {
                return Err(Error::parameter(field, format!("may be given {MAX_NAMED} times")));
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

/// Reads addresses that are consented to.
pub fn parse_consent(texts: &[String]) -> Result<Vec<IpAddr>> {
    let ip = |text: &String| {
        let rule = || format!("{text:?} is not an IP address; name each one that may be asked");
        text.parse::<IpAddr>().map(|ip| ip.to_canonical()).map_err(|_| Error::parameter("consent", rule()))
    };
    texts.iter().map(ip).collect()
}

/// One device that is to be asked.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// An address or name, with or without port, or the URL of the device service.
    pub address: String,
    /// Who we are.
    pub login: Option<Login>,
    /// Addresses that may be asked although the device has named them.
    pub consent: Vec<IpAddr>,
    /// The SHA-256 of the device's certificate, for HTTPS; empty for one that an authority has signed.
    pub fingerprint: String,
}

/// Finds cameras. Cheap to clone.
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
    fn device<'a>(&'a self, at: IpAddr, consent: &'a [IpAddr]) -> Device<'a> {
        Device { fetch: &self.fetch, networks: &self.settings.networks, at, consent, fingerprint: "" }
    }
}

/// A search that may begin.
#[derive(Debug)]
pub struct Search {
    inner: Arc<Inner>,
    query: Query,
    slot: OwnedSemaphorePermit,
}

impl Search {
    /// Begins; the events come from the receiver, and its end ends the search.
    pub fn begin(self) -> mpsc::Receiver<Event> {
        let (tell, told) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let Search { inner, query, slot } = self;
            tokio::select! {
                () = run::run(inner, query, tell.clone()) => {}
                // Who listens and takes nothing must not keep others from searching.
                () = sleep(MOST) => tracing::debug!("a search took too long, and was given up"),
                () = tell.closed() => tracing::debug!("nobody waits for the search any more"),
            }
            drop(slot);
        });
        told
    }
}

impl Discovery {
    /// `fetch` is how other hosts are reached; redirects to other hosts are followed by no device.
    pub fn new(settings: &DiscoverySettings, fetch: &FetchSettings) -> Result<Self> {
        let fetch = Fetch::new(&FetchSettings { redirect_networks: vec![], ..fetch.clone() })?;
        let (searches, inquiries) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(INQUIRIES)));
        Ok(Discovery(Arc::new(Inner { settings: settings.clone(), fetch, searches, inquiries })))
    }

    /// A search, if none is going on: two would hear each other's answers late, and devices answer slowly.
    pub fn search(&self, query: Query) -> Result<Search> {
        for address in &query.addresses {
            self.check(address.ip())?;
        }
        let slot = self.0.searches.clone().try_acquire_owned();
        let slot = slot.map_err(|_| Error::new(Code::Unavailable, "somebody is searching for cameras just now"))?;
        Ok(Search { inner: self.0.clone(), query, slot })
    }

    /// Asks one device for everything. The error is that there is none of ONVIF's, or the field to blame.
    pub async fn inquire(&self, inquiry: Inquiry) -> Result<DiscoveredDevice> {
        let _slot = self
            .0
            .inquiries
            .try_acquire()
            .map_err(|_| Error::new(Code::Unavailable, format!("{INQUIRIES} devices are being asked just now")))?;
        if !inquiry.fingerprint.is_empty() {
            Fingerprint::parse(&inquiry.fingerprint)?;
        }
        let service = self.locate(&inquiry).await?;
        let ip = ip_of(&service).ok_or_else(|| Error::parameter("address", "has no host"))?;
        let mut card = DiscoveredDevice::new(service.to_string(), ip, FoundBy::Address);
        card.device_service = Some(service.to_string());
        let device = Device { fingerprint: &inquiry.fingerprint, ..self.0.device(ip, &inquiry.consent) };
        let mut conversation = Conversation::new(&device, inquiry.login.as_ref());
        match timeout(run::FOR_ONE, conversation.fill(&mut card, &service)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(Error::new(Code::Upstream, format!("{}: {why}", inquiry.address))),
            Err(_) => card.note(format!("it did not tell everything in {:?}", run::FOR_ONE)),
        }
        card.make_offers(inquiry.login.as_ref(), &inquiry.fingerprint);
        Ok(card)
    }

    /// The device service, with an address as its host.
    async fn locate(&self, inquiry: &Inquiry) -> Result<Url> {
        let text = inquiry.address.trim();
        let is_url = text.contains("://");
        let wrong = || Error::parameter("address", "must be an address, a name, or the URL of a device service");
        // A bare IPv6 address has colons that look like a port's.
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
            let _ = url.set_host(Some(&probe::host_text(ip)));
            return Ok(url);
        }
        let at = SocketAddr::new(ip, url.port().unwrap_or(0));
        let away = |why| Error::new(Code::Upstream, format!("{}: {why}", inquiry.address.trim()));
        run::knock(&self.0, at, &inquiry.consent).await.map_err(away)
    }

    async fn resolve(&self, name: &str) -> Result<IpAddr> {
        let away = |why: String| Error::new(Code::Upstream, format!("{name}: its address is not found ({why})"));
        let found = timeout(FOR_A_NAME, lookup_host((name, 0))).await.map_err(|_| away("no answer".into()))?;
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
    fn settings_and_lists_say_what_is_wrong_with_them() {
        assert_eq!(DiscoverySettings::default().problems(), []);
        for wait in [HumanDuration::millis(99), HumanDuration::secs(31)] {
            let settings = DiscoverySettings { wait, ..DiscoverySettings::default() };
            assert_eq!(settings.problems(), [("wait", "must be from 100ms to 30s".to_owned())]);
        }
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let query =
            Query::parse(&[], &texts(&["192.168.1.20", "10.0.0.1:8000"]), &texts(&["::ffff:10.0.0.9"])).expect("right");
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
