//! One client of our endpoint: MQTT in the binary messages of a WebSocket (MQTT 3.1.1, section 6). A message of the WebSocket can hold
//! several packets, or a part of one.
//!
//! The connection is one task. While the client takes no bytes, no further video is made: a feed that is read slowly continues with the
//! newest keyframe, so that nothing queues.

use std::{future::pending, sync::Arc};

use actix_http::ws::CloseCode;
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Duration, Instant, sleep_until},
};

use super::{
    Client, Shared,
    desk::{Bounds, Desk, Out},
    packet::{self, ConnectCode, Fault, Packet, Version, connack},
    request,
    session::{Asked, Session},
    source::Visitor,
};
use crate::{
    error::Code,
    foreign,
    policy::Credentials,
    server::Place,
    websocket::{self, Incoming, Socket},
};

/// Longest message of the WebSocket. It can hold several packets.
const MAX_MESSAGE: usize = 64 << 10;

/// Most bytes of a client's identifier. The protocol permits 65,535, which no client uses.
const MAX_CLIENT_ID: usize = 1024;

/// The bounds of one client: the page has one request or video at a time. A message of video has room for two seconds at 16 Mbit/s.
const BOUNDS: Bounds = Bounds { jobs: 8, message: 4 << 20, ttl: None };

/// How long a connection without a video waits for its client, in ticks of a second: its own timers end it, and it makes room for
/// others meanwhile.
const WAITING: u32 = 86_400;

