//! `mtx-sidecar push`: uploads pictures to a stream.
//!
//! One PUT for each picture, over one connection. Each picture has a response, so that the command can show the reason of a refusal,
//! and can skip pictures instead of queueing them when the link is slow.

use std::{
    collections::HashSet,
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use awc::http::StatusCode;
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    sync::{mpsc, watch},
    time::{Duration, Instant, MissedTickBehavior, interval, sleep},
};

use super::{Authorities, Outcome, password::prompt};
use crate::{
    backoff::Backoff,
    hosts,
    multipart::Splitter,
    regular,
    secret::{Secret, shown_url},
    stream::StreamName,
    units::Size,
};

/// Pauses between attempts to reach the sidecar.
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

/// Timeout of an upload.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Interval at which a watched folder is read.
const LOOK_EVERY: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the stream.
    name: String,
    /// Picture files, patterns such as 'shots/*.jpg', one folder (with --watch), or - for JPEGs from standard input
    /// (one after the other, or multipart as from `ffmpeg -f mpjpeg`).
    #[arg(required = true)]
    sources: Vec<String>,
    /// Base URL of the sidecar, http:// or https://.
    #[arg(long, default_value = "http://127.0.0.1:9995", env = "SIDECAR_URL")]
    url: String,
    /// User name. The password comes from --password-file, from SIDECAR_PASSWORD, or from a prompt.
    #[arg(long)]
    user: Option<String>,
    /// File with the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Pictures a second, of files.
    #[arg(long, default_value_t = 1.0, value_parser = fps)]
    fps: f64,
    /// Start again after the last picture, without end.
    #[arg(long = "loop")]
    repeat: bool,
    /// Upload each new picture of a folder.
    #[arg(long)]
    watch: bool,
    /// Largest picture from standard input or of a watched folder.
    #[arg(long, default_value = "16M")]
    max_size: Size,
    #[command(flatten)]
    authorities: Authorities,
}

fn fps(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|f| (0.01..=120.0).contains(f)).ok_or_else(|| "must be from 0.01 to 120".into())
}

pub(super) fn run(args: Args) -> Outcome {
    let name = StreamName::parse(&args.name).map_err(|e| e.to_string())?;
    let password = password(&args)?;
    args.authorities.hosts()?.run(TIMEOUT, async |client| {
        let sender = Sender::new(client, &args, &name, password);
        tokio::select! {
            done = push(&args, sender) => done,
            () = crate::shutdown::signalled() => Ok(()),
        }
    })
}

fn password(args: &Args) -> Result<Secret, String> {
    if args.user.is_none() {
        return Ok(Secret::default());
    }
    if let Some(path) = &args.password_file {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
        return Ok(Secret::new(text.trim_end_matches(['\r', '\n'])));
    }
    match std::env::var("SIDECAR_PASSWORD") {
        Ok(password) => Ok(Secret::new(password)),
        Err(_) => prompt("Password: ").map(Secret::new),
    }
}

async fn push(args: &Args, mut sender: Sender) -> Outcome {
    let done = match args.sources.as_slice() {
        [dash] if dash == "-" => from_stdin(args, &mut sender).await,
        [folder] if args.watch => from_folder(Path::new(folder), args.max_size.0, &mut sender).await,
        _ if args.watch => Err("--watch takes one folder".into()),
        patterns => from_files(patterns, args, &mut sender).await,
    };
    sender.report();
    done
}

async fn from_files(patterns: &[String], args: &Args, sender: &mut Sender) -> Outcome {
    let mut files = vec![];
    for pattern in patterns {
        if Path::new(pattern).is_file() {
            files.push(pattern.into());
            continue;
        }
        let paths = glob::glob(pattern).map_err(|e| format!("{pattern}: {e}"))?;
        let before = files.len();
        for path in paths {
            let path = path.map_err(|e| format!("{pattern}: {e}"))?;
            files.extend(path.is_file().then_some(path));
        }
        if files.len() == before {
            return Err(format!("{pattern} matches no file"));
        }
    }
    sender.expect(if args.repeat { None } else { Some(files.len() as u64) });
    let mut ticks = interval(Duration::from_secs_f64(1.0 / args.fps));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for file in &files {
            ticks.tick().await;
            let data = std::fs::read(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
            sender.send(data.into()).await.map_err(|e| format!("{}: {e}", file.display()))?;
        }
        if !args.repeat {
            return Ok(());
        }
    }
}

