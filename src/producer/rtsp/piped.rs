//! [`Piped`]: decodes H.264 with the program ffmpeg, which takes less than half of openh264's time for it, and returns planes
//! through a pipe.

use std::{future::Future, pin::Pin, process::Stdio, sync::Arc, time::SystemTime};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::OwnedSemaphorePermit,
    time::{Duration, Instant, sleep_until},
};

use super::{
    Plan,
    backlog::ReceivedUnit,
    decode::{Outcome, Shown, show},
    ffmpeg::{Messages, last_messages, only_due, pipes},
};
use crate::{
    error::Result,
    h264::Layout,
    picture::{JpegWriter, Planes, in_pool},
    stream::Forms,
};

/// How long ffmpeg can return no picture, beyond the time between two pictures.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a pipe: the most that Linux permits without privileges (`/proc/sys/fs/pipe-max-size`), so that a picture of 3 MB
/// takes few turns.
const PIPE: usize = 1 << 20;

/// An access unit delimiter (H.264, 7.3.2.4). It ends the unit before it, so that ffmpeg does not wait for the next one.
const DELIMITER: &[u8] = &[0, 0, 0, 1, 0x09, 0xF0];

type Writing = Pin<Box<dyn Future<Output = std::io::Result<ChildStdin>> + Send>>;
type Encoding = Pin<Box<dyn Future<Output = Result<(Box<Encoder>, Shown)>> + Send>>;

/// A running ffmpeg. Dropping it ends the process.
pub(super) struct Piped {
    plan: Arc<Plan>,
    child: Child,
    stdin: Option<ChildStdin>,
    writing: Option<Writing>,
    stdout: ChildStdout,
    messages: Messages,
    /// Size and colours of its pictures: those of the first keyframe.
    layout: Option<Layout>,
    /// The picture that is being read, and how many of its bytes have been.
    picture: Vec<u8>,
    filled: usize,
    encoder: Option<Box<Encoder>>,
    encoding: Option<Encoding>,
    forms: Forms,
    /// When the last unit arrived.
    received: SystemTime,
    /// When the first unit since the last picture was written: a camera that pauses is no fault of ffmpeg.
    owes_since: Option<Instant>,
    _permit: OwnedSemaphorePermit,
}

/// Makes pictures from planes, on a thread for pictures.
struct Encoder {
    writer: JpegWriter,
    spare: Vec<u8>,
}

