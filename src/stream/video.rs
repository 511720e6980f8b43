//! [`Passing`]: the coded video of a stream's source, for outputs that pass it on as it is.
//!
//! A producer that reads video hands over each access unit before it decodes any. The units since the last keyframe are kept, so that
//! a new reader begins at once.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

/// Bounds of the units that are kept for new readers: a keyframe every ten seconds at 12 Mbit/s. Behind them, a new reader waits for the
/// next keyframe.
const MAX_UNITS: usize = 1024;
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
    /// Its time in ticks of 1/90000 s; wraps, and begins anew with each connection to the source.
    pub timestamp: u32,
    /// When it arrived.
    pub received_at: Instant,
}

/// The units since the last keyframe.
#[derive(Debug, Default)]
struct Group {
    /// Number of the group, from 1.
    number: u64,
    /// Units of the group that are no longer kept.
    forgotten: usize,
    units: VecDeque<Arc<VideoUnit>>,
    bytes: usize,
    /// Units of the group were lost: the rest cannot be decoded.
    is_broken: bool,
}

/// The coded video of a stream. Empty if its producer hands over none.
#[derive(Debug, Default)]
pub(super) struct Passing(watch::Sender<Group>);

impl Passing {
    /// Takes the next unit of the source.
    pub(super) fn push(&self, unit: VideoUnit) {
        self.0.send_if_modified(|group| {
            let size: usize = unit.nals.iter().map(Bytes::len).sum();
            if unit.is_key {
                *group = Group { number: group.number + 1, ..Group::default() };
            } else {
                group.is_broken |= unit.has_loss;
            }
            if group.number == 0 || group.is_broken {
                return false;
            }
            group.bytes += size;
            group.units.push_back(Arc::new(unit));
            while group.units.len() > MAX_UNITS || group.bytes > MAX_BYTES && group.units.len() > 1 {
                let Some(oldest) = group.units.pop_front() else { break };
                group.bytes -= oldest.nals.iter().map(Bytes::len).sum::<usize>();
                group.forgotten += 1;
            }
            true
        });
    }

    /// The source is connected anew, or gone: what is kept is no longer the present.
    pub(super) fn clear(&self) {
        self.0.send_modify(|group| {
            *group = Group { number: group.number + u64::from(group.number > 0), is_broken: true, ..Group::default() };
        });
    }

    /// A reader that begins with the last keyframe.
    pub(super) fn reader(&self) -> VideoReader {
        VideoReader { group: self.0.subscribe(), number: 0, next: 0, dropped: 0 }
    }
}

/// Reads the coded video of a stream.
#[derive(Debug)]
pub struct VideoReader {
    group: watch::Receiver<Group>,
    /// Number of the group that is being read.
    number: u64,
    /// How many units of the group were returned.
    next: usize,
    dropped: u64,
}

impl VideoReader {
    /// Waits for the next unit. The first one is a keyframe. A reader that is too slow continues with the latest keyframe.
    /// Cancel-safe. Waits for ever if the source has no coded video.
    pub async fn next(&mut self) -> Arc<VideoUnit> {
        loop {
            {
                let group = self.group.borrow_and_update();
                // A group whose keyframe is not kept any longer is of use only to those who have it.
                if group.number != self.number && group.forgotten == 0 {
                    self.number = group.number;
                    self.next = 0;
                }
                let at = self.next.checked_sub(group.forgotten).filter(|_| group.number == self.number);
                if let Some(unit) = at.and_then(|at| group.units.get(at)) {
                    self.next += 1;
                    return unit.clone();
                }
                self.dropped += u64::from(at.is_none() && group.number == self.number);
            }
            if self.group.changed().await.is_err() {
                // The stream is gone, which its watch says.
                return std::future::pending().await;
            }
        }
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
            timestamp: 0,
            received_at: Instant::now(),
        }
    }

    fn read(reader: &mut VideoReader) -> Vec<u8> {
        std::iter::from_fn(|| reader.next().now_or_never()).map(|unit| unit.nals[0][0]).collect()
    }

    #[tokio::test]
    async fn a_new_reader_begins_with_the_last_keyframe_and_a_slow_one_continues_there() {
        let passing = Passing::default();
        let mut early = passing.reader();
        passing.push(unit(1, false));
        assert_eq!((read(&mut early), early.has_any()), (vec![], false), "a unit that refers to unknown ones");
        for (number, is_key) in [(2, true), (3, false), (4, false)] {
            passing.push(unit(number, is_key));
        }
        assert_eq!(read(&mut early), [2, 3, 4]);
        assert_eq!(read(&mut passing.reader()), [2, 3, 4]);
        let mut slow = passing.reader();
        assert_eq!(slow.next().await.nals[0][0], 2);
        for (number, is_key) in [(5, false), (6, true), (7, false)] {
            passing.push(unit(number, is_key));
        }
        assert_eq!((read(&mut slow), read(&mut early)), (vec![6, 7], vec![6, 7]));
    }

    #[tokio::test]
    async fn units_behind_a_loss_wait_for_the_next_keyframe() {
        let passing = Passing::default();
        let mut reader = passing.reader();
        passing.push(unit(1, true));
        passing.push(VideoUnit { has_loss: true, ..unit(2, false) });
        passing.push(unit(3, false));
        assert_eq!(read(&mut reader), [1]);
        passing.push(VideoUnit { has_loss: true, ..unit(4, true) });
        passing.push(unit(5, false));
        assert_eq!(read(&mut reader), [4, 5]);
        passing.clear();
        passing.push(unit(6, false));
        assert_eq!((read(&mut reader), read(&mut passing.reader())), (vec![], vec![]), "another connection");
        passing.push(unit(7, true));
        assert_eq!((read(&mut reader), read(&mut passing.reader())), (vec![7], vec![7]));
    }

    #[tokio::test]
    async fn a_source_without_keyframes_takes_a_bounded_memory_and_its_readers_go_on() {
        let passing = Passing::default();
        let mut reader = passing.reader();
        passing.push(unit(0, true));
        assert_eq!(read(&mut reader), [0]);
        for number in 0..3 * MAX_UNITS {
            passing.push(unit(number as u8, false));
            assert_eq!(read(&mut reader), [number as u8]);
        }
        assert_eq!(passing.0.borrow().units.len(), MAX_UNITS);
        assert!(read(&mut passing.reader()).is_empty(), "its keyframe is no longer kept");
        let large = VideoUnit { nals: vec![Bytes::from(vec![0; 5 << 20])], ..unit(0, false) };
        for _ in 0..10 {
            passing.push(large.clone());
        }
        assert!(passing.0.borrow().bytes <= MAX_BYTES);
    }
}
