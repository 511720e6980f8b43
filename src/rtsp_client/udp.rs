//! [`UdpPair`]: two sockets for RTP and RTCP (RFC 3550, section 11: an even port and the next one).

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::UdpSocket;

/// Attempts to find two free ports.
const ATTEMPTS: usize = 50;

/// A keyframe comes as a burst of hundreds of kilobytes.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Most bytes of a datagram.
const MAX_DATAGRAM: usize = 64 << 10;

/// An RTP packet without payload, and an empty receiver report: they open the way through a NAT.
const EMPTY_RTP: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// An RTCP receiver report without blocks (RFC 3550, section 6.4.2). Servers take reports as a sign that the client is there.
pub(super) const EMPTY_REPORT: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 0];

/// The sockets of a session.
#[derive(Debug)]
pub(super) struct UdpPair {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Addresses whose datagrams are taken.
    peers: Vec<IpAddr>,
    server_ports: Option<(u16, u16)>,
    buffer: Vec<u8>,
}

impl UdpPair {
    /// Binds two ports of the address that the connection uses.
    pub(super) async fn bind(local: IpAddr, peer: IpAddr) -> std::io::Result<Self> {
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            let rtp = UdpSocket::bind((local, 0)).await?;
            let port = rtp.local_addr()?.port();
            if port % 2 == 1 || port == u16::MAX - 1 {
                continue;
            }
            match UdpSocket::bind((local, port + 1)).await {
                Ok(rtcp) => {
                    // With a smaller buffer packets are lost more often, which the session survives.
                    let _ = SockRef::from(&rtp).set_recv_buffer_size(RECEIVE_BUFFER);
                    let (peers, buffer) = (vec![peer.to_canonical()], vec![0; MAX_DATAGRAM]);
                    return Ok(UdpPair { rtp, rtcp, peers, server_ports: None, buffer });
                }
                Err(e) => failure = Some(e),
            }
        }
        Err(failure.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()))
    }

    /// The ports for the `Transport` header.
    pub(super) fn ports(&self) -> std::io::Result<(u16, u16)> {
        Ok((self.rtp.local_addr()?.port(), self.rtcp.local_addr()?.port()))
    }

    /// Sets what the server has answered, and opens the way for its packets.
    pub(super) async fn agree(&mut self, server_ports: Option<(u16, u16)>, source: Option<IpAddr>) {
        self.server_ports = server_ports;
        self.peers.extend(source.map(|source| source.to_canonical()));
        self.report().await;
    }

    /// Sends a sign of life.
    pub(super) async fn report(&self) {
        // Only to the host of the connection: the camera must not choose where this program sends to.
        let (Some((rtp, rtcp)), Some(peer)) = (self.server_ports, self.peers.first()) else { return };
        let _ = self.rtp.send_to(&EMPTY_RTP, SocketAddr::new(*peer, rtp)).await;
        let _ = self.rtcp.send_to(&EMPTY_REPORT, SocketAddr::new(*peer, rtcp)).await;
    }

    /// The next packet of the camera, and whether it is RTCP. Cancel-safe.
    pub(super) async fn receive(&mut self) -> (Bytes, bool) {
        let mut report = [0; 1500];
        loop {
            tokio::select! {
                received = self.rtp.recv_from(&mut self.buffer) => match received {
                    Ok((n, from)) if self.peers.contains(&from.ip().to_canonical()) => {
                        return (Bytes::copy_from_slice(&self.buffer[..n]), false);
                    }
                    // Another sender, or an ICMP error of an earlier datagram.
                    _ => {}
                },
                received = self.rtcp.recv_from(&mut report) => match received {
                    Ok((n, from)) if self.peers.contains(&from.ip().to_canonical()) => {
                        return (Bytes::copy_from_slice(&report[..n]), true);
                    }
                    _ => {}
                },
            }
        }
    }
}
