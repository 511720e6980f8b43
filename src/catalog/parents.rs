//! Streams that are made of other streams: finding the parents, and refusing circles.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regex::Regex;

use super::{Catalog, Requester};
use crate::{
    error::{Code, Error, Result},
    producer::StreamDefinition,
    stream::{Origin, Stream, StreamName},
};

/// Most streams that are looked at in a search for a circle.
const MAX_STEPS: usize = 1000;

impl Catalog {
    /// The stream or path of MediaMTX that a stream is made of. Refuses one that is made of that stream itself, which only shows when
    /// MediaMTX's paths are looked up.
    pub(super) async fn parent(&self, name: &StreamName, child: &StreamName) -> Result<Arc<Stream>> {
        let by = Requester { share: "derived".into(), may_make: false };
        let parent = self.find_or_relay(name, &by).await?;
        let (mut to_see, mut seen) = (vec![parent.clone()], BTreeSet::new());
        while let Some(stream) = to_see.pop().filter(|_| seen.len() < MAX_STEPS) {
            if stream.name() == child {
                return Err(circle(child, name));
            }
            if seen.insert(stream.name().clone()) {
                to_see.extend(stream.producer().parents().iter().filter_map(|name| self.0.registry.get(name)));
            }
        }
        Ok(parent)
    }

    /// The names with the pattern, by name: of streams, and of paths of MediaMTX that can be read. A mosaic is not among them: two with
    /// patterns would show each other. A path that MediaMTX makes of a stream counts by the name of the stream.
    pub(super) async fn matching(&self, pattern: &Regex) -> Vec<StreamName> {
        let streams = self.0.registry.list();
        let lasting = streams.iter().filter(|stream| stream.origin() != Origin::MediaMtx);
        let (shown, hidden): (Vec<_>, Vec<_>) = lasting.partition(|stream| stream.kind() != "mosaic");
        let of_streams = shown.into_iter().map(|stream| stream.name().clone()).filter(|name| pattern.is_match(name));
        let mut names: BTreeSet<_> = of_streams.collect();
        names.extend(self.0.relay.matching(pattern).await);
        for stream in hidden {
            names.remove(stream.name());
        }
        names.into_iter().collect()
    }

    /// Refuses a definition that is made of its own stream, by way of any number of others.
    pub(super) async fn refuse_circle(&self, name: &StreamName, definition: &StreamDefinition) -> Result<()> {
        let (mut to_see, mut seen) = (definition.parents(), BTreeSet::new());
        while let Some(parent) = to_see.pop().filter(|_| seen.len() < MAX_STEPS) {
            if !seen.insert(parent.clone()) {
                continue;
            }
            let leads_to = match self.0.registry.get(&parent) {
                Some(stream) => stream.producer().parents(),
                // A path of MediaMTX can be made of a stream of ours.
                None => self.own_stream_at(&parent).await.into_iter().collect(),
            };
            if parent == *name || leads_to.contains(name) {
                return Err(circle(name, &parent));
            }
            to_see.extend(leads_to);
        }
        Ok(())
    }
}

/// The first stream of these definitions that is made of itself.
pub fn circle_in(definitions: &BTreeMap<StreamName, StreamDefinition>) -> Option<Error> {
    definitions.iter().find_map(|(name, definition)| {
        let (mut to_see, mut seen) = (definition.parents(), BTreeSet::new());
        while let Some(parent) = to_see.pop() {
            if parent == *name {
                return Some(circle(name, &parent));
            }
            if seen.insert(parent.clone()) {
                to_see.extend(definitions.get(&parent).map(StreamDefinition::parents).unwrap_or_default());
            }
        }
        None
    })
}

fn circle(name: &StreamName, parent: &StreamName) -> Error {
    let message = match name == parent {
        true => format!("{name} is made of itself"),
        false => format!("{name} is made of {parent}, which is made of {name}"),
    };
    Error::new(Code::InvalidDefinition, message).in_field("of")
}
