//! [`Pictures`]: the pictures of a stream as a [`Coded`] source.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Duration, Instant};

use super::{Coded, Frame, coded::CHANGED};
use crate::{
    error::{Code, Error, Result},
    fmp4::{Track, Tracks, VIDEO_CLOCK, Video},
    h264::{AccessUnit, nal},
    output::h264::{Encodings, Pacer, Want},
    stream::{Ended, Watch, framed},
};

/// How much longer than the first picture of an encoding can take, in which it shows "waiting", a client waits for it: decoding
/// and encoding a large picture beside others.
const ENCODING: Duration = Duration::from_secs(10);

/// The pictures of a stream, encoded once for all of its readers.
///
/// A still is a keyframe, which is repeated every [`H264Settings::keyframe`](crate::output::h264::H264Settings), with repetitions
/// between that skip every macroblock: frames arrive steadily, so that a browser shows a new picture at once.
pub struct Pictures {
    pacer: Pacer,
    tracks: Tracks,
    sets: [Bytes; 2],
    began: Instant,
    /// A client cannot decode frames before its first keyframe.
    has_keyframe: bool,
}

impl Pictures {
    /// Joins the encoding of the watched stream, and waits for its first picture. A stream without a picture shows "waiting".
    pub async fn join(encodings: &Encodings, watch: Watch, want: Want) -> Result<Self> {
        let name = watch.stream().name().clone();
        let reader = encodings.join(watch, want);
        let longest = *encodings.settings().first_frame_timeout + ENCODING;
        let first = reader.first(longest).await;
        let first = first.ok_or_else(|| {
            let message = format!("stream {name} gave no picture that can be encoded within {} s", longest.as_secs());
            Error::new(Code::NoPicture, message)
        })?;
        let AccessUnit { sps, pps, .. } = first.access_unit.clone();
        let video = Video::h264(&sps, &pps)
            .ok_or_else(|| Error::new(Code::Internal, "the encoder's parameter sets are not understood"))?;
        Ok(Pictures {
            pacer: Pacer::new(reader, encodings.settings(), want),
            tracks: Tracks { video, audio: None },
            sets: [sps, pps],
            began: Instant::now(),
            has_keyframe: false,
        })
    }

    async fn frame(&mut self) -> Result<Frame, Ended> {
        loop {
            let sample = self.pacer.next().await?;
            let unit = &sample.picture.access_unit;
            if [&unit.sps, &unit.pps] != [&self.sets[0], &self.sets[1]] {
                return Err(CHANGED);
            }
            let is_sync = sample.is_keyframe();
            self.has_keyframe |= is_sync;
            if !self.has_keyframe {
                continue;
            }
            let is_set = |nal: &Bytes| matches!(nal::Kind::of(nal), Some(nal::Kind::Sps | nal::Kind::Pps));
            // They are in the init segment (ISO/IEC 14496-15, 5.3.1).
            let data = framed(sample.nals().iter().filter(|nal| !is_set(nal)));
            let since = sample.at.saturating_duration_since(self.began);
            let at = u64::try_from(since.as_nanos() * u128::from(VIDEO_CLOCK) / 1_000_000_000).unwrap_or(u64::MAX);
            return Ok(Frame { track: Track::Video, is_sync, is_repeated: sample.repeated, at, offset: None, data });
        }
    }
}

impl Coded for Pictures {
    fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Frame, Ended>> {
        Box::pin(self.frame())
    }

    fn dropped(&self) -> u64 {
        self.pacer.dropped()
    }
}
