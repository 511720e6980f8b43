//! The figures of variants and conversions, read at each scrape.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};

use super::one;
use crate::output::variants::Variants;

pub(super) struct VariantFigures(pub(super) Variants);

impl fmt::Debug for VariantFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VariantFigures")
    }
}

impl Collector for VariantFigures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        use MetricType::{Counter, Gauge};
        let (made, read) = (self.0.conversions().counters(), |n: &AtomicU64| n.load(Ordering::Relaxed) as f64);
        for (name, help, kind, value) in [
            ("variants", "Transformed streams at the moment", Gauge, self.0.len() as f64),
            ("variant_encoded", "Pictures decoded and encoded", Counter, read(&made.encoded)),
            ("variant_lossless", "Pictures turned without loss", Counter, read(&made.lossless)),
            ("variant_shared", "Requests that shared a picture made for another request", Counter, read(&made.shared)),
            ("variant_failed", "Pictures that could not be transformed", Counter, read(&made.failed)),
            ("variant_seconds", "Time spent on transforming", Counter, read(&made.micros) / 1e6),
            (
                "variant_refused",
                "Requests beyond variants.max or variants.max_per_caller",
                Counter,
                self.0.refused() as f64,
            ),
            (
                "variant_cache_bytes",
                "Memory of transformed pictures in the cache",
                Gauge,
                self.0.conversions().bytes() as f64,
            ),
        ] {
            one(&mut encoder, name, help, kind, value)?;
        }
        Ok(())
    }
}
