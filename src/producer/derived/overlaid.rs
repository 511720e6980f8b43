//! [`overlaid`]: the overlay of a definition of any kind.

use std::sync::Arc;

use super::{follow::follow, recipe::Recipe};
use crate::{
    picture::{compose::Overlay, transform::Transform},
    producer::ProducerContext,
    stream::{Mode, Producer, ProducerFuture, Run, Stream, StreamName},
};

/// Draws the overlay on the pictures of a producer, which runs in a hidden stream while this one runs.
pub(in crate::producer) fn overlaid(
    inner: Arc<dyn Producer>,
    overlay: Overlay,
    name: &StreamName,
    context: &ProducerContext,
) -> Arc<dyn Producer> {
    let recipe = Recipe { crop: None, transform: Transform::NONE, overlay: Arc::new(overlay), quality: super::QUALITY };
    let hidden = context.parents.hidden(name, inner.clone());
    Arc::new(Overlaid { inner, hidden, recipe: Arc::new(recipe), context: context.clone() })
}

struct Overlaid {
    inner: Arc<dyn Producer>,
    hidden: Arc<Stream>,
    recipe: Arc<Recipe>,
    context: ProducerContext,
}

impl Producer for Overlaid {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn mode(&self) -> Mode {
        self.inner.mode()
    }

    fn ages(&self) -> bool {
        self.inner.ages()
    }

    fn is_steady(&self) -> bool {
        self.inner.is_steady()
    }

    fn moves(&self) -> bool {
        self.recipe.overlay.moves()
    }

    fn parents(&self) -> Vec<StreamName> {
        self.inner.parents()
    }

    fn hidden(&self) -> Option<Arc<Stream>> {
        Some(self.hidden.clone())
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let (hidden, recipe, context) = (self.hidden.clone(), self.recipe.clone(), self.context.clone());
        Box::pin(async move {
            let stop = run.stop.clone();
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                end = follow(&hidden, &recipe, &context, &run) => end,
            }
        })
    }
}
