//! Files on disk as something to look through, and to make channels of.
//!
//! Nothing outside of `media.roots` is ever opened: folders are opened by capability, and neither `..` nor a symbolic
//! link leads out of them (`openat2` with `RESOLVE_BENEATH`).

mod channel;
mod probe;

use std::{
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cap_std::{ambient_authority, fs::Dir};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::{
    channel::{Channel, NewChannel, Parts, channel},
    probe::{Facts, probe},
};
use crate::{
    error::{Code, Error, Result},
    producer::file::{MediaSettings, natural},
};

/// Most entries of a folder that are read: more than a person looks through.
const MAX_ENTRIES: usize = 50_000;

/// The folders. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Library(Arc<Vec<Root>>);

#[derive(Debug)]
struct Root {
    name: String,
    folder: PathBuf,
}

/// A folder of `media.roots`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RootInfo {
    /// Its name here: the last part of its path.
    pub name: String,
    /// Whether it can be opened.
    pub available: bool,
}

/// What a file is, as far as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A folder.
    Folder,
    /// Something that becomes a stream of ours.
    Picture,
    /// Something that becomes a channel by ffmpeg.
    Video,
    /// The same without pictures.
    Audio,
    /// Anything else.
    Other,
}

impl FileKind {
    fn of(name: &str) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
        match extension.as_str() {
            "jpg" | "jpeg" | "png" | "webp" | "gif" | "bmp" => FileKind::Picture,
            "mp4" | "m4v" | "mov" | "mkv" | "webm" | "avi" | "ts" | "mpg" | "mpeg" | "flv" | "wmv" => FileKind::Video,
            "mp3" | "m4a" | "aac" | "ogg" | "opus" | "flac" | "wav" => FileKind::Audio,
            _ => FileKind::Other,
        }
    }
}

/// A file or folder.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// When it was changed last (RFC 3339).
    pub modified: Option<String>,
}

/// A part of a folder's content.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Listing {
    /// The root's name.
    pub root: String,
    /// The folder below it; empty for the root itself.
    pub path: String,
    /// How many entries there are in all.
    pub total: usize,
    /// Folders first, then files, by name with digits by their value.
    pub entries: Vec<Entry>,
}

/// Where something is: a root, and a path below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The root's name; the first one if it is left out.
    #[serde(default)]
    pub root: String,
    /// The path below it.
    #[serde(default)]
    pub path: String,
}

impl Place {
    /// The place as a word of letters, digits, `-` and `_`: what stands in commands and addresses whatever the file's name.
    pub fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}\0{}", self.root, self.path))
    }

    /// Reads [`Place::id`].
    pub fn from_id(id: &str) -> Result<Self> {
        let text = URL_SAFE_NO_PAD.decode(id).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let place = text.as_deref().and_then(|text| text.split_once('\0'));
        let (root, path) = place.ok_or_else(|| Error::parameter("id", "is none of a file"))?;
        Ok(Place { root: root.into(), path: path.into() })
    }

    /// The name for which one needs `read`, as if it were a path of MediaMTX.
    pub fn permission(&self) -> String {
        format!("media/{}/{}", self.root, self.path)
    }
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

impl Library {
    /// The folders of the settings. Two of the same last name are told apart by a number.
    pub fn new(settings: &MediaSettings) -> Self {
        let mut roots: Vec<Root> = vec![];
        for folder in &settings.roots {
            let name = std::path::absolute(folder).ok();
            let name = name.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("media");
            let taken = |name: &str| roots.iter().any(|root| root.name == name);
            let names = std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name}-{n}")));
            let name = names.into_iter().find(|name| !taken(name)).unwrap_or_default();
            roots.push(Root { name, folder: folder.clone() });
        }
        Library(Arc::new(roots))
    }

    /// All roots.
    pub fn roots(&self) -> Vec<RootInfo> {
        let is_there = |root: &Root| Dir::open_ambient_dir(&root.folder, ambient_authority()).is_ok();
        self.0.iter().map(|root| RootInfo { name: root.name.clone(), available: is_there(root) }).collect()
    }

    /// The place with its root named, and its path checked.
    pub fn place(&self, place: &Place) -> Result<Place> {
        let root = match place.root.as_str() {
            "" => self.0.first(),
            name => self.0.iter().find(|root| root.name == name),
        };
        let root =
            root.ok_or_else(|| Error::new(Code::UnknownFile, format!("there is no media folder {:?}", place.root)))?;
        let path = Path::new(&place.path);
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || place.path.contains('\0') {
            return Err(Error::parameter("path", "must be below the media folder, without . and .."));
        }
        Ok(Place { root: root.name.clone(), path: place.path.trim_matches('/').to_owned() })
    }

    /// The path of a file on this machine; for definitions of streams, which have it checked again.
    pub fn absolute(&self, place: &Place) -> Result<String> {
        let root = self.0.iter().find(|root| root.name == place.root);
        let root = root.and_then(|root| std::path::absolute(&root.folder).ok());
        let path = root.map(|root| root.join(&place.path));
        path.as_deref()
            .and_then(Path::to_str)
            .map(str::to_owned)
            .ok_or_else(|| failed(place, io::ErrorKind::NotFound.into()))
    }

    /// What a file or folder is.
    pub fn kind(&self, place: &Place) -> Result<FileKind> {
        let (dir, _) = self.open_root(place)?;
        let path = if place.path.is_empty() { "." } else { &place.path };
        let metadata = dir.metadata(path).map_err(|e| failed(place, e))?;
        Ok(if metadata.is_dir() { FileKind::Folder } else { FileKind::of(&place.path) })
    }

    fn open_root(&self, place: &Place) -> Result<(Dir, &Path)> {
        let root = self.0.iter().find(|root| root.name == place.root);
        let root =
            root.ok_or_else(|| Error::new(Code::UnknownFile, format!("there is no media folder {:?}", place.root)))?;
        let dir = Dir::open_ambient_dir(&root.folder, ambient_authority()).map_err(|e| failed(place, e))?;
        Ok((dir, &root.folder))
    }

    /// A part of a folder's content; blocks for the time of reading it.
    pub fn list(&self, place: &Place, kinds: Option<FileKind>, start: usize, limit: usize) -> Result<Listing> {
        let (dir, _) = self.open_root(place)?;
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
        Ok(Listing { root: place.root.clone(), path: place.path.clone(), total, entries })
    }

    /// A file, opened inside of its root, for reading or serving.
    pub fn open(&self, place: &Place) -> Result<std::fs::File> {
        let (dir, _) = self.open_root(place)?;
        let file = dir.open(&place.path).map_err(|e| failed(place, e))?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(Error::new(Code::UnknownFile, format!("{}/{} is not a file", place.root, place.path)));
        }
        Ok(file.into_std())
    }

    /// The content of a file of at most so many bytes.
    pub fn read(&self, place: &Place, most: u64) -> Result<Vec<u8>> {
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
    pub fn create(&self, place: &Place) -> Result<Upload> {
        let (dir, _) = self.open_root(place)?;
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
    pub fn delete(&self, place: &Place) -> Result<()> {
        let (dir, _) = self.open_root(place)?;
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

#[cfg(test)]
mod tests;
