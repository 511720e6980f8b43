//! A search from its beginning to its end: asking, hearing, and asking those who have answered for more.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_util::future::join_all;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Duration, Instant, timeout, timeout_at},
};
use url::Url;

use super::{
    Inner, Query,
    http::Device,
    interfaces,
    onvif::Conversation,
    probe::{self, Match, choose, host_text, reach},
    report::{DiscoveredDevice, Event, FoundBy, Summary, Trouble},
    search::{Heard, Ids, Prober},
    ssdp,
};
use crate::units::any_contains;

/// Most devices that are told of.
const MAX_DEVICES: usize = 256;

/// Most datagrams that are read, and of those most of one address.
const MAX_DATAGRAMS: usize = 10_000;
const MAX_DATAGRAMS_EACH: usize = 200;

/// Most problems that are told.
const MAX_TROUBLES: usize = 50;

/// Devices that are asked for more at a time.
const AT_A_TIME: usize = 8;

/// How long one device is asked for: an NVR of 16 channels has some 70 answers to give.
pub(super) const FOR_ONE: Duration = Duration::from_secs(20);

/// How long all are asked for, after the last could have answered.
const FOR_ALL: Duration = Duration::from_secs(60);

/// How long somebody who was named may take to say whether it speaks ONVIF.
const FOR_A_KNOCK: Duration = Duration::from_secs(3);

/// Where devices have ONVIF: the usual port, Reolink's, cheap NVRs', Tapo's, and that of XM's many brands.
const PORTS: [u16; 5] = [80, 8000, 8080, 2020, 8899];

/// Where the device service is, on nearly all of them (ONVIF Core, 5.10).
const SERVICE: &str = "/onvif/device_service";

/// A search that goes on.
struct Run {
    inner: Arc<Inner>,
    query: Query,
    tell: mpsc::Sender<Event>,
    /// Where the devices are of which a card is out, by what tells them apart.
    cards: HashMap<String, Vec<IpAddr>>,
    is_full: bool,
    asking: JoinSet<()>,
    slots: Arc<Semaphore>,
    troubles: usize,
    others: BTreeSet<(IpAddr, String)>,
}

/// Searches, tells, and ends.
pub(super) async fn run(inner: Arc<Inner>, query: Query, tell: mpsc::Sender<Event>) {
    let begun = Instant::now();
    let wait = *inner.settings.wait;
    let slots = Arc::new(Semaphore::new(AT_A_TIME));
    let mut run = Run {
        inner,
        query,
        tell,
        cards: HashMap::new(),
        is_full: false,
        asking: JoinSet::new(),
        slots,
        troubles: 0,
        others: BTreeSet::new(),
    };
    let (probers, interfaces) = run.probers().await;
    let searched = run.hear(probers, wait).await;
    run.ask_the_rest(searched).await;
    let end = Instant::now() + FOR_ALL;
    while let Ok(Some(_)) = timeout_at(end, run.asking.join_next()).await {}
    if !run.asking.is_empty() {
        let message = format!("{} devices were not asked for everything in {FOR_ALL:?}", run.asking.len());
        run.report_problem(None, message).await;
        run.asking.shutdown().await;
    }
    let summary = Summary {
        found: run.cards.len(),
        others: run.others.len(),
        interfaces,
        seconds: (begun.elapsed().as_secs_f32() * 10.0).round() / 10.0,
    };
    let _ = run.tell.send(Event::Done(summary)).await;
}

impl Run {
    /// The sockets to ask by. Without interfaces and addresses everybody is asked; with addresses only those are.
    async fn probers(&mut self) -> (Vec<(String, Prober)>, Vec<interfaces::NetworkInterface>) {
        let mut probers = vec![];
        let names = match self.query.interfaces.as_slice() {
            [] => &self.inner.settings.interfaces,
            names => names,
        };
        let by_multicast = self.query.addresses.is_empty() || !self.query.interfaces.is_empty();
        let (chosen, problems) = match by_multicast.then(|| interfaces::chosen(names)) {
            None => (vec![], vec![]),
            Some(Ok(found)) => found,
            Some(Err(e)) => (vec![], vec![format!("the interfaces cannot be listed: {e}")]),
        };
        let nowhere = by_multicast && chosen.is_empty() && problems.is_empty();
        for problem in problems {
            self.report_problem(None, problem).await;
        }
        if nowhere {
            let message =
                "no interface is up, has an IPv4 address and takes multicast; a container needs the host's network";
            self.report_problem(None, message.into()).await;
        }
        for interface in &chosen {
            match Prober::multicast(interface) {
                Ok(prober) => probers.push((interface.name.clone(), prober)),
                Err(e) => self.report_problem(None, format!("{}: {e}", interface.name)).await,
            }
        }
        if !self.query.addresses.is_empty() {
            match Prober::unicast(&self.query.addresses) {
                Ok(prober) => probers.push(("the addresses".into(), prober)),
                Err(e) => self.report_problem(None, format!("nobody can be asked by UDP: {e}")).await,
            }
        }
        (probers, chosen)
    }

