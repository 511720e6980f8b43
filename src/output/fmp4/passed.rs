//! [`Passed`]: the video of a camera or of a path of MediaMTX as a [`Coded`] source, as it was sent.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Duration, Instant, sleep};

use super::{Coded, Frame, coded::CHANGED};
use crate::{
    error::{Code, Error, Result},
    fmp4::{Track, Tracks, VIDEO_CLOCK, Video},
    stream::{Ended, VideoCodec, VideoReader, VideoUnit, Watch},
};

/// How long a client waits for the first keyframe. Cameras send one every ten seconds at the latest.
const FIRST: Duration = Duration::from_secs(12);

/// A unit that arrived so long ago is of the past: a new client gets all units since the last keyframe at once, and must not be as
/// late as the first of them.
const PAST: Duration = Duration::from_millis(150);

/// How long a unit of the past is shown, in ticks.
const MOMENT: u64 = VIDEO_CLOCK as u64 / 1000;

/// The longest pause between two units that RTP times are believed, in ticks.
const LONGEST: i32 = 10 * VIDEO_CLOCK as i32;

/// Units of one group whose time is before that of the unit before, from which on they are B-frames and no wrong clock.
const B_FRAMES: u32 = 3;

/// Why a source ends that turns out to have B-frames: its frames have no decoding times (RFC 6184, section 5.3, has presentation times).
const REORDERED: Ended = Ended("the video has B-frames, which MP4 is not made of here; switch them off at the source");

/// The units of a stream's source. They are read once for all clients; the pictures of the stream are decoded from keyframes only.
pub struct Passed {
    watch: Watch,
    reader: VideoReader,
    first: Option<Arc<VideoUnit>>,
    tracks: Tracks,
    /// The parameter sets of the init segment.
    sets: Vec<Bytes>,
    at: u64,
    /// RTP time and arrival of the last unit.
    last: Option<(u32, Instant)>,
    backwards: u32,
}

impl Passed {
    /// Waits for a keyframe of the watched stream's source. Gives the watch back if the source has no video that can be passed on: it
    /// sends pictures, or B-frames, or another program reads it.
    pub(super) async fn open(mut watch: Watch) -> Result<Result<Self, Watch>> {
        let mut reader = watch.video();
        let (mut failures, name) = (watch.failures(), watch.stream().name().clone());
        watch.skip_held();
        let error = |why: &str| Error::new(Code::NoPicture, format!("stream {name} gives no video: {why}"));
        let first = tokio::select! {
            biased;
            unit = reader.next() => Some(unit),
            // A unit is handed over before it is decoded.
            frame = watch.next() => frame.map(|_| None).map_err(|why| error(why.0))?,
            why = failures.next() => return Err(error(&why)),
            () = sleep(FIRST) => return Err(error(&format!("no keyframe within {} s", FIRST.as_secs()))),
        };
        let described = first.and_then(|unit| describe(&unit).map(|(video, sets)| (unit, video, sets)));
        let Some((unit, video, sets)) = described.filter(|(_, video, _)| !video.reorders) else {
            return Ok(Err(watch));
        };
        Ok(Ok(Passed {
            watch,
            reader,
            first: Some(unit),
            tracks: Tracks { video, audio: None },
            sets,
            at: 0,
            last: None,
            backwards: 0,
        }))
    }

    async fn frame(&mut self) -> Result<Frame, Ended> {
        loop {
            let unit = match self.first.take() {
                Some(unit) => unit,
                None => tokio::select! {
                    biased;
                    unit = self.reader.next() => unit,
                    frame = self.watch.next() => match frame {
                        Ok(_) => continue,
                        Err(why) => return Err(why),
                    },
                },
            };
            if unit.is_key {
                self.backwards = 0;
                if describe(&unit).is_none_or(|(video, _)| video != self.tracks.video) {
                    return Err(CHANGED);
                }
            }
            self.advance(&unit)?;
            let mut parts = unit.nals.clone();
            parts.retain(|nal| !self.sets.contains(nal));
            if !parts.is_empty() {
                return Ok(Frame { track: Track::Video, is_sync: unit.is_key, is_repeated: false, at: self.at, parts });
            }
        }
    }

    /// Sets the time of a unit.
    fn advance(&mut self, unit: &VideoUnit) -> Result<(), Ended> {
        let Some((timestamp, received_at)) = self.last.replace((unit.timestamp, unit.received_at)) else {
            return Ok(());
        };
        let since = unit.timestamp.wrapping_sub(timestamp).cast_signed();
        if (-LONGEST..0).contains(&since) {
            self.backwards += 1;
            if self.backwards >= B_FRAMES {
                return Err(REORDERED);
            }
        }
        self.at += match since {
            _ if unit.received_at.elapsed() > PAST => MOMENT,
            1..=LONGEST => u64::from(since.unsigned_abs()),
            // Another connection, with times of its own; or a wrong clock.
            _ => {
                let since = unit.received_at.saturating_duration_since(received_at);
                u64::try_from(since.as_micros()).unwrap_or(0) * u64::from(VIDEO_CLOCK) / 1_000_000
            }
        };
        Ok(())
    }
}

impl Coded for Passed {
    fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Frame, Ended>> {
        Box::pin(self.frame())
    }

    fn dropped(&self) -> u64 {
        self.reader.dropped()
    }
}

/// The track of a keyframe, and the parameter sets that describe it. None if they are not understood.
fn describe(unit: &VideoUnit) -> Option<(Video, Vec<Bytes>)> {
    let kinds: &[u8] = if unit.codec == VideoCodec::H264 { &[7, 8] } else { &[32, 33, 34] };
    let kind = |nal: &Bytes| match unit.codec {
        VideoCodec::H264 => nal.first().map(|first| first & 0x1F),
        VideoCodec::H265 => nal.first().map(|first| first >> 1 & 0x3F),
    };
    // The first of each kind; others stay in the stream.
    let set = |wanted: &u8| unit.nals.iter().find(|nal| kind(nal) == Some(*wanted)).cloned();
    let sets = kinds.iter().map(set).collect::<Option<Vec<_>>>()?;
    let video = match &sets[..] {
        [sps, pps] => Video::h264(sps, pps),
        [vps, sps, pps] => Video::h265(vps, sps, pps),
        _ => None,
    }?;
    Some((video, sets))
}
