//! The data folder: made for its owner only, and used by one server at a time.
//!
//! The database has password hashes and signing keys, and the pictures show what the cameras see. So the folder has mode
//! 0700 and its files have mode 0600, and wider modes are corrected at each start.

use std::{
    fs::{DirBuilder, File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    error::{Code, Error, Result},
    regular,
};

/// Mode of folders and of files: for their owner only.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Most bytes of the lock file that are read: a number and a host name.
const MAX_HOLDER: u64 = 300;

/// A file of an unfinished start is removed after this time without a change. Making a database takes less than a second.
const LEFT_AFTER: Duration = Duration::from_secs(60);

/// The folder of `data_dir`.
#[derive(Clone, Debug)]
pub struct DataFolder {
    path: PathBuf,
    is_new: bool,
}

/// Keeps other servers out of the data folder while it exists. The system releases it with the process, also after `kill -9`.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "holds the locks")] Vec<File>);

impl DataFolder {
    /// Makes the folder if there is none, and corrects the modes of the folder and of its files. A disk without room is no
    /// error here: the server starts with what it can read.
    pub fn open(path: &Path) -> Result<Self> {
        let is_new = !path.exists();
        match make(path) {
            Ok(()) => {}
            Err(e) if is_full(&e) => tracing::error!("the data folder {} cannot be made: {e}", path.display()),
            Err(e) => {
                let message = format!("the data folder {} cannot be made (data_dir)", path.display());
                return Err(Error::internal(message, e));
            }
        }
        let folder = DataFolder { path: path.to_owned(), is_new };
        folder.tighten();
        Ok(folder)
    }

    /// A folder that must be there. Changes nothing in it.
    pub fn existing(path: &Path) -> Result<Self> {
        match path.is_dir() {
            true => Ok(DataFolder { path: path.to_owned(), is_new: false }),
            false => Err(Error::new(Code::Internal, format!("there is no data folder {} (data_dir)", path.display()))),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the folder did not exist before.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The file of the database.
    pub fn database(&self) -> PathBuf {
        DataFolder::database_in(&self.path)
    }

    /// The file of the database of a folder, which need not be there.
    pub fn database_in(folder: &Path) -> PathBuf {
        folder.join("sidecar.db")
    }

    /// The file with which `mtx-sidecar drain` asks the running program to hand its streams over. The program removes it when that is done.
    pub fn drain_in(folder: &Path) -> PathBuf {
        folder.join("sidecar.drain")
    }

    /// The folder of the uploaded pictures.
    pub fn frames(&self) -> PathBuf {
        self.path.join("frames")
    }

    /// The folder of the points of graphs.
    pub fn points(&self) -> PathBuf {
        self.path.join("points")
    }

    /// Refuses a folder that another server uses, and names that server.
    ///
    /// Both the folder and a file in it carry the lock. The file names the server and can be locked on NFS; the folder needs
    /// no room on the disk, and its lock is not lost if the file is deleted.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.path.join("sidecar.lock");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let (mut locks, mut fault) = (vec![], None);
        for opened in [File::open(&self.path), options.open(&path)] {
            match opened.map_err(TryLockError::Error).and_then(|file| file.try_lock().map(|()| file)) {
                Ok(file) => locks.push(file),
                Err(TryLockError::WouldBlock) => return Err(self.in_use(&path)),
                Err(TryLockError::Error(e)) => fault = Some(e),
            }
        }
        match (locks.last(), fault) {
            (Some(file), None) => {
                if let Err(e) = note_holder(file) {
                    tracing::debug!("{} does not name this process: {e}", path.display());
                }
            }
            (Some(_), Some(e)) => tracing::debug!("one of the two locks of the data folder is missing: {e}"),
            (None, e) => tracing::warn!(
                "the data folder {} cannot be locked ({}): make sure that no second mtx-sidecar uses it",
                self.path.display(),
                e.map_or("no reason".into(), |e| e.to_string()),
            ),
        }
        self.remove_leftovers();
        Ok(Lock(locks))
    }

    fn in_use(&self, lock_file: &Path) -> Error {
        let (folder, holder) = (self.path.display(), holder(lock_file));
        let message = format!(
            "the data folder {folder} is in use by {holder}; stop that program, or give this one a folder of its own (data_dir)"
        );
        Error::new(Code::Unavailable, message)
    }

    /// Removes databases that a killed program had not completed (`sidecar.HEX.new`). `mtx-sidecar user` can make one at this
    /// moment.
    fn remove_leftovers(&self) {
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_ours = name.to_str().is_some_and(|name| name.starts_with("sidecar.") && name.contains(".new"));
            let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            let is_old = changed.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > LEFT_AFTER);
            if is_ours && is_old && std::fs::remove_file(entry.path()).is_ok() {
                tracing::info!("{} was left by an unfinished start and is removed", entry.path().display());
            }
        }
    }

    fn tighten(&self) {
        if tighten(&self.path, FOLDER_MODE) {
            tracing::info!("the data folder {} was open to other users; it has mode 0700 now", self.path.display());
        }
        let (frames, points) = (self.frames(), self.points());
        tighten(&frames, FOLDER_MODE);
        tighten(&points, FOLDER_MODE);
        let files =
            [(&self.path, "sidecar."), (&frames, ""), (&points, "")].into_iter().flat_map(|(folder, prefix)| {
                let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
                entries.filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix))
            });
        let is_file = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
        let changed = files.filter(is_file).filter(|entry| tighten(&entry.path(), FILE_MODE)).count();
        if changed > 0 {
            tracing::info!(
                "{changed} files in {} were open to other users; they have mode 0600 now",
                self.path.display()
            );
        }
    }
}

