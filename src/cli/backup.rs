//! `mtx-sidecar backup` and `mtx-sidecar restore`.

use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use super::{Outcome, load};
use crate::{
    backup::{self, Contents},
    data_folder::{self, DataFolder},
    regular,
};

/// Stands for standard output, and for standard input.
const DASH: &str = "-";

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// The file to write, such as sidecar.tar.gz, which must not exist; - is standard output.
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// The file of a backup; - is standard input.
    file: PathBuf,
}

pub(super) fn back_up(config: Option<&Path>, args: &Backup) -> Outcome {
    let settings = load(config)?.settings;
    let folder = DataFolder::existing(&settings.data_dir).map_err(|e| e.chain())?;
    let contents = if args.file == Path::new(DASH) {
        let out = io::stdout();
        if out.is_terminal() {
            return Err("standard output is a terminal; name a file, or send the output into one".into());
        }
        backup::write(&folder, folder.path(), out.lock()).map_err(|e| e.chain())?
    } else {
        write_new(&args.file, |scratch, file| backup::write(&folder, scratch, file).map_err(|e| e.chain()))?
    };
    eprintln!("{}: {}", args.file.display(), told(contents));
    Ok(())
}

pub(super) fn restore(config: Option<&Path>, args: &Restore) -> Outcome {
    let settings = load(config)?.settings;
    let done = if args.file == Path::new(DASH) {
        backup::restore(&settings.data_dir, io::stdin().lock())
    } else {
        let file = regular::open(&args.file).map_err(|e| format!("{} cannot be read: {e}", args.file.display()))?;
        backup::restore(&settings.data_dir, file)
    };
    let contents = done.map_err(|e| e.chain())?;
    eprintln!("{}: {}", settings.data_dir.display(), told(contents));
    Ok(())
}

fn told(Contents { pictures, graphs, database }: Contents) -> String {
    format!("the database (version {database}), {pictures} pictures, points of {graphs} graphs")
}

/// Writes a file for its owner only, which has its name when it is complete. `write` gets the folder of the file, and the file.
pub(super) fn write_new<T>(
    path: &Path,
    write: impl FnOnce(&Path, &mut BufWriter<File>) -> Result<T, String>,
) -> Result<T, String> {
    let cannot = |e: io::Error| format!("{} cannot be written: {e}", path.display());
    if fs::symlink_metadata(path).is_ok() {
        return Err(format!("{} exists already, and is not overwritten", path.display()));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let suffix = getrandom::u64().map_err(|e| cannot(io::Error::other(e.to_string())))?;
    let temporary = folder.join(format!(".mtx-sidecar.{suffix:016x}.part"));
    let mut file = BufWriter::new(data_folder::new_file(&temporary).map_err(cannot)?);
    let done = write(folder, &mut file).and_then(|done| {
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(cannot)?;
        fs::rename(&temporary, path).map_err(cannot)?;
        Ok(done)
    });
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    done
}
