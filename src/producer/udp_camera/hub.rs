//! [`Hub`]: the one socket that receives pictures, and the table of cameras from which they are expected.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{net::UdpSocket, sync::mpsc, task::JoinHandle, time::Instant};

use super::{
    UdpSettings,
    assembler::{Assembler, Outcome},
};
use crate::{faults, stream::FrameSink, supervise::message};

/// Pictures that wait for their stream. More would only be older.
const WAITING_PICTURES: usize = 2;

/// Receive buffer for the bursts of cameras; the kernel permits at most net.core.rmem_max.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Shared by all UDP cameras. The socket is open while at least one camera has a watcher. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    settings: UdpSettings,
    max_picture: usize,
    open: tokio::sync::Mutex<Weak<Socket>>,
    routes: Mutex<Routes>,
}

#[derive(Default)]
struct Routes {
    by_ip: HashMap<IpAddr, Vec<Route>>,
    last_id: u64,
    unexpected: u64,
}

struct Route {
    id: u64,
    /// The camera's port, which distinguishes cameras with the same address.
    port: u16,
    assembler: Assembler,
    pictures: mpsc::Sender<Outcome>,
    /// Counts discarded pictures.
    sink: FrameSink,
}

struct Socket {
    socket: Arc<UdpSocket>,
    receiving: JoinHandle<()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.receiving.abort();
    }
}

/// A camera's entry in the table, removed on drop.
pub(super) struct Registration {
    hub: Hub,
    socket: Arc<Socket>,
    camera: SocketAddr,
    id: u64,
    pictures: mpsc::Receiver<Outcome>,
}

impl Hub {
    /// A hub without an open socket. It opens the socket for the first camera with a watcher.
    pub fn new(settings: UdpSettings, max_picture: usize) -> Self {
        let (open, routes) = (tokio::sync::Mutex::default(), Mutex::default());
        Hub(Arc::new(Inner { settings, max_picture, open, routes }))
    }

    pub(super) fn settings(&self) -> &UdpSettings {
        &self.0.settings
    }

    /// Datagrams from addresses that got no request, since the start.
    pub fn unexpected(&self) -> u64 {
        self.0.routes.lock().unexpected
    }

    /// The local address of the socket, while it is open.
    pub async fn local_addr(&self) -> Option<SocketAddr> {
        self.0.open.lock().await.upgrade()?.socket.local_addr().ok()
    }

    /// Expects pictures from the camera.
    pub(super) async fn register(&self, camera: SocketAddr, sink: &FrameSink) -> io::Result<Registration> {
        let socket = self.socket().await?;
        let camera = SocketAddr::new(camera.ip().to_canonical(), camera.port());
        let (send, pictures) = mpsc::channel(WAITING_PICTURES);
        let mut routes = self.0.routes.lock();
        routes.last_id += 1;
        let id = routes.last_id;
        let assembler = Assembler::new(self.0.max_picture);
        let route = Route { id, port: camera.port(), assembler, pictures: send, sink: sink.clone() };
        routes.by_ip.entry(camera.ip()).or_default().push(route);
        drop(routes);
        Ok(Registration { hub: self.clone(), socket, camera, id, pictures })
    }

    async fn socket(&self) -> io::Result<Arc<Socket>> {
        let mut open = self.0.open.lock().await;
        if let Some(socket) = open.upgrade() {
            return Ok(socket);
        }
        let listen = self.0.settings.listen;
        let domain = socket2::Domain::for_address(listen);
        let raw = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
        // Fails above the kernel's limit; the default is then used.
        let _ = raw.set_recv_buffer_size(RECEIVE_BUFFER);
        raw.set_nonblocking(true)?;
        raw.bind(&listen.into()).map_err(|e| {
            io::Error::new(e.kind(), format!("cannot listen for cameras on udp {listen} (udp.listen): {e}"))
        })?;
        let socket = Arc::new(UdpSocket::from_std(raw.into())?);
        let receiving = tokio::spawn(receive(socket.clone(), Arc::downgrade(&self.0)));
        let socket = Arc::new(Socket { socket, receiving });
        *open = Arc::downgrade(&socket);
        Ok(socket)
    }
}

async fn receive(socket: Arc<UdpSocket>, hub: Weak<Inner>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let Some(hub) = hub.upgrade() else { return };
                // A panic over the datagrams of one camera must not take the pictures of the others.
                let dispatch = AssertUnwindSafe(|| hub.dispatch(&buffer[..length], from));
                if let Err(panic) = catch_unwind(dispatch) {
                    tracing::error!(%from, "a datagram of a camera caused a panic: {}", message(&*panic));
                }
            }
            // An ICMP error of an earlier send. The socket still works.
            Err(e) => tracing::debug!("udp cameras: {e}"),
        }
    }
}

impl Inner {
    /// Gives a datagram to the camera from which it came.
    fn dispatch(&self, datagram: &[u8], from: SocketAddr) {
        let mut routes = self.routes.lock();
        let Some(expected) = routes.by_ip.get_mut(&from.ip().to_canonical()) else {
            routes.unexpected += 1;
            return;
        };
        faults::pass("datagram of a camera", &from.ip().to_string());
        let now = Instant::now();
        // Firmware can answer from any port. The port matters only for cameras with the same address.
        let exact = expected.iter().any(|route| route.port == from.port());
        for route in expected.iter_mut().filter(|route| !exact || route.port == from.port()) {
            for outcome in route.assembler.push(datagram, now) {
                if let Outcome::Dropped(why) = outcome {
                    route.sink.damaged(why);
                }
                // The channel is full when the stream is still busy with older pictures. This one is dropped, as
                // for every slow reader.
                let _ = route.pictures.try_send(outcome);
            }
        }
    }
}

impl Registration {
    /// The next picture of the camera, or the reason why one was discarded. Cancel-safe.
    pub(super) async fn next(&mut self) -> Outcome {
        match self.pictures.recv().await {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    /// Sends a request for a picture, with the advertised address.
    pub(super) async fn ask(&self) -> io::Result<()> {
        let local = self.socket.socket.local_addr()?;
        let (ip, port) = match self.hub.settings().advertised() {
            Some((ip, port)) => (ip, port.unwrap_or(local.port())),
            None => (address_towards(self.camera)?, local.port()),
        };
        let request = serde_json::json!({ "ipaddress": ip, "port": port }).to_string();
        self.socket.socket.send_to(request.as_bytes(), self.camera).await.map(drop)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut routes = self.hub.0.routes.lock();
        if let Some(expected) = routes.by_ip.get_mut(&self.camera.ip()) {
            expected.retain(|route| route.id != self.id);
            if expected.is_empty() {
                routes.by_ip.remove(&self.camera.ip());
            }
        }
    }
}

/// The local address on the route to the camera. Connecting a UDP socket sends nothing and lets the kernel choose
/// it.
fn address_towards(camera: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = if camera.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let probe = StdUdpSocket::bind(any)?;
    probe.connect(camera)?;
    Ok(probe.local_addr()?.ip())
}

/// The bytes of [`Outcome::Picture`].
pub(super) type Encoded = Bytes;
