//! H.264 (ITU-T H.264, "the standard" below): pictures into access units, and back.
//!
//! Knows pictures; knows no streams, no network and no clock.

mod bits;
mod decoder;
mod encoder;
mod idr;
pub mod nal;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod sps;

use bytes::Bytes;

pub use self::{
    decoder::{Decoded, Decoder, Failure},
    encoder::{Effort, Encoder},
    sps::Sps,
};

/// One coded picture with the parameter sets it refers to; network abstraction layer units (NALs)
/// without start codes, as RTP carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// The sequence parameter set (7.3.2.1).
    pub sps: Bytes,
    /// The picture parameter set (7.3.2.2).
    pub pps: Bytes,
    /// The coded slice, one for the whole picture.
    pub slice: Slice,
}

/// A coded slice (7.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slice {
    /// A picture that needs no other, twice: two IDR pictures that follow each other must differ in
    /// `idr_pic_id` (7.4.3), so one that is to be repeated is sent now as the one, now as the other.
    Idr([Bytes; 2]),
    /// A picture that builds on the one before it.
    Delta(Bytes),
}

impl AccessUnit {
    /// Whether decoding can begin here.
    pub fn is_idr(&self) -> bool {
        matches!(self.slice, Slice::Idr(_))
    }

    /// The NALs in the order in which they are sent: an IDR picture brings its parameter sets along.
    /// `alternate` takes the one or the other `idr_pic_id`.
    pub fn nals(&self, alternate: bool) -> impl Iterator<Item = &Bytes> {
        let (sets, slice) = match &self.slice {
            Slice::Idr(ids) => ([Some(&self.sps), Some(&self.pps)], &ids[usize::from(alternate)]),
            Slice::Delta(slice) => ([None, None], slice),
        };
        sets.into_iter().flatten().chain([slice])
    }

    /// Bytes on the wire, without any framing.
    pub fn size(&self) -> usize {
        self.nals(false).map(Bytes::len).sum()
    }
}