/// A version of a file: its path, its size, and the time of its last change.
type FileVersion = (PathBuf, u64, Option<SystemTime>);

/// Uploads new and changed files. A file is uploaded when two readings of the folder show the same version.
async fn from_folder(folder: &Path, max: u64, sender: &mut Sender) -> Outcome {
    if !folder.is_dir() {
        return Err(format!("{} is not a folder", folder.display()));
    }
    sender.expect(None);
    let mut done: HashSet<FileVersion> = versions(folder)?.into_iter().collect();
    let mut growing: HashSet<FileVersion> = HashSet::new();
    loop {
        sleep(LOOK_EVERY).await;
        let files = versions(folder)?;
        let mut new = HashSet::new();
        for file in &files {
            if done.contains(file) {
                continue;
            }
            if !growing.contains(file) {
                new.insert(file.clone());
                continue;
            }
            // Another program can have put a FIFO in the place of the file.
            let uploaded = match regular::read(&file.0, max) {
                Ok(data) if data.len() as u64 > max => Err(format!("is larger than {max} bytes (--max-size)")),
                Ok(data) => sender.send(data.into()).await,
                Err(e) => Err(e.to_string()),
            };
            if let Err(e) = uploaded {
                sender.say(&format!("{}: {e}", file.0.display()));
            }
            done.insert(file.clone());
        }
        growing = new;
        // Removed files leave the set, which would otherwise grow without end.
        let present: HashSet<_> = files.into_iter().collect();
        done.retain(|file| present.contains(file));
    }
}

/// The files of a folder, oldest first, without hidden and empty ones.
fn versions(folder: &Path) -> Result<Vec<FileVersion>, String> {
    let unreadable = |e| format!("{} cannot be read: {e}", folder.display());
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // A file can be removed in the meantime.
        let Ok(metadata) = entry.metadata() else { continue };
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if metadata.is_file() && !is_hidden && metadata.len() > 0 {
            files.push((entry.path(), metadata.len(), metadata.modified().ok()));
        }
    }
    files.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
    Ok(files)
}

/// Reads as fast as the program writes, and uploads as fast as the link allows: only the latest picture is uploaded.
async fn from_stdin(args: &Args, sender: &mut Sender) -> Outcome {
    sender.expect(None);
    let (send, mut latest) = watch::channel::<(u64, Bytes)>((0, Bytes::new()));
    let (complain, mut complaints) = mpsc::channel::<String>(8);
    let max = args.max_size.bytes();
    let reader = std::thread::Builder::new().spawn(move || read_stdin(max, &send, &complain));
    reader.map_err(|e| format!("the thread that reads standard input cannot be started: {e}"))?;
    let mut last = 0;
    while latest.changed().await.is_ok() {
        let (number, data) = latest.borrow_and_update().clone();
        sender.skipped += number - last - 1;
        last = number;
        sender.send(data).await?;
        while let Ok(complaint) = complaints.try_recv() {
            sender.say(&complaint);
        }
    }
    if last == 0 { Err("standard input had no picture".into()) } else { Ok(()) }
}

fn read_stdin(max: usize, send: &watch::Sender<(u64, Bytes)>, complain: &mpsc::Sender<String>) {
    let mut stdin = std::io::stdin().lock();
    let mut buffer = vec![0; 1 << 16];
    let mut splitter: Option<Splitter> = None;
    let mut number = 0;
    while let Ok(length @ 1..) = stdin.read(&mut buffer) {
        let data = &buffer[..length];
        // `ffmpeg -f mpjpeg` starts with a boundary line. Other programs write one JPEG after the other.
        let splitter = splitter.get_or_insert_with(|| {
            let line = data.split(|b| *b == b'\n').find(|line| line.starts_with(b"--")).map(<[u8]>::trim_ascii);
            let boundary = line.map(|line| String::from_utf8_lossy(&line[2..]).into_owned());
            let content_type = boundary.map(|b| format!("multipart/x-mixed-replace;boundary={b}"));
            Splitter::new(content_type.as_deref(), max)
        });
        splitter.feed(data);
        loop {
            match splitter.next_part() {
                Ok(None) => break,
                Ok(Some(part)) => {
                    number += 1;
                    // Without a receiver, the command is ending.
                    let _ = send.send((number, part.data));
                }
                // A full channel has enough complaints.
                Err(fault) => drop(complain.try_send(fault.to_string())),
            }
        }
    }
}

