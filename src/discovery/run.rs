//! One search from start to end: sends probes, receives answers, and asks the devices that answered for details.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
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
    Inner, Query, interfaces,
    onvif::Conversation,
    probe::{self, Match, choose, reach},
    report::{DiscoveredDevice, Event, FoundBy, SearchProblem, Summary},
    search::{Datagram, Ids, Prober},
    service::{find_service, service_at},
    ssdp,
};
use crate::units::any_contains;

/// Most devices that are reported.
const MAX_DEVICES: usize = 256;

/// Most other devices, such as printers, that are counted; and most SSDP answers that are kept.
const MAX_OTHERS: usize = 4 * MAX_DEVICES;

/// Most datagrams that are read, and most datagrams of one address.
const MAX_DATAGRAMS: usize = 10_000;
const MAX_DATAGRAMS_EACH: usize = 200;

/// Most addresses that answer with the same id.
const MAX_SHARING_AN_ID: usize = 200;

/// Most problems that are reported.
const MAX_PROBLEMS: usize = 50;

/// Devices that are asked for details at a time.
const CONCURRENT: usize = 8;

/// Timeout of all questions to one device: an NVR of 16 channels needs about 70.
pub(super) const DEVICE_TIMEOUT: Duration = Duration::from_secs(20);

/// Timeout of the questions to all devices, from the end of the time for answers.
const DETAILS_TIMEOUT: Duration = Duration::from_secs(60);

/// The problem of a device that did not answer all questions in time.
pub(super) fn incomplete() -> String {
    format!("it did not answer all questions within {DEVICE_TIMEOUT:?}")
}

/// A search in progress.
struct Run {
    inner: Arc<Inner>,
    query: Query,
    sender: mpsc::Sender<Event>,
    /// The addresses of the reported devices, by identity.
    reported: HashMap<String, Vec<IpAddr>>,
    is_full: bool,
    questions: JoinSet<()>,
    slots: Arc<Semaphore>,
    problems: usize,
    others: BTreeSet<(IpAddr, String)>,
}

/// Runs a search to its end.
pub(super) async fn run(inner: Arc<Inner>, query: Query, sender: mpsc::Sender<Event>) {
    let start = Instant::now();
    let wait = *inner.settings.wait;
    let slots = Arc::new(Semaphore::new(CONCURRENT));
    let mut run = Run {
        inner,
        query,
        sender,
        reported: HashMap::new(),
        is_full: false,
        questions: JoinSet::new(),
        slots,
        problems: 0,
        others: BTreeSet::new(),
    };
    let (probers, interfaces) = run.probers().await;
    let ssdp_answers = run.receive(probers, wait).await;
    run.ask_the_rest(ssdp_answers).await;
    let end = Instant::now() + DETAILS_TIMEOUT;
    while let Ok(Some(done)) = timeout_at(end, run.questions.join_next()).await {
        if let Err(e) = done {
            tracing::error!("the questions to a device were cut off: {e}");
        }
    }
    if !run.questions.is_empty() {
        let count = run.questions.len();
        run.report_problem(None, format!("{count} devices did not answer all questions within {DETAILS_TIMEOUT:?}"))
            .await;
        run.questions.shutdown().await;
    }
    let summary = Summary {
        found: run.reported.len(),
        others: run.others.len(),
        interfaces,
        seconds: (start.elapsed().as_secs_f32() * 10.0).round() / 10.0,
    };
    run.send(Event::Done(summary)).await;
}

impl Run {
    /// Sends an event. Without a receiver, `Search::begin` ends the search.
    async fn send(&self, event: Event) {
        let _ = self.sender.send(event).await;
    }

