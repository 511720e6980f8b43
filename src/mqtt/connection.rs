//! One connection to the broker: the only module that knows the MQTT library.
//!
//! Each connection has a client of its own, so that nothing that was sent before a disconnection is sent again: a broker that
//! ends the connection at a message would get the same message for ever.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use parking_lot::Mutex;
use rumqttc::{
    AsyncClient, ClientError, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing,
    Packet, PublishOptions, QoS, StateError, SubscribeReasonCode,
};
use tokio::time::{Duration, Instant};

use super::{Inner, State, inbox::Received, outbox::Message, settings::Broker, sieve::Sieve};

/// Requests that the library holds. All others wait in the outbox, where a newer picture replaces them.
const HELD: usize = 2;

/// The interval of pings, in seconds. After one and a half of it the broker takes a silent client for dead.
const KEEP_ALIVE: u16 = 30;

/// Bytes of a packet besides the payload: header and topic.
const PACKET_EXTRA: usize = 2 << 10;

/// Largest packet of the protocol; our own limit is below.
const MAX_OUTGOING: usize = 256 << 20;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The program ends.
    Closed,
    /// The broker does not admit this client.
    Refused(String),
    /// The broker ended the connection at a message that was probably too large; the limit is smaller now.
    TooLarge(String),
    /// There is no connection, or no longer.
    Lost(String),
}

/// Connects, and serves the connection until it ends.
pub(super) async fn serve(inner: &Arc<Inner>, broker: &Broker) -> End {
    let (client, mut events) = match AsyncClient::builder(options(inner, broker)).capacity(HELD).try_build() {
        Ok(built) => built,
        Err(e) => return End::Lost(e.to_string()),
    };
    match events.poll().await {
        Ok(Event::Incoming(Packet::ConnAck(_))) => {}
        Ok(_) => return End::Lost("the broker answers with something else than CONNACK".into()),
        Err(e) => return explain(e, inner),
    }
    inner.outbox.clear();
    inner.inbox.begin();
    inner.outbox.put(Message::state(inner.available_topic(), "online"));
    inner.tell(State::Connected, format!("connected to {broker}"));
    let requested = Mutex::default();
    let end = tokio::select! {
        end = receive(inner, &mut events, &requested) => end,
        end = send(inner, &client, &requested) => match end {
            // The library has the request; the connection goes on until it is sent.
            Ok(()) => match tokio::time::timeout(LAST_WORDS, receive(inner, &mut events, &requested)).await {
                Ok(_) | Err(_) => End::Closed,
            },
            Err(e) => End::Lost(format!("the connection ended: {e}")),
        },
    };
    let is_too_large = inner.limit.lock().ended();
    match end {
        End::Lost(reason) if is_too_large => {
            let most = inner.largest_payload();
            End::TooLarge(format!("{reason} at a large message; the limit is now {most} bytes (mqtt.max_packet)"))
        }
        end => end,
    }
}

/// How long the last messages can take at the end of the program.
const LAST_WORDS: Duration = Duration::from_secs(1);

fn options(inner: &Arc<Inner>, broker: &Broker) -> MqttOptions {
    let settings = &inner.settings;
    let mut options = MqttOptions::new(inner.client_id.clone(), (broker.host.clone(), broker.port));
    options.set_keep_alive(KEEP_ALIVE).set_clean_session(true);
    options.set_max_packet_size(inner.max_incoming + PACKET_EXTRA, MAX_OUTGOING);
    options.set_last_will(LastWill::new(inner.available_topic(), "offline", QoS::AtLeastOnce, true));
    if !settings.user.is_empty() {
        options.set_credentials(settings.user.clone(), Bytes::copy_from_slice(settings.pass.expose().as_bytes()));
    }
    let (inner, broker) = (inner.clone(), broker.clone());
    options.set_socket_connector(move |_, _| {
        let (inner, broker) = (inner.clone(), broker.clone());
        async move {
            let opened = inner.fetch.open(&broker.host, broker.port, broker.tls.as_ref()).await;
            let socket = opened.map_err(|e| io::Error::other(e.to_string()))?;
            let (limit, inbox) = (inner.max_incoming, inner.inbox.clone());
            let report = move |topic: &str, bytes| {
                let why = format!("a message of {bytes} bytes was left out: more than {limit} (limits.frame_size)");
                inbox.left_out(topic, &why);
            };
            Ok(Sieve::new(socket, limit, Box::new(report)))
        }
    });
    options
}

/// Filters in the order in which they were requested, until the library gives each a packet identifier.
type Requested = Mutex<VecDeque<String>>;