/// Makes a folder for its owner only, with the folders above it.
pub fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Makes a file for its owner only, which must not exist.
pub fn new_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Whether a disk or a quota has no room.
pub fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Takes the permissions that `mode` does not have. Returns whether there were any. A file of another user is left as it
/// is, and so is a symbolic link.
fn tighten(path: &Path, mode: u32) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return false };
    let present = metadata.permissions().mode() & 0o7777;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if metadata.file_type().is_symlink() || !is_own || present & 0o077 == 0 {
        return false;
    }
    let changed = std::fs::set_permissions(path, std::fs::Permissions::from_mode(present & mode));
    if let Err(e) = &changed {
        tracing::warn!("{} cannot be made private: {e}", path.display());
    }
    changed.is_ok()
}

/// Writes who holds the lock. Each container has a process 1, so the host name stands beside it.
fn note_holder(mut file: &File) -> io::Result<()> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    file.set_len(0)?;
    write!(file, "{} {}", std::process::id(), host.trim())
}

fn holder(lock_file: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = regular::open(lock_file) {
        let _ = file.take(MAX_HOLDER).read_to_string(&mut text);
    }
    let (pid, host) = text.split_once(' ').unwrap_or((&text, ""));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match pid.parse::<u32>() {
        Ok(pid) if !host.is_empty() && host.chars().all(is_plain) => format!("pid {pid} on {host}"),
        Ok(pid) => format!("pid {pid}"),
        Err(_) => "another mtx-sidecar".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("exists").permissions().mode() & 0o777
    }

    #[test]
    fn a_second_server_is_refused_by_name_until_the_first_one_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataFolder::open(&folder.path().join("data")).expect("makes");
        assert!(data.is_new());
        let first = data.lock().expect("free");
        let error = data.lock().expect_err("in use").to_string();
        assert!(error.contains(&format!("is in use by pid {}", std::process::id())), "{error}");
        assert!(error.contains(&*folder.path().to_string_lossy()) && error.contains("data_dir"), "{error}");
        std::fs::remove_file(folder.path().join("data/sidecar.lock")).expect("removes");
        let error = data.lock().expect_err("in use, although the file was deleted").to_string();
        assert!(error.contains("in use by another mtx-sidecar"), "{error}");
        drop(first);
        data.lock().expect("free again");
    }

    #[test]
    fn a_lock_file_with_other_content_is_not_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataFolder::open(folder.path()).expect("opens");
        let _first = data.lock().expect("free");
        for (text, says) in
            [("7 box", "in use by pid 7 on box"), ("7 \x1b[31m", "by pid 7;"), ("x", "by another mtx-sidecar;")]
        {
            std::fs::write(folder.path().join("sidecar.lock"), text).expect("writes");
            let error = data.lock().expect_err("in use").to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn new_folders_and_files_are_private_and_wider_ones_are_corrected() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        let data = DataFolder::open(&path).expect("makes");
        assert_eq!(mode(&path), 0o700);
        make(&data.frames()).expect("makes");
        assert_eq!(mode(&data.frames()), 0o700);
        drop(new_file(&data.database()).expect("makes"));
        assert_eq!(mode(&data.database()), 0o600);

        let picture = data.frames().join("door.jpg");
        std::fs::write(&picture, "x").expect("writes");
        let other = path.join("notes.txt");
        std::fs::write(&other, "x").expect("writes");
        for (path, wide) in
            [(&path, 0o755), (&data.frames(), 0o750), (&data.database(), 0o644), (&picture, 0o664), (&other, 0o644)]
        {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(wide)).expect("sets");
        }
        DataFolder::open(&path).expect("opens");
        assert_eq!(
            [&path, &data.frames(), &data.database(), &picture, &other].map(|path| mode(path)),
            [0o700, 0o700, 0o600, 0o600, 0o644],
            "a file that is not of this program is left as it is"
        );
    }
}
