//! Files of the media folders, on this machine and on NAS: lists, contents, uploads.
//!
//! No file outside of `media.roots` and of the folders in `media.nas` is opened.

mod formats;
mod local;
mod on_nas;
mod partial;
mod probe;

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Component, Path},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::{
    formats::MEDIA_FORMATS,
    partial::Upload,
    probe::{Facts, probe},
};
use self::{
    local::Local,
    on_nas::{READ_TIMEOUT, list_nas},
};
use crate::{
    blocking::Pool,
    error::{Code, Error, Result},
    fetch::Response,
    nas::{AllNas, Nas},
    producer::file::MediaSettings,
};

/// Most entries of a folder that are read: more than a person browses.
const MAX_ENTRIES: usize = 50_000;

/// Most videos of a playlist.
const MAX_CLIPS: usize = 200;

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
    File(LocalFile),
    /// It is on a NAS: the response of the NAS.
    Remote(Box<Response>),
}

/// An open file on this machine, and the threads on which it is read: its disk can hang. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalFile {
    file: Arc<File>,
    pool: Pool,
}

impl LocalFile {
    /// Runs work on the file on a thread for its media folder.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let file = self.file.clone();
        let unreadable = |e| Error::internal("the file cannot be read", e);
        self.pool.run(move || work(&file).map_err(unreadable)).await
    }

    /// Up to `most` bytes at this offset; none at the end of the file.
    pub async fn read_at(&self, offset: u64, most: usize) -> Result<bytes::Bytes> {
        self.run(move |file| {
            let mut data = vec![0; most];
            let length = file.read_at(&mut data, offset)?;
            data.truncate(length);
            Ok(data.into())
        })
        .await
    }
}

fn unknown_root(name: &str) -> Error {
    Error::new(Code::UnknownFile, format!("there is no media folder {name:?}"))
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
                    let opened = local.run(Local::check).await;
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
                let location = location.clone();
                local.run(move |local| local.kind(&location)).await
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
                let location = location.clone();
                local.run_listing(move |local| local.list(&location, kinds, start, limit)).await
            }
            Files::Nas(_, nas) => list_nas(nas, location, kinds, start, limit).await,
        }
    }

    /// The content of a file. `range` is the value of a `Range` header, which only a NAS uses. A NAS gives only pictures, videos and sound
    /// files.
    pub async fn open(&self, location: &Location, range: Option<&str>) -> Result<Content> {
        match &self.root(&location.root)?.files {
            Files::Local(local) => {
                let (pool, location) = (local.pool().clone(), location.clone());
                let file = local.run(move |local| local.open(&location)).await?;
                Ok(Content::File(LocalFile { file: Arc::new(file), pool }))
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
                let location = location.clone();
                local.run(move |local| local.read(&location, most)).await.map(Into::into)
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
    pub async fn create(&self, location: &Location) -> Result<Upload> {
        let (local, location) = (self.local(location)?, location.clone());
        let partial = local.run(move |local| local.create(&location)).await?;
        Ok(Upload::new(partial, local.pool().clone()))
    }

    /// Deletes a file, or an empty folder.
    pub async fn delete(&self, location: &Location) -> Result<()> {
        let (local, location) = (self.local(location)?, location.clone());
        local.run(move |local| local.delete(&location)).await
    }

    /// Removes the temporary files of uploads that ended with the program: it was killed, or the power failed.
    pub async fn remove_leftovers(&self) {
        let locals = self.0.iter().filter_map(|root| match &root.files {
            Files::Local(local) => Some((&root.name, local)),
            Files::Nas(..) => None,
        });
        for (name, local) in locals {
            match local.run(|local| local.remove_leftovers()).await {
                Ok(0) => {}
                Ok(n) => tracing::info!("{n} temporary files of unfinished uploads were removed from {name}"),
                Err(e) => tracing::debug!("temporary files of {name} are not looked for: {}", e.chain()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
