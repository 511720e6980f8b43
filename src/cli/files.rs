//! `mtx-sidecar init`.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

use super::Outcome;
use crate::settings::{MEDIAMTX_YML, SIDECAR_YML};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for the files.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Overwrite existing files.
    #[arg(long)]
    force: bool,
}

pub(super) fn init(args: &Args) -> Outcome {
    std::fs::create_dir_all(&args.folder).map_err(|e| format!("{} cannot be created: {e}", args.folder.display()))?;
    let files = [("sidecar.yml", SIDECAR_YML), ("mediamtx.yml", MEDIAMTX_YML)];
    if !args.force
        && let Some((there, _)) = files.iter().find(|(name, _)| args.folder.join(name).exists())
    {
        return Err(format!("{} exists already (--force overwrites it)", args.folder.join(there).display()));
    }
    for (name, text) in files {
        let path = args.folder.join(name);
        write(&path, text, args.force).map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
        println!("wrote {}", path.display());
    }
    println!(
        "next: mtx-sidecar check {0}, then mtx-sidecar serve and mediamtx {0}",
        args.folder.join("mediamtx.yml").display()
    );
    Ok(())
}

fn write(path: &Path, text: &str, overwrite: bool) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).truncate(true).create(overwrite).create_new(!overwrite);
    options.open(path)?.write_all(text.as_bytes())
}