    /// Asks, and listens for so long. What answered the search for UPnP devices is kept for later: most of that are no cameras,
    /// and most cameras answer the probe, too.
    async fn hear(
        &mut self,
        probers: Vec<(String, Prober)>,
        wait: Duration,
    ) -> BTreeMap<(IpAddr, String), ssdp::Answer> {
        let mut searched = BTreeMap::new();
        let Ok(ids) = Ids::random() else {
            self.report_problem(None, "the system gives no random numbers".into()).await;
            return searched;
        };
        let (heard, mut hearing) = mpsc::channel::<Heard>(64);
        let mut asking = JoinSet::new();
        for (name, prober) in probers {
            let heard = heard.clone();
            asking.spawn(async move { (name, prober.run(ids, wait, heard).await) });
        }
        drop(heard);
        let mut from: HashMap<IpAddr, usize> = HashMap::new();
        let mut all = 0;
        while let Some(Heard { from: sender, datagram }) = hearing.recv().await {
            let ip = sender.ip().to_canonical();
            let count = from.entry(ip).or_default();
            *count += 1;
            all += 1;
            if *count > MAX_DATAGRAMS_EACH || all > MAX_DATAGRAMS {
                continue;
            }
            if !any_contains(&self.inner.settings.networks, ip) {
                if *count == 1 {
                    self.report_problem(Some(ip), "it answers, and is not in discovery.networks".into()).await;
                }
                continue;
            }
            if let Some(answer) = ssdp::read(&datagram) {
                let key = (ip, answer.id.clone());
                if let Some(known) = searched.get_mut(&key) {
                    let known: &mut ssdp::Answer = known;
                    known.looks_like_camera |= answer.looks_like_camera;
                } else if searched.len() < 4 * MAX_DEVICES {
                    searched.insert(key, answer);
                }
                continue;
            }
            match probe::read(&datagram, &ids.all()) {
                Ok(matches) => {
                    for found in matches {
                        self.matched(ip, found).await;
                    }
                }
                Err(why) if *count <= 2 => tracing::debug!(%ip, "an answer does not count: {why}"),
                Err(_) => {}
            }
        }
        while let Some(ended) = asking.join_next().await {
            if let Ok((name, Err(e))) = ended {
                self.report_problem(None, format!("{name}: nothing can be sent ({e})")).await;
            }
        }
        searched
    }

    async fn matched(&mut self, ip: IpAddr, found: Match) {
        if !found.is_onvif {
            self.other(ip, found.id);
            return;
        }
        // Makers of cheap cameras give all of them one id. Who was named is told of in any case.
        let is_named = self.query.addresses.iter().any(|named| named.ip() == ip);
        let key = if is_named { format!("{} {ip}", found.id) } else { found.id.clone() };
        if let Some(known) = self.cards.get_mut(&key) {
            if known.contains(&ip) || known.len() >= MAX_DATAGRAMS_EACH {
                return;
            }
            let message =
                format!("it has the id of {}, and may be the same device; search for its address to see", known[0]);
            known.push(ip);
            return self.report_problem(Some(ip), message).await;
        }
        let mut card = DiscoveredDevice::new(found.id.clone(), ip, FoundBy::WsDiscovery);
        card.name = found.name;
        card.hardware = found.hardware;
        card.location = found.location;
        card.conformance = found.conformance;
        let consent = &self.query.consent;
        let service = choose(&found.xaddrs, ip, consent).map(|reached| {
            card.note_elsewhere(reached.instead_of);
            reached.url
        });
        let service = service.unwrap_or_else(|| service_at(ip, 80));
        self.card(key, card, service, true).await;
    }

    /// What has answered the search only, and those who were named and have not answered at all.
    async fn ask_the_rest(&mut self, searched: BTreeMap<(IpAddr, String), ssdp::Answer>) {
        let known = self.known();
        let rest: Vec<_> = searched.into_iter().filter(|((ip, _), _)| !known.contains(ip)).collect();
        let (end, slots) = (Instant::now() + FOR_ONE, Semaphore::new(2 * AT_A_TIME));
        let (inner, consent) = (self.inner.clone(), self.query.consent.clone());
        let (inner, consent, slots) = (&inner, &consent, &slots);
        let looked = rest.into_iter().take(MAX_DEVICES).map(|((ip, _), answer)| async move {
            let looking = async {
                let _slot = slots.acquire().await;
                describe(inner, ip, &answer, consent).await
            };
            let looked = timeout_at(end, looking).await;
            let looked = looked.unwrap_or(Err("its description does not come in time".into()));
            (ip, answer, looked)
        });
        for (ip, answer, looked) in join_all(looked).await {
            match looked {
                Ok(Some(card)) => {
                    self.card(format!("{} {ip}", card.id), card, service_at(ip, 80), false).await;
                }
                Ok(None) => self.other(ip, answer.id),
                Err(why) => {
                    self.report_problem(Some(ip), why).await;
                    if answer.looks_like_camera {
                        let card = DiscoveredDevice::new(answer.id.clone(), ip, FoundBy::Ssdp);
                        self.card(format!("{} {ip}", answer.id), card, service_at(ip, 80), false).await;
                    }
                }
            }
        }
        if self.is_full {
            return;
        }
        let known = self.known();
        let silent: Vec<_> = self.query.addresses.iter().filter(|a| !known.contains(&a.ip())).copied().collect();
        let knocks = silent.into_iter().map(|at| async move {
            let service = knock(inner, at, consent).await;
            (at, service)
        });
        for (at, service) in join_all(knocks).await {
            match service {
                Ok(service) => {
                    let id = service.to_string();
                    let mut card = DiscoveredDevice::new(id.clone(), at.ip(), FoundBy::Address);
                    card.device_service = Some(id.clone());
                    self.card(id, card, service, true).await;
                }
                Err(why) => self.report_problem(Some(at.ip()), why).await,
            }
        }
    }

