//! H.264 (ITU-T H.264, below "the standard"): encodes pictures to access units, and decodes them. This module knows
//! pictures, but no streams, no network and no clock.

pub(crate) mod bits;
mod decoder;
mod encoder;
mod idr;
pub mod nal;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod skip;
pub mod slice;
mod sps;

use bytes::Bytes;

pub use self::{
    decoder::{Decoded, Decoder, Failure},
    encoder::{Effort, Encoder},
    skip::Repetitions,
    sps::{Layout, Sps},
};

/// One coded picture with its parameter sets. The network abstraction layer units (NALs) have no start codes, as in
/// RTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// The sequence parameter set (7.3.2.1).
    pub sps: Bytes,
    /// The picture parameter set (7.3.2.2).
    pub pps: Bytes,
    /// The coded slice; one slice for the whole picture.
    pub slice: Slice,
}

/// A coded slice (7.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slice {
    /// A picture that refers to no other, in two forms. Two consecutive IDR pictures must differ in `idr_pic_id`
    /// (7.4.3), so a repeated picture is sent in both forms by turns.
    Idr([Bytes; 2]),
    /// A picture that refers to the picture before it.
    Delta(Bytes),
}

impl AccessUnit {
    /// Whether decoding can begin here.
    pub fn is_idr(&self) -> bool {
        matches!(self.slice, Slice::Idr(_))
    }

    /// The NALs in the order of sending. An IDR picture includes its parameter sets. `alternate` selects the second
    /// form of an IDR picture.
    pub fn nals(&self, alternate: bool) -> impl Iterator<Item = &Bytes> {
        let (sets, slice) = match &self.slice {
            Slice::Idr(ids) => ([Some(&self.sps), Some(&self.pps)], &ids[usize::from(alternate)]),
            Slice::Delta(slice) => ([None, None], slice),
        };
        sets.into_iter().flatten().chain([slice])
    }

    /// Number of bytes to send, without framing.
    pub fn size(&self) -> usize {
        self.nals(false).map(Bytes::len).sum()
    }
}
