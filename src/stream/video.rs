//! [`Passing`]: the coded video and sound of a stream's source, for outputs that pass them on as they are.
//!
//! A producer that reads video hands over each access unit before it decodes any. The units since the last keyframe are kept, with the
//! sound between them, so that a new reader begins at once. Sound is read from the source only while a reader wants it.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

/// Bounds of the units that are kept for new readers: a keyframe every ten seconds at 12 Mbit/s, with 50 frames of sound a second. Behind
/// them, a new reader waits for the next keyframe.
const MAX_UNITS: usize = 2048;
const MAX_BYTES: usize = 16 << 20;

/// A codec of video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264.
    H264,
    /// H.265.
    H265,
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

/// The units since the last keyframe.
#[derive(Debug, Default)]
struct Group {
    /// Number of the group, from 1.
    number: u64,
    /// Units of the group that are no longer kept.
    forgotten: usize,
    units: VecDeque<Arc<CodedUnit>>,
    bytes: usize,
    /// Units of the group were lost: the rest of the video cannot be decoded.
    is_broken: bool,
    sound: Sound,
}

impl Group {
    fn next(&self) -> Self {
        Group { number: self.number + 1, sound: self.sound.clone(), ..Group::default() }
    }

    fn add(&mut self, unit: CodedUnit) {
        self.bytes += unit.size();
        self.units.push_back(Arc::new(unit));
        while self.units.len() > MAX_UNITS || self.bytes > MAX_BYTES && self.units.len() > 1 {
            let Some(oldest) = self.units.pop_front() else { break };
            self.bytes -= oldest.size();
            self.forgotten += 1;
        }
    }
}

/// The coded video of a stream. Empty if its producer hands over none.
#[derive(Debug, Default)]
pub(super) struct Passing {
    group: watch::Sender<Group>,
    /// The number of readers that want sound.
    listeners: watch::Sender<usize>,
}

impl Passing {
    /// Takes the next unit of the source's video.
    pub(super) fn push(&self, unit: VideoUnit) {
        self.group.send_if_modified(|group| {
            if unit.is_key {
                *group = group.next();
            } else {
                group.is_broken |= unit.has_loss;
            }
            if group.number == 0 || group.is_broken {
                return false;
            }
            group.add(CodedUnit::Video(unit));
            true
        });
    }

    /// Takes the next frame of the source's sound, which belongs to the last keyframe. It goes on while units of video are lost.
    pub(super) fn push_sound(&self, unit: SoundUnit) {
        self.group.send_if_modified(|group| {
            let is_heard = !group.units.is_empty() && matches!(group.sound, Sound::Passed(_));
            if is_heard {
                group.add(CodedUnit::Sound(unit));
            }
            is_heard
        });
    }

    /// The source is connected anew, or gone: what is kept is no longer the present.
    pub(super) fn clear(&self, sound: Sound) {
        self.group.send_modify(|group| {
            let number = group.number + u64::from(group.number > 0);
            *group = Group { number, is_broken: true, sound, ..Group::default() };
        });
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
        VideoReader { group: self.group.subscribe(), listening, number: 0, next: 0, dropped: 0 }
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
    group: watch::Receiver<Group>,
    listening: Option<Listening>,
    /// Number of the group that is being read.
    number: u64,
    /// How many units of the group were returned.
    next: usize,
    dropped: u64,
}

impl VideoReader {
    /// Waits for the next unit. The first one is a keyframe. A reader that is too slow continues with the latest keyframe.
    /// Cancel-safe. Waits for ever if the source has no coded video.
    pub async fn next(&mut self) -> Arc<CodedUnit> {
        loop {
            {
                let group = self.group.borrow_and_update();
                // A group whose keyframe is not kept any longer is of use only to those who have it.
                if group.number != self.number && group.forgotten == 0 {
                    self.number = group.number;
                    self.next = 0;
                }
                let mut at = self.next.checked_sub(group.forgotten).filter(|_| group.number == self.number);
                let listens = self.listening.is_some();
                while let Some(unit) = at.and_then(|at| group.units.get(at)) {
                    self.next += 1;
                    at = at.map(|at| at + 1);
                    if listens || matches!(**unit, CodedUnit::Video(_)) {
                        return unit.clone();
                    }
                }
                self.dropped += u64::from(at.is_none() && group.number == self.number);
            }
            if self.group.changed().await.is_err() {
                // The stream is gone, which its watch says.
                return std::future::pending().await;
            }
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
        let from = if group.number == self.number { self.next.saturating_sub(group.forgotten) } else { 0 };
        let times = group.units.iter().skip(from).filter_map(|unit| match &**unit {
            CodedUnit::Video(unit) => Some((unit.at, unit.received_at)),
            CodedUnit::Sound(_) => None,
        });
        times.collect()
    }

    /// Whether there is a keyframe to begin with, or units after it.
    pub fn has_any(&self) -> bool {
        !self.group.borrow().units.is_empty()
    }

    /// Units that this reader missed because it was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn unit(number: u8, is_key: bool) -> VideoUnit {
        VideoUnit {
            codec: VideoCodec::H264,
            nals: vec![Bytes::copy_from_slice(&[number])],
            is_key,
            has_loss: false,
            at: Instant::now(),
            received_at: Instant::now(),
        }
    }

