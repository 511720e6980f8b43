//! A media folder on this machine. Neither `..` nor a symbolic link leads out of it: cap-std resolves paths with `openat2` and
//! `RESOLVE_BENEATH`. All functions wait for the disk.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use cap_std::{ambient_authority, fs::Dir};

use super::{Entry, FileKind, Listing, Location, MAX_ENTRIES};
use crate::{
    error::{Code, Error, Result},
    producer::file::natural,
    units::is_writable,
};

/// A folder of `media.roots`.
#[derive(Clone, Debug)]
pub(super) struct Local {
    folder: PathBuf,
}

fn failed(location: &Location, e: io::Error) -> Error {
    let file = format!("{}/{}", location.root, location.path);
    match e.kind() {
        io::ErrorKind::NotFound => Error::new(Code::UnknownFile, format!("there is no {file}")),
        io::ErrorKind::PermissionDenied => {
            Error::new(Code::Forbidden, format!("the system does not let the sidecar open {file}"))
        }
        io::ErrorKind::AlreadyExists => Error::new(Code::FileExists, format!("{file} exists already")),
        // The file can be made as soon as the disk takes it.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem => {
            Error::internal(format!("{file} cannot be written"), e)
        }
        _ => Error::new(Code::UnknownFile, format!("{file} cannot be opened: {e}")),
    }
}

impl Local {
    pub(super) fn new(folder: &Path) -> Self {
        Local { folder: folder.to_owned() }
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
        let mut entries = vec![];
        for entry in dir.read_dir(path).map_err(|e| failed(location, e))?.take(MAX_ENTRIES) {
            let entry = entry.map_err(|e| failed(location, e))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            // Of the target of a symbolic link. A link that leads out of the folder, or to nothing, is left out.
            let at = Path::new(&location.path).join(&name);
            let Ok(metadata) = dir.metadata(&at) else { continue };
            let kind = if metadata.is_dir() { FileKind::Folder } else { FileKind::of(&name) };
            if kinds.is_some_and(|listed| kind != listed && kind != FileKind::Folder) {
                continue;
            }
            let modified = metadata.modified().ok().map(|at| at.into_std());
            let modified = modified.filter(|at| is_writable(*at));
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
        Ok(Listing { root: location.root.clone(), path: location.path.clone(), writable: true, total, entries })
    }

    /// Opens a file.
    pub(super) fn open(&self, location: &Location) -> Result<std::fs::File> {
        let dir = self.open_root(location)?;
        let file = dir.open(&location.path).map_err(|e| failed(location, e))?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(Error::new(Code::UnknownFile, format!("{}/{} is not a file", location.root, location.path)));
        }
        Ok(file.into_std())
    }

    /// The content of a file of at most `most` bytes.
    pub(super) fn read(&self, location: &Location, most: u64) -> Result<Vec<u8>> {
        let mut data = vec![];
        let file = self.open(location)?;
        file.take(most + 1).read_to_end(&mut data).map_err(|e| failed(location, e))?;
        if data.len() as u64 > most {
            return Err(Error::new(
                Code::FrameTooLarge,
                format!("{}/{} is larger than limits.frame_size", location.root, location.path),
            ));
        }
        Ok(data)
    }

    /// Starts a new file, which has a temporary name until it is complete (see [`Upload::finish`]). An existing file is not replaced.
    pub(super) fn create(&self, location: &Location) -> Result<Upload> {
        let dir = self.open_root(location)?;
        let at = PathBuf::from(&location.path);
        let name = at.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.is_empty() || name.starts_with('.') {
            return Err(Error::parameter("path", "must end with a file name that does not begin with a dot"));
        }
        if dir.symlink_metadata(&at).is_ok() {
            return Err(failed(location, io::ErrorKind::AlreadyExists.into()));
        }
        let folder = at.parent().unwrap_or(Path::new("")).to_owned();
        let suffix = getrandom::u64().map_err(|e| Error::internal("the system gives no random numbers", e))?;
        let temporary = folder.join(format!(".{suffix:016x}.part"));
        let file = dir.create(&temporary).map_err(|e| failed(location, e))?.into_std();
        Ok(Upload { dir, temporary, at, location: location.clone(), file, is_done: false })
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

/// A file that is being uploaded. Dropped before [`Upload::finish`], it is removed.
#[derive(Debug)]
pub struct Upload {
    dir: Dir,
    temporary: PathBuf,
    at: PathBuf,
    location: Location,
    file: std::fs::File,
    is_done: bool,
}

impl Upload {
    /// Appends data.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        io::Write::write_all(&mut self.file, data).map_err(|e| Error::internal("the file cannot be written", e))
    }

    /// Gives the file its name. Fails if the name has been taken in the meantime.
    pub fn finish(mut self) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::internal("the file cannot be written", e))?;
        // Not a rename, which would replace an existing file.
        self.dir.hard_link(&self.temporary, &self.dir, &self.at).map_err(|e| failed(&self.location, e))?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Err(e) = self.dir.remove_file(&self.temporary) {
            tracing::warn!(file = %self.temporary.display(), "the temporary file of an upload cannot be removed: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_a_missing_file_from_a_full_disk() {
        let location = Location { root: "media".into(), path: "x.jpg".into() };
        for (kind, code) in [
            (io::ErrorKind::NotFound, Code::UnknownFile),
            (io::ErrorKind::NotADirectory, Code::UnknownFile),
            (io::ErrorKind::PermissionDenied, Code::Forbidden),
            (io::ErrorKind::AlreadyExists, Code::FileExists),
            (io::ErrorKind::StorageFull, Code::Internal),
            (io::ErrorKind::ReadOnlyFilesystem, Code::Internal),
        ] {
            let error = failed(&location, kind.into());
            assert_eq!(error.code(), code, "{kind:?}");
            assert!(error.to_string().contains("media/x.jpg"), "{error}");
        }
    }
}
