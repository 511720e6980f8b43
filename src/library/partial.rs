//! [`Upload`]: a file of a media folder while it arrives.
//!
//! It has a temporary name until it is complete, `.HEX.part`, which no listing shows. The program holds a lock on it
//! (flock), which the system releases with the process: a temporary file without a lock was left by a program that was
//! killed, and is removed at the next start.

use std::{
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use cap_std::fs::Dir;

use super::Location;
use crate::{
    blocking::Pool,
    error::{Code, Error, Result},
};

/// Most entries of a media folder and the folders below it that are searched for temporary files.
const MAX_SEARCHED: usize = 200_000;

/// How long the end of an upload can take: the system writes all that it holds of a large file to the disk.
const FINISH_TIMEOUT: Duration = Duration::from_secs(300);

/// Deepest folder that is searched for temporary files.
const MAX_DEPTH: usize = 16;

/// On a file system without locks, a temporary file is removed after this time without a change.
const UNCHANGED: Duration = Duration::from_secs(3600);

/// The error of an operation on a file, without the reason for which the system refused it.
pub(super) fn failed(location: &Location, e: io::Error) -> Error {
    let file = format!("{}/{}", location.root, location.path);
    match e.kind() {
        io::ErrorKind::NotFound => Error::new(Code::UnknownFile, format!("there is no {file}")),
        io::ErrorKind::PermissionDenied => {
            Error::new(Code::Forbidden, format!("the system does not let the sidecar open {file}"))
        }
        io::ErrorKind::AlreadyExists => Error::new(Code::FileExists, format!("{file} exists already")),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::new(Code::StorageFull, format!("the disk has no room for {file}")).caused_by(e)
        }
        io::ErrorKind::ReadOnlyFilesystem => Error::internal(format!("{file} cannot be written"), e),
        // FIFOs, devices, sockets and folders; the text says which.
        io::ErrorKind::InvalidInput => Error::new(Code::UnknownFile, format!("{file} cannot be read: {e}")),
        _ => Error::new(Code::UnknownFile, format!("{file} cannot be opened: {e}")),
    }
}

/// A file on the disk that is not complete. Dropped before [`Partial::finish`], it is removed. Its functions wait for the disk.
#[derive(Debug)]
pub(super) struct Partial {
    dir: Dir,
    temporary: PathBuf,
    at: PathBuf,
    location: Location,
    file: std::fs::File,
}

impl Partial {
    pub(super) fn create(dir: Dir, location: &Location) -> Result<Self> {
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
        let mut options = cap_std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        let file = dir.open_with(&temporary, &options).map_err(|e| failed(location, e))?.into_std();
        if let Err(TryLockError::Error(e)) = file.try_lock() {
            tracing::debug!("the file system has no locks: {e}");
        }
        Ok(Partial { dir, temporary, at, location: location.clone(), file })
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        io::Write::write_all(&mut self.file, data).map_err(|e| failed(&self.location, e))
    }

    fn finish(self) -> Result<()> {
        self.file.sync_all().map_err(|e| failed(&self.location, e))?;
        // Not a rename, which would replace an existing file.
        self.dir.hard_link(&self.temporary, &self.dir, &self.at).map_err(|e| failed(&self.location, e))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Err(e) = self.dir.remove_file(&self.temporary) {
            tracing::warn!(file = %self.temporary.display(), "the temporary file of an upload cannot be removed: {e}");
        }
    }
}

/// A file that is being uploaded. Dropped before [`Upload::finish`], it is removed.
#[derive(Debug)]
pub struct Upload {
    /// None after a failure.
    partial: Option<Partial>,
    pool: Pool,
}

impl Upload {
    pub(super) fn new(partial: Partial, pool: Pool) -> Self {
        Upload { partial: Some(partial), pool }
    }

    /// Appends data. After an error the file is removed.
    pub async fn write(&mut self, data: Bytes) -> Result<()> {
        let mut partial = self.partial.take().ok_or_else(gone)?;
        let written = self.pool.run(move || {
            partial.write(&data)?;
            Ok(partial)
        });
        self.partial = Some(written.await?);
        Ok(())
    }

    /// Gives the file its name. Fails if the name has been taken in the meantime.
    pub async fn finish(mut self) -> Result<()> {
        let partial = self.partial.take().ok_or_else(gone)?;
        self.pool.run_within(FINISH_TIMEOUT, move || partial.finish()).await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(partial) = self.partial.take() else { return };
        // The disk can hang, so the file is not removed on the thread of the request.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(partial))),
            Err(_) => drop(partial),
        }
    }
}

fn gone() -> Error {
    Error::new(Code::Internal, "the upload has failed before")
}

/// Whether a file name is that of a temporary file.
fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix('.').and_then(|name| name.strip_suffix(".part"));
    random.is_some_and(|hex| hex.len() == 16 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Removes temporary files that no program holds, in this folder and those below it. Returns their number. Folders that
/// cannot be read are passed over.
pub(super) fn remove_leftovers(root: &Dir) -> usize {
    let (mut removed, mut searched) = (0, 0);
    let mut folders = vec![(PathBuf::from("."), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = root.read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            searched += 1;
            if searched > MAX_SEARCHED {
                return removed;
            }
            let path = folder.join(entry.file_name());
            // Not through symbolic links: a link can make a loop.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => folders.push((path, depth + 1)),
                Ok(kind) if kind.is_file() && entry.file_name().to_str().is_some_and(is_temporary) => {
                    removed += usize::from(is_left(root, &path) && root.remove_file(&path).is_ok());
                }
                _ => {}
            }
        }
    }
    removed
}

fn is_left(root: &Dir, path: &Path) -> bool {
    let mut options = cap_std::fs::OpenOptions::new();
    let Ok(file) = root.open_with(path, options.read(true).write(true)) else { return false };
    let file = file.into_std();
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => {
            let changed = file.metadata().and_then(|metadata| metadata.modified()).ok();
            changed.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > UNCHANGED)
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
            (io::ErrorKind::StorageFull, Code::StorageFull),
            (io::ErrorKind::ReadOnlyFilesystem, Code::Internal),
        ] {
            let error = failed(&location, kind.into());
            assert_eq!(error.code(), code, "{kind:?}");
            assert!(error.to_string().contains("media/x.jpg"), "{error}");
        }
    }

    #[test]
    fn temporary_files_are_removed_unless_a_program_writes_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("a/b");
        std::fs::create_dir_all(&below).expect("makes");
        let (left, other) = (below.join(".0123456789abcdef.part"), below.join(".notes.part"));
        for file in [&left, &other] {
            std::fs::write(file, "x").expect("writes");
        }
        let root = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).expect("opens");
        let location = Location { root: "media".into(), path: "a/new.jpg".into() };
        let partial = Partial::create(root.try_clone().expect("clones"), &location).expect("starts");
        assert_eq!(remove_leftovers(&root), 1);
        assert!(!left.exists() && other.exists() && root.exists(&partial.temporary));
        partial.finish().expect("finishes");
        assert!(root.exists("a/new.jpg"));
    }
}