    /// Tells of a card, and has its device asked for more. `is_onvif`: whether it said so, or is only tried.
    async fn card(&mut self, key: String, mut card: DiscoveredDevice, service: Url, is_onvif: bool) {
        if self.cards.len() >= MAX_DEVICES {
            if !std::mem::replace(&mut self.is_full, true) {
                self.report_problem(
                    None,
                    format!("there are more than {MAX_DEVICES} devices; the others are left out"),
                )
                .await;
            }
            return;
        }
        self.cards.insert(key, vec![card.address]);
        card.device_service = is_onvif.then(|| service.to_string());
        let _ = self.tell.send(Event::Found(Box::new(card.clone()))).await;
        let (inner, query, tell, slots) =
            (self.inner.clone(), self.query.clone(), self.tell.clone(), self.slots.clone());
        self.asking.spawn(async move {
            let _slot = slots.acquire().await;
            // The password is for those who were named, and not for whoever answers.
            let is_named = query.addresses.iter().any(|named| named.ip() == card.address);
            let login = query.login.as_ref().filter(|_| is_named);
            let device = inner.device(card.address, &query.consent);
            let filled = timeout(FOR_ONE, Conversation::new(&device, login).fill(&mut card, &service)).await;
            match filled {
                Ok(Ok(())) => card.device_service = Some(service.into()),
                Ok(Err(why)) if is_onvif => card.note(why),
                Ok(Err(_)) => card.note("it does not speak ONVIF, or has it switched off"),
                Err(_) => card.note(format!("it did not tell everything in {FOR_ONE:?}")),
            }
            card.make_offers(login, "");
            let _ = tell.send(Event::Detail(Box::new(card))).await;
        });
    }

    /// Where devices are of which a card is out.
    fn known(&self) -> BTreeSet<IpAddr> {
        self.cards.values().flatten().copied().collect()
    }

    fn other(&mut self, ip: IpAddr, id: String) {
        if self.others.len() < 4 * MAX_DEVICES {
            self.others.insert((ip, id));
        }
    }

    async fn report_problem(&mut self, address: Option<IpAddr>, message: String) {
        self.troubles += 1;
        if self.troubles <= MAX_TROUBLES {
            let _ = self.tell.send(Event::Problem(Trouble { address, message })).await;
        }
    }
}

/// The device's service at its usual path.
pub(super) fn service_at(ip: IpAddr, port: u16) -> Url {
    let text = format!("http://{}:{port}{SERVICE}", host_text(ip));
    Url::parse(&text).expect("an address, a port and a path make a URL")
}

/// A card of what the device's description says; none if that is no camera's.
async fn describe(
    inner: &Inner,
    ip: IpAddr,
    answer: &ssdp::Answer,
    consent: &[IpAddr],
) -> Result<Option<DiscoveredDevice>, String> {
    let mut card = DiscoveredDevice::new(answer.id.clone(), ip, FoundBy::Ssdp);
    let Some(location) = &answer.location else { return Ok(answer.looks_like_camera.then_some(card)) };
    let reached = reach(location, ip, consent);
    if let Some(elsewhere) = reached.instead_of {
        return Err(format!("it says that its description is at {elsewhere}, which is not asked without consent"));
    }
    let location = &reached.url;
    let said = inner.device(ip, consent).get(location).await.and_then(|document| ssdp::describe(&document));
    let said = said.map_err(|why| format!("its description: {why}"))?;
    if !(answer.looks_like_camera || said.looks_like_camera) {
        return Ok(None);
    }
    let page =
        said.page.and_then(|page| location.join(&page).ok()).filter(|page| matches!(page.scheme(), "http" | "https"));
    card.page = page.map(|page| reach(&page, ip, consent).url.into());
    (card.name, card.manufacturer, card.model, card.serial) = (said.name, said.manufacturer, said.model, said.serial);
    Ok(Some(card))
}

/// Whether somebody who was named speaks ONVIF, and at which port.
pub(super) async fn knock(inner: &Inner, at: SocketAddr, consent: &[IpAddr]) -> Result<Url, String> {
    let ports = if at.port() == 0 { &PORTS[..] } else { &[at.port()] };
    let device: &Device<'_> = &inner.device(at.ip(), consent);
    let tries = ports.iter().map(|port| async move {
        let service = service_at(at.ip(), *port);
        match timeout(FOR_A_KNOCK, Conversation::new(device, None).begin(&service)).await {
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
