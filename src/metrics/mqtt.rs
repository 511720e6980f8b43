//! Figures of the connection to the MQTT broker, of the topics that are read, and of what is published.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

use super::one;
use crate::{
    mqtt::{Counters, Mqtt},
    mqtt_publish::{Publisher, Totals},
    producer::mqtt::Groups,
};

pub(super) struct MqttFigures {
    pub(super) mqtt: Mqtt,
    pub(super) topics: Groups,
    pub(super) publisher: Publisher,
}

impl fmt::Debug for MqttFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MqttFigures")
    }
}

impl Collector for MqttFigures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        use MetricType::{Counter, Gauge};
        let MqttFigures { mqtt, topics, publisher } = self;
        if mqtt.broker().is_none() {
            return Ok(());
        }
        let status = mqtt.status().borrow().clone();
        let Counters {
            received,
            received_bytes,
            oversize,
            unread,
            sent,
            sent_bytes,
            replaced,
            dropped,
            unsent,
            failures,
        } = mqtt.counters();
        let (Totals { published, failed, oversize: oversize_picture }, publications) =
            (publisher.totals(), publisher.len());
        let topic_streams: usize = topics.list().iter().map(|group| group.figures().streams).sum();
        let connected = f64::from(status.is_connected());
        for (name, help, kind, value) in [
            ("mqtt_connected", "1 while there is a connection to the broker", Gauge, connected),
            ("mqtt_connections", "Connections to the broker", Counter, status.connections as f64),
            (
                "mqtt_connection_failures",
                "Attempts to connect that failed, and lost connections",
                Counter,
                failures as f64,
            ),
            ("mqtt_subscriptions", "Subscribed topic filters", Gauge, mqtt.filters().len() as f64),
            ("mqtt_received_messages", "Messages that arrived", Counter, received as f64),
            ("mqtt_received_bytes", "Bytes of the payloads that arrived", Counter, received_bytes as f64),
            ("mqtt_sent_messages", "Messages that were sent", Counter, sent as f64),
            ("mqtt_sent_bytes", "Bytes of the payloads that were sent", Counter, sent_bytes as f64),
            ("mqtt_topic_streams", "Streams that topics made (wildcards)", Gauge, topic_streams as f64),
            ("mqtt_publications", "Streams and paths that are published", Gauge, publications as f64),
            ("mqtt_published_pictures", "Pictures that were published", Counter, published as f64),
            ("mqtt_publish_failures", "Pictures that could not be published", Counter, failed as f64),
        ] {
            one(&mut encoder, name, help, kind, value)?;
        }
        let help = "Messages that were left out, by reason";
        let mut metric = encoder.encode_descriptor("mqtt_left_out_messages", help, None, Counter)?;
        for (reason, value) in [
            // In.
            ("oversize", oversize),
            ("unread", unread),
            ("not_a_stream", topics.left_out()),
            // Out.
            ("no_connection", unsent),
            ("queue_full", dropped),
            ("replaced", replaced),
            ("oversize_picture", oversize_picture),
        ] {
            ConstCounter::new(value).encode(metric.encode_family(&[("reason", reason)])?)?;
        }
        Ok(())
    }
}
