//! How many bytes came in and went out lately, for the console's curve.
//!
//! MediaMTX counts for each path, and forgets with the path; so what is added up are differences, path by path.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Duration, Instant};
use utoipa::ToSchema;

/// Moments that are kept: five minutes at one every two seconds.
const KEPT: usize = 150;

/// How often it is noted.
pub const EVERY: Duration = Duration::from_secs(2);

/// Bytes a second, lately. Cheap to clone.
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

/// What MediaMTX has, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Paths.
    pub paths: u64,
    /// Of those, where somebody publishes.
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
    /// What has come since `before`; a count that went back began anew.
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

/// What the curve is drawn from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct ThroughputReport {
    /// Seconds between two of the values below.
    pub every: f64,
    /// Bytes a second that came in, here and at MediaMTX together; the latest is the last one.
    pub inbound: Vec<u64>,
    /// Bytes a second that went out.
    pub outbound: Vec<u64>,
    /// Bytes that came in since the program was started.
    pub total_inbound: u64,
    /// Bytes that went out since then.
    pub total_outbound: u64,
}

impl Throughput {
    /// Notes how far the counters are: MediaMTX's of each path (as `/v3/paths/list` has them; none while it is away), and our
    /// own since the start.
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
                // Of a path that was there before us, only what comes from now on is ours to tell.
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

    /// What MediaMTX had when it was noted last; nothing while it is away.
    pub fn summary(&self) -> Summary {
        self.0.lock().summary
    }

    /// All of it.
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
    fn paths_that_come_go_and_begin_anew_are_added_up() {
        let (throughput, start) = (Throughput::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        // Before our time: its bytes are nobody's news.
        throughput.note(Some(&[path("a", 1_000_000, 0)]), 0, 0, at(0));
        throughput.note(Some(&[path("a", 1_000_200, 400), path("b", 100, 0)]), 50, 30, at(2));
        // MediaMTX was restarted: its counters begin at nothing.
        throughput.note(Some(&[path("a", 60, 0)]), 50, 30, at(4));
        throughput.note(None, 70, 30, at(6));
        let report = throughput.report();
        assert_eq!(report.inbound, [175, 30, 10]);
        assert_eq!(report.outbound, [215, 0, 0]);
        assert_eq!((report.total_inbound, report.total_outbound), (430, 430));
    }

    #[test]
    fn no_more_is_kept_than_is_drawn() {
        let (throughput, start) = (Throughput::default(), Instant::now());
        for n in 0..KEPT as u64 * 2 {
            throughput.note(None, n, 0, start + Duration::from_secs(n));
        }
        assert_eq!(throughput.report().inbound, [1; KEPT]);
    }
}
