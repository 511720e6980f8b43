//! The command line.

#![allow(clippy::print_stdout, reason = "commands write results to standard output, logs to standard error")]

mod arenas;
mod backup;
mod check;
mod demand;
mod discover;
mod drain;
pub mod fake_camera;
mod files;
mod generate;
mod health;
mod home_assistant;
mod hook;
mod password;
mod push;
mod serve;
mod support;
mod user;
mod uv4l_agent;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
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
    /// Write the data folder into one file, with or without a running sidecar. The file holds password hashes and keys.
    Backup(backup::Backup),
    /// Make the data folder from a backup. The sidecar must not run; nothing is overwritten.
    Restore(backup::Restore),
    /// Write one archive for a bug report: versions, settings without secrets, state, and the last lines of the log.
    Support(support::Args),
    /// Hand the streams of this node of a cluster over to the other nodes, before it is stopped. SIGTERM does the same.
    Drain(drain::Args),
    /// Hash a password for `pass:` in sidecar.yml or mediamtx.yml.
    HashPassword,
    /// Upload pictures to a stream: files, new files of a folder, or the output of a program.
    Push(push::Args),
    /// Carry the calls of a UV4L camera that the sidecar cannot reach: run it beside UV4L.
    Uv4lAgent(uv4l_agent::Args),
    /// Run a camera that answers by UDP, as the ESP32 sketch does.
    FakeCamera(fake_camera::Args),
    /// Serve as an app of Home Assistant: settings from its options, and the MQTT broker of the Supervisor.
    #[command(hide = true)]
    HomeAssistant(home_assistant::Args),
    /// Write completions for bash, zsh and fish, and manual pages, for packages.
    #[command(hide = true)]
    Generate(generate::Args),
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
        Some(Command::Backup(args)) => backup::back_up(cli.common.config.as_deref(), &args),
        Some(Command::Restore(args)) => backup::restore(cli.common.config.as_deref(), &args),
        Some(Command::Support(args)) => support::run(cli.common.config.as_deref(), &args),
        Some(Command::Drain(args)) => drain::run(cli.common.config.as_deref(), &args),
        Some(Command::HashPassword) => password::hash(),
        Some(Command::Push(args)) => push::run(args),
        Some(Command::FakeCamera(args)) => fake_camera::run(args),
        Some(Command::Uv4lAgent(args)) => uv4l_agent::run(&args),
        Some(Command::HomeAssistant(args)) => home_assistant::run(cli.common.config.as_deref(), &args),
        Some(Command::Generate(args)) => generate::run(&args),
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
    load_with(config_file(named).as_deref(), &std::env::vars().collect())
}

/// Reads this file, and this environment.
fn load_with(file: Option<&Path>, environment: &HashMap<String, String>) -> Result<Loaded, String> {
    settings::load(file, environment).map_err(|errors| {
        let place = file.map_or("the environment".into(), |f| f.display().to_string());
        let lines: Vec<_> = errors.to_string().lines().map(|line| format!("  {line}")).collect();
        format!("{place} has errors:\n{}", lines.join("\n"))
    })
}

/// 2020-01-01, in seconds of the Unix epoch.
const EARLIEST: u64 = 1_577_836_800;

/// A warning about a clock that cannot be right. A machine without a battery for its clock begins in 1970, until it has asked the
/// network for the time.
fn clock_warning(now: SystemTime) -> Option<String> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    (seconds < EARLIEST).then(|| {
        let shown = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        format!(
            "the clock of this machine says {shown}: certificates, tokens and share links are not valid before it is right; \
             start mtx-sidecar after the time is known (time-sync.target of systemd)"
        )
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

    #[test]
    fn a_clock_before_2020_is_told() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(clock_warning(at(0)).is_some_and(|warning| warning.contains("1970-01-01T00:00:00Z")));
        assert!(clock_warning(at(0) - Duration::from_secs(1)).is_some(), "before the epoch");
        assert!(clock_warning(at(EARLIEST - 1)).is_some_and(|warning| warning.contains("2019-12-31T23:59:59Z")));
        assert_eq!(clock_warning(at(EARLIEST)), None);
    }
}
