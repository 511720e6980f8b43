//! H.264 made from pictures, for whatever carries it: a still costs one encoding, whoever watches.
//!
//! [`Encodings`] shares what is encoded among all readers of a stream; [`Pacer`] decides what one
//! reader is given when. A picture that arrives is given at once; one that does not change is
//! repeated, because players and MediaMTX keep no keyframe for those who join later.

mod encode_task;
mod motion;
mod shared;

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::time::{Duration, Instant, sleep_until};

pub use self::shared::{Counters, Encodings, Reader, Stats, Unit};
use crate::{
    error::{Error, Result},
    picture::Canvas,
    stream::Ended,
    units::HumanDuration,
};

/// How long a reader is given its picture more often than it will be later: WebRTC takes a moment to
/// connect, and shows nothing before its first keyframe.
const WARM_UP: Duration = Duration::from_secs(2);

/// How often during the warm-up: a wait that nobody notices, and at 1080p some 6 Mbit/s, which MediaMTX passes
/// on to whoever watches by Wi-Fi.
const WARM_UP_CADENCE: Duration = Duration::from_millis(200);

/// How often for ffmpeg, which guesses the frame rate from some 20 to 40 pictures before it begins.
const PROBE_CADENCE: Duration = Duration::from_millis(50);

/// The warm-up of a large picture takes no more bytes a second than this.
const WARM_UP_BYTES: u32 = 5 << 20;

/// Pictures a second that a reader may ask for. MediaMTX gives a source up that is silent for 10 s.
const FPS: std::ops::RangeInclusive<f64> = 0.2..=30.0;

/// How pictures become video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct H264Settings {
    /// The size of the video; `auto` is that of the first picture.
    pub canvas: CanvasSetting,
    /// How often a picture that does not change is repeated.
    pub interval: HumanDuration,
    /// How long a reader of a camera without a picture waits for one before it is shown "waiting".
    pub first_frame_timeout: HumanDuration,
    /// The share of one core, in percent, that encoding one stream may take; beyond it, pictures are left out.
    pub cpu_percent: u32,
}

impl Default for H264Settings {
    fn default() -> Self {
        H264Settings {
            canvas: CanvasSetting(None),
            interval: HumanDuration::secs(1),
            first_frame_timeout: HumanDuration::secs(3),
            cpu_percent: 50,
        }
    }
}

impl H264Settings {
    /// Says what is wrong with the settings, by key.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = vec![];
        if !(HumanDuration::millis(40)..=HumanDuration::secs(8)).contains(&self.interval) {
            found.push(("interval", format!("must be from 40ms to 8s, not {}", self.interval)));
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

/// A canvas, or none for the first picture's; written `1280x720` or `auto`.
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

/// What a reader asks for beyond the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Want {
    width: Option<u32>,
    height: Option<u32>,
    /// The time from picture to picture.
    every: Option<Duration>,
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
        let every = fps
            .map(|text| {
                let fps = text.parse::<f64>().ok().filter(|fps| FPS.contains(fps));
                let rule = || format!("must be from {} to {}, not {text:?}", FPS.start(), FPS.end());
                fps.map(|fps| Duration::from_secs_f64(1.0 / fps)).ok_or_else(|| Error::parameter("fps", rule()))
            })
            .transpose()?;
        Ok(Want { width, height, every })
    }

    /// The canvas for a first picture of this size. A side that was not asked for follows from the
    /// proportions.
    fn canvas(&self, settings: &H264Settings, width: u32, height: u32) -> Canvas {
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

/// What a reader is given.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The coded picture.
    pub unit: Arc<Unit>,
    /// Which of the two forms of an IDR picture.
    pub alternate: bool,
    /// When it is to be shown; later than every sample before.
    pub at: Instant,
    /// Whether it was given before.
    pub repeated: bool,
}

/// Decides what one reader is given, and when.
pub struct Pacer {
    reader: Reader,
    interval: Duration,
    warm_up_cadence: Duration,
    began: Instant,
    last: Option<Sample>,
}

impl Pacer {
    /// Begins now. `want` is what the reader was joined with; `probes` says that it looks at many pictures
    /// before it shows the first.
    pub fn new(reader: Reader, settings: &H264Settings, want: Want, probes: bool) -> Self {
        let interval = want.every.unwrap_or(*settings.interval);
        let warm_up_cadence = interval.min(if probes { PROBE_CADENCE } else { WARM_UP_CADENCE });
        Pacer { reader, interval, warm_up_cadence, began: Instant::now(), last: None }
    }

    /// The next sample, when it is time for it. Cancel-safe.
    pub async fn next(&mut self) -> Result<Sample, Ended> {
        let fresh = match &self.last {
            Some(last) => {
                let repeat_at = last.at + self.pause(&last.unit);
                tokio::select! {
                    biased;
                    unit = self.reader.next() => Some(unit?),
                    () = sleep_until(repeat_at), if self.reader.is_at_rest() => None,
                }
            }
            None => Some(self.reader.next().await?),
        };
        let now = Instant::now();
        let sample = match (fresh, &self.last) {
            (Some(unit), last) => {
                // A coded picture is as old as its picture, so that movement is even; but never older than what
                // was given before, and a still that was uploaded last year is of now.
                let earliest = match last {
                    Some(last) => last.at + Duration::from_millis(1),
                    None if self.reader.is_at_rest() => now,
                    None => unit.at,
                };
                Sample { alternate: self.alternate(&unit), at: unit.at.max(earliest), repeated: false, unit }
            }
            (None, Some(last)) => {
                let unit = last.unit.clone();
                Sample { alternate: self.alternate(&unit), at: now.max(last.at), repeated: true, unit }
            }
            (None, None) => unreachable!("only what was given before is repeated"),
        };
        self.last = Some(sample.clone());
        Ok(sample)
    }

    /// Pictures that this reader was not given because it was slow.
    pub fn dropped(&self) -> u64 {
        self.reader.dropped()
    }

    /// The other form than the last IDR picture had.
    fn alternate(&self, unit: &Unit) -> bool {
        let last = self.last.as_ref().is_some_and(|last| last.alternate);
        last != unit.access.is_idr()
    }

    fn pause(&self, unit: &Unit) -> Duration {
        if self.began.elapsed() >= WARM_UP {
            return self.interval;
        }
        let affordable = Duration::from_secs(1) * unit.access.size() as u32 / WARM_UP_BYTES;
        self.interval.min(affordable.max(self.warm_up_cadence))
    }
}

#[cfg(test)]
mod tests;
