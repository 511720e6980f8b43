//! The graph to which points are sent.

use std::sync::Arc;

use super::Catalog;
use crate::{
    error::Result,
    numbers::{Numbers, Sample, Taken, time},
    producer::Definition,
    stream::{Origin, StreamName},
};

impl Catalog {
    /// The points of a graph. A name without a stream becomes a graph of all series. Fails if the stream is of another kind.
    pub fn points(&self, name: &StreamName) -> Result<Arc<Numbers>> {
        let stream = self.stream_of_kind(name, &Definition::graph(), Origin::Upload)?;
        self.0.registry.touch(&stream);
        Ok(self.0.context.numbers.numbers(name))
    }

    /// Fails if the stream is of another kind, and makes none: a sender learns it before it sends the body.
    pub fn check_points(&self, name: &StreamName) -> Result<()> {
        match self.0.registry.get(name) {
            Some(stream) if stream.origin() != Origin::MediaMtx => {
                super::of_kind(stream, &Definition::graph()).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Adds points to a graph. Without a point, no graph is made.
    pub fn add_points(&self, name: &StreamName, samples: Vec<Sample>) -> Result<Taken> {
        if samples.is_empty() {
            self.check_points(name)?;
            return Ok(Taken::default());
        }
        Ok(self.points(name)?.take(samples, time::now()))
    }
}
