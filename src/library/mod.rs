//! Files of the media folders, on this machine and on NAS: lists, contents, uploads.
//!
//! No file outside of `media.roots` and of the folders in `media.nas` is opened.

mod formats;
mod local;
mod probe;

use std::{
    fs::File,
    path::{Component, Path},
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::local::Local;
pub use self::{
    formats::MEDIA_FORMATS,
    local::Upload,
    probe::{Facts, probe},
};
use crate::{
    error::{Code, Error, Result},
    fetch::Response,
    nas::{AllNas, Item, Nas},
    producer::file::MediaSettings,
};

/// Most entries of a folder that are read: more than a person browses.
const MAX_ENTRIES: usize = 50_000;

/// Most videos of a playlist.
const MAX_CLIPS: usize = 200;

/// Entries of a NAS that are read at a time when only some kinds are listed.
const STEP: usize = 1000;

/// The media folders. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Library(Arc<Vec<Root>>);

#[derive(Debug)]
struct Root {
    name: String,
    files: Files,
}

#[derive(Debug)]
enum Files {
    Local(Local),
    /// With the name in `media.nas`.
    Nas(String, Nas),
}

/// A media folder.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RootInfo {
    /// Its name: the last part of its path, or the name in `media.nas`.
    pub name: String,
    /// `local` or `nas`.
    pub kind: &'static str,
    /// Whether it can be opened.
    pub available: bool,
    /// Whether files can be uploaded to it and deleted from it.
    pub writable: bool,
    /// The reason for which it cannot be opened, or a warning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The kind of a file, by the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A folder.
    Folder,
    /// A picture, which can become a stream.
    Picture,
    /// A video, which ffmpeg can play as a channel.
    Video,
    /// A sound file, which ffmpeg can play as a channel.
    Audio,
    /// Any other file.
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
    /// Its kind.
    pub kind: FileKind,
    /// Its size in bytes; 0 for a folder.
    pub size: u64,
    /// The time of its last change (RFC 3339).
    pub modified: Option<String>,
}

/// A part of the entries of a folder.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Listing {
    /// The root's name.
    pub root: String,
    /// The path of the folder below the root; empty for the root itself.
    pub path: String,
    /// Whether files can be uploaded to it and deleted from it.
    pub writable: bool,
    /// The number of all entries.
    pub total: usize,
    /// Folders first, then files, by name, numbers in names by value (`2.jpg` before `10.jpg`).
    pub entries: Vec<Entry>,
}

/// The location of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The name of the media folder; empty for the first one.
    pub root: String,
    /// The path below it.
    pub path: String,
}

/// The place where a file is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredAt {
    /// On this machine, at this absolute path.
    File(String),
    /// On a NAS.
    Nas {
        /// The name in `media.nas`.
        nas: String,
        /// The path below the folder of the NAS.
        path: String,
    },
}

impl Location {
    /// The location as a word of letters, digits, `-` and `_`, which is safe in commands and URLs.
    pub fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}\0{}", self.root, self.path))
    }

    /// Reads [`Location::id`].
    pub fn from_id(id: &str) -> Result<Self> {
        let text = URL_SAFE_NO_PAD.decode(id).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let parts = text.as_deref().and_then(|text| text.split_once('\0'));
        let (root, path) = parts.ok_or_else(|| Error::parameter("id", "is not the id of a file"))?;
        Ok(Location { root: root.into(), path: path.into() })
    }

    /// The path name for which a caller needs the permission `read`.
    pub fn permission(&self) -> String {
        format!("media/{}/{}", self.root, self.path)
    }
}

/// The content of a file.
#[derive(Debug)]
pub enum Content {
    /// It is on this machine.
    File(File),
    /// It is on a NAS: the response of the NAS.
    Remote(Box<Response>),
}

fn unknown_root(name: &str) -> Error {
    Error::new(Code::UnknownFile, format!("there is no media folder {name:?}"))
}

/// Runs work that waits for the disk on a thread for such work.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    crate::blocking::files().run(work).await
}

