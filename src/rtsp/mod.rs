//! An RTSP server (RFC 2326, RTP interleaved in TCP): MediaMTX, ffmpeg, VLC and GStreamer pull streams as H.264.
//!
//! [`Server`] accepts; `connection` moves bytes and owns time; `session` is the protocol, and asks `door` who
//! may read what; `message` frames and `rtp` packetises, both without I/O. What MediaMTX needs of a server is in
//! its gortsplib: client.go, pkg/format/rtph264 and pkg/liberrors.

mod connection;
mod message;
mod open;
pub mod rtp;
mod sdp;
mod session;

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpListener,
    time::{Duration, sleep},
};
use tracing::Instrument;

use crate::{server, state::State};

/// The bound server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Server {
    /// Opens the port. Port 0 is a free one.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = server::bind(addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        Ok(Server { listener: TcpListener::from_std(listener)?, addr })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts until the shutdown is asked for; connections are tracked by it.
    pub async fn serve(self, state: Arc<State>) {
        let counters = state.metrics.rtsp();
        let most = state.settings.rtsp.max_connections;
        let mut is_full = false;
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = state.shutdown.asked() => return,
            };
            let (io, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Out of file descriptors, most likely: others may close some.
                    tracing::warn!("an RTSP connection cannot be accepted: {e}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(connected) = counters.connected(most) else {
                if !std::mem::replace(&mut is_full, true) {
                    tracing::warn!(
                        "there are {most} RTSP connections already (rtsp.max_connections); others are refused"
                    );
                }
                continue;
            };
            is_full = false;
            let span = tracing::info_span!("rtsp", %peer, stream = tracing::field::Empty);
            let serve = connection::serve(io, peer, state.clone());
            let task = async move {
                let _connected = connected;
                serve.await;
            };
            tokio::spawn(state.shutdown.track(task.instrument(span)));
        }
    }
}
