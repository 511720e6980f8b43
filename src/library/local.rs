//! A media folder on this machine. Neither `..` nor a symbolic link leads out of it: cap-std resolves paths with `openat2` and
//! `RESOLVE_BENEATH`. Only regular files are opened. All functions wait for the disk; [`Local::run`] calls them on a thread
//! for this folder.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use cap_std::{ambient_authority, fs::Dir};

use super::{
    Entry, FileKind, Listing, Location, MAX_ENTRIES,
    partial::{self, Partial, failed},
};
use crate::{
    blocking::Pool,
    error::{Code, Error, Result},
    producer::file::natural,
    regular,
    units::is_writable,
};

/// Pieces of work in one media folder at a time. A network mount answers about as many at once, and one that hangs keeps as
/// many threads.
const AT_ONCE: usize = 16;

/// Listings of one media folder at a time. Each holds the names of up to [`MAX_ENTRIES`] entries, some ten megabytes.
const LISTINGS_AT_ONCE: usize = 2;

/// A folder of `media.roots`. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Local {
    folder: PathBuf,
    /// Of its own, so that a mount that hangs stops no other folder.
    pool: Pool,
    listings: Pool,
}

impl Local {
    pub(super) fn new(folder: &Path) -> Self {
        let name = format!("the media folder {}", folder.file_name().unwrap_or_default().display());
        Local {
            folder: folder.to_owned(),
            pool: Pool::disk(name.clone(), AT_ONCE),
            listings: Pool::disk(name, LISTINGS_AT_ONCE),
        }
    }

    /// The threads for work in this folder.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Runs work in this folder on a thread for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Local) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let local = self.clone();
        self.pool.run(move || work(&local)).await
    }

    /// As [`Local::run`], for listings, of which fewer run at a time.
    pub(super) async fn run_listing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Local) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let local = self.clone();
        self.listings.run(move || work(&local)).await
    }

    /// Fails if the folder cannot be opened.
    pub(super) fn check(&self) -> Result<()> {
        let opened = Dir::open_ambient_dir(&self.folder, ambient_authority());
        opened.map(drop).map_err(|e| Error::new(Code::UnknownFile, format!("the folder cannot be opened: {e}")))
    }

    pub(super) fn absolute(&self, location: &Location) -> Result<String> {
        let path = std::path::absolute(&self.folder).ok().map(|root| root.join(&location.path));
        path.as_deref()
            .and_then(Path::to_str)
            .map(str::to_owned)
            .ok_or_else(|| failed(location, io::ErrorKind::NotFound.into()))
    }

    fn open_root(&self, location: &Location) -> Result<Dir> {
        Dir::open_ambient_dir(&self.folder, ambient_authority()).map_err(|e| failed(location, e))
    }

    /// The kind of a file or folder.
    pub(super) fn kind(&self, location: &Location) -> Result<FileKind> {
        let dir = self.open_root(location)?;
        let path = if location.path.is_empty() { "." } else { &location.path };
        let metadata = dir.metadata(path).map_err(|e| failed(location, e))?;
        Ok(if metadata.is_dir() { FileKind::Folder } else { FileKind::of(&location.path) })
    }

    /// A part of the entries of a folder, sorted.
    pub(super) fn list(
        &self,
        location: &Location,
        kinds: Option<FileKind>,
        start: usize,
        limit: usize,
    ) -> Result<Listing> {
        let dir = self.open_root(location)?;
        let path = if location.path.is_empty() { "." } else { &location.path };
        let mut found = vec![];
        for entry in dir.read_dir(path).map_err(|e| failed(location, e))?.take(MAX_ENTRIES) {
            let entry = entry.map_err(|e| failed(location, e))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let is_folder = match entry.file_type() {
                Ok(kind) if kind.is_dir() => true,
                Ok(kind) if kind.is_file() => false,
                // Of the target of a symbolic link. A link that leads out of the folder, or to nothing, is left out, and so
                // are FIFOs, devices and sockets.
                _ => match dir.metadata(Path::new(&location.path).join(&name)) {
                    Ok(metadata) if metadata.is_dir() => true,
                    Ok(metadata) if metadata.is_file() => false,
                    _ => continue,
                },
            };
            let kind = if is_folder { FileKind::Folder } else { FileKind::of(&name) };
            if kinds.is_some_and(|listed| kind != listed && kind != FileKind::Folder) {
                continue;
            }
            found.push((!is_folder, natural(&name), name, kind));
        }
        found.sort_unstable();
        let total = found.len();
        let entry = |(_, _, name, kind): (_, _, String, FileKind)| {
            // Size and time only of the part that is listed. A file can be removed in the meantime.
            let metadata = dir.metadata(Path::new(&location.path).join(&name)).ok();
            let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok()).map(|at| at.into_std());
            let modified = modified.filter(|at| is_writable(*at));
            Entry {
                size: metadata.filter(|_| kind != FileKind::Folder).map_or(0, |metadata| metadata.len()),
                modified: modified.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
                kind,
                name,
            }
        };
        let entries = found.into_iter().skip(start).take(limit).map(entry).collect();
        Ok(Listing { root: location.root.clone(), path: location.path.clone(), writable: true, total, entries })
    }

    /// Opens a file.
    pub(super) fn open(&self, location: &Location) -> Result<std::fs::File> {
        let dir = self.open_root(location)?;
        regular::open_below(&dir, &location.path).map_err(|e| failed(location, e))
    }

    /// The content of a file of at most `most` bytes.
    pub(super) fn read(&self, location: &Location, most: u64) -> Result<Vec<u8>> {
        let mut data = vec![];
        let file = self.open(location)?;
        file.take(most.saturating_add(1)).read_to_end(&mut data).map_err(|e| failed(location, e))?;
        if data.len() as u64 > most {
            return Err(Error::new(
                Code::FrameTooLarge,
                format!("{}/{} is larger than limits.frame_size", location.root, location.path),
            ));
        }
        Ok(data)
    }

    /// Starts a new file, which has a temporary name until it is complete (see [`Partial`]). An existing file is not replaced.
    pub(super) fn create(&self, location: &Location) -> Result<Partial> {
        Partial::create(self.open_root(location)?, location)
    }

    /// Removes the temporary files of uploads that no program writes any longer. Returns their number.
    pub(super) fn remove_leftovers(&self) -> Result<usize> {
        let dir = Dir::open_ambient_dir(&self.folder, ambient_authority());
        let dir = dir.map_err(|e| Error::new(Code::UnknownFile, format!("the folder cannot be opened: {e}")))?;
        Ok(partial::remove_leftovers(&dir))
    }

    /// Deletes a file, or an empty folder.
    pub(super) fn delete(&self, location: &Location) -> Result<()> {
        let dir = self.open_root(location)?;
        if location.path.is_empty() {
            return Err(Error::parameter("path", "is required"));
        }
        let is_folder = dir.symlink_metadata(&location.path).map_err(|e| failed(location, e))?.is_dir();
        let done = if is_folder { dir.remove_dir(&location.path) } else { dir.remove_file(&location.path) };
        done.map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty => Error::new(Code::FileExists, format!("{} is not empty", location.path)),
            _ => failed(location, e),
        })
    }
}
