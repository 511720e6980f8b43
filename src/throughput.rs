//! Bytes per second of the last minutes, for the console's curve.
//!
//! MediaMTX counts bytes for each path, and its counters end with the path. This module therefore sums the differences of
//! each path.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Duration, Instant};
use utoipa::ToSchema;

/// Stored samples: five minutes at one sample per [`EVERY`].
const KEPT: usize = 150;

/// Interval of the samples.
pub const EVERY: Duration = Duration::from_secs(2);

/// The curve. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Throughput(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    paths: HashMap<String, Counts>,
    ours: Counts,
    noted: Option<Instant>,
    total: Counts,
    rates: VecDeque<Counts>,
    summary: Summary,
}

/// Counts of MediaMTX's paths and readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Paths.
    pub paths: u64,
    /// Paths that are available: with a publisher or an active source.
    pub available: u64,
    /// Readers of all paths.
    pub readers: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    inbound: u64,
    outbound: u64,
}

impl Counts {
    /// The difference to `before`. A counter that decreased has begun again at zero.
    fn since(self, before: Counts) -> Counts {
        let grown = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        Counts { inbound: grown(self.inbound, before.inbound), outbound: grown(self.outbound, before.outbound) }
    }

    fn add(&mut self, more: Counts) {
        self.inbound = self.inbound.saturating_add(more.inbound);
        self.outbound = self.outbound.saturating_add(more.outbound);
    }
}

impl Summary {
    fn of(paths: &[Value]) -> Self {
        let readers = |path: &Value| path["readers"].as_array().map_or(0, |readers| readers.len() as u64);
        Summary {
            paths: paths.len() as u64,
            available: paths.iter().filter(|path| path["available"] == true).count() as u64,
            readers: paths.iter().map(readers).sum(),
        }
    }
}

/// The samples of the curve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct ThroughputReport {
    /// Seconds between two samples.
    pub every: f64,
    /// Bytes per second received, here and at MediaMTX together, oldest first.
    pub inbound: Vec<u64>,
    /// Bytes per second sent.
    pub outbound: Vec<u64>,
    /// Bytes received since the program was started.
    pub total_inbound: u64,
    /// Bytes sent since the program was started.
    pub total_outbound: u64,
}

impl Throughput {
    /// Adds a sample: MediaMTX's counters of each path (the items of `/v3/paths/list`; none while it does not answer), and our
    /// own totals since the start.
    pub fn note(&self, paths: Option<&[Value]>, inbound: u64, outbound: u64, now: Instant) {
        let mut inner = self.0.lock();
        let ours = Counts { inbound, outbound };
        let mut moved = ours.since(inner.ours);
        inner.summary = paths.map(Summary::of).unwrap_or_default();
        if let Some(paths) = paths {
            let seen = paths.iter().filter_map(|path| {
                let count = |key: &str| path[key].as_u64().unwrap_or_default();
                let counts = Counts { inbound: count("inboundBytes"), outbound: count("outboundBytes") };
                Some((path["name"].as_str()?.to_owned(), counts))
            });
            let seen: HashMap<_, _> = seen.collect();
            for (name, counts) in &seen {
                // Bytes of a path that is older than this program count from now on.
                match inner.paths.get(name) {
                    Some(before) => moved.add(counts.since(*before)),
                    None if inner.noted.is_some() => moved.add(*counts),
                    None => {}
                }
            }
            inner.paths = seen;
        }
        inner.ours = ours;
        inner.total.add(moved);
        if let Some(before) = inner.noted.replace(now) {
            let seconds = now.duration_since(before).max(Duration::from_millis(1)).as_secs_f64();
            let rate = |bytes: u64| (bytes as f64 / seconds).round() as u64;
            if inner.rates.len() == KEPT {
                inner.rates.pop_front();
            }
            inner.rates.push_back(Counts { inbound: rate(moved.inbound), outbound: rate(moved.outbound) });
        }
    }

    /// Counts of the last sample; zero while MediaMTX does not answer.
    pub fn summary(&self) -> Summary {
        self.0.lock().summary
    }

    /// All samples and totals.
    pub fn report(&self) -> ThroughputReport {
        let inner = self.0.lock();
        ThroughputReport {
            every: EVERY.as_secs_f64(),
            inbound: inner.rates.iter().map(|rate| rate.inbound).collect(),
            outbound: inner.rates.iter().map(|rate| rate.outbound).collect(),
            total_inbound: inner.total.inbound,
            total_outbound: inner.total.outbound,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(name: &str, inbound: u64, outbound: u64) -> Value {
        json!({"name": name, "inboundBytes": inbound, "outboundBytes": outbound})
    }

    #[test]
    fn differences_of_paths_are_summed_over_restarts() {
        let (throughput, start) = (Throughput::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        // The path is older than this program: its bytes do not count.
        throughput.note(Some(&[path("a", 1_000_000, 0)]), 0, 0, at(0));
        throughput.note(Some(&[path("a", 1_000_200, 400), path("b", 100, 0)]), 50, 30, at(2));
        // MediaMTX was restarted: its counters begin at zero.
        throughput.note(Some(&[path("a", 60, 0)]), 50, 30, at(4));
        throughput.note(None, 70, 30, at(6));
        let report = throughput.report();
        assert_eq!(report.inbound, [175, 30, 10]);
        assert_eq!(report.outbound, [215, 0, 0]);
        assert_eq!((report.total_inbound, report.total_outbound), (430, 430));
    }

    #[test]
    fn the_number_of_samples_is_bounded() {
        let (throughput, start) = (Throughput::default(), Instant::now());
        for n in 0..KEPT as u64 * 2 {
            throughput.note(None, n, 0, start + Duration::from_secs(n));
        }
        assert_eq!(throughput.report().inbound, [1; KEPT]);
    }
}
