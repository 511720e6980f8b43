//! Video in fragmented MP4: for `<video>`, for `MediaSource` by WebSocket, and for files.
//!
//! ```text
//! Coded (the coded frames of a stream) ──▶ Feed (init segment, fragments) ──▶ HTTP | WebSocket
//! ```
//!
//! There are two [`Coded`] sources. [`Pictures`] are the pictures of a stream, which [`Encodings`](super::h264::Encodings) encodes once
//! for all readers. [`Passed`] is the video of a camera or of a path of MediaMTX as it was sent, H.264 or H.265, with its sound if a browser
//! plays it. A [`Feed`] is what one client gets of a source. No frame is left out of a feed that keeps up, and a feed that does not
//! continues with the latest keyframe.

mod accepts;
mod coded;
mod feed;
mod open;
mod passed;
#[cfg(test)]
mod passed_tests;
mod pictures;
mod request;
mod serve;
mod squeeze;
#[cfg(test)]
mod tests;

pub use self::{
    accepts::Accepts,
    coded::{Coded, Frame},
    feed::{Feed, OpenFeed, Piece},
    open::{feeds, open},
    passed::Passed,
    pictures::Pictures,
    request::{Mp4Query, Options, SizeQuery},
    serve::serve,
};
use super::http::OutputKind;

/// `/stream/{name}.mp4`.
pub const KIND: OutputKind = OutputKind {
    word: "mp4",
    path: "/stream/{name}.mp4",
    content_type: "video/mp4",
    about: "Video of a stream in fragmented MP4, a fragment for each picture: for `<video>`, and for files.",
};

/// `/snapshot/{name}.mp4`.
pub const SNAPSHOT: OutputKind = OutputKind {
    word: "mp4-snapshot",
    path: "/snapshot/{name}.mp4",
    content_type: "video/mp4",
    about: "One picture as a video of one frame: an init segment and a keyframe.",
};
