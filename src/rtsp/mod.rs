//! An RTSP server (RFC 2326, RTP interleaved in TCP): MediaMTX, ffmpeg, VLC and GStreamer pull streams as H.264.
//!
//! [`Server`] accepts connections; `connection` moves bytes and owns timeouts; `session` is the protocol; `open` admits a
//! caller and joins the encoding of a stream. `message` parses, `sdp` describes and `rtp` packetizes, all without I/O. What
//! MediaMTX needs of a server is in its gortsplib: client.go, pkg/format/rtph264 and pkg/liberrors.

mod connection;
mod message;
mod open;
mod pull;
pub mod rtp;
mod sdp;
mod session;

#[cfg(any(test, fuzzing))]
pub(crate) use self::message::properties;

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpListener,
    time::{Duration, sleep},
};
use tracing::Instrument;

use crate::{
    server::{self, Connections},
    state::State,
};

/// The bound server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    connections: Connections,
}

impl Server {
    /// Opens the port for these connections. Port 0 is a free one.
    pub fn bind(addr: SocketAddr, connections: Connections) -> io::Result<Self> {
        let listener = server::bind(addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        Ok(Server { listener: TcpListener::from_std(listener)?, addr, connections })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The open connections.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Accepts connections until the shutdown begins. The shutdown waits for them.
    pub async fn serve(&self, state: &Arc<State>) {
        let counters = state.metrics.rtsp();
        let mut is_full = false;
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = state.shutdown.asked() => return,
            };
            let (io, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // The process probably has no free file descriptor. Other connections can release some.
                    tracing::warn!("an RTSP connection cannot be accepted: {e}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let place = match self.connections.take(peer.ip(), connection::HEAD_TICKS) {
                Ok(place) => place,
                Err(cause) => {
                    counters.refused();
                    if !std::mem::replace(&mut is_full, true) {
                        tracing::warn!("RTSP connections are refused: {} (rtsp.max_connections)", cause.as_str());
                    }
                    continue;
                }
            };
            is_full = false;
            let connected = counters.connected();
            let span = tracing::info_span!("rtsp", %peer, stream = tracing::field::Empty);
            let serve = connection::serve(io, peer, place, state.clone());
            let task = async move {
                let _held = connected;
                serve.await;
            };
            tokio::spawn(state.shutdown.track(task.instrument(span)));
        }
    }
}
