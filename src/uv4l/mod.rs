//! UV4L: the WebRTC server of Raspberry Pi cameras, which begins each call with an offer, over a WebSocket of its own.
//!
//! ```text
//! browser ──▶ relay ──▶ conversation ──▶ upstream: socket | agent ──▶ UV4L            (media: UV4L ──▶ browser)
//! MediaMTX ◀── bridge ──▶ sdp ─────────▶ upstream: socket | agent ──▶ UV4L            (media: UV4L ──▶ MediaMTX)
//! ```
//!
//! [`Cameras`] knows the cameras and who uses them. Each viewer has a connection to the camera of its own, and ends it with a
//! `hangup`, because UV4L serves one caller at a time and notices a vanished one late. No media pass through this program.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod agent;
mod bridge;
mod camera;
mod cameras;
mod conversation;
mod demand;
mod dialler;
mod hold;
mod message;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
pub mod relay;
mod sdp;
mod settings;
mod upstream;

pub use self::{
    bridge::Bridge,
    camera::Camera,
    cameras::{CameraStatus, Cameras, Defined},
    demand::{BridgeState, BridgeStatus},
    dialler::Dialler,
    hold::Hold,
    message::Form,
    settings::{IceServer, Uv4lSettings},
};
