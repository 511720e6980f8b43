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
        let piped = Piped::around(plan, command, permit)?;
        plan.common.counters().ffmpeg_started();
        Ok(piped)
    }

    /// Starts this command, which gets access units and returns pictures.
    fn around(plan: &Arc<Plan>, mut command: Command, permit: OwnedSemaphorePermit) -> std::io::Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let wrong = |e: crate::error::Error| std::io::Error::other(e.to_string());
        let (stdin, stdout, messages) = pipes(&mut child).map_err(wrong)?;
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
        let encoder = Box::new(Encoder { writer: JpegWriter::new(plan.quality).map_err(wrong)?, spare: vec![] });
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::time::timeout;

    use super::{super::*, *};
    use crate::picture::Colour;

    const EVERY: Duration = Duration::from_millis(100);
    const LAYOUT: Layout = Layout { width: 16, height: 16, colour: Colour::JPEG };
    const HOUR: Duration = Duration::from_secs(3600);

    fn unit() -> ReceivedUnit {
        ReceivedUnit { data: Bytes::from_static(&[1; 20]), is_key: true, received: SystemTime::now() }
    }

    /// A decoder that runs this script of sh.
    fn decoder(script: &str) -> Piped {
        let common = Common::new(RtspCameraSettings::default(), FetchSettings::default(), "rtsp://127.0.0.1", |_| None);
        let permit = common.decoder_permit().expect("none runs");
        let plan = Arc::new(Plan {
            source: Source::Path(StreamName::parse("door").expect("a name")),
            fingerprint: None,
            transport: Transport::Auto,
            every: EVERY,
            quality: 80,
            keyframes_only: false,
            common,
            limits: PictureLimits::default(),
        });
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut decoder = Piped::around(&plan, command, permit).expect("sh starts");
        decoder.begin(LAYOUT);
        decoder
    }

    /// Waits for another process. tokio's paused clock stands meanwhile: it does not advance while a blocking task runs.
    async fn in_no_time<T>(waiting: impl Future<Output = T>) -> T {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let blocking = tokio::task::spawn_blocking(move || ended.recv());
        let done = waiting.await;
        drop(end);
        blocking.await.expect("ends").expect_err("the other half is dropped");
        done
    }

    async fn next(decoder: &mut Piped) -> Outcome {
        in_no_time(decoder.next()).await.expect("an outcome")
    }

    async fn write(decoder: &mut Piped) {
        decoder.start(unit(), Forms { jpeg: true, raster: false });
        let written = next(decoder).await;
        assert!(matches!(written, Outcome::Nothing) && decoder.is_free(), "{written:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn ffmpeg_is_waited_for_only_while_it_owes_a_picture() {
        // A picture for the first unit, and none for others.
        let unit_bytes = unit().data.len() + DELIMITER.len();
        let script = format!("head -c {unit_bytes} >&2; head -c {} /dev/zero; cat >&2; true", LAYOUT.bytes());
        let mut decoder = decoder(&script);
        write(&mut decoder).await;
        let shown = next(&mut decoder).await;
        assert!(matches!(shown, Outcome::Picture(Shown::Jpeg(_))), "{shown:?}");

        assert!(timeout(HOUR, decoder.next()).await.is_err(), "a camera that pauses is waited for");

        let began = Instant::now();
        write(&mut decoder).await;
        // More units do not give it more time.
        assert!(timeout(PATIENCE - EVERY, decoder.next()).await.is_err());
        write(&mut decoder).await;
        let end = timeout(HOUR, decoder.next()).await.expect("it is given up").expect("an outcome");
        assert!(matches!(end, Outcome::Broken), "{end:?}");
        // Its last messages have a second.
        let (waited, patience) = (began.elapsed(), EVERY + PATIENCE);
        assert!(waited >= patience && waited <= patience + Duration::from_millis(1100), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn ffmpeg_that_waits_for_its_first_keyframe_owes_nothing_and_one_that_ends_is_broken() {
        let mut decoder = decoder("head -c 1 >&2");
        assert!(timeout(HOUR, decoder.next()).await.is_err());
        decoder.start(unit(), Forms { jpeg: true, raster: false });
        let mut end = next(&mut decoder).await;
        if matches!(end, Outcome::Nothing) {
            end = next(&mut decoder).await;
        }
        assert!(matches!(end, Outcome::Broken), "{end:?}");
    }
}