impl Library {
    /// The folders of the settings. The second folder of a name gets a number behind its name.
    pub fn new(settings: &MediaSettings, nas: &AllNas) -> Self {
        let mut roots: Vec<Root> = vec![];
        let folders = settings.roots.iter().map(|folder| {
            let name = std::path::absolute(folder).ok();
            let name = name.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("media");
            (name.to_owned(), Files::Local(Local::new(folder)))
        });
        let nas = nas.iter().map(|(name, nas)| (name.clone(), Files::Nas(name.clone(), nas.clone())));
        for (name, files) in folders.chain(nas) {
            let taken = |name: &str| roots.iter().any(|root| root.name == name);
            let names = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}-{n}")));
            let name = names.into_iter().find(|name| !taken(name)).unwrap_or_default();
            roots.push(Root { name, files });
        }
        Library(Arc::new(roots))
    }

    /// All media folders. Connects to all NAS at the same time.
    pub async fn roots(&self) -> Vec<RootInfo> {
        let info = async |root: &Root| {
            let (kind, problem) = match &root.files {
                Files::Local(local) => {
                    let local = local.clone();
                    let opened = blocking(move || local.check()).await;
                    ("local", opened.err().map(|e| e.to_string()))
                }
                Files::Nas(_, nas) => ("nas", nas.list("", 0, 1).await.err().map(|e| e.to_string())),
            };
            let warning = || match &root.files {
                Files::Nas(_, nas) => nas.warning().map(str::to_owned),
                Files::Local(_) => None,
            };
            let available = problem.is_none();
            let problem = problem.or_else(warning);
            RootInfo { name: root.name.clone(), kind, available, writable: kind == "local", problem }
        };
        futures_util::future::join_all(self.0.iter().map(info)).await
    }

    fn root(&self, name: &str) -> Result<&Root> {
        self.0.iter().find(|root| root.name == name).ok_or_else(|| unknown_root(name))
    }

    fn local(&self, location: &Location) -> Result<Local> {
        match &self.root(&location.root)?.files {
            Files::Local(local) => Ok(local.clone()),
            Files::Nas(..) => {
                let message = format!("{} is on a NAS, whose files cannot be changed here", location.root);
                Err(Error::new(Code::Forbidden, message))
            }
        }
    }

    /// Checks the path of a location, and fills in the name of the first media folder if the location has none.
    pub fn locate(&self, location: &Location) -> Result<Location> {
        let root = match location.root.as_str() {
            "" => self.0.first().ok_or_else(|| unknown_root(""))?,
            name => self.root(name)?,
        };
        let path = Path::new(&location.path);
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || location.path.contains('\0') {
            return Err(Error::parameter("path", "must be below the media folder, without the segments . and .."));
        }
        Ok(Location { root: root.name.clone(), path: location.path.trim_matches('/').to_owned() })
    }

    /// The place where a file or folder is stored.
    pub fn stored_at(&self, location: &Location) -> Result<StoredAt> {
        Ok(match &self.root(&location.root)?.files {
            Files::Local(local) => StoredAt::File(local.absolute(location)?),
            Files::Nas(name, _) => StoredAt::Nas { nas: name.clone(), path: location.path.clone() },
        })
    }

    /// The videos of a folder, up to the limit of a playlist.
    pub async fn videos(&self, location: &Location) -> Result<Vec<Location>> {
        let listing = self.list(location, Some(FileKind::Video), 0, MAX_ENTRIES).await?;
        let videos = listing.entries.into_iter().filter(|entry| entry.kind == FileKind::Video).take(MAX_CLIPS);
        let below = |name: &str| match location.path.as_str() {
            "" => name.to_owned(),
            folder => format!("{folder}/{name}"),
        };
        Ok(videos.map(|entry| Location { root: location.root.clone(), path: below(&entry.name) }).collect())
    }

    /// The kind of a file or folder.
    pub async fn kind(&self, location: &Location) -> Result<FileKind> {
        match &self.root(&location.root)?.files {
            Files::Local(local) => {
                let (local, location) = (local.clone(), location.clone());
                blocking(move || local.kind(&location)).await
            }
            // By the name alone: a folder that is named like a file is refused when it is opened.
            Files::Nas(..) => Ok(match FileKind::of(&location.path) {
                FileKind::Other => FileKind::Folder,
                kind => kind,
            }),
        }
    }

    /// A part of the entries of a folder. Entries on this machine are sorted: folders first, then files, by name, numbers in names by value.
    /// Entries on a NAS have the order of the NAS.
    pub async fn list(
        &self,
        location: &Location,
        kinds: Option<FileKind>,
        start: usize,
        limit: usize,
    ) -> Result<Listing> {
        match &self.root(&location.root)?.files {
            Files::Local(local) => {
                let (local, location) = (local.clone(), location.clone());
                blocking(move || local.list(&location, kinds, start, limit)).await
            }
            Files::Nas(_, nas) => list_nas(nas, location, kinds, start, limit).await,
        }
    }

    /// The content of a file. `range` is the value of a `Range` header, which only a NAS uses. A NAS gives only pictures, videos and sound
    /// files.
    pub async fn open(&self, location: &Location, range: Option<&str>) -> Result<Content> {
        match &self.root(&location.root)?.files {
            Files::Local(local) => {
                let (local, location) = (local.clone(), location.clone());
                blocking(move || local.open(&location)).await.map(Content::File)
            }
            Files::Nas(_, nas) if FileKind::of(&location.path) != FileKind::Other => {
                Ok(Content::Remote(Box::new(nas.open(&location.path, range).await?)))
            }
            Files::Nas(..) => {
                let message = "only pictures, videos and sound files are read from a NAS";
                Err(Error::new(Code::UnknownFile, message))
            }
        }
    }

    /// The content of a file of at most `most` bytes.
    pub async fn read(&self, location: &Location, most: u64) -> Result<bytes::Bytes> {
        match &self.root(&location.root)?.files {
            Files::Local(local) => {
                let (local, location) = (local.clone(), location.clone());
                blocking(move || local.read(&location, most)).await.map(Into::into)
            }
            Files::Nas(_, nas) => nas.open(&location.path, None).await?.bytes(most as usize, READ_TIMEOUT).await,
        }
    }

    /// The thumbnail that a NAS has made of a picture, if any.
    pub async fn ready_thumbnail(&self, location: &Location) -> Option<bytes::Bytes> {
        match &self.root(&location.root).ok()?.files {
            Files::Nas(_, nas) => {
                // Without it the picture itself is read, whose error the caller gets.
                let data = nas.thumbnail(&location.path).await;
                let data = data.inspect_err(|e| tracing::debug!(path = location.path, "no thumbnail: {}", e.chain()));
                data.ok().filter(|data| data.starts_with(&[0xFF, 0xD8]))
            }
            Files::Local(_) => None,
        }
    }

    /// Starts a new file, which has a temporary name until it is complete (see [`Upload::finish`]). An existing file is not replaced.
    pub fn create(&self, location: &Location) -> Result<Upload> {
        self.local(location)?.create(location)
    }

    /// Deletes a file, or an empty folder.
    pub fn delete(&self, location: &Location) -> Result<()> {
        self.local(location)?.delete(location)
    }
}

