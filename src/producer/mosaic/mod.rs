//! Many streams as one: a picture with a tile for each, for a screen that plays one stream.

mod layout;
mod tile;
mod wall;

use std::sync::Arc;

use regex::Regex;
use serde::{Deserialize, Serialize};
use tokio::time::Duration;
use utoipa::ToSchema;

use self::{
    layout::Layout,
    wall::{Plan, show},
};
use super::ProducerContext;
use crate::{
    error::{Code, Error, Result},
    picture::compose::rgb,
    stream::{Producer, ProducerFuture, Run, StreamName},
};

/// Most tiles, of all names and patterns together: 6 × 6.
const MAX_TILES: usize = 36;

/// Streams and paths of MediaMTX, and how they are arranged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MosaicDefinition)]
pub struct Settings {
    /// Names of streams and of MediaMTX's paths, or `~REGEXP` for all whose name has the pattern, as they come and go; at most 36.
    #[schema(example = json!(["door", "yard", "~^cameras/"]))]
    pub tiles: Vec<String>,
    /// `auto`, `focus` (the first tile large), or columns and rows: `2x2`, `3x3`.
    #[serde(default = "auto")]
    #[schema(default = "auto")]
    pub layout: String,
    /// Width in pixels, 64 to 3840, even.
    #[serde(default = "width")]
    #[schema(default = 1280)]
    pub w: u32,
    /// Height in pixels, 64 to 2160, even.
    #[serde(default = "height")]
    #[schema(default = 720)]
    pub h: u32,
    /// Most pictures a second, 0.1 to 30.
    #[serde(default = "fps")]
    #[schema(default = 5.0)]
    pub fps: f64,
    /// Whether tiles show their names.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub labels: bool,
    /// Pixels between tiles, 0 to 64.
    #[serde(default = "gap")]
    #[schema(default = 4)]
    pub gap: u32,
    /// Colour behind the tiles, as in overlays.
    #[serde(default = "background")]
    #[schema(default = "#181c24")]
    pub background: String,
    /// Quality of the JPEGs, 1 to 100.
    #[serde(default = "quality")]
    #[schema(default = 80)]
    pub quality: u8,
}

fn auto() -> String {
    "auto".into()
}
fn width() -> u32 {
    1280
}
fn height() -> u32 {
    720
}
fn fps() -> f64 {
    5.0
}
fn yes() -> bool {
    true
}
fn gap() -> u32 {
    4
}
fn background() -> String {
    "#181c24".into()
}
fn quality() -> u8 {
    80
}

impl Settings {
    /// The streams and paths that are named.
    pub fn names(&self) -> Vec<StreamName> {
        let names = self.tiles.iter().filter(|tile| !tile.starts_with('~'));
        names.filter_map(|name| StreamName::parse(name).ok()).collect()
    }

    /// Whether a pattern is among the tiles.
    pub fn has_patterns(&self) -> bool {
        self.tiles.iter().any(|tile| tile.starts_with('~'))
    }
}

/// Who is shown in one or more tiles.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    Name(StreamName),
    Pattern(Regex),
}

pub(super) fn producer(settings: &Settings, name: &StreamName, context: &ProducerContext) -> Result<Arc<dyn Producer>> {
    let refuse = |field: &'static str, rule: String| {
        Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field)
    };
    if !(1..=MAX_TILES).contains(&settings.tiles.len()) {
        return Err(refuse("tiles", format!("must have 1 to {MAX_TILES} entries, not {}", settings.tiles.len())));
    }
    let shown = |tile: &String| match tile.strip_prefix('~') {
        Some(pattern) => Regex::new(pattern)
            .map(Shown::Pattern)
            .map_err(|e| refuse("tiles", format!("{tile:?} is not a regular expression: {e}"))),
        None => StreamName::parse(tile).map(Shown::Name).map_err(|e| refuse("tiles", format!("{tile:?}: {e}"))),
    };
    let tiles: Vec<Shown> = settings.tiles.iter().map(shown).collect::<Result<_>>()?;
    if settings.names().contains(name) {
        return Err(refuse("tiles", format!("{name} cannot be a tile of itself")));
    }
    let layout: Layout = settings.layout.parse().map_err(|rule| refuse("layout", rule))?;
    if let Some(places) = layout.places()
        && places < settings.names().len()
    {
        let rule = format!("{} has {places} places, and there are {} tiles", settings.layout, settings.names().len());
        return Err(refuse("layout", rule));
    }
    for (field, side, range) in [("w", settings.w, 64..=3840), ("h", settings.h, 64..=2160)] {
        if !range.contains(&side) || side % 2 != 0 {
            let rule = format!("must be an even number from {} to {}, not {side}", range.start(), range.end());
            return Err(refuse(field, rule));
        }
    }
    if !(0.1..=30.0).contains(&settings.fps) {
        return Err(refuse("fps", format!("must be from 0.1 to 30, not {}", settings.fps)));
    }
    if settings.gap > 64 {
        return Err(refuse("gap", format!("must be from 0 to 64, not {}", settings.gap)));
    }
    if !(1..=100).contains(&settings.quality) {
        return Err(refuse("quality", format!("must be from 1 to 100, not {}", settings.quality)));
    }
    let background = rgb(&settings.background).map_err(|rule| refuse("background", rule))?;
    let plan = Plan {
        tiles,
        layout,
        size: (settings.w, settings.h),
        every: Duration::from_secs_f64(1.0 / settings.fps),
        labels: settings.labels,
        gap: settings.gap,
        background,
        quality: settings.quality,
    };
    Ok(Arc::new(Mosaic { parents: settings.names(), plan: Arc::new(plan), context: context.clone() }))
}

struct Mosaic {
    parents: Vec<StreamName>,
    plan: Arc<Plan>,
    context: ProducerContext,
}

impl Producer for Mosaic {
    fn kind(&self) -> &'static str {
        "mosaic"
    }

    fn parents(&self) -> Vec<StreamName> {
        self.parents.clone()
    }

    /// Of an earlier run: its tiles would be outdated, each by another time.
    fn moves(&self) -> bool {
        true
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let (plan, context) = (self.plan.clone(), self.context.clone());
        Box::pin(async move {
            let stop = run.stop.clone();
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                end = show(&plan, &context, &run) => end,
            }
        })
    }
}
