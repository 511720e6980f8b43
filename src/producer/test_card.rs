//! A generated test card, to try everything without a camera.

use std::{sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::{Duration, MissedTickBehavior, interval};
use utoipa::ToSchema;

use super::ProducerContext;
use crate::{
    error::{Code, Error, Result},
    picture::{draw, in_pool, text::Fonts},
    stream::{Producer, ProducerFuture, Run, StreamName},
};

/// Size and rate of a test card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = TestCardDefinition)]
pub struct Settings {
    /// Width in pixels, 16 to 3840.
    pub width: u32,
    /// Height in pixels, 16 to 2160.
    pub height: u32,
    /// Pictures a second, 0.1 to 30.
    pub fps: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { width: 800, height: 450, fps: 5.0 }
    }
}

pub(super) fn producer(
    settings: &Settings,
    _name: &StreamName,
    context: &ProducerContext,
) -> Result<Arc<dyn Producer>> {
    let refuse = |field: &'static str, rule: &str| {
        Err(Error::new(Code::InvalidDefinition, format!("{field}: {rule}")).in_field(field))
    };
    if !(16..=3840).contains(&settings.width) {
        return refuse("width", &format!("must be from 16 to 3840, not {}", settings.width));
    }
    if !(16..=2160).contains(&settings.height) {
        return refuse("height", &format!("must be from 16 to 2160, not {}", settings.height));
    }
    if !(0.1..=30.0).contains(&settings.fps) {
        return refuse("fps", &format!("must be from 0.1 to 30, not {}", settings.fps));
    }
    Ok(Arc::new(TestCard { settings: settings.clone(), fonts: context.fonts.clone() }))
}

struct TestCard {
    settings: Settings,
    fonts: Fonts,
}

impl Producer for TestCard {
    fn kind(&self) -> &'static str {
        "test-card"
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let Settings { width, height, fps } = self.settings;
        let fonts = self.fonts.clone();
        Box::pin(async move {
            let mut ticks = interval(Duration::from_secs_f64(1.0 / fps));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut counter = 0;
            loop {
                tokio::select! {
                    () = run.stop.cancelled() => return Ok(()),
                    _ = ticks.tick() => {}
                }
                counter += 1;
                let (fonts, name) = (fonts.clone(), run.name.clone());
                let draw = move || draw::test_card(&fonts, &name, (width, height), counter, SystemTime::now());
                let card = in_pool(draw).await?;
                run.sink.publish(&card)?;
            }
        })
    }
}
