//! The command line.

#![allow(clippy::print_stdout, reason = "commands answer on standard output; logs go to standard error")]

mod check;
mod discover;
pub mod fake_camera;
mod files;
mod hook;
mod password;
mod push;
mod serve;
mod user;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::settings::{self, Loaded};

/// Pictures in and out of MediaMTX: stills, MJPEG, snapshots, and the answer to its auth question.
#[derive(Debug, Parser)]
#[command(name = "mtx-sidecar", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Common {
    /// The settings; without it ./sidecar.yml if there is one, else the defaults.
    #[arg(short, long, global = true, value_name = "FILE", env = "SIDECAR_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run (this is what happens without a command).
    Serve(serve::Args),
    /// Say what is wrong with sidecar.yml, and with a mediamtx.yml that should go with it.
    Check(check::Args),
    /// Write a commented sidecar.yml and mediamtx.yml.
    Init(files::Args),
    /// Tell a running sidecar what a hook of MediaMTX was started for; for runOnAvailable and the others.
    Hook(hook::Args),
    /// Find cameras on the network.
    Discover(discover::Args),
    /// Make, change and remove users, whether the sidecar runs or not.
    #[command(subcommand)]
    User(user::Command),
    /// Hash a password for `pass:` in sidecar.yml or mediamtx.yml.
    HashPassword,
    /// Send pictures to a stream: files, a folder, or what a program writes.
    Push(push::Args),
    /// Be a camera that answers by UDP, as the ESP32 sketch does.
    FakeCamera(fake_camera::Args),
    /// Ask a running sidecar whether it is well; for container health checks.
    Health(HealthArgs),
}

#[derive(Debug, Args)]
struct HealthArgs {
    /// Where it listens.
    #[arg(default_value = "127.0.0.1:9995")]
    address: SocketAddr,
}

/// Parses the arguments and does what they say.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => serve::run(&cli.common.config, &serve::Args::default()),
        Some(Command::Serve(args)) => serve::run(&cli.common.config, &args),
        Some(Command::Check(args)) => check::run(cli.common.config.as_deref(), &args),
        Some(Command::Init(args)) => files::init(&args),
        Some(Command::Hook(args)) => hook::run(&args),
        Some(Command::Discover(args)) => discover::run(cli.common.config.as_deref(), &args),
        Some(Command::User(command)) => user::run(cli.common.config.as_deref(), command),
        Some(Command::HashPassword) => password::hash(),
        Some(Command::Push(args)) => push::run(args),
        Some(Command::FakeCamera(args)) => fake_camera::run(args),
        Some(Command::Health(args)) => health(args.address),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("mtx-sidecar: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What a command says when it fails.
type Outcome = Result<(), String>;

/// The file that was named, or else `sidecar.yml` here if it is there.
fn config_file(named: Option<&Path>) -> Option<PathBuf> {
    let here = Path::new("sidecar.yml");
    named.map(Path::to_owned).or_else(|| here.is_file().then(|| here.to_owned()))
}

/// Reads file and environment.
fn load(named: Option<&Path>) -> Result<Loaded, String> {
    let file = config_file(named);
    let environment: HashMap<String, String> = std::env::vars().collect();
    settings::load(file.as_deref(), &environment).map_err(|problems| {
        let place = file.as_deref().map_or("the environment".into(), |f| f.display().to_string());
        let lines: Vec<_> = problems.to_string().lines().map(|line| format!("  {line}")).collect();
        format!("{place} is not right:\n{}", lines.join("\n"))
    })
}

/// A runtime for commands that do one thing at a time.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| format!("the runtime cannot be started: {e}"))
}

fn health(address: SocketAddr) -> Outcome {
    let ask = async {
        let client = awc::Client::builder().timeout(std::time::Duration::from_secs(3)).finish();
        client.get(format!("http://{address}/readyz")).send().await.map_err(|e| e.to_string())
    };
    let response = actix_web::rt::System::new().block_on(ask)?;
    if response.status().is_success() { Ok(()) } else { Err(format!("{address} answers {}", response.status())) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
