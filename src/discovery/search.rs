//! Asking by UDP, and hearing who answers.

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

/// Routers that a multicast packet may pass: UPnP wants 2 (UPnP Device Architecture 1.1, section 1.3.2).
const TTL: u32 = 2;

/// Room in the kernel for a building's cameras answering within the same milliseconds.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Largest datagram there is.
const MAX_DATAGRAM: usize = 65_536;

/// When which probes are sent: the typed one, then the one that some cameras answer instead, then both again, because
/// datagrams get lost. A device knows a repeated one by its id, and answers once.
const ROUNDS: [(Duration, &[Form], bool); 3] = [
    (Duration::ZERO, &[Form::Typed], true),
    (Duration::from_millis(250), &[Form::Any], false),
    (Duration::from_millis(1000), &[Form::Typed, Form::Any], true),
];

/// What came in.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// From where.
    pub from: SocketAddr,
    /// What.
    pub datagram: Vec<u8>,
}

/// The ids of our probes.
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

/// A socket, and whom it asks.
#[derive(Debug)]
pub(super) struct Prober {
    socket: UdpSocket,
    discovery: Vec<SocketAddr>,
    ssdp: Vec<SocketAddr>,
    /// Whether only those count that were asked.
    is_unicast: bool,
}

impl Prober {
    /// Asks everybody on the interface's network.
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

    /// Asks these, each at its port, or at the usual ones if that is 0.
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

    /// Asks, and tells what it hears until then. The error is the last one of sending, if nothing could be sent at all.
    pub(super) async fn run(self, ids: Ids, wait: Duration, tell: mpsc::Sender<Heard>) -> io::Result<()> {
        let begun = Instant::now();
        let end = begun + wait;
        let mut rounds = ROUNDS.iter().peekable();
        let mut buffer = vec![0; MAX_DATAGRAM];
        let (mut sent, mut failure) = (0, None);
        loop {
            if let Some((at, forms, with_ssdp)) = rounds.next_if(|(at, ..)| begun + *at <= Instant::now()) {
                tracing::trace!(?at, "asking");
                for outcome in self.ask(ids, forms, *with_ssdp, wait).await {
                    match outcome {
                        Ok(_) => sent += 1,
                        Err(e) => failure = Some(e),
                    }
                }
                continue;
            }
            let next = rounds.peek().map_or(end, |(at, ..)| (begun + *at).min(end));
            match timeout_at(next, self.socket.recv_from(&mut buffer)).await {
                Ok(Ok((length, from))) if self.was_asked(from) => {
                    let heard = Heard { from, datagram: buffer[..length].to_vec() };
                    if tell.send(heard).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(Ok(_)) => {}
                // Such as an ICMP message about somebody who is not there. Not at once again, should it go on.
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
        // Devices wait at random for up to so many seconds; the second search has to be answered in time, too.
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
    // The system may give less; then some answers of a burst are lost, and come to the second probe.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&SocketAddr::from((address, 0)).into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
