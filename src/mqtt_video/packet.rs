//! Packets of MQTT 3.1 and 3.1.1, as a server reads and writes them.
//!
//! The library of `mqtt` reads the packets of 3.1.1 only, and browsers of 2017 begin again with 3.1 when the first connection fails.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{mqtt::topic, secret::Secret};

/// Most bytes of a client's packet behind its fixed header. A request of the video protocol has some hundred.
pub(super) const MAX_PACKET: usize = 16 << 10;

/// How a message is delivered: 0 at most once, 1 at least once, 2 exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum QoS {
    AtMostOnce = 0,
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

impl QoS {
    fn of(bits: u8) -> Result<Self, Fault> {
        match bits {
            0 => Ok(QoS::AtMostOnce),
            1 => Ok(QoS::AtLeastOnce),
            2 => Ok(QoS::ExactlyOnce),
            _ => Err(Fault::Malformed("the QoS is none of 0, 1 and 2")),
        }
    }
}

/// A packet of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Connect(Connect),
    Publish(Publish),
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    Subscribe { id: u16, filters: Vec<(String, QoS)> },
    Unsubscribe { id: u16, filters: Vec<String> },
    PingReq,
    Disconnect,
}

/// The first packet of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connect {
    pub(super) version: Version,
    pub(super) is_clean: bool,
    /// In seconds; 0 for no limit.
    pub(super) keep_alive: u16,
    pub(super) client_id: String,
    pub(super) will: Option<Publish>,
    pub(super) user: Option<String>,
    pub(super) pass: Option<Secret>,
}

/// The version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// 3.1, `MQIsdp`.
    V31 = 3,
    /// 3.1.1.
    V311 = 4,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publish {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) is_retained: bool,
    pub(super) is_duplicate: bool,
    /// Without meaning for QoS 0.
    pub(super) id: u16,
}

/// Why the bytes of a client are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The packet is larger than [`MAX_PACKET`].
    TooLarge,
    /// The client speaks another version of the protocol.
    Version,
    /// The packet is not valid, and why.
    Malformed(&'static str),
}

/// The types of packets (MQTT 3.1.1, section 2.2.1).
mod kind {
    pub(super) const CONNECT: u8 = 1;
    pub(super) const CONNACK: u8 = 2;
    pub(super) const PUBLISH: u8 = 3;
    pub(super) const PUBACK: u8 = 4;
    pub(super) const PUBREC: u8 = 5;
    pub(super) const PUBREL: u8 = 6;
    pub(super) const PUBCOMP: u8 = 7;
    pub(super) const SUBSCRIBE: u8 = 8;
    pub(super) const SUBACK: u8 = 9;
    pub(super) const UNSUBSCRIBE: u8 = 10;
    pub(super) const UNSUBACK: u8 = 11;
    pub(super) const PINGREQ: u8 = 12;
    pub(super) const PINGRESP: u8 = 13;
    pub(super) const DISCONNECT: u8 = 14;
}

/// Takes the next packet off the buffer; none if more of it must be received. The buffer needs room for a packet of [`MAX_PACKET`]
/// bytes and its fixed header at most, because the length is checked before the packet is whole.
pub(super) fn decode(buffer: &mut BytesMut) -> Result<Option<Packet>, Fault> {
    let Some((first, rest)) = buffer.split_first() else { return Ok(None) };
    let (mut length, mut header) = (0_usize, None);
    for (n, byte) in rest.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * n);
        if length > MAX_PACKET {
            return Err(Fault::TooLarge);
        }
        if byte & 0x80 == 0 {
            header = Some(n + 2);
            break;
        }
        if n == 3 {
            return Err(Fault::Malformed("the length has more than four bytes"));
        }
    }
    let Some(header) = header.filter(|header| buffer.len() >= header + length) else { return Ok(None) };
    let first = *first;
    let mut packet = buffer.split_to(header + length);
    packet.advance(header);
    // A copy: the buffer is used again, and a message can be kept.
    let mut body = Body(Bytes::copy_from_slice(&packet));
    let read = read(first >> 4, first & 0x0f, &mut body)?;
    match body.0.is_empty() {
        true => Ok(Some(read)),
        false => Err(Fault::Malformed("bytes follow the end of the packet")),
    }
}

