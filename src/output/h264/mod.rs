//! H.264 video made from pictures. A still picture costs one encoding, however many readers there are.
//!
//! [`Encodings`] shares one encoding among all readers of a stream. [`Pacer`] decides what one reader gets, and when: a new
//! picture at once, and an unchanged picture steadily, because players estimate the pace of a stream and MediaMTX keeps no
//! keyframe for readers that join later.

mod encode_task;
mod encodings;
mod group;
mod motion;
mod pacer;
mod settings;
mod want;

pub use self::{
    encode_task::Counters,
    encodings::{Encodings, Stats},
    group::{CodedPicture, Reader},
    pacer::{Form, Pacer, Sample},
    settings::{CanvasSetting, H264Settings},
    want::Want,
};

#[cfg(test)]
mod tests;
