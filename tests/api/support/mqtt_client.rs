//! An MQTT client over WebSocket, with the packets of another implementation.

use actix_http::ws::{Frame, Message};
use bytes::BytesMut;
use rumqttc::{
    QoS,
    mqttbytes::v4::{Connect, ConnectReturnCode, Packet, PubAck, Publish, Subscribe, Unsubscribe},
};
use serde_json::Value;

use super::{Response, TestApp, WsClient};

pub const MQTT: &str = "Sec-WebSocket-Protocol: mqtt, mqttv3.1";

pub struct MqttClient {
    pub ws: WsClient,
    read: BytesMut,
}

impl MqttClient {
    /// Opens a WebSocket, and sends nothing.
    pub async fn open(app: &TestApp, path: &str, headers: &[&str]) -> Result<Self, Response> {
        let ws = app.ws(path, &[&[MQTT], headers].concat()).await?;
        assert!(ws.head.to_ascii_lowercase().contains("sec-websocket-protocol: mqtt\r\n"), "{}", ws.head);
        Ok(MqttClient { ws, read: BytesMut::new() })
    }

    /// Connects without a user, as the page of mqtt-video does.
    pub async fn connect(app: &TestApp) -> Self {
        let mut client = MqttClient::open(app, "/mqtt", &[]).await.expect("opens");
        assert_eq!(client.sign_in("", "").await, ConnectReturnCode::Success);
        client
    }

    /// Connects with these credentials, if there are any.
    pub async fn sign_in(&mut self, user: &str, pass: &str) -> ConnectReturnCode {
        let mut connect = Connect::new("id_0");
        connect.keep_alive = 60;
        if !(user.is_empty() && pass.is_empty()) {
            connect.set_credentials(user, pass.to_owned().into_bytes());
        }
        self.send(&[Packet::Connect(connect)]).await;
        match self.packet().await {
            Packet::ConnAck(answer) => answer.code,
            other => panic!("{other:?} answers CONNECT"),
        }
    }

    /// Sends packets in one message of the WebSocket.
    pub async fn send(&mut self, packets: &[Packet]) {
        let data = bytes_of(packets);
        self.ws.binary(data).await;
    }

    /// Subscribes, and waits for the answer.
    pub async fn subscribe(&mut self, topic: &str, qos: QoS) {
        let mut packet = Subscribe::new(topic, qos);
        packet.pkid = 7;
        self.send(&[Packet::Subscribe(packet)]).await;
        while !matches!(self.packet().await, Packet::SubAck(_)) {}
    }

    /// Publishes JSON.
    pub async fn publish(&mut self, topic: &str, body: &Value) {
        let packet = Publish::new(topic, QoS::AtMostOnce, body.to_string().into_bytes());
        self.send(&[Packet::Publish(packet)]).await;
    }

    /// The next packet.
    pub async fn packet(&mut self) -> Packet {
        loop {
            if let Ok(packet) = Packet::read(&mut self.read, 32 << 20) {
                return packet;
            }
            match self.ws.next().await {
                Frame::Binary(data) => self.read.extend_from_slice(&data),
                Frame::Ping(data) => self.ws.say(Message::Pong(data)).await,
                other => panic!("{other:?} is no packet"),
            }
        }
    }

    /// The next message of a topic, which is acknowledged.
    pub async fn message(&mut self, topic: &str) -> Vec<u8> {
        loop {
            if let Packet::Publish(message) = self.packet().await {
                if message.qos == QoS::AtLeastOnce {
                    self.send(&[Packet::PubAck(PubAck::new(message.pkid))]).await;
                }
                if message.topic == topic.as_bytes() {
                    return message.payload.to_vec();
                }
            }
        }
    }

    /// Asks for the media type of a URL, in the page's order of messages, and returns the answer.
    pub async fn describe(&mut self, url: &str) -> Value {
        let topic = "client/describe/response_12345";
        let mut subscribe = Subscribe::new(topic, QoS::AtMostOnce);
        subscribe.pkid = 1;
        self.send(&[Packet::Subscribe(subscribe)]).await;
        self.publish("client/describe", &ask(url, topic)).await;
        let answer = self.message(topic).await;
        let mut unsubscribe = Unsubscribe::new(topic);
        unsubscribe.pkid = 2;
        self.send(&[Packet::Unsubscribe(unsubscribe)]).await;
        serde_json::from_slice(&answer).expect("JSON")
    }

    /// Asks for a video.
    pub async fn play(&mut self, url: &str, topic: &str) {
        self.subscribe(topic, QoS::AtMostOnce).await;
        self.publish("client/play", &ask(url, topic)).await;
    }
}

pub fn ask(url: &str, topic: &str) -> Value {
    serde_json::json!({"clientId": "id_0", "url": url, "resp_topic": topic})
}

/// The bytes of packets.
pub fn bytes_of(packets: &[Packet]) -> Vec<u8> {
    let mut data = BytesMut::new();
    for packet in packets {
        packet.write(&mut data, 1 << 20).expect("valid");
    }
    data.to_vec()
}
