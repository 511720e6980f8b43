//! Fragmented MP4 (ISO/IEC 14496-12, "the ISO base media file format"): one video track and at most one audio track, as browsers'
//! `MediaSource` and `<video>` read it. Pure functions: this module knows bytes, but no streams, no network and no clock.
//!
//! A response is an init segment ([`Tracks::init`]), and then one fragment for each frame ([`fragment_head`]), so that a frame leaves as
//! soon as it is there. [`Timeline`] gives the frames their times.

mod boxes;
mod decode_times;
mod entry;
mod sound_line;
#[cfg(test)]
mod tests;
mod timeline;

use bytes::Bytes;

pub use self::{
    decode_times::DecodeTimes,
    entry::{Audio, Video},
    sound_line::SoundLine,
    timeline::Timeline,
};
use boxes::Boxes;

/// Ticks a second of the video track: the clock of RTP (RFC 6184, section 8.2.1).
pub const VIDEO_CLOCK: u32 = 90_000;

/// Flags of a frame that refers to no other (ISO/IEC 14496-12, 8.8.3.1): `sample_depends_on` 2.
const SYNC: u32 = 0x0200_0000;

/// Flags of a frame that refers to another: `sample_depends_on` 1, `sample_is_non_sync_sample`.
const NOT_SYNC: u32 = 0x0101_0000;

/// The tracks of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracks {
    /// The video track, number 1.
    pub video: Video,
    /// The audio track, number 2.
    pub audio: Option<Audio>,
}

/// One of the tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// Track 1.
    Video,
    /// Track 2.
    Audio,
}

impl Track {
    fn number(self) -> u32 {
        match self {
            Track::Video => 1,
            Track::Audio => 2,
        }
    }
}

/// A frame in a fragment of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When it is decoded, in ticks of its track's clock since the beginning.
    pub decode_time: u64,
    /// How much later it is shown than decoded, in ticks; negative for earlier.
    pub offset: i32,
    /// How long it is shown, in ticks.
    pub duration: u32,
    /// Whether it refers to no other frame.
    pub is_sync: bool,
}

impl Tracks {
    /// The media type with the codecs (RFC 6381), as `MediaSource.isTypeSupported` takes it.
    pub fn content_type(&self) -> String {
        let audio = self.audio.as_ref().map(|audio| format!(",{}", audio.codec)).unwrap_or_default();
        format!("video/mp4; codecs=\"{}{audio}\"", self.video.codec)
    }

    /// The init segment: `ftyp` and `moov`, without a frame.
    pub fn init(&self) -> Bytes {
        let mut out = Boxes::default();
        out.boxed(b"ftyp", |out| {
            // The same brands as go2rtc's; iso5 has default-base-is-moof, which MSE requires.
            out.bytes(b"iso5").u32(512).bytes(b"iso5iso6mp41");
        });
        out.boxed(b"moov", |out| {
            out.full(b"mvhd", 0, 0, |out| {
                // Times, time scale of the movie, duration (unknown); then rate 1.0, volume 1.0.
                out.u32(0).u32(0).u32(1000).u32(0).u32(0x0001_0000).u16(0x0100).zeros(10);
                out.matrix().zeros(24).u32(3);
            });
            self.video.trak(out);
            if let Some(audio) = &self.audio {
                audio.trak(out);
            }
            out.boxed(b"mvex", |out| {
                trex(out, Track::Video);
                if self.audio.is_some() {
                    trex(out, Track::Audio);
                }
            });
        });
        out.finish()
    }
}

fn trex(out: &mut Boxes, track: Track) {
    out.full(b"trex", 0, 0, |out| {
        // The sample description, and no defaults: each fragment has its own values.
        out.u32(track.number()).u32(1).u32(0).u32(0).u32(0);
    });
}

/// The bytes of a fragment with one frame (`moof` and `mdat`) that come before the frame. `sequence` counts the fragments of a response
/// from 1. `size` is the length of the frame, which follows: the NALs of a video frame, each behind its length in four bytes
/// ([`framed`](crate::stream::framed)); or a frame of audio.
///
/// A frame of 4 GiB or more does not fit; frames are limited to a few MiB where they are received.
pub fn fragment_head(sequence: u32, track: Track, timing: Timing, size: usize) -> Bytes {
    let mut out = Boxes::with_capacity(128);
    let mut data_offset = 0;
    out.boxed(b"moof", |out| {
        out.full(b"mfhd", 0, 0, |out| {
            out.u32(sequence);
        });
        out.boxed(b"traf", |out| {
            // default-base-is-moof: offsets count from the beginning of this moof (8.8.7.1).
            out.full(b"tfhd", 0, 0x02_0000, |out| {
                out.u32(track.number());
            });
            out.full(b"tfdt", 1, 0, |out| {
                out.u64(timing.decode_time);
            });
            // The offset of the data; for each frame: duration, size, flags, and the time between decoding and showing if there is one,
            // which version 1 has with a sign (8.8.8.1).
            let fields = if timing.offset == 0 { 0x0701 } else { 0x0F01 };
            out.full(b"trun", 1, fields, |out| {
                out.u32(1);
                data_offset = out.placeholder();
                let flags = if timing.is_sync { SYNC } else { NOT_SYNC };
                out.u32(timing.duration).u32(u32::try_from(size).unwrap_or(u32::MAX)).u32(flags);
                if timing.offset != 0 {
                    out.u32(timing.offset.cast_unsigned());
                }
            });
        });
    });
    // Behind the head of the mdat.
    out.fill(data_offset, out.len() + 8);
    out.u32(u32::try_from(size + 8).unwrap_or(u32::MAX)).bytes(b"mdat");
    out.finish()
}
