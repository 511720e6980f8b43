//! `mtx-sidecar drain`: asks a running sidecar of a cluster to hand its streams over to the other nodes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{Outcome, load};
use crate::data_folder::{self, DataFolder};

/// How long the running sidecar can take. It waits for at most six seconds for the pictures of the other nodes.
const PATIENCE: Duration = Duration::from_secs(15);

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(config: Option<&Path>, _: &Args) -> Outcome {
    let settings = load(config)?.settings;
    if !settings.cluster.is_on() {
        return Err("this sidecar is no node of a cluster (cluster.nats), so no other one can take its streams".into());
    }
    let file = DataFolder::drain_in(&settings.data_dir);
    data_folder::new_file(&file)
        .map(drop)
        .or_else(|e| if e.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(e) })
        .map_err(|e| format!("{} cannot be written: {e}", file.display()))?;
    let began = Instant::now();
    while file.exists() {
        if began.elapsed() > PATIENCE {
            let _ = std::fs::remove_file(&file);
            return Err(format!("no sidecar with the data folder {} answers", settings.data_dir.display()));
        }
        std::thread::sleep(LOOK);
    }
    println!("The streams are handed over. This node takes no further ones until it is restarted.");
    Ok(())
}
