//! [`Ffmpeg`]: the program, where it is installed, for what openh264 cannot decode: H.265, more than 8 bits, interlaced
//! video. It is given the video through its standard input, so that no address and no password is in its arguments.
//!
//! One that is to show everything goes on for as long as somebody watches. It holds pictures back until the next ones
//! come, which is long where those are keyframes only; so a single picture is made by one that ends with it.

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
    backlog::AccessUnit,
    camera::Codec,
    decode::{Outcome, Task},
};
use crate::{
    error::{Code, Error, Result},
    multipart::Splitter,
    picture::Picture,
};

/// What is read at a time.
const CHUNK: usize = 64 << 10;

/// How long a single picture may take.
const SINGLE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is remembered of its complaints, in bytes.
const MOST_WORDS: usize = 2000;

type Single = Pin<Box<dyn Future<Output = Result<Outcome>> + Send>>;
type Words = JoinHandle<Vec<u8>>;
type Writing = Pin<Box<dyn Future<Output = std::io::Result<ChildStdin>> + Send>>;

/// The engine for one camera.
pub(super) struct Ffmpeg {
    recipe: Arc<Recipe>,
    single: Option<Single>,
    running: Option<Running>,
    /// The keyframe that was shown by itself; whoever wants what follows needs it, too.
    last_key: Option<AccessUnit>,
}

impl Ffmpeg {
    /// For video of this codec. `why` is what needs it, for people.
    pub(super) fn new(codec: Codec, why: &'static str, plan: &Arc<Plan>) -> Self {
        // An access unit delimiter ends what is before it, so that ffmpeg need not wait for the next picture to know
        // that this one is complete (H.264, 7.4.1.2.3; H.265, 7.4.2.4.4).
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

    pub(super) fn start(&mut self, unit: AccessUnit, task: Task) -> Result<()> {
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

    /// The next picture, or that it takes the next unit. Cancel-safe.
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

/// How it is started.
struct Recipe {
    format: &'static str,
    delimiter: &'static [u8],
    why: &'static str,
    plan: Arc<Plan>,
}

impl Recipe {
    fn spawn(&self, input: &[&str], filter: &str, output: &[&str]) -> Result<Child> {
        let plan = &self.plan;
        let program = &plan.common.settings().ffmpeg;
        let without = |what: &str| {
            let (peer, why) = (plan.peer(), self.why);
            let words =
                format!("{peer} sends {why}, which needs ffmpeg; {what} (rtsp_cameras.ffmpeg), or have it send H.264");
            Error::new(Code::Unavailable, words)
        };
        if program.is_empty() {
            return Err(without("say where it is"));
        }
        // From 100 (best) to 1, as 2 (best) to 25.
        let quantiser = (2 + (100 - plan.quality) * 23 / 99).to_string();
        // JPEG's own range and matrix.
        let filter = format!("{filter}scale=out_range=full:out_color_matrix=bt601,format=yuvj420p");
        let child = Command::new(program)
            .args(["-hide_banner", "-nostdin", "-loglevel", "error"])
            .args(input)
            .args(["-thread_type", "slice", "-threads", "2", "-f", self.format, "-i", "pipe:0", "-an", "-vf", &filter])
            .args(["-fps_mode", "passthrough", "-c:v", "mjpeg", "-threads", "1", "-q:v", &quantiser])
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

    /// Decodes a keyframe by itself.
    async fn single(&self, unit: AccessUnit) -> Result<Outcome> {
        let mut child = self.spawn(&[], "", &["-frames:v", "1"])?;
        let (mut stdin, mut stdout, mut words) = pipes(&mut child)?;
        let most = self.plan.limits.frame_size.bytes();
        let work = async {
            let mut jpeg = vec![];
            // It may have seen enough before all is written.
            let writing = async {
                let _ = stdin.write_all(&unit.data).await;
                drop(stdin);
            };
            let mut limited = (&mut stdout).take(most as u64 + 1);
            let (_, read) = tokio::join!(writing, limited.read_to_end(&mut jpeg));
            read.map(|_| jpeg)
        };
        let jpeg = match timeout(SINGLE_TIMEOUT, work).await {
            Ok(Ok(jpeg)) if !jpeg.is_empty() => Bytes::from(jpeg),
            _ => {
                tracing::debug!("ffmpeg made no picture: {}", last_words(&mut child, &mut words).await);
                return Ok(Outcome::Damaged);
            }
        };
        let picture = Picture::from_plain_jpeg(jpeg, &self.plan.limits)?;
        Ok(Outcome::Picture(picture.captured_at(unit.received)))
    }
}

/// One that goes on; killed when it is dropped.
struct Running {
    recipe: Arc<Recipe>,
    child: Child,
    stdin: Option<ChildStdin>,
    writing: Option<Writing>,
    stdout: ChildStdout,
    words: Words,
    splitter: Splitter,
    buffer: Vec<u8>,
}

impl Running {
    fn start(recipe: Arc<Recipe>) -> Result<Self> {
        let early = 0.75 * recipe.plan.every.as_secs_f64();
        // The camera's clock is not in the pipe, so ours is taken. What was read while it looked what comes must not be
        // thrown away, which `-fflags nobuffer` does.
        let input =
            ["-flags", "low_delay", "-probesize", "32", "-analyzeduration", "0", "-use_wallclock_as_timestamps", "1"];
        let filter = format!("select='isnan(prev_selected_t)+gte(t-prev_selected_t,{early:.4})',");
        let mut child = recipe.spawn(&input, &filter, &["-flush_packets", "1"])?;
        let (stdin, stdout, words) = pipes(&mut child)?;
        let splitter = Splitter::new(None, recipe.plan.limits.frame_size.bytes());
        let buffer = vec![0; CHUNK];
        Ok(Running { recipe, child, stdin: Some(stdin), writing: None, stdout, words, splitter, buffer })
    }

    fn write(&mut self, units: [Option<AccessUnit>; 2]) {
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
                .map_err(|fault| Error::new(Code::Unavailable, format!("what ffmpeg made cannot be taken: {fault}")))?;
            if let Some(part) = part {
                let picture = Picture::from_plain_jpeg(part.data, &self.recipe.plan.limits)?;
                return Ok(Outcome::Picture(picture.captured_at(SystemTime::now())));
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
        let words = last_words(&mut self.child, &mut self.words).await;
        Err(Error::new(Code::Unavailable, "ffmpeg, which decodes the video, has ended (see the log)").caused_by(words))
    }
}

fn pipes(child: &mut Child) -> Result<(ChildStdin, ChildStdout, Words)> {
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok((stdin, stdout, listen(stderr))),
        _ => Err(Error::new(Code::Unavailable, "ffmpeg was started without pipes")),
    }
}

/// Listens to what it complains of, and remembers the beginning: one whose complaints nobody reads stops.
fn listen(mut stderr: ChildStderr) -> Words {
    tokio::spawn(async move {
        let (mut words, mut chunk) = (vec![], vec![0; 4096]);
        while let Ok(n @ 1..) = stderr.read(&mut chunk).await {
            words.extend_from_slice(&chunk[..n.min(MOST_WORDS - words.len())]);
        }
        words
    })
}

async fn last_words(child: &mut Child, words: &mut Words) -> String {
    let _ = child.start_kill();
    let words = timeout(Duration::from_secs(1), words).await.ok().and_then(Result::ok).unwrap_or_default();
    String::from_utf8_lossy(&words).trim().replace('\n', "; ")
}
