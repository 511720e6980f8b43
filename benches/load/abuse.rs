//! What an ordinary client notices while the server is attacked: its times before, during and after, the memory of the server,
//! and what the attacker got. docs/security.md has the promises and the figures.
//!
//! Each attack has a server of its own, is bounded in count and time, and stays on loopback. Callers from afar are other
//! addresses of 127.0.0.0/8: the rule for this machine matches 127.0.0.1 only.

mod disk;
mod held;
mod normal;
mod repeated;
mod wire;

use std::{
    pin::Pin,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use self::normal::{PACE, PATIENCE, Phase, Seen, Times};
use crate::{
    Result, auth,
    process::{Server, ms, percentile},
    rtsp::put,
    variants::photo,
    watcher::picture,
};

/// How long the ordinary client is observed before and after each attack.
const CALM: Duration = Duration::from_secs(3);

/// No further attack begins after this time.
const LONGEST: Duration = Duration::from_secs(200);

/// What an attack came to.
struct Outcome {
    /// Connections or requests that the attacker made.
    tried: u64,
    /// Those that the server refused or closed during the attack.
    refused: u64,
    /// What else was looked at; empty for nothing.
    note: String,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Outcome>> + 'a>>;

struct Attack {
    name: &'static str,
    run: fn(&Server) -> Running<'_>,
}

const ATTACKS: &[Attack] = &[
    Attack { name: "10 000 idle connections", run: |server| Box::pin(held::idle(server)) },
    Attack { name: "10 000 anonymous listeners to events", run: |server| Box::pin(held::listeners(server)) },
    Attack { name: "1500 unread snapshots of 2.6 MB", run: |server| Box::pin(held::unread(server)) },
    Attack { name: "13 000 slow heads", run: |server| Box::pin(held::first_heads(server)) },
    Attack { name: "13 000 slow heads of kept connections", run: |server| Box::pin(held::second_heads(server)) },
    Attack { name: "13 000 slow bodies", run: |server| Box::pin(held::bodies(server)) },
    Attack { name: "4200 slow RTSP connections", run: |server| Box::pin(held::rtsp(server)) },
    Attack { name: "5000 guesses a second at the question", run: |server| Box::pin(repeated::guesses(server)) },
    Attack { name: "100 000 names", run: |server| Box::pin(repeated::names(server)) },
];

/// The full disk is an attack in a process of its own, which has a small file system for its temporary files.
const FULL_DISK: Attack = Attack { name: "full disk", run: |server| Box::pin(disk::fill(server)) };

pub fn run() -> Result {
    println!(
        "A user's snapshot of 30 KB and MediaMTX's question, each every {} ms on a new connection: {} s before, during, and {} s after \
         each attack. Times are p50 · p99; a request without an answer counts as {} s.\n",
        PACE.as_millis(),
        CALM.as_secs(),
        CALM.as_secs(),
        PATIENCE.as_secs()
    );
    println!(
        "| attack | snapshot before | during | after | question before | during | after | unanswered | resident before · peak · after | tried | refused or closed |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let (began, mut notes, mut failed) = (Instant::now(), vec![], 0);
    for attack in ATTACKS {
        if began.elapsed() > LONGEST {
            println!("\nSKIPPED {} and all after it: {} s have passed", attack.name, LONGEST.as_secs());
            break;
        }
        match row(attack) {
            Ok(note) => notes.extend(note),
            Err(e) => {
                println!("| {} | failed: {e} |", attack.name);
                failed += 1;
            }
        }
    }
    on_a_small_disk()?;
    for note in notes {
        println!("\n{note}");
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} attacks could not be measured").into()) }
}

/// Runs [`full_disk`] in a process whose temporary folder is a file system of a few megabytes, in a mount namespace of its own.
fn on_a_small_disk() -> Result {
    let folder = tempfile::tempdir()?;
    let in_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        let mount = format!("mount -t tmpfs -o size={} none \"$1\" && {script}", disk::SIZE);
        command.args(["-m", "sh", "-c", &mount, "sh"]).arg(folder.path());
        command
    };
    if !in_namespace("true").stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!(
            "\nSKIPPED {}: no tmpfs can be mounted here (that takes root, and unshare of util-linux)",
            FULL_DISK.name
        );
        return Ok(());
    }
    let status = in_namespace("TMPDIR=\"$1\" exec \"$2\" abuse-disk").arg(std::env::current_exe()?).status()?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", FULL_DISK.name).into()) }
}

/// The row of the full disk, in the process that [`on_a_small_disk`] starts.
pub fn full_disk() -> Result {
    if let Some(note) = row(&FULL_DISK)? {
        println!("\n{note}");
    }
    Ok(())
}

/// One user whom the ordinary client is, a camera that may publish, and the rule for this machine. There is no MediaMTX.
fn settings() -> Result<String> {
    let users = "users: [{user: any, ips: [127.0.0.1], permissions: [{action: read}, {action: publish}]}, \
                 {user: camera, pass: s3cret, permissions: [{action: publish}]}, ";
    Ok(format!("mediamtx: {{api: 'http://127.0.0.1:1'}}\n{}", auth::settings()?.replace("users: [", users)))
}

fn row(attack: &Attack) -> Result<Option<String>> {
    let _ = rlimit::increase_nofile_limit(20_000);
    let server = Server::sidecar(&settings()?)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        put(&server, normal::STREAM, picture(normal::BYTES)).await?;
        put(&server, normal::VIDEO, photo(160, 120, 1)?).await?;
        normal::warm_up(server.addr).await
    })?;
    let phase = AtomicUsize::new(Phase::Before as usize);
    let enter = |next: Phase| phase.store(next as usize, Ordering::Relaxed);
    let (seen, outcome) = std::thread::scope(|scope| {
        let client = scope.spawn(|| normal::run(&server, &phase).map_err(|e| e.to_string()));
        std::thread::sleep(CALM);
        enter(Phase::During);
        let outcome = scope.spawn(|| attacked(attack, &server).map_err(|e| e.to_string())).join();
        enter(Phase::After);
        std::thread::sleep(CALM);
        enter(Phase::End);
        (client.join(), outcome)
    });
    let seen: Seen = seen.map_err(|_| "the ordinary client panicked")??;
    let Outcome { tried, refused, note } = outcome.map_err(|_| "the attack panicked")??;
    let times = |of: &[Times; 3]| of.iter().map(Times::shown).collect::<Vec<_>>().join(" | ");
    let unanswered: u64 = seen.snapshots.iter().chain(&seen.questions).map(|times| times.unanswered).sum();
    println!(
        "| {} | {} | {} | {unanswered} | {} · {} · {} MiB | {tried} | {refused} |",
        attack.name,
        times(&seen.snapshots),
        times(&seen.questions),
        seen.resident_kib[0] / 1024,
        seen.resident_kib[1] / 1024,
        seen.resident_kib[2] / 1024,
    );
    Ok((!note.is_empty()).then(|| format!("{}: {note}", attack.name)))
}

/// The attack, on a thread of lower priority than the ordinary client, whose times the load of the attacker must not be.
fn attacked(attack: &Attack, server: &Server) -> Result<Outcome> {
    rustix::process::nice(10)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on((attack.run)(server))
}

impl Times {
    fn shown(&self) -> String {
        let mut sorted = self.took.clone();
        sorted.sort();
        format!("{} · {}", ms(percentile(&sorted, 50)), ms(percentile(&sorted, 99)))
    }
}
