//! [`H264Settings`]: the section `h264` of the configuration.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{picture::Canvas, units::HumanDuration};

/// Settings for H.264 video made from pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct H264Settings {
    /// Size of the video; `auto` takes the size of the first picture.
    pub canvas: CanvasSetting,
    /// How often an unchanged picture is shown again, in pictures a second. All but keyframes cost a dozen bytes.
    pub repeat: u32,
    /// Pause between keyframes of an unchanged picture.
    pub keyframe: HumanDuration,
    /// How long a reader of a pulled stream waits for the first picture before it gets a "waiting" picture.
    pub first_frame_timeout: HumanDuration,
    /// Most CPU time for encoding one stream, in percent of one core. Above it, pictures are dropped.
    pub cpu_percent: u32,
}

impl Default for H264Settings {
    fn default() -> Self {
        H264Settings {
            canvas: CanvasSetting(None),
            repeat: 15,
            keyframe: HumanDuration::secs(1),
            first_frame_timeout: HumanDuration::secs(3),
            cpu_percent: 50,
        }
    }
}

impl H264Settings {
    /// Invalid settings: the key and the rule that it breaks.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if !(1..=30).contains(&self.repeat) {
            found.push(("repeat", format!("must be from 1 to 30 pictures a second, not {}", self.repeat)));
        }
        if !(HumanDuration::millis(40)..=HumanDuration::secs(8)).contains(&self.keyframe) {
            found.push(("keyframe", format!("must be from 40ms to 8s, not {}", self.keyframe)));
        }
        if self.first_frame_timeout > HumanDuration::secs(8) {
            found.push(("first_frame_timeout", format!("must be at most 8s, not {}", self.first_frame_timeout)));
        }
        if !(1..=100).contains(&self.cpu_percent) {
            found.push(("cpu_percent", format!("must be from 1 to 100, not {}", self.cpu_percent)));
        }
        found
    }
}

/// A canvas, or none for the size of the first picture; written `1280x720` or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CanvasSetting(pub Option<Canvas>);

impl FromStr for CanvasSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(CanvasSetting(None));
        }
        let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        let (width, height) = sides.ok_or_else(|| format!("{text:?} must be auto or a size such as 1280x720"))?;
        Canvas::new(width, height).map(|canvas| CanvasSetting(Some(canvas)))
    }
}

impl fmt::Display for CanvasSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(canvas) => canvas.fmt(f),
            None => f.write_str("auto"),
        }
    }
}

impl Serialize for CanvasSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CanvasSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
