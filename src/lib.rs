//! mtx-sidecar: pictures in and out of MediaMTX.
//!
//! MediaMTX routes media and never decodes it. This program runs beside it: it turns pictures into live paths, serves
//! pictures of live paths, answers MediaMTX's authentication question, and has a console and a viewer.
//!
//! Two journeys lead through the modules, and no arrow points back:
//!
//! ```text
//! a picture:  producer -> stream -> output
//! a request:  web | rtsp -> access -> catalog -> stream | store | mediamtx
//! ```
//!
//! `picture`, `h264`, `multipart`, `units`, `secret`, `blocking`, `fanout` and `error` are below both; `server` is the listener of
//! `web`; `settings` knows what each module lets an administrator set; [`app`] builds all parts; `cli` has the commands.
//! docs/architecture.md has the map, the journeys in detail, and recipes for additions.

// A panic in a request would take its connection. The few calls that cannot fail say why.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::string_slice)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::string_slice))]

mod aac;
pub mod access;
pub mod backoff;
pub mod backup;
pub mod blocking;
pub mod catalog;
pub mod data_folder;
pub mod disconnect;
pub mod error;
pub mod fanout;
pub mod faults;
pub mod foreign;
pub mod query;
pub mod regular;
pub mod secret;
pub mod trust;
pub mod units;
pub mod values;
pub mod yaml;

pub mod camera_paths;
pub mod channels;
pub mod cluster;
pub mod discovery;
pub mod events;
pub mod fetch;
pub mod fleet;
pub mod fmp4;
pub mod graph;
pub mod h264;
pub mod hosts;
pub mod identity;
pub mod library;
pub mod mediamtx;
pub mod mqtt;
pub mod mqtt_publish;
pub mod mqtt_video;
pub mod multipart;
pub mod numbers;
pub mod paths;
pub mod picture;
pub mod recordings;
pub mod renaming;
pub mod rtsp_client;

pub mod producer;

pub mod stream;

pub mod nas;
pub mod output;

pub mod policy;
pub mod store;

pub mod metrics;
pub mod server;
pub mod shutdown;
pub mod supervise;
pub mod systemd;
pub mod telemetry;

pub mod settings;

pub mod state;
pub mod throughput;
pub mod traces;
pub mod uptime;

pub mod rtsp;
pub mod signal;
pub mod uv4l;
pub mod web;
pub mod websocket;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(test, fuzzing))]
mod portions;

pub mod app;
pub mod cli;
