//! `mtx-sidecar generate`: completions of shells and manual pages, for packages.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

use super::{Cli, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for the files.
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> Outcome {
    let cannot = |e: std::io::Error| format!("{} cannot be written: {e}", args.folder.display());
    std::fs::create_dir_all(&args.folder).map_err(cannot)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let path = generate_to(shell, &mut Cli::command(), "mtx-sidecar", &args.folder).map_err(cannot)?;
        println!("wrote {}", path.display());
    }
    // `help` of each command would get a page of its own.
    let mut command = Cli::command().disable_help_subcommand(true);
    let groups = command.get_subcommands().filter(|group| group.has_subcommands());
    let groups: Vec<_> = groups.map(|group| group.get_name().to_owned()).collect();
    for group in groups {
        command = command.mut_subcommand(group, |group| group.disable_help_subcommand(true));
    }
    clap_mangen::generate_to(command, &args.folder).map_err(cannot)
}
