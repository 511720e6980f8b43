//! RTSP cameras, and paths of MediaMTX: video in, pictures out.
//!
//! ```text
//! camera (retina) ──▶ backlog ──▶ engine: openh264, or ffmpeg for what it cannot decode ──▶ sink
//!        └── MJPEG ───────────────────────────────────────────────────────────────────────▶ sink
//! ```
//!
//! While only snapshots are wanted, keyframes are decoded and nothing else. Decoding is done on a bounded pool of
//! threads, one unit of a stream at a time; a stream that falls behind goes on at its next keyframe.

mod address;
mod backlog;
mod camera;
mod counters;
mod decode;
mod engine;
mod ffmpeg;
mod play;
mod settings;

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::Duration;
use url::Url;

pub use self::{
    counters::{Counters, Unit as UnitKind},
    settings::{RtspCameraSettings, Settings, Transport},
};
use super::ProducerContext;
use crate::{
    error::{Code, Error, Result},
    picture::PictureLimits,
    secret::Secret,
    stream::{Producer, ProducerFuture, Run, StreamName},
    units::Network,
};

/// What is encoded in the name of a path: what RTSP servers compare literally stands as it is.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b',').remove(b':');

/// Gives user and password for reading a path of MediaMTX; asked anew for each connection, because tokens end.
pub type Login = dyn Fn(&str) -> Option<(String, Secret)> + Send + Sync;

/// Tells which stream of ours a path of MediaMTX is made of.
pub type OwnStream = dyn Fn(StreamName) -> Pin<Box<dyn Future<Output = Option<StreamName>> + Send>> + Send + Sync;

/// What all RTSP cameras share. Cheap to clone.
#[derive(Clone)]
pub struct Common(Arc<Inner>);

struct Inner {
    settings: RtspCameraSettings,
    networks: Vec<Network>,
    mediamtx: String,
    login: Box<Login>,
    own_stream: OnceLock<Box<OwnStream>>,
    counters: Counters,
}

impl Common {
    /// `mediamtx` is what the addresses begin with at which MediaMTX gives its paths.
    pub fn new(
        settings: RtspCameraSettings,
        networks: Vec<Network>,
        mediamtx: &str,
        login: impl Fn(&str) -> Option<(String, Secret)> + Send + Sync + 'static,
    ) -> Self {
        let mediamtx = mediamtx.trim_end_matches('/').to_owned();
        let (login, own_stream, counters) = (Box::new(login), OnceLock::new(), Counters::default());
        Common(Arc::new(Inner { settings, networks, mediamtx, login, own_stream, counters }))
    }

    /// Says who knows which paths are made of streams of ours; once, when that is known.
    pub fn tell_own_streams(&self, own_stream: Box<OwnStream>) {
        let _ = self.0.own_stream.set(own_stream);
    }

    /// What is counted.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    fn settings(&self) -> &RtspCameraSettings {
        &self.0.settings
    }

    /// Where cameras may be (`fetch.networks`).
    fn networks(&self) -> &[Network] {
        &self.0.networks
    }
}

pub(super) fn producer(settings: &Settings, _name: &StreamName, kit: &ProducerContext) -> Result<Arc<dyn Producer>> {
    settings.check()?;
    let source = match (&settings.url, &settings.path) {
        (Some(url), None) => {
            let user = settings.user.clone().unwrap_or_default();
            Source::Camera { url: address::parse(url)?, user, password: settings.pass.clone() }
        }
        (None, Some(path)) => {
            let path = StreamName::parse(path).map_err(|e| settings::refuse("path", e.to_string()))?;
            Source::Path(path)
        }
        _ => return Err(settings::refuse("url", "either url (of a camera) or path (of MediaMTX) is needed, not both")),
    };
    Ok(Arc::new(RtspCamera(Arc::new(Plan {
        source,
        transport: settings.transport,
        every: Duration::from_secs_f64(1.0 / settings.fps),
        quality: settings.quality,
        keyframes_only: settings.keyframes_only,
        common: kit.rtsp.clone(),
        limits: kit.limits,
    }))))
}

/// Where the video is.
enum Source {
    /// At a camera; the URL is without user and password.
    Camera { url: Url, user: String, password: Secret },
    /// At a path of MediaMTX.
    Path(StreamName),
}

/// Everything that a run works by.
struct Plan {
    source: Source,
    transport: Transport,
    /// Time between pictures at least.
    every: Duration,
    quality: i32,
    keyframes_only: bool,
    common: Common,
    limits: PictureLimits,
}

impl Plan {
    /// What people call it; without anything that might be secret.
    fn peer(&self) -> String {
        match &self.source {
            Source::Camera { url, .. } => {
                format!("the camera {}:{}", url.host_str().unwrap_or_default(), address::port(url))
            }
            Source::Path(path) => format!("MediaMTX's path {path}"),
        }
    }

    /// Refuses a path that is made of a stream of ours, and perhaps of this very one.
    async fn refuse_circle(&self) -> Result<()> {
        let (Source::Path(path), Some(own_stream)) = (&self.source, self.common.0.own_stream.get()) else {
            return Ok(());
        };
        match own_stream(path.clone()).await {
            Some(own) => {
                let words = format!("{} is made of our own stream {own}; watch that one", self.peer());
                Err(Error::new(Code::Unavailable, words))
            }
            None => Ok(()),
        }
    }

    /// Where to connect to, and with what.
    fn target(&self) -> Result<(Url, Option<(String, Secret)>)> {
        match &self.source {
            Source::Camera { url, user, password } => {
                let login = (!user.is_empty() || !password.is_empty()).then(|| (user.clone(), password.clone()));
                Ok((url.clone(), login))
            }
            Source::Path(path) => {
                let inner = &self.common.0;
                let text = format!("{}/{}", inner.mediamtx, utf8_percent_encode(path, IN_PATH));
                let url = Url::parse(&text)
                    .map_err(|e| Error::new(Code::Unavailable, format!("mediamtx.rtsp is not an address: {e}")))?;
                Ok((url, (inner.login)(path)))
            }
        }
    }
}

struct RtspCamera(Arc<Plan>);

impl Producer for RtspCamera {
    fn kind(&self) -> &'static str {
        "rtsp"
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let plan = self.0.clone();
        Box::pin(async move {
            let stop = run.stop.clone();
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                end = play::play(&plan, run) => end,
            }
        })
    }
}