/// The code with which the server closes a connection, and the reason.
type Ending = (CloseCode, &'static str);

/// How a connection ends.
#[derive(Debug)]
enum End {
    /// The client is gone: nothing can be said.
    Gone,
    /// The server closes it.
    Close(Ending),
}

impl End {
    fn protocol(rule: &'static str) -> Self {
        End::Close((CloseCode::Protocol, rule))
    }
}

/// Serves a client until it leaves.
pub(super) async fn serve<T>(shared: &Arc<Shared>, io: T, client: Client, place: Option<Place>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let _counted = shared.metrics.mqtt_video().connected();
    let mut wire = Wire { socket: Socket::new(io, MAX_MESSAGE, shared.stall_timeout), buffer: BytesMut::new() };
    if let Some(place) = &place {
        place.wait(WAITING);
    }
    let remote = client.remote.clone();
    match serve_on(shared, &mut wire, client, place.as_ref()).await {
        End::Gone => tracing::debug!("the MQTT client {remote} is gone"),
        End::Close((code, reason)) => {
            tracing::debug!("the connection of the MQTT client {remote} ends: {reason}");
            wire.socket.close(code, reason).await;
        }
    }
}

/// Waits for the end of the program, or until the connection must make room.
async fn must_end(shared: &Shared, place: Option<&Place>) -> End {
    let displaced = async {
        match place {
            Some(place) => place.ended().await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = shared.shutdown.asked() => End::Close((CloseCode::Away, "the server is shutting down")),
        () = displaced => End::Close((CloseCode::Again, "the connection made room for others")),
    }
}

async fn serve_on<T>(shared: &Arc<Shared>, wire: &mut Wire<T>, client: Client, place: Option<&Place>) -> End
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (keep_alive, visitor) = match connect(shared, wire, client, place).await {
        Ok(connected) => connected,
        Err(end) => return end,
    };
    let mut connection = Connection {
        shared,
        place,
        session: Session::default(),
        desk: Desk::new(Box::new(visitor), BOUNDS),
        out: BytesMut::new(),
        keep_alive,
        heard_at: Instant::now(),
    };
    // Packets can have arrived with CONNECT.
    let mut step = connection.take(wire);
    loop {
        // A client that has asked for a video no longer makes room.
        if let Some(place) = place {
            if connection.desk.is_idle() { place.wait(WAITING) } else { place.serve() }
        }
        if let Err(end) = step {
            return end;
        }
        step = connection.step(wire).await;
    }
}

/// Waits for CONNECT and answers it. Returns the longest pause between two packets of the client, and the client as a visitor.
async fn connect<T>(
    shared: &Arc<Shared>,
    wire: &mut Wire<T>,
    client: Client,
    place: Option<&Place>,
) -> Result<(Option<Duration>, Visitor), End>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let refuse = async |wire: &mut Wire<T>, code, reason| {
        let mut out = BytesMut::new();
        connack(&mut out, code);
        let _ = wire.socket.binary(&out).await;
        Err(End::Close((CloseCode::Policy, reason)))
    };
    let deadline = Instant::now() + shared.connect_timeout;
    let connect = loop {
        match packet::decode(&mut wire.buffer) {
            Ok(Some(Packet::Connect(connect))) => break connect,
            Ok(Some(_)) => return Err(End::protocol("the first packet is not CONNECT")),
            Err(Fault::Version) => {
                return refuse(wire, ConnectCode::Version, "only MQTT 3.1 and 3.1.1 are spoken here").await;
            }
            Err(fault) => return Err(fault_end(fault)),
            Ok(None) => {}
        }
        let waited = tokio::select! {
            waited = wire.wait() => waited,
            () = sleep_until(deadline) => return Err(End::protocol("no CONNECT in time")),
            end = must_end(shared, place) => return Err(end),
        };
        wire.take(waited).await?;
    };
    // 3.1.1, section 3.1.3.1; 3.1, section 3.1.
    let needs_id = connect.version == Version::V31 || !connect.is_clean;
    if connect.client_id.len() > MAX_CLIENT_ID || needs_id && connect.client_id.is_empty() {
        return refuse(wire, ConnectCode::ClientId, "the client identifier is empty or too long").await;
    }
    let Client { mut caller, remote, mut may_make } = client;
    let shown = Credentials { user: connect.user.unwrap_or_default(), password: connect.pass.unwrap_or_default() };
    if !shown.is_empty() {
        (caller.credentials, may_make) = (shown, true);
    }
    if !caller.credentials.is_empty()
        && let Err(e) = shared.access.permissions_of(&caller, "MQTT CONNECT").await
    {
        let code = match e.code() {
            Code::Unavailable => ConnectCode::Unavailable,
            Code::TooManyFailures => ConnectCode::NotAuthorized,
            _ => ConnectCode::Credentials,
        };
        let reason = match code {
            ConnectCode::Unavailable => "the password could not be verified now",
            ConnectCode::NotAuthorized => "too many wrong passwords",
            _ => "wrong user name, password or token",
        };
        return refuse(wire, code, reason).await;
    }
    let mut out = BytesMut::new();
    connack(&mut out, ConnectCode::Accepted);
    wire.socket.binary(&out).await.map_err(|_| End::Gone)?;
    tracing::debug!("the MQTT client {} connects from {remote}", foreign::shown(&connect.client_id));
    // One and a half times the keep-alive (3.1.1, section 3.1.2.10). The will has no receiver: the connection's videos end with it.
    let keep_alive = (connect.keep_alive > 0).then(|| Duration::from_millis(1500 * u64::from(connect.keep_alive)));
    Ok((keep_alive, Visitor { shared: shared.clone(), caller, remote, may_make }))
}

fn fault_end(fault: Fault) -> End {
    match fault {
        Fault::TooLarge => End::Close((CloseCode::Size, "the packet is too large")),
        Fault::Version => End::protocol("another version of MQTT"),
        Fault::Malformed(rule) => End::protocol(rule),
    }
}

/// A connection after CONNECT.
struct Connection<'a> {
    shared: &'a Shared,
    place: Option<&'a Place>,
    session: Session,
    desk: Desk,
    /// Packets that are to be sent.
    out: BytesMut,
    /// The longest pause between two packets of the client.
    keep_alive: Option<Duration>,
    heard_at: Instant,
}

