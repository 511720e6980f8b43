//! Figures of the cluster.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::MetricType::{Counter, Gauge},
};

use super::one;
use crate::cluster::{Cluster, Counts};

/// What this node knows of the cluster, read at each scrape.
pub(super) struct ClusterFigures(pub(super) Cluster);

impl fmt::Debug for ClusterFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterFigures")
    }
}

impl Collector for ClusterFigures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mirror = self.0.mirror();
        let Counts { written, received, conflicts, failed } = mirror.counts();
        let (records, foreign, _) = mirror.records();
        let stale = mirror.stale_since().map_or(0.0, |since| since.elapsed().as_secs_f64());
        let nodes = self.0.nodes().alive().borrow().len();
        let connected = f64::from(u8::from(self.0.connection().is_up()));
        let revision = mirror.progress().borrow().revision;
        for (name, help, kind, value) in [
            ("cluster_connected", "1 while the NATS servers can be reached", Gauge, connected),
            ("cluster_stale_seconds", "Time since this node had the newest state; 0 while it has it", Gauge, stale),
            ("cluster_nodes", "Nodes that were heard in the last seconds, this one among them", Gauge, nodes as f64),
            ("cluster_revision", "Newest revision of the state that this node has", Gauge, revision as f64),
            ("cluster_records", "Records of the state", Gauge, records as f64),
            ("cluster_foreign_records", "Records that this version does not understand", Gauge, foreign as f64),
            ("cluster_records_written", "Records that this node has written", Counter, written as f64),
            ("cluster_records_received", "Changes of other nodes that arrived", Counter, received as f64),
            ("cluster_conflicts", "Changes that lost against one of another node", Counter, conflicts as f64),
            ("cluster_failures", "Changes on which the cluster could not agree", Counter, failed as f64),
        ] {
            one(&mut encoder, name, help, kind, value)?;
        }
        Ok(())
    }
}
