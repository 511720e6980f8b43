//! Counters of video over MQTT.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The counters, shared by all connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct MqttVideoCounters(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    connections: AtomicUsize,
    requests: AtomicU64,
}

/// Counts a connection to the endpoint until it is dropped.
#[derive(Debug)]
pub struct MqttConnected(MqttVideoCounters);

impl MqttVideoCounters {
    /// A client has connected to the endpoint.
    pub fn connected(&self) -> MqttConnected {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        MqttConnected(self.clone())
    }

    /// A request has arrived, there or at the broker.
    pub fn requested(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    pub(super) fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }
}

impl Drop for MqttConnected {
    fn drop(&mut self) {
        self.0.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
