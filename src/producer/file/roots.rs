//! [`MediaRoots`]: the media folders of this machine, and disk work in them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use cap_std::{ambient_authority, fs::Dir};

use super::{
    MediaSettings,
    slides::{pattern_of, read, whole},
};
use crate::{
    blocking::Pool,
    error::{Cause, Code, Error, Result},
};

/// Pieces of work in one media folder at a time. A network mount that hangs keeps as many threads.
const AT_ONCE: usize = 16;

/// Opens files in the media folders only. Neither `..` nor a symbolic link leads out, because the kernel resolves
/// paths beneath the folder (`openat2` with `RESOLVE_BENEATH`). Cheap to clone.
#[derive(Clone, Debug)]
pub struct MediaRoots(Arc<Vec<Root>>);

#[derive(Debug)]
struct Root {
    folder: PathBuf,
    /// Of its own, so that a mount that hangs stops no other folder.
    pool: Pool,
}

impl MediaRoots {
    /// The roots of the settings.
    pub fn new(settings: &MediaSettings) -> Self {
        let root = |folder: &PathBuf| Root {
            folder: folder.clone(),
            pool: Pool::disk(format!("the media folder {}", folder.file_name().unwrap_or_default().display()), AT_ONCE),
        };
        MediaRoots(Arc::new(settings.roots.iter().map(root).collect()))
    }

    /// Whether an absolute path is in one of the roots, by its name.
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.0.iter().any(|root| strip_root(path, &root.folder).is_some())
    }

    /// Whether a file or folder of exactly this name exists.
    pub(super) fn has(&self, path: &Path) -> bool {
        let mut below = self.0.iter().filter_map(|root| Some((&root.folder, root.below(path)?)));
        below.any(|(folder, below)| enter(folder, &below, Meaning::Name).is_ok())
    }

    /// Reads a file of at most `max` bytes.
    pub(in crate::producer) async fn read(&self, path: &Path, max: u64) -> Result<Bytes> {
        if path.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(Error::new(Code::InvalidDefinition, "the path must not contain .."));
        }
        self.run(path, move |root, _, below| read(root, whole(below), max)).await
    }

    /// Finds the root that contains the path, and runs `work` there on a thread for disk work with the opened root, its
    /// path, and the path below it. A relative path is searched in each root; an absolute path must begin with the path
    /// of a root. The root that has a file or folder of exactly this name comes before one with the folder of a pattern.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl Fn(&Dir, &Path, &Path) -> io::Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let mut first_error = None;
        let meanings: &[Meaning] = match pattern_of(path) {
            Some(Ok(_)) => &[Meaning::Name, Meaning::Pattern],
            _ => &[Meaning::Name],
        };
        for meaning in meanings.iter().copied() {
            for root in self.0.iter() {
                let Some(below) = root.below(path) else { continue };
                let (folder, work) = (root.folder.clone(), work.clone());
                let done = move || Ok(enter(&folder, &below, meaning).map(|dir| work(&dir, &folder, &below)));
                match root.pool.run(done).await? {
                    Ok(done) => return done.map_err(unreadable),
                    Err(e) => first_error = first_error.or(Some(e)),
                }
            }
        }
        Err(unreadable(
            first_error
                .unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the path is in none of the media folders")),
        ))
    }
}

impl Root {
    /// The path below this root; none for an absolute path that leads elsewhere.
    fn below(&self, path: &Path) -> Option<PathBuf> {
        if path.is_absolute() { strip_root(path, &self.folder) } else { Some(path.to_owned()) }
    }
}

/// What a path is taken for.
#[derive(Clone, Copy)]
enum Meaning {
    /// A file or folder of this name.
    Name,
    /// Files in its folder whose names have this pattern.
    Pattern,
}

/// Opens the root if it has the path: for a pattern its folder, otherwise the path itself.
fn enter(root: &Path, below: &Path, meaning: Meaning) -> io::Result<Dir> {
    let dir = Dir::open_ambient_dir(root, ambient_authority())?;
    let there = match meaning {
        Meaning::Name => below,
        Meaning::Pattern => below.parent().unwrap_or(Path::new("")),
    };
    dir.metadata(whole(there))?;
    Ok(dir)
}

fn strip_root(path: &Path, root: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(root).ok()?;
    path.strip_prefix(&absolute).or_else(|_| path.strip_prefix(root)).map(Path::to_owned).ok()
}

fn unreadable(e: io::Error) -> Error {
    let why = match e.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder in the media folders".into(),
        io::ErrorKind::PermissionDenied => "permission denied, or a link leads out of the media folders".into(),
        _ => e.to_string(),
    };
    Error::new(Code::Unavailable, why).because((e.kind() == io::ErrorKind::NotFound).then_some(Cause::UnknownFile))
}
