//! What an output is for HTTP. [`OUTPUTS`](super::OUTPUTS) lists them.

use futures_util::future::LocalBoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, openapi::path::Parameter};

use super::{OutputSettings, Report, h264::Encodings, variants::Variants};
use crate::{error::Result, stream::Watch};

/// An entry of [`OUTPUTS`](super::OUTPUTS).
#[derive(Clone, Copy)]
pub enum Output {
    /// An endless response. `web` needs nothing else for it.
    Endless(&'static EndlessOutput),
    /// A response of another form. `web` has a handler for it.
    Other(&'static OutputKind),
}

impl Output {
    /// What is the same for all outputs.
    pub fn kind(self) -> &'static OutputKind {
        match self {
            Output::Endless(output) => &output.kind,
            Output::Other(kind) => kind,
        }
    }
}

/// An output as routes, documents, metrics and sessions name it.
#[derive(Debug)]
pub struct OutputKind {
    /// The word: the protocol in the list of sessions and in the audit, and the label in the metrics.
    pub word: &'static str,
    /// The address. `{name}` is the name of the stream, which can contain slashes.
    pub path: &'static str,
    /// The media type of the response.
    pub content_type: &'static str,
    /// For the OpenAPI document: a sentence about what the client gets.
    pub about: &'static str,
}

/// An output with an endless response, which takes its connection over (docs/decisions/0002-takeover.md).
pub struct EndlessOutput {
    /// How it is named.
    pub kind: OutputKind,
    /// The parameters of the query, for the OpenAPI document.
    pub parameters: fn() -> Vec<Parameter>,
    /// Reads a request. Neither looks the stream up nor starts anything.
    pub open: fn(&Request<'_>) -> Result<Opened>,
}

/// The parts of an HTTP request that an output can read, and the settings.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The query, without the question mark.
    pub query: &'a str,
    /// The `User-Agent` header, or empty.
    pub user_agent: &'a str,
    /// The `Accept` header, if there is one.
    pub accept: Option<&'a str>,
    /// Settings of all outputs.
    pub settings: &'a OutputSettings,
    /// How long a watcher waits for a first picture before it gets the "waiting" one.
    pub placeholder_after: Duration,
}

/// A request that is understood.
pub struct Opened {
    /// The headers of the response.
    pub headers: Vec<(&'static str, String)>,
    /// Joins the stream, after the caller is admitted.
    pub join: Box<dyn FnOnce(Joining<'_>) -> Result<Serve>>,
}

/// What an output joins a stream with.
pub struct Joining<'a> {
    /// Watches the stream.
    pub watch: Watch,
    /// The streams in other sizes.
    pub variants: &'a Variants,
    /// The streams as H.264.
    pub encodings: &'a Encodings,
    /// The user or address whose share of the variants this watcher takes.
    pub caller: &'a str,
}

/// Serves one watcher on its connection until one of them ends, or the token is cancelled.
pub type Serve = Box<dyn FnOnce(Box<dyn Connection>, CancellationToken) -> LocalBoxFuture<'static, Report>>;

/// A connection that is taken over.
pub trait Connection: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection for T {}

/// Another size, quality, orientation or rate; read by [`Transform::from_query`](crate::picture::transform::Transform::from_query).
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "for the documentation; the query is read as a whole")]
pub struct TransformQuery {
    /// Width in pixels, 8 to 4096; `width` is the same. Alone it keeps the proportions, and never enlarges.
    w: Option<u32>,
    /// Height in pixels, 8 to 4096; `height` is the same. Alone it keeps the proportions, and never enlarges.
    h: Option<u32>,
    /// `inside` (default: keeps the proportions, at most the size, never enlarges), or exactly the size: `contain` (the whole
    /// picture, with bars), `cover` (its middle), `fill` (distorted). The words of CSS's object-fit.
    fit: Option<String>,
    /// JPEG quality, 1 to 100. Without it a picture is encoded only if another parameter needs it, with `variants.quality`.
    quality: Option<u8>,
    /// Pictures per second at most, 0.01 to 60. Without effect on snapshots.
    fps: Option<f64>,
    /// Clockwise: 0, 90, 180 or 270. `w` and `h` are those of the result.
    rotate: Option<i32>,
    /// `horizontal` exchanges left and right, `vertical` top and bottom, `both` does both; after the rotation.
    flip: Option<String>,
    /// `1` for gray.
    gray: Option<String>,
    /// The name of a preset of `overlays` in the settings, which is drawn on the result.
    overlay: Option<String>,
}
