//! A folder of this machine. It is opened by capability, and neither `..` nor a symbolic link leads out of it (`openat2` with
//! `RESOLVE_BENEATH`). Everything here blocks for the time of the disk.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use cap_std::{ambient_authority, fs::Dir};

use super::{Entry, FileKind, Listing, MAX_ENTRIES, Place};
use crate::{
    error::{Code, Error, Result},
    producer::file::natural,
};

/// A folder of `media.roots`.
#[derive(Clone, Debug)]
pub(super) struct Local {
    folder: PathBuf,
}

fn failed(place: &Place, e: io::Error) -> Error {
    let what = format!("{}/{}", place.root, place.path);
    match e.kind() {
        io::ErrorKind::NotFound => Error::new(Code::UnknownFile, format!("there is no {what}")),
        io::ErrorKind::PermissionDenied => {
            Error::new(Code::Forbidden, format!("{what} may not be opened by this program"))
        }
        io::ErrorKind::AlreadyExists => Error::new(Code::FileExists, format!("there is a {what} already")),
        _ => Error::new(Code::UnknownFile, format!("{what} cannot be opened: {e}")),
    }
}

impl Local {
    pub(super) fn new(folder: &Path) -> Self {
        Local { folder: folder.to_owned() }
    }

    /// Whether it can be opened.
    pub(super) fn check(&self) -> Result<()> {
        let opened = Dir::open_ambient_dir(&self.folder, ambient_authority());
        opened.map(drop).map_err(|e| Error::new(Code::UnknownFile, format!("it cannot be opened: {e}")))
    }

    pub(super) fn absolute(&self, place: &Place) -> Result<String> {
        let path = std::path::absolute(&self.folder).ok().map(|root| root.join(&place.path));
        path.as_deref()
            .and_then(Path::to_str)
            .map(str::to_owned)
            .ok_or_else(|| failed(place, io::ErrorKind::NotFound.into()))
    }

    fn open_root(&self, place: &Place) -> Result<Dir> {
        Dir::open_ambient_dir(&self.folder, ambient_authority()).map_err(|e| failed(place, e))
    }

    /// What a file or folder is.
    pub(super) fn kind(&self, place: &Place) -> Result<FileKind> {
        let dir = self.open_root(place)?;
        let path = if place.path.is_empty() { "." } else { &place.path };
        let metadata = dir.metadata(path).map_err(|e| failed(place, e))?;
        Ok(if metadata.is_dir() { FileKind::Folder } else { FileKind::of(&place.path) })
    }

    /// A part of a folder's content; blocks for the time of reading it.
    pub(super) fn list(&self, place: &Place, kinds: Option<FileKind>, start: usize, limit: usize) -> Result<Listing> {
        let dir = self.open_root(place)?;
        let path = if place.path.is_empty() { "." } else { &place.path };
        let mut entries = vec![];
        for entry in dir.read_dir(path).map_err(|e| failed(place, e))?.take(MAX_ENTRIES).flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            // Through links, as far as they stay inside.
            let at = Path::new(&place.path).join(&name);
            let Ok(metadata) = dir.metadata(&at) else { continue };
            let kind = if metadata.is_dir() { FileKind::Folder } else { FileKind::of(&name) };
            if kinds.is_some_and(|wanted| kind != wanted && kind != FileKind::Folder) {
                continue;
            }
            let modified = metadata.modified().ok().map(|at| at.into_std());
            let modified = modified.filter(|at| *at >= SystemTime::UNIX_EPOCH);
            entries.push(Entry {
                size: if metadata.is_dir() { 0 } else { metadata.len() },
                modified: modified.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
                kind,
                name,
            });
        }
        entries.sort_by(|a, b| {
            let order = |entry: &Entry| (entry.kind != FileKind::Folder, natural(&entry.name));
            order(a).cmp(&order(b))
        });
        let total = entries.len();
        let entries = entries.into_iter().skip(start).take(limit).collect();
        Ok(Listing { root: place.root.clone(), path: place.path.clone(), writable: true, total, entries })
    }

    /// A file, opened inside of its root, for reading or serving.
    pub(super) fn open(&self, place: &Place) -> Result<std::fs::File> {
        let dir = self.open_root(place)?;
        let file = dir.open(&place.path).map_err(|e| failed(place, e))?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(Error::new(Code::UnknownFile, format!("{}/{} is not a file", place.root, place.path)));
        }
        Ok(file.into_std())
    }

    /// The content of a file of at most so many bytes.
    pub(super) fn read(&self, place: &Place, most: u64) -> Result<Vec<u8>> {
        let mut data = vec![];
        let file = self.open(place)?;
        file.take(most + 1).read_to_end(&mut data).map_err(|e| failed(place, e))?;
        if data.len() as u64 > most {
            return Err(Error::new(
                Code::FrameTooLarge,
                format!("{}/{} is larger than limits.frame_size", place.root, place.path),
            ));
        }
        Ok(data)
    }

    /// A new file, under a name of its own until it is complete (see [`Upload::finish`]). One that is there is not replaced.
    pub(super) fn create(&self, place: &Place) -> Result<Upload> {
        let dir = self.open_root(place)?;
        let at = PathBuf::from(&place.path);
        let name = at.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.is_empty() || name.starts_with('.') {
            return Err(Error::parameter("path", "must end with the file's name, which does not begin with a dot"));
        }
        if dir.symlink_metadata(&at).is_ok() {
            return Err(failed(place, io::ErrorKind::AlreadyExists.into()));
        }
        let folder = at.parent().unwrap_or(Path::new("")).to_owned();
        let suffix = getrandom::u64().map_err(|e| Error::internal("the system gives no random numbers", e))?;
        let temporary = folder.join(format!(".{suffix:016x}.part"));
        let file = dir.create(&temporary).map_err(|e| failed(place, e))?.into_std();
        Ok(Upload { dir, temporary, at, place: place.clone(), file, is_done: false })
    }

    /// Deletes a file; a folder only when it is empty.
    pub(super) fn delete(&self, place: &Place) -> Result<()> {
        let dir = self.open_root(place)?;
        if place.path.is_empty() {
            return Err(Error::parameter("path", "is needed"));
        }
        let is_folder = dir.symlink_metadata(&place.path).map_err(|e| failed(place, e))?.is_dir();
        let done = if is_folder { dir.remove_dir(&place.path) } else { dir.remove_file(&place.path) };
        done.map_err(|e| match e.kind() {
            io::ErrorKind::DirectoryNotEmpty => Error::new(Code::FileExists, format!("{} is not empty", place.path)),
            _ => failed(place, e),
        })
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct Upload {
    dir: Dir,
    temporary: PathBuf,
    at: PathBuf,
    place: Place,
    file: std::fs::File,
    is_done: bool,
}

impl Upload {
    /// Writes more of it.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        io::Write::write_all(&mut self.file, data).map_err(|e| Error::internal("the file cannot be written", e))
    }

    /// Gives it its name, if that is still free.
    pub fn finish(mut self) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::internal("the file cannot be written", e))?;
        // A link, because that fails where there is something already, and a rename would replace it.
        self.dir.hard_link(&self.temporary, &self.dir, &self.at).map_err(|e| failed(&self.place, e))?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let _ = self.dir.remove_file(&self.temporary);
    }
}