    /// The sockets of the search, and its interfaces. With addresses and without interfaces, only the addresses are asked.
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
        let has_none = by_multicast && chosen.is_empty() && problems.is_empty();
        for problem in problems {
            self.report_problem(None, problem).await;
        }
        if has_none {
            let message = "no interface is up, has an IPv4 address and takes multicast; a container needs the network of its host";
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
                Err(e) => self.report_problem(None, format!("no UDP socket can be opened: {e}")).await,
            }
        }
        (probers, chosen)
    }

    /// Sends probes, and receives answers for `wait`. Returns the SSDP answers: most of them are not from cameras, and most cameras also
    /// answer WS-Discovery.
    async fn receive(
        &mut self,
        probers: Vec<(String, Prober)>,
        wait: Duration,
    ) -> BTreeMap<(IpAddr, String), ssdp::Answer> {
        let mut ssdp_answers = BTreeMap::new();
        let Ok(ids) = Ids::random() else {
            self.report_problem(None, "the system gives no random numbers".into()).await;
            return ssdp_answers;
        };
        let (sender, mut datagrams) = mpsc::channel::<Datagram>(64);
        let mut probing = JoinSet::new();
        for (name, prober) in probers {
            let sender = sender.clone();
            probing.spawn(async move { (name, prober.run(ids, wait, sender).await) });
        }
        drop(sender);
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        let mut all = 0;
        while let Some(Datagram { from, data }) = datagrams.recv().await {
            let ip = from.ip().to_canonical();
            let count = counts.entry(ip).or_default();
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
            if let Some(answer) = ssdp::read(&data) {
                let key = (ip, answer.id.clone());
                if let Some(known) = ssdp_answers.get_mut(&key) {
                    let known: &mut ssdp::Answer = known;
                    known.looks_like_camera |= answer.looks_like_camera;
                } else if ssdp_answers.len() < MAX_OTHERS {
                    ssdp_answers.insert(key, answer);
                }
                continue;
            }
            match probe::read(&data, &ids.all()) {
                Ok(matches) => {
                    for found in matches {
                        self.matched(ip, found).await;
                    }
                }
                Err(why) if *count <= 2 => tracing::debug!(%ip, "an answer is not used: {why}"),
                // One device must not fill the log.
                Err(_) => {}
            }
        }
        while let Some(ended) = probing.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                Ok((name, Err(e))) => self.report_problem(None, format!("{name}: no probe can be sent ({e})")).await,
                Err(e) => tracing::error!("the probes were cut off: {e}"),
            }
        }
        ssdp_answers
    }

    /// Reports a device that has answered WS-Discovery.
    async fn matched(&mut self, ip: IpAddr, found: Match) {
        if !found.is_onvif {
            self.count_other(ip, found.id);
            return;
        }
        // Some manufacturers give all of their cameras one id. A device that the caller named is reported in any case.
        let is_named = self.query.addresses.iter().any(|named| named.ip() == ip);
        let key = if is_named { format!("{} {ip}", found.id) } else { found.id.clone() };
        if let Some(known) = self.reported.get_mut(&key) {
            if known.contains(&ip) || known.len() >= MAX_SHARING_AN_ID {
                return;
            }
            let first = known[0];
            known.push(ip);
            let message =
                format!("it has the id of {first}, and can be the same device; to see it, search for its address");
            return self.report_problem(Some(ip), message).await;
        }
        let mut device = DiscoveredDevice::new(found.id.clone(), ip, FoundBy::WsDiscovery);
        device.name = found.name;
        device.hardware = found.hardware;
        device.location = found.location;
        device.conformance = found.conformance;
        let service = choose(&found.xaddrs, ip, &self.query.consent).map(|reached| {
            device.note_elsewhere(reached.instead_of);
            reached.url
        });
        let service = service.unwrap_or_else(|| service_at(ip, 80));
        self.report(key, device, service, true).await;
    }

    /// Asks the devices that answered only SSDP, and the named devices that did not answer.
    async fn ask_the_rest(&mut self, ssdp_answers: BTreeMap<(IpAddr, String), ssdp::Answer>) {
        let known = self.known();
        let rest: Vec<_> = ssdp_answers.into_iter().filter(|((ip, _), _)| !known.contains(ip)).collect();
        let (end, slots) = (Instant::now() + DEVICE_TIMEOUT, Semaphore::new(2 * CONCURRENT));
        let (inner, consent) = (self.inner.clone(), self.query.consent.clone());
        let (inner, consent, slots) = (&inner, &consent, &slots);
        let descriptions = rest.into_iter().take(MAX_DEVICES).map(|((ip, _), answer)| async move {
            let description = async {
                let _slot = slots.acquire().await;
                describe(inner, ip, &answer, consent).await
            };
            let described = timeout_at(end, description).await;
            (ip, answer, described.unwrap_or(Err("its description does not come in time".into())))
        });
        for (ip, answer, described) in join_all(descriptions).await {
            match described {
                Ok(Some(device)) => {
                    self.report(format!("{} {ip}", device.id), device, service_at(ip, 80), false).await;
                }
                Ok(None) => self.count_other(ip, answer.id),
                Err(why) => {
                    self.report_problem(Some(ip), why).await;
                    if answer.looks_like_camera {
                        let device = DiscoveredDevice::new(answer.id.clone(), ip, FoundBy::Ssdp);
                        self.report(format!("{} {ip}", answer.id), device, service_at(ip, 80), false).await;
                    }
                }
            }
        }
        if self.is_full {
            return;
        }
        let known = self.known();
        let silent: Vec<_> = self.query.addresses.iter().filter(|a| !known.contains(&a.ip())).copied().collect();
        let services = silent.into_iter().map(|at| async move { (at, find_service(inner, at, consent).await) });
        for (at, service) in join_all(services).await {
            match service {
                Ok(service) => {
                    let id = service.to_string();
                    let mut device = DiscoveredDevice::new(id.clone(), at.ip(), FoundBy::Address);
                    device.device_service = Some(id.clone());
                    self.report(id, device, service, true).await;
                }
                Err(why) => self.report_problem(Some(at.ip()), why).await,
            }
        }
    }

    /// Reports a device, and asks it for details. `is_onvif`: the device has answered ONVIF; otherwise ONVIF is only tried.
    async fn report(&mut self, key: String, mut device: DiscoveredDevice, service: Url, is_onvif: bool) {
        if self.reported.len() >= MAX_DEVICES {
            if !std::mem::replace(&mut self.is_full, true) {
                let message = format!("there are more than {MAX_DEVICES} devices; the others are left out");
                self.report_problem(None, message).await;
            }
            return;
        }
        self.reported.insert(key, vec![device.address]);
        device.device_service = is_onvif.then(|| service.to_string());
        self.send(Event::Found(Box::new(device.clone()))).await;
        let (inner, query, sender, slots) =
            (self.inner.clone(), self.query.clone(), self.sender.clone(), self.slots.clone());
        self.questions.spawn(async move {
            let _slot = slots.acquire().await;
            // Only devices that the caller named get the password: any device on the network can answer a search.
            let is_named = query.addresses.iter().any(|named| named.ip() == device.address);
            let login = query.login.as_ref().filter(|_| is_named);
            let peer = inner.peer(device.address, &query.consent);
            let filled = timeout(DEVICE_TIMEOUT, Conversation::new(&peer, login).fill(&mut device, &service)).await;
            match filled {
                Ok(Ok(())) => device.device_service = Some(service.into()),
                Ok(Err(why)) if is_onvif => device.note(why),
                Ok(Err(why)) => {
                    tracing::debug!(ip = %device.address, "no ONVIF: {why}");
                    device.note("it does not answer ONVIF requests; perhaps ONVIF is switched off");
                }
                Err(_) => device.note(incomplete()),
            }
            // Without a receiver, `Search::begin` ends the search.
            let _ = sender.send(Event::Detail(Box::new(device))).await;
        });
    }

    /// The addresses of the reported devices.
    fn known(&self) -> BTreeSet<IpAddr> {
        self.reported.values().flatten().copied().collect()
    }

    fn count_other(&mut self, ip: IpAddr, id: String) {
        if self.others.len() < MAX_OTHERS {
            self.others.insert((ip, id));
        }
    }

    async fn report_problem(&mut self, address: Option<IpAddr>, message: String) {
        self.problems += 1;
        if self.problems <= MAX_PROBLEMS {
            self.send(Event::Problem(SearchProblem { address, message })).await;
        }
    }
}

