//! [`Want`]: the video parameters of one request.

use tokio::time::Duration;

use super::settings::H264Settings;
use crate::{
    error::{Error, Result},
    picture::Canvas,
};

/// Pictures a second that a request can ask for. MediaMTX disconnects a source that is silent for 10 s.
const FPS: std::ops::RangeInclusive<f64> = 0.2..=30.0;

/// Video parameters that a request sets instead of the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Want {
    width: Option<u32>,
    height: Option<u32>,
    /// The time from picture to picture.
    pub(super) interval: Option<Duration>,
}

impl Want {
    /// Reads the parameters `w`, `h` (pixels) and `fps` (0.2 to 30).
    pub fn parse(w: Option<&str>, h: Option<&str>, fps: Option<&str>) -> Result<Self> {
        let side = |name: &'static str, text: Option<&str>| {
            text.map(|text| {
                let side = text.parse::<u32>().ok().filter(|side| (32..=3840).contains(side) && side % 2 == 0);
                side.ok_or_else(|| {
                    Error::parameter(name, format!("must be an even number from 32 to 3840, not {text:?}"))
                })
            })
            .transpose()
        };
        let (width, height) = (side("w", w)?, side("h", h)?);
        if let (Some(width), Some(height)) = (width, height) {
            Canvas::new(width, height).map_err(|rule| Error::parameter("h", rule))?;
        }
        let interval = fps
            .map(|text| {
                let fps = text.parse::<f64>().ok().filter(|fps| FPS.contains(fps));
                let rule = || format!("must be from {} to {}, not {text:?}", FPS.start(), FPS.end());
                fps.map(|fps| Duration::from_secs_f64(1.0 / fps)).ok_or_else(|| Error::parameter("fps", rule()))
            })
            .transpose()?;
        Ok(Want { width, height, interval })
    }

    /// The canvas for a first picture of this size. A side that the request leaves out follows from the proportions.
    pub(super) fn canvas(&self, settings: &H264Settings, width: u32, height: u32) -> Canvas {
        let usual = settings.canvas.0.unwrap_or_else(|| Canvas::for_picture(width, height));
        let follow = |side: u32, of: u32, to: u32| {
            ((u64::from(side) * u64::from(to) / u64::from(of)) as u32 & !1).clamp(32, 3840)
        };
        let (width, height) = match (self.width, self.height) {
            (None, None) => return usual,
            (Some(w), Some(h)) => (w, h),
            (Some(w), None) => (w, follow(w, usual.width(), usual.height())),
            (None, Some(h)) => (follow(h, usual.height(), usual.width()), h),
        };
        Canvas::new(width, height).unwrap_or_else(|_| Canvas::for_picture(width, height))
    }
}
