//! `make bench`: the cost of the sidecar compared with a lower bound, measured in one run.
//!
//! The server runs pinned to one core and the load on another; CPU time is the kernel's figure of
//! the server process. Each scenario prints a table; docs/performance.md explains the figures. Scenarios can be chosen by name: `make bench ONLY=fanout`.

#![allow(clippy::print_stdout, reason = "tables are what this program is for")]

mod abuse;
mod admission;
mod auth;
mod bare;
mod camera;
mod compose;
mod fanout;
mod fleet;
mod go2rtc;
mod graph;
mod host;
mod idle;
mod mqtt;
mod mse;
mod players;
mod policy;
mod process;
mod puller;
mod recipe;
mod relay;
mod rtsp;
mod soak;
mod uv4l;
mod variants;
mod watcher;
mod websocket;
mod whep;

use std::process::ExitCode;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

type Scenario = (&'static str, fn() -> Result);

const SCENARIOS: &[Scenario] = &[
    ("fanout", fanout::run),
    ("stalled", fanout::stalled),
    ("connect", fanout::connect),
    ("snapshots", variants::snapshots),
    ("thumbnails", variants::thumbnails),
    ("sizes", variants::sizes),
    ("websocket", websocket::run),
    ("recipe", recipe::run),
    ("still", rtsp::still_pulled),
    ("stills", rtsp::stills),
    ("first", rtsp::first),
    ("moving", rtsp::moving),
    ("whep", whep::run),
    ("mse", mse::run),
    ("players", players::run),
    ("auth", auth::run),
    ("policy", policy::run),
    ("flood", policy::flood),
    ("admission", admission::run),
    ("paths", host::paths),
    ("events", host::events),
    ("camera", camera::watched),
    ("cold", camera::cold),
    ("decoding", compose::decoding),
    ("composing", compose::composing),
    ("relay", relay::run),
    ("uv4l", uv4l::run),
    ("idle", idle::run),
    ("graph", graph::run),
    ("mqtt", mqtt::run),
    ("abuse", abuse::run),
    ("fleet", fleet::run),
];

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.first().map(String::as_str) {
        // The references, each as a process.
        Some("bare-writer") => return done(bare::writer()),
        Some("websocket-binary") => return done(websocket::reference(false)),
        Some("websocket-base64") => return done(websocket::reference(true)),
        Some("nats-receiver") => return done(fleet::receiver()),
        Some("bare-responder") => return done(bare::responder()),
        // A part of the scenario `abuse`, in a process with a disk of its own.
        Some("abuse-disk") => return done(abuse::full_disk()),
        // Not a measurement: a check that takes minutes.
        Some("soak") => return done(soak::run(args.get(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(600))),
        _ => {}
    }
    if let Err(e) = process::pin_self_to_load_core() {
        eprintln!("the load cannot be pinned to a core ({e}); figures will vary more");
    }
    let mut failed = false;
    for (name, run) in SCENARIOS {
        if args.is_empty() || args.iter().any(|a| a == name) {
            println!("\n## {name}\n");
            if let Err(e) = run() {
                println!("failed: {e}");
                failed = true;
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn done(result: Result) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
