//! Probes by UDP, and the answers to them.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{Duration, Instant, sleep_until, timeout_at},
};

use super::{
    interfaces::NetworkInterface,
    probe::{self, Form, Uuid},
    ssdp,
};

/// Hops of a multicast packet: 2, as UPnP requires (UPnP Device Architecture 1.1, section 1.3.2).
const TTL: u32 = 2;

/// Receive buffer, in bytes: all cameras of a building answer within the same milliseconds.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Largest datagram of UDP.
const MAX_DATAGRAM: usize = 65_536;

/// The times at which probes are sent: the typed one, then the untyped one, which some cameras answer instead, then both again, because
/// datagrams can be lost. A device recognises a repeated probe by its id, and answers once. The flag: with an SSDP search.
const ROUNDS: [(Duration, &[Form], bool); 3] = [
    (Duration::ZERO, &[Form::Typed], true),
    (Duration::from_millis(250), &[Form::Any], false),
    (Duration::from_millis(1000), &[Form::Typed, Form::Any], true),
];

/// A datagram that was received.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    /// Its sender.
    pub from: SocketAddr,
    /// Its content.
    pub data: Vec<u8>,
}

/// The ids of the probes of one search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    typed: Uuid,
    any: Uuid,
}

impl Ids {
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        Ok(Ids { typed: Uuid::random()?, any: Uuid::random()? })
    }

    pub(super) fn all(&self) -> [Uuid; 2] {
        [self.typed, self.any]
    }

    fn of(&self, form: Form) -> Uuid {
        match form {
            Form::Typed => self.typed,
            Form::Any => self.any,
        }
    }
}

/// A socket, and the addresses to which it sends probes.
#[derive(Debug)]
pub(super) struct Prober {
    socket: UdpSocket,
    discovery: Vec<SocketAddr>,
    ssdp: Vec<SocketAddr>,
    /// Whether only answers from these addresses are used.
    is_unicast: bool,
}

impl Prober {
    /// Asks all devices on the network of an interface.
    pub(super) fn multicast(interface: &NetworkInterface) -> io::Result<Self> {
        let socket = open(interface.address)?;
        socket.set_multicast_if_v4(&interface.address)?;
        socket.set_multicast_ttl_v4(TTL)?;
        let group = |port| vec![SocketAddrV4::new(probe::GROUP, port).into()];
        Ok(Prober {
            socket: UdpSocket::from_std(socket.into())?,
            discovery: group(probe::PORT),
            ssdp: group(ssdp::PORT),
            is_unicast: false,
        })
    }

    /// Asks these addresses, each at its port, or at the usual ports if that is 0.
    pub(super) fn unicast(addresses: &[SocketAddr]) -> io::Result<Self> {
        let at = |usual| move |a: &SocketAddr| SocketAddr::new(a.ip(), if a.port() == 0 { usual } else { a.port() });
        let addresses: Vec<_> = addresses.iter().filter(|a| a.is_ipv4()).collect();
        Ok(Prober {
            socket: UdpSocket::from_std(open(Ipv4Addr::UNSPECIFIED)?.into())?,
            discovery: addresses.iter().copied().map(at(probe::PORT)).collect(),
            ssdp: addresses.iter().copied().map(at(ssdp::PORT)).collect(),
            is_unicast: true,
        })
    }

    /// Sends the probes, and forwards the answers until `wait` is over. Fails with the last error if no probe could be sent.
    pub(super) async fn run(self, ids: Ids, wait: Duration, sender: mpsc::Sender<Datagram>) -> io::Result<()> {
        let start = Instant::now();
        let end = start + wait;
        let mut rounds = ROUNDS.iter().peekable();
        let mut buffer = vec![0; MAX_DATAGRAM];
        let (mut sent, mut failure) = (0, None);
        loop {
            if let Some((at, forms, with_ssdp)) = rounds.next_if(|(at, ..)| start + *at <= Instant::now()) {
                tracing::trace!(?at, "sending probes");
                for outcome in self.ask(ids, forms, *with_ssdp, wait).await {
                    match outcome {
                        Ok(_) => sent += 1,
                        Err(e) => failure = Some(e),
                    }
                }
                continue;
            }
            let next = rounds.peek().map_or(end, |(at, ..)| (start + *at).min(end));
            match timeout_at(next, self.socket.recv_from(&mut buffer)).await {
                Ok(Ok((length, from))) if self.was_asked(from) => {
                    let datagram = Datagram { from, data: buffer[..length].to_vec() };
                    if sender.send(datagram).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(Ok(_)) => {}
                // For example an ICMP message that an address is unreachable. The pause avoids a busy loop if the error stays.
                Ok(Err(_)) => sleep_until((Instant::now() + Duration::from_millis(10)).min(next)).await,
                Err(_) if next >= end => break,
                Err(_) => {}
            }
        }
        match failure {
            Some(e) if sent == 0 => Err(e),
            _ => Ok(()),
        }
    }

    async fn ask(&self, ids: Ids, forms: &[Form], with_ssdp: bool, wait: Duration) -> Vec<io::Result<usize>> {
        let mut outcomes = vec![];
        for to in &self.discovery {
            for form in forms {
                outcomes.push(self.socket.send_to(probe::message(*form, ids.of(*form)).as_bytes(), to).await);
            }
        }
        // Devices answer after a random time of up to MX seconds. The answers to the second search must come in time, too.
        let mx = wait.as_secs().saturating_sub(2).clamp(1, 5);
        for to in self.ssdp.iter().filter(|_| with_ssdp) {
            for target in ssdp::TARGETS {
                let text = ssdp::message(target, &to.to_string(), mx);
                outcomes.push(self.socket.send_to(text.as_bytes(), to).await);
            }
        }
        outcomes
    }

    fn was_asked(&self, from: SocketAddr) -> bool {
        !self.is_unicast || self.discovery.iter().any(|asked| asked.ip() == from.ip())
    }
}

fn open(address: Ipv4Addr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // The system can give less. Then some answers of a burst are lost, and the devices answer the second probe.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&SocketAddr::from((address, 0)).into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
