//! Binding and serving.

use std::{io, net};

use actix_http::{HttpService, Request, Response, body::MessageBody, error::DispatchError};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{Error, dev::AppConfig};
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, time::Duration};

use super::{
    connection::{Connection, Patience, Secure},
    connections::{Connections, TICK},
    tls::Tls,
};
use crate::{fanout::share_wakeups, shutdown::Shutdown};

/// After this time without data, the kernel probes the connection and so detects a peer that vanished (power cut,
/// lost Wi-Fi), also while there is nothing to send.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// actix closes idle connections cleanly; the connection's own watch ends the rest, so somewhat later.
const LATER: Duration = Duration::from_secs(2);

/// Most connections that wait to be accepted: more than the watchers of a popular stream that all reconnect after a
/// restart. With the usual 128, the others wait a second for a retransmitted SYN.
const BACKLOG: i32 = 4096;

/// Opens the port.
pub fn bind(addr: net::SocketAddr) -> io::Result<net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Options of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads; each connection stays on one.
    pub workers: usize,
    /// How long requests in progress can take after the shutdown has begun.
    pub shutdown_timeout: Duration,
    /// How long the head of a request can take.
    pub head_timeout: Duration,
    /// How long an idle connection stays open for the next request.
    pub idle_timeout: Duration,
    /// How long a response can wait for a peer that does not read, or reads less than [`Self::min_rate`].
    pub stall_timeout: Duration,
    /// Bytes a second that a peer must read of a response while its socket is full.
    pub min_rate: u64,
    /// The open connections.
    pub connections: Connections,
}

impl Options {
    fn patience(&self) -> Patience {
        let ticks = |time: Duration| u32::try_from(time.as_secs().div_ceil(TICK.as_secs())).unwrap_or(u32::MAX);
        let part = self.min_rate.saturating_mul(self.stall_timeout.as_secs());
        Patience {
            head: ticks(self.head_timeout),
            idle: ticks(self.idle_timeout + LATER),
            write: ticks(self.stall_timeout),
            part: usize::try_from(part).unwrap_or(usize::MAX).max(1),
        }
    }
}

/// A port on which the server listens.
pub struct Port {
    /// The socket.
    pub listener: net::TcpListener,
    /// With it, the port uses HTTPS.
    pub tls: Option<Tls>,
    /// The one address that the port has; none for all.
    pub only: Option<Only>,
}

/// The one address that a port has; in the request's `conn_data`.
#[derive(Clone, Copy, Debug)]
pub struct Only(pub &'static str);

/// Serves the application on the ports until the server is stopped.
pub fn listen<F, I, S, B>(ports: Vec<Port>, options: &Options, shutdown: Shutdown, application: F) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>>,
    B: MessageBody + 'static,
{
    let secs = options.shutdown_timeout.as_secs().max(1);
    let mut server = Server::build().workers(options.workers).disable_signals().shutdown_timeout(secs);
    for Port { listener, tls, only } in ports {
        let (shutdown, application) = (shutdown.clone(), application.clone());
        let name = if tls.is_some() { "https" } else { "http" };
        let options = options.clone();
        server = server.listen(name, listener, move || {
            share_wakeups();
            let application = application().into_factory().map_err(|e: Error| e.error_response());
            let (shutdown, tls) = (shutdown.clone(), tls.clone());
            let http = HttpService::build()
                .keep_alive(options.idle_timeout)
                // The connection's own watch does this, for every head and for a few at a time.
                .client_request_timeout(Duration::ZERO)
                .client_disconnect_timeout(Duration::from_secs(1))
                // Without this, a body is not dropped when its client closes (actix-web#1313), and the last watcher
                // would never leave.
                .h1_allow_half_closed(false)
                .graceful_shutdown_signal(move || {
                    let shutdown = shutdown.clone();
                    async move { shutdown.asked().await }
                })
                .on_connect_ext(move |io: &Connection, data: &mut actix_http::Extensions| {
                    if let Some(only) = only {
                        data.insert(only);
                    }
                    data.insert(io.takeover());
                    data.insert(io.secure());
                    data.insert(io.turn());
                })
                .h1(map_config(application, |()| AppConfig::default()));
            let (patience, connections) = (options.patience(), options.connections.clone());
            fn_service(move |io: TcpStream| {
                let (tls, connections) = (tls.clone(), connections.clone());
                async move {
                    let peer = io.peer_addr().map_err(DispatchError::Io)?;
                    // A refused connection is closed without an answer, which would cost more than it.
                    let place =
                        connections.take(peer.ip(), patience.head).map_err(|_| DispatchError::DisconnectTimeout)?;
                    tune(&io);
                    let io = match tls {
                        Some(tls) => {
                            let io = tls.accept(io).await.map_err(DispatchError::Io)?;
                            Connection::new(Box::new(io), Secure(true), place, patience)
                        }
                        None => Connection::new(Box::new(io), Secure(false), place, patience),
                    };
                    Ok((io, Some(peer)))
                }
            })
            .and_then(http)
        })?;
    }
    Ok(server.run())
}

/// Sets the options of every connection: no delay for small writes (TCP_NODELAY), and keepalive probes.
pub fn tune(io: &TcpStream) {
    let socket = SockRef::from(io);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_INTERVAL).with_retries(3);
    // No known system refuses these options, and a connection works without them.
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_nodelay(true);
}
