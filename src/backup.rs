//! Backups of the data folder: one archive (tar with gzip) of the database, the uploaded pictures and the points of graphs,
//! made while a server runs, and read into a folder that has none of them.
//!
//! The archive holds password hashes and signing keys, as the data folder does. `sidecar.yml` is not a part of it.

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    rc::Rc,
    time::SystemTime,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

use crate::{
    data_folder::{self, DataFolder},
    error::{Code, Error, Result},
    regular, store,
};

/// The first file of an archive.
const MANIFEST: &str = "mtx-sidecar-backup.json";

/// The form of the archive that this program writes, and the latest that it reads.
const FORMAT: u32 = 1;

/// Most bytes of the manifest, which has four short members.
const MAX_MANIFEST: u64 = 64 << 10;

/// Most bytes of a database that is restored. Ours have a few megabytes.
const MAX_DATABASE: u64 = 16 << 30;

/// Most bytes of another file: the largest file of points that is read (`numbers`); pictures are smaller.
const MAX_FILE: u64 = 1 << 30;

/// Most files of an archive: two for each of a hundred thousand streams.
const MAX_FILES: usize = 200_000;

/// Bytes that may lie between two files: headers, and names that are longer than a header.
const MAX_BETWEEN: u64 = 64 << 10;

/// What an archive has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Uploaded pictures.
    pub pictures: usize,
    /// Files with points of graphs.
    pub graphs: usize,
    /// The version of the database.
    pub database: usize,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The program that made it.
    version: String,
    /// The version of the database.
    database: usize,
    /// RFC 3339.
    made: String,
}

/// A file that is removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes the archive. `scratch` is a folder with room for a copy of the database.
pub fn write(folder: &DataFolder, scratch: &Path, to: impl Write) -> Result<Contents> {
    let suffix = getrandom::u64().map_err(|e| Error::internal("the system gives no random numbers", e))?;
    // The name of a copy that a killed process has left: the next start of a server removes it from its data folder.
    let copy = Scratch(scratch.join(format!("sidecar.{suffix:016x}.new")));
    let mut contents = Contents { database: store::copy(&folder.database(), &copy.0)?, ..Contents::default() };
    let mut tar = tar::Builder::new(GzEncoder::new(to, Compression::fast()));
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        database: contents.database,
        made: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
    };
    let manifest = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::internal("no JSON", e))?;
    let unwritten = |e| Error::unwritten("the backup cannot be written", e);
    add(&mut tar, MANIFEST, manifest.len() as u64, SystemTime::now(), &*manifest).map_err(unwritten)?;
    add_file(&mut tar, "sidecar.db", &copy.0).map_err(unwritten)?;
    for (name, path) in kept_files(&folder.frames()) {
        contents.pictures += usize::from(add_file(&mut tar, &format!("frames/{name}"), &path).map_err(unwritten)?);
    }
    for (name, path) in kept_files(&folder.points()) {
        contents.graphs += usize::from(add_file(&mut tar, &format!("points/{name}"), &path).map_err(unwritten)?);
    }
    let mut to = tar.into_inner().and_then(GzEncoder::finish).map_err(unwritten)?;
    to.flush().map_err(unwritten)?;
    Ok(contents)
}

/// The files that have their final name. Others are being written, or were left by a killed process.
fn kept_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    let mut files: Vec<_> = named.filter(|(name, _)| is_kept(name)).collect();
    files.sort();
    files
}

fn is_kept(name: &str) -> bool {
    name.len() <= 255
        && !name.starts_with([',', '.'])
        && !name.contains(['/', '\0'])
        && [".jpg", ".points"].iter().any(|ending| name.ends_with(ending))
}

/// Adds a file as it is at its opening: pictures are replaced by renaming, and points are appended. Returns false if the file has
/// gone.
fn add_file<W: Write>(tar: &mut tar::Builder<W>, name: &str, path: &Path) -> io::Result<bool> {
    let file = match regular::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    let metadata = file.metadata()?;
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    add(tar, name, metadata.len(), modified, file.take(metadata.len()))?;
    Ok(true)
}

fn add<W: Write>(
    tar: &mut tar::Builder<W>,
    name: &str,
    size: u64,
    modified: SystemTime,
    data: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs());
    tar.append_data(&mut header, name, data)
}

