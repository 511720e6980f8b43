//! [`Passed`]: the video of a camera or of a path of MediaMTX as a [`Coded`] source, as it was sent, with its sound.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::{
    Accepts, Coded, Frame,
    coded::{CHANGED, SOUND_CHANGED},
    squeeze::Squeeze,
};
use crate::{
    error::{Code, Error, Result},
    fmp4::{Audio, DecodeTimes, Track, Tracks, VIDEO_CLOCK, Video},
    stream::{CodedUnit, Demand, Ended, Form, Sound, SoundCodec, SoundUnit, VideoCodec, VideoReader, VideoUnit, Watch},
};

/// How long a client waits for the first keyframe. Cameras send one every ten seconds at the latest.
const FIRST: Duration = Duration::from_secs(12);

/// How long a client waits for the sound, after which its video begins without: another session with the source, in the same network.
const SOUND: Duration = Duration::from_millis(1500);

/// A unit that arrived so long ago is of the past: a new client gets all units since the last keyframe at once, and must not be as
/// late as the first of them.
const PAST: Duration = Duration::from_millis(150);

/// The same for a client that has caught up and listens: each squeeze is a hole in its sound, and its player makes up for less itself.
const LATE: Duration = Duration::from_secs(1);

/// How long a unit of the past is shown, in ticks.
const MOMENT: i64 = VIDEO_CLOCK as i64 / 1000;

/// The time of the first unit: later than anything that is older, such as its sound.
const BEGIN: i64 = 3600 * VIDEO_CLOCK as i64;

/// The units of a stream's source. They are read once for all clients; pictures of the stream are rarely decoded.
pub struct Passed {
    /// Keeps the source running.
    _watch: Watch,
    reader: VideoReader,
    first: Option<Arc<CodedUnit>>,
    tracks: Tracks,
    sound: Option<SoundCodec>,
    note: Option<String>,
    /// The parameter sets of the init segment.
    sets: Vec<Bytes>,
    /// The time of the first unit.
    origin: Instant,
    decoding: DecodeTimes,
    squeeze: Squeeze,
    /// The client has had a unit of the present.
    has_caught_up: bool,
    /// Pictures that refer to ones before the first keyframe are left out; none were sent yet.
    skips_leading: bool,
}

impl Passed {
    /// Waits for a keyframe of the watched stream's source, and for its sound if the client plays any. Gives the watch back if the source
    /// has no video that can be passed on: it sends pictures, or another program reads it.
    pub(super) async fn open(mut watch: Watch, accepts: &Accepts) -> Result<Result<Self, Watch>> {
        let mut reader = watch.video(accepts.listens());
        let (mut failures, name) = (watch.failures(), watch.stream().name().clone());
        watch.skip_held();
        let error = |why: &str| Error::new(Code::NoPicture, format!("stream {name} gives no video: {why}"));
        let first = tokio::select! {
            biased;
            unit = reader.next() => Some(unit.map_err(|why| error(why.0))?),
            // A unit is handed over before it is decoded.
            frame = watch.next() => frame.map(|_| None).map_err(|why| error(why.0))?,
            why = failures.next() => return Err(watch.stream().no_picture(&format!("stream {name} gives no video"), &why)),
            () = sleep(FIRST) => return Err(error(&format!("no keyframe within {} s", FIRST.as_secs()))),
        };
        let described = first.and_then(|unit| match &*unit {
            CodedUnit::Video(video) => describe(video).map(|(track, sets)| (unit.clone(), video.at, track, sets)),
            CodedUnit::Sound(_) => None,
        });
        let Some((unit, origin, video, sets)) = described else { return Ok(Err(watch)) };
        if timeout(SOUND, reader.sound_is_known()).await.is_err() {
            tracing::debug!("the sound of {name} does not come in time");
        }
        let (sound, audio, note) = track_of(reader.sound(), accepts);
        // The pictures of the stream are made for others.
        watch.set_form(Form::Raster);
        watch.set_demand(Demand::Rare);
        let mut decoding = DecodeTimes::new(video.reorder);
        let shown: Vec<_> = reader.waiting().iter().map(|(at, _)| ticks(origin, *at)).collect();
        decoding.expect(&shown);
        Ok(Ok(Passed {
            _watch: watch,
            reader,
            first: Some(unit),
            tracks: Tracks { video, audio },
            sound,
            note,
            sets,
            origin,
            decoding,
            squeeze: Squeeze::default(),
            has_caught_up: false,
            skips_leading: true,
        }))
    }

    async fn frame(&mut self) -> Result<Frame, Ended> {
        loop {
            let unit = match self.first.take() {
                Some(unit) => unit,
                None => self.reader.next().await?,
            };
            let frame = match &*unit {
                CodedUnit::Video(unit) => self.video(unit)?,
                CodedUnit::Sound(unit) => self.heard(unit),
            };
            if let Some(frame) = frame {
                return Ok(frame);
            }
        }
    }

