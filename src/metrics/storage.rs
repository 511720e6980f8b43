//! Figures of the uploaded pictures on the disk.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::MetricType::{Counter, Gauge},
};

use super::one;
use crate::producer::upload::Store;

/// The writes of uploaded pictures, read at each scrape.
pub(super) struct StorageFigures(pub(super) Store);

impl fmt::Debug for StorageFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageFigures")
    }
}

impl Collector for StorageFigures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let (written, failed) = self.0.counts();
        let waiting = self.0.fault().map_or(0, |fault| fault.streams);
        for (name, help, kind, value) in [
            ("upload_writes", "Uploaded pictures written to the disk", Counter, written as f64),
            ("upload_write_failures", "Attempts to write an uploaded picture that failed", Counter, failed as f64),
            ("upload_unwritten_streams", "Streams whose last picture could not be written", Gauge, waiting as f64),
        ] {
            one(&mut encoder, name, help, kind, value)?;
        }
        Ok(())
    }
}
