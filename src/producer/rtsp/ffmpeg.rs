//! [`Ffmpeg`]: decodes video that openh264 cannot decode with the program ffmpeg: H.265, more than 8 bits, interlaced video.
//! ffmpeg gets the video through its standard input, so that its arguments contain no address and no password.
//!
//! For continuous watchers one process runs as long as there are any. ffmpeg holds back a picture until the next ones
//! arrive, which takes long if it gets only keyframes; so each single picture has a process of its own.

use std::{future::Future, pin::Pin, process::Stdio, sync::Arc, time::SystemTime};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::{Duration, timeout},
};

use super::{
    Plan,
    backlog::ReceivedUnit,
    decode::{Outcome, Shown, Task},
};
use crate::{
    error::{Cause, Code, Error, Result},
    multipart::Splitter,
    picture::Picture,
    rtsp_client::Codec,
};

/// Bytes to read at a time.
pub(super) const CHUNK: usize = 64 << 10;

/// How long decoding a single picture can take.
const SINGLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of ffmpeg's error messages that are kept.
const MAX_MESSAGES: usize = 2000;

type Single = Pin<Box<dyn Future<Output = Result<Outcome>> + Send>>;
pub(super) type Messages = JoinHandle<Vec<u8>>;
type Writing = Pin<Box<dyn Future<Output = std::io::Result<ChildStdin>> + Send>>;

/// The engine for one camera.
pub(super) struct Ffmpeg {
    recipe: Arc<Recipe>,
    single: Option<Single>,
    running: Option<Running>,
    /// The keyframe that was decoded alone. A process for the units after it needs it, too.
    last_key: Option<ReceivedUnit>,
}

impl Ffmpeg {
    /// For video of this codec. `why` is the kind of video, for error texts.
    pub(super) fn new(codec: Codec, why: &'static str, plan: &Arc<Plan>) -> Self {
        // An access unit delimiter ends the unit before it, so that ffmpeg does not wait for the next picture to
        // know that this one is complete (H.264, 7.4.1.2.3; H.265, 7.4.2.4.4).
        let (format, delimiter): (_, &[u8]) = match codec {
            Codec::H265 => ("hevc", &[0, 0, 0, 1, 0x46, 0x01, 0x50]),
            _ => ("h264", &[0, 0, 0, 1, 0x09, 0xF0]),
        };
        let recipe = Arc::new(Recipe { format, delimiter, why, plan: plan.clone() });
        Ffmpeg { recipe, single: None, running: None, last_key: None }
    }

    pub(super) fn is_free(&self) -> bool {
        self.single.is_none() && self.running.as_ref().is_none_or(|running| running.stdin.is_some())
    }

    pub(super) fn start(&mut self, unit: ReceivedUnit, task: Task) -> Result<()> {
        if task == Task::ShowSingle {
            self.running = None;
            self.last_key = Some(unit.clone());
            let recipe = self.recipe.clone();
            self.single = Some(Box::pin(async move { recipe.single(unit).await }));
            return Ok(());
        }
        let last_key = self.last_key.take().filter(|_| !unit.is_key);
        match &mut self.running {
            Some(running) => running.write([None, Some(unit)]),
            none => none.insert(Running::start(self.recipe.clone())?).write([last_key, Some(unit)]),
        }
        Ok(())
    }

    /// Waits for a picture, or until ffmpeg accepts the next unit. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Outcome> {
        if let Some(single) = &mut self.single {
            let outcome = single.await;
            self.single = None;
            return outcome;
        }
        match &mut self.running {
            Some(running) => running.next().await,
            None => std::future::pending().await,
        }
    }
}

/// How to start ffmpeg for one camera.
struct Recipe {
    format: &'static str,
    delimiter: &'static [u8],
    why: &'static str,
    plan: Arc<Plan>,
}

