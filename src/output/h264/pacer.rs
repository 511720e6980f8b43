//! [`Pacer`]: decides which coded picture one reader gets, and when.

use std::sync::Arc;

use tokio::time::{Duration, Instant, sleep_until};

use super::{
    group::{CodedPicture, Reader},
    settings::H264Settings,
    want::Want,
};
use crate::{error::Result, stream::Ended};

/// A new reader gets its picture more often for this long: WebRTC takes a moment to connect and shows nothing before its
/// first keyframe.
const WARM_UP: Duration = Duration::from_secs(2);

/// Pause between repeats during the warm-up: too short for a viewer to notice. At 1080p it makes about 6 Mbit/s, which
/// MediaMTX passes on to viewers on Wi-Fi.
const WARM_UP_INTERVAL: Duration = Duration::from_millis(200);

/// The same pause for ffmpeg, which estimates the frame rate from 20 to 40 pictures before it begins.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// Most bytes a second of the warm-up, so that a large picture is repeated less often.
const WARM_UP_BYTES: u32 = 5 << 20;

/// One picture for one reader, with its time.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The coded picture.
    pub picture: Arc<CodedPicture>,
    /// Which of the two forms of an IDR picture to send.
    pub alternate: bool,
    /// Presentation time; later than that of every earlier sample.
    pub at: Instant,
    /// Whether the reader got this picture before.
    pub repeated: bool,
}

/// Decides which picture one reader gets, and when.
pub struct Pacer {
    reader: Reader,
    interval: Duration,
    warm_up_interval: Duration,
    began: Instant,
    last: Option<Sample>,
}

impl Pacer {
    /// Begins now. `want` are the parameters that the reader was joined with. `probes` says that the client looks at many
    /// pictures before it shows the first, as ffmpeg does.
    pub fn new(reader: Reader, settings: &H264Settings, want: Want, probes: bool) -> Self {
        let interval = want.interval.unwrap_or(*settings.interval);
        let warm_up_interval = interval.min(if probes { PROBE_INTERVAL } else { WARM_UP_INTERVAL });
        Pacer { reader, interval, warm_up_interval, began: Instant::now(), last: None }
    }

    /// Waits until the next sample is due. Cancel-safe.
    pub async fn next(&mut self) -> Result<Sample, Ended> {
        let picture = match &self.last {
            Some(last) => {
                let repeat_at = last.at + self.pause(&last.picture);
                tokio::select! {
                    biased;
                    picture = self.reader.next() => picture?,
                    () = sleep_until(repeat_at), if self.reader.is_at_rest() => {
                        let (picture, at) = (last.picture.clone(), Instant::now().max(last.at));
                        return Ok(self.give(picture, at, true));
                    }
                }
            }
            None => self.reader.next().await?,
        };
        // A sample carries the time of its picture, so that movement stays even. But time never runs backwards, and the
        // video of a still that was uploaded last year begins now.
        let earliest = match &self.last {
            Some(last) => last.at + Duration::from_millis(1),
            None if self.reader.is_at_rest() => Instant::now(),
            None => picture.at,
        };
        let at = picture.at.max(earliest);
        Ok(self.give(picture, at, false))
    }

    fn give(&mut self, picture: Arc<CodedPicture>, at: Instant, repeated: bool) -> Sample {
        let sample = Sample { alternate: self.alternate(&picture), picture, at, repeated };
        self.last = Some(sample.clone());
        sample
    }

    /// Pictures that this reader missed because it was slow.
    pub fn dropped(&self) -> u64 {
        self.reader.dropped()
    }

    /// Takes the form that the last IDR picture did not have.
    fn alternate(&self, picture: &CodedPicture) -> bool {
        let last = self.last.as_ref().is_some_and(|last| last.alternate);
        last != picture.access_unit.is_idr()
    }

    fn pause(&self, picture: &CodedPicture) -> Duration {
        if self.began.elapsed() >= WARM_UP {
            return self.interval;
        }
        let affordable = Duration::from_secs(1) * picture.access_unit.size() as u32 / WARM_UP_BYTES;
        self.interval.min(affordable.max(self.warm_up_interval))
    }
}
