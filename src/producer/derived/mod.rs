//! Streams that are made of another stream: cut, scaled, turned, drawn on. Each has a permission of its own.
//!
//! The same work draws the overlay of any definition: its producer runs in a hidden stream, so that no output
//! sees a picture without its masks.

mod follow;
mod overlaid;
mod recipe;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) use self::overlaid::overlaid;
use self::{follow::follow, recipe::Recipe};
use super::ProducerContext;
use crate::{
    error::{Code, Error, Result},
    picture::{compose::Overlay, transform::Transform},
    stream::{Producer, ProducerFuture, Run, StreamName},
};

/// Quality of the JPEGs, unless it is set.
const QUALITY: u8 = 85;

/// The parent, and what is made of its pictures: first the cut, then size and orientation, then the overlay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DerivedDefinition)]
pub struct Settings {
    /// The stream, or path of MediaMTX, that it is made of.
    #[schema(value_type = String, example = "yard")]
    pub of: StreamName,
    /// The part that is shown: left, top, width and height, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<[f64; 4]>,
    /// Width in pixels, 8 to 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub w: Option<u32>,
    /// Height in pixels, 8 to 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub h: Option<u32>,
    /// How the picture fills `w` and `h`: `inside`, `contain`, `cover` or `fill`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<String>,
    /// Degrees clockwise: 0, 90, 180 or 270.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<i32>,
    /// `horizontal`, `vertical` or `both`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip: Option<String>,
    /// Whether the colours are removed.
    #[serde(default)]
    pub gray: bool,
    /// Most pictures a second, 0.01 to 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Quality of the JPEGs, 1 to 100.
    #[serde(default = "default_quality")]
    pub quality: u8,
}

fn default_quality() -> u8 {
    QUALITY
}

impl Settings {
    /// As the parameters of a request have it; an error names the member and its rule.
    fn transform(&self) -> Result<Transform> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let mut add = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                query.append_pair(key, &value);
            }
        };
        add("w", self.w.map(|w| w.to_string()));
        add("h", self.h.map(|h| h.to_string()));
        add("fit", self.fit.clone());
        add("rotate", self.rotate.map(|rotate| rotate.to_string()));
        add("flip", self.flip.clone());
        add("gray", self.gray.then(|| "1".to_owned()));
        add("fps", self.fps.map(|fps| fps.to_string()));
        let read = Transform::from_query(&query.finish());
        read.map_err(|e| Error::new(Code::InvalidDefinition, e.to_string()))
    }
}

/// Checks the settings. The overlay is that of the definition.
pub(super) fn with_overlay(
    settings: &Settings,
    overlay: Overlay,
    name: &StreamName,
    context: &ProducerContext,
) -> Result<Arc<dyn Producer>> {
    let refuse = |field: &'static str, rule: String| {
        Err(Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field))
    };
    if settings.of == *name {
        return refuse("of", "must be another stream".into());
    }
    if let Some(crop) = settings.crop {
        let [x, y, w, h] = crop;
        let is_inside = |at: f64, side: f64| (0.0..100.0).contains(&at) && side >= 0.1 && at + side <= 100.001;
        if !is_inside(x, w) || !is_inside(y, h) {
            let rule = "must be left, top, width and height in percent, within the picture";
            return refuse("crop", format!("{rule}, not {crop:?}"));
        }
    }
    if !(1..=100).contains(&settings.quality) {
        return refuse("quality", format!("must be from 1 to 100, not {}", settings.quality));
    }
    let recipe = Recipe {
        crop: settings.crop,
        transform: settings.transform()?,
        overlay: Arc::new(overlay),
        quality: settings.quality,
    };
    let ages = Arc::new(AtomicBool::new(true));
    Ok(Arc::new(Derived { of: settings.of.clone(), recipe: Arc::new(recipe), context: context.clone(), ages }))
}

pub(super) fn producer(settings: &Settings, name: &StreamName, context: &ProducerContext) -> Result<Arc<dyn Producer>> {
    with_overlay(settings, Overlay::default(), name, context)
}

struct Derived {
    of: StreamName,
    recipe: Arc<Recipe>,
    context: ProducerContext,
    /// Whether the pictures of the parent become outdated; known when the parent is.
    ages: Arc<AtomicBool>,
}

impl Producer for Derived {
    fn kind(&self) -> &'static str {
        "derived"
    }

    fn ages(&self) -> bool {
        self.ages.load(Ordering::Relaxed)
    }

    fn moves(&self) -> bool {
        self.recipe.overlay.moves()
    }

    fn parents(&self) -> Vec<StreamName> {
        vec![self.of.clone()]
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let (of, recipe, context, ages) =
            (self.of.clone(), self.recipe.clone(), self.context.clone(), self.ages.clone());
        Box::pin(async move {
            let stop = run.stop.clone();
            let work = async {
                let parent = context.parents.find(&of, &run.name).await?;
                ages.store(parent.producer().ages(), Ordering::Relaxed);
                follow(&parent, &recipe, &context, &run).await
            };
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                end = work => end,
            }
        })
    }
}
