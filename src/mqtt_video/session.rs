//! [`Session`]: the state of one client of our endpoint: its subscriptions, and messages that are not acknowledged yet. Reads and
//! writes no socket.

use std::collections::{BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::packet::{self, Ack, Packet, Publish, QoS, REFUSED};
use crate::mqtt::topic;

/// Most topic filters of one client. The seed's page has two, and one more after each start of a video.
const MAX_FILTERS: usize = 64;

/// Most messages of a client with QoS 2 that it has not released.
const MAX_UNRELEASED: usize = 32;

/// Most messages to a client that it has not acknowledged. Video waits for it, and continues with the newest group.
const WINDOW: usize = 8;

/// The state of one client.
#[derive(Debug, Default)]
pub(super) struct Session {
    filters: Vec<(String, QoS)>,
    unreleased: BTreeSet<u16>,
    in_flight: VecDeque<InFlight>,
    last_id: u16,
}

#[derive(Debug)]
struct InFlight {
    id: u16,
    since: Instant,
}

/// What a packet asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing, besides its answer.
    Nothing,
    /// A message was published.
    Message(Publish),
    /// A topic can be no longer subscribed.
    Unsubscribed,
    /// The client leaves in order.
    Leaves,
}

impl Session {
    /// Takes a packet and writes its answer. The error is the rule that the client breaks, which ends the connection: the protocol
    /// has no other answer (MQTT 3.1.1, section 4.8).
    pub(super) fn take(&mut self, packet: Packet, out: &mut BytesMut) -> Result<Asked, &'static str> {
        match packet {
            Packet::Connect(_) => return Err("a second CONNECT"),
            Packet::Publish(message) => return self.publish(message, out),
            Packet::PubAck(id) | Packet::PubComp(id) => self.in_flight.retain(|message| message.id != id),
            Packet::PubRec(id) => packet::ack(out, Ack::PubRel, id),
            Packet::PubRel(id) => {
                self.unreleased.remove(&id);
                packet::ack(out, Ack::PubComp, id);
            }
            Packet::Subscribe { id, filters } => {
                let codes: Vec<u8> = filters.into_iter().map(|(filter, qos)| self.subscribe(filter, qos)).collect();
                packet::suback(out, id, &codes);
            }
            Packet::Unsubscribe { id, filters } => {
                self.filters.retain(|(known, _)| !filters.contains(known));
                packet::ack(out, Ack::Unsubscribed, id);
                return Ok(Asked::Unsubscribed);
            }
            Packet::PingReq => packet::pong(out),
            Packet::Disconnect => return Ok(Asked::Leaves),
        }
        Ok(Asked::Nothing)
    }

    fn publish(&mut self, message: Publish, out: &mut BytesMut) -> Result<Asked, &'static str> {
        match message.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => packet::ack(out, Ack::PubAck, message.id),
            QoS::ExactlyOnce => {
                packet::ack(out, Ack::PubRec, message.id);
                if !self.unreleased.insert(message.id) {
                    return Ok(Asked::Nothing);
                }
                if self.unreleased.len() > MAX_UNRELEASED {
                    return Err("too many messages with QoS 2 without PUBREL");
                }
            }
        }
        Ok(Asked::Message(message))
    }

    fn subscribe(&mut self, filter: String, qos: QoS) -> u8 {
        if topic::check_filter(&filter).is_err() {
            return REFUSED;
        }
        let count = self.filters.len();
        match self.filters.iter_mut().find(|(known, _)| *known == filter) {
            Some((_, known)) => *known = qos,
            None if count >= MAX_FILTERS => return REFUSED,
            None => self.filters.push((filter, qos)),
        }
        qos as u8
    }

    /// The QoS with which a topic is subscribed; none if it is not.
    fn granted(&self, topic: &str) -> Option<QoS> {
        let selecting = self.filters.iter().filter(|(filter, _)| topic::matches(filter, topic));
        selecting.map(|(_, qos)| *qos).max()
    }

    /// Whether a topic is subscribed.
    pub(super) fn has_subscribed(&self, topic: &str) -> bool {
        self.granted(topic).is_some()
    }

    /// Writes a message to the client. Returns whether its topic is subscribed.
    pub(super) fn send(&mut self, topic: String, payload: Bytes, out: &mut BytesMut) -> bool {
        let Some(qos) = self.granted(&topic) else { return false };
        let id = if qos == QoS::AtMostOnce { 0 } else { self.next_id() };
        packet::put_publish(out, &Publish { topic, payload, qos, is_retained: false, is_duplicate: false, id });
        true
    }

    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.in_flight.iter().any(|message| message.id == self.last_id) {
                self.in_flight.push_back(InFlight { id: self.last_id, since: Instant::now() });
                return self.last_id;
            }
        }
    }

    /// Whether the client has acknowledged enough for a further message.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < WINDOW
    }

    /// When the oldest message was sent that is not acknowledged.
    pub(super) fn unacknowledged_since(&self) -> Option<Instant> {
        self.in_flight.front().map(|message| message.since)
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::mqttbytes::v4 as other;

    use super::*;

    fn message(topic: &str, qos: QoS, id: u16) -> Packet {
        let (payload, is_retained, is_duplicate) = ("{}".into(), false, false);
        Packet::Publish(Publish { topic: topic.into(), payload, qos, is_retained, is_duplicate, id })
    }

    /// What the packet asks for, and the answers.
    fn take(session: &mut Session, packet: Packet) -> (Result<Asked, &'static str>, Vec<other::Packet>) {
        let (mut out, mut answers) = (BytesMut::new(), vec![]);
        let asked = session.take(packet, &mut out);
        while !out.is_empty() {
            answers.push(other::Packet::read(&mut out, 1 << 20).expect("valid"));
        }
        (asked, answers)
    }

    #[test]
    fn each_qos_has_its_answer_and_a_message_with_qos_2_counts_once() {
        let mut session = Session::default();
        let is_message = |asked: &Result<Asked, _>| matches!(asked, Ok(Asked::Message(_)));
        let (asked, answers) = take(&mut session, message("a", QoS::AtMostOnce, 0));
        assert!(is_message(&asked) && answers.is_empty());
        let (asked, answers) = take(&mut session, message("a", QoS::AtLeastOnce, 1));
        assert!(is_message(&asked) && answers == [other::Packet::PubAck(other::PubAck::new(1))]);
        for is_first in [true, false] {
            let (asked, answers) = take(&mut session, message("a", QoS::ExactlyOnce, 2));
            assert_eq!(is_message(&asked), is_first);
            assert_eq!(answers, [other::Packet::PubRec(other::PubRec::new(2))]);
        }
        let (_, answers) = take(&mut session, Packet::PubRel(2));
        assert_eq!(answers, [other::Packet::PubComp(other::PubComp::new(2))]);
        assert!(is_message(&take(&mut session, message("a", QoS::ExactlyOnce, 2)).0), "the identifier is free again");
        let refused = (3..).map(|id| take(&mut session, message("a", QoS::ExactlyOnce, id)).0).find_map(Result::err);
        assert!(refused.is_some_and(|why| why.contains("PUBREL")), "a bound");
    }

    #[test]
    fn subscriptions_are_granted_refused_and_ended() {
        let mut session = Session::default();
        let filters = vec![("video_1".into(), QoS::AtMostOnce), ("a/#/b".into(), QoS::AtMostOnce)];
        let (_, answers) = take(&mut session, Packet::Subscribe { id: 7, filters });
        let [other::Packet::SubAck(answer)] = &answers[..] else { panic!("{answers:?}") };
        let codes =
            [other::SubscribeReasonCode::Success(rumqttc::QoS::AtMostOnce), other::SubscribeReasonCode::Failure];
        assert_eq!((answer.pkid, &answer.return_codes[..]), (7, &codes[..]));
        assert!(session.has_subscribed("video_1") && !session.has_subscribed("a/b"));
        for n in 0..MAX_FILTERS {
            let filters = vec![(format!("t{n}"), QoS::AtMostOnce)];
            let _ = take(&mut session, Packet::Subscribe { id: 8, filters });
        }
        assert!(session.has_subscribed("t0") && !session.has_subscribed(&format!("t{}", MAX_FILTERS - 1)), "a bound");
        let filters = vec!["video_1".into(), "client/play".into()];
        let (asked, answers) = take(&mut session, Packet::Unsubscribe { id: 9, filters });
        assert_eq!(asked, Ok(Asked::Unsubscribed));
        assert!(matches!(&answers[..], [other::Packet::UnsubAck(_)]), "{answers:?}");
        assert!(!session.has_subscribed("video_1"));
    }

    #[test]
    fn messages_are_sent_with_the_subscribed_qos_and_wait_for_acknowledgements() {
        let mut session = Session::default();
        for (filter, qos) in [("a/+", QoS::AtLeastOnce), ("a/b", QoS::AtMostOnce), ("c", QoS::ExactlyOnce)] {
            let _ = take(&mut session, Packet::Subscribe { id: 1, filters: vec![(filter.into(), qos)] });
        }
        let mut out = BytesMut::new();
        assert!(!session.send("d".into(), Bytes::new(), &mut out) && out.is_empty(), "is not subscribed");
        for n in 0..WINDOW {
            assert!(session.has_room());
            assert!(session.send(if n % 2 == 0 { "a/b" } else { "c" }.into(), "x".into(), &mut out));
        }
        assert!(!session.has_room() && session.unacknowledged_since().is_some());
        let mut qos = vec![];
        while !out.is_empty() {
            let other::Packet::Publish(sent) = other::Packet::read(&mut out, 1000).expect("valid") else { panic!() };
            qos.push(sent.qos as u8);
            if sent.qos as u8 == 1 {
                let _ = take(&mut session, Packet::PubAck(sent.pkid));
            } else {
                let (_, answers) = take(&mut session, Packet::PubRec(sent.pkid));
                assert_eq!(answers, [other::Packet::PubRel(other::PubRel::new(sent.pkid))]);
                let _ = take(&mut session, Packet::PubComp(sent.pkid));
            }
        }
        assert_eq!(qos[..2], [1, 2], "the highest QoS of the filters");
        assert!(session.has_room() && session.unacknowledged_since().is_none());
    }

    #[test]
    fn a_second_connect_ends_the_connection_and_a_ping_is_answered() {
        let mut session = Session::default();
        assert_eq!(take(&mut session, Packet::PingReq).1, [other::Packet::PingResp]);
        assert_eq!(take(&mut session, Packet::Disconnect).0, Ok(Asked::Leaves));
        let bytes = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00";
        let connect = packet::decode(&mut BytesMut::from(&bytes[..])).expect("valid").expect("whole");
        assert!(take(&mut session, connect).0.is_err());
    }
}