/// Receives until the connection ends.
async fn receive(inner: &Inner, events: &mut EventLoop, requested: &Requested) -> End {
    let mut asked = HashMap::new();
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(message))) => {
                let Ok(topic) = std::str::from_utf8(&message.topic) else { continue };
                if topic == inner.available_topic() && message.payload != "online" {
                    // The will of an earlier connection, which the broker took for lost later than we did.
                    inner.outbox.put(Message::state(topic.to_owned(), "online"));
                }
                inner.inbox.deliver(&Received {
                    topic: topic.to_owned(),
                    // A copy: the library's buffer holds neighbouring packets, too.
                    payload: Bytes::copy_from_slice(&message.payload),
                    is_retained: message.retain,
                    at: Instant::now(),
                    time: SystemTime::now(),
                });
            }
            Ok(Event::Outgoing(Outgoing::Subscribe(id))) => {
                if let Some(filter) = requested.lock().pop_front() {
                    asked.insert(id, filter);
                }
            }
            Ok(Event::Incoming(Packet::SubAck(answer))) => {
                let filter = asked.remove(&answer.pkid);
                if let Some(filter) = filter.filter(|_| answer.return_codes.contains(&SubscribeReasonCode::Failure)) {
                    inner.inbox.refused(&filter);
                }
            }
            Ok(Event::Incoming(Packet::PubAck(_))) => inner.limit.lock().acknowledged(),
            Ok(_) => {}
            Err(e) => return explain(e, inner),
        }
    }
}

/// Sends subscriptions and messages as they come, until the program ends.
async fn send(inner: &Inner, client: &AsyncClient, requested: &Requested) -> Result<(), ClientError> {
    let mut closing = inner.closing.subscribe();
    client.subscribe(inner.available_topic(), QoS::AtMostOnce).await?;
    requested.lock().push_back(inner.available_topic());
    loop {
        while let Some((filter, is_wanted)) = inner.inbox.next_change() {
            if is_wanted {
                requested.lock().push_back(filter.clone());
                client.subscribe(filter, QoS::AtMostOnce).await?;
            } else {
                client.unsubscribe(filter).await?;
            }
        }
        if let Some(message) = inner.outbox.take() {
            publish(inner, client, message).await?;
            continue;
        }
        tokio::select! {
            () = inner.outbox.changed() => {}
            _ = closing.wait_for(|closing| *closing) => break,
        }
    }
    let farewell = Message::state(inner.available_topic(), "offline");
    publish(inner, client, farewell).await?;
    client.disconnect().await
}

async fn publish(inner: &Inner, client: &AsyncClient, message: Message) -> Result<(), ClientError> {
    inner.limit.lock().sent(message.payload.len(), message.acknowledged);
    let options = if message.acknowledged { PublishOptions::at_least_once() } else { PublishOptions::at_most_once() };
    client.publish(message.topic, message.payload, options.retain(message.retain)).await
}

/// The reason in words. Neither has the password: the library's errors have none.
fn explain(e: ConnectionError, inner: &Inner) -> End {
    match e {
        ConnectionError::ConnectionRefused(code) => End::Refused(match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                match inner.settings.user.as_str() {
                    "" => "the broker wants a user and a password (mqtt.user, mqtt.pass)".into(),
                    user => format!(
                        "the broker refuses the user {user}: wrong password, or not permitted (mqtt.user, mqtt.pass)"
                    ),
                }
            }
            ConnectReturnCode::BadClientId => {
                format!("the broker refuses the client identifier {} (mqtt.client_id)", inner.client_id)
            }
            ConnectReturnCode::RefusedProtocolVersion => "the broker does not speak MQTT 3.1.1".into(),
            _ => "the broker is not available".into(),
        }),
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            End::Lost("the broker closed the connection".into())
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => End::Lost("the broker does not answer".into()),
        ConnectionError::MqttState(StateError::Io(e)) | ConnectionError::Io(e) => End::Lost(e.to_string()),
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            End::Lost("the broker does not answer in time".into())
        }
        other => End::Lost(other.to_string()),
    }
}

/// The sizes of the payloads that the library reads; for tests with foreign bytes.
#[cfg(any(test, fuzzing))]
pub(super) fn payloads(data: &[u8], most: usize) -> Vec<usize> {
    let mut stream = bytes::BytesMut::from(data);
    let packets = std::iter::from_fn(|| Packet::read(&mut stream, most).ok());
    packets
        .filter_map(|packet| if let Packet::Publish(message) = packet { Some(message.payload.len()) } else { None })
        .collect()
}
