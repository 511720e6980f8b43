//! `mtx-sidecar check`.

use std::path::{Path, PathBuf};

use super::{Outcome, config_file, load};
use crate::{
    mediamtx_yml::{Severity, examine},
    settings::parse_yaml,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A mediamtx.yml to look over as well.
    mediamtx: Option<PathBuf>,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> Outcome {
    let loaded = load(config)?;
    match config_file(config) {
        Some(file) => println!("{}: fine, {} streams", file.display(), loaded.settings.streams.len()),
        None => println!("no sidecar.yml: the built-in defaults are used"),
    }
    let Some(path) = &args.mediamtx else { return Ok(()) };
    let text = std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let tree = parse_yaml(&text).map_err(|e| format!("{} is not valid YAML: {e}", path.display()))?;
    let findings = examine(&tree, &loaded.settings);
    for finding in &findings {
        println!("{}: {finding}", path.display());
    }
    match findings.iter().filter(|f| f.severity == Severity::Error).count() {
        0 if findings.is_empty() => println!("{}: fine", path.display()),
        0 => {}
        1 => return Err(format!("{} has a problem", path.display())),
        n => return Err(format!("{} has {n} problems", path.display())),
    }
    Ok(())
}
