//! RTSP cameras and paths of MediaMTX: decodes their video to pictures.
//!
//! ```text
//! camera (rtsp_client) ──▶ backlog ──▶ engine: openh264, or ffmpeg ───────────────────────────▶ sink
//!        ├── MJPEG ────────────────────────────────────────────────────────────────────────────▶ sink
//!        └── a camera that the client cannot read: ffmpeg reads and decodes it ────────────────▶ sink
//! ```
//!
//! ffmpeg decodes what openh264 cannot, and cameras that are watched for longer, because it takes less CPU time.
//! While the watchers need only snapshots, only keyframes are decoded. Decoding runs in the pool for pictures, one access
//! unit of a stream at a time. A stream that falls behind continues at its next keyframe.

mod address;
mod backlog;
mod by_ffmpeg;
mod camera;
mod counters;
mod decode;
mod engine;
mod ffmpeg;
mod pace;
mod piped;
mod play;
mod relief;
mod settings;
mod sound;
mod starts;

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant},
};
use url::Url;

use self::decode::Shown;
pub use self::{
    counters::{Counters, UnitKind},
    settings::{Decoding, Reader, RtspCameraSettings, Settings, Transport},
};
use super::ProducerContext;
use crate::{
    error::{Code, Error, Result},
    fetch::FetchSettings,
    picture::PictureLimits,
    secret::Secret,
    stream::{FrameSink, Producer, ProducerFuture, Run, StreamName},
    trust::Fingerprint,
};

/// The characters of a path name that are percent-encoded. The others are not, because RTSP servers compare them
/// literally.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b',').remove(b':');

/// Returns user and password for reading a path of MediaMTX. Called for each connection, because tokens expire.
pub type Login = dyn Fn(&str) -> Option<(String, Secret)> + Send + Sync;

/// Returns the stream of this server that a path of MediaMTX is made from, if there is one.
pub type OwnStream = dyn Fn(StreamName) -> Pin<Box<dyn Future<Output = Option<StreamName>> + Send>> + Send + Sync;

/// Shared by all RTSP cameras. Cheap to clone.
#[derive(Clone)]
pub struct Common(Arc<Inner>);

struct Inner {
    settings: RtspCameraSettings,
    fetch: FetchSettings,
    mediamtx: String,
    login: Box<Login>,
    own_stream: OnceLock<Box<OwnStream>>,
    counters: Counters,
    /// One for each ffmpeg that decodes instead of openh264.
    decoders: Arc<Semaphore>,
}

impl Common {
    /// `fetch` has the networks in which cameras are permitted; `mediamtx` is the base URL of MediaMTX's RTSP server.
    pub fn new(
        settings: RtspCameraSettings,
        fetch: FetchSettings,
        mediamtx: &str,
        login: impl Fn(&str) -> Option<(String, Secret)> + Send + Sync + 'static,
    ) -> Self {
        let mediamtx = mediamtx.trim_end_matches('/').to_owned();
        let (login, own_stream, counters) = (Box::new(login), OnceLock::new(), Counters::default());
        let decoders = Arc::new(Semaphore::new(settings.ffmpeg_decoders.min(Semaphore::MAX_PERMITS)));
        Common(Arc::new(Inner { settings, fetch, mediamtx, login, own_stream, counters, decoders }))
    }

    /// Sets the function that finds the stream from which a path is made. Only the first call has an effect.
    pub fn set_own_stream(&self, own_stream: Box<OwnStream>) {
        let _ = self.0.own_stream.set(own_stream);
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// A permit for one more ffmpeg that decodes instead of openh264; none if `rtsp_cameras.ffmpeg_decoders` run.
    fn decoder_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.0.decoders.clone().try_acquire_owned().ok()
    }

    fn settings(&self) -> &RtspCameraSettings {
        &self.0.settings
    }

    /// The networks in which cameras are permitted, and the trusted authorities.
    fn fetch(&self) -> &FetchSettings {
        &self.0.fetch
    }
}

pub(super) fn producer(
    settings: &Settings,
    _name: &StreamName,
    context: &ProducerContext,
) -> Result<Arc<dyn Producer>> {
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
    let fingerprint = match settings.fingerprint.as_str() {
        "" => None,
        text => Some(Fingerprint::parse(text).map_err(|e| settings::refuse("fingerprint", e.to_string()))?),
    };
    Ok(Arc::new(RtspCamera(Arc::new(Plan {
        source,
        fingerprint,
        transport: settings.transport,
        every: Duration::from_secs_f64(1.0 / settings.fps),
        quality: settings.quality,
        keyframes_only: settings.keyframes_only,
        common: context.rtsp.clone(),
        limits: context.limits,
    }))))
}

/// The source of the video.
enum Source {
    /// A camera. The URL contains no user and no password.
    Camera { url: Url, user: String, password: Secret },
    /// A path of MediaMTX.
    Path(StreamName),
}

/// The checked definition of a stream.
struct Plan {
    source: Source,
    /// The certificate of an rtsps camera, if no authority has signed it.
    fingerprint: Option<Fingerprint>,
    transport: Transport,
    /// Shortest time between two pictures.
    every: Duration,
    quality: i32,
    keyframes_only: bool,
    common: Common,
    limits: PictureLimits,
}

impl Plan {
    /// The source in words, without secrets.
    fn peer(&self) -> String {
        match &self.source {
            Source::Camera { url, .. } => {
                format!("the camera {}:{}", url.host_str().unwrap_or_default(), address::port(url))
            }
            Source::Path(path) => format!("MediaMTX's path {path}"),
        }
    }

    /// The address to connect to. The administrator configured that of MediaMTX.
    async fn pin(&self, url: Url) -> Result<Url> {
        match &self.source {
            Source::Camera { .. } => address::pin(url, &self.common.fetch().networks).await,
            Source::Path(_) => Ok(url),
        }
    }

    /// Whether ffmpeg can be started: a file with its path, or its name in a folder of `PATH`.
    fn is_ffmpeg_installed(&self) -> bool {
        let program = std::path::Path::new(&self.common.settings().ffmpeg);
        if program.components().count() != 1 {
            return program.is_file();
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
    }

    fn publish(&self, shown: Shown, sink: &FrameSink) {
        self.common.counters().picture();
        let published = match shown {
            Shown::Jpeg(picture) => sink.publish(&picture),
            Shown::Raster(picture) => sink.publish_raster(&picture, Instant::now()),
        };
        if let Err(full) = published {
            sink.report_problem(full.to_string());
        }
    }

    /// Refuses a path that is made from a stream of this server, which could be this very stream.
    async fn refuse_circle(&self) -> Result<()> {
        let (Source::Path(path), Some(own_stream)) = (&self.source, self.common.0.own_stream.get()) else {
            return Ok(());
        };
        match own_stream(path.clone()).await {
            Some(own) => {
                let message = format!("{} is made of our own stream {own}; watch that stream", self.peer());
                Err(Error::new(Code::Unavailable, message))
            }
            None => Ok(()),
        }
    }

    /// The URL to connect to, with user and password.
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

    fn passes_video(&self) -> bool {
        true
    }

    fn is_steady(&self) -> bool {
        true
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
