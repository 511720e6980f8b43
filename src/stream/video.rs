//! [`Passing`]: the coded video and sound of a stream's source, for outputs that pass them on as they are.
//!
//! A producer that reads video hands over each access unit before it decodes any. The units since the last keyframe are kept, with the
//! sound between them, so that a new reader begins at once. Sound is read from the source only while a reader wants it.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

use super::Ended;
use crate::fanout;

/// Bounds of the units that are kept for new readers: a keyframe every ten seconds at 12 Mbit/s, with 50 frames of sound a second. Behind
/// them, a new reader waits for the next keyframe.
const MAX_UNITS: usize = 2048;
const MAX_BYTES: usize = 16 << 20;

/// A reader that is behind by less than this at a keyframe gets the units before it, too. They come in one segment with the keyframe
/// often, before a reader can run.
const BEHIND: Duration = Duration::from_secs(1);

/// A codec of video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264.
    H264,
    /// H.265.
    H265,
}

/// NALs, each behind its length in four bytes, as MP4 has them (ISO/IEC 14496-15, 5.3.3).
pub fn framed<'a>(nals: impl IntoIterator<Item = &'a Bytes, IntoIter: Clone>) -> Bytes {
    let nals = nals.into_iter();
    let mut out = Vec::with_capacity(nals.clone().map(|nal| 4 + nal.len()).sum());
    for nal in nals {
        out.extend_from_slice(&u32::try_from(nal.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(nal);
    }
    out.into()
}

/// An access unit as its source sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoUnit {
    /// The codec.
    pub codec: VideoCodec,
    /// The NALs without start codes; those of a keyframe include the parameter sets.
    pub nals: Vec<Bytes>,
    /// Whether it refers to no other unit.
    pub is_key: bool,
    /// Whether units before it were lost.
    pub has_loss: bool,
    /// When it is shown: its time at the source, on the clock of this machine. With B-frames not in the order of the units.
    pub at: Instant,
    /// When it arrived.
    pub received_at: Instant,
    /// Its framed NALs, once a reader has asked for them.
    pub shared: SharedFraming,
}

/// Framed NALs for all readers that leave out the same parameter sets. Equal to any other: it says nothing that the NALs do not.
#[derive(Clone, Debug, Default)]
pub struct SharedFraming(OnceLock<(Vec<Bytes>, Bytes)>);

impl PartialEq for SharedFraming {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SharedFraming {}

impl VideoUnit {
    /// The [`framed`] NALs without these parameter sets.
    pub fn framed(&self, without: &[Bytes]) -> Bytes {
        let frame = || framed(self.nals.iter().filter(|nal| !without.contains(nal)));
        let (left_out, shared) = self.shared.0.get_or_init(|| (without.to_vec(), frame()));
        if left_out == without { shared.clone() } else { frame() }
    }
}

/// A frame of sound as its source sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundUnit {
    /// The frame.
    pub data: Bytes,
    /// When it is heard: its time at the source, on the same clock as the video.
    pub at: Instant,
    /// When it arrived.
    pub received_at: Instant,
}

/// A unit of video or of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodedUnit {
    /// An access unit.
    Video(VideoUnit),
    /// A frame.
    Sound(SoundUnit),
}

impl CodedUnit {
    fn size(&self) -> usize {
        match self {
            CodedUnit::Video(unit) => unit.nals.iter().map(Bytes::len).sum(),
            CodedUnit::Sound(unit) => unit.data.len(),
        }
    }

    fn received_at(&self) -> Instant {
        match self {
            CodedUnit::Video(unit) => unit.received_at,
            CodedUnit::Sound(unit) => unit.received_at,
        }
    }
}

/// A codec of sound, with what a decoder must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoundCodec {
    /// AAC.
    Aac {
        /// The `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1).
        config: Bytes,
    },
    /// Opus.
    Opus {
        /// 1 or 2.
        channels: u8,
    },
}

/// The sound of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sound {
    /// Not known yet: the source is not connected, or its sound is not read at the moment.
    #[default]
    Unknown,
    /// There is none that can be passed on; the reason if the source has some.
    None(Option<String>),
    /// It is handed over.
    Passed(SoundCodec),
}

/// The units since the last keyframe, and before it those of the last moment.
#[derive(Debug, Default)]
struct Group {
    units: VecDeque<Arc<CodedUnit>>,
    /// The number of the first one that is kept. All units of a stream are numbered.
    begin: u64,
    /// The number of the last keyframe, which may not be kept any longer.
    key: Option<u64>,
    bytes: usize,
    /// Units of the group were lost: the rest of the video cannot be decoded.
    is_broken: bool,
    sound: Sound,
    /// Why the stream has ended.
    ended: Option<&'static str>,
}

impl Group {
    fn end(&self) -> u64 {
        self.begin + self.units.len() as u64
    }

    /// The next unit is a keyframe, which arrived at `now`.
    fn begin_anew(&mut self, now: Instant) {
        while self.units.front().is_some_and(|unit| now.saturating_duration_since(unit.received_at()) > BEHIND) {
            self.forget_oldest();
        }
        (self.key, self.is_broken) = (Some(self.end()), false);
    }

