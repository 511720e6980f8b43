//! `mtx-sidecar push`: sends pictures to a stream.
//!
//! One keep-alive connection and one PUT for each picture: each gets its answer, so that a wrong name or
//! password is told in words, and a slow link makes us skip pictures instead of queueing them.

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

use super::{Outcome, password::prompt};
use crate::{
    multipart::Splitter,
    secret::Secret,
    stream::StreamName,
    units::{HumanDuration, Size},
};

/// Longest pause between attempts to reach the sidecar.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How often a watched folder is looked over.
const LOOK_EVERY: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The stream's name.
    name: String,
    /// Pictures, patterns such as 'shots/*.jpg', one folder (with --watch), or - for JPEGs on standard input
    /// (back to back, or multipart as `ffmpeg -f mpjpeg` writes it).
    #[arg(required = true)]
    what: Vec<String>,
    /// Where the sidecar is.
    #[arg(long, default_value = "http://127.0.0.1:9995", env = "SIDECAR_URL")]
    url: String,
    /// The user name; the password comes from SIDECAR_PASSWORD, from --password-file, or is asked for.
    #[arg(long)]
    user: Option<String>,
    /// A file with the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Pictures a second, for files.
    #[arg(long, default_value_t = 1.0, value_parser = fps)]
    fps: f64,
    /// Begin again after the last picture, for ever.
    #[arg(long = "loop")]
    repeat: bool,
    /// Send each picture that appears in the folder.
    #[arg(long)]
    watch: bool,
    /// Largest picture read from standard input.
    #[arg(long, default_value = "16M")]
    max_size: Size,
}

fn fps(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|f| (0.01..=120.0).contains(f)).ok_or_else(|| "must be from 0.01 to 120".into())
}

pub(super) fn run(args: Args) -> Outcome {
    let name = StreamName::parse(&args.name).map_err(|e| e.to_string())?;
    let password = password(&args)?;
    if args.url.starts_with("https:") {
        return Err("https is not spoken here; push to the sidecar's own port".into());
    }
    actix_web::rt::System::new().block_on(async move {
        let sender = Sender::new(&args, &name, password);
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
    let done = match args.what.as_slice() {
        [dash] if dash == "-" => from_stdin(args, &mut sender).await,
        [folder] if args.watch => from_folder(Path::new(folder), &mut sender).await,
        _ if args.watch => Err("--watch takes one folder".into()),
        what => from_files(what, args, &mut sender).await,
    };
    sender.report();
    done
}

async fn from_files(what: &[String], args: &Args, sender: &mut Sender) -> Outcome {
    let mut files = vec![];
    for pattern in what {
        if Path::new(pattern).is_file() {
            files.push(pattern.into());
            continue;
        }
        let paths = glob::glob(pattern).map_err(|e| format!("{pattern}: {e}"))?;
        let before = files.len();
        files.extend(paths.flatten().filter(|p| p.is_file()));
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

/// Sends what appears or changes; a file that still grows is left until it has stopped.
async fn from_folder(folder: &Path, sender: &mut Sender) -> Outcome {
    if !folder.is_dir() {
        return Err(format!("{} is not a folder", folder.display()));
    }
    sender.expect(None);
    type Seen = (PathBuf, u64, Option<SystemTime>);
    let look = || -> Result<Vec<Seen>, String> {
        let entries = std::fs::read_dir(folder).map_err(|e| format!("{} cannot be read: {e}", folder.display()))?;
        let mut files: Vec<Seen> = entries
            .flatten()
            .filter_map(|entry| {
                let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
                let hidden = entry.file_name().to_string_lossy().starts_with('.');
                (!hidden && metadata.len() > 0).then(|| (entry.path(), metadata.len(), metadata.modified().ok()))
            })
            .collect();
        files.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
        Ok(files)
    };
    let mut done: HashSet<Seen> = look()?.into_iter().collect();
    let mut growing: HashSet<Seen> = HashSet::new();
    loop {
        sleep(LOOK_EVERY).await;
        let files = look()?;
        let mut still = HashSet::new();
        for file in &files {
            if done.contains(file) {
                continue;
            }
            if !growing.contains(file) {
                still.insert(file.clone());
                continue;
            }
            if let Ok(data) = std::fs::read(&file.0)
                && let Err(e) = sender.send(data.into()).await
            {
                sender.say(&format!("{}: {e}", file.0.display()));
            }
            done.insert(file.clone());
        }
        growing = still;
        // Only what is there: the set would grow with every file that comes and goes.
        let there: HashSet<_> = files.into_iter().collect();
        done.retain(|file| there.contains(file));
    }
}

/// Reads as fast as the program writes and sends as fast as the link takes: the latest picture wins.
async fn from_stdin(args: &Args, sender: &mut Sender) -> Outcome {
    sender.expect(None);
    let (send, mut latest) = watch::channel::<(u64, Bytes)>((0, Bytes::new()));
    let (tell, mut told) = mpsc::channel::<String>(8);
    let max = args.max_size.bytes();
    std::thread::spawn(move || read_stdin(max, &send, &tell));
    let mut seen = 0;
    while latest.changed().await.is_ok() {
        let (number, data) = latest.borrow_and_update().clone();
        sender.skipped += number - seen - 1;
        seen = number;
        sender.send(data).await?;
        while let Ok(complaint) = told.try_recv() {
            sender.say(&complaint);
        }
    }
    if seen == 0 { Err("no picture came on standard input".into()) } else { Ok(()) }
}

fn read_stdin(max: usize, send: &watch::Sender<(u64, Bytes)>, tell: &mpsc::Sender<String>) {
    let mut stdin = std::io::stdin().lock();
    let mut buffer = vec![0; 1 << 16];
    let mut splitter: Option<Splitter> = None;
    let mut number = 0;
    while let Ok(length @ 1..) = stdin.read(&mut buffer) {
        let data = &buffer[..length];
        // `ffmpeg -f mpjpeg` begins with its boundary line; anything else is JPEGs one behind the other.
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
                    let _ = send.send((number, part.data));
                }
                Err(fault) => drop(tell.try_send(fault.to_string())),
            }
        }
    }
}

/// Sends pictures and shows how it goes.
struct Sender {
    client: awc::Client,
    url: String,
    bar: Option<ProgressBar>,
    began: Instant,
    last_line: Instant,
    sent: u64,
    bytes: u64,
    skipped: u64,
}

impl Sender {
    fn new(args: &Args, name: &StreamName, password: Secret) -> Self {
        let mut client = awc::Client::builder().timeout(Duration::from_secs(20)).disable_redirects();
        if let Some(user) = &args.user {
            client = client.basic_auth(user, Some(password.expose()));
        }
        let now = Instant::now();
        Sender {
            client: client.finish(),
            url: format!("{}/api/v1/streams/{name}/frame", args.url.trim_end_matches('/')),
            bar: std::io::stderr().is_terminal().then(ProgressBar::no_length),
            began: now,
            last_line: now,
            sent: 0,
            bytes: 0,
            skipped: 0,
        }
    }

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

    /// Sends one picture; waits and tries again as long as the sidecar is away. A picture that it does not
    /// take is an error, with its reason.
    async fn send(&mut self, data: Bytes) -> Outcome {
        let mut pause = Duration::from_millis(500);
        loop {
            let request = self.client.put(&self.url).content_type("application/octet-stream");
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
                    self.say(&format!("{why}; trying again in {}", HumanDuration(pause)));
                }
                Err(e) => self.say(&format!("{} is away ({e}); trying again in {}", self.url, HumanDuration(pause))),
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
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