/// Makes the data folder from an archive. A folder that has a database, pictures or points is left as it is. Nothing is in its
/// place before the whole archive was read and checked.
pub fn restore(data_dir: &Path, from: impl Read) -> Result<Contents> {
    let folder = DataFolder::open(data_dir)?;
    let _lock = folder.lock()?;
    let is_used = |path: &PathBuf| match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    };
    if let Some(used) = [folder.database(), folder.frames(), folder.points()].iter().find(|path| is_used(path)) {
        let message = format!("{} exists, and restoring overwrites nothing: move it away first", used.display());
        return Err(Error::new(Code::Internal, message));
    }
    let new = folder.path().join("restore.new");
    let unwritten = |e| Error::unwritten(format!("{} cannot be written", new.display()), e);
    // The lock is held, so it is of a process that was killed.
    if new.exists() {
        fs::remove_dir_all(&new).map_err(unwritten)?;
    }
    let done = (|| -> Result<Contents> {
        for folder in [new.clone(), new.join("frames"), new.join("points")] {
            data_folder::make(&folder).map_err(unwritten)?;
        }
        let mut contents = unpack(&new, from)?;
        contents.database = store::check(&new.join("sidecar.db"))?;
        // The database is last: without it the folder counts as new.
        for (from, to) in [("frames", folder.frames()), ("points", folder.points()), ("sidecar.db", folder.database())]
        {
            fs::rename(new.join(from), to).map_err(unwritten)?;
        }
        File::open(folder.path()).and_then(|folder| folder.sync_all()).map_err(unwritten)?;
        Ok(contents)
    })();
    let _ = fs::remove_dir_all(&new);
    done
}

/// Gives at most as many bytes as are left, so that no part of a damaged or hostile archive fills memory or disk.
struct Bounded<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("a part of it is larger than in any backup"));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(to.len());
        let read = self.inner.read(to.get_mut(..most).unwrap_or_default())?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}

fn unpack(to: &Path, from: impl Read) -> Result<Contents> {
    let damaged = |e: io::Error| Error::internal("the backup cannot be read: it is damaged, or no backup", e);
    let wrong = |what: String| Error::new(Code::Internal, format!("this is no backup of mtx-sidecar: {what}"));
    let left = Rc::new(Cell::new(MAX_BETWEEN));
    let mut archive = tar::Archive::new(Bounded { inner: GzDecoder::new(from), left: left.clone() });
    let (mut contents, mut has_database, mut files) = (Contents::default(), false, 0);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
        files += 1;
        if files > MAX_FILES {
            return Err(wrong(format!("it has more than {MAX_FILES} files")));
        }
        let is_first = files == 1;
        let most = match (name.as_str(), name.split_once('/')) {
            (MANIFEST, _) if is_first => MAX_MANIFEST,
            ("sidecar.db", _) if !is_first => MAX_DATABASE,
            (_, Some(("frames" | "points", file))) if !is_first && is_kept(file) => MAX_FILE,
            _ if is_first => return Err(wrong(format!("it does not begin with {MANIFEST}"))),
            _ => return Err(wrong(format!("it has {name:?}"))),
        };
        let size = entry.size();
        if entry.header().entry_type() != tar::EntryType::Regular || size > most {
            return Err(wrong(format!("{name:?} is no file, or too large")));
        }
        left.set(size);
        if is_first {
            let mut text = vec![];
            entry.read_to_end(&mut text).map_err(damaged)?;
            let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| wrong(format!("{MANIFEST}: {e}")))?;
            if manifest.format > FORMAT {
                let made_by = manifest.version;
                return Err(wrong(format!(
                    "it was made by version {made_by:?}, whose backups this version cannot read"
                )));
            }
        } else {
            let path = to.join(&name);
            let unwritten = |e| Error::unwritten(format!("{} cannot be written", path.display()), e);
            let mut file = data_folder::new_file(&path).map_err(unwritten)?;
            copy(&mut entry, &mut file, damaged, unwritten)?;
            if let Ok(at) = entry.header().mtime() {
                // The age of a picture; a file system that does not keep it does no harm.
                let _ =
                    file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at.min(u32::MAX.into())));
            }
            file.sync_all().map_err(unwritten)?;
        }
        match name.split_once('/') {
            Some(("frames", _)) => contents.pictures += 1,
            Some(("points", _)) => contents.graphs += 1,
            _ => has_database |= !is_first,
        }
        left.set(MAX_BETWEEN);
    }
    // The checksum of gzip is behind the last file.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    if !has_database {
        return Err(wrong("it has no database".into()));
    }
    Ok(contents)
}

/// As `io::copy`, but tells a source that cannot be read from a file that cannot be written.
fn copy(
    from: &mut impl Read,
    to: &mut File,
    damaged: impl Fn(io::Error) -> Error,
    unwritten: impl Fn(io::Error) -> Error,
) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).map_err(&damaged)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        to.write_all(bytes).map_err(&unwritten)?;
    }
}

#[cfg(test)]
mod tests;