impl Piped {
    /// Starts ffmpeg, which then waits for a first keyframe.
    pub(super) fn spawn(plan: &Arc<Plan>, reorders: bool, permit: OwnedSemaphorePermit) -> std::io::Result<Self> {
        let mut command = Command::new(&plan.common.settings().ffmpeg);
        command.args(["-hide_banner", "-nostdin", "-loglevel", "error"]);
        if !reorders {
            command.args(["-flags", "low_delay"]);
        }
        // The pipe does not carry the camera's time, so ffmpeg uses the clock of this machine.
        command.args(["-probesize", "32", "-analyzeduration", "0", "-use_wallclock_as_timestamps", "1"]);
        command.args(["-threads", "1", "-protocol_whitelist", "pipe", "-f", "h264", "-i", "pipe:0"]);
        command.args(["-an", "-vf", &format!("{}setpts=N/TB", only_due(plan)), "-fps_mode", "passthrough"]);
        command.args(["-c:v", "rawvideo", "-f", "rawvideo"]);
        command.args(["-flush_packets", "1", "-blocksize", &PIPE.to_string(), "pipe:1"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let wrong = |e: crate::error::Error| std::io::Error::other(e.to_string());
        let (stdin, stdout, messages) = pipes(&mut child).map_err(wrong)?;
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
        let encoder = Box::new(Encoder { writer: JpegWriter::new(plan.quality).map_err(wrong)?, spare: vec![] });
        plan.common.counters().ffmpeg_started();
        Ok(Piped {
            plan: plan.clone(),
            child,
            stdin: Some(stdin),
            writing: None,
            stdout,
            messages,
            layout: None,
            picture: vec![],
            filled: 0,
            encoder: Some(encoder),
            encoding: None,
            forms: Forms { jpeg: true, raster: false },
            received: SystemTime::now(),
            owes_since: None,
            _permit: permit,
        })
    }

    /// Sets the layout of the pictures, before the first unit.
    pub(super) fn begin(&mut self, layout: Layout) {
        self.layout = Some(layout);
        self.picture = vec![0; layout.bytes()];
    }

    /// The layout of its pictures; none before the first unit.
    pub(super) fn layout(&self) -> Option<Layout> {
        self.layout
    }

    pub(super) fn is_free(&self) -> bool {
        self.stdin.is_some()
    }

    pub(super) fn start(&mut self, unit: ReceivedUnit, forms: Forms) {
        let Some(mut stdin) = self.stdin.take() else { return };
        (self.forms, self.received) = (forms, unit.received);
        self.owes_since.get_or_insert_with(Instant::now);
        self.writing = Some(Box::pin(async move {
            stdin.write_all(&unit.data).await?;
            stdin.write_all(DELIMITER).await?;
            Ok(stdin)
        }));
    }

    /// Waits for a picture, or until ffmpeg accepts the next unit. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Outcome> {
        let limit = self.owes_since.map(|since| since + self.plan.every + PATIENCE);
        loop {
            let writing = async {
                match &mut self.writing {
                    Some(writing) => writing.await,
                    None => std::future::pending().await,
                }
            };
            let encoding = async {
                match &mut self.encoding {
                    Some(encoding) => encoding.await,
                    None => std::future::pending().await,
                }
            };
            // ffmpeg waits at the full pipe while a picture is encoded.
            let can_read = self.encoder.is_some() && self.filled < self.picture.len();
            tokio::select! {
                written = writing => {
                    self.writing = None;
                    let Ok(stdin) = written else { return Ok(self.broken("it ended").await) };
                    self.stdin = Some(stdin);
                    return Ok(Outcome::Nothing);
                }
                encoded = encoding => {
                    self.encoding = None;
                    let (encoder, shown) = encoded?;
                    self.encoder = Some(encoder);
                    return Ok(Outcome::Picture(shown));
                }
                read = self.stdout.read(&mut self.picture[self.filled..]), if can_read => match read {
                    Ok(n @ 1..) => {
                        self.filled += n;
                        if self.filled == self.picture.len() {
                            self.encode();
                        }
                    }
                    _ => return Ok(self.broken("it ended").await),
                },
                () = sleep_until(limit.unwrap_or_else(Instant::now)), if limit.is_some() => return Ok(self.broken("it returned no picture").await),
            }
        }
    }

    /// Makes the picture that was read.
    fn encode(&mut self) {
        let (Some(mut encoder), Some(layout)) = (self.encoder.take(), self.layout) else { return };
        (self.owes_since, self.filled) = (None, 0);
        let mut next = std::mem::take(&mut encoder.spare);
        next.resize(self.picture.len(), 0);
        let picture = std::mem::replace(&mut self.picture, next);
        let (forms, received, limits) = (self.forms, self.received, self.plan.limits);
        let quality = u8::try_from(self.plan.quality).unwrap_or(100);
        self.encoding = Some(Box::pin(in_pool(move || {
            let shown = show(&mut encoder.writer, quality, &planes(&picture, layout), received, forms, &limits)?;
            encoder.spare = picture;
            Ok((encoder, shown))
        })));
    }

    async fn broken(&mut self, why: &str) -> Outcome {
        let said = last_messages(&mut self.child, &mut self.messages).await;
        tracing::warn!("ffmpeg decodes {} no more: {why} {said}", self.plan.peer());
        Outcome::Broken
    }
}

/// The planes of ffmpeg's `rawvideo` in `yuv420p`: Y, U and V without padding.
fn planes(picture: &[u8], layout: Layout) -> Planes<'_> {
    let (width, height) = (layout.width as usize, layout.height as usize);
    let (y, chroma) = picture.split_at(width * height);
    let (u, v) = chroma.split_at(chroma.len() / 2);
    Planes { width, height, samples: [y, u, v], strides: [width, width / 2, width / 2], colour: layout.colour }
}