/// Timeout for a whole file of a NAS.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

async fn list_nas(
    nas: &Nas,
    location: &Location,
    kinds: Option<FileKind>,
    start: usize,
    limit: usize,
) -> Result<Listing> {
    let entry = |item: Item| {
        let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(item.modified));
        let modified = modified.filter(|_| item.modified > 0 && item.modified < 1 << 36);
        Entry {
            kind: if item.is_folder { FileKind::Folder } else { FileKind::of(&item.name) },
            size: item.size,
            modified: modified.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
            name: item.name,
        }
    };
    let listing = |total, entries| Listing {
        root: location.root.clone(),
        path: location.path.clone(),
        writable: false,
        total,
        entries,
    };
    if kinds.is_none() {
        let page = nas.list(&location.path, start, limit.min(MAX_ENTRIES)).await?;
        return Ok(listing(page.total, page.items.into_iter().map(entry).collect()));
    }
    // In parts, so that only the listed entries are held.
    let (mut at, mut total, mut entries) = (0, 0, vec![]);
    loop {
        let page = nas.list(&location.path, at, STEP).await?;
        at += page.spans;
        let is_listed = |entry: &Entry| entry.kind == FileKind::Folder || Some(entry.kind) == kinds;
        for entry in page.items.into_iter().map(entry).filter(is_listed) {
            if (start..start.saturating_add(limit)).contains(&total) {
                entries.push(entry);
            }
            total += 1;
        }
        if page.spans == 0 || at >= page.total.min(MAX_ENTRIES) {
            return Ok(listing(total, entries));
        }
    }
}

#[cfg(test)]
mod tests;
