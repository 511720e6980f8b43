use proptest::prelude::*;
use rumqttc::mqttbytes::v4 as other;

use super::*;

/// The bytes of a packet as another implementation writes them.
fn written(packet: &other::Packet) -> BytesMut {
    let mut out = BytesMut::new();
    packet.write(&mut out, 1 << 20).expect("valid");
    out
}

fn read(packet: &other::Packet) -> Packet {
    let mut bytes = written(packet);
    let packet = decode(&mut bytes).expect("valid").expect("whole");
    assert!(bytes.is_empty());
    packet
}

fn message(topic: &str, payload: &'static [u8], qos: QoS, id: u16) -> Publish {
    let (is_retained, is_duplicate) = (false, false);
    Publish { topic: topic.into(), payload: payload.into(), qos, is_retained, is_duplicate, id }
}

#[test]
fn packets_of_another_implementation_are_read() {
    use rumqttc::mqttbytes::QoS as OtherQoS;
    let mut connect = other::Connect::new("id_0");
    connect.keep_alive = 60;
    connect.set_credentials("alice", "secret");
    connect.last_will = Some(other::LastWill::new("client/unregister", "{}", OtherQoS::ExactlyOnce, true));
    let will = Publish { is_retained: true, ..message("client/unregister", b"{}", QoS::ExactlyOnce, 0) };
    let expected = Connect {
        version: Version::V311,
        is_clean: true,
        keep_alive: 60,
        client_id: "id_0".into(),
        will: Some(will),
        user: Some("alice".into()),
        pass: Some(Secret::new("secret")),
    };
    assert_eq!(read(&other::Packet::Connect(connect)), Packet::Connect(expected));
    let mut publish = other::Publish::new("client/play", OtherQoS::ExactlyOnce, b"{}".to_vec());
    publish.pkid = 7;
    let expected = message("client/play", b"{}", QoS::ExactlyOnce, 7);
    assert_eq!(read(&other::Packet::Publish(publish)), Packet::Publish(expected));
    let mut subscribe = other::Subscribe::new("video_1", OtherQoS::AtLeastOnce);
    subscribe.pkid = 9;
    let filters = vec![("video_1".to_owned(), QoS::AtLeastOnce)];
    assert_eq!(read(&other::Packet::Subscribe(subscribe)), Packet::Subscribe { id: 9, filters });
    let mut unsubscribe = other::Unsubscribe::new("video_1");
    unsubscribe.pkid = 10;
    let filters = vec!["video_1".to_owned()];
    assert_eq!(read(&other::Packet::Unsubscribe(unsubscribe)), Packet::Unsubscribe { id: 10, filters });
    for (packet, expected) in [
        (other::Packet::PubAck(other::PubAck::new(3)), Packet::PubAck(3)),
        (other::Packet::PubRec(other::PubRec::new(3)), Packet::PubRec(3)),
        (other::Packet::PubRel(other::PubRel::new(3)), Packet::PubRel(3)),
        (other::Packet::PubComp(other::PubComp::new(3)), Packet::PubComp(3)),
        (other::Packet::PingReq, Packet::PingReq),
        (other::Packet::Disconnect, Packet::Disconnect),
    ] {
        assert_eq!(read(&packet), expected);
    }
}

#[test]
fn another_implementation_reads_what_is_written() {
    let mut out = BytesMut::new();
    connack(&mut out, ConnectCode::Credentials);
    suback(&mut out, 9, &[1, REFUSED]);
    for (kind, id) in [(Ack::PubAck, 1), (Ack::PubRec, 2), (Ack::PubRel, 3), (Ack::PubComp, 4), (Ack::Unsubscribed, 5)]
    {
        ack(&mut out, kind, id);
    }
    pong(&mut out);
    put_publish(&mut out, &message("video_1", &[7; 200_000], QoS::AtLeastOnce, 65_535));
    let mut packets = vec![];
    while !out.is_empty() {
        packets.push(other::Packet::read(&mut out, 1 << 20).expect("valid"));
    }
    let [other::Packet::ConnAck(refused), other::Packet::SubAck(granted), .., other::Packet::Publish(sent)] =
        &packets[..]
    else {
        panic!("{packets:?}")
    };
    assert_eq!(refused.code, other::ConnectReturnCode::BadUserNamePassword);
    assert_eq!((granted.pkid, granted.return_codes.len()), (9, 2));
    assert_eq!((&sent.topic[..], sent.payload.len(), sent.pkid), (&b"video_1"[..], 200_000, 65_535));
    let words: Vec<_> = packets[2..8].iter().map(|packet| format!("{packet:?}")).collect();
    for (packet, word) in words.iter().zip(["PubAck", "PubRec", "PubRel", "PubComp", "UnsubAck", "PingResp"]) {
        assert!(packet.starts_with(word), "{packet}");
    }
}