/// A device with the details of its UPnP description; none if the description is not that of a camera.
async fn describe(
    inner: &Inner,
    ip: IpAddr,
    answer: &ssdp::Answer,
    consent: &[IpAddr],
) -> Result<Option<DiscoveredDevice>, String> {
    let mut device = DiscoveredDevice::new(answer.id.clone(), ip, FoundBy::Ssdp);
    let Some(location) = &answer.location else { return Ok(answer.looks_like_camera.then_some(device)) };
    let reached = reach(location, ip, consent);
    if let Some(elsewhere) = reached.instead_of {
        return Err(format!("it says that its description is at {elsewhere}, which is not asked without consent"));
    }
    let location = &reached.url;
    let description = inner.peer(ip, consent).get(location).await.and_then(|document| ssdp::describe(&document));
    let description = description.map_err(|why| format!("its description: {why}"))?;
    if !(answer.looks_like_camera || description.looks_like_camera) {
        return Ok(None);
    }
    let page = description.page.and_then(|page| location.join(&page).ok());
    let page = page.filter(|page| matches!(page.scheme(), "http" | "https"));
    device.page = page.map(|page| reach(&page, ip, consent).url.into());
    (device.name, device.manufacturer) = (description.name, description.manufacturer);
    (device.model, device.serial) = (description.model, description.serial);
    Ok(Some(device))
}
