//! `mtx-sidecar support`: one archive for a bug report. It asks a running server as an administrator, with a token that is signed by
//! the key of the data folder, and takes what it can get: each part that is missing says why.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::{Authorities, Outcome, backup::write_new, config_file, health, load, runtime};
use crate::{
    data_folder::DataFolder,
    hosts,
    identity::command_token,
    regular,
    secret::{Secret, hide_in_json, shown_text},
    settings::{Loaded, Settings, Sources, describe},
    store::Store,
};

/// Timeout of each request to the server, and of each program.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Most bytes of one answer.
const MAX_ANSWER: usize = 8 << 20;

/// Most files of the data folder that are listed.
const MAX_LISTED: usize = 2000;

/// Most bytes of a file of the system.
const MAX_SYSTEM_FILE: u64 = 64 << 10;

/// The folder in the archive.
const FOLDER: &str = "mtx-sidecar-support";

/// What a running server is asked.
const QUESTIONS: &[(&str, &str)] = &[
    ("server/ready.txt", "/readyz"),
    ("server/metrics.txt", "/metrics"),
    ("server/overview.json", "/api/v1/overview"),
    ("server/settings.json", "/api/v1/settings"),
    ("server/streams.json", "/api/v1/streams"),
    ("server/paths.json", "/api/v1/paths"),
    ("server/sessions.json", "/api/v1/sessions"),
    ("server/mqtt.json", "/api/v1/mqtt"),
    ("server/uv4l.json", "/api/v1/uv4l"),
    ("server/mediamtx-check.json", "/api/v1/mediamtx/check"),
    ("server/audit.json", "/api/v1/audit?limit=200"),
    ("server/dead-letters.json", "/api/v1/events/dead-letters"),
    (LOG, "/api/v1/log?format=text"),
];

const LOG: &str = "server/log.txt";

const README: &str = "\
A report of mtx-sidecar for its maintainers, made by `mtx-sidecar support`.

Passwords, tokens and keys are left out or shown as ***. Names of streams and users, and addresses of cameras and clients
are in it: look through it before you publish it.

system.json    versions of the programs, the machine, the names of the environment variables
settings.json  the settings and their sources
data.json      files of the data folder, and the number of rows of each table
server/        answers of the running server, and the last lines of its log
";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write, which must not exist; - is standard output.
    #[arg(default_value = "mtx-sidecar-support.tar.gz")]
    file: PathBuf,
}

/// A name in the archive, and the text.
type Part = (String, String);

pub(super) fn run(config: Option<&Path>, args: &Args) -> Outcome {
    let parts = parts(config);
    if args.file == Path::new("-") {
        let out = io::stdout();
        if out.is_terminal() {
            return Err("standard output is a terminal; name a file, or send the output into one".into());
        }
        return pack(out.lock(), &parts).map_err(|e| format!("standard output cannot be written: {e}"));
    }
    let cannot = |e: io::Error| format!("{} cannot be written: {e}", args.file.display());
    write_new(&args.file, |_, file| pack(file, &parts).map_err(cannot))?;
    println!("wrote {}; names and addresses are in it, so look through it before you publish it", args.file.display());
    Ok(())
}

fn pack(to: impl Write, parts: &[Part]) -> io::Result<()> {
    let mut tar = tar::Builder::new(GzEncoder::new(to, Compression::default()));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    for (name, text) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        tar.append_data(&mut header, format!("{FOLDER}/{name}"), text.as_bytes())?;
    }
    tar.into_inner().and_then(GzEncoder::finish)?.flush()
}