    fn add(&mut self, unit: CodedUnit) {
        self.bytes += unit.size();
        self.units.push_back(Arc::new(unit));
        while self.units.len() > MAX_UNITS || self.bytes > MAX_BYTES && self.units.len() > 1 {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.units.pop_front() {
            self.bytes -= oldest.size();
            self.begin += 1;
        }
    }

    /// Whether a reader can begin: there is a keyframe, or there was one that other readers have had.
    fn is_open(&self) -> bool {
        self.key.is_some_and(|key| key < self.end())
    }

    /// The number of the unit for a reader whose next one this is: it goes on, or begins with the last keyframe.
    fn position(&self, next: Option<u64>) -> Option<u64> {
        let goes_on = next.filter(|next| *next >= self.begin);
        goes_on.or(self.key.filter(|key| *key >= self.begin && *key < self.end()))
    }

    /// The units from this number on.
    fn from(&self, number: u64) -> impl Iterator<Item = &Arc<CodedUnit>> {
        self.units.iter().skip(usize::try_from(number.saturating_sub(self.begin)).unwrap_or(usize::MAX))
    }
}

/// The coded video of a stream. Empty if its producer hands over none.
#[derive(Debug, Default)]
pub(super) struct Passing {
    group: fanout::Sender<Group>,
    /// The number of readers that want sound.
    listeners: watch::Sender<usize>,
}

impl Passing {
    /// Takes the next unit of the source's video.
    pub(super) fn push(&self, unit: VideoUnit) {
        self.group.send_if_modified(|group| {
            if unit.is_key {
                group.begin_anew(unit.received_at);
            } else {
                group.is_broken |= unit.has_loss;
            }
            if group.key.is_none() || group.is_broken {
                return false;
            }
            group.add(CodedUnit::Video(unit));
            true
        });
    }

    /// Takes the next frame of the source's sound, which belongs to the last keyframe. It goes on while units of video are lost.
    pub(super) fn push_sound(&self, unit: SoundUnit) {
        self.group.send_if_modified(|group| {
            let is_heard = group.is_open() && matches!(group.sound, Sound::Passed(_));
            if is_heard {
                group.add(CodedUnit::Sound(unit));
            }
            is_heard
        });
    }

    /// The source is connected anew, or gone: what is kept is no longer the present.
    pub(super) fn clear(&self, sound: Sound) {
        self.group.send_modify(|group| {
            let ended = group.ended;
            *group = Group { begin: group.end(), is_broken: true, sound, ended, ..Group::default() };
        });
    }

    /// The stream has ended.
    pub(super) fn end(&self, why: &'static str) {
        self.group.send_modify(|group| group.ended = Some(why));
    }

    /// When the last keyframe arrived; none if it is not kept.
    pub(super) fn keyframe_received_at(&self) -> Option<Instant> {
        let group = self.group.borrow();
        let key = group.position(None)?;
        group.from(key).next().map(|unit| unit.received_at())
    }

    /// Says what the sound of the source is.
    pub(super) fn set_sound(&self, sound: Sound) {
        self.group.send_modify(|group| group.sound = sound);
    }

    /// The number of readers that want sound.
    pub(super) fn listeners(&self) -> watch::Receiver<usize> {
        self.listeners.subscribe()
    }

    /// A reader that begins with the last keyframe. The source's sound is read while there is one that `listens`.
    pub(super) fn reader(&self, listens: bool) -> VideoReader {
        let listening = listens.then(|| Listening::begin(&self.listeners));
        VideoReader { group: self.group.subscribe(), listening, next: None, dropped: 0 }
    }
}

/// Counts as a listener until it is dropped.
#[derive(Debug)]
struct Listening(watch::Sender<usize>);

impl Listening {
    fn begin(listeners: &watch::Sender<usize>) -> Self {
        listeners.send_modify(|count| *count += 1);
        Listening(listeners.clone())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Reads the coded video of a stream, and its sound.
#[derive(Debug)]
pub struct VideoReader {
    group: fanout::Receiver<Group>,
    listening: Option<Listening>,
    /// The number of the next unit; none before the first one.
    next: Option<u64>,
    dropped: u64,
}

impl VideoReader {
    /// Waits for the next unit. The first one is a keyframe. A reader that is too slow continues with the latest keyframe.
    /// Cancel-safe. Waits until the stream ends if the source has no coded video.
    pub async fn next(&mut self) -> Result<Arc<CodedUnit>, Ended> {
        loop {
            {
                let group = self.group.borrow_and_update();
                let listens = self.listening.is_some();
                if let Some(position) = group.position(self.next) {
                    self.dropped += self.next.map_or(0, |next| position.saturating_sub(next));
                    let mut next = position;
                    self.next = Some(next);
                    for unit in group.from(position) {
                        next += 1;
                        self.next = Some(next);
                        if listens || matches!(**unit, CodedUnit::Video(_)) {
                            return Ok(unit.clone());
                        }
                    }
                }
                if let Some(why) = group.ended {
                    return Err(Ended(why));
                }
            }
            self.group.changed().await.map_err(|_| Ended("the stream is gone"))?;
        }
    }

    /// The sound of the source at the moment. A reader that does not listen gets none.
    pub fn sound(&self) -> Sound {
        if self.listening.is_some() { self.group.borrow().sound.clone() } else { Sound::None(None) }
    }

    /// Waits until the sound of the source is known. Cancel-safe.
    pub async fn sound_is_known(&mut self) {
        if self.listening.is_some() && self.group.wait_for(|group| group.sound != Sound::Unknown).await.is_err() {
            std::future::pending().await
        }
    }

    /// The units of video that wait to be read: when they are shown, and when they arrived.
    pub fn waiting(&self) -> Vec<(Instant, Instant)> {
        let group = self.group.borrow();
        let from = group.position(self.next).map(|number| group.from(number));
        let times = from.into_iter().flatten().filter_map(|unit| match &**unit {
            CodedUnit::Video(unit) => Some((unit.at, unit.received_at)),
            CodedUnit::Sound(_) => None,
        });
        times.collect()
    }

    /// Whether there is a keyframe to begin with, or units after it.
    pub fn has_any(&self) -> bool {
        self.group.borrow().is_open()
    }

    /// Units that this reader missed because it was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests;