fn read(kind: u8, flags: u8, body: &mut Body) -> Result<Packet, Fault> {
    let expected = match kind {
        kind::PUBLISH => flags,
        // 3.1 has DUP here (its section 2.1), 3.1.1 always this value.
        kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE => 0b0010 | flags & 0b1000,
        _ => 0,
    };
    if flags != expected {
        return Err(Fault::Malformed("the flags of the fixed header are wrong"));
    }
    Ok(match kind {
        kind::CONNECT => Packet::Connect(connect(body)?),
        kind::PUBLISH => Packet::Publish(publish(flags, body)?),
        kind::PUBACK => Packet::PubAck(body.id()?),
        kind::PUBREC => Packet::PubRec(body.id()?),
        kind::PUBREL => Packet::PubRel(body.id()?),
        kind::PUBCOMP => Packet::PubComp(body.id()?),
        kind::SUBSCRIBE => {
            let (id, mut filters) = (body.id()?, vec![]);
            while filters.is_empty() || !body.0.is_empty() {
                filters.push((body.text()?, QoS::of(body.byte()?)?));
            }
            Packet::Subscribe { id, filters }
        }
        kind::UNSUBSCRIBE => {
            let (id, mut filters) = (body.id()?, vec![]);
            while filters.is_empty() || !body.0.is_empty() {
                filters.push(body.text()?);
            }
            Packet::Unsubscribe { id, filters }
        }
        kind::PINGREQ => Packet::PingReq,
        kind::DISCONNECT => Packet::Disconnect,
        _ => return Err(Fault::Malformed("no client sends a packet of this type")),
    })
}

fn connect(body: &mut Body) -> Result<Connect, Fault> {
    let name = body.text()?;
    let version = match (name.as_str(), body.byte()?) {
        ("MQTT", 4) => Version::V311,
        ("MQIsdp", 3) => Version::V31,
        ("MQTT" | "MQIsdp", _) => return Err(Fault::Version),
        _ => return Err(Fault::Malformed("the protocol is not MQTT")),
    };
    let flags = body.byte()?;
    let has = |bit: u8| flags & bit != 0;
    if has(0x01) && version == Version::V311 {
        return Err(Fault::Malformed("the reserved flag of CONNECT is set"));
    }
    let (has_will, has_user, has_pass) = (has(0x04), has(0x80), has(0x40));
    if has_pass && !has_user {
        return Err(Fault::Malformed("a password needs a user name, which can be empty"));
    }
    let (qos, is_retained) = (QoS::of(flags >> 3 & 0b11)?, has(0x20));
    if !has_will && (is_retained || qos != QoS::AtMostOnce) {
        return Err(Fault::Malformed("flags of a will are set, and there is none"));
    }
    let (keep_alive, client_id) = (body.number()?, body.text()?);
    let will = match has_will {
        true => {
            let (topic, payload) = (body.topic()?, body.bytes()?);
            Some(Publish { topic, payload, qos, is_retained, is_duplicate: false, id: 0 })
        }
        false => None,
    };
    let user = has_user.then(|| body.text()).transpose()?;
    let pass = has_pass.then(|| body.bytes()).transpose()?;
    let pass = pass.map(|pass| Secret::new(String::from_utf8_lossy(&pass).into_owned()));
    Ok(Connect { version, is_clean: has(0x02), keep_alive, client_id, will, user, pass })
}

fn publish(flags: u8, body: &mut Body) -> Result<Publish, Fault> {
    let (qos, is_duplicate) = (QoS::of(flags >> 1 & 0b11)?, flags & 0b1000 != 0);
    if is_duplicate && qos == QoS::AtMostOnce {
        return Err(Fault::Malformed("a message with QoS 0 is never a duplicate"));
    }
    let topic = body.topic()?;
    let id = if qos == QoS::AtMostOnce { 0 } else { body.id()? };
    let payload = std::mem::take(&mut body.0);
    Ok(Publish { topic, payload, qos, is_retained: flags & 1 != 0, is_duplicate, id })
}