fn parts(config: Option<&Path>) -> Vec<Part> {
    let mut parts = vec![("README.txt".to_owned(), README.to_owned())];
    let mut add = |name: &str, text: String| parts.push((name.to_owned(), text));
    let loaded = load(config);
    let ffmpeg = loaded.as_ref().map_or("ffmpeg", |loaded| loaded.settings.rtsp_cameras.ffmpeg.as_str()).to_owned();
    add("system.json", pretty(&system(&ffmpeg)));
    let Loaded { settings, file, origins } = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => {
            add("settings.json", pretty(&json!({"file": config_file(config), "errors": shown_text(&errors)})));
            return parts;
        }
    };
    add("settings.json", pretty(&settings_of(&settings, Sources { file, origins })));
    add("data.json", pretty(&data(&settings)));
    let answers = ask(&settings);
    let has_log = answers.iter().any(|(name, text)| name == LOG && !text.starts_with(MISSING));
    parts.extend(answers);
    // A server that does not run any longer has left its lines to the system.
    if !has_log && let Some(text) = said_by("journalctl", &["-u", "mtx-sidecar", "-n", "2000", "--no-pager"]) {
        let lines: Vec<_> = text.lines().map(shown_text).collect();
        parts.push(("journal.txt".into(), lines.join("\n")));
    }
    parts
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn system(ffmpeg: &str) -> Value {
    let file = |path: &str| {
        let bytes = regular::read(Path::new(path), MAX_SYSTEM_FILE).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let line = |path: &str, begin: &str| file(path).lines().find(|line| line.starts_with(begin)).map(str::to_owned);
    let version = |program: &str, arguments: &[&str]| {
        let said = said_by(program, arguments).unwrap_or_default();
        said.lines().next().map(str::to_owned)
    };
    // The values can be secrets.
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut variables: Vec<_> = variables.filter(|name| name.starts_with("SIDECAR") || name == "RUST_LOG").collect();
    variables.sort();
    let memory = ["MemTotal:", "MemAvailable:"].map(|begin| line("/proc/meminfo", begin));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "processor": std::env::consts::ARCH,
        "time": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        "system": line("/etc/os-release", "PRETTY_NAME="),
        "kernel": file("/proc/version").trim(),
        "cores": std::thread::available_parallelism().ok().map(usize::from),
        "memory": memory,
        "open_files": line("/proc/self/limits", "Max open files"),
        "is_container": Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists(),
        "user": rustix::process::geteuid().as_raw(),
        "ffmpeg": version(ffmpeg, &["-version"]),
        "mediamtx": version("mediamtx", &["--version"]),
        "variables": variables,
    })
}

/// What a program prints; none if it cannot be run or does not end.
fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    if program.is_empty() {
        return None;
    }
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output =
        runtime().ok()?.block_on(async { tokio::time::timeout(TIMEOUT, command.output()).await }).ok()?.ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn settings_of(settings: &Settings, sources: Sources) -> Value {
    let mut streams = serde_json::to_value(&settings.streams).unwrap_or_default();
    hide_in_json(&mut streams);
    let short =
        |setting: crate::settings::Described| (setting.key, json!({"value": setting.value, "source": setting.source}));
    let described: serde_json::Map<_, _> = describe(settings, &sources).into_iter().map(short).collect();
    json!({
        "file": sources.file,
        "warnings": settings.warnings().iter().map(|warning| shown_text(warning)).collect::<Vec<_>>(),
        "settings": described,
        "streams": streams,
    })
}

fn data(settings: &Settings) -> Value {
    let folder = match DataFolder::existing(&settings.data_dir) {
        Ok(folder) => folder,
        Err(e) => return json!({"error": e.chain()}),
    };
    let list = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let described = entries.take(MAX_LISTED).map(|entry| {
            let metadata = entry.metadata().ok();
            let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            json!({
                "name": entry.file_name().to_string_lossy(),
                "bytes": metadata.map(|metadata| metadata.len()),
                "modified": modified.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
            })
        });
        described.collect::<Vec<_>>()
    };
    let rows = Store::open_present(&folder.database()).and_then(|store| store.counts());
    json!({
        "folder": folder.path(),
        "files": list(folder.path()),
        "frames": list(&folder.frames()),
        "points": list(&folder.points()),
        "rows": rows.map_or_else(|e| json!({"error": e.chain()}), |rows| rows.into_iter().collect()),
    })
}

/// Begins the text of a part that is missing.
const MISSING: &str = "missing: ";

fn ask(settings: &Settings) -> Vec<Part> {
    let missing = |why: &str| vec![("server/missing.txt".to_owned(), format!("{MISSING}{}\n", shown_text(why)))];
    let token = Store::open_present(&DataFolder::database_in(&settings.data_dir))
        .and_then(|store| command_token(&store, "mtx-sidecar support"));
    let prepared = (|| {
        let token = Secret::new(token.map_err(|e| e.chain())?);
        Ok::<_, String>((token, health::base(&settings.http)?, Authorities { ca_file: None }.hosts()?))
    })();
    let (token, base, hosts) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return missing(&why),
    };
    hosts.run(TIMEOUT, async |client| {
        let mut parts = vec![];
        for (name, address) in QUESTIONS {
            let answer = client.get(format!("{base}{address}")).bearer_auth(token.expose()).send().await;
            let mut response = match answer {
                Ok(response) => response,
                // The other questions would wait as long.
                Err(e) => return missing(&format!("{base}: {}", hosts::explain(&e))),
            };
            let status = response.status();
            let text = match response.body().limit(MAX_ANSWER).await {
                Ok(body) if status.is_success() => String::from_utf8_lossy(&body).into_owned(),
                Ok(body) => format!("{MISSING}{status}: {}", String::from_utf8_lossy(&body)),
                Err(e) => format!("{MISSING}{e}"),
            };
            parts.push(((*name).to_owned(), text));
        }
        parts
    })
}