/// Uploads pictures, and shows the progress.
struct Sender {
    client: awc::Client,
    url: String,
    user: Option<String>,
    password: Secret,
    bar: Option<ProgressBar>,
    began: Instant,
    last_line: Instant,
    sent: u64,
    bytes: u64,
    skipped: u64,
}

impl Sender {
    fn new(client: awc::Client, args: &Args, name: &StreamName, password: Secret) -> Self {
        let now = Instant::now();
        Sender {
            client,
            user: args.user.clone(),
            password,
            url: format!("{}/api/v1/streams/{name}/frame", args.url.trim_end_matches('/')),
            bar: std::io::stderr().is_terminal().then(ProgressBar::no_length),
            began: now,
            last_line: now,
            sent: 0,
            bytes: 0,
            skipped: 0,
        }
    }

    #[expect(clippy::expect_used, reason = "the templates are literals")]
    fn expect(&self, pictures: Option<u64>) {
        let Some(bar) = &self.bar else { return };
        let template = match pictures {
            Some(_) => "{bar:30} {pos}/{len} pictures  {msg}",
            None => "{spinner} {pos} pictures  {msg}",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
        if let Some(pictures) = pictures {
            bar.set_length(pictures);
        }
    }

    /// Uploads one picture. Retries while the sidecar does not answer. The error has the reason for which the sidecar refuses a picture.
    async fn send(&mut self, data: Bytes) -> Outcome {
        let mut retry = RETRY;
        loop {
            let mut request = self.client.put(&self.url).content_type("application/octet-stream");
            if let Some(user) = &self.user {
                request = request.basic_auth(user, self.password.expose());
            }
            let pause = retry.next_pause();
            match request.send_body(data.clone()).await {
                Ok(mut response) => {
                    let status = response.status();
                    let body = response.body().limit(1 << 16).await.unwrap_or_default();
                    if status.is_success() {
                        self.count(data.len());
                        return Ok(());
                    }
                    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                    let why = problem["detail"].as_str().map_or_else(|| status.to_string(), str::to_owned);
                    let busy = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
                    if !busy {
                        return Err(why);
                    }
                    self.say(&format!("{why}; next attempt in {:.1} s", pause.as_secs_f64()));
                }
                Err(e) => {
                    let why = hosts::explain(&e);
                    if hosts::is_untrusted(&e) {
                        return Err(format!("{}: {why}", shown_url(&self.url)));
                    }
                    self.say(&format!(
                        "{} does not answer ({why}); next attempt in {:.1} s",
                        shown_url(&self.url),
                        pause.as_secs_f64()
                    ));
                }
            }
            sleep(pause).await;
        }
    }

    fn count(&mut self, bytes: usize) {
        self.sent += 1;
        self.bytes += bytes as u64;
        match &self.bar {
            Some(bar) => {
                bar.set_message(self.rate());
                bar.inc(1);
            }
            None if self.last_line.elapsed() > Duration::from_secs(10) => {
                self.last_line = Instant::now();
                println!("{} pictures, {}", self.sent, self.rate());
            }
            None => {}
        }
    }

    fn rate(&self) -> String {
        let secs = self.began.elapsed().as_secs_f64().max(0.001);
        let (fps, kbytes) = (self.sent as f64 / secs, self.bytes as f64 / secs / 1000.0);
        let skipped = if self.skipped == 0 { String::new() } else { format!(", {} skipped", self.skipped) };
        format!("{fps:.1}/s, {kbytes:.0} kB/s{skipped}")
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    fn report(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        println!("sent {} pictures, {}", self.sent, self.rate());
    }
}
