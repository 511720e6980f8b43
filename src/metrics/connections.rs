//! Figures of the open connections, read at each scrape.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};

use super::put;
use crate::server::{Cause, Connections};

/// The connections of each listener, by its name. They are opened after the metrics.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionFigures(Arc<Mutex<Vec<(&'static str, Connections)>>>);

impl ConnectionFigures {
    pub(super) fn add(&self, listener: &'static str, connections: Connections) {
        self.0.lock().push((listener, connections));
    }
}

impl Collector for ConnectionFigures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let all = self.0.lock().clone();
        let mut open = encoder.encode_descriptor("connections", "Open connections", None, MetricType::Gauge)?;
        for (listener, connections) in &all {
            put(&mut open.encode_family(&[("listener", *listener)])?, MetricType::Gauge, connections.open() as f64)?;
        }
        let help = "Connections that the server ended or refused, by cause";
        let mut ended = encoder.encode_descriptor("connections_ended", help, None, MetricType::Counter)?;
        for (listener, connections) in &all {
            for cause in Cause::ALL {
                let labels = [("listener", *listener), ("cause", cause.as_str())];
                put(&mut ended.encode_family(&labels)?, MetricType::Counter, connections.ended(cause) as f64)?;
            }
        }
        Ok(())
    }
}