/// What was not read yet of a packet.
struct Body(Bytes);

impl Body {
    fn byte(&mut self) -> Result<u8, Fault> {
        self.0.try_get_u8().map_err(|_| Fault::Malformed("the packet is too short"))
    }

    fn number(&mut self) -> Result<u16, Fault> {
        self.0.try_get_u16().map_err(|_| Fault::Malformed("the packet is too short"))
    }

    /// A packet identifier, which is never 0.
    fn id(&mut self) -> Result<u16, Fault> {
        match self.number()? {
            0 => Err(Fault::Malformed("a packet identifier is 0")),
            id => Ok(id),
        }
    }

    /// Bytes behind their length.
    fn bytes(&mut self) -> Result<Bytes, Fault> {
        let length = usize::from(self.number()?);
        match length <= self.0.len() {
            true => Ok(self.0.split_to(length)),
            false => Err(Fault::Malformed("the packet is too short")),
        }
    }

    fn text(&mut self) -> Result<String, Fault> {
        let bytes = self.bytes()?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Fault::Malformed("a text is not UTF-8"))?;
        match text.contains('\0') {
            true => Err(Fault::Malformed("a text has a NUL")),
            false => Ok(text.to_owned()),
        }
    }

    fn topic(&mut self) -> Result<String, Fault> {
        let topic = self.text()?;
        match topic::check_name(&topic) {
            Ok(()) => Ok(topic),
            Err(_) => Err(Fault::Malformed("a topic is empty, too long, or has wildcards or control characters")),
        }
    }
}

/// The answer to CONNECT (section 3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectCode {
    Accepted = 0,
    Version = 1,
    ClientId = 2,
    Unavailable = 3,
    Credentials = 4,
    NotAuthorized = 5,
}

/// The answer of SUBSCRIBE for a filter that is refused.
pub(super) const REFUSED: u8 = 0x80;

/// Writes the answer to CONNECT. There is never a session of before.
pub(super) fn connack(out: &mut BytesMut, code: ConnectCode) {
    out.put_slice(&[kind::CONNACK << 4, 2, 0, code as u8]);
}

/// An acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Unsubscribed,
}

/// Writes an acknowledgement.
pub(super) fn ack(out: &mut BytesMut, ack: Ack, id: u16) {
    let first = match ack {
        Ack::PubAck => kind::PUBACK << 4,
        Ack::PubRec => kind::PUBREC << 4,
        Ack::PubRel => kind::PUBREL << 4 | 0b0010,
        Ack::PubComp => kind::PUBCOMP << 4,
        Ack::Unsubscribed => kind::UNSUBACK << 4,
    };
    out.put_slice(&[first, 2]);
    out.put_u16(id);
}

/// Writes the answer to SUBSCRIBE: the granted QoS of each filter, or [`REFUSED`].
pub(super) fn suback(out: &mut BytesMut, id: u16, codes: &[u8]) {
    out.put_u8(kind::SUBACK << 4);
    put_length(out, 2 + codes.len());
    out.put_u16(id);
    out.put_slice(codes);
}

/// Writes the answer to a ping.
pub(super) fn pong(out: &mut BytesMut) {
    out.put_slice(&[kind::PINGRESP << 4, 0]);
}

/// Writes a message. The topic has been checked, and the payload is at most some MiB.
pub(super) fn put_publish(out: &mut BytesMut, message: &Publish) {
    let Publish { topic, payload, qos, is_retained, is_duplicate, id } = message;
    let has_id = *qos != QoS::AtMostOnce;
    out.reserve(topic.len() + payload.len() + 16);
    out.put_u8(kind::PUBLISH << 4 | u8::from(*is_duplicate) << 3 | (*qos as u8) << 1 | u8::from(*is_retained));
    put_length(out, 2 + topic.len() + if has_id { 2 } else { 0 } + payload.len());
    put_text(out, topic);
    if has_id {
        out.put_u16(*id);
    }
    out.put_slice(payload);
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

fn put_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let byte = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            out.put_u8(byte);
            return;
        }
        out.put_u8(byte | 0x80);
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
#[cfg(test)]
mod tests;
