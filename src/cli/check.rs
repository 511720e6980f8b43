//! `mtx-sidecar check`.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Outcome, clock_warning, config_file, load};
use crate::{
    cluster::{self, ClusterSettings},
    mediamtx::config_check::{Severity, examine},
    yaml,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A mediamtx.yml to check, too.
    mediamtx: Option<PathBuf>,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> Outcome {
    let loaded = load(config)?;
    match config_file(config) {
        Some(file) => println!("{}: no errors, {} streams", file.display(), loaded.settings.streams.len()),
        None => println!("no sidecar.yml: all settings have their defaults"),
    }
    for warning in clock_warning(SystemTime::now()).into_iter().chain(loaded.settings.warnings()) {
        println!("warning: {warning}");
    }
    if loaded.settings.cluster.is_on() {
        check_cluster(&loaded.settings.cluster)?;
    }
    let Some(path) = &args.mediamtx else { return Ok(()) };
    let text = std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let config = yaml::parse(&text).map_err(|e| format!("{} is not valid YAML: {e}", path.display()))?;
    let findings = examine(&config, &loaded.settings.for_config_check());
    for finding in &findings {
        println!("{}: {finding}", path.display());
    }
    match findings.iter().filter(|f| f.severity == Severity::Error).count() {
        0 if findings.is_empty() => println!("{}: no findings", path.display()),
        0 => {}
        1 => return Err(format!("{} has an error", path.display())),
        n => return Err(format!("{} has {n} errors", path.display())),
    }
    Ok(())
}

/// Tries the NATS servers of the cluster.
fn check_cluster(settings: &ClusterSettings) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("the runtime cannot be started: {e}"))?;
    let found = runtime.block_on(cluster::probe(settings)).map_err(|e| format!("cluster: {}", e.chain()))?;
    for line in found {
        println!("cluster: {line}");
    }
    Ok(())
}