    fn video(&mut self, unit: &VideoUnit) -> Result<Option<Frame>, Ended> {
        if unit.is_key {
            if describe(unit).is_none_or(|(video, _)| video != self.tracks.video) {
                return Err(CHANGED);
            }
            let is_same = match (&self.sound, self.reader.sound()) {
                (Some(mine), Sound::Passed(now)) => *mine == now,
                (Some(_), Sound::None(_)) => false,
                // A source that is connected anew, or sound that this client does without.
                _ => true,
            };
            if !is_same {
                return Err(SOUND_CHANGED);
            }
        }
        if self.is_skipped(unit) {
            return Ok(None);
        }
        let shown = ticks(self.origin, unit.at);
        let decoded = self.decoding.place(shown);
        self.squeeze.pass(decoded);
        let late = unit.received_at.elapsed();
        self.has_caught_up |= late <= PAST;
        let most = if self.has_caught_up && self.tracks.audio.is_some() { LATE } else { PAST };
        if !self.squeeze.is_busy() && late > most {
            self.squeeze_past(decoded, shown);
        }
        let (at, shown) = (self.squeeze.video(decoded), self.squeeze.video(shown));
        let data = unit.framed(&self.sets);
        let offset = self.decoding.reorders().then_some(shown - at);
        let at = u64::try_from(at).unwrap_or(0);
        let frame = Frame { track: Track::Video, is_sync: unit.is_key, is_repeated: false, at, offset, data };
        Ok(Some(frame).filter(|frame| !frame.data.is_empty()))
    }

    /// Squeezes the times of this unit and of those behind it that are of the past.
    fn squeeze_past(&mut self, decoded: i64, shown: i64) {
        let waiting = self.reader.waiting();
        let past = waiting.iter().take_while(|(_, received_at)| received_at.elapsed() > PAST);
        let past: Vec<_> = past.map(|(at, _)| ticks(self.origin, *at)).collect();
        let to = past.iter().copied().max().unwrap_or(shown).max(shown);
        self.squeeze.begin(decoded, to, (past.len() as i64 + 1) * MOMENT);
    }

    /// Pictures of H.265 between a keyframe and the ones that are shown after it (RASL) refer to pictures before the keyframe, which a
    /// new client does not have.
    fn is_skipped(&mut self, unit: &VideoUnit) -> bool {
        if unit.codec != VideoCodec::H265 || !self.skips_leading {
            return false;
        }
        let mut kinds = unit.nals.iter().filter_map(|nal| nal.first()).map(|first| first >> 1 & 0x3F);
        let kind = kinds.find(|kind| *kind < 32);
        let is_leading = matches!(kind, Some(8 | 9));
        // A picture behind them, or the next keyframe.
        self.skips_leading = is_leading || self.origin == unit.at || matches!(kind, Some(6 | 7));
        is_leading
    }

    fn heard(&mut self, unit: &SoundUnit) -> Option<Frame> {
        self.sound.as_ref()?;
        let at = self.squeeze.sound(ticks(self.origin, unit.at));
        let (at, data) = (u64::try_from(at).ok()?, unit.data.clone());
        Some(Frame { track: Track::Audio, is_sync: true, is_repeated: false, at, offset: None, data })
    }
}

/// A time in ticks; the first unit is at `origin`.
fn ticks(origin: Instant, at: Instant) -> i64 {
    let ticks = |span: Duration| {
        let nanos = span.as_nanos() * u128::from(VIDEO_CLOCK);
        i64::try_from((nanos + 500_000_000) / 1_000_000_000).unwrap_or(i64::MAX / 4)
    };
    BEGIN + ticks(at.saturating_duration_since(origin)) - ticks(origin.saturating_duration_since(at))
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

    fn note(&self) -> Option<String> {
        self.note.clone()
    }
}

/// The track of a source's sound; or why a client gets none.
fn track_of(sound: Sound, accepts: &Accepts) -> (Option<SoundCodec>, Option<Audio>, Option<String>) {
    let codec = match sound {
        Sound::Passed(codec) => codec,
        Sound::None(why) => return (None, None, why),
        Sound::Unknown => return (None, None, Some("the source does not give its sound in time".into())),
    };
    let track = match &codec {
        SoundCodec::Aac { config } => Audio::aac(config),
        SoundCodec::Opus { channels } => Some(Audio::opus(*channels)),
    };
    match track {
        Some(track) if accepts.plays(&track.codec) => (Some(codec), Some(track), None),
        Some(track) => (None, None, Some(format!("the client does not play {}", track.codec))),
        None => (None, None, Some("the configuration of the AAC is not understood".into())),
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