    fn read(reader: &mut VideoReader) -> Vec<u8> {
        std::iter::from_fn(|| reader.next().now_or_never()).map(|unit| number(&unit)).collect()
    }

    /// The number of a unit; of sound, 100 more.
    fn number(unit: &CodedUnit) -> u8 {
        match unit {
            CodedUnit::Video(unit) => unit.nals[0][0],
            CodedUnit::Sound(unit) => 100 + unit.data[0],
        }
    }

    fn sound(number: u8) -> SoundUnit {
        SoundUnit { data: Bytes::copy_from_slice(&[number]), at: Instant::now(), received_at: Instant::now() }
    }

    #[tokio::test]
    async fn a_new_reader_begins_with_the_last_keyframe_and_a_slow_one_continues_there() {
        let passing = Passing::default();
        let mut early = passing.reader(false);
        passing.push(unit(1, false));
        assert_eq!((read(&mut early), early.has_any()), (vec![], false), "a unit that refers to unknown ones");
        for (number, is_key) in [(2, true), (3, false), (4, false)] {
            passing.push(unit(number, is_key));
        }
        assert_eq!(read(&mut early), [2, 3, 4]);
        assert_eq!(read(&mut passing.reader(false)), [2, 3, 4]);
        let mut slow = passing.reader(false);
        assert_eq!(number(&*slow.next().await), 2);
        for (number, is_key) in [(5, false), (6, true), (7, false)] {
            passing.push(unit(number, is_key));
        }
        assert_eq!((read(&mut slow), read(&mut early)), (vec![6, 7], vec![6, 7]));
    }

    #[tokio::test]
    async fn units_behind_a_loss_wait_for_the_next_keyframe() {
        let passing = Passing::default();
        let mut reader = passing.reader(false);
        passing.push(unit(1, true));
        passing.push(VideoUnit { has_loss: true, ..unit(2, false) });
        passing.push(unit(3, false));
        assert_eq!(read(&mut reader), [1]);
        passing.push(VideoUnit { has_loss: true, ..unit(4, true) });
        passing.push(unit(5, false));
        assert_eq!(read(&mut reader), [4, 5]);
        passing.clear(Sound::Unknown);
        passing.push(unit(6, false));
        assert_eq!((read(&mut reader), read(&mut passing.reader(false))), (vec![], vec![]), "another connection");
        passing.push(unit(7, true));
        assert_eq!((read(&mut reader), read(&mut passing.reader(false))), (vec![7], vec![7]));
    }

    #[tokio::test]
    async fn a_source_without_keyframes_takes_a_bounded_memory_and_its_readers_go_on() {
        let passing = Passing::default();
        let mut reader = passing.reader(false);
        passing.push(unit(0, true));
        assert_eq!(read(&mut reader), [0]);
        for number in 0..3 * MAX_UNITS {
            passing.push(unit(number as u8, false));
            assert_eq!(read(&mut reader), [number as u8]);
        }
        assert_eq!(passing.group.borrow().units.len(), MAX_UNITS);
        assert!(read(&mut passing.reader(false)).is_empty(), "its keyframe is no longer kept");
        let large = VideoUnit { nals: vec![Bytes::from(vec![0; 5 << 20])], ..unit(0, false) };
        for _ in 0..10 {
            passing.push(large.clone());
        }
        assert!(passing.group.borrow().bytes <= MAX_BYTES);
    }

    #[tokio::test]
    async fn listeners_get_the_sound_since_the_last_keyframe_and_are_counted() {
        let passing = Passing::default();
        let passed = Sound::Passed(SoundCodec::Opus { channels: 2 });
        let count = passing.listeners();
        let (mut listener, mut viewer) = (passing.reader(true), passing.reader(false));
        assert_eq!((*count.borrow(), listener.sound(), viewer.sound()), (1, Sound::Unknown, Sound::None(None)));
        assert!(listener.sound_is_known().now_or_never().is_none() && viewer.sound_is_known().now_or_never().is_some());
        passing.push_sound(sound(1));
        passing.push(unit(2, true));
        passing.push_sound(sound(3));
        passing.set_sound(passed.clone());
        listener.sound_is_known().await;
        passing.push_sound(sound(4));
        passing.push(VideoUnit { has_loss: true, ..unit(5, false) });
        passing.push_sound(sound(6));
        assert_eq!((read(&mut listener), read(&mut viewer)), (vec![2, 104, 106], vec![2]), "sound goes on");
        assert_eq!(passing.reader(true).waiting().len(), 1, "video only");
        passing.push(unit(7, true));
        passing.push_sound(sound(8));
        assert_eq!(read(&mut passing.reader(true)), [7, 108]);
        passing.clear(passed);
        passing.push_sound(sound(9));
        assert_eq!(read(&mut passing.reader(true)), [] as [u8; 0], "a keyframe is first");
        assert_eq!(*count.borrow(), 1);
        drop(listener);
        assert_eq!(*count.borrow(), 0);
    }
}
