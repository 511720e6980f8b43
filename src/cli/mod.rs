//! The command line.

#![allow(clippy::print_stdout, reason = "commands write results to standard output, logs to standard error")]

mod check;
mod demand;
mod discover;
pub mod fake_camera;
mod files;
mod health;
mod hook;
mod password;
mod push;
mod serve;
mod user;
mod uv4l_agent;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    hosts::Hosts,
    settings::{self, Loaded},
};

/// Pictures in and out of MediaMTX: stills, MJPEG, snapshots, and answers to its auth requests.
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
    /// File with the settings; by default ./sidecar.yml if it exists, otherwise no file.
    #[arg(short, long, global = true, value_name = "FILE", env = "SIDECAR_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the sidecar (also without any command).
    Serve(serve::Args),
    /// List the errors of sidecar.yml, and of a mediamtx.yml that is used with it.
    Check(check::Args),
    /// Write a sidecar.yml and a mediamtx.yml with comments.
    Init(files::Args),
    /// Post the variables of a MediaMTX hook (runOnAvailable and others) to a running sidecar.
    Hook(hook::Args),
    /// Find cameras on the network.
    Discover(discover::Args),
    /// Make, change and remove users of the database, with or without a running sidecar.
    #[command(subcommand)]
    User(user::Command),
    /// Hash a password for `pass:` in sidecar.yml or mediamtx.yml.
    HashPassword,
    /// Upload pictures to a stream: files, new files of a folder, or the output of a program.
    Push(push::Args),
    /// Carry the calls of a UV4L camera that the sidecar cannot reach: run it beside UV4L.
    Uv4lAgent(uv4l_agent::Args),
    /// Run a camera that answers by UDP, as the ESP32 sketch does.
    FakeCamera(fake_camera::Args),
    /// Check that a running sidecar is ready; for container health checks.
    Health(health::Args),
}

/// Parses the arguments and runs the command.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => serve::run(&cli.common.config, &serve::Args::default()),
        Some(Command::Serve(args)) => serve::run(&cli.common.config, &args),
        Some(Command::Check(args)) => check::run(cli.common.config.as_deref(), &args),
        Some(Command::Init(args)) => files::init(&args),
        Some(Command::Hook(args)) if args.is_demand() => demand::run(&args),
        Some(Command::Hook(args)) => hook::run(&args),
        Some(Command::Discover(args)) => discover::run(cli.common.config.as_deref(), &args),
        Some(Command::User(command)) => user::run(cli.common.config.as_deref(), command),
        Some(Command::HashPassword) => password::hash(),
        Some(Command::Push(args)) => push::run(args),
        Some(Command::FakeCamera(args)) => fake_camera::run(args),
        Some(Command::Uv4lAgent(args)) => uv4l_agent::run(&args),
        Some(Command::Health(args)) => health::run(cli.common.config.as_deref(), &args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("mtx-sidecar: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The result of a command; the error is a message for the user.
type Outcome = Result<(), String>;

/// The named file, or `sidecar.yml` in the working directory if it exists.
fn config_file(named: Option<&Path>) -> Option<PathBuf> {
    let here = Path::new("sidecar.yml");
    named.map(Path::to_owned).or_else(|| here.is_file().then(|| here.to_owned()))
}

/// Reads file and environment.
fn load(named: Option<&Path>) -> Result<Loaded, String> {
    let file = config_file(named);
    let environment: HashMap<String, String> = std::env::vars().collect();
    settings::load(file.as_deref(), &environment).map_err(|errors| {
        let place = file.as_deref().map_or("the environment".into(), |f| f.display().to_string());
        let lines: Vec<_> = errors.to_string().lines().map(|line| format!("  {line}")).collect();
        format!("{place} has errors:\n{}", lines.join("\n"))
    })
}

/// A runtime for commands, on this thread.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| format!("the runtime cannot be started: {e}"))
}

/// The certificate authorities of a command that makes HTTPS requests.
#[derive(Debug, Args)]
struct Authorities {
    /// PEM file of certificate authorities that are trusted for an https URL, besides the well-known ones.
    #[arg(long, value_name = "FILE", env = "SIDECAR__FETCH__CA_FILE")]
    ca_file: Option<PathBuf>,
}

impl Authorities {
    fn hosts(&self) -> Result<Hosts, String> {
        Hosts::new(self.ca_file.as_deref().unwrap_or(Path::new(""))).map_err(|e| e.chain())
    }
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
