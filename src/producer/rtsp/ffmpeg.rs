//! [`Ffmpeg`]: the program, where it is installed, for what openh264 cannot decode: H.265, more than 8 bits, interlaced
//! video. It is given the video through its standard input, so that no address and no password is in its arguments.

use std::{future::Future, pin::Pin, process::Stdio, time::SystemTime};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

use super::{Plan, backlog::Unit, camera::Codec, engine::Outcome};
use crate::{
    error::{Code, Error, Result},
    multipart::Splitter,
    picture::{Picture, PictureLimits},
};

/// What it reads at a time.
const CHUNK: usize = 64 << 10;

/// The last words of one that has ended.
const LAST_WORDS: usize = 2000;

type Writing = Pin<Box<dyn Future<Output = std::io::Result<ChildStdin>> + Send>>;

/// A running ffmpeg; killed when it is dropped.
pub(super) struct Ffmpeg {
    child: Child,
    stdin: Option<ChildStdin>,
    writing: Option<Writing>,
    stdout: ChildStdout,
    stderr: ChildStderr,
    splitter: Splitter,
    buffer: Vec<u8>,
    delimiter: &'static [u8],
    limits: PictureLimits,
}

impl Ffmpeg {
    /// Starts it for video of this codec. `why` is what needs it, for people.
    pub(super) fn start_for(codec: Codec, why: &str, plan: &Plan) -> Result<Self> {
        let program = &plan.common.settings().ffmpeg;
        let without = |what: &str| {
            let words = format!(
                "{} sends {why}, which needs ffmpeg; {what} (rtsp_cameras.ffmpeg), or let the camera send H.264",
                plan.peer()
            );
            Error::new(Code::Unavailable, words)
        };
        if program.is_empty() {
            return Err(without("name it"));
        }
        // An access unit delimiter ends what is before it, so that ffmpeg need not wait for the next picture to know
        // that this one is complete (H.264, 7.4.1.2.3; H.265, 7.4.2.4.4).
        let (format, delimiter): (_, &[u8]) = match codec {
            Codec::H265 => ("hevc", &[0, 0, 0, 1, 0x46, 0x01, 0x50]),
            _ => ("h264", &[0, 0, 0, 1, 0x09, 0xF0]),
        };
        let spawned = Command::new(program)
            .args(arguments(format, plan))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = spawned.map_err(|e| without("install it").caused_by(e))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(without("it gives no pipes"));
        };
        plan.common.counters().ffmpeg_started();
        Ok(Ffmpeg {
            child,
            stdin: Some(stdin),
            writing: None,
            stdout,
            stderr,
            splitter: Splitter::new(None, plan.limits.frame_size.bytes()),
            buffer: vec![0; CHUNK],
            delimiter,
            limits: plan.limits,
        })
    }

    pub(super) fn is_free(&self) -> bool {
        self.stdin.is_some()
    }

    pub(super) fn start(&mut self, unit: Unit) {
        let Some(mut stdin) = self.stdin.take() else { return };
        let delimiter = self.delimiter;
        self.writing = Some(Box::pin(async move {
            stdin.write_all(&unit.data).await?;
            stdin.write_all(delimiter).await?;
            Ok(stdin)
        }));
    }

    /// The next picture, or that it takes the next unit.
    pub(super) async fn next(&mut self) -> Result<Outcome> {
        loop {
            if let Some(picture) = self.picture()? {
                return Ok(Outcome::Picture(picture));
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
                    match written {
                        Ok(stdin) => self.stdin = Some(stdin),
                        Err(_) => return Err(self.last_words().await),
                    }
                    return Ok(Outcome::Nothing);
                }
                read = self.stdout.read(&mut self.buffer) => match read {
                    Ok(n) if n > 0 => self.splitter.feed(&self.buffer[..n]),
                    _ => return Err(self.last_words().await),
                },
            }
        }
    }

    fn picture(&mut self) -> Result<Option<Picture>> {
        let part = self
            .splitter
            .next_part()
            .map_err(|fault| Error::new(Code::Unavailable, format!("what ffmpeg made cannot be taken: {fault}")))?;
        let Some(part) = part else { return Ok(None) };
        let data: Bytes = part.data;
        Picture::from_plain_jpeg(data, &self.limits).map(|picture| Some(picture.captured_at(SystemTime::now())))
    }

    async fn last_words(&mut self) -> Error {
        let _ = self.child.start_kill();
        let mut words = vec![];
        let _ = (&mut self.stderr).take(LAST_WORDS as u64).read_to_end(&mut words).await;
        let words = String::from_utf8_lossy(&words).trim().replace('\n', "; ");
        Error::new(Code::Unavailable, "ffmpeg, which decodes the video, has ended (see the log)").caused_by(words)
    }
}

/// Reads at once what comes, shows what is due, and writes JPEGs one behind the other.
fn arguments(format: &str, plan: &Plan) -> Vec<String> {
    let every = plan.every.as_secs_f64();
    // JPEG's own range and matrix. The camera's clock is not in the pipe; ours is taken.
    let filter = format!(
        "select='isnan(prev_selected_t)+gte(t-prev_selected_t,{:.4})',scale=out_range=full:out_color_matrix=bt601,format=yuvj420p",
        0.75 * every
    );
    // From 100 (best) to 1, as 2 (best) to 25.
    let quantiser = (2 + (100 - plan.quality) * 23 / 99).to_string();
    let words = [
        "-hide_banner",
        "-nostdin",
        "-loglevel",
        "error",
        "-fflags",
        "nobuffer",
        "-flags",
        "low_delay",
        "-probesize",
        "32",
        "-analyzeduration",
        "0",
        "-thread_type",
        "slice",
        "-threads",
        "2",
        "-use_wallclock_as_timestamps",
        "1",
        "-f",
        format,
        "-i",
        "pipe:0",
        "-an",
        "-vf",
        &filter,
        "-fps_mode",
        "passthrough",
        "-c:v",
        "mjpeg",
        "-threads",
        "1",
        "-q:v",
        &quantiser,
        "-flush_packets",
        "1",
        "-f",
        "image2pipe",
        "pipe:1",
    ];
    words.map(str::to_owned).to_vec()
}
