//! Files as something to look through, and to make channels of: folders of this machine, and of NAS.
//!
//! Nothing outside of `media.roots` and of the folders in `media.nas` is ever opened.

mod channel;
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
use serde_json::{Value, json};
use utoipa::ToSchema;

use self::local::Local;
pub use self::{
    channel::{As, Channel, Clip, NewChannel, Parts, channel, playlist},
    local::Upload,
    probe::{Facts, probe},
};
use crate::{
    error::{Code, Error, Result},
    fetch::Response,
    nas::{AllNas, Item, Nas},
    producer::file::MediaSettings,
};

/// Most entries of a folder that are read: more than a person looks through.
const MAX_ENTRIES: usize = 50_000;

/// Most videos of a playlist.
const MAX_CLIPS: usize = 200;

/// Entries that a NAS is asked for at once when only some kinds are wanted.
const STEP: usize = 1000;

/// The folders. Cheap to clone.
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
    /// With its name in the settings.
    Nas(String, Nas),
}

/// A media folder.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RootInfo {
    /// Its name here: the last part of its path, or that in `media.nas`.
    pub name: String,
    /// `local` or `nas`.
    pub kind: &'static str,
    /// Whether it can be opened.
    pub available: bool,
    /// Whether files can be put there and deleted.
    pub writable: bool,
    /// Why it cannot be opened, or what is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
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
    /// Whether files can be put here and deleted.
    pub writable: bool,
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

/// The content of a file.
#[derive(Debug)]
pub enum Content {
    /// It is on this machine.
    File(File),
    /// It comes from a NAS: what was asked for of it, with its headers.
    Remote(Box<Response>),
}

fn unknown_root(name: &str) -> Error {
    Error::new(Code::UnknownFile, format!("there is no media folder {name:?}"))
}

/// Runs what reads the disk away from the async threads.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    crate::blocking::files().run(work).await
}

impl Library {
    /// The folders of the settings. Two of the same name are told apart by a number.
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

    /// All roots. Each NAS is asked, at the same time.
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

    fn local(&self, place: &Place) -> Result<Local> {
        match &self.root(&place.root)?.files {
            Files::Local(local) => Ok(local.clone()),
            Files::Nas(..) => {
                let message = format!("{} is on a NAS, where nothing is changed from here", place.root);
                Err(Error::new(Code::Forbidden, message))
            }
        }
    }

    /// The place with its root named, and its path checked.
    pub fn place(&self, place: &Place) -> Result<Place> {
        let root = match place.root.as_str() {
            "" => self.0.first().ok_or_else(|| unknown_root(""))?,
            name => self.root(name)?,
        };
        let path = Path::new(&place.path);
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || place.path.contains('\0') {
            return Err(Error::parameter("path", "must be below the media folder, without . and .."));
        }
        Ok(Place { root: root.name.clone(), path: place.path.trim_matches('/').to_owned() })
    }

    /// The definition of a stream that shows the picture, or the folder of them; its producer checks the path again.
    pub fn definition(&self, place: &Place) -> Result<Value> {
        Ok(match &self.root(&place.root)?.files {
            Files::Local(local) => json!({"kind": "file", "path": local.absolute(place)?}),
            Files::Nas(key, _) => json!({"kind": "nas", "nas": key, "path": place.path}),
        })
    }

    /// The videos of a folder, as many as a playlist may have.
    pub async fn videos(&self, place: &Place) -> Result<Vec<Place>> {
        let listing = self.list(place, Some(FileKind::Video), 0, MAX_ENTRIES).await?;
        let videos = listing.entries.into_iter().filter(|entry| entry.kind == FileKind::Video).take(MAX_CLIPS);
        let below = |name: &str| match place.path.as_str() {
            "" => name.to_owned(),
            folder => format!("{folder}/{name}"),
        };
        Ok(videos.map(|entry| Place { root: place.root.clone(), path: below(&entry.name) }).collect())
    }

