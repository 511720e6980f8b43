//! [`Presets`]: overlays of `overlays` in the settings, which a request asks for by name.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::SystemTime};

use lru::LruCache;
use parking_lot::Mutex;

use crate::{
    error::{Error, Result},
    picture::{
        PictureLimits, Raster, SharedFrame,
        compose::{Composer, Layer, Moment, Overlay},
        text::Fonts,
        transform::{PresetName, Transform, reshape, reshape_jpeg},
    },
    stream::{Mode, Stream},
    values::Values,
};

/// Composers that are kept, each for a preset and a size.
const MAX_COMPOSERS: NonZeroUsize = NonZeroUsize::new(32).expect("32 is not zero");

/// A composer of this preset for pictures of this size. Streams of different names draw different texts with it in turn.
type Composers = LruCache<(PresetName, (u32, u32)), Arc<Mutex<Composer>>>;

/// The overlays by name, and what draws them.
pub struct Presets {
    overlays: BTreeMap<String, Arc<Overlay>>,
    fonts: Fonts,
    values: Values,
    composers: Mutex<Composers>,
}

/// What a text can say about a stream.
pub(super) struct About {
    name: String,
    fps: f64,
    has_own_time: bool,
}

impl About {
    pub(super) fn of(stream: &Stream) -> Self {
        let producer = stream.producer();
        let has_own_time = producer.ages() && producer.mode() == Mode::Pulled;
        About { name: stream.name().to_string(), fps: stream.stats().fps, has_own_time }
    }
}

impl Presets {
    /// No presets.
    pub fn none() -> Self {
        Presets::with(BTreeMap::new(), &Fonts::bundled(), &Values::default())
    }

    /// The presets of the settings. The error names the preset and the rule.
    pub fn new(settings: &BTreeMap<String, Vec<Layer>>, fonts: &Fonts, values: &Values) -> Result<Self> {
        let overlays = settings.iter().map(|(name, layers)| Ok((name.clone(), Arc::new(Overlay::new(layers)?))));
        Ok(Presets::with(overlays.collect::<Result<_>>()?, fonts, values))
    }

    fn with(overlays: BTreeMap<String, Arc<Overlay>>, fonts: &Fonts, values: &Values) -> Self {
        let composers = Mutex::new(LruCache::new(MAX_COMPOSERS));
        Presets { overlays, fonts: fonts.clone(), values: values.clone(), composers }
    }

    /// Refuses a transform whose preset does not exist.
    pub fn check(&self, transform: &Transform) -> Result<()> {
        transform.overlay().map_or(Ok(()), |name| self.find(name).map(drop))
    }

    /// Whether pictures with this transform change with the clock.
    pub fn moves(&self, transform: &Transform) -> bool {
        let overlay = transform.overlay().and_then(|name| self.overlays.get(name.as_str()));
        overlay.is_some_and(|overlay| overlay.moves())
    }

    fn find(&self, name: PresetName) -> Result<&Arc<Overlay>> {
        self.overlays.get(name.as_str()).ok_or_else(|| {
            let known: Vec<_> = self.overlays.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
            Error::parameter("overlay", format!("there is no preset {name} (overlays in sidecar.yml: {known})"))
        })
    }

    /// Applies size and orientation, and draws the preset. Takes milliseconds: call it on a blocking thread.
    pub(super) fn draw(
        &self,
        name: PresetName,
        frame: &SharedFrame,
        transform: &Transform,
        about: &About,
        limits: &PictureLimits,
    ) -> Result<Raster> {
        let overlay = self.find(name)?;
        let mut raster = match frame.raster() {
            None => reshape_jpeg(&frame.jpeg(), (frame.width, frame.height), transform, limits)?,
            Some(raster) => {
                let made = reshape(raster, transform, limits)?;
                made.unwrap_or_else(|| Raster::clone(raster).into_jpeg_colour())
            }
        };
        let size = (raster.width(), raster.height());
        let composer = {
            let make = || Arc::new(Mutex::new(Composer::new(overlay.clone(), self.fonts.clone(), |_| None)));
            self.composers.lock().get_or_insert((name, size), make).clone()
        };
        composer.lock().draw(
            &mut raster,
            &Moment {
                name: &about.name,
                now: SystemTime::now(),
                captured_at: frame.captured_at,
                has_own_time: about.has_own_time,
                seq: frame.seq,
                size,
                fps: about.fps,
                value: &|key| self.values.get(key),
            },
        );
        Ok(raster)
    }
}
