//! Properties of packets: for tests and for fuzzing.

use super::*;
use crate::portions;

impl Packet {
    /// Writes a packet as a client does.
    pub(in crate::mqtt_video) fn put(&self, out: &mut BytesMut) {
        let mut body = BytesMut::new();
        let first = match self {
            Packet::Publish(message) => return put_publish(out, message),
            Packet::PubAck(id) => return ack(out, Ack::PubAck, *id),
            Packet::PubRec(id) => return ack(out, Ack::PubRec, *id),
            Packet::PubRel(id) => return ack(out, Ack::PubRel, *id),
            Packet::PubComp(id) => return ack(out, Ack::PubComp, *id),
            Packet::PingReq => kind::PINGREQ << 4,
            Packet::Disconnect => kind::DISCONNECT << 4,
            Packet::Connect(connect) => {
                put_connect(&mut body, connect);
                kind::CONNECT << 4
            }
            Packet::Subscribe { id, filters } => {
                body.put_u16(*id);
                for (filter, qos) in filters {
                    put_text(&mut body, filter);
                    body.put_u8(*qos as u8);
                }
                kind::SUBSCRIBE << 4 | 2
            }
            Packet::Unsubscribe { id, filters } => {
                body.put_u16(*id);
                filters.iter().for_each(|filter| put_text(&mut body, filter));
                kind::UNSUBSCRIBE << 4 | 2
            }
        };
        out.put_u8(first);
        put_length(out, body.len());
        out.put_slice(&body);
    }
}

fn put_connect(body: &mut BytesMut, connect: &Connect) {
    let Connect { version, is_clean, keep_alive, client_id, will, user, pass } = connect;
    put_text(body, if *version == Version::V31 { "MQIsdp" } else { "MQTT" });
    body.put_u8(*version as u8);
    let of_will = will.as_ref().map_or(0, |will| 0x04 | (will.qos as u8) << 3 | u8::from(will.is_retained) << 5);
    let of_user = u8::from(user.is_some()) << 7 | u8::from(pass.is_some()) << 6;
    body.put_u8(u8::from(*is_clean) << 1 | of_will | of_user);
    body.put_u16(*keep_alive);
    put_text(body, client_id);
    if let Some(will) = will {
        put_text(body, &will.topic);
        body.put_u16(u16::try_from(will.payload.len()).expect("short"));
        body.put_slice(&will.payload);
    }
    for text in [user.as_deref(), pass.as_ref().map(Secret::expose)].into_iter().flatten() {
        put_text(body, text);
    }
}

/// The packets of these portions, and the fault at their end.
fn packets<'a>(portions: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Packet>, Option<Fault>) {
    let (mut buffer, mut read) = (BytesMut::new(), vec![]);
    for portion in portions {
        buffer.extend_from_slice(portion);
        loop {
            match decode(&mut buffer) {
                Ok(Some(packet)) => read.push(packet),
                Ok(None) => break,
                Err(fault) => return (read, Some(fault)),
            }
        }
        assert!(buffer.len() <= MAX_PACKET + 5, "{} bytes wait for the end of a packet", buffer.len());
    }
    (read, None)
}

/// The packets do not depend on the portions of the bytes, and a packet that is written again is the same.
pub(crate) fn hold(data: &[u8]) {
    let whole = packets([data]);
    for arrival in portions::ways(data) {
        assert_eq!(packets(arrival), whole, "the packets depend on the portions");
    }
    for packet in whole.0 {
        let mut out = BytesMut::new();
        packet.put(&mut out);
        // A password of a client that is not UTF-8 grows when it is replaced.
        if out.len() <= MAX_PACKET {
            assert_eq!(decode(&mut out), Ok(Some(packet)));
            assert!(out.is_empty());
        }
    }
}