    /// What a file or folder is.
    pub async fn kind(&self, place: &Place) -> Result<FileKind> {
        match &self.root(&place.root)?.files {
            Files::Local(local) => {
                let (local, place) = (local.clone(), place.clone());
                blocking(move || local.kind(&place)).await
            }
            // What has the ending of a file is one; a folder of such a name would be refused when it is opened.
            Files::Nas(..) => Ok(match FileKind::of(&place.path) {
                FileKind::Other => FileKind::Folder,
                kind => kind,
            }),
        }
    }

    /// A part of a folder's content: of this machine's sorted, folders first, then files, by name with digits by their
    /// value; of a NAS's in its own order.
    pub async fn list(&self, place: &Place, kinds: Option<FileKind>, start: usize, limit: usize) -> Result<Listing> {
        match &self.root(&place.root)?.files {
            Files::Local(local) => {
                let (local, place) = (local.clone(), place.clone());
                blocking(move || local.list(&place, kinds, start, limit)).await
            }
            Files::Nas(_, nas) => list_nas(nas, place, kinds, start, limit).await,
        }
    }

    /// The content of a file; of a NAS's only the part that a `Range` header asks for, and only of pictures, videos and
    /// sound.
    pub async fn open(&self, place: &Place, range: Option<&str>) -> Result<Content> {
        match &self.root(&place.root)?.files {
            Files::Local(local) => {
                let (local, place) = (local.clone(), place.clone());
                blocking(move || local.open(&place)).await.map(Content::File)
            }
            Files::Nas(_, nas) if FileKind::of(&place.path) != FileKind::Other => {
                Ok(Content::Remote(Box::new(nas.open(&place.path, range).await?)))
            }
            Files::Nas(..) => {
                let message = "only pictures, videos and sound are read from a NAS";
                Err(Error::new(Code::UnknownFile, message))
            }
        }
    }

    /// The content of a file of at most so many bytes.
    pub async fn read(&self, place: &Place, most: u64) -> Result<bytes::Bytes> {
        match &self.root(&place.root)?.files {
            Files::Local(local) => {
                let (local, place) = (local.clone(), place.clone());
                blocking(move || local.read(&place, most)).await.map(Into::into)
            }
            Files::Nas(_, nas) => nas.open(&place.path, None).await?.bytes(most as usize, READ_TIMEOUT).await,
        }
    }

    /// A small picture that a NAS has made already, if it has.
    pub async fn ready_thumbnail(&self, place: &Place) -> Option<bytes::Bytes> {
        match &self.root(&place.root).ok()?.files {
            Files::Nas(_, nas) => nas.thumbnail(&place.path).await.ok().filter(|data| data.starts_with(&[0xFF, 0xD8])),
            Files::Local(_) => None,
        }
    }

    /// A new file, under a name of its own until it is complete (see [`Upload::finish`]). One that is there is not replaced.
    pub fn create(&self, place: &Place) -> Result<Upload> {
        self.local(place)?.create(place)
    }

    /// Deletes a file; a folder only when it is empty.
    pub fn delete(&self, place: &Place) -> Result<()> {
        self.local(place)?.delete(place)
    }
}

/// How long a file of a NAS may take that is read whole.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

async fn list_nas(nas: &Nas, place: &Place, kinds: Option<FileKind>, start: usize, limit: usize) -> Result<Listing> {
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
        root: place.root.clone(),
        path: place.path.clone(),
        writable: false,
        total,
        entries,
    };
    if kinds.is_none() {
        let page = nas.list(&place.path, start, limit.min(MAX_ENTRIES)).await?;
        return Ok(listing(page.total, page.items.into_iter().map(entry).collect()));
    }
    // Part by part, so that only what is wanted is ever held.
    let (mut at, mut total, mut entries) = (0, 0, vec![]);
    loop {
        let page = nas.list(&place.path, at, STEP).await?;
        at += page.spans;
        let wanted = |entry: &Entry| entry.kind == FileKind::Folder || Some(entry.kind) == kinds;
        for entry in page.items.into_iter().map(entry).filter(wanted) {
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