impl Connection<'_> {
    /// Sends what is to be sent, waits for what comes next, and does it.
    async fn step<T: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<T>) -> Result<(), End> {
        if !self.out.is_empty() {
            wire.socket.binary(&self.out.split()).await.map_err(|_| End::Gone)?;
        }
        let silent_at = self.keep_alive.map(|longest| self.heard_at + longest);
        let stalled_at = self.session.unacknowledged_since().map(|since| since + self.shared.stall_timeout);
        let has_room = self.session.has_room();
        let mut waited = None;
        tokio::select! {
            arrived = wire.wait() => waited = Some(arrived),
            message = self.desk.next(), if has_room => self.send(message),
            end = must_end(self.shared, self.place) => return Err(end),
            () = at(silent_at) => return Err(End::protocol("no packet within one and a half times the keep-alive")),
            () = at(stalled_at) => return Err(End::protocol("messages are not acknowledged in time")),
        }
        if let Some(waited) = waited
            && wire.take(waited).await?
        {
            self.take(wire)?;
        }
        Ok(())
    }

    /// Takes all packets that have arrived.
    fn take<T>(&mut self, wire: &mut Wire<T>) -> Result<(), End> {
        while let Some(packet) = packet::decode(&mut wire.buffer).map_err(fault_end)? {
            self.heard_at = Instant::now();
            match self.session.take(packet, &mut self.out).map_err(End::protocol)? {
                Asked::Nothing => {}
                Asked::Unsubscribed => self.desk.keep(|topic| self.session.has_subscribed(topic)),
                Asked::Leaves => return Err(End::Close((CloseCode::Normal, ""))),
                Asked::Message(message) => match request::read(&message.topic, &message.payload) {
                    Ok(Some(request)) => {
                        self.shared.metrics.mqtt_video().requested();
                        if let Some(answer) = self.desk.take(request) {
                            self.send(answer);
                        }
                    }
                    Ok(None) => tracing::debug!("a message to {} has no receiver", foreign::shown(&message.topic)),
                    Err(e) => {
                        let topic = foreign::shown(&message.topic);
                        tracing::debug!("a message to {topic} is not answered: {}", foreign::shown(&e.to_string()));
                    }
                },
            }
        }
        Ok(())
    }

    fn send(&mut self, message: Out) {
        match message {
            Out::Answer { topic, body } => drop(self.session.send(topic, body.into(), &mut self.out)),
            Out::Video { topic, data, .. } => {
                if !self.session.send(topic.clone(), data, &mut self.out) {
                    // The client has not subscribed to it since it has asked.
                    self.desk.keep(|kept| kept != topic);
                }
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// The WebSocket, and bytes of packets that are not whole.
struct Wire<T> {
    socket: Socket<T>,
    buffer: BytesMut,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    /// Waits for a message, or until a ping is due. Cancel-safe.
    async fn wait(&mut self) -> Waited {
        let ping_due = self.socket.ping_due();
        tokio::select! {
            incoming = self.socket.receive() => Waited::Received(incoming),
            () = sleep_until(ping_due) => Waited::PingDue,
        }
    }

    /// Takes what was waited for. Returns whether further bytes arrived. Not cancel-safe: a frame that is begun must be ended.
    async fn take(&mut self, waited: Waited) -> Result<bool, End> {
        let sent = match waited {
            Waited::PingDue => self.socket.keep_alive().await,
            Waited::Received(Ok(Incoming::Ping(data))) => self.socket.pong(&data).await,
            Waited::Received(Ok(Incoming::Pong)) => Ok(()),
            Waited::Received(Ok(Incoming::Binary(data))) => {
                self.buffer.extend_from_slice(&data);
                return Ok(true);
            }
            Waited::Received(Ok(Incoming::Text(_))) => {
                return Err(End::Close((CloseCode::Unsupported, "packets of MQTT are binary messages")));
            }
            Waited::Received(Ok(Incoming::Close)) => {
                self.socket.answer_close().await;
                return Err(End::Gone);
            }
            Waited::Received(Err(fault)) => return Err(fault.close().map_or(End::Gone, End::Close)),
        };
        sent.map(|()| false).map_err(|_| End::Gone)
    }
}

/// What a [`Wire`] waits for.
enum Waited {
    Received(Result<Incoming, websocket::Fault>),
    PingDue,
}
