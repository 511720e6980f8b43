//! Counters of the RTSP server.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family},
    registry::Registry as Prometheus,
};

/// The counters, shared by all connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RtspCounters(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    connections: AtomicUsize,
    playing: AtomicUsize,
    requests: Family<RequestLabels, Counter>,
    samples: Family<SampleLabels, Counter>,
    bytes: AtomicU64,
    refused: AtomicU64,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SampleLabels {
    kind: SampleKind,
}

/// How a reader got a coded picture.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum SampleKind {
    /// For the first time.
    New,
    /// Once more, because no new picture arrived.
    Repeated,
    /// Not at all, because the reader was slow.
    Dropped,
}

pub(super) struct Figures {
    pub(super) connections: usize,
    pub(super) playing: usize,
    pub(super) bytes: u64,
    pub(super) refused: u64,
}

impl RtspCounters {
    pub(super) fn register(&self, prometheus: &mut Prometheus) {
        prometheus.register("rtsp_requests", "RTSP requests by method and status", self.0.requests.clone());
        prometheus.register("rtsp_pictures", "Coded pictures for RTSP readers, by kind", self.0.samples.clone());
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            connections: self.0.connections.load(Ordering::Relaxed),
            playing: self.0.playing.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            refused: self.0.refused.load(Ordering::Relaxed),
        }
    }

    /// Counts an answered request.
    pub fn request(&self, method: &'static str, status: u16) {
        self.0.requests.get_or_create(&RequestLabels { method, status }).inc();
    }

    /// Counts coded pictures.
    pub fn samples(&self, kind: SampleKind, n: u64) {
        self.0.samples.get_or_create(&SampleLabels { kind }).inc_by(n);
    }

    /// Counts bytes that were written.
    pub fn sent(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a connection until the guard is dropped.
    pub fn connected(&self) -> Connected {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        Connected(self.clone())
    }

    /// Counts a connection that was refused.
    pub fn refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that plays until the guard is dropped.
    pub fn now_playing(&self) -> Playing {
        self.0.playing.fetch_add(1, Ordering::Relaxed);
        Playing(self.clone())
    }
}

/// Counts as playing until it is dropped.
#[derive(Debug)]
pub struct Playing(RtspCounters);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.0.playing.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts as connected until it is dropped.
#[derive(Debug)]
pub struct Connected(RtspCounters);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
