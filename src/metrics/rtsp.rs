//! What the RTSP server counts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family},
    registry::Registry as Prometheus,
};

/// What is counted; shared by all connections. Cheap to clone.
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

/// What became of a coded picture.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub enum SampleKind {
    /// Given for the first time.
    New,
    /// Given once more, because nothing new came.
    Repeated,
    /// Left out, because the reader was slow.
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
        prometheus.register("rtsp_pictures", "Coded pictures given to RTSP readers", self.0.samples.clone());
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            connections: self.0.connections.load(Ordering::Relaxed),
            playing: self.0.playing.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
            refused: self.0.refused.load(Ordering::Relaxed),
        }
    }

    /// A request that was answered.
    pub fn request(&self, method: &'static str, status: u16) {
        self.0.requests.get_or_create(&RequestLabels { method, status }).inc();
    }

    /// Coded pictures.
    pub fn samples(&self, kind: SampleKind, n: u64) {
        self.0.samples.get_or_create(&SampleLabels { kind }).inc_by(n);
    }

    /// Bytes written.
    pub fn sent(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a connection, unless there are `most` already.
    pub fn connected(&self, most: usize) -> Option<Connected> {
        let one_more = |n: usize| (n < most).then_some(n + 1);
        match self.0.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Some(Connected(self.clone())),
            Err(_) => {
                self.0.refused.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Counts a connection that begins to play.
    pub fn now_playing(&self) -> Playing {
        self.0.playing.fetch_add(1, Ordering::Relaxed);
        Playing(self.clone())
    }
}

/// Counted as playing until it is dropped.
#[derive(Debug)]
pub struct Playing(RtspCounters);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.0.playing.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counted as connected until it is dropped.
#[derive(Debug)]
pub struct Connected(RtspCounters);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