#[test]
fn version_3_1_is_read() {
    let bytes = b"\x10\x12\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x04id_0";
    let Ok(Some(Packet::Connect(connect))) = decode(&mut BytesMut::from(&bytes[..])) else { panic!("no CONNECT") };
    assert_eq!((connect.version, connect.keep_alive, connect.client_id.as_str()), (Version::V31, 60, "id_0"));
}

#[test]
fn what_is_no_packet_is_refused_with_the_rule() {
    let fault = |bytes: &[u8]| decode(&mut BytesMut::from(bytes)).expect_err("refused");
    assert_eq!(fault(b"\x30\x81\x80\x01"), Fault::TooLarge, "before the packet is whole");
    assert_eq!(fault(b"\x10\x08\x00\x04MQTT\x05\x02"), Fault::Version);
    for (bytes, says) in [
        (&b"\x47\x02\x00\x01"[..], "flags"),
        (b"\x30\x80\x80\x80\x80\x01", "four bytes"),
        (b"\x10\x08\x00\x04HTTP\x04\x02", "not MQTT"),
        (b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00", "reserved"),
        (b"\x10\x0c\x00\x04MQTT\x04\x42\x00\x00\x00\x00", "needs a user"),
        (b"\x10\x0c\x00\x04MQTT\x04\x22\x00\x00\x00\x00", "will"),
        (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x00x", "bytes follow"),
        (b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x01", "too short"),
        (b"\x36\x03\x00\x01a", "QoS"),
        (b"\x38\x03\x00\x01a", "never a duplicate"),
        (b"\x32\x05\x00\x01a\x00\x00", "identifier is 0"),
        (b"\x30\x03\x00\x01#", "wildcards"),
        (b"\x30\x02\x00\x00", "empty"),
        (b"\x30\x03\x00\x01\xff", "UTF-8"),
        (b"\x30\x03\x00\x01\x00", "NUL"),
        (b"\x80\x06\x00\x01\x00\x01a\x00", "flags"),
        (b"\x82\x02\x00\x01", "too short"),
        (b"\x82\x06\x00\x01\x00\x01a\x03", "QoS"),
        (b"\xa2\x02\x00\x01", "too short"),
        (b"\xc0\x01\x00", "bytes follow"),
        (b"\x20\x02\x00\x00", "no client"),
        (b"\xf0\x00", "no client"),
    ] {
        match fault(bytes) {
            Fault::Malformed(rule) if rule.contains(says) => {}
            other => panic!("{bytes:?}: {other:?} has no {says:?}"),
        }
    }
}

proptest! {
    #[test]
    fn packets_do_not_depend_on_their_portions(data in prop::collection::vec(any::<u8>(), 0..200)) {
        properties::hold(&data);
    }

    /// Mostly valid: each packet has a right header and a body of any bytes.
    #[test]
    fn bodies_of_any_bytes_are_read_or_refused(
        packets in prop::collection::vec((1_u8..15, 0_u8..16, prop::collection::vec(any::<u8>(), 0..60)), 1..5),
    ) {
        let mut data = vec![];
        for (kind, flags, body) in packets {
            let flags = if kind == 3 { flags } else if matches!(kind, 6 | 8 | 10) { 2 } else { 0 };
            data.extend([kind << 4 | flags, u8::try_from(body.len()).expect("short")]);
            data.extend(body);
        }
        properties::hold(&data);
    }
}