impl Recipe {
    fn spawn(&self, input: &[&str], is_paced: bool, output: &[&str]) -> Result<Child> {
        let plan = &self.plan;
        let program = &plan.common.settings().ffmpeg;
        let without = |what: &str| {
            let (peer, why) = (plan.peer(), self.why);
            let message = format!(
                "{peer} sends {why}, which needs ffmpeg: {what} (rtsp_cameras.ffmpeg), or let the source send H.264"
            );
            Error::new(Code::Unavailable, message).because(Cause::Codec)
        };
        if program.is_empty() {
            return Err(without("set its path"));
        }
        let mut command = Command::new(program);
        command.args(["-hide_banner", "-nostdin", "-loglevel", "error"]).args(input);
        command.args(["-thread_type", "slice", "-threads", "2", "-protocol_whitelist", "pipe"]);
        command.args(["-f", self.format, "-i", "pipe:0"]);
        to_jpegs(&mut command, plan, is_paced);
        let child = command
            .args(output)
            .args(["-f", "image2pipe", "pipe:1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| without("install it").caused_by(e))?;
        plan.common.counters().ffmpeg_started();
        Ok(child)
    }

    /// Decodes a keyframe alone.
    async fn single(&self, unit: ReceivedUnit) -> Result<Outcome> {
        let mut child = self.spawn(&[], false, &["-frames:v", "1"])?;
        let (mut stdin, mut stdout, mut messages) = pipes(&mut child)?;
        let max = self.plan.limits.frame_size.bytes();
        let work = async {
            let mut jpeg = vec![];
            // ffmpeg can end before it has read everything.
            let writing = async {
                let _ = stdin.write_all(&unit.data).await;
                drop(stdin);
            };
            let mut limited = (&mut stdout).take(max as u64 + 1);
            let (_, read) = tokio::join!(writing, limited.read_to_end(&mut jpeg));
            read.map(|_| jpeg)
        };
        let jpeg = match timeout(SINGLE_TIMEOUT, work).await {
            Ok(Ok(jpeg)) if !jpeg.is_empty() => Bytes::from(jpeg),
            _ => {
                tracing::debug!("ffmpeg made no picture: {}", last_messages(&mut child, &mut messages).await);
                return Ok(Outcome::Damaged);
            }
        };
        let picture = Picture::from_plain_jpeg(jpeg, &self.plan.limits)?;
        Ok(Outcome::Picture(Shown::Jpeg(picture.captured_at(unit.received))))
    }
}

/// A filter with a comma that lets only those pictures through that are due, as [`Pace`](super::pace::Pace) decides it: variable 0
/// of the expression is the time of the next one, and a picture can be a quarter of the interval early.
pub(super) fn only_due(plan: &Plan) -> String {
    let every = plan.every.as_secs_f64();
    let early = every / 4.0;
    format!("select='if(gte(t+{early:.4},ld(0)),1+0*st(0,if(gt(t,ld(0)+{every:.4}),t,ld(0))+{every:.4}),0)',")
}

/// Adds the arguments that make JPEGs: all pictures, or those that are due.
pub(super) fn to_jpegs(command: &mut Command, plan: &Plan, is_paced: bool) {
    // A quality from 100 (best) to 1 becomes a quantiser from 2 (best) to 25.
    let quantiser = (2 + (100 - plan.quality) * 23 / 99).to_string();
    // The range and matrix of JPEG. Each picture gets a second of its own: ffmpeg ends with an error at two pictures of one time, and
    // reordered pictures with the time of this machine's clock can have that.
    let filter = "scale=out_range=full:out_color_matrix=bt601,format=yuvj420p,setpts=N/TB";
    let filter = if is_paced { only_due(plan) + filter } else { filter.to_owned() };
    command.args(["-an", "-vf", &filter, "-fps_mode", "passthrough"]);
    command.args(["-c:v", "mjpeg", "-threads", "1", "-q:v", &quantiser]);
}

/// A process for continuous watchers. Dropping it kills the process.
struct Running {
    recipe: Arc<Recipe>,
    child: Child,
    stdin: Option<ChildStdin>,
    writing: Option<Writing>,
    stdout: ChildStdout,
    messages: Messages,
    splitter: Splitter,
    buffer: Vec<u8>,
}

impl Running {
    fn start(recipe: Arc<Recipe>) -> Result<Self> {
        // The pipe does not carry the camera's time, so ffmpeg uses the clock of this machine. `-fflags nobuffer`
        // would discard the data that ffmpeg reads while it probes.
        let input =
            ["-flags", "low_delay", "-probesize", "32", "-analyzeduration", "0", "-use_wallclock_as_timestamps", "1"];
        let mut child = recipe.spawn(&input, true, &["-flush_packets", "1"])?;
        let (stdin, stdout, messages) = pipes(&mut child)?;
        let splitter = Splitter::new(None, recipe.plan.limits.frame_size.bytes());
        let buffer = vec![0; CHUNK];
        Ok(Running { recipe, child, stdin: Some(stdin), writing: None, stdout, messages, splitter, buffer })
    }

    fn write(&mut self, units: [Option<ReceivedUnit>; 2]) {
        let Some(mut stdin) = self.stdin.take() else { return };
        let delimiter = self.recipe.delimiter;
        self.writing = Some(Box::pin(async move {
            for unit in units.into_iter().flatten() {
                stdin.write_all(&unit.data).await?;
                stdin.write_all(delimiter).await?;
            }
            Ok(stdin)
        }));
    }

    async fn next(&mut self) -> Result<Outcome> {
        loop {
            let part = self
                .splitter
                .next_part()
                .map_err(|fault| Error::new(Code::Unavailable, format!("ffmpeg's output cannot be read: {fault}")))?;
            if let Some(part) = part {
                let picture = Picture::from_plain_jpeg(part.data, &self.recipe.plan.limits)?;
                return Ok(Outcome::Picture(Shown::Jpeg(picture.captured_at(SystemTime::now()))));
            }
            let writing = async {
                match &mut self.writing {
                    Some(writing) => writing.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                written = writing => {
                    self.writing = None;
                    let Ok(stdin) = written else { break };
                    self.stdin = Some(stdin);
                    return Ok(Outcome::Nothing);
                }
                read = self.stdout.read(&mut self.buffer) => match read {
                    Ok(n) if n > 0 => self.splitter.feed(&self.buffer[..n]),
                    _ => break,
                },
            }
        }
        let messages = last_messages(&mut self.child, &mut self.messages).await;
        Err(Error::new(Code::Unavailable, "ffmpeg, which decodes the video, ended (see the log)").caused_by(messages))
    }
}

pub(super) fn pipes(child: &mut Child) -> Result<(ChildStdin, ChildStdout, Messages)> {
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok((stdin, stdout, listen(stderr))),
        _ => Err(Error::new(Code::Unavailable, "ffmpeg was started without pipes")),
    }
}

/// Reads ffmpeg's error messages to their end and keeps the beginning. ffmpeg would block if the messages were not
/// read.
fn listen(mut stderr: ChildStderr) -> Messages {
    tokio::spawn(async move {
        let (mut messages, mut chunk) = (vec![], vec![0; 4096]);
        while let Ok(n @ 1..) = stderr.read(&mut chunk).await {
            messages.extend_from_slice(&chunk[..n.min(MAX_MESSAGES - messages.len())]);
        }
        messages
    })
}

pub(super) async fn last_messages(child: &mut Child, messages: &mut Messages) -> String {
    let _ = child.start_kill();
    let messages = timeout(Duration::from_secs(1), messages).await.ok().and_then(Result::ok).unwrap_or_default();
    String::from_utf8_lossy(&messages).trim().replace('\n', "; ")
}
