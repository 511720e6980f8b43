//! Channels: files of the media folders as paths of MediaMTX.
//!
//! A picture, or a folder of pictures, becomes a stream, and a path that pulls it. A video, a sound file, or a folder of videos becomes a
//! path whose ffmpeg plays it in a loop while a client reads the path. `plan` decides which
//! stream and path a channel needs; it is the only module that makes command lines.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod plan;

use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::plan::{Clip, Plan};
use crate::{
    catalog::Catalog,
    error::{Code, Error, Result},
    library::{self, FileKind, Library, Location, StoredAt},
    paths::Paths,
    producer::Definition,
    stream::StreamName,
};

/// Entries of a folder that decide whether it is a slideshow or a playlist.
const MAX_LOOKED_AT: usize = 1000;

/// Videos that ffprobe examines at a time: the cores of a small machine.
const PROBES: usize = 2;

/// A channel to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    /// The media folder; the first one if it is left out.
    #[serde(default)]
    pub root: String,
    /// A file, or a folder of pictures or videos.
    pub path: String,
    /// The kind of channel for a folder that has pictures and videos.
    #[serde(default, rename = "as")]
    pub folder_as: Option<FolderAs>,
    /// The name of the path at MediaMTX, and of the stream here.
    #[schema(value_type = String)]
    pub name: StreamName,
}

/// The kind of channel that a folder becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FolderAs {
    /// Its pictures, one after the other: a stream.
    Slideshow,
    /// Its videos, one after the other: a path of MediaMTX.
    Playlist,
}

/// A channel that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Channel {
    /// The name of the path at MediaMTX.
    pub name: String,
    /// The kind of the path: `stream` or `raw`.
    pub kind: &'static str,
    /// Whether ffmpeg copies the video as it is; otherwise it encodes the video again while a client reads the path.
    pub copies: bool,
}

/// The parts of the program from which channels are made.
pub struct Channels<'a> {
    /// The media folders.
    pub library: &'a Library,
    /// The streams.
    pub catalog: &'a Catalog,
    /// The paths at MediaMTX.
    pub paths: &'a Paths,
    /// Base URL at which MediaMTX's host gets files from the sidecar.
    pub base_url: &'a str,
}

impl Channels<'_> {
    /// Makes a channel of a file or folder. With `only_new` a path or stream of the name is not replaced.
    pub async fn create(&self, new: NewChannel, only_new: bool) -> Result<Channel> {
        let NewChannel { root, path, folder_as, name } = new;
        let location = self.library.locate(&Location { root, path })?;
        let Plan { stream, path, channel } = self.plan(&location, &name, folder_as).await?;
        path.check(&name)?;
        let has_stream = stream.is_some() && self.catalog.registry().get(&name).is_some();
        if only_new && (has_stream || self.paths.is_kept(&name)) {
            let message = format!("name: a stream or path {name} exists already");
            return Err(Error::new(Code::PreconditionFailed, message).in_field("name"));
        }
        if let Some(definition) = stream {
            self.catalog.define(&name, &definition.into()).await?;
        }
        self.paths.put(&name, path).await?;
        Ok(channel)
    }

    /// Removes a channel: its path, and its stream if that shows files.
    pub async fn remove(&self, name: &StreamName) -> Result<()> {
        self.paths.remove(name).await?;
        let kind = self.catalog.registry().get(name).map(|stream| stream.kind());
        if matches!(kind, Some("file" | "nas")) {
            self.catalog.remove(name).await?;
        }
        Ok(())
    }

    async fn plan(&self, location: &Location, name: &StreamName, folder_as: Option<FolderAs>) -> Result<Plan> {
        let kind = self.library.kind(location).await?;
        match kind {
            FileKind::Folder if self.folder_as(location, folder_as).await? == FolderAs::Playlist => {
                plan::playlist(location, name, &self.clips(location).await?, self.base_url)
            }
            FileKind::Folder | FileKind::Picture => {
                let definition = match self.library.stored_at(location)? {
                    StoredAt::File(path) => Definition::file(path),
                    StoredAt::Nas { nas, path } => Definition::nas(nas, path),
                };
                Ok(plan::pictures(location, name, definition))
            }
            FileKind::Video | FileKind::Audio => {
                // Without ffprobe the video is encoded again, which plays in any case.
                let facts = match library::probe(self.library, location).await {
                    Ok(facts) => Some(facts),
                    // It is no media file, whatever its name says.
                    Err(e) if e.code() == Code::InvalidPath => return Err(e),
                    Err(e) => {
                        tracing::debug!(path = location.path, "not examined: {}", e.chain());
                        None
                    }
                };
                plan::video(location, name, kind, facts.as_ref(), self.base_url)
            }
            FileKind::Other => {
                let rule = "path: must be a picture, a video or a sound file, by the ending of its name";
                Err(Error::new(Code::InvalidPath, rule).in_field("path"))
            }
        }
    }

    /// The kind of channel that a folder becomes: the requested kind, or the kind of its files.
    async fn folder_as(&self, location: &Location, requested: Option<FolderAs>) -> Result<FolderAs> {
        if let Some(requested) = requested {
            return Ok(requested);
        }
        let entries = self.library.list(location, None, 0, MAX_LOOKED_AT).await?.entries;
        let has = |kind| entries.iter().any(|entry| entry.kind == kind);
        match (has(FileKind::Picture), has(FileKind::Video)) {
            (true, true) => {
                let rule = "as: must be slideshow or playlist, because the folder has pictures and videos";
                Err(Error::new(Code::InvalidPath, rule).in_field("as"))
            }
            (false, true) => Ok(FolderAs::Playlist),
            _ => Ok(FolderAs::Slideshow),
        }
    }

    /// The videos of a folder, with their codecs.
    async fn clips(&self, location: &Location) -> Result<Vec<Clip>> {
        let videos = self.library.videos(location).await?;
        let examined = futures_util::stream::iter(videos).map(async |video: Location| {
            let facts = library::probe(self.library, &video).await?;
            let name = video.path.rsplit('/').next().unwrap_or_default().to_owned();
            Ok::<_, Error>(Clip { name, facts })
        });
        examined.buffered(PROBES).try_collect().await
    }
}
